"""The stage that adds the neighbour features to frames of records, in the order of the records.

What needs no order, the fingerprints of the hosts and the times, is in :meth:`NeighbourStage.prepare`, which any
number of threads may call; :meth:`NeighbourStage.update` then takes the records in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.engine.errors import EncodeError, MissingColumnError, StateError
from netsieve.engine.features.clock import end_times, known_times
from netsieve.engine.features.encoding import category_text
from netsieve.engine.features.entity_keys import fingerprints
from netsieve.engine.features.neighbours import ENTITIES, RATES, Neighbours, window_column
from netsieve.engine.features.state import EntityTable, FeatureState
from netsieve.kernels import _native

LARGEST_BYTES: Final = 1e18


@dataclass(frozen=True, slots=True)
class Observations:
    """What the kernels take of some records: fingerprints uint64 ``[n, 2]``, numbers float64 and flags bool ``[n]``."""

    keys: dict[str, NDArray[np.uint64]]
    port: NDArray[np.uint64]
    sent: NDArray[np.float64]
    received: NDArray[np.float64]
    failed: NDArray[np.bool_]
    end_time: NDArray[np.float64]


class NeighbourStage:
    """Adds the neighbour features of a declaration to frames. Immutable.

    Parameters
    ----------
    declaration
        What is computed, of which columns.
    """

    def __init__(self, declaration: Neighbours) -> None:
        self.declaration = declaration
        self._key = bytes.fromhex(declaration.key)
        self._windows = np.array(declaration.windows, dtype=np.float64)

    def apply(
        self, frame: pl.DataFrame, end_time: NDArray[np.float64] | None = None, state: FeatureState | None = None
    ) -> pl.DataFrame:
        """Return the frame with the computed columns behind its own, or in their place where it has them.

        Parameters
        ----------
        frame
            Records, in order.
        end_time
            float64 ``[n]``, when each ended, seconds since 1970, NaN where that is not known. Only used where the
            declaration names no column of times.
        state
            What is known so far; it is updated. None starts with nothing known.

        Raises
        ------
        MissingColumnError
            The frame lacks columns that the declaration names.
        EncodeError
            A column is of a type that cannot be what it is declared to be.
        StateError
            The state belongs to another declaration.
        """
        state = FeatureState(self.declaration) if state is None else state
        return frame.with_columns(self.update(self.prepare(frame, end_time), state))

    def prepare(self, frame: pl.DataFrame, end_time: NDArray[np.float64] | None = None) -> Observations:
        """Return what is needed of some records; parameters and errors as for :meth:`apply`."""
        declared = self.declaration
        missing = [name for name in declared.input_columns if name not in frame.columns]
        if missing:
            raise MissingColumnError(
                f"the frame lacks column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}, which the model's "
                f"neighbour features are computed from; it has {', '.join(map(repr, frame.columns[:20])) or 'none'}"
            )
        source, destination = (fingerprints(frame, name, self._key) for name in (declared.source, declared.destination))
        none = np.full(frame.height, np.nan)
        received = _bytes(frame, declared.bytes_received) if declared.bytes_received else none
        return Observations(
            keys={
                "source": source,
                "destination": destination,
                "pair": _native.paired_fingerprints(source, destination, self._key),
            },
            port=np.zeros_like(source) if declared.port is None else fingerprints(frame, declared.port, self._key),
            sent=_bytes(frame, declared.bytes_sent) if declared.bytes_sent else none,
            received=received,
            failed=self._failed(frame, received),
            end_time=end_times(frame, declared, end_time),
        )

    def update(self, seen: Observations, state: FeatureState) -> list[pl.Series]:
        """Return the computed columns of some records, Float32, and update the state."""
        if state.declaration != self.declaration:
            raise StateError("the state belongs to another model's neighbour features; make one for this model")
        computed: dict[str, NDArray[np.float32]] = {}
        with state.lock:
            times = known_times(seen.end_time, state)
            late = np.zeros(len(times), dtype=bool)
            for entity in ENTITIES:
                table = state.tables[entity]
                ids, elapsed, own = table.interner.assign(seen.keys[entity], times)
                table.make_room()
                late |= own > times
                self._run_kernels(entity, table, seen, (ids, elapsed, own), computed)
            state.records += len(times)
            state.late += int(np.count_nonzero(late))
        return [pl.Series(name, computed[name]) for name in self.declaration.columns]

    def _run_kernels(
        self, entity: str, table: EntityTable, seen: Observations, own: Any, out: dict[str, NDArray[np.float32]]
    ) -> None:
        from netsieve.kernels import neighbours as kernels

        ids, elapsed, times = own
        rows = len(ids)
        windows = self.declaration.windows
        out[f"{entity}_new"] = np.where(ids < 0, np.nan, np.isnan(elapsed)).astype(np.float32)
        out[f"{entity}_elapsed"] = elapsed.astype(np.float32)
        if "rates" in table.arrays:
            rates = np.empty((len(windows), len(RATES), rows), dtype=np.float32)
            kernels.update_rates(
                ids, elapsed, seen.failed, seen.sent, seen.received, self._windows, table.arrays["rates"], rates
            )
            for w, window in enumerate(windows):
                for k, name in enumerate(RATES):
                    out[window_column(entity, name, window)] = rates[w, k]
        others = {"ports": seen.port, "hosts": seen.keys["destination" if entity == "source" else "source"]}
        for name, prints in others.items():
            if name in table.arrays:
                counts = np.empty((len(windows), rows), dtype=np.float32)
                kernels.update_distinct(ids, elapsed, times, prints, self._windows, table.arrays[name], counts)
                out |= {window_column(entity, name, window): counts[w] for w, window in enumerate(windows)}
        for name, values in (("gap", kernels.gaps(elapsed)), ("size", seen.sent)):
            if name in table.arrays:
                moments = np.empty((2, rows), dtype=np.float32)
                kernels.update_regularity(ids, elapsed, values, table.arrays[name], moments)
                out[f"{entity}_{name}_mean"], out[f"{entity}_{name}_variation"] = moments

    def _failed(self, frame: pl.DataFrame, received: NDArray[np.float64]) -> NDArray[np.bool_]:
        declared = self.declaration
        if declared.state is not None:
            states = category_text(frame.get_column(declared.state))
            return states.is_in(declared.failed).fill_null(value=False).to_numpy()
        if declared.bytes_received is None:
            return np.zeros(frame.height, dtype=bool)
        return np.isnan(received) | (received <= declared.unanswered_bytes)


def _bytes(frame: pl.DataFrame, name: str) -> NDArray[np.float64]:
    column = frame.get_column(name)
    if column.dtype == pl.String:
        column = column.str.strip_chars().cast(pl.Float64, strict=False)
    elif not (column.dtype.is_numeric() or column.dtype == pl.Null):
        raise EncodeError(f"column {name!r} is {column.dtype}, where a number of bytes is expected; convert it first")
    return np.asarray(np.clip(column.cast(pl.Float64).to_numpy(), 0.0, LARGEST_BYTES))
