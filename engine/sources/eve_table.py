"""The table of one event type of Suricata: which columns are read of its events, and the frame that is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import polars as pl

from netsieve.engine.sources.eve_columns import END_TIMES, event_columns
from netsieve.engine.sources.eve_dns import OF_FIRST_QUERY, QUERIES, TYPE, former_columns
from netsieve.engine.sources.eve_features import DIRECTION, DIRECTION_INPUTS, derived_columns
from netsieve.engine.sources.json_text import KIND_CODES, TIME, JsonColumns, JsonRows, frame_of
from netsieve.engine.sources.source import Block, ColumnRequest, ParsedBlock, Reject
from netsieve.kernels import _native

if TYPE_CHECKING:
    from netsieve.engine.sources.direction import HomeNetworks

TIMESTAMP: Final = "timestamp"


class EventTable:
    """The table of one event type.

    Parameters
    ----------
    event_type
        The type.
    request
        Columns wanted and their kinds. What would be computed from one that is read as something else than it is,
        text instead of a number, is then no column.
    discovered
        Kind code by path of the members that the file's first events of the type have.
    home
        What counts as inside.

    Attributes
    ----------
    columns
        All columns of the type, in order, whether wanted or not.
    read
        What is read of the file.
    """

    def __init__(
        self, event_type: str, request: ColumnRequest, discovered: Mapping[str, int], home: HomeNetworks
    ) -> None:
        self._home = home
        self._end_times = (END_TIMES.get(event_type, TIMESTAMP), TIMESTAMP)
        derived = derived_columns(event_type)
        codes = _codes(request, event_type, discovered, exclude={*derived, DIRECTION})
        changed = _read_otherwise(codes, event_type)
        derived = {name: column for name, column in derived.items() if not changed & {*column.inputs}}
        directed = not changed & {*DIRECTION_INPUTS}
        self.columns = (*codes, *derived, *((DIRECTION,) if directed else ()))
        self._derived = {name: column for name, column in derived.items() if request.wants(name)}
        self._directed = directed and request.wants(DIRECTION)
        self._requested = [name for name in codes if request.wants(name)]
        self._ordered = [name for name in self.columns if request.wants(name)]
        needed = {*self._requested, *self._end_times, *(DIRECTION_INPUTS if self._directed else ())}
        needed.update(name for column in self._derived.values() for name in column.inputs)
        self._of_dns = event_type == "dns" and bool(needed & {*OF_FIRST_QUERY, TYPE})
        needed |= {QUERIES} if self._of_dns else set()
        kinds = {path: code for path, code in codes.items() if path in needed}
        self.read = JsonColumns(kinds, frozenset(kinds) - frozenset(event_columns(event_type)) - {*request.kinds})

    def parsed(
        self, block: Block, rows: JsonRows, rejects: Sequence[Reject] = (), skipped: Mapping[str, int] | None = None
    ) -> ParsedBlock:
        """Return a block's events of the type as a frame, with what else became of the block."""
        return ParsedBlock(
            frame=self._frame(rows.columns),
            record=rows.record,
            rejects=list(rejects),
            skipped=dict(skipped or {}),
            source_file=block.source_file,
            bytes_read=block.bytes_read,
            end_time=_native.epoch_seconds(*(rows.columns[name] for name in self._end_times)),
        )

    def _frame(self, read: Mapping[str, _native.Column]) -> pl.DataFrame:
        """Return the columns requested of those read, with the computed ones."""
        former = former_columns(read) if self._of_dns else {}
        columns = {name: read[name] for name in self._requested}
        expressions = []
        for name, (inputs, compute) in self._derived.items():
            if isinstance(compute, pl.Expr):
                expressions.append(compute.alias(name))
            else:
                columns[name] = compute(*(read[each] for each in inputs))
        if self._directed:
            columns[DIRECTION] = self._home.direction_column(*(read[name] for name in DIRECTION_INPUTS))
        frame = _with(frame_of(columns), former)
        if not expressions:
            return frame
        inputs_read = frame_of({name: read[name] for column in self._derived.values() for name in column.inputs})
        computed = _with(inputs_read, former).select(expressions)
        return frame.hstack(computed)[self._ordered] if columns else computed


def _with(frame: pl.DataFrame, columns: Mapping[str, pl.Series]) -> pl.DataFrame:
    """Return the frame with those of the columns that it has in their place."""
    return frame.with_columns(column for name, column in columns.items() if name in frame.columns)


def _read_otherwise(codes: Mapping[str, int], event_type: str) -> set[str]:
    """Return the columns that nothing can be computed from, as they were asked for as something else."""
    numbers = {KIND_CODES["integer"], KIND_CODES["float"]}
    changed = set()
    for path, known in event_columns(event_type).items():
        own = TIME if known == "time" else KIND_CODES[known]
        if codes[path] != own and {codes[path], own} != numbers:
            changed.add(path)
    return changed


def _codes(
    request: ColumnRequest, event_type: str, discovered: Mapping[str, int], *, exclude: set[str]
) -> dict[str, int]:
    """Return kind codes of the columns read from the file, in order."""
    codes: dict[str, int] = {}
    for path, known in event_columns(event_type).items():
        codes[path] = TIME if known == "time" else KIND_CODES[request.kinds.get(path, known)]
    for path, found in discovered.items():
        if path not in codes and path not in exclude:
            unasked = found if request.infer else KIND_CODES["string"]
            codes[path] = KIND_CODES[request.kinds[path]] if path in request.kinds else unasked
    return codes
