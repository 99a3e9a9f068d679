"""Scoring many files into a folder: one part for each, several at once, and resumed where an earlier run ended.

Where there are more files than threads each is read, scored and written by one thread: archives are gzip, which cannot
be decompressed in parallel within a file. A file that is larger than a thread's share of the work would be the
last one running, so it gets all threads, before the others. Where the model looks at the records before, files are
scored one after the other (:mod:`netsieve.engine.scoring.ordered_parts`).
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from netsieve import __version__
from netsieve.engine.errors import OutputError, RejectLimitError, UnreadFilesError
from netsieve.engine.scoring.files import reject_failure
from netsieve.engine.scoring.manifest import MANIFEST_NAME, Manifest, PartEntry, part_names
from netsieve.engine.scoring.ordered_parts import OrderedPartsJob
from netsieve.engine.scoring.parts import STATE_SUFFIX, PartsJob
from netsieve.engine.scoring.progress import Progress
from netsieve.engine.scoring.summary import ScoreSummary, peak_rss_bytes
from netsieve.engine.scoring.top_features import TopFeatures
from netsieve.engine.sinks.atomic import STANDARD_OUTPUT, output_error
from netsieve.engine.sinks.rejects import REJECTS_SUFFIX
from netsieve.engine.sinks.sink import OutputFormat, output_format
from netsieve.engine.sources.bytestream import STANDARD_INPUT
from netsieve.engine.sources.inputs import expand_inputs
from netsieve.engine.sources.source import ReadOptions

if TYPE_CHECKING:
    from netsieve.engine.scoring.scorer import Scorer

SHOWN_FAILURES: Final = 1
SUFFIXES: Final[dict[OutputFormat, str]] = {"parquet": ".parquet", "csv": ".csv", "ndjson": ".ndjson"}


def is_folder(output: str) -> bool:
    """Whether an output is a folder: it ends in a slash, or is there as one."""
    return output != STANDARD_OUTPUT and (output.endswith(("/", os.sep)) or os.path.isdir(output))


def score_folder(
    scorer: Scorer,
    inputs: Sequence[str],
    folder: str,
    *,
    resume: bool = False,
    format: OutputFormat | None = None,
    keep: str | Sequence[str] | None = None,
    reading: ReadOptions | None = None,
    only_anomalies: bool = False,
    min_score: float | None = None,
    top_features: int | None = None,
    max_rejects: float = 0.01,
    progress: bool | None = None,
    threads: int = 0,
) -> ScoreSummary:
    """Score each file into a part of its own, several files side by side.

    With a model that has neighbour features the files are scored one after the other, in the order of the times of
    their first records, and what is known of the hosts goes from file to file.

    A part has the input's path below the folder that all inputs share, with the format's suffix behind; records that
    cannot be read are in ``PART.rejects.ndjson``. Parts and ``manifest.json`` appear under their names only when they
    are complete. A file that cannot be read does not stop the others.

    Parameters
    ----------
    scorer, inputs, keep, reading, only_anomalies, min_score, top_features, max_rejects, progress, threads
        As for :func:`netsieve.engine.scoring.files.score_files`. Inputs are regular files; those that lie in the
        output folder are left out. The first block of each file decides the columns of its part.
    folder
        Output folder; it is made where there is none.
    resume
        Go on in a folder that an earlier run wrote: parts are left as they are where input, model and options have
        the fingerprints in the manifest. Without it such a folder is refused.
    format
        Of the parts: ``"parquet"`` (default), ``"csv"`` or ``"ndjson"``.

    Returns
    -------
    ScoreSummary
        Totals over all inputs, also over those that were finished before.

    Raises
    ------
    UnreadFilesError
        Some files could not be scored; the others were. ``summary`` has the totals.
    RejectLimitError
        As for one output, by the totals.
    NetsieveError
        An input is absent, the folder belongs to another run, or a part cannot be written.
    """
    started = time.perf_counter()
    form = output_format(STANDARD_OUTPUT, format or "parquet")
    files = _input_files(inputs, folder)
    if top_features is not None:
        TopFeatures(scorer, top_features)  # raises before the first part where the model has none
    options = {
        "netsieve": __version__,
        "format": form,
        "keep": keep if keep is None or isinstance(keep, str) else list(keep),
        "threshold": scorer.threshold,
        "policy": scorer.threshold_policy,
        "only_anomalies": only_anomalies,
        "min_score": min_score,
        "top_features": top_features,
        "reading": _plain(reading or ReadOptions()),
    }
    with _locked(folder):
        manifest = Manifest.read(folder)
        if manifest.entries and not resume:
            raise OutputError(
                f"{folder!r} holds the parts of an earlier run; add --resume to leave what is finished and score the "
                "rest, or name another folder"
            )
        job_class = OrderedPartsJob if scorer.schema.stateful else PartsJob
        job = job_class(
            scorer,
            folder,
            manifest,
            options,
            threads=threads or scorer.threads,
            part_options={
                "format": form,
                "keep": keep,
                "reading": reading,
                "only_anomalies": only_anomalies,
                "min_score": min_score,
                "top_features": top_features,
            },
        )
        todo = job.tasks(files, SUFFIXES[form])
        try:
            with Progress(sum(task.fingerprint.size for task in todo), shown=progress) as bar:
                job.run(todo, bar)
        finally:
            job.write_manifest()
    summary = job.summary(files, {task.path for task in todo})
    summary.seconds = time.perf_counter() - started
    summary.rows_per_second = job.rows_done / summary.seconds
    summary.peak_rss_bytes = peak_rss_bytes()
    failure = _failure(summary, [manifest.entries[path] for path in files], max_rejects, folder)
    if failure is not None:
        failure.summary = summary
        raise failure
    return summary


def _input_files(inputs: Sequence[str], folder: str) -> list[str]:
    if STANDARD_INPUT in inputs:
        raise OutputError("standard input cannot be scored into a folder, as it cannot be resumed; name an output file")
    return inputs_outside(inputs, folder)


def inputs_outside(inputs: Sequence[str], folder: str) -> list[str]:
    """Return the files that inputs stand for, without those that lie in the output folder.

    Raises
    ------
    OutputError
        There are no others.
    """
    inside = os.path.join(os.path.realpath(folder), "")
    files = [
        path
        for path in expand_inputs(inputs)
        if path == STANDARD_INPUT or not os.path.realpath(path).startswith(inside)
    ]
    if not files:
        raise OutputError(f"all inputs lie in the output folder {folder!r}; name another folder")
    return files


def folder_paths(files: Sequence[str], folder: str, format: OutputFormat | None) -> list[str]:
    """Return all files that scoring files into a folder may write: parts, what lies beside them, and the manifest.

    Parameters
    ----------
    files
        Inputs.
    folder, format
        As for :func:`score_folder`.

    Raises
    ------
    OutputError
        What an earlier run left in the folder cannot be read.
    """
    form = output_format(STANDARD_OUTPUT, format or "parquet")
    known = {path: entry.part for path, entry in Manifest.read(folder).entries.items() if entry.part}
    parts = {*part_names(list(files), SUFFIXES[form], known).values(), *known.values()}
    names = [part + suffix for part in sorted(parts) for suffix in ("", REJECTS_SUFFIX, STATE_SUFFIX)]
    return [os.path.join(folder, name) for name in (MANIFEST_NAME, *names)]


def _plain(reading: ReadOptions) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(reading).items()}


def _failure(
    summary: ScoreSummary, entries: list[PartEntry], max_rejects: float, folder: str
) -> RejectLimitError | UnreadFilesError | None:
    failed = [entry for entry in entries if entry.error is not None]
    if failed:
        more = "" if len(failed) == SHOWN_FAILURES else f"; {os.path.join(folder, MANIFEST_NAME)!r} names all"
        return UnreadFilesError(
            f"{len(failed):,} of {len(entries):,} files could not be scored, the first: {failed[0].error}{more}; put "
            "them right and run it again with --resume"
        )
    return reject_failure(summary, max_rejects, folder)


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Make the folder, and hold it against other runs."""
    try:
        os.makedirs(folder, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise output_error(folder, error) from error
    try:
        with suppress(OSError):  # a file system without locks
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutputError(
                    f"another netsieve is writing to {folder!r}; wait for it, or name another folder"
                ) from None
        yield
    finally:
        os.close(descriptor)
