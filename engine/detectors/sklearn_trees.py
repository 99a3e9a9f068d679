"""Trees that scikit-learn trained as flat arrays: its decisions, kept exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.tree_ensemble import TreeEnsemble, exactly_summable, joined_trees, single_tree
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.features.unscaled import prepared_missing, rounded_down, unscaled_thresholds

EULER_GAMMA: Final = 0.5772156649015329

ThresholdMap = Callable[[NDArray[np.int64], NDArray[np.float64]], NDArray[np.float32]]
"""Given columns and thresholds of them in float64, the float32 thresholds of the columns that will be compared."""
MissingMap = Callable[[NDArray[np.int64], NDArray[np.float64]], NDArray[np.bool_]]
"""Given columns and thresholds, whether a row whose value is missing goes left."""


def thresholds_before_rounding(threshold: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest float64 numbers that, rounded to float32, are no larger than the thresholds.

    scikit-learn rounds what it is given to float32 and compares with float64 thresholds. A number compared with the
    returned thresholds decides as scikit-learn does, without being rounded.
    """
    low = rounded_down(threshold)
    high = np.nextafter(low, np.float32(np.inf))
    middle = (low.astype(np.float64) + high.astype(np.float64)) / 2
    goes_down = middle.astype(np.float32) <= low  # half way is rounded to the even neighbour
    return np.where(goes_down, middle, np.nextafter(middle, -np.inf))


def prepared_splits(schema: FeatureSchema) -> tuple[ThresholdMap, MissingMap]:
    """Return how splits of the prepared float32 columns decide on unscaled ones, and on missing values."""
    # what is missing stands for its fill in numbers; other columns are never missing
    fill = np.append(prepared_missing(schema), np.inf)

    def thresholds(column: NDArray[np.int64], threshold: NDArray[np.float64]) -> NDArray[np.float32]:
        return unscaled_thresholds(schema, column, thresholds_before_rounding(threshold))

    def missing_left(column: NDArray[np.int64], threshold: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.asarray(fill[np.minimum(column, len(fill) - 1)] <= threshold, dtype=np.bool_)

    return thresholds, missing_left


def average_path_length(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Return ``c(n)``, how deep an unsuccessful search in a binary search tree of ``n`` rows goes on average.

    References
    ----------
    Liu, Ting and Zhou, "Isolation Forest", ICDM 2008, equation 1.
    """
    n = np.asarray(rows, dtype=np.float64)
    several = np.maximum(n, 3)
    length = 2 * (np.log(several - 1) + EULER_GAMMA) - 2 * (several - 1) / several
    return np.where(n > 2, length, np.where(n == 2, 1.0, 0.0))


def isolation_trees(forest: Any, thresholds: ThresholdMap, missing_left: MissingMap | None = None) -> TreeEnsemble:
    """Return the trees of a fitted isolation forest, whose sum is the logarithm of its anomaly score.

    Parameters
    ----------
    forest
        A fitted ``sklearn.ensemble.IsolationForest``.
    thresholds
        Maps the trees' thresholds to those of the columns compared.
    missing_left
        Where missing values go, unless as the trees themselves say.

    Notes
    -----
    The score is ``2 ** -(mean of (depth + c(rows in the leaf)) / c(rows a tree was trained on))`` (Liu et al., equation
    2), so that a leaf adds ``-ln 2 * (depth + c(rows in the leaf)) / (trees * c(rows of a tree))``.
    """
    scale = -np.log(2) / (len(forest.estimators_) * float(average_path_length(forest.max_samples_)))
    grown = []
    for estimator, chosen in zip(forest.estimators_, forest.estimators_features_, strict=True):
        tree = estimator.tree_
        depth = _depths(tree.children_left, tree.children_right)
        grown.append(
            _GrownTree(
                column=np.asarray(chosen, dtype=np.int64)[np.maximum(tree.feature, 0)],
                threshold=tree.threshold,
                left=tree.children_left,
                right=tree.children_right,
                missing_left=tree.missing_go_to_left,
                is_leaf=tree.children_left < 0,
                value=scale * (depth + average_path_length(tree.n_node_samples)),
            )
        )
    return _joined(grown, thresholds, missing_left)


def boosted_trees(classifier: Any, thresholds: ThresholdMap, missing_left: MissingMap | None = None) -> TreeEnsemble:
    """Return the trees of fitted gradient-boosted trees, whose sum is the log-odds of the second of two classes.

    Parameters
    ----------
    classifier
        A fitted ``sklearn.ensemble.HistGradientBoostingClassifier`` of two classes, without categorical columns.
    thresholds, missing_left
        As for :func:`isolation_trees`.
    """
    # the log-odds before any tree have no public name; every tree's share of them is added to its leaves
    start = float(np.ravel(classifier._baseline_prediction)[0]) / len(classifier._predictors)
    grown = []
    for (predictor,) in classifier._predictors:
        nodes = predictor.nodes
        grown.append(
            _GrownTree(
                column=nodes["feature_idx"].astype(np.int64),
                threshold=nodes["num_threshold"],
                left=nodes["left"],
                right=nodes["right"],
                missing_left=nodes["missing_go_to_left"],
                is_leaf=nodes["is_leaf"].astype(np.bool_),
                value=nodes["value"] + start,
            )
        )
    return _joined(grown, thresholds, missing_left)


class _GrownTree(NamedTuple):
    """A tree as scikit-learn keeps it, an entry a node."""

    column: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[Any]
    right: NDArray[Any]
    missing_left: NDArray[Any]
    is_leaf: NDArray[np.bool_]
    value: NDArray[np.float64]


def _joined(grown: Sequence[_GrownTree], thresholds: ThresholdMap, missing_left: MissingMap | None) -> TreeEnsemble:
    """Return the trees with their thresholds mapped, all of them at once."""
    column = np.concatenate([tree.column[~tree.is_leaf] for tree in grown])
    value = np.concatenate([tree.threshold[~tree.is_leaf] for tree in grown])
    threshold = thresholds(column, value)
    if missing_left is None:
        goes_left = np.concatenate([tree.missing_left[~tree.is_leaf] for tree in grown])
    else:
        goes_left = missing_left(column, value)
    trees, first = [], 0
    for tree in grown:
        inner = ~tree.is_leaf
        splits = slice(first, first := first + int(inner.sum()))
        trees.append(
            single_tree(
                np.where(inner, tree.column, -1),
                _spread(inner, threshold[splits]),
                tree.left,
                tree.right,
                tree.value,
                missing_left=_spread(inner, goes_left[splits].astype(np.bool_)),
            )
        )
    return exactly_summable(joined_trees(trees, 1))


def _spread(chosen: NDArray[np.bool_], values: NDArray[Any]) -> NDArray[Any]:
    """Return an array with the values where they are chosen, 0 elsewhere."""
    result = np.zeros(len(chosen), dtype=values.dtype)
    result[chosen] = values
    return result


def _depths(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.int64]:
    """Return how many splits lead to each node."""
    depth = np.zeros(len(left), dtype=np.int64)
    level = np.zeros(1, dtype=np.int64)
    steps = 0
    while len(level):
        depth[level] = steps
        inner = level[left[level] >= 0]
        level = np.concatenate([left[inner], right[inner]])
        steps += 1
    return depth
