"""The parts of a folder: which are to be made, the files scored side by side, and what became of each."""

from __future__ import annotations

import os
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from netsieve.engine.errors import NetsieveError, OutputError, RejectLimitError
from netsieve.engine.scoring.files import score_files
from netsieve.engine.scoring.manifest import (
    COUNTS,
    MANIFEST_NAME,
    InputFingerprint,
    Manifest,
    PartEntry,
    options_fingerprint,
    part_names,
)
from netsieve.engine.scoring.summary import ScoreSummary
from netsieve.engine.sinks.atomic import output_error
from netsieve.engine.sinks.rejects import REJECTS_SUFFIX
from netsieve.engine.workers import Workers

if TYPE_CHECKING:
    from netsieve.engine.scoring.progress import Progress
    from netsieve.engine.scoring.scorer import Scorer

STATE_SUFFIX: Final = ".state"
WRITING_SHARE: Final = 0.05
"""The manifest is written after a part unless that would take more than this share of the time."""
STOP_SECONDS: Final = 60.0
"""How long a stopped run waits for its parts, which end after the block at hand."""
_LEFT_OVER: Final = re.compile(r"\.(.+)\.[0-9a-f]{8}\.part")


@dataclass(frozen=True, slots=True)
class PartTask:
    """A file that is to be scored, and the name of its part."""

    path: str
    fingerprint: InputFingerprint
    part: str


class _StoppedError(Exception):
    """Another part failed in a way that ends the job: ends this one."""


class PartsJob:
    """The parts of one run. Files are scored in workers; the manifest is the caller's thread's.

    Parameters
    ----------
    scorer
        Model and threshold.
    folder
        Output folder.
    manifest
        What is known of the folder; gets an entry for each file.
    options
        All that the parts depend on beside the model, as plain data.
    threads
        Threads in all.
    part_options
        Passed on to :func:`netsieve.engine.scoring.files.score_files`.

    Attributes
    ----------
    rows_done
        Records read by this run.
    """

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
        self._stopping = False
        self._progress_lock = threading.Lock()
        self._written = 0.0
        self._writing_seconds = 0.0
        self.rows_done = 0

    def tasks(self, files: list[str], suffix: str) -> list[PartTask]:
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
                tasks.append(PartTask(path, fingerprint, names[path]))
        self._remove_left_overs(tasks)
        return sorted(tasks, key=lambda task: -task.fingerprint.size)

    def _remove_left_overs(self, tasks: list[PartTask]) -> None:
        names = {MANIFEST_NAME, *(os.path.basename(task.part) for task in tasks)}
        names |= {name + suffix for name in names for suffix in (REJECTS_SUFFIX, STATE_SUFFIX)}
        cut = {name[:200] for name in names}
        for folder in {self._folder, *(os.path.dirname(self._path(task.part)) for task in tasks)}:
            with suppress(OSError):
                for found in os.scandir(folder):
                    match = _LEFT_OVER.fullmatch(found.name)
                    if match and match[1] in cut:
                        os.unlink(found.path)

    def run(self, tasks: list[PartTask], bar: Progress) -> None:
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

    def _run_side_by_side(self, tasks: list[PartTask], bar: Progress) -> None:
        workers = Workers(
            lambda task: self._score(task, 1, bar), iter(tasks), threads=min(self._threads, len(tasks)), waiting=0
        )
        try:
            for entry in workers.results():
                self._enter(entry)
        except BaseException:
            self._stopping = True
            raise
        finally:
            # What is complete by now counts; a part that an interrupt kept from the manifest is made again
            for outcome in workers.stop(STOP_SECONDS):
                if outcome.failure is None:
                    self._enter(outcome.get(), write=False)

    def _score(self, task: PartTask, threads: int, bar: Progress) -> PartEntry:
        """Score one file; an error that is the file's own is noted in the entry."""

        def advance(records: int, read_bytes: int) -> None:
            if self._stopping:
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
        if earlier is not None and earlier.part is not None:
            kept = {entry.part, entry.rejects, entry.state}
            for suffix in ("", REJECTS_SUFFIX, STATE_SUFFIX):
                name = earlier.part + suffix
                if name not in kept:
                    _remove(self._path(name))
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
            backend=self._scorer.backend_description,
            output=self._folder,
            notes=[] if self._scorer.device_note is None else [self._scorer.device_note],
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
