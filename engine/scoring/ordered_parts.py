"""The parts of a folder for a model that knows the records before: one file after the other, in order of time.

What is known of the hosts goes from file to file. It is saved beside the last part that is finished, so that a later
run goes on from there: after a crash, and where new files have come at the end. A part counts as finished only if the
files before it are those that it was scored after; where one of them changed, or came in between, all are scored again.
A file that is gone stays one of them as long as its part is there.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from netsieve.engine.errors import NetsieveError, StateError
from netsieve.engine.features.clock import end_times
from netsieve.engine.features.state import FeatureState
from netsieve.engine.scoring.manifest import InputFingerprint, PartEntry, part_names
from netsieve.engine.scoring.parts import STATE_SUFFIX, PartsJob, PartTask
from netsieve.engine.scoring.stream import Inputs
from netsieve.engine.sources.source import ColumnRequest, ReadOptions

if TYPE_CHECKING:
    from netsieve.engine.scoring.progress import Progress
    from netsieve.engine.scoring.scorer import Scorer
    from netsieve.engine.scoring.summary import ScoreSummary


NO_TIME: Final = 1e300
"""Stands for the time of a file that has none: behind all others."""
LOOKED_AT_BYTES: Final = 64 * 1024
"""Text of a block where only the first time is looked for."""


class OrderedPartsJob(PartsJob):
    """The parts of one run of a model with neighbour features; parameters as for :class:`PartsJob`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._state: FeatureState | None = None
        self._histories: dict[str, str] = {}
        self._times: dict[str, float] = {}
        self._last: str | None = None  # the input whose part the state that is saved stands behind

    def tasks(self, files: list[str], suffix: str) -> list[PartTask]:
        """Return what is not finished, in order of time, and remove what a killed run left of it."""
        entries = self._manifest.entries
        names = part_names(files, suffix, {path: entry.part for path, entry in entries.items() if entry.part})
        given = [PartTask(path, InputFingerprint.of(path), names[path]) for path in files]
        for task in given:
            self._times[task.path] = self._first_time(task)
        tasks = self._in_order([*given, *self._vanished()])
        finished = 0
        while finished < len(tasks) and self._is_finished(tasks[finished]):
            finished += 1
        if finished < len(tasks):
            finished = self._go_on(tasks[:finished])
        for task in tasks[: max(finished - 1, 0)]:  # what a run left that was stopped between two states
            _remove_state(entries, task.path, self._folder)
        # Those that are gone count only among the finished: they cannot be scored again
        rest = self._in_order([*tasks[:finished], *(task for task in tasks[finished:] if task in given)])[finished:]
        self._remove_left_overs(rest)
        return rest

    def _in_order(self, tasks: list[PartTask]) -> list[PartTask]:
        """Return the files in order of time, and note the history of each."""
        history = ""
        ordered = sorted(tasks, key=lambda task: self._times[task.path])
        for task in ordered:
            told = json.dumps([history, asdict(task.fingerprint)])
            history = self._histories[task.path] = hashlib.sha256(told.encode()).hexdigest()
        return ordered

    def _first_time(self, task: PartTask) -> float:
        """Return when a file begins: as it was noted, or as it is found."""
        entry = self._manifest.entries.get(task.path)
        made_of = (task.fingerprint, self._model, self._options_fingerprint)
        if entry is None or (entry.fingerprint, entry.model, entry.options) != made_of:
            return first_time(self._scorer, task.path, self._part_options.get("reading") or ReadOptions())
        if entry.first_time is None:
            time = first_time(self._scorer, task.path, self._part_options.get("reading") or ReadOptions())
            entry = self._manifest.entries[task.path] = replace(entry, first_time=time)
        assert entry.first_time is not None
        return entry.first_time

    def _vanished(self) -> list[PartTask]:
        """Return the inputs of earlier runs that are no longer there: those behind them were scored after them."""
        tasks = []
        for path, entry in self._manifest.entries.items():
            if path in self._times or entry.first_time is None or entry.history is None or os.path.lexists(path):
                continue
            self._times[path] = entry.first_time
            tasks.append(PartTask(path, entry.fingerprint, entry.part or ""))
        return tasks

    def _is_finished(self, task: PartTask) -> bool:
        entry = self._manifest.entries.get(task.path)
        return (
            entry is not None
            and entry.history == self._histories[task.path]
            and entry.is_finished(self._folder, task.fingerprint, self._model, self._options_fingerprint)
        )

    def _go_on(self, finished: list[PartTask]) -> int:
        """Take up the state behind the last part that has one; return how many parts stand before it."""
        self._state = self._scorer.new_state()
        for number in range(len(finished), 0, -1):
            path = finished[number - 1].path
            name = self._manifest.entries[path].state
            if name is not None:
                with suppress(StateError):
                    self._state = self._scorer.load_state(self._path(name))
                    self._last = path
                    return number
        return 0

    def run(self, tasks: list[PartTask], bar: Progress) -> None:
        """Score the files of the tasks, one after the other."""
        self._part_options = {**self._part_options, "state": self._state}
        for number, task in enumerate(tasks):
            entry = self._score(task, self._threads, bar)
            if entry.error is not None:
                self._enter(entry)
                self._leave(tasks[number + 1 :], task.path)
                return
            assert self._state is not None
            name = task.part + STATE_SUFFIX
            self._state.save(self._path(name))
            self._enter(replace(entry, state=name, history=self._histories[task.path]), write=False)
            before, self._last = self._last, task.path
            self._forget(before)

    def _enter(self, entry: PartEntry, *, write: bool = True) -> None:
        super()._enter(replace(entry, first_time=self._times[entry.input]), write=write)

    def _forget(self, path: str | None) -> None:
        """Write the manifest with the newest state, and only then remove the one before."""
        self.write_manifest()
        if path is not None:
            _remove_state(self._manifest.entries, path, self._folder)

    def _leave(self, tasks: list[PartTask], failed: str) -> None:
        """Note the files behind one that could not be scored: what they would be scored with is not known."""
        for task in tasks:
            self._enter(
                PartEntry(
                    input=task.path,
                    fingerprint=task.fingerprint,
                    model=self._model,
                    options=self._options_fingerprint,
                    error=f"{task.path!r} is not scored: it follows {failed!r}, which could not be",
                ),
                write=False,
            )

    def summary(self, files: list[str], done_now: set[str]) -> ScoreSummary:
        """Return the totals over the files."""
        summary = super().summary(files, done_now)
        summary.notes += [] if self._state is None else self._state.notes()
        return summary


def _remove_state(entries: dict[str, PartEntry], path: str, folder: str) -> None:
    entry = entries[path]
    if entry.state is not None:
        with suppress(OSError):
            os.unlink(os.path.join(folder, entry.state))
        entries[path] = replace(entry, state=None)


def first_time(scorer: Scorer, path: str, reading: ReadOptions) -> float:
    """Return the time of a file's first record that has one, seconds since 1970; NO_TIME where none can be told."""
    schema = scorer.schema
    clock = schema.neighbours or schema.windows
    assert clock is not None
    needed = schema.input_columns
    request = ColumnRequest(columns=needed, kinds=schema.column_kinds(), open=schema.open_categories())
    inputs = Inputs(
        [path],
        needed,
        request,
        reading,
        record_type=schema.record_type,
        reading=schema.reading,
        block_bytes=LOOKED_AT_BYTES,
    )
    with suppress(NetsieveError):  # what is wrong with the file is told when it is scored
        for item in inputs.numbered_blocks():
            _, source, block = item.pop()
            parsed = source.parse(block)
            times = end_times(parsed.frame, clock, parsed.end_time)
            known = times[np.isfinite(times)]
            if len(known):
                return float(known[0])
    return NO_TIME
