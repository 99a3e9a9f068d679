"""Log files of any format as a stream of Polars frames, parsed on several threads."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

import numpy as np
import polars as pl

from netsieve.engine.processors import available_processors
from netsieve.engine.sources.formats import open_event_source, open_source
from netsieve.engine.sources.inputs import expand_inputs
from netsieve.engine.sources.source import (
    BLOCK_BYTES,
    CLASH_PREFIX,
    Block,
    ColumnRequest,
    EventSource,
    ParsedBlock,
    ParsedEvents,
    ReadOptions,
    Reject,
    Source,
    add_skipped,
)
from netsieve.engine.workers import ordered_map

if TYPE_CHECKING:
    from netsieve.engine.features.schema import ColumnKind

SOURCE_FILE: Final[str] = "source_file"
ROW_INDEX: Final[str] = "row_index"
KEPT_REJECTS: Final = 10_000
"""Rejects of which a scan keeps the details; the others are counted."""

Inputs = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Yielded = TypeVar("Yielded")
AnySource = Source | EventSource


def scan(
    inputs: Inputs,
    *,
    columns: Sequence[str] | None = None,
    threads: int = 0,
    input_format: str | None = None,
    event_type: str | None = None,
    home_networks: Sequence[str] = (),
    idle_timeout: float | None = None,
    active_timeout: float | None = None,
    most_flows: int | None = None,
    names: Sequence[str] | None = None,
    kinds: dict[str, ColumnKind] | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Scan:
    """Read log files as Polars frames, in order, in bounded memory.

    Parameters
    ----------
    inputs
        Files, folders, patterns, or ``"-"`` for standard input; plain, gzip or Zstandard, in any format that is read
        (docs/sources.md), told apart by content.
    columns
        Columns wanted; None for all. What a file lacks is absent from its frames.
    threads
        Threads that parse; 0 for one a processor. The frames are the same whatever their number.
    input_format
        Name of the files' format where their content does not tell.
    event_type
        Events wanted of files that mix several types; None for the format's own default.
    home_networks
        Networks in CIDR notation that count as inside, for the direction of flows; empty: the private ones.
    idle_timeout, active_timeout, most_flows
        When a flow of a packet capture ends (docs/pcap.md): seconds without a packet, seconds since its first, flows
        open at a time.
    names
        Column names of delimited text without a header line.
    kinds
        How columns are read from text, for those that the format does not fix; the others are inferred from the
        first block of each file.
    block_bytes
        Bytes of text in a block: roughly what a frame is made of.

    Returns
    -------
    Scan
        Yields frames, the columns ``source_file`` (String) and ``row_index`` (Int64, 0-based number of the record
        within the file) last (columns of the input that are called so get the prefix ``input_``); empty
        frames are left out. It counts what gave no row: ``rejects`` and ``skipped``.

    Raises
    ------
    SourceError
        An input is absent, or the format is not known; while iterating: a file cannot be read.

    Examples
    --------
    >>> frames = netsieve.scan("logs/*.binetflow.gz", columns=["SrcAddr", "TotBytes"])  # doctest: +SKIP
    >>> top = pl.concat(frames).group_by("SrcAddr").agg(pl.sum("TotBytes"))  # doctest: +SKIP
    >>> frames.rejected, frames.skipped  # doctest: +SKIP
    """
    opener = partial(
        open_source,
        columns=ColumnRequest(columns=None if columns is None else tuple(columns), kinds=kinds or {}),
        options=ReadOptions(
            input_format=input_format,
            names=names,
            event_type=event_type,
            home_networks=tuple(home_networks),
            idle_timeout=idle_timeout,
            active_timeout=active_timeout,
            most_flows=most_flows,
        ),
        block_bytes=block_bytes,
    )
    return Scan(_files(inputs), opener, threads=_threads(threads))


def scan_events(
    inputs: Inputs,
    event_types: Sequence[str],
    *,
    columns: Sequence[str] | None = None,
    threads: int = 0,
    home_networks: Sequence[str] = (),
    kinds: dict[str, ColumnKind] | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> EventScan:
    """Read several event types of files that mix them, Suricata's EVE, as Polars frames, in one pass.

    Parameters
    ----------
    inputs, columns, threads, home_networks, kinds, block_bytes
        As for :func:`scan`; columns and kinds are those of all types.
    event_types
        Events wanted, like ``["flow", "dns"]``; the others are counted as skipped.

    Returns
    -------
    EventScan
        Yields pairs of an event type and a frame of events of that type alone, with its columns. The frames of a type
        are those that :func:`scan` gives of it, in the same order.

    Raises
    ------
    SourceError
        As for :func:`scan`, or a file does not mix event types.

    Examples
    --------
    >>> for event_type, frame in netsieve.scan_events("eve.json", ["flow", "dns"]):  # doctest: +SKIP
    ...     print(event_type, frame.height)
    """
    if isinstance(event_types, str) or not event_types:
        raise ValueError(f"event_types is {event_types!r}, where a list of event types is expected")
    request = ColumnRequest(columns=None if columns is None else tuple(columns), kinds=kinds or {})
    opener = partial(
        open_event_source,
        requests=dict.fromkeys(event_types, request),
        options=ReadOptions(home_networks=tuple(home_networks)),
        block_bytes=block_bytes,
    )
    return EventScan(_files(inputs), opener, threads=_threads(threads))


def _files(inputs: Inputs) -> list[str]:
    given = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    return expand_inputs([os.fspath(path) for path in given])


def _threads(threads: int) -> int:
    if threads < 0:
        raise ValueError(f"threads is {threads}, where at least 0 is expected")
    return threads or available_processors()


class _Scan(Iterator[Yielded], Generic[Yielded]):
    """What both scans have in common; one type of records alone has the name ``""``."""

    def __init__(self, files: Sequence[str], opener: Callable[[str], AnySource], *, threads: int) -> None:
        self.files = tuple(files)
        self.rejected = 0
        self.rejects: list[Reject] = []
        self.skipped: Counter[str] = Counter()
        self._rows: Counter[str] = Counter()
        self._open = opener
        self._frames = self._parsed_frames(threads)

    def __iter__(self) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the threads and close the files; nothing more is yielded."""
        self._frames.close()

    def _parsed_frames(self, threads: int) -> Generator[tuple[str, pl.DataFrame], None, None]:
        parsed_blocks = ordered_map(
            _parsed,
            self._blocks(),
            threads=threads,
            stalling=not all(map(os.path.isfile, self.files)),
        )
        with closing(parsed_blocks):
            for parsed in parsed_blocks:
                self.rejected += len(parsed.rejects)
                self.rejects += parsed.rejects[: KEPT_REJECTS - len(self.rejects)]
                add_skipped(self.skipped, parsed.skipped)
                tables = parsed.tables if isinstance(parsed, ParsedEvents) else {"": parsed}
                for name, table in tables.items():
                    self._rows[name] += len(table.record)
                    if len(table.record):
                        yield name, _with_origin(table)

    def _blocks(self) -> Iterator[list[tuple[AnySource, Block]]]:
        for path in self.files:
            with closing(self._open(path)) as source:
                # The only item of a list, so that no name here holds a block while the next one is awaited
                yield from ([(source, block)] for block in source.blocks())


