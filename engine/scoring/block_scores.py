"""Blocks to scores: the tables of each block are parsed and scored in parallel, and come back in order.

For a model with neighbour features or windows the blocks are parsed in parallel, go through its stages one after the
other, and are scored in parallel. The stage of windows links records only; the windows are made batch by batch where
they are scored.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import numpy as np

from netsieve.engine.errors import EncodeError
from netsieve.engine.scoring.stream import JobInputs, NumberedBlock, Opened, ParsedItem
from netsieve.engine.sources.source import RAW_BYTES, ParsedBlock, Reject
from netsieve.engine.workers import ordered_map

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from netsieve.engine.features.stage import Observations
    from netsieve.engine.features.state import FeatureState
    from netsieve.engine.features.window_stage import EntityRecords, RecordWindows
    from netsieve.engine.scoring.scorer import Scorer

Result = TypeVar("Result")


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
    windows
        Of the records, for a model of windows.
    """

    number: int
    source_file: str
    frame: pl.DataFrame
    record: NDArray[np.int64]
    scores: NDArray[np.float32]
    windows: RecordWindows | None = None


@dataclass(frozen=True, slots=True)
class Target(Generic[Result]):
    """A model of a job, and what becomes of its records.

    Attributes
    ----------
    scorer
        Scores frames in the calling thread.
    finish
        Called with each scored block, in any thread and order.
    state
        What is known of the hosts so far, for a model with neighbour features or windows; it is updated.
    """

    scorer: Scorer
    finish: Callable[[ScoredBlock], Result]
    state: FeatureState | None = None


@dataclass(frozen=True, slots=True)
class BlockResult(Generic[Result]):
    """What became of one block: the result of each target, and where each record went.

    ``records``, counted when the block was cut, is ``scored + len(rejects) + sum(skipped)``.
    """

    results: list[Result]
    records: int
    scored: int
    rejects: list[Reject]
    skipped: Mapping[str, int]
    bytes_read: int
    emptied: Mapping[str, int]


def score_blocks(
    targets: Sequence[Target[Result]],
    inputs: JobInputs[Opened],
    *,
    threads: int,
    watch: Callable[[], None] | None = None,
) -> Generator[BlockResult[Result], None, None]:
    """Yield each block's results, in order of the records.

    Parameters
    ----------
    targets
        The models, one for each table that the inputs give of a block.
    inputs
        What to read.
    threads
        Worker threads.
    watch
        Called now and then while no block is ready; what it raises ends the job.

    Raises
    ------
    NetsieveError
        A file cannot be read or lacks columns.
    """
    stalling = not inputs.are_files
    waiting = max(target.scorer.max_queued_batches for target in targets)

    def parse(item: list[NumberedBlock[Opened]]) -> ParsedItem:
        # Taken out of the list, so that the text is gone from memory once it is parsed
        return inputs.parsed(*item.pop())

    def score(item: ParsedItem, staged: Sequence[_StagedTable]) -> BlockResult[Result]:
        rejects, scored, emptied = item.rejects, 0, Counter[str]()
        results = []
        for target, (table, windows, left_out) in zip(targets, staged, strict=True):
            if windows is None:
                frame, record, scores, refused = _scores(target.scorer, table)
            else:
                frame, record, refused = table.frame, _numbers(table), left_out
                scores = target.scorer.window_scores(windows, threads=1)
            results.append(target.finish(ScoredBlock(item.number, table.source_file, frame, record, scores, windows)))
            scored += len(scores)
            emptied.update(table.emptied)
            if refused:
                rejects = sorted([*rejects, *refused], key=lambda reject: reject.record)
        return BlockResult(results, item.records, scored, rejects, item.skipped, item.bytes_read, emptied)

    if all(target.state is None for target in targets):
        yield from ordered_map(
            lambda item: score(*_unstaged(parse(item))),
            inputs.numbered_blocks(),
            threads=threads,
            waiting=waiting,
            stalling=stalling,
            watch=watch,
        )
        return
    # The inner map parses; the outer one scores, and whichever of its threads is free pulls the next block through the
    # stages. The blocks come to them one by one, in order
    stopped = threading.Event()

    def check_stopped() -> None:
        if stopped.is_set():
            raise _StoppedError

    prepared = ordered_map(
        lambda item: _prepared(targets, parse(item)),
        inputs.numbered_blocks(),
        threads=threads,
        waiting=waiting,
        stalling=stalling,
        watch=check_stopped,
    )
    scored = ordered_map(
        lambda staged: score(*staged),
        _staged(targets, prepared),
        threads=threads,
        waiting=waiting,
        stalling=stalling,
        watch=watch,
    )
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


class _PreparedTable(NamedTuple):
    """A table, and what the stages take of it."""

    table: ParsedBlock
    observations: Observations | None = None
    seen: EntityRecords | None = None
    x: NDArray[np.float32] | None = None
    refused: Sequence[Reject] = ()


class _StagedTable(NamedTuple):
    """A table with its computed columns; for a model of windows these, and the records that are left out of it."""

    table: ParsedBlock
    windows: RecordWindows | None = None
    refused: Sequence[Reject] = ()


