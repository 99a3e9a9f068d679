"""The file scoring job: log files in, one scored file out, in order and in bounded memory."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from netsieve.engine.errors import OutputError, RejectLimitError
from netsieve.engine.features.state import FeatureState
from netsieve.engine.scoring.entities import EntityRanking, EntityRecords, entities_path
from netsieve.engine.scoring.output_columns import TYPE_OF_KIND, Keep, OutputColumns
from netsieve.engine.scoring.progress import Progress
from netsieve.engine.scoring.selection import BestRecords, Selection
from netsieve.engine.scoring.stream import Inputs, ScoredBlock, score_blocks
from netsieve.engine.scoring.summary import ScoreSummary, peak_rss_bytes
from netsieve.engine.sinks.atomic import check_distinct
from netsieve.engine.sinks.rejects import RejectsFile, rejects_path
from netsieve.engine.sinks.sink import OutputFormat, Sink, open_sink, output_format
from netsieve.engine.sources.inputs import expand_inputs
from netsieve.engine.sources.source import ReadOptions

if TYPE_CHECKING:
    from netsieve.engine.scoring.scorer import Scorer


def score_files(
    scorer: Scorer,
    inputs: Sequence[str],
    output: str,
    *,
    format: OutputFormat | None = None,
    keep: str | Sequence[str] | None = None,
    reading: ReadOptions | None = None,
    only_anomalies: bool = False,
    top: int | None = None,
    min_score: float | None = None,
    rejects: str | None = None,
    max_rejects: float = 0.01,
    progress: bool | None = None,
    advance: Callable[[int, int], None] | None = None,
    threads: int = 0,
    state: str | FeatureState | None = None,
    by_entity: str | Sequence[str] | None = None,
) -> ScoreSummary:
    """Score files into one file.

    Parameters
    ----------
    scorer
        Model and threshold.
    inputs
        Files, folders, patterns, or ``"-"`` for standard input; CSV or Parquet, plain, gzip or Zstandard.
    output
        Output file, ``"-"`` for standard output. It appears under its name only when it is complete.
    format
        ``"parquet"``, ``"csv"`` or ``"ndjson"``; by default told by the name.
    keep
        Input columns in the output: ``"all"``, ``"none"``, names (a list, or text with commas), or None for those
        that the model does not use as features. The first file decides which there are and their types: what
        later files lack is missing, what they have more is left out. A kept column called like an added one
        (``source_file``, ``row_index``, ``anomaly_score``, ``is_anomaly``) gets the prefix ``input_``.
    reading
        How the files are read, where their content does not tell.
    only_anomalies
        Write only records above the threshold.
    top
        Write only so many records with the highest scores, highest first; equal scores in order of input.
    min_score
        Write only records with at least this score.
    rejects
        File for records that cannot be read; by default the output's name with ``.rejects.ndjson``, which exists
        only where there are any.
    max_rejects
        Largest share of the records that may be rejected.
    progress
        Whether to show progress on stderr; None: where that is a terminal.
    advance
        Called after each block with its records and the bytes read for it, instead of showing progress; what it
        raises ends the job.
    threads
        Worker threads; 0 for the scorer's number.
    state
        For a model with neighbour features: what is known of the hosts before the first record. A file is read if
        it exists, and written when the job is done; not when it fails. A state in memory is updated, even then.
    by_entity
        Column whose values are ranked by their records' scores, or several whose combinations are (a list, or text
        with commas), into a table beside the output: its name with ``.entities.csv``
        (:mod:`netsieve.engine.scoring.entities`).

    Returns
    -------
    ScoreSummary

    Raises
    ------
    RejectLimitError
        Nothing could be scored, or too many records were rejected. The rejects file is written either way; so is
        the output, with all records that could be scored, unless there were records and none could be. The
        error's ``summary`` says which.
    NetsieveError
        An input cannot be read, a column is missing, or the output cannot be written; no output is left.
    """
    started = time.perf_counter()
    form = output_format(output, format)
    files = expand_inputs(inputs)
    rejected = RejectsFile(rejects_path(output, rejects), asked=rejects is not None)
    state_file = state if isinstance(state, str) else None
    columns = by_entity.split(",") if isinstance(by_entity, str) else by_entity or ()
    ranking = EntityRanking(columns, scorer.calibration) if columns else None
    ranked = None if ranking is None else entities_path(output)
    check_distinct(
        [output, rejected.path, *(path for path in (state_file, ranked) if path is not None)],
        [*files, scorer.model_file.name],
    )
    known, state_notes = _known_state(scorer, state)
    kept = Keep.parse(keep, scorer.schema)
    needed = tuple(dict.fromkeys((*scorer.schema.input_columns, *columns)))
    sources = Inputs(
        files,
        needed,
        kept.request(scorer.schema, needed),
        reading or ReadOptions(),
        record_type=scorer.schema.record_type,
        reading=scorer.schema.reading,
    )
    selection = Selection(only_anomalies=only_anomalies, min_score=min_score, top=top)
    job = _Job(scorer, kept, selection, output, form, ranking=ranking)
    summary = ScoreSummary(files=len(files), threshold=scorer.threshold, policy=scorer.threshold_policy)
    blocks = score_blocks(scorer, sources, job.finish, threads=threads or scorer.threads, watch=job.check, state=known)
    try:
        # Closed before anything is removed, so that no worker is still writing
        shown = progress if advance is None else False
        with closing(blocks), Progress(sources.total_bytes(), shown=shown) as bar:
            for block in blocks:
                summary.count(block)
                rejected.write(block.rejects)
                job.write(block.result)
                (advance or bar.advance)(block.records, block.bytes_read)
        computed = () if scorer.stage is None else scorer.stage.declaration.columns
        job.finish_writing([*sources.columns, *computed])
        summary.anomalies, summary.rows_written, summary.notes = job.anomalies, job.rows_written, job.notes()
        summary.notes += [
            f"{cells:,} cell{'s' * (cells != 1)} of the column {column!r} hold something else than in training and are "
            "empty in the output; row_index leads to them"
            for column, cells in summary.cells_emptied.items()
        ]
        summary.notes += [*state_notes, *([] if known is None else known.notes())]
        summary.notes += [] if ranking is None else ranking.notes()
        summary.check()
        failure = reject_failure(summary, max_rejects, rejected.path)
        rejected.commit()
        summary.rejects = rejected.path if rejected.count else None
        if summary.rows_scored or not summary.rows_rejected:
            job.commit()
            summary.output = output
            if ranking is not None and ranked is not None:
                ranking.write(ranked)
                summary.entities = ranked
        else:
            job.abort()
        if known is not None and state_file is not None and failure is None:
            known.save(state_file)
    except BaseException:
        job.abort()
        rejected.abort()
        raise
    summary.seconds = time.perf_counter() - started
    summary.rows_per_second = summary.rows_in / summary.seconds
    summary.peak_rss_bytes = peak_rss_bytes()
    if failure is not None:
        failure.summary = summary
        raise failure
    return summary


def _known_state(scorer: Scorer, state: str | FeatureState | None) -> tuple[FeatureState | None, list[str]]:
    """Return what is known before the first record, and what the reader should know about that."""
    if scorer.stage is None and state is None:
        return None, []
    fresh = scorer.new_state()
    if state is None:
        return fresh, [
            "the model has neighbour features and nothing is known of the hosts at the first record; --state FILE "
            "carries what is known from job to job"
        ]
    if not isinstance(state, str):
        return state, []
    if not os.path.exists(state):
        return fresh, [f"{state!r} does not exist yet: nothing is known of the hosts at the first record"]
    return FeatureState.load(state, fresh.declaration), []


def reject_failure(summary: ScoreSummary, max_rejects: float, rejects: str) -> RejectLimitError | None:
    """Return why a job failed though it ran to its end: nothing was scored, or too much was rejected.

    Parameters
    ----------
    summary
        Counts of the job.
    max_rejects
        Largest share of rejected records.
    rejects
        Where the rejected records are.
    """
    records = summary.rows_scored + summary.rows_rejected
    if not records:
        return RejectLimitError("there are no records in the input: nothing was scored; the output is empty")
    if not summary.rows_scored:
        return RejectLimitError(
            f"none of the {records:,} records could be read, and no output is written; {rejects!r} says why: is it the "
            "right file?"
        )
    share = summary.rows_rejected / records
    if share > max_rejects:
        return RejectLimitError(
            f"{summary.rows_rejected:,} of {records:,} records ({share:.2%}) were rejected, more than --max-rejects "
            f"{max_rejects:g} allows; {rejects!r} says why; the output holds all others"
        )
    return None


@dataclass(frozen=True, slots=True)
class _Written:
    """What a worker made of a block: the output's part, ready to be written."""

    prepared: Any
    rows: int
    anomalies: int
    entities: EntityRecords | None


