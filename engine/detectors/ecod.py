"""Empirical tails: a record is odd whose values lie far out in the distributions of their columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import prepared_float32, sampled_rows
from netsieve.engine.detectors.core_detector import CoreDetector
from netsieve.engine.detectors.parameters import DetectorParameters
from netsieve.engine.detectors.step_trees import StepFunction, below, distinct_steps, rarity_steps, step_trees
from netsieve.engine.detectors.tree_ensemble import ColumnTrees, TreeScore
from netsieve.engine.features.schema import LARGEST_NUMBER, FeatureSchema
from netsieve.engine.features.unscaled import unscaled_thresholds

TARGETS: Final = 3
"""Sums of the left tails, of the right tails, and of the tail that each column's skewness points to."""
TAIL_SHARE: Final = 0.1
"""Share of the rows that an exponential tail is fitted to."""
LEAST_EXCESS: Final = 1.0
"""Least mean excess of a tail, on the prepared scale: one deviation, so that a column whose training values end at a
wall does not outweigh all others."""
EXCESS_STEPS: Final = np.array([0, *(0.25 * 2 ** (k / 4) for k in range(36))])
"""Where the steps of the exponential tail begin, in mean excesses beyond the training range: each tail ends past the
largest prepared value there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmpiricalTailsParameters(DetectorParameters):
    """How the tails are combined, and how closely the distributions are kept.

    Attributes
    ----------
    combination
        ``"columns"``: the sum over columns of the rarer of the two tails, which tells the columns' parts and counts
        columns that are odd on different sides in full. ``"sums"``: as in the paper, the largest of three sums over
        columns, those of the left tails, of the right tails, and of the tail that each column's skewness points to.
    steps
        Steps that a numeric column's distribution is kept in; all of its values where they are fewer. The logarithm
        of a tail's probability changes by at most ``2 * log(rows + 1) / steps`` within a step.
    largest_training_set
        Rows beyond so many are left out, drawn at random.
    """

    detector: ClassVar[str] = "ecod"

    combination: str = "columns"
    steps: int = 128
    largest_training_set: int = 200_000

    def __post_init__(self) -> None:
        self.check(
            choices={"combination": ("columns", "sums")},
            conditions={
                "steps": (4 <= self.steps <= 1_000_000, "4 to 1000000"),
                "largest_training_set": (self.largest_training_set >= 20, "at least 20"),
            },
        )


class EmpiricalTails(CoreDetector):
    """Minus the logarithms of the columns' tail probabilities, summed up.

    A row is compared with the training rows, as if it were one more of them: a value that ``k`` of ``n`` training rows
    reach has the tail ``(k + 1) / (n + 1)``. Beyond the training range the tail goes on exponentially on the prepared
    scale, with the mean excess of the outermost tenth of the rows. A missing value has the share of missing values
    as its tail, a category the share of rows whose value is no more frequent than its own; both count on either side.

    References
    ----------
    Li et al., "ECOD: Unsupervised Outlier Detection Using Empirical Cumulative Distribution Functions", IEEE
    Transactions on Knowledge and Data Engineering 2022, algorithm 1; the sum over columns of the rarer tail is how its
    authors' library computes it. That a tail's excess tends to be exponential:
    Pickands, "Statistical Inference Using Extreme Order Statistics", Annals of Statistics 1975, shape 0.
    """

    name: ClassVar[str] = "ecod"
    parameters_class: ClassVar[type[DetectorParameters]] = EmpiricalTailsParameters

    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[TreeScore | ColumnTrees, dict[str, Any]]:
        """Return a tree for each feature; ``x_validation`` is not needed."""
        parameters: EmpiricalTailsParameters = self.parameters
        x = sampled_rows(x_train, parameters.largest_training_set, seed)
        z = prepared_float32(schema, x)
        functions = [
            _numeric_tails(schema, column, x[:, feature], z[:, column], parameters.steps)
            for column, (feature, _) in enumerate(schema.numeric)
        ]
        for category in rarity_steps(schema, z):
            as_rare = np.cumsum(category.rows[::-1])[::-1]
            tail = -np.log((as_rare + 1) / (len(x) + 1))
            values = np.repeat(tail[:, None], TARGETS, axis=1)
            functions.append(StepFunction(category.column, category.edges, values, category.rows.astype(np.float64)))
        if parameters.combination == "sums":
            trees = step_trees(functions, target_of_column=False, targets=TARGETS)
            return TreeScore(trees, "largest"), {"nodes": len(trees.column)}
        rarer = [replace(each, values=each.values.max(axis=1, keepdims=True)) for each in functions]
        trees = step_trees(rarer, target_of_column=True, targets=z.shape[1])
        return ColumnTrees(trees), {"nodes": len(trees.column)}


def skewness(values: NDArray[np.float32]) -> float:
    """Return the third standardised moment, 0 where all values are the same or there are none."""
    present = np.clip(values.astype(np.float64), -LARGEST_NUMBER, LARGEST_NUMBER)
    if not len(present) or np.ptp(present) == 0:
        return 0.0
    centered = present - present.mean()
    centered /= np.abs(centered).max()
    return float(np.mean(centered**3) / np.mean(centered**2) ** 1.5)


def _numeric_tails(
    schema: FeatureSchema, column: int, raw: NDArray[np.float32], z: NDArray[np.float32], steps: int
) -> StepFunction:
    """Return minus the logarithms of a number's tails: left, right, and the one that the skewness points to."""
    missing = np.isnan(raw)
    value, rows = np.unique(raw[~missing], return_counts=True)
    surprise = np.log(len(raw) + 1) - np.log(np.arange(len(raw) + 2) + 1)  # by how many training rows are that far out
    present = int(rows.sum())
    if not present:
        edges, left, right, weight = np.empty(0, np.float32), surprise[:1], surprise[:1], np.zeros(1)
    else:
        excess = z[~missing].astype(np.float64)
        far_left, left_end = _tail_edges(schema, column, -excess, -1)
        far_right, right_end = _tail_edges(schema, column, excess, 1)
        edges, left, right, weight = _kept_steps(value, rows, surprise, steps)
        low, high = below(value[:1]), value[-1:]
        # values left of the range, from the farthest on; all rows lie to their right
        inside = far_left < low
        far_left, left_end = np.append(far_left[inside], low), np.append(left_end[inside], 0.0)
        inside = far_right > high
        far_right, right_end = far_right[inside], np.append(right_end[: len(far_right)][inside], right_end[-1])
        edges = np.concatenate([far_left, edges, far_right])
        left = np.concatenate([surprise[0] + left_end, left, np.full(len(right_end), surprise[present])])
        right = np.concatenate([np.full(len(left_end), surprise[present]), right, surprise[0] + right_end])
        weight = np.concatenate([np.zeros(len(left_end)), weight, np.zeros(len(right_end))])
    values = np.stack([left, right, left if skewness(raw[~missing]) < 0 else right], axis=1)
    values = np.concatenate([values, np.full((1, TARGETS), surprise[int(missing.sum())])])
    weight = np.append(weight, float(missing.sum()))
    edges, (values, weight) = distinct_steps(np.append(edges, np.float32(np.inf)), values, weight)
    return StepFunction(column, edges, values, weight)


