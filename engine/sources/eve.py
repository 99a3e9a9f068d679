"""Suricata's events (EVE): JSON lines of several event types in one file, and JSON arrays of such events.

Events of one type are read, flows unless another is asked for, or of several types in one pass, each into a table of
its own (:mod:`netsieve.engine.sources.eve_table`); the others are counted as skipped. An event without ``event_type``
is rejected. The columns are those of :mod:`netsieve.engine.sources.eve_columns`, then other members that occur in the
first 4 MiB of the file, then those of :mod:`netsieve.engine.sources.eve_features`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from netsieve.engine.sources.blocks import MAX_RECORD_BYTES
from netsieve.engine.sources.direction import HomeNetworks
from netsieve.engine.sources.eve_features import READY_SCHEMAS
from netsieve.engine.sources.eve_table import EventTable
from netsieve.engine.sources.json_text import JsonSource, JsonText, ParsedText
from netsieve.engine.sources.source import BLOCK_BYTES, Block, ColumnRequest, ParsedBlock, ParsedEvents, ReadOptions

if TYPE_CHECKING:
    from netsieve.engine.sources.bytestream import ByteStream

__all__ = ["READY_SCHEMAS", "EveEventsSource", "EveSource", "open_events", "open_stream"]

DEFAULT_EVENT_TYPE: Final = "flow"
EVENT_TYPE: Final = "event_type"


class EveEventsSource(JsonSource):
    """A file of Suricata's events, of which several types are read in one pass.

    Parameters
    ----------
    stream
        The text, at its beginning.
    requests
        The event types that are read; of each the columns wanted and their kinds.
    home
        What counts as inside.
    block_bytes, max_record
        See :class:`netsieve.engine.sources.blocks.BlockCutter`.

    Attributes
    ----------
    columns
        All columns of each event type, whether wanted or not.

    Raises
    ------
    SourceError
        The file is empty, or is no text.
    """

    def __init__(
        self,
        stream: ByteStream,
        requests: Mapping[str, ColumnRequest],
        *,
        home: HomeNetworks | None = None,
        block_bytes: int = BLOCK_BYTES,
        max_record: int = MAX_RECORD_BYTES,
    ) -> None:
        home = home if home is not None else HomeNetworks()
        self._text = JsonText(
            stream, selector=(EVENT_TYPE, list(requests)), block_bytes=block_bytes, max_record=max_record
        )
        self._tables = {
            event_type: EventTable(event_type, request, discovered, home)
            for (event_type, request), discovered in zip(requests.items(), self._text.discovered, strict=True)
        }
        self.columns = {event_type: table.columns for event_type, table in self._tables.items()}

    def parse(self, block: Block) -> ParsedEvents:
        """Return a block's events, a frame for each wanted type; those rejected with what is wrong with them."""
        parsed = self._text.parse(block, *(table.read for table in self._tables.values()))
        of_no_bytes = replace(block, bytes_read=0)
        return ParsedEvents(
            tables={
                event_type: table.parsed(of_no_bytes, rows)
                for (event_type, table), rows in zip(self._tables.items(), parsed.tables, strict=True)
            },
            rejects=parsed.rejects,
            skipped=_skipped(block, parsed),
            bytes_read=block.bytes_read,
        )


class EveSource(JsonSource):
    """A file of Suricata's events, of which one type is read.

    Parameters
    ----------
    stream
        The text, at its beginning.
    request
        Columns wanted and their kinds.
    event_type
        The events that are read.
    home
        What counts as inside.
    block_bytes, max_record
        See :class:`netsieve.engine.sources.blocks.BlockCutter`.

    Raises
    ------
    SourceError
        The file is empty, or is no text.
    """

    def __init__(
        self,
        stream: ByteStream,
        request: ColumnRequest,
        *,
        event_type: str = DEFAULT_EVENT_TYPE,
        home: HomeNetworks | None = None,
        block_bytes: int = BLOCK_BYTES,
        max_record: int = MAX_RECORD_BYTES,
    ) -> None:
        self.record_type = f"suricata.{event_type}"
        self._text = JsonText(
            stream, selector=(EVENT_TYPE, [event_type]), block_bytes=block_bytes, max_record=max_record
        )
        (discovered,) = self._text.discovered
        self._table = EventTable(event_type, request, discovered, home if home is not None else HomeNetworks())
        self.columns = self._table.columns

    def parse(self, block: Block) -> ParsedBlock:
        """Return a block's events of the wanted type as a frame; those rejected with what is wrong with them."""
        parsed = self._text.parse(block, self._table.read)
        return self._table.parsed(block, parsed.tables[0], parsed.rejects, _skipped(block, parsed))


def _skipped(block: Block, parsed: ParsedText) -> dict[str, int]:
    return {**block.skipped, **{f"event type {kind}": count for kind, count in parsed.skipped.items()}}


def open_stream(stream: ByteStream, request: ColumnRequest, options: ReadOptions, block_bytes: int) -> EveSource:
    """Return the stream as a source.

    Raises
    ------
    SourceError
        It is empty, is no text, or a home network is none.
    """
    return EveSource(
        stream,
        request,
        event_type=options.event_type or DEFAULT_EVENT_TYPE,
        home=HomeNetworks(options.home_networks),
        block_bytes=block_bytes,
    )


def open_events(
    stream: ByteStream, requests: Mapping[str, ColumnRequest], options: ReadOptions, block_bytes: int
) -> EveEventsSource:
    """Return the stream as a source of several event types; errors as for :func:`open_stream`."""
    return EveEventsSource(stream, requests, home=HomeNetworks(options.home_networks), block_bytes=block_bytes)
