"""From a score of any scale to its surprise: minus the logarithm of the share of normal records that score as high.

Scores of different detectors can be combined once each is taken to this scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

TAIL: Final = 0.1
"""Share of the records, those with the highest scores, whose ranks are taken from the fitted tail."""
KNOTS: Final = 64
"""Intervals below the tail in which the rank is a straight line of the score."""
TAIL_STEEPER: Final = 3.0
"""In the tail, where surprises are larger, they may change so many times as fast."""
SMALLEST_SHARE: Final = 1e-6
"""Floor of a score's usual size, as a share of the largest: half of the scores may be zero."""


@dataclass(frozen=True, slots=True)
class TailRank:
    """A monotone function from scores to surprise, the natural logarithm of a tail probability.

    Up to the 90 % quantile ``q`` of held-back scores the surprise is ``-log`` of the empirical share of scores that
    are no lower, linear between knots. Beyond, the logarithm of ``(score - median) / (q - median)`` is taken to be
    exponentially distributed: a power law in the score, whatever its scale and origin.

    Attributes
    ----------
    knots
        float32 ``[k + 1]``, ascending: the lowest score first, ``q`` last.
    base, slope
        float32 ``[k]``: between knots i and i + 1 the surprise is ``base_i + slope_i * (score - knot_i)``.
    median
        Median of the held-back scores, below ``q``.
    decay
        Mean of the logarithm above in the tail.
    """

    knots: NDArray[np.float32]
    base: NDArray[np.float32]
    slope: NDArray[np.float32]
    median: float
    decay: float

    @classmethod
    def fit(cls, scores: NDArray[Any], steepest: float = 4.0) -> TailRank:
        """Return the rank function of held-back scores.

        Parameters
        ----------
        scores
            ``[n]``, finite, at least one.
        steepest
            Bound of the surprise's change for a relative change of the score: where scores crowd, rounding must not
            show.
        """
        ordered = np.sort(np.asarray(scores, dtype=np.float64))
        positions = np.linspace(0, 1 - TAIL, KNOTS + 1)
        surprise = -np.log1p(-positions)
        size = np.abs(ordered)
        scale = max(float(np.median(size)), SMALLEST_SHARE * float(size.max())) or 1.0
        spread = np.concatenate([[0.0], np.cumsum(np.diff(surprise))]) * scale / steepest
        # crowded knots are set apart, the later ones upwards
        knots = (np.maximum.accumulate(np.quantile(ordered, positions) - spread) + spread).astype(np.float32)
        for i in range(1, len(knots)):
            # float32 may not hold the gaps
            knots[i] = max(knots[i], np.nextafter(knots[i - 1], np.float32(np.inf)))
        last, middle = float(knots[-1]), float(knots[np.searchsorted(positions, 0.5)])
        ratio = (ordered[ordered > last] - middle) / (last - middle)
        natural = float(np.log(ratio).mean()) if ratio.size else 0.0
        return cls(
            knots=knots,
            base=surprise[:-1].astype(np.float32),
            slope=(np.diff(surprise) / np.diff(knots.astype(np.float64))).astype(np.float32),
            median=middle,
            decay=float(np.float32(max(natural, max(abs(last), scale) / (last - middle) / (TAIL_STEEPER * steepest)))),
        )

    def surprise(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the surprise of scores ``[n]``, float64: 0 for the lowest, 2.3 at the 90 % quantile, unbounded."""
        knots = self.knots.astype(np.float64)
        inside = np.clip(scores, knots[0], knots[-1])
        interval = np.minimum(np.searchsorted(knots[1:], inside, side="left"), len(self.slope) - 1)
        below = self.base[interval] + self.slope[interval].astype(np.float64) * (inside - knots[interval])
        ratio = np.maximum((scores - self.median) / (knots[-1] - self.median), 1.0)
        return np.asarray(below + np.log(ratio) / self.decay, dtype=np.float64)
