"""Step functions of single columns as decision trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.tree_ensemble import TreeEnsemble, exactly_summable, joined_trees, single_tree
from netsieve.engine.features.preprocessing import prepared_columns, rarity_table
from netsieve.engine.features.schema import CategoricalFeature, FeatureSchema

EVEN_SHARE = 0.25
"""This much of the weight is spread evenly over the steps, which bounds how deep the rarest lie."""
SMALLEST_NORMAL = np.finfo(np.float32).tiny
"""Smallest number that every processor setting tells from zero."""


@dataclass(frozen=True, slots=True)
class StepFunction:
    """A function of one column that is constant between its edges.

    Attributes
    ----------
    column
        The column.
    edges
        float32 ``[steps - 1]``, increasing. Step j holds the values above edge j - 1 up to and with edge j. NaN falls
        on the last step: where an infinite edge comes before it, nothing else does.
    values
        float64 ``[steps, targets]``.
    weight
        float64 ``[steps]``, how often each step is met: frequent ones get short ways.
    """

    column: int
    edges: NDArray[np.float32]
    values: NDArray[np.float64]
    weight: NDArray[np.float64]


def step_trees(functions: Sequence[StepFunction], *, target_of_column: bool, targets: int) -> TreeEnsemble:
    """Return the trees of step functions, one each.

    Parameters
    ----------
    functions
        At least one.
    target_of_column
        Whether a tree's only value is added to the target with its column's number, and the score is the sum of all
        targets; else all begin at target 0.
    targets
        How many targets there are.
    """
    trees = [_step_tree(each, each.column if target_of_column else 0) for each in functions]
    return exactly_summable(joined_trees(trees, targets), across_targets=target_of_column)


def below(value: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the next smaller float32 numbers, but for none between zero and the smallest normal number.

    Settings under which processors take denormal numbers for zero then change no comparison with zero.
    """
    with np.errstate(over="ignore"):  # below the smallest number is minus infinity
        smaller = np.nextafter(np.asarray(value, dtype=np.float32), np.float32(-np.inf))
    denormal = (np.abs(smaller) < SMALLEST_NORMAL) & (smaller < 0)
    return np.where(denormal, -SMALLEST_NORMAL, smaller).astype(np.float32)


@dataclass(frozen=True, slots=True)
class RaritySteps:
    """The values that a category's rarity column can have.

    Attributes
    ----------
    column
        The prepared column.
    rarities
        float32 ``[steps]``, increasing.
    codes
        int64 ``[steps]``, how many codes have each: they were met equally often when the schema was fitted.
    rows
        int64 ``[steps]``, how many of the given rows have each.
    """

    column: int
    rarities: NDArray[np.float32]
    codes: NDArray[np.int64]
    rows: NDArray[np.int64]

    @property
    def edges(self) -> NDArray[np.float32]:
        """Edges between the rarities, float32 ``[steps - 1]``."""
        return self.rarities[:-1]


def rarity_steps(schema: FeatureSchema, z: NDArray[np.float32]) -> list[RaritySteps]:
    """Return the rarities of each category, counted in prepared rows ``[n, d]``."""
    result = []
    for column, prepared in enumerate(prepared_columns(schema)):
        if prepared.role == "rarity":
            feature = schema.features[prepared.feature]
            assert isinstance(feature, CategoricalFeature)
            rarities, codes = np.unique(rarity_table(feature, schema.soft_clip), return_counts=True)
            rows = np.bincount(np.searchsorted(rarities[:-1], z[:, column]), minlength=len(rarities))
            result.append(RaritySteps(column, rarities, codes, rows))
    return result


def distinct_steps(
    edges: NDArray[np.float32], *per_step: NDArray[np.float64]
) -> tuple[NDArray[np.float32], tuple[NDArray[np.float64], ...]]:
    """Return edges that increase, and what belongs to the steps before them and the last step, without the others."""
    kept = np.concatenate([[True], edges[1:] != edges[:-1]])[: len(edges)]
    return edges[kept], tuple(values[np.append(kept, True)] for values in per_step)


def _step_tree(function: StepFunction, target: int) -> TreeEnsemble:
    """Split where half of the weight lies on each side, nodes before what follows them, left before right."""
    steps = len(function.values)
    weight = np.maximum(function.weight, 0) + 1e-300
    weight = (1 - EVEN_SHARE) * weight / weight.sum() + EVEN_SHARE / steps
    total = np.concatenate([[0.0], np.cumsum(weight)])
    column, threshold, left, right, step = [], [], [], [], []  # type: ignore[var-annotated]
    open_ranges: list[tuple[int, int, list[Any] | None, int]] = [(0, steps, None, 0)]
    while open_ranges:
        first, last, parents, parent = open_ranges.pop()
        node = len(column)
        if parents is not None:
            parents[parent] = node
        is_leaf = last - first == 1
        middle = last
        if not is_leaf:
            half = (total[first] + total[last]) / 2
            middle = int(np.searchsorted(total[first + 1 : last - 1], half)) + first + 1
            if middle > first + 1 and half - total[middle - 1] < total[middle] - half:
                middle -= 1
            open_ranges += [(middle, last, right, node), (first, middle, left, node)]
        column.append(-1 if is_leaf else function.column)
        threshold.append(0.0 if is_leaf else function.edges[middle - 1])
        left.append(node)
        right.append(node)
        step.append(first if is_leaf else 0)
    values = function.values.reshape(steps, -1)[step]
    return single_tree(
        np.array(column), np.array(threshold, np.float32), np.array(left), np.array(right), values, target=target
    )
