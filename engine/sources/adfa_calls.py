"""Traces of system calls, call by call: a record is one call, for detectors of sequences.

A trace that cannot be read is one record, rejected. Calls are numbered over the file as they come.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from netsieve.engine.sources.source import RAW_BYTES, Block, ColumnRequest, ParsedBlock, Reject, Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

RECORD_TYPE: Final = "adfa.call"
TRACE_COLUMN: Final = "syscalls"
"""Holds the traces in the source that is read."""
TRACE: Final = "trace"
POSITION: Final = "position"
CALL: Final = "syscall"
OWN_COLUMNS: Final = (TRACE, POSITION, CALL)
"""The trace by the file's name and its number within, the call's place in it, from 0, and its number."""
READY_SCHEMA: Final[dict[str, Any]] = {"features": [CALL], "columns": {CALL: {"kind": "categorical"}}}
"""The number of a call is a name."""
EMPTY: Final = "empty trace"
BLOCK_CALLS: Final = 131_072
"""Calls of a block, unless one trace has more: a batch of a Parquet file may hold some millions."""
LARGEST_CALL: Final = 2**63 - 1


def traces_request(request: ColumnRequest) -> ColumnRequest:
    """Return what is read of a file of traces where these columns of calls are wanted."""
    if request.columns is None:
        return request
    others = [name for name in request.columns if name not in OWN_COLUMNS]
    return replace(request, columns=(*others, TRACE_COLUMN))


class CallSource:
    """The calls of a source of traces, in order.

    Parameters
    ----------
    traces
        The source, read with :func:`traces_request`: a column of text or of lists holds each trace.
    request
        Columns wanted.
    others
        The source's other columns, which every call of a trace gets.
    """

    record_type = RECORD_TYPE

    def __init__(self, traces: Source, request: ColumnRequest, others: Sequence[str] = ()) -> None:
        self._traces = traces
        self._request = request
        kept = [name for name in others if name not in (*OWN_COLUMNS, TRACE_COLUMN)]
        self._kept = [name for name in kept if request.wants(name)]
        self.columns = (*OWN_COLUMNS, *kept)

    @property
    def name(self) -> str:
        """Path as it was given."""
        return self._traces.name

    @property
    def total_bytes(self) -> int | None:
        """Size of the file; None for pipes."""
        return self._traces.total_bytes

    def blocks(self) -> Iterator[Block]:
        """Yield blocks of the calls of some whole traces, in order, once; they are parsed already, as their data."""
        first = sequence = 0
        for block in self._traces.blocks():
            for number, part in enumerate(_parts(_without_huge_calls(self._traces.parse(block)))):
                parsed = self._calls(part, first)
                records = len(parsed.record) + len(parsed.rejects) + parsed.skipped.get(EMPTY, 0)
                yield replace(
                    block,
                    sequence=sequence,
                    first_record=first,
                    records=records,
                    data=parsed,
                    bytes_read=part.bytes_read,
                    skipped={} if number else block.skipped,
                    rejects=(),
                )
                first += records
                sequence += 1

    def parse(self, block: Block) -> ParsedBlock:
        """Return a block's calls."""
        parsed: ParsedBlock = block.data
        return parsed

    def close(self) -> None:
        """Close the file."""
        self._traces.close()

    def _calls(self, parsed: ParsedBlock, first: int) -> ParsedBlock:
        traces = parsed.frame.get_column(TRACE_COLUMN)
        if traces.dtype == pl.String:
            traces = traces.str.split(" ").cast(pl.List(pl.Int64))
        lengths = _lengths(traces)
        rejected = np.array([reject.record for reject in parsed.rejects], dtype=np.int64)
        in_file = np.asarray(parsed.record, dtype=np.int64)
        starts, places = _numbered(in_file, np.maximum(lengths, 1), rejected)
        row = np.repeat(np.arange(len(lengths)), lengths)
        position = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        base = PurePath(self.name).name
        own = {
            TRACE: lambda: pl.Series([f"{base}:{number}" for number in in_file.tolist()], dtype=pl.String).gather(row),
            POSITION: lambda: pl.Series(position),
            CALL: lambda: traces.filter(pl.Series(lengths > 0)).explode().cast(pl.Int64),
        }
        columns = [own[name]().alias(name) for name in OWN_COLUMNS if self._request.wants(name)]
        kept = parsed.frame.select(self._kept)[row] if self._kept else None
        empty = int(np.count_nonzero(lengths == 0))
        return replace(
            parsed,
            frame=pl.DataFrame([*columns, *(kept.get_columns() if kept is not None else [])]),
            record=first + starts[row] + position,
            rejects=[
                replace(reject, record=first + int(place)) for reject, place in zip(parsed.rejects, places, strict=True)
            ],
            skipped={**parsed.skipped, EMPTY: empty} if empty else parsed.skipped,
            end_time=None,
        )


