"""scikit-learn's trees behind scalers: the scalers move into the thresholds, so that raw values are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.sklearn_trees import boosted_trees, isolation_trees, thresholds_before_rounding
from netsieve.engine.detectors.tree_ensemble import TreeEnsemble, TreeScore
from netsieve.engine.errors import ExportError
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.features.unscaled import largest_at_most, prepared_number
from netsieve.export.column_operations import applied, scaler_operations

TREES: Final = ("IsolationForest", "HistGradientBoostingClassifier")


def estimator_trees(steps: Sequence[Any], final: Any, schema: FeatureSchema | None, sign: float) -> TreeScore:
    """Return the trees of a fitted estimator over raw columns.

    Parameters
    ----------
    steps
        Fitted scalers and imputers before it.
    final
        A fitted estimator of :data:`TREES`.
    schema
        Where the first step takes the prepared matrix: the trees then take the unscaled one. None where it takes
        records in raw units, as the trees then do.
    sign
        What the sum of boosted trees is multiplied by, 1 or -1.

    Raises
    ------
    ExportError
        The trees split on sets of categories, or each was grown on a single row.
    """
    splits = _RawSplits(steps, schema, rounds=type(final).__name__ == "IsolationForest")
    missing_left = splits.missing_left if splits.fills_missing else None
    if type(final).__name__ == "IsolationForest":
        if final.max_samples_ < 2:
            raise ExportError("an IsolationForest with max_samples of 1 gives all rows one score; fit it with more")
        return TreeScore(isolation_trees(final, splits.thresholds, missing_left), "exponential")
    if final.is_categorical_ is not None and np.any(final.is_categorical_):
        raise ExportError("trees that split on sets of categories cannot be exported; fit them on one-hot columns")
    trees = boosted_trees(final, splits.thresholds, missing_left)
    return TreeScore(replace(trees, value=np.float32(sign) * trees.value), "value")


def rows_at_splits(trees: TreeEnsemble, columns: NDArray[np.float32]) -> int:
    """Return how many rows have a value within one float32 step of a threshold of its column."""
    near = np.zeros(len(columns), dtype=np.bool_)
    for column in np.unique(trees.column[trees.column >= 0]):
        threshold = np.unique(trees.threshold[trees.column == column])
        values = columns[:, column]
        for neighbour in (values, np.nextafter(values, np.float32(-np.inf)), np.nextafter(values, np.float32(np.inf))):
            near |= np.isin(neighbour, threshold)
    return int(near.sum())


class _RawSplits:
    """Where splits of scaled columns lie in raw units.

    Parameters
    ----------
    steps, schema
        As for :func:`estimator_trees`.
    rounds
        Whether the trees round what they are given to float32.
    """

    def __init__(self, steps: Sequence[Any], schema: FeatureSchema | None, *, rounds: bool) -> None:
        self.operations = [operation for step in steps for operation in scaler_operations(step)]
        self.numeric = [] if schema is None else [feature for _, feature in schema.numeric]
        self.limit = 0.0 if schema is None else schema.soft_clip
        self.rounds = rounds
        self.fills_missing = schema is not None or any(each.operator == "Fill" for each in self.operations)

    def scaled(self, raw: NDArray[np.float32], column: int) -> NDArray[np.float64]:
        """Return what the trees compare for raw values ``[n]`` of a column."""
        values = raw.astype(np.float64)
        if column < len(self.numeric):
            feature = self.numeric[column]
            values = np.where(np.isnan(raw), feature.fill, prepared_number(feature, raw, self.limit))
        return applied(self.operations, values, column)

    def thresholds(self, column: NDArray[np.int64], threshold: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return raw thresholds that decide like those of scaled columns."""
        threshold = self._compared(threshold)
        result = np.empty(len(column), dtype=np.float32)
        for each in np.unique(column):
            chosen = column == each
            result[chosen] = largest_at_most(lambda raw, c=int(each): self.scaled(raw, c), threshold[chosen])  # type: ignore[misc]
        return result

    def missing_left(self, column: NDArray[np.int64], threshold: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether what stands for a missing value goes left."""
        missing = np.full(1, np.nan, dtype=np.float32)
        width = int(column.max(initial=0)) + 1
        fill = np.concatenate([self.scaled(missing, each) for each in range(width)])
        return np.asarray(fill[column] <= self._compared(threshold), dtype=np.bool_)

    def _compared(self, threshold: NDArray[np.float64]) -> NDArray[np.float64]:
        return thresholds_before_rounding(threshold) if self.rounds else threshold
