"""The worst records of each entity, kept while records go by.

Entities have dense numbers (``netsieve.kernels._native.Interner``); a number whose entity is new begins anew.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from netsieve.kernels.jit import kernel

WORST_RECORDS: Final = 10
"""Records of each entity that are kept."""


@kernel()
def update_worst(  # noqa: PLR0917 (kernels are called by position)
    ids: NDArray[np.int32],
    is_new: NDArray[np.bool_],
    scores: NDArray[np.float32],
    surprise: NDArray[np.float32],
    flags: NDArray[np.bool_],
    counts: NDArray[np.int64],
    highest: NDArray[np.float32],
    worst: NDArray[np.float32],
) -> None:
    """Count each entity's records, and keep its highest score and largest surprises.

    Parameters
    ----------
    ids, is_new
        int32 and bool ``[n]``: the entity, -1 for none, and whether its number is void before this record.
    scores, surprise, flags
        float32 ``[n]``, finite, the latter not below 0, and bool ``[n]``: whether the record is an anomaly.
    counts
        int64 ``[entities, 2]``: records and anomalies.
    highest
        float32 ``[entities]``.
    worst
        float32 ``[entities, WORST_RECORDS]``, descending; 0 where there are fewer records.
    """
    for i in range(ids.size):
        entity = ids[i]
        if entity < 0:
            continue
        kept = worst[entity]
        if is_new[i]:
            counts[entity, 0] = 0
            counts[entity, 1] = 0
            highest[entity] = -np.inf
            kept[:] = 0.0
        counts[entity, 0] += 1
        counts[entity, 1] += flags[i]
        highest[entity] = max(highest[entity], scores[i])
        value = surprise[i]
        place = WORST_RECORDS
        while place > 0 and kept[place - 1] < value:
            place -= 1
        for k in range(WORST_RECORDS - 1, place, -1):
            kept[k] = kept[k - 1]
        if place < WORST_RECORDS:
            kept[place] = value


def warmup() -> None:
    """Run each kernel once."""
    one = np.zeros(1, np.bool_)
    update_worst(
        np.zeros(1, np.int32),
        one,
        np.zeros(1, np.float32),
        np.zeros(1, np.float32),
        one,
        np.zeros((1, 2), np.int64),
        np.zeros(1, np.float32),
        np.zeros((1, WORST_RECORDS), np.float32),
    )