def _unstaged(item: ParsedItem) -> tuple[ParsedItem, list[_StagedTable]]:
    return item, [_StagedTable(table) for table in item.tables]


def _prepared(targets: Sequence[Target[Result]], item: ParsedItem) -> tuple[ParsedItem, list[_PreparedTable]]:
    tables = []
    for target, table in zip(targets, item.tables, strict=True):
        tables.append(_PreparedTable(table) if target.state is None else _prepared_table(target.scorer, table))
    return item, tables


def _prepared_table(scorer: Scorer, table: ParsedBlock) -> _PreparedTable:
    x = None
    refused: Sequence[Reject] = ()
    if scorer.windows is not None:
        # A record that cannot be encoded is in no window
        table, x, refused = _without_unencodable(scorer.encode, table)
    try:
        observations = None if scorer.stage is None else scorer.stage.prepare(table.frame, table.end_time)
        seen = None if scorer.windows is None else scorer.windows.prepare(table.frame, table.end_time)
    except EncodeError as error:
        raise EncodeError(f"{table.source_file!r}: {error}") from error
    return _PreparedTable(table, observations, seen, x, refused)


def _staged(
    targets: Sequence[Target[Result]], prepared: Iterator[tuple[ParsedItem, list[_PreparedTable]]]
) -> Iterator[tuple[ParsedItem, list[_StagedTable]]]:
    """Yield the blocks with the computed columns and windows."""
    for item, tables in prepared:
        yield item, [_staged_table(target, table) for target, table in zip(targets, tables, strict=True)]


def _staged_table(target: Target[Result], prepared: _PreparedTable) -> _StagedTable:
    table, observations, seen, x, refused = prepared
    scorer, state, windows = target.scorer, target.state, None
    if state is None:
        return _StagedTable(table)
    computed: list[pl.Series] = []
    if scorer.stage is not None and observations is not None:
        computed = scorer.stage.update(observations, state)
        table = replace(table, frame=table.frame.with_columns(computed))
    if scorer.windows is not None and seen is not None and x is not None:
        windows = scorer.windows.update(seen, scorer.with_computed(x, computed), state)
    return _StagedTable(table, windows, refused)


def _numbers(parsed: ParsedBlock) -> NDArray[np.int64]:
    # NumPy takes a range number by number
    numbers = parsed.record
    return np.arange(numbers.start, numbers.stop) if isinstance(numbers, range) else numbers


def _scores(
    scorer: Scorer, parsed: ParsedBlock
) -> tuple[pl.DataFrame, NDArray[np.int64], NDArray[np.float32], Sequence[Reject]]:
    """Score a table, and return the records with a cell that cannot be encoded as rejects."""

    def score(frame: pl.DataFrame) -> NDArray[np.float32]:
        return scorer.computed_scores(frame, threads=1)

    parsed, scores, rejects = _without_unencodable(score, parsed)
    return parsed.frame, _numbers(parsed), scores, rejects


def _without_unencodable(
    function: Callable[[pl.DataFrame], NDArray[np.float32]], parsed: ParsedBlock
) -> tuple[ParsedBlock, NDArray[np.float32], Sequence[Reject]]:
    """Return a table, what a function of its frame gives, and the records for which that cannot be as rejects."""
    try:
        return parsed, function(parsed.frame), []
    except EncodeError as error:
        _refuse_wrong_types(function, parsed, error)
    bad = _unencodable_rows(function, parsed.frame, 0)
    record = _numbers(parsed)
    rejects = [
        Reject(parsed.source_file, int(record[row]), None, None, reason, _text(parsed.frame, row))
        for row, reason in bad
    ]
    good = np.ones(parsed.frame.height, dtype=bool)
    good[[row for row, _ in bad]] = False
    end_time = None if parsed.end_time is None else parsed.end_time[good]
    parsed = replace(parsed, frame=parsed.frame.filter(good), record=record[good], end_time=end_time)
    return parsed, function(parsed.frame), rejects


def _refuse_wrong_types(
    function: Callable[[pl.DataFrame], NDArray[np.float32]], parsed: ParsedBlock, error: EncodeError
) -> None:
    """Raise where a column as a whole, not some of its cells, cannot be encoded."""
    try:
        function(parsed.frame.clear())
    except EncodeError:
        raise EncodeError(f"{parsed.source_file!r}: {error}") from error


def _unencodable_rows(
    function: Callable[[pl.DataFrame], NDArray[np.float32]], frame: pl.DataFrame, first: int
) -> list[tuple[int, str]]:
    """Return the rows that cannot be encoded and why, by halving."""
    try:
        function(frame)
    except EncodeError as error:
        if frame.height == 1:
            return [(first, str(error))]
        half = frame.height // 2
        return [
            *_unencodable_rows(function, frame[:half], first),
            *_unencodable_rows(function, frame[half:], first + half),
        ]
    return []


def _text(frame: pl.DataFrame, row: int) -> str:
    return frame[row].write_ndjson().rstrip("\n").encode()[:RAW_BYTES].decode(errors="ignore")
