"""Thresholds of very many scores in one pass and fixed memory.

A :class:`ScoreSummary` takes scores batch by batch: moments by the pairwise update of Chan, Golub and LeVeque
("Updating formulae and a pairwise algorithm for computing sample variances", 1979), quantiles by the sketch of
:mod:`netsieve.kernels.quantile_sketch`, and the largest scores exactly. Summaries of parts of the data merge
into the summary of the whole.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netsieve.kernels.jit import kernel
from netsieve.kernels.quantile_sketch import (
    empty_sketch,
    finite_float32,
    sketched_values,
    update_largest,
    update_sketch,
)

LARGEST_COUNT: Final = 2000
"""Scores kept exactly by default."""
BLOCK: Final = 4096
"""Values of one partial sum: few enough for the first-level cache, and for float64 to add without care."""
ROUNDING_SLACK: Final = 1e-9
"""Added before rounding down, since 0.29 * 100 is 28.999999999999996."""


def update_moments(values: NDArray[np.float32], moments: NDArray[np.float64]) -> None:
    """Add values to running moments, in place.

    Parameters
    ----------
    values
        float32 ``[n]``, finite.
    moments
        float64 ``[6]``: count, mean and sum of squared deviations of the values, then the same three of the
        natural logarithm of the values above zero. All zero at first.

    Raises
    ------
    ValueError
        A value is NaN or infinite, or an array is not of its shape and type; nothing is then changed.
    """
    if moments.dtype != np.float64 or moments.shape != (6,):
        raise ValueError(f"moments are {moments.dtype} {list(moments.shape)}; float64 [6] is expected")
    _update_moments(finite_float32(values), moments)


@kernel()
def _update_moments(values: NDArray[np.float32], moments: NDArray[np.float64]) -> None:
    block = np.empty(BLOCK, dtype=np.float64)
    logarithms = np.empty(BLOCK, dtype=np.float64)
    for start in range(0, values.size, BLOCK):
        size = min(BLOCK, values.size - start)
        positive = 0
        for i in range(size):
            value = np.float64(values[start + i])
            block[i] = value
            if value > 0:
                logarithms[positive] = math.log(value)
                positive += 1
        _merge_block(block[:size], moments[:3])
        _merge_block(logarithms[:positive], moments[3:])


@kernel(fast=True)
def _merge_block(block: NDArray[np.float64], moments: NDArray[np.float64]) -> None:
    if block.size == 0:
        return
    total = 0.0
    for i in range(block.size):
        total += block[i]
    mean = total / block.size
    squares = 0.0
    for i in range(block.size):
        squares += (block[i] - mean) * (block[i] - mean)
    _merge_moments(moments, float(block.size), mean, squares)


@kernel()
def _merge_moments(moments: NDArray[np.float64], count: float, mean: float, squares: float) -> None:
    """Merge in place; equation 2.1 of Chan, Golub and LeVeque."""
    if count == 0:
        return
    together = moments[0] + count
    difference = mean - moments[1]
    moments[2] += squares + difference * difference * (moments[0] / together) * count
    moments[1] += difference * (count / together)
    moments[0] = together


class ScoreSummary:
    """Moments, quantiles and largest values of any number of scores, in 2 MiB.

    Parameters
    ----------
    largest_count
        How many of the largest scores are kept exactly.

    Attributes
    ----------
    moments
        float64 ``[6]``, as :func:`update_moments` has them.
    counts
        int64, the quantile sketch.
    heap, filled
        float32 ``[largest_count]``, and how many of its places are filled.
    """

    def __init__(self, largest_count: int = LARGEST_COUNT) -> None:
        self.moments = np.zeros(6, dtype=np.float64)
        self.counts = empty_sketch()
        self.heap = np.zeros(largest_count, dtype=np.float32)
        self.filled = 0

    @property
    def n(self) -> int:
        """Scores seen."""
        return int(self.moments[0])

    @property
    def mean(self) -> float:
        """Mean score; 0 before any was seen."""
        return float(self.moments[1])

    @property
    def deviation(self) -> float:
        """Standard deviation of the scores, divided by n."""
        return math.sqrt(self.moments[2] / self.moments[0]) if self.n else 0.0

    def update(self, scores: NDArray[np.float32]) -> None:
        """Take in float32 ``[n]`` scores; raises ValueError, and takes none, where one is not finite."""
        scores = finite_float32(scores)
        update_moments(scores, self.moments)
        update_sketch(scores, self.counts)
        self.filled = update_largest(scores, self.heap, self.filled)

    def merge(self, other: ScoreSummary) -> None:
        """Take in all that another summary has seen."""
        if other.heap.size != self.heap.size:
            raise ValueError(f"summaries keep {self.heap.size} and {other.heap.size} largest scores; they must agree")
        for part in (slice(0, 3), slice(3, 6)):
            _merge_moments(self.moments[part], *other.moments[part])
        self.counts += other.counts
        self.filled = update_largest(other.heap[: other.filled], self.heap, self.filled)

    def largest(self) -> NDArray[np.float32]:
        """Return the largest scores exactly, descending, float32 ``[min(n, largest_count)]``."""
        return np.sort(self.heap[: self.filled])[::-1].copy()

    def values_at(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the scores at 0-based positions of the ascending order, interpolated between whole positions.

        Exact among the largest scores, within the sketch's relative error below.
        """
        values = sketched_values(self.counts, positions)
        first_exact = self.n - self.filled
        exact = np.asarray(positions) >= first_exact
        ascending = self.largest()[::-1].astype(np.float64)
        # a bucket's middle may lie above the lowest score that is known exactly
        values = np.minimum(values, ascending[0])
        values[exact] = np.interp(np.asarray(positions)[exact], np.arange(first_exact, self.n), ascending)
        return np.asarray(values, dtype=np.float64)


def mean_std_threshold(scores: NDArray[np.float32], k: float) -> float:
    """Return the mean plus ``k`` standard deviations of float32 ``[n]`` scores."""
    moments = np.zeros(6)
    update_moments(_some(scores), moments)
    return float(moments[1] + k * math.sqrt(moments[2] / moments[0]))


def percentile_threshold(scores: NDArray[np.float32], percentile: float) -> float:
    """Return a percentile, 0 to 100, of float32 ``[n]`` scores; exact among the largest 2,000."""
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile is {percentile}; 0 to 100 is expected")
    summary = ScoreSummary()
    summary.update(_some(scores))
    return float(summary.values_at(np.array([percentile / 100 * (summary.n - 1)]))[0])


def rate_threshold(scores: NDArray[np.float32], rate: float) -> float:
    """Return the score above which at most ``rate`` of further exchangeable scores are expected.

    That is the ``floor(rate * (n + 1))``-th largest of float32 ``[n]`` scores; exact among the largest 2,000.

    Raises
    ------
    ValueError
        The rate is not between 0 and 1, or below ``1 / n``.
    """
    n = _some(scores).size
    if not 1 / n - ROUNDING_SLACK <= rate < 1:
        raise ValueError(f"rate is {rate:g}; from 1 / {n} to below 1 is expected")
    summary = ScoreSummary()
    summary.update(scores)
    rank = math.floor(rate * (n + 1) + ROUNDING_SLACK)
    return float(summary.values_at(np.array([float(n - rank)]))[0])


def _some(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    if not scores.size:
        raise ValueError("there are no scores; at least one is expected")
    return scores


def warmup() -> None:
    """Run each kernel once."""
    few = np.array([1, 2, 3], dtype=np.float32)
    summary = ScoreSummary()
    summary.update(few)
    summary.merge(summary)
