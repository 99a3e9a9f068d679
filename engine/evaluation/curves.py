"""Scores of the two classes, ranked: everything a curve or a ranking metric is read from.

Sorting each class once and looking one up in the other is exact with ties, and takes a few seconds and some
80 MB for ten million rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from netsieve.engine.errors import SchemaError
from netsieve.engine.thresholds.calibration import checked_scores

RATE_SLACK: Final = 1e-9
"""Added before rounding down, since 0.29 * 100 is 28.999999999999996."""


@dataclass(frozen=True, slots=True)
class RankedScores:
    """Ascending float32 scores of the normal and of the anomalous rows."""

    normal: NDArray[np.float32]
    anomalous: NDArray[np.float32]

    @classmethod
    def of(cls, scores: ArrayLike, labels: ArrayLike) -> RankedScores:
        """Rank ``[n]`` scores by ``[n]`` labels, true or 1 for an anomaly.

        Raises
        ------
        ThresholdError
            There are no scores, or one is not finite.
        SchemaError
            The labels are not one per score, or other than true and false or 1 and 0.
        """
        values = checked_scores(scores)
        truth = checked_labels(labels, len(values))
        return cls(np.sort(values[~truth]), np.sort(values[truth]))

    @property
    def both_classes(self) -> bool:
        """Whether there are rows of both classes."""
        return bool(self.normal.size and self.anomalous.size)

    def auroc(self) -> float | None:
        """Return the area under the ROC curve; None unless there are both classes.

        The probability that an anomalous row scores above a normal one, ties counted half (Fawcett, "An
        introduction to ROC analysis", 2006).
        """
        if not self.both_classes:
            return None
        below = np.searchsorted(self.normal, self.anomalous, side="left").sum(dtype=np.int64)
        not_above = np.searchsorted(self.normal, self.anomalous, side="right").sum(dtype=np.int64)
        return float((int(below) + int(not_above)) / (2 * self.normal.size * self.anomalous.size))

    def average_precision(self, attack_share: float | None = None) -> float | None:
        """Return the sum over thresholds of the gain in recall times the precision there; None unless both classes.

        Parameters
        ----------
        attack_share
            Weigh the anomalous rows so that they are this share of all; None takes the rows as they are.
        """
        if not self.both_classes:
            return None
        cuts = np.unique(self.anomalous)[::-1]
        recall, fall_out = self.rates_from(cuts)
        precision = self.precision(recall, fall_out, attack_share)
        return float(np.sum(np.diff(recall, prepend=0.0) * precision))

    def rates_from(self, cuts: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the recall and the false-positive rate where scores of at least each cut are flagged."""
        return (
            (self.anomalous.size - np.searchsorted(self.anomalous, cuts, side="left")) / self.anomalous.size,
            (self.normal.size - np.searchsorted(self.normal, cuts, side="left")) / self.normal.size,
        )

    def precision(
        self, recall: NDArray[np.float64], fall_out: NDArray[np.float64], attack_share: float | None = None
    ) -> NDArray[np.float64]:
        """Return the precision at recalls and false-positive rates, of which one at least is above zero."""
        if attack_share is None:
            attack_share = self.anomalous.size / (self.anomalous.size + self.normal.size)
        found = attack_share * recall
        return np.asarray(found / (found + (1 - attack_share) * fall_out), dtype=np.float64)

    def recall_at(self, rate: float) -> float | None:
        """Return the largest recall that a threshold reaches with a false-positive rate of at most ``rate``.

        None unless there are both classes and at least ``1 / rate`` normal rows.
        """
        allowed = int(rate * self.normal.size + RATE_SLACK)
        if not self.both_classes or allowed < 1:
            return None
        if allowed >= self.normal.size:
            return 1.0
        # scores above the first normal one too many
        highest_unflagged = self.normal[-1 - allowed]
        missed = np.searchsorted(self.anomalous, highest_unflagged, side="right")
        return float((self.anomalous.size - missed) / self.anomalous.size)

    def thinned_cuts(self, count: int = 900) -> NDArray[np.float32]:
        """Return at most ``count`` and two scores, descending, at which to draw curves of both classes.

        A third of them is spread evenly over each class, and a third over the logarithm of the false-positive
        rate, so that the low rates, which matter, are drawn as finely as the rest. Every cut is a score, so
        every point drawn lies on the curve.
        """
        if not self.both_classes:
            return np.empty(0, dtype=np.float32)
        even = np.linspace(0, 1, count // 3)
        from_top = np.geomspace(1, self.normal.size, count // 3).astype(np.int64)
        picked = [
            self.normal[-from_top],
            self.normal[(even * (self.normal.size - 1)).astype(np.int64)],
            self.anomalous[(even * (self.anomalous.size - 1)).astype(np.int64)],
        ]
        return np.unique(np.concatenate(picked))[::-1]


def checked_labels(labels: ArrayLike, rows: int) -> NDArray[np.bool_]:
    """Return labels as bool ``[rows]``.

    Raises
    ------
    SchemaError
        There is not one per row, or one is other than true and false or 1 and 0.
    """
    values = np.asarray(labels)
    if values.shape != (rows,):
        raise SchemaError(f"labels have shape {list(values.shape)}; one per row, [{rows}], is expected")
    if values.dtype == np.bool_:
        return values
    if values.dtype.kind not in "iuf" or not np.isin(values, (0, 1)).all():
        raise SchemaError("labels must be true for an anomaly and false for a normal row, or 1 and 0")
    return values.astype(np.bool_)
