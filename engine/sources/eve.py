"""Suricata's events (EVE): JSON lines of several event types in one file, and JSON arrays of such events.

Events of one type are read, flows unless another is asked for; the others are counted as skipped. An event without
``event_type`` is rejected. Its columns are those of :mod:`netsieve.engine.sources.eve_columns`, then other members that
occur in the first 4 MiB of the file, then those of :mod:`netsieve.engine.sources.eve_features`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from netsieve.engine.sources.blocks import MAX_RECORD_BYTES
from netsieve.engine.sources.direction import HomeNetworks
from netsieve.engine.sources.eve_columns import END_TIMES, event_columns
from netsieve.engine.sources.eve_dns import OF_FIRST_QUERY, QUERIES, TYPE, with_former_columns
from netsieve.engine.sources.eve_features import DIRECTION, DIRECTION_INPUTS, READY_SCHEMAS, derived_columns
from netsieve.engine.sources.json_text import KIND_CODES, TIME, JsonSource, JsonText, frame_of
from netsieve.engine.sources.source import BLOCK_BYTES, Block, ColumnRequest, ParsedBlock, ReadOptions

if TYPE_CHECKING:
    from netsieve.engine.sources.bytestream import ByteStream

__all__ = ["READY_SCHEMAS", "EveSource", "open_stream"]

DEFAULT_EVENT_TYPE: Final = "flow"
TIMESTAMP: Final = "timestamp"
END_TIME: Final = "end time"


class EveSource(JsonSource):
    """A file of Suricata's events.

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
        self._home = home if home is not None else HomeNetworks()
        self._text = JsonText(
            stream, selector=("event_type", event_type), block_bytes=block_bytes, max_record=max_record
        )
        end_times = dict.fromkeys([END_TIMES.get(event_type, TIMESTAMP), TIMESTAMP])
        self._end_time = pl.coalesce(*end_times).dt.timestamp("us").cast(pl.Float64).fill_null(float("nan"))
        derived = derived_columns(event_type)
        codes = self._codes(request, event_type, exclude={*derived, DIRECTION})
        self.columns = (*codes, *derived, DIRECTION)
        self._derived = {name: column for name, column in derived.items() if request.wants(name)}
        self._directed = request.wants(DIRECTION)
        self._requested = [name for name in codes if request.wants(name)]
        needed = {*self._requested, *end_times, *(DIRECTION_INPUTS if self._directed else ())}
        needed.update(name for column in self._derived.values() for name in column.inputs)
        self._of_dns = event_type == "dns" and bool(needed & {*OF_FIRST_QUERY, TYPE})
        needed |= {QUERIES} if self._of_dns else set()
        self._kinds = {path: code for path, code in codes.items() if path in needed}
        self._inferred = frozenset(self._kinds) - frozenset(event_columns(event_type)) - frozenset(request.kinds)

    def parse(self, block: Block) -> ParsedBlock:
        """Return a block's events of the wanted type as a frame; those rejected with what is wrong with them."""
        rows = self._text.parse(block, self._kinds, self._inferred)
        read = frame_of(rows.columns)
        read = with_former_columns(read) if self._of_dns else read
        computed = read.select(
            *(column.expression.alias(name) for name, column in self._derived.items()), self._end_time.alias(END_TIME)
        )
        frame = read if len(self._requested) == read.width else read.select(self._requested)
        derived = [computed.get_column(name) for name in self._derived]
        if self._directed:
            ends = (rows.columns[name] for name in DIRECTION_INPUTS)
            derived.append(self._home.directions(*ends).alias(DIRECTION))
        frame.hstack(derived, in_place=True)
        return ParsedBlock(
            frame=frame,
            record=rows.record,
            rejects=rows.rejects,
            skipped={**block.skipped, **{f"event type {kind}": count for kind, count in rows.skipped.items()}},
            source_file=block.source_file,
            bytes_read=block.bytes_read,
            end_time=computed.get_column(END_TIME).to_numpy() / 1e6,
        )

    def _codes(self, request: ColumnRequest, event_type: str, *, exclude: set[str]) -> dict[str, int]:
        """Return kind codes of the columns read from the file, in order."""
        codes: dict[str, int] = {}
        for path, known in event_columns(event_type).items():
            codes[path] = TIME if known == "time" else KIND_CODES[request.kinds.get(path, known)]
        for path, found in self._text.discovered.items():
            if path not in codes and path not in exclude:
                unasked = found if request.infer else KIND_CODES["string"]
                codes[path] = KIND_CODES[request.kinds[path]] if path in request.kinds else unasked
        return codes


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