class Scan(_Scan[pl.DataFrame]):
    """An iterator over frames, which counts what it reads; made by :func:`scan`.

    It may be used as a context manager; a scan that is not read to its end is closed by :meth:`close`.

    Attributes
    ----------
    files
        The files that are read, in order.
    rejected, rejects
        Records so far that could not be read: how many, and the first 10,000 of them.
    skipped
        What was no record of the wanted kind so far, by reason. All that was read is
        ``rows + rejected + sum(skipped.values())``.
    """

    @property
    def rows(self) -> int:
        """Records in the frames so far."""
        return self._rows[""]

    def __next__(self) -> pl.DataFrame:
        return next(self._frames)[1]


class EventScan(_Scan[tuple[str, pl.DataFrame]]):
    """An iterator over event types and frames, which counts what it reads; made by :func:`scan_events`.

    Attributes and use as of :class:`Scan`. All that was read is
    ``sum(rows.values()) + rejected + sum(skipped.values())``.
    """

    @property
    def rows(self) -> dict[str, int]:
        """Events in the frames so far, by event type."""
        return dict(self._rows)

    def __next__(self) -> tuple[str, pl.DataFrame]:
        return next(self._frames)


def _parsed(item: list[tuple[AnySource, Block]]) -> ParsedBlock | ParsedEvents:
    source, block = item.pop()
    return source.parse(block)


def _with_origin(parsed: ParsedBlock) -> pl.DataFrame:
    record = parsed.record
    numbers = np.arange(record.start, record.stop) if isinstance(record, range) else record
    taken = {name: CLASH_PREFIX + name for name in (SOURCE_FILE, ROW_INDEX) if name in parsed.frame.columns}
    file = pl.Series(SOURCE_FILE, [parsed.source_file], dtype=pl.String).new_from_index(0, len(numbers))
    origin = pl.DataFrame([file, pl.Series(ROW_INDEX, numbers, dtype=pl.Int64)])
    return parsed.frame.rename(taken).hstack(origin) if parsed.frame.width else origin
