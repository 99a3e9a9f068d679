"""Suricata's events (EVE): JSON lines of several event types in one file, and JSON arrays of such events.

Events of one type are read, flows unless another is asked for; the others are counted as skipped. An event without
``event_type`` is rejected. Its columns are those of :mod:`netsieve.engine.sources.eve_columns`, then other members that
occur in the first 4 MiB of the file, then those of :mod:`netsieve.engine.sources.eve_features`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from netsieve.engine.sources.blocks import MAX_RECORD_BYTES
from netsieve.engine.sources.direction import HomeNetworks
from netsieve.engine.sources.eve_columns import END_TIMES, event_columns
from netsieve.engine.sources.eve_features import DIRECTION, DIRECTION_INPUTS, READY_SCHEMAS, derived_columns
from netsieve.engine.sources.json_text import KIND_CODES, TIME, JsonRows, JsonText, frame_of
from netsieve.engine.sources.source import BLOCK_BYTES, Block, ColumnRequest, ParsedBlock, ReadOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsieve.engine.sources.bytestream import ByteStream

__all__ = ["READY_SCHEMAS", "EveSource", "open_stream"]

DEFAULT_EVENT_TYPE: Final = "flow"
TIMESTAMP: Final = "timestamp"


class EveSource:
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
        self._end_times = tuple(dict.fromkeys([END_TIMES.get(event_type, TIMESTAMP), TIMESTAMP]))
        derived = derived_columns(event_type)
        codes = self._codes(request, event_type, exclude={*derived, DIRECTION})
        self.columns = (*codes, *derived, DIRECTION)
        self._derived = {name: column for name, column in derived.items() if request.wants(name)}
        self._directed = request.wants(DIRECTION)
        self._wanted = [name for name in self.columns if request.wants(name)]
        needed = {*self._wanted, *self._end_times, *(DIRECTION_INPUTS if self._directed else ())}
        needed.update(name for column in self._derived.values() for name in column.inputs)
        self._kinds = {path: code for path, code in codes.items() if path in needed}
        self._inferred = frozenset(self._kinds) - frozenset(event_columns(event_type)) - frozenset(request.kinds)

    @property
    def name(self) -> str:
        """Path as it was given."""
        return self._text.stream.name

    @property
    def total_bytes(self) -> int | None:
        """Size of the file; None for pipes."""
        return self._text.stream.total_bytes

    def close(self) -> None:
        """Close the file."""
        self._text.stream.close()

    def blocks(self) -> Iterator[Block]:
        """Yield the file's blocks in order, once."""
        return self._text.blocks()

    def parse(self, block: Block) -> ParsedBlock:
        """Return a block's events of the wanted type as a frame; those rejected with what is wrong with them."""
        rows = self._text.parse(block, self._kinds, self._inferred)
        frame = frame_of(rows.columns)
        end_time = self._end_time(frame)
        return ParsedBlock(
            frame=self._with_derived(frame, rows).select(self._wanted),
            record=rows.record,
            rejects=rows.rejects,
            skipped={**block.skipped, **{f"event type {kind}": count for kind, count in rows.skipped.items()}},
            source_file=block.source_file,
            bytes_read=block.bytes_read,
            end_time=end_time,
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

    def _with_derived(self, frame: pl.DataFrame, rows: JsonRows) -> pl.DataFrame:
        computed: list[Any] = [column.expression.alias(name) for name, column in self._derived.items()]
        if self._directed:
            ends = (rows.columns[name] for name in DIRECTION_INPUTS)
            computed.append(self._home.directions(*ends).alias(DIRECTION))
        return frame.with_columns(computed)

    def _end_time(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        microseconds = pl.coalesce(*self._end_times).dt.timestamp("us")
        seconds = frame.select((microseconds / 1e6).fill_null(float("nan"))).to_series()
        return seconds.to_numpy()


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
