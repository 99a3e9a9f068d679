"""The stage that finds the windows of records, in the order of the records.

:meth:`WindowStage.prepare` needs no order, and any number of threads may call it; :meth:`WindowStage.update` takes the
records in order, and only links each to the one before it of its entity. The windows themselves are made of that,
:meth:`RecordWindows.write`, in any thread again and as many at a time as are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.engine.errors import MissingColumnError, StateError
from netsieve.engine.features.clock import end_times, known_times
from netsieve.engine.features.entity_keys import combined_fingerprints
from netsieve.engine.features.state import FeatureState
from netsieve.engine.features.windows import WindowLayout


@dataclass(frozen=True, slots=True)
class EntityRecords:
    """Whose records they are and when they ended: fingerprints uint64 ``[n, 2]`` and float64 ``[n]``, NaN unknown."""

    keys: NDArray[np.uint64]
    end_time: NDArray[np.float64]

    def __getitem__(self, rows: slice) -> EntityRecords:
        return EntityRecords(self.keys[rows], self.end_time[rows])


@dataclass(frozen=True, slots=True)
class RecordWindows:
    """The windows of some records, not yet laid out.

    Attributes
    ----------
    length
        Records of a window.
    x
        float32 ``[n, n_features]``, the records.
    links
        int64 ``[n]``: number of the record before of the same entity, -1 for none; from n on those of ``carried``.
    carried, carried_links
        float32 ``[m, n_features]`` and int64 ``[m]``: records from before these, and their own links.
    """

    length: int
    x: NDArray[np.float32]
    links: NDArray[np.int64]
    carried: NDArray[np.float32]
    carried_links: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.x)

    def write(self, rows: NDArray[np.int64], out: NDArray[np.float32]) -> None:
        """Write the windows that end at some of the records.

        Parameters
        ----------
        rows
            int64 ``[m]``, their numbers.
        out
            float32 ``[m, length, n_features]``.
        """
        from netsieve.kernels.windows import gather_windows

        gather_windows(self.x, self.links, self.carried, self.carried_links, rows, out)

    def windows(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Return the windows that end at some of the records, or at each, float32 ``[m, length, n_features]``."""
        rows = np.arange(len(self.x)) if rows is None else rows
        out = np.empty((len(rows), self.length, self.x.shape[1]), dtype=np.float32)
        self.write(rows, out)
        return out


class WindowStage:
    """Finds the windows of a declaration. Immutable.

    Parameters
    ----------
    layout
        Whose records are taken together, and what a row is.
    """

    def __init__(self, layout: WindowLayout) -> None:
        self.layout = layout
        self._key = bytes.fromhex(layout.windows.key)

    def prepare(self, frame: pl.DataFrame, end_time: NDArray[np.float64] | None = None) -> EntityRecords:
        """Return what is needed of some records.

        Parameters
        ----------
        frame
            Records, in order.
        end_time
            float64 ``[n]``, when each ended, seconds since 1970, NaN where that is not known. Only used where the
            declaration names no column of times.

        Raises
        ------
        MissingColumnError
            The frame lacks columns that the declaration names.
        EncodeError
            A column is of a type that cannot be what it is declared to be.
        """
        declared = self.layout.windows
        missing = [name for name in declared.input_columns if name not in frame.columns]
        if missing:
            raise MissingColumnError(
                f"the frame lacks column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}, which tell whose "
                f"windows the model takes; it has {', '.join(map(repr, frame.columns[:20])) or 'none'}"
            )
        keys = combined_fingerprints(frame, declared.entity, self._key)
        return EntityRecords(keys, end_times(frame, declared, end_time))

    def update(self, seen: EntityRecords, x: NDArray[np.float32], state: FeatureState) -> RecordWindows:
        """Return the windows of some records, and update the state.

        Parameters
        ----------
        seen
            From :meth:`prepare`.
        x
            float32 ``[n, n_features]``, the same records, encoded. The windows hold on to it.
        state
            What is known so far.

        Raises
        ------
        StateError
            The state belongs to another declaration.
        """
        if state.layout != self.layout:
            raise StateError("the state belongs to another model's windows; make one for this model")
        with state.lock:
            return self._linked(seen, x, state)

    def _linked(self, seen: EntityRecords, x: NDArray[np.float32], state: FeatureState) -> RecordWindows:
        from netsieve.kernels import windows as kernels

        table, length = state.window_table, self.layout.windows.length
        assert table is not None
        times = known_times(seen.end_time, state.window_clock)
        ids, elapsed, own = table.interner.assign(seen.keys, times)
        table.make_room()
        if state.declaration is None:
            state.records += len(times)
            state.late += int(np.count_nonzero(own > times))
        counts = table.arrays["counts"]
        links = np.empty(len(x), dtype=np.int64)
        carried_rows = kernels.link_records(ids, elapsed, length, counts, table.latest, links)
        carried = np.empty((carried_rows, x.shape[1]), dtype=np.float32)
        carried_links = np.empty(carried_rows, dtype=np.int64)
        kernels.keep_rows(ids, elapsed, x, links, counts, table.latest, table.arrays["rows"], carried, carried_links)
        return RecordWindows(length, x, links, carried, carried_links)
