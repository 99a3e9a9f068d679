"""Log files of any format as a stream of Polars frames, parsed on several threads."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import polars as pl

from netsieve.engine.processors import available_processors
from netsieve.engine.sources.formats import open_source
from netsieve.engine.sources.inputs import expand_inputs
from netsieve.engine.sources.pipeline import ordered_map
from netsieve.engine.sources.source import (
    BLOCK_BYTES,
    CLASH_PREFIX,
    Block,
    ColumnRequest,
    ParsedBlock,
    ReadOptions,
    Reject,
    Source,
)

if TYPE_CHECKING:
    from netsieve.engine.features.schema import ColumnKind

SOURCE_FILE: Final[str] = "source_file"
ROW_INDEX: Final[str] = "row_index"
KEPT_REJECTS: Final = 10_000
"""Rejects of which a scan keeps the details; the others are counted."""


def scan(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
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
    given = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    if threads < 0:
        raise ValueError(f"threads is {threads}, where at least 0 is expected")
    return Scan(
        expand_inputs([os.fspath(path) for path in given]),
        ColumnRequest(columns=None if columns is None else tuple(columns), kinds=kinds or {}),
        ReadOptions(
            input_format=input_format,
            names=names,
            event_type=event_type,
            home_networks=tuple(home_networks),
            idle_timeout=idle_timeout,
            active_timeout=active_timeout,
            most_flows=most_flows,
        ),
        threads=threads or available_processors(),
        block_bytes=block_bytes,
    )


class Scan(Iterator[pl.DataFrame]):
    """An iterator over frames, which counts what it reads; made by :func:`scan`.

    It may be used as a context manager; a scan that is not read to its end is closed by :meth:`close`.

    Attributes
    ----------
    files
        The files that are read, in order.
    rows
        Records in the frames so far.
    rejected, rejects
        Records so far that could not be read: how many, and the first 10,000 of them.
    skipped
        What was no record of the wanted kind so far, by reason. All that was read is
        ``rows + rejected + sum(skipped.values())``.
    """

    def __init__(
        self,
        files: Sequence[str],
        request: ColumnRequest,
        options: ReadOptions,
        *,
        threads: int,
        block_bytes: int,
    ) -> None:
        self.files = tuple(files)
        self.rows = 0
        self.rejected = 0
        self.rejects: list[Reject] = []
        self.skipped: Counter[str] = Counter()
        self._request = request
        self._options = options
        self._block_bytes = block_bytes
        self._frames = self._parsed_frames(threads)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> pl.DataFrame:
        return next(self._frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the threads and close the files; nothing more is yielded."""
        self._frames.close()

    def _parsed_frames(self, threads: int) -> Generator[pl.DataFrame, None, None]:
        parsed_blocks = ordered_map(
            _parsed,
            self._blocks(),
            threads=threads,
            stalling=not all(map(os.path.isfile, self.files)),
        )
        with closing(parsed_blocks):
            for parsed in parsed_blocks:
                self.rows += len(parsed.record)
                self.rejected += len(parsed.rejects)
                self.rejects += parsed.rejects[: KEPT_REJECTS - len(self.rejects)]
                self.skipped.update(parsed.skipped)
                if len(parsed.record):
                    yield _with_origin(parsed)

    def _blocks(self) -> Iterator[list[tuple[Source, Block]]]:
        for path in self.files:
            source = open_source(path, columns=self._request, options=self._options, block_bytes=self._block_bytes)
            with closing(source):
                # The only item of a list, so that no name here holds a block while the next one is awaited
                yield from ([(source, block)] for block in source.blocks())


def _parsed(item: list[tuple[Source, Block]]) -> ParsedBlock:
    source, block = item.pop()
    return source.parse(block)


def _with_origin(parsed: ParsedBlock) -> pl.DataFrame:
    record = parsed.record
    numbers = np.arange(record.start, record.stop) if isinstance(record, range) else record
    taken = {name: CLASH_PREFIX + name for name in (SOURCE_FILE, ROW_INDEX) if name in parsed.frame.columns}
    file = pl.Series(SOURCE_FILE, [parsed.source_file], dtype=pl.String).new_from_index(0, len(numbers))
    origin = pl.DataFrame([file, pl.Series(ROW_INDEX, numbers, dtype=pl.Int64)])
    return parsed.frame.rename(taken).hstack(origin) if parsed.frame.width else origin