def _tail_edges(
    schema: FeatureSchema, column: int, outward: NDArray[np.float64], sign: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return raw edges of an exponential tail's steps, in increasing order, and what the steps add to the surprise.

    For a right tail there is one step more than edges: what lies beyond the last one. For a left tail each step lies
    left of its edge.
    """
    threshold = np.quantile(outward, 1 - TAIL_SHARE)
    beyond = outward[outward > threshold]
    mean_excess = max(float((beyond - threshold).mean()) if len(beyond) else 0.0, LEAST_EXCESS)
    ends = outward.max() + EXCESS_STEPS[1:] * mean_excess
    if sign > 0:
        return unscaled_thresholds(schema, np.full(len(ends), column), ends), EXCESS_STEPS
    edges = unscaled_thresholds(schema, np.full(len(ends), column), -ends[::-1])
    return edges, EXCESS_STEPS[:0:-1]


def _kept_steps(
    value: NDArray[np.float32], rows: NDArray[np.int64], surprise: NDArray[np.float64], steps: int
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return right edges, left and right surprise and rows of the steps from the smallest value to the largest.

    Exact steps are the values and the gaps between them. Where they are too many, those are put together whose
    surprise is most alike: as wide a range of ``right - left``, which increases with each row, for each.
    """
    at_most = np.cumsum(rows)
    at_least = at_most[-1] - at_most + rows
    count = 2 * len(value) - 1
    edges, weight = np.empty(count, np.float32), np.zeros(count)
    left, right = np.empty(count), np.empty(count)
    edges[::2], edges[1::2] = value, below(value[1:])
    left[::2], right[::2] = surprise[at_most], surprise[at_least]
    left[1::2], right[1::2] = surprise[at_most[:-1]], surprise[at_least[1:]]
    weight[::2] = rows
    if count <= steps:
        return edges, left, right, weight
    difference = right - left
    cell = np.floor((difference - difference[0]) / (difference[-1] - difference[0]) * steps)
    last = np.append(np.flatnonzero(np.diff(cell)), count - 1)
    first = np.append(0, last[:-1] + 1)
    share = weight + 1e-9  # a step of gaps alone is their plain mean
    total = np.add.reduceat(share, first)
    kept_left, kept_right = np.add.reduceat(left * share, first) / total, np.add.reduceat(right * share, first) / total
    return edges[last], kept_left, kept_right, np.add.reduceat(weight, first)
