"""Traces of system calls, as in the ADFA-LD data set: a process's calls by number, in order; a trace is a record.

Creech and Hu, "Generation of a new IDS test dataset: time to retire the KDD collection", WCNC 2013. The set's own files
hold one trace each, numbers with blanks between; a file with a trace on every line is read alike. So is a Parquet table
with a list column ``syscalls``, one trace a row.

What a detector of single records can take of a trace are its length and how varied its calls and their order are. For
detectors of sequences a record is a single call (:mod:`netsieve.engine.sources.adfa_calls`): ``event_type`` of
:class:`~netsieve.engine.sources.source.ReadOptions` chooses between ``"trace"``, the default, and ``"call"``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import polars as pl

from netsieve.engine.errors import SourceError
from netsieve.engine.sources import adfa_calls
from netsieve.engine.sources.adfa_calls import TRACE_COLUMN, CallSource
from netsieve.engine.sources.known_csv import Conversion, KnownCsvSource, check_known_text
from netsieve.engine.sources.source import ColumnRequest, ParsedBlock, ReadOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from netsieve.engine.features.schema import ColumnKind
    from netsieve.engine.sources.bytestream import ByteStream
    from netsieve.engine.sources.parquet import ParquetSource
    from netsieve.engine.sources.source import Block

RECORD_TYPE: Final = "adfa.trace"
FEWEST_CALLS: Final = 8
"""A first line with fewer numbers is not taken for a trace."""
DERIVED: Final = ("calls", "distinct_calls", "distinct_pairs", "distinct_triples", "call_entropy")
"""Number of calls; how many different ones, and different runs of two and three, there are; the entropy of the calls'
frequencies in bits."""
READY_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    RECORD_TYPE: {"features": list(DERIVED)},
    adfa_calls.RECORD_TYPE: adfa_calls.READY_SCHEMA,
}
TRACES, CALLS = "trace", "call"
"""What a record is."""

_NO_DELIMITER: Final = "\x1f"
"""A byte that no trace holds: a line is one field."""
_FIRST_LINE: Final = re.compile(rb"\s*\d{1,4}(?: +\d{1,4}){%d,}[ \t]*(?:\r?\n|\Z)" % (FEWEST_CALLS - 1))


def _traces(text: pl.Series) -> pl.Series:
    text = text.str.strip_chars().str.replace_all(r"[ \t]+", " ")
    return text.set(~text.str.contains(r"^\d{1,9}( \d{1,9})*$").fill_null(value=False), None)


class TraceSource(KnownCsvSource):
    """Text with a trace on each line."""

    record_type = RECORD_TYPE
    kinds: ClassVar[Mapping[str, ColumnKind]] = {TRACE_COLUMN: "string"}
    conversions: ClassVar[Mapping[str, Conversion]] = {
        TRACE_COLUMN: Conversion(_traces, "numbers of system calls with blanks between")
    }
    derived: ClassVar[Mapping[str, Collection[str]]] = dict.fromkeys(DERIVED, (TRACE_COLUMN,))

    def derive(self, frame: pl.DataFrame, names: Sequence[str]) -> list[pl.Series]:
        """Return what describes each trace."""
        return trace_features(frame[TRACE_COLUMN].str.split(" ").cast(pl.List(pl.Int64)), names)


class TraceTable:
    """A Parquet file with a column of traces, which gets the columns that describe them.

    Parameters
    ----------
    table
        The file, read with :func:`widened_request`.
    request
        Columns wanted.
    """

    record_type = RECORD_TYPE

    def __init__(self, table: ParquetSource, request: ColumnRequest) -> None:
        self._table = table
        self._request = request
        self._derived = [name for name in DERIVED if name not in table.columns]
        self.columns = (*table.columns, *self._derived)

    @property
    def name(self) -> str:
        """Path as it was given."""
        return self._table.name

    @property
    def total_bytes(self) -> int | None:
        """Size of the file; None for pipes."""
        return self._table.total_bytes

    def blocks(self) -> Iterator[Block]:
        """Yield the file's record batches in order, once."""
        return self._table.blocks()

    def parse(self, block: Block) -> ParsedBlock:
        """Return a batch as a frame."""
        parsed = self._table.parse(block)
        names = [name for name in self._derived if self._request.wants(name)]
        frame = parsed.frame.with_columns(trace_features(parsed.frame[TRACE_COLUMN], names)) if names else parsed.frame
        return replace(parsed, frame=frame.select([name for name in self.columns if self._request.wants(name)]))

    def close(self) -> None:
        """Close the file."""
        self._table.close()


def widened_request(request: ColumnRequest) -> ColumnRequest:
    """Return the request with the column of traces, where columns that describe them are wanted."""
    if request.columns is None or not set(DERIVED) & set(request.columns):
        return request
    return replace(request, columns=tuple(dict.fromkeys((*request.columns, TRACE_COLUMN))))


def trace_features(traces: pl.Series, names: Sequence[str]) -> list[pl.Series]:
    """Return columns that describe traces.

    Parameters
    ----------
    traces
        List of integers; a missing trace has missing features.
    names
        Which of :data:`DERIVED`.
    """
    missing = traces.is_null()
    lengths = traces.list.len().fill_null(0).to_numpy().astype(np.int64)
    calls = traces.filter(~missing & (traces.list.len() > 0)).explode().to_numpy()
    row = np.repeat(np.arange(len(lengths)), lengths)
    values: dict[str, NDArray[Any]] = {"calls": lengths}
    # Runs are numbered densely at each step, so that no product of numbers can overflow
    codes = np.unique(calls, return_inverse=True)[1].astype(np.int64)
    single, runs = codes, codes
    for run, name in enumerate(("distinct_calls", "distinct_pairs", "distinct_triples")):
        if run:
            pairs = runs[:-1] * (int(single.max(initial=0)) + 1) + single[run:]
            runs = np.unique(pairs, return_inverse=True)[1].astype(np.int64)
        first, last = row[: len(runs)], row[run:]
        within = first == last
        counted, times = np.unique(first[within] * (int(runs.max(initial=0)) + 1) + runs[within], return_counts=True)
        owner = counted // (int(runs.max(initial=0)) + 1)
        values[name] = np.bincount(owner, minlength=len(lengths))
        if not run:
            share = times / lengths[owner]
            values["call_entropy"] = np.bincount(owner, -share * np.log2(share), minlength=len(lengths))
    return [
        pl.Series(name, values[name], dtype=pl.Float64 if name == "call_entropy" else pl.Int64).set(missing, None)
        for name in names
    ]


def is_format(head: bytes, _name: str) -> bool:
    """Whether the first line is numbers with blanks between."""
    return _FIRST_LINE.match(head) is not None


def open_stream(
    stream: ByteStream, request: ColumnRequest, options: ReadOptions, block_bytes: int
) -> TraceSource | CallSource:
    """Return the stream as a source.

    Raises
    ------
    SourceError
        It is no text, or the event type is none of these.
    """
    check_known_text(stream)
    asked = options.event_type or TRACES
    if asked not in (TRACES, CALLS):
        raise SourceError(f"event type {asked!r} is none of the traces {stream.label}; it is trace or call")

    def traces(request: ColumnRequest) -> TraceSource:
        return TraceSource(stream, request, delimiter=_NO_DELIMITER, names=(TRACE_COLUMN,), block_bytes=block_bytes)

    return traces(request) if asked == TRACES else CallSource(traces(ColumnRequest(columns=(TRACE_COLUMN,))), request)
