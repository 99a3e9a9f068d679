"""The distance to the nearest of stored rows: the core of nearest neighbours and of k-means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import BASE_SCORE, View

NeighbourAggregation = Literal["mean", "farthest"]

PART_ROWS: Final = 2_048
"""Rows compared with all stored ones at a time, so that distances stay in the cache."""


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Stored rows of the prepared matrix, and how far a row is from the nearest of them.

    The score is ``1 + sum_j weight_j * (z_j - row_j)**2``, a squared weighted Euclidean distance, for the nearest
    stored row; with several neighbours their mean, or that of the farthest of them.

    Attributes
    ----------
    rows
        float32 ``[stored, d]``.
    weight
        float32 ``[d]``, above zero.
    neighbours
        How many of the nearest rows count, from 1 to ``stored``.
    aggregation
        ``"mean"`` of the neighbours' squared distances, or that of the ``"farthest"`` of them.
    """

    view: ClassVar[View] = "prepared"

    rows: NDArray[np.float32]
    weight: NDArray[np.float32]
    neighbours: int = 1
    aggregation: NeighbourAggregation = "mean"

    def score(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores in float64, ``[n]``: the reference that exported graphs are checked against."""
        return np.asarray(BASE_SCORE + self.column_errors(z).sum(axis=1), dtype=np.float64)

    def column_errors(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return each prepared column's part of the score, float64 ``[n, d]``."""
        return self.squared_differences(z) * self.weight

    def squared_differences(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return the squared differences to the neighbours by column, without weights, float64 ``[n, d]``."""
        z = np.asarray(z, dtype=np.float64)
        parts = [self._squared(z[start : start + PART_ROWS]) for start in range(0, max(len(z), 1), PART_ROWS)]
        return np.concatenate(parts)

    def _squared(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = self.rows.astype(np.float64)
        weighted = rows * self.weight
        # |z|**2 is the same for all stored rows
        distance = (weighted * rows).sum(axis=1) - 2 * z @ weighted.T
        order = _smallest(distance, self.neighbours)
        if self.aggregation == "farthest":
            order = order[:, -1:]
        return np.asarray(np.square(z[:, None] - rows[order]).mean(axis=1), dtype=np.float64)


def _smallest(values: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return the columns of the smallest values of each row in rising order, ``[n, count]``."""
    if count == 1:
        return np.asarray(np.argmin(values, axis=1)[:, None], dtype=np.int64)
    if count == values.shape[1]:
        return np.asarray(np.argsort(values, axis=1), dtype=np.int64)
    chosen = np.argpartition(values, count - 1, axis=1)[:, :count]
    order = np.argsort(np.take_along_axis(values, chosen, axis=1), axis=1)
    return np.asarray(np.take_along_axis(chosen, order, axis=1), dtype=np.int64)
