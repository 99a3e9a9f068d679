"""Scoring many files into a folder: one part for each, several at once, and resumed where an earlier run ended.

Where there are more files than threads each is read, scored and written by one thread: archives are gzip, which cannot
be decompressed in parallel within a file. A file that is larger than a thread's share of the work would be the
last one running, so it gets all threads, before the others.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from netsieve import __version__
from netsieve.engine.errors import NetsieveError, OutputError, RejectLimitError, SchemaError, UnreadFilesError
from netsieve.engine.scoring.files import reject_failure, score_files
from netsieve.engine.scoring.manifest import (
    COUNTS,
    MANIFEST_NAME,
    InputFingerprint,
    Manifest,
    PartEntry,
    options_fingerprint,
    part_names,
)
from netsieve.engine.scoring.progress import Progress
from netsieve.engine.scoring.summary import ScoreSummary, peak_rss_bytes
from netsieve.engine.sinks.atomic import STANDARD_OUTPUT, output_error
from netsieve.engine.sinks.rejects import REJECTS_SUFFIX
from netsieve.engine.sinks.sink import OutputFormat, output_format
from netsieve.engine.sources.bytestream import STANDARD_INPUT
from netsieve.engine.sources.inputs import expand_inputs
from netsieve.engine.sources.source import ReadOptions

if TYPE_CHECKING:
    from netsieve.engine.scoring.scorer import Scorer

WRITING_SHARE: Final = 0.05
"""The manifest is written after a part unless that would take more than this share of the time."""
SHOWN_FAILURES: Final = 1
_WATCH_SECONDS: Final = 0.25
_LEFT_OVER: Final = re.compile(r"\.(.+)\.[0-9a-f]{8}\.part")
_SUFFIXES: Final[dict[OutputFormat, str]] = {"parquet": ".parquet", "csv": ".csv", "ndjson": ".ndjson"}


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
    max_rejects: float = 0.01,
    progress: bool | None = None,
    threads: int = 0,
) -> ScoreSummary:
    """Score each file into a part of its own, several files side by side.

    A part has the input's path below the folder that all inputs share, with the format's suffix behind; records that
    cannot be read are in ``PART.rejects.ndjson``. Parts and ``manifest.json`` appear under their names only when they
    are complete. A file that cannot be read does not stop the others.

    Parameters
    ----------
    scorer, inputs, keep, reading, only_anomalies, min_score, max_rejects, progress, threads
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
    if scorer.schema.stateful:
        raise SchemaError(
            "the model's features look at the records before, across files, so that files cannot be scored apart; "
            "name one output file"
        )
    form = output_format(STANDARD_OUTPUT, format or "parquet")
    files = _input_files(inputs, folder)
    options = {
        "netsieve": __version__,
        "format": form,
        "keep": keep if keep is None or isinstance(keep, str) else list(keep),
        "threshold": scorer.threshold,
        "policy": scorer.threshold_policy,
        "only_anomalies": only_anomalies,
        "min_score": min_score,
        "reading": _plain(reading or ReadOptions()),
    }
    with _locked(folder):
        manifest = Manifest.read(folder)
        if manifest.entries and not resume:
            raise OutputError(
                f"{folder!r} holds the parts of an earlier run; add --resume to leave what is finished and score the "
                "rest, or name another folder"
            )
        job = _FolderJob(
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
            },
        )
        todo = job.tasks(files, _SUFFIXES[form])
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
    inside = os.path.join(os.path.realpath(folder), "")
    if STANDARD_INPUT in inputs:
        raise OutputError("standard input cannot be scored into a folder, as it cannot be resumed; name an output file")
    files = [path for path in expand_inputs(inputs) if not os.path.realpath(path).startswith(inside)]
    if not files:
        raise OutputError(f"all inputs lie in the output folder {folder!r}; name another folder")
    return files


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


@dataclass(frozen=True, slots=True)
class _Task:
    """A file that is to be scored, and the name of its part."""

    path: str
    fingerprint: InputFingerprint
    part: str


class _StoppedError(Exception):
    """Another part failed in a way that ends the job: ends this one."""


