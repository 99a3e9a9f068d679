"""The file scoring job: log files in, one scored file out, in order and in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from netsieve.engine.errors import RejectLimitError
from netsieve.engine.scoring.block_scores import score_blocks
from netsieve.engine.scoring.model_job import ModelJob
from netsieve.engine.scoring.progress import Progress
from netsieve.engine.scoring.selection import Selection
from netsieve.engine.scoring.stream import Inputs, JobInputs, Opened
from netsieve.engine.scoring.summary import ScoreSummary, peak_rss_bytes
from netsieve.engine.sinks.atomic import check_distinct
from netsieve.engine.sinks.rejects import RejectsFile, rejects_path
from netsieve.engine.sinks.sink import OutputFormat, output_format
from netsieve.engine.sources.inputs import expand_inputs
from netsieve.engine.sources.source import ReadOptions

if TYPE_CHECKING:
    from netsieve.engine.features.state import FeatureState
    from netsieve.engine.scoring.scorer import Scorer

Summary = TypeVar("Summary", bound=ScoreSummary)


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
    top_features: int | None = None,
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
        (``source_file``, ``row_index``, ``anomaly_score``, ``is_anomaly``, and ``top_features`` where they are written)
        gets the prefix ``input_``.
    reading
        How the files are read, where their content does not tell.
    only_anomalies
        Write only records above the threshold.
    top
        Write only so many records with the highest scores, highest first; equal scores in order of input.
    min_score
        Write only records with at least this score.
    top_features
        Also write so many of the features that make a record's score what it is, those with the largest errors against
        their calibrated ones (:mod:`netsieve.engine.scoring.top_features`): as a list of structures, in CSV as text. Of
        the anomalies, and null of other records; of all that are written with ``only_anomalies``, ``top`` or
        ``min_score``.
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
        For a model with neighbour features or windows: what is known of the hosts before the first record. A file
        is read if it exists, and written when the job is done; not when it fails. A state in memory is updated, even
        then.
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
    selection = Selection(only_anomalies=only_anomalies, min_score=min_score, top=top)
    job = ModelJob(
        scorer,
        output,
        form,
        keep=keep,
        selection=selection,
        by_entity=by_entity,
        state=state,
        top_features=top_features,
    )
    check_distinct([output, rejected.path, *job.further_paths], [*files, scorer.model_file.name])
    schema = scorer.schema
    sources = Inputs(
        files,
        job.needed,
        job.request,
        reading or ReadOptions(),
        record_type=schema.record_type,
        reading=schema.reading,
    )
    summary = ScoreSummary(
        files=len(files),
        threshold=scorer.threshold,
        policy=scorer.threshold_policy,
        backend=scorer.backend_description,
    )
    failure = run_job(
        [job],
        sources,
        summary,
        rejected,
        max_rejects=max_rejects,
        progress=progress,
        advance=advance,
        threads=threads,
    )
    summary.output, summary.entities = job.written, job.ranked
    return finished(summary, failure, started)


def run_job(
    jobs: Sequence[ModelJob],
    inputs: JobInputs[Opened],
    summary: ScoreSummary,
    rejected: RejectsFile,
    *,
    max_rejects: float,
    progress: bool | None,
    advance: Callable[[int, int], None] | None,
    threads: int,
) -> RejectLimitError | None:
    """Read inputs, score each table that they give with its model, write all outputs, and count.

    Parameters
    ----------
    jobs
        The models, one for each table of the inputs, and their outputs.
    inputs
        What is read.
    summary
        Gets the counts and notes.
    rejected
        Takes the records that cannot be read.
    max_rejects, progress, advance, threads
        As for :func:`score_files`.

    Returns
    -------
    RejectLimitError | None
        Why the job failed though it ran to its end.
    """
    threads = threads or max(job.scorer.threads for job in jobs)
    targets = [job.target() for job in jobs]

    def check() -> None:
        for job in jobs:
            job.check()

    blocks = score_blocks(targets, inputs, threads=threads, watch=check)
    try:
        # Closed before anything is removed, so that no worker is still writing
        shown = progress if advance is None else False
        with closing(blocks), Progress(inputs.total_bytes(), shown=shown) as bar:
            for block in blocks:
                summary.count(block)
                rejected.write(block.rejects)
                for job, written in zip(jobs, block.results, strict=True):
                    job.write(written)
                (advance or bar.advance)(block.records, block.bytes_read)
        for job, names in zip(jobs, inputs.columns, strict=True):
            job.finish_writing(names)
        summary.anomalies = sum(job.anomalies for job in jobs)
        summary.rows_written = sum(job.rows_written for job in jobs)
        summary.notes = _unique(note for job in jobs for note in job.output_notes())
        summary.notes += [
            f"{cells:,} cell{'s' * (cells != 1)} of the column {column!r} hold something else than in training and are "
            "empty in the output; row_index leads to them"
            for column, cells in summary.cells_emptied.items()
        ]
        summary.notes += _unique(note for job in jobs for note in job.further_notes())
        summary.check()
        failure = reject_failure(summary, max_rejects, rejected.path)
        _commit(jobs if summary.rows_scored or not summary.rows_rejected else (), rejected, with_state=failure is None)
        if not summary.rows_scored and summary.rows_rejected:
            for job in jobs:
                job.withdraw()
        summary.rejects = rejected.path if rejected.count else None
    except BaseException:
        for job in jobs:
            job.withdraw()
        rejected.withdraw()
        raise
    return failure


def _commit(jobs: Sequence[ModelJob], rejected: RejectsFile, *, with_state: bool) -> None:
    """Let all files appear: first they are written to the end, which may fail, then they get their names."""
    for job in jobs:
        job.complete(with_state=with_state)
    rejected.complete()
    rejected.commit()
    for job in jobs:
        job.commit()
    for job in jobs:
        job.commit_state()


def _unique(notes: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(notes))


def finished(summary: Summary, failure: RejectLimitError | None, started: float) -> Summary:
    """Return the summary with the time and memory taken; raise the failure, if any, with it."""
    summary.seconds = time.perf_counter() - started
    summary.rows_per_second = summary.rows_in / summary.seconds
    summary.peak_rss_bytes = peak_rss_bytes()
    if failure is not None:
        failure.summary = summary
        raise failure
    return summary


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
