"""A few rows that stand for many."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

RANDOM_SHARE: Final = 0.9
"""Share of a mixed coreset that is drawn at random. More spread rows than this cover the odd rows of training, too."""
BLOCK_ROWS: Final = 64
"""Rows that all others are compared with at a time."""
SMALLEST_SPACING: Final = 1e-12
"""Squared distance below which a row adds nothing to a coreset."""


def random_rows(rows: NDArray[np.float32], size: int, seed: int) -> NDArray[np.float32]:
    """Return at most ``size`` different rows drawn at random, ``[m, d]``."""
    distinct = np.unique(rows, axis=0)
    if len(distinct) <= size:
        return distinct
    drawn = rows[np.random.default_rng(seed).permutation(len(rows))]
    # the first of each row in the order they were drawn: frequent rows come first, and once
    _, first = np.unique(drawn, axis=0, return_index=True)
    return drawn[np.sort(first)[:size]]


def spread_rows(
    rows: NDArray[np.float32], size: int, seed: int, *, random_share: float = RANDOM_SHARE
) -> NDArray[np.float32]:
    """Return at most ``size`` rows: some at random, then always the row farthest from those that were chosen.

    Parameters
    ----------
    rows
        float32 ``[n, d]``, n at least 1.
    size
        Rows to return at most; fewer where fewer are different.
    seed
        Of the draws.
    random_share
        Share that is drawn at random; the rest covers what is rare.

    References
    ----------
    Gonzalez, "Clustering to Minimize the Maximum Intercluster Distance", Theoretical Computer Science 38 (1985).
    """
    chosen = random_rows(rows, max(1, round(size * random_share)), seed)
    nearest = np.full(len(rows), np.inf, dtype=np.float32)
    squared = np.square(rows).sum(axis=1)
    for start in range(0, len(chosen), BLOCK_ROWS):
        block = chosen[start : start + BLOCK_ROWS]
        np.minimum(nearest, _squared_distance(rows, squared, block).min(axis=1), out=nearest)
    added: list[NDArray[np.float32]] = []
    while len(chosen) + len(added) < size:
        farthest = int(np.argmax(nearest))
        # the quick distance is off by rounding: an exact one tells whether the row is new
        taken = np.concatenate([chosen, np.array(added)]) if added else chosen
        nearest[farthest] = np.square(taken - rows[farthest]).sum(axis=1).min()
        if nearest[farthest] < nearest.max():
            continue
        if nearest[farthest] <= SMALLEST_SPACING:
            break
        added.append(rows[farthest])
        np.minimum(nearest, _squared_distance(rows, squared, rows[[farthest]])[:, 0], out=nearest)
        nearest[farthest] = 0
    return np.concatenate([chosen, np.array(added, dtype=np.float32)]) if added else chosen


def _squared_distance(
    rows: NDArray[np.float32], squared: NDArray[np.float32], others: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return squared distances, float32 ``[n, others]``, quickly but off by rounding."""
    distance = squared[:, None] - 2 * (rows @ others.T) + np.square(others).sum(axis=1)
    return np.asarray(np.maximum(distance, 0), dtype=np.float32)