class _FolderJob:
    """The parts of one run. Files are scored in workers; the manifest is the caller's thread's."""

    def __init__(
        self,
        scorer: Scorer,
        folder: str,
        manifest: Manifest,
        options: dict[str, Any],
        *,
        threads: int,
        part_options: dict[str, Any],
    ) -> None:
        self._scorer = scorer
        self._folder = folder
        self._manifest = manifest
        self._options = options
        self._options_fingerprint = options_fingerprint(options)
        self._model = scorer.model_file.fingerprint
        self._threads = threads
        self._part_options = part_options
        self._stopping = threading.Event()
        self._progress_lock = threading.Lock()
        self._written = 0.0
        self._writing_seconds = 0.0
        self.rows_done = 0

    def tasks(self, files: list[str], suffix: str) -> list[_Task]:
        """Return what is not finished, largest first, and remove what a killed run left of it."""
        entries = self._manifest.entries
        names = part_names(files, suffix, {path: entry.part for path, entry in entries.items() if entry.part})
        tasks = []
        for path in files:
            fingerprint = InputFingerprint.of(path)
            entry = entries.get(path)
            if entry is None or not entry.is_finished(
                self._folder, fingerprint, self._model, self._options_fingerprint
            ):
                tasks.append(_Task(path, fingerprint, names[path]))
        self._remove_left_overs(tasks)
        return sorted(tasks, key=lambda task: -task.fingerprint.size)

    def _remove_left_overs(self, tasks: list[_Task]) -> None:
        names = {MANIFEST_NAME, *(os.path.basename(task.part) for task in tasks)}
        names |= {name + REJECTS_SUFFIX for name in names}
        cut = {name[:200] for name in names}
        for folder in {self._folder, *(os.path.dirname(self._path(task.part)) for task in tasks)}:
            with suppress(OSError):
                for found in os.scandir(folder):
                    match = _LEFT_OVER.fullmatch(found.name)
                    if match and match[1] in cut:
                        os.unlink(found.path)

    def run(self, tasks: list[_Task], bar: Progress) -> None:
        """Score the files of the tasks."""
        rest = sum(task.fingerprint.size for task in tasks)
        alone = 0
        # More than a thread's share of the work: all threads together are done with it sooner
        while len(tasks) > alone and tasks[alone].fingerprint.size * self._threads > rest:
            rest -= tasks[alone].fingerprint.size
            alone += 1
        for task in tasks[:alone]:
            self._enter(self._score(task, self._threads, bar))
        if alone < len(tasks):
            self._run_side_by_side(tasks[alone:], bar)

    def _run_side_by_side(self, tasks: list[_Task], bar: Progress) -> None:
        waiting = iter(tasks)
        running: set[Future[PartEntry]] = set()
        with ThreadPoolExecutor(min(self._threads, len(tasks)), "netsieve-part") as pool:
            try:
                for task in waiting:
                    running.add(pool.submit(self._score, task, 1, bar))
                    while len(running) >= self._threads:
                        running = self._enter_finished(running)
                while running:
                    running = self._enter_finished(running)
            except BaseException:
                self._stopping.set()
                # What is complete by now counts
                for future in running:
                    with suppress(BaseException):
                        self._enter(future.result(), write=False)
                raise

    def _enter_finished(self, running: set[Future[PartEntry]]) -> set[Future[PartEntry]]:
        # In small steps, so that an interrupt is noticed at once
        done, pending = wait(running, timeout=_WATCH_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            self._enter(future.result())
        return pending

    def _score(self, task: _Task, threads: int, bar: Progress) -> PartEntry:
        """Score one file; an error that is the file's own is noted in the entry."""

        def advance(records: int, read_bytes: int) -> None:
            if self._stopping.is_set():
                raise _StoppedError
            with self._progress_lock:
                bar.advance(records, read_bytes)

        entry = PartEntry(
            input=task.path, fingerprint=task.fingerprint, model=self._model, options=self._options_fingerprint
        )
        output = self._path(task.part)
        try:
            os.makedirs(os.path.dirname(output), exist_ok=True)
        except OSError as error:
            raise output_error(output, error) from error
        try:
            summary: ScoreSummary = score_files(
                self._scorer,
                [task.path],
                output,
                max_rejects=1.0,
                threads=threads,
                advance=advance,
                **self._part_options,
            )
        except RejectLimitError as error:
            summary = error.summary  # nothing in it, or nothing that could be read: the totals decide
        except NetsieveError as error:
            if isinstance(error.__cause__, OSError) and isinstance(error, OutputError):
                raise  # the disk is full, or the folder may not be written: so it is for all
            _remove(output)
            return replace(entry, error=str(error))
        if summary.output is None:
            _remove(output)
        return replace(
            entry,
            part=None if summary.output is None else task.part,
            part_bytes=0 if summary.output is None else os.path.getsize(output),
            rejects=None if summary.rejects is None else task.part + REJECTS_SUFFIX,
            counts={**{name: getattr(summary, name) for name in COUNTS}, "skipped": summary.skipped},
        )

    def _path(self, part: str) -> str:
        return os.path.join(self._folder, part)

    def _enter(self, entry: PartEntry, *, write: bool = True) -> None:
        earlier = self._manifest.entries.get(entry.input)
        if earlier is not None and earlier.part not in (None, entry.part):
            _remove(self._path(earlier.part or ""))
            _remove(self._path(f"{earlier.part}{REJECTS_SUFFIX}"))
        self._manifest.entries[entry.input] = entry
        self.rows_done += entry.counts.get("rows_in", 0)
        if write and time.monotonic() - self._written >= self._writing_seconds / WRITING_SHARE:
            self.write_manifest()

    def write_manifest(self) -> None:
        """Write what is known so far."""
        started = time.monotonic()
        model = {"name": self._scorer.model_file.name, "fingerprint": self._model}
        self._manifest.write(model, self._options)
        self._written = time.monotonic()
        self._writing_seconds = self._written - started

    def summary(self, files: list[str], done_now: set[str]) -> ScoreSummary:
        """Return the totals over the files."""
        summary = ScoreSummary(
            files=len(files),
            files_finished_before=len(files) - len(done_now),
            threshold=self._scorer.threshold,
            policy=self._scorer.threshold_policy,
            output=self._folder,
        )
        for path in files:
            entry = self._manifest.entries[path]
            entry.add_to(summary)
            summary.files_failed += entry.error is not None
            if entry.rejects is not None:
                summary.rejects = os.path.join(self._folder, f"**/*{REJECTS_SUFFIX}")
        others = len(self._manifest.entries) - len(files)
        if others:
            summary.notes.append(
                f"{self._folder!r} holds {others:,} more parts, of inputs that were not given this time; they are left"
            )
        summary.check()
        return summary


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
