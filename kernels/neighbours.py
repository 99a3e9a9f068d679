"""What a record's neighbours in time are like: rates, distinct values and regularity of entities with dense numbers.

Entities (sources, destinations, pairs of them) are numbered by ``netsieve.kernels._native.Interner``, which also tells
the seconds since an entity's last record, NaN where the entity is new and what was kept of its number is void. Every
kernel goes through the records one by one, updates the state of each one's entity in place, and writes what holds
with that record counted. So results do not depend on how the records are cut into batches.

A *rate* is a damped sum: a record that is ``t`` seconds old counts ``exp(-t / window)``. Under a steady stream it is
what a sliding window of that length would hold, without its memory.

A *distinct count* is taken from a table of :data:`BUCKETS` places, each with the second in which a value that hashes
there was last seen; the places seen within the window are counted, and the count corrected for values that share one,
as in linear counting (Whang, Vander-Zanden, Taylor, "A linear-time probabilistic counting algorithm for database
applications", ACM TODS 15(2), 1990). One table serves any number of windows, and these are true sliding windows to the
second. The standard error is 9 % at 10 values, 10 % at 30, 11 % at 64 and 18 % at 200; :data:`MOST_DISTINCT` is the
most that is ever told.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from netsieve.kernels.jit import kernel

BUCKETS: Final = 64
"""Places of a distinct counter, 4 bytes each."""
MOST_DISTINCT: Final = BUCKETS * float(np.log(BUCKETS))
"""What a full table tells: 266."""
RATES: Final = 4
"""Damped sums of an entity and window: records, failed ones, bytes sent, bytes received."""
REGULARITY: Final = 3
"""What is kept for a regularity: number of values, mean, variance."""
MEMORY: Final = 32
"""Values whose mean and deviation a regularity tells: beyond them older ones fade, each by 1/32."""
FEWEST_VALUES: Final = 3
"""Of fewer values no mean and deviation is told."""
SHORTEST_GAP: Final = 1.0
"""Seconds; records of a pair that are closer are one burst, and the time between them is no gap."""

_LAST_SECOND: Final = 2**32 - 3
# Estimates by the number of places that are taken
_ESTIMATES: Final = np.append(-BUCKETS * np.log((BUCKETS - np.arange(BUCKETS)) / BUCKETS), MOST_DISTINCT).astype(
    np.float32
)

Ids = NDArray[np.int32]
Floats = NDArray[np.float64]


@kernel()
def update_rates(  # noqa: PLR0917 (kernels are called by position)
    ids: Ids,
    elapsed: Floats,
    failed: NDArray[np.bool_],
    sent: Floats,
    received: Floats,
    windows: Floats,
    state: Floats,
    out: NDArray[np.float32],
) -> None:
    """Update the damped sums of each record's entity.

    Parameters
    ----------
    ids, elapsed
        int32 and float64 ``[n]``: the entity, -1 for none, and the seconds since its last record, NaN for a new one.
    failed, sent, received
        bool and float64 ``[n]``; NaN bytes count as none.
    windows
        float64 ``[w]``, seconds.
    state
        float64 ``[entities, w, 4]``.
    out
        float32 ``[w, 4, n]``: records, share of failed ones, bytes sent, bytes received; NaN without an entity.
    """
    for i in range(ids.size):
        entity = ids[i]
        for w in range(windows.size):
            if entity < 0:
                for k in range(RATES):
                    out[w, k, i] = np.nan
                continue
            kept = 0.0 if np.isnan(elapsed[i]) else np.exp(-elapsed[i] / windows[w])
            sums = state[entity, w]
            if kept == 0.0:
                sums[:] = 0.0
            sums[0] = sums[0] * kept + 1.0
            sums[1] = sums[1] * kept + (1.0 if failed[i] else 0.0)
            sums[2] = sums[2] * kept + (0.0 if np.isnan(sent[i]) else sent[i])
            sums[3] = sums[3] * kept + (0.0 if np.isnan(received[i]) else received[i])
            out[w, 0, i] = sums[0]
            out[w, 1, i] = sums[1] / sums[0]
            out[w, 2, i] = sums[2]
            out[w, 3, i] = sums[3]


@kernel()
def update_distinct(  # noqa: PLR0917
    ids: Ids,
    elapsed: Floats,
    times: Floats,
    fingerprints: NDArray[np.uint64],
    windows: Floats,
    state: NDArray[np.uint32],
    out: NDArray[np.float32],
) -> None:
    """Update the distinct values that each record's entity was seen with.

    Parameters
    ----------
    ids, elapsed
        As for :func:`update_rates`.
    times
        float64 ``[n]``, seconds since 1970, never going back within an entity.
    fingerprints
        uint64 ``[n, 2]``, the values; zeros for none, which counts for nothing.
    windows
        float64 ``[w]``, seconds, whole.
    state
        uint32 ``[entities, BUCKETS]``: the second, plus one, in which a place was last taken; 0 for never.
    out
        float32 ``[w, n]``: estimated distinct values within each window; NaN without an entity.
    """
    for i in range(ids.size):
        entity = ids[i]
        if entity < 0:
            for w in range(windows.size):
                out[w, i] = np.nan
            continue
        places = state[entity]
        if np.isnan(elapsed[i]):
            places[:] = 0
        now = np.int64(min(max(np.floor(times[i]), 0.0), _LAST_SECOND)) + 1
        if fingerprints[i, 0] != 0 or fingerprints[i, 1] != 0:
            places[fingerprints[i, 0] >> np.uint64(58)] = now
        for w in range(windows.size):
            # seen after this; a place that never was holds 0
            before = now - np.int64(min(windows[w], 4e9))
            after = np.uint32(before if before > 0 else 0)
            taken = 0
            for k in range(BUCKETS):
                taken += places[k] > after
            out[w, i] = _ESTIMATES[taken]


@kernel()
def update_regularity(
    ids: Ids,
    elapsed: Floats,
    values: Floats,
    state: Floats,
    out: NDArray[np.float32],
) -> None:
    """Update mean and deviation of the latest values of each record's entity.

    The n-th value counts 1/n, from the 32nd on 1/32 (West, "Updating mean and variance estimates: an improved method",
    CACM 22(9), 1979).

    Parameters
    ----------
    ids, elapsed
        As for :func:`update_rates`.
    values
        float64 ``[n]``; NaN for none.
    state
        float64 ``[entities, 3]``.
    out
        float32 ``[2, n]``: mean, and deviation over mean; NaN without an entity, and below 3 values.
    """
    for i in range(ids.size):
        entity = ids[i]
        out[0, i] = np.nan
        out[1, i] = np.nan
        if entity < 0:
            continue
        kept = state[entity]
        if np.isnan(elapsed[i]):
            kept[:] = 0.0
        if not np.isnan(values[i]):
            kept[0] = min(kept[0] + 1.0, MEMORY)
            share = 1.0 / kept[0]
            away = values[i] - kept[1]
            kept[1] += share * away
            kept[2] = (1.0 - share) * (kept[2] + share * away * away)
        if kept[0] >= FEWEST_VALUES:
            out[0, i] = kept[1]
            out[1, i] = np.sqrt(kept[2]) / kept[1] if kept[1] > 0.0 else 0.0


def gaps(elapsed: Floats) -> Floats:
    """Return the times between bursts of a pair: ``elapsed``, NaN where it is below :data:`SHORTEST_GAP`."""
    return np.where(elapsed >= SHORTEST_GAP, elapsed, np.nan)


def warmup() -> None:
    """Run each kernel once."""
    ids = np.zeros(1, np.int32)
    number = np.zeros(1)
    one_window = np.ones(1)
    update_rates(
        ids,
        number,
        np.zeros(1, np.bool_),
        number,
        number,
        one_window,
        np.zeros((1, 1, RATES)),
        np.zeros((1, RATES, 1), np.float32),
    )
    update_distinct(
        ids,
        number,
        number,
        np.zeros((1, 2), np.uint64),
        one_window,
        np.zeros((1, BUCKETS), np.uint32),
        np.zeros((1, 1), np.float32),
    )
    update_regularity(ids, number, number, np.zeros((1, REGULARITY)), np.zeros((2, 1), np.float32))