class _Job:
    """The output side of a job: :meth:`finish` runs in the workers, the rest in the caller's thread."""

    def __init__(
        self,
        scorer: Scorer,
        keep: Keep,
        selection: Selection,
        output: str,
        form: OutputFormat,
        *,
        ranking: EntityRanking | None,
    ) -> None:
        self._ranking = ranking
        self._scorer = scorer
        self._keep = keep
        self._selection = selection
        self._output = output
        self._format = form
        self._columns: OutputColumns | None = None
        self._sink: Sink | None = None
        self._opened = threading.Event()
        self._best = None if selection.top is None else BestRecords(selection.top)
        self.anomalies = 0
        self.rows_written = 0

    def finish(self, block: ScoredBlock) -> _Written:
        """Select and lay out a block's records, and turn them into text where the format is text."""
        columns, sink = self._opened_output(block)
        flags = block.scores > np.float32(self._scorer.threshold)
        rows = self._selection.rows(block.scores, flags)
        if self._best is not None:
            rows = self._best.candidates(block.scores, rows)
        frame = columns.frame(block, flags, rows)
        prepared = frame if self._best is not None else sink.prepare(frame)
        entities = None if self._ranking is None else self._ranking.records(block.frame, block.scores, flags)
        return _Written(prepared, frame.height, int(np.count_nonzero(flags)), entities)

    def _opened_output(self, block: ScoredBlock) -> tuple[OutputColumns, Sink]:
        """Return the output, which the first block opens: its types are the output's."""
        if block.number == 0:
            try:
                kept = self._keep.columns_of(block.frame.columns, block.source_file)
                self._open(OutputColumns(kept, block.frame.schema))
            finally:
                self._opened.set()
        self._opened.wait()
        if self._columns is None or self._sink is None:
            raise OutputError("the output was not opened")  # the first block's own error is raised before this one
        return self._columns, self._sink

    def _open(self, columns: OutputColumns) -> None:
        self._sink = open_sink(self._output, self._format, columns.schema)
        self._columns = columns

    def write(self, written: _Written) -> None:
        """Append a block's part."""
        assert self._sink is not None
        self.anomalies += written.anomalies
        if self._ranking is not None and written.entities is not None:
            self._ranking.add(written.entities)
        if self._best is not None:
            self._best.add(written.prepared)
        elif written.rows:
            self._sink.write(written.prepared)
            self.rows_written += written.rows

    def finish_writing(self, known_columns: Sequence[str]) -> None:
        """Write what had to wait for the last record; without any block, open the output all the same."""
        if self._sink is None:
            kept = self._keep.columns_of(known_columns, "the input")
            kinds = self._keep.request(self._scorer.schema).kinds
            self._open(OutputColumns(kept, {name: TYPE_OF_KIND[kinds.get(name, "string")] for name in kept}))
        assert self._sink is not None
        if self._best is not None and (frame := self._best.frame()) is not None:
            self._sink.write(self._sink.prepare(frame))
            self.rows_written = frame.height

    def check(self) -> None:
        """Raise what made the writer fail: while the input stalls nobody else would notice."""
        if self._sink is not None:
            self._sink.check()

    def notes(self) -> list[str]:
        """Return what a reader of the output should know."""
        return [] if self._columns is None else self._columns.notes()

    def commit(self) -> None:
        """Finish the output."""
        assert self._sink is not None
        self._sink.commit()

    def abort(self) -> None:
        """Leave no trace of the output."""
        if self._sink is not None:
            self._sink.abort()