def _lengths(traces: pl.Series) -> NDArray[np.int64]:
    """Return how many calls each trace is."""
    numbers = traces.str.count_matches(" ", literal=True) + 1 if traces.dtype == pl.String else traces.list.len()
    return numbers.fill_null(0).to_numpy().astype(np.int64)


def _parts(parsed: ParsedBlock) -> Iterator[ParsedBlock]:
    """Yield the traces of a block in parts of few calls, and with each the rejected ones that stand before its end."""
    numbers = np.asarray(parsed.record, dtype=np.int64)
    places = np.cumsum(_lengths(parsed.frame.get_column(TRACE_COLUMN)))
    rejected = [reject.record for reject in parsed.rejects]
    start = first = 0
    while True:
        before = int(places[start - 1]) if start else 0
        end = max(int(np.searchsorted(places, before + BLOCK_CALLS, side="right")), start + 1)
        is_last = end >= len(numbers)
        last = len(rejected) if is_last else bisect_left(rejected, int(numbers[end]))
        part = replace(
            parsed, frame=parsed.frame[start:end], record=numbers[start:end], rejects=parsed.rejects[first:last]
        )
        # What is counted of the whole block is counted with its first part
        yield replace(part, skipped={}, bytes_read=0, emptied={}) if start else part
        if is_last:
            return
        start, first = end, last


def _without_huge_calls(parsed: ParsedBlock) -> ParsedBlock:
    """Return a block without the traces that hold a number beyond all system calls, which are rejected."""
    traces = parsed.frame.get_column(TRACE_COLUMN)
    if traces.dtype != pl.List(pl.UInt64):
        return parsed
    is_huge = (traces.list.max() > LARGEST_CALL).fill_null(value=False)
    if not is_huge.any():
        return parsed
    rows, numbers = is_huge.to_numpy(), np.asarray(parsed.record, dtype=np.int64)
    reason = f"column {TRACE_COLUMN!r}: expected numbers of system calls, got {{}}"
    found = [
        Reject(
            parsed.source_file,
            int(numbers[row]),
            None,
            None,
            reason.format(traces[row].max()),
            json.dumps({TRACE_COLUMN: traces[row].head(RAW_BYTES).to_list()})[:RAW_BYTES],
        )
        for row in np.flatnonzero(rows).tolist()
    ]
    return replace(
        parsed,
        frame=parsed.frame.filter(~is_huge),
        record=numbers[~rows],
        rejects=sorted([*parsed.rejects, *found], key=lambda reject: reject.record),
    )


def _numbered(
    traces: NDArray[np.int64], lengths: NDArray[np.int64], rejected: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the number of the first record of each trace and of each rejected one, counted from the block's first.

    Parameters
    ----------
    traces, lengths
        Number within the file of each trace, and how many records it is.
    rejected
        The same of those that could not be read, each one record.
    """
    numbers = np.concatenate([traces, rejected])
    sizes = np.concatenate([lengths, np.ones(len(rejected), dtype=np.int64)])
    order = np.argsort(numbers, kind="stable")
    starts = np.empty(len(numbers), dtype=np.int64)
    starts[order] = np.cumsum(sizes[order]) - sizes[order]
    return starts[: len(traces)], starts[len(traces) :]
