"""Files to scores: inputs are read in order, and parsed and scored in parallel, block by block.

For a model with neighbour features the blocks are parsed in parallel, go through the feature stage one after the
other, and are scored in parallel.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import numpy as np

from netsieve.engine.errors import EncodeError, MissingColumnError
from netsieve.engine.sources.formats import open_source
from netsieve.engine.sources.pipeline import ordered_map
from netsieve.engine.sources.source import (
    ANY_RECORD,
    RAW_BYTES,
    Block,
    ColumnRequest,
    ParsedBlock,
    ReadOptions,
    Reject,
    Source,
)

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from netsieve.engine.features.stage import Observations
    from netsieve.engine.features.state import FeatureState
    from netsieve.engine.scoring.scorer import Scorer

Result = TypeVar("Result")

BLOCK_BYTES: Final = 2 * 1024 * 1024
"""Text of a block. Measured on 10 M records, two threads, CSV to Parquet: 2, 4 and 8 MiB take the same time, 1 MiB some
10 % more, and peak memory is 200, 245 and 290 MB."""
EVENT_FAMILIES: Final = ("suricata.", "pcap.")
"""Record types with these beginnings, and the event type behind them, are read from one file as one or the other."""
SHOWN_COLUMNS: Final = 12
"""Columns of a file that an error names."""


def options_for(options: ReadOptions, record_type: str, reading: Mapping[str, Any] | None = None) -> ReadOptions:
    """Return the options for the records of a model: they are read as those that it was trained on.

    Of mixed events it takes those of its record type; the rest is what its schema declares (``FeatureSchema.reading``).
    """
    options = options.under(reading or {})
    if options.event_type is None and record_type.startswith(EVENT_FAMILIES):
        return replace(options, event_type=record_type.partition(".")[2])
    return options


NumberedBlock = tuple[int, Source, Block]


class Inputs:
    """The files of a job, and what is read of them.

    Parameters
    ----------
    files
        Paths, or ``"-"`` for standard input, in order.
    needed
        Columns that every file must have.
    request
        Columns wanted, those needed among them, and how they are read from text.
    options
        How the files are read, where their content does not tell.
    record_type, reading
        What the model was trained on, and how that was read (``FeatureSchema.reading``).

    Attributes
    ----------
    columns
        Columns of the first file, once it was opened.
    """

    def __init__(
        self,
        files: Sequence[str],
        needed: Sequence[str],
        request: ColumnRequest,
        options: ReadOptions,
        *,
        record_type: str = ANY_RECORD,
        reading: Mapping[str, Any] | None = None,
    ) -> None:
        self.files = files
        self.columns: tuple[str, ...] = ()
        self._needed = needed
        self._request = request
        self._options = options_for(options, record_type, reading)
        self._record_type = record_type

    def numbered_blocks(self) -> Iterator[list[NumberedBlock]]:
        """Yield each block of all files, in order, with its number and source, as the only item of a list.

        Where there are several files all are opened once before, so that a wrong one is found before hours of work.
        """
        regular = [path for path in self.files if os.path.isfile(path)]
        for path in regular if len(self.files) > 1 else []:
            self._open(path).close()
        number = 0
        for path in self.files:
            with closing(self._open(path)) as source:
                # No name here holds a block while the next one is awaited
                for item in ([(number, source, block)] for number, block in enumerate(source.blocks(), number)):
                    yield item
                    number += 1

    def _open(self, path: str) -> Source:
        source = open_source(path, columns=self._request, options=self._options, block_bytes=BLOCK_BYTES)
        missing = [name for name in self._needed if name not in source.columns]
        if missing:
            source.close()
            raise MissingColumnError(self._misfit(path, source, missing))
        self.columns = self.columns or source.columns
        return source

    def _misfit(self, path: str, source: Source, missing: Sequence[str]) -> str:
        lacks = (
            f"lacks {len(missing)} column{'s' * (len(missing) > 1)} that the model needs: "
            f"{', '.join(map(repr, missing))}"
        )
        shown = ", ".join(map(repr, source.columns[:SHOWN_COLUMNS]))
        more = f" and {len(source.columns) - SHOWN_COLUMNS} more" if len(source.columns) > SHOWN_COLUMNS else ""
        if source.record_type != self._record_type:
            return (
                f"{path!r} holds records of type {source.record_type}, but the model is for {self._record_type}: the "
                f"file {lacks}; it has {shown}{more}; score it with a model for {source.record_type}"
            )
        return f"{path!r} {lacks}; it has {shown}{more}; is it the right file, with a header line?"

    @property
    def are_files(self) -> bool:
        """Whether all are regular files; standard input and pipes are not."""
        return all(map(os.path.isfile, self.files))

    def total_bytes(self) -> int | None:
        """Return the bytes of all files as they are on disk; None where one is a stream."""
        return sum(map(os.path.getsize, self.files)) if self.are_files else None


@dataclass(frozen=True, slots=True)
class ScoredBlock:
    """Records of one block with their scores.

    Attributes
    ----------
    number
        0-based number of the block within the job.
    source_file
        The file as it was given.
    frame
        The columns wanted.
    record
        int64 ``[n]``: 0-based record number within the file of each row.
    scores
        float32 ``[n]``.
    """

    number: int
    source_file: str
    frame: pl.DataFrame
    record: NDArray[np.int64]
    scores: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class BlockResult(Generic[Result]):
    """What became of one block: the caller's result, and where each record went.

    ``records``, counted when the block was cut, is ``scored + len(rejects) + sum(skipped)``.
    """

    result: Result
    records: int
    scored: int
    rejects: list[Reject]
    skipped: Mapping[str, int]
    bytes_read: int
    emptied: Mapping[str, int]


def score_blocks(
    scorer: Scorer,
    inputs: Inputs,
    finish: Callable[[ScoredBlock], Result],
    *,
    threads: int,
    watch: Callable[[], None] | None = None,
    state: FeatureState | None = None,
) -> Generator[BlockResult[Result], None, None]:
    """Yield each block's result, in order of the records.

    Parameters
    ----------
    scorer
        Scores frames in the calling thread.
    inputs
        What to read.
    finish
        Called with each scored block, in any thread and order.
    threads
        Worker threads.
    watch
        Called now and then while no block is ready; what it raises ends the job.
    state
        What is known of the hosts so far, for a model with neighbour features; it is updated.

    Raises
    ------
    NetsieveError
        A file cannot be read or lacks columns.
    """
    stalling = not inputs.are_files

    def parse(item: list[NumberedBlock]) -> _ParsedItem:
        # Taken out of the list, so that the text is gone from memory once it is parsed
        number, source, block = item.pop()
        records = block.records + sum(block.skipped.values())
        return _ParsedItem(number, records, source.parse(block))

    def score(item: _ParsedItem) -> BlockResult[Result]:
        parsed = item.parsed
        frame, record, scores, rejects = _scores(scorer, parsed)
        return BlockResult(
            result=finish(ScoredBlock(item.number, parsed.source_file, frame, record, scores)),
            records=item.records,
            scored=len(scores),
            rejects=rejects,
            skipped=parsed.skipped,
            bytes_read=parsed.bytes_read,
            emptied=parsed.emptied,
        )

    options = {"threads": threads, "waiting": scorer.max_queued_batches}
    if scorer.stage is None or state is None:
        blocks = inputs.numbered_blocks()
        yield from ordered_map(
            lambda item: score(parse(item)),
            blocks,
            threads=threads,
            waiting=scorer.max_queued_batches,
            stalling=stalling,
            watch=watch,
        )
        return
    # The inner map parses; the outer one scores, and whichever of its threads is free pulls the next block through the
    # stage. The blocks come to it one by one, in order
    stopped = threading.Event()

    def check_stopped() -> None:
        if stopped.is_set():
            raise _StoppedError

    prepared = ordered_map(
        lambda item: _prepared(scorer, parse(item)),
        inputs.numbered_blocks(),
        stalling=stalling,
        watch=check_stopped,
        **options,
    )
    scored = ordered_map(score, _staged(scorer, prepared, state), stalling=stalling, watch=watch, **options)
    try:
        yield from scored
    finally:
        stopped.set()
        scored.close()
        # One that still waits for its input cannot be closed; its threads end with the process
        with suppress(ValueError):
            prepared.close()


class _StoppedError(Exception):
    """The job is over while a block was awaited."""


@dataclass(frozen=True, slots=True)
class _ParsedItem:
    number: int
    records: int
    parsed: ParsedBlock


def _prepared(scorer: Scorer, item: _ParsedItem) -> tuple[_ParsedItem, Observations]:
    assert scorer.stage is not None
    try:
        return item, scorer.stage.prepare(item.parsed.frame, item.parsed.end_time)
    except EncodeError as error:
        raise EncodeError(f"{item.parsed.source_file!r}: {error}") from error


def _staged(
    scorer: Scorer, prepared: Iterator[tuple[_ParsedItem, Observations]], state: FeatureState
) -> Iterator[_ParsedItem]:
    """Yield the blocks with the computed columns."""
    assert scorer.stage is not None
    for item, seen in prepared:
        frame = item.parsed.frame.with_columns(scorer.stage.update(seen, state))
        yield replace(item, parsed=replace(item.parsed, frame=frame))


def _scores(
    scorer: Scorer, parsed: ParsedBlock
) -> tuple[pl.DataFrame, NDArray[np.int64], NDArray[np.float32], list[Reject]]:
    """Score a block, and reject the records with a cell that cannot be encoded."""
    numbers = parsed.record
    # NumPy takes a range number by number
    record = np.arange(numbers.start, numbers.stop) if isinstance(numbers, range) else numbers
    try:
        return parsed.frame, record, scorer.computed_scores(parsed.frame, threads=1), parsed.rejects
    except EncodeError as error:
        _refuse_wrong_types(scorer, parsed, error)
    bad = _unencodable_rows(scorer, parsed.frame, 0)
    rejects = [
        Reject(parsed.source_file, int(record[row]), None, None, reason, _text(parsed.frame, row))
        for row, reason in bad
    ]
    good = np.ones(parsed.frame.height, dtype=bool)
    good[[row for row, _ in bad]] = False
    frame = parsed.frame.filter(good)
    merged = sorted([*parsed.rejects, *rejects], key=lambda reject: reject.record)
    return frame, record[good], scorer.computed_scores(frame, threads=1), merged


def _refuse_wrong_types(scorer: Scorer, parsed: ParsedBlock, error: EncodeError) -> None:
    """Raise where a column as a whole, not some of its cells, cannot be encoded."""
    try:
        scorer.computed_scores(parsed.frame.clear(), threads=1)
    except EncodeError:
        raise EncodeError(f"{parsed.source_file!r}: {error}") from error


def _unencodable_rows(scorer: Scorer, frame: pl.DataFrame, first: int) -> list[tuple[int, str]]:
    """Return the rows that cannot be encoded and why, by halving."""
    try:
        scorer.computed_scores(frame, threads=1)
    except EncodeError as error:
        if frame.height == 1:
            return [(first, str(error))]
        half = frame.height // 2
        return [
            *_unencodable_rows(scorer, frame[:half], first),
            *_unencodable_rows(scorer, frame[half:], first + half),
        ]
    return []


def _text(frame: pl.DataFrame, row: int) -> str:
    return frame[row].write_ndjson().rstrip("\n").encode()[:RAW_BYTES].decode(errors="ignore")
