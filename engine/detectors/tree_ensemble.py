"""Decision trees as flat arrays: which leaf a row falls into, and what the leaves add up to.

Rows are compared in float32 and in the columns' own units, so that a runtime makes the very same decisions. Leaf
values lie on a grid on which float32 sums are exact (:func:`exactly_summable`): no order of the trees, no batch and no
number of threads changes a bit of a sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import View

LEAF: Final = -1
"""Column of a node that is a leaf."""
FLOAT32_BITS: Final = 24
"""Bits of a float32 number's significand."""
BLOCK_ROWS: Final = 2048
"""Rows that go through a tree together: few enough that their columns stay in the processor's cache."""
SMALLEST_SUM: Final = 1e-20
"""Sums are taken to be at least this large, so that the grid of all-zero trees is one of ordinary numbers."""

Combination = Literal["exponential", "value", "largest"]


@dataclass(frozen=True, slots=True)
class TreeEnsemble:
    """Binary trees over float32 columns: a row goes left where its value is no larger than the node's threshold.

    Attributes
    ----------
    root
        int32 ``[trees]``, the node that each tree begins with; a tree's nodes follow each other.
    column
        int32 ``[nodes]``, the column that a node looks at, :data:`LEAF` for leaves.
    threshold
        float32 ``[nodes]``; 0 for leaves.
    left, right
        int32 ``[nodes]``, the nodes that follow; a leaf's are the leaf.
    missing_left
        bool ``[nodes]``, whether NaN goes left.
    value
        float32 ``[nodes, values]``, what a leaf adds to its tree's targets; 0 for other nodes.
    target
        int32 ``[trees]``, the first target that a tree's values are added to; the others are the next ones.
    targets
        How many targets there are.
    """

    root: NDArray[np.int32]
    column: NDArray[np.int32]
    threshold: NDArray[np.float32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    missing_left: NDArray[np.bool_]
    value: NDArray[np.float32]
    target: NDArray[np.int32]
    targets: int

    def leaves(self, columns: NDArray[Any], tree: int) -> NDArray[np.intp]:
        """Return the leaf of one tree that each row ``[n, d]`` falls into, intp ``[n]``."""
        columns = np.ascontiguousarray(columns, dtype=np.float32)
        return self._descent(tree).leaves(columns, has_missing=bool(np.isnan(columns).any()))

    def sums(self, columns: NDArray[Any]) -> NDArray[np.float64]:
        """Return what the rows' leaves add up to, float64 ``[n, targets]``."""
        columns = np.ascontiguousarray(columns, dtype=np.float32)
        value = self.value.astype(np.float64)
        descents = [self._descent(tree) for tree in range(len(self.root))]
        sums = np.zeros((len(columns), self.targets))
        for start in range(0, len(columns), BLOCK_ROWS):
            block, part = columns[start : start + BLOCK_ROWS], sums[start : start + BLOCK_ROWS]
            has_missing = bool(np.isnan(block).any())
            for descent, first in zip(descents, self.target, strict=True):
                part[:, first : first + value.shape[1]] += value[descent.leaves(block, has_missing=has_missing)]
        return sums

    def _descent(self, tree: int) -> _Descent:
        first = self.root[tree]
        nodes = slice(first, self.root[tree + 1] if tree + 1 < len(self.root) else len(self.column))
        children = np.stack([self.right[nodes], self.left[nodes]], axis=1).astype(np.intp).reshape(-1) - first
        return _Descent(
            first=int(first),
            column=np.maximum(self.column[nodes], 0).astype(np.intp),
            threshold=self.threshold[nodes],
            missing_left=self.missing_left[nodes],
            children=children,
            depth=_depth(children),
        )


class _Descent(NamedTuple):
    """One tree, laid out for many rows to go through it together."""

    first: int
    column: NDArray[np.intp]
    threshold: NDArray[np.float32]
    missing_left: NDArray[np.bool_]
    children: NDArray[np.intp]
    """A node's right child at twice its number, the left one behind it; leaves lead to themselves."""
    depth: int

    def leaves(self, columns: NDArray[np.float32], *, has_missing: bool) -> NDArray[np.intp]:
        cells, row_start = columns.reshape(-1), np.arange(len(columns)) * columns.shape[1]
        node = np.zeros(len(columns), dtype=np.intp)
        for _ in range(self.depth):
            value = cells.take(row_start + self.column.take(node))
            goes_left = value <= self.threshold.take(node)
            if has_missing:
                goes_left |= np.isnan(value) & self.missing_left.take(node)
            node = self.children.take(2 * node + goes_left)
        return np.asarray(node + self.first, dtype=np.intp)


def _depth(children: NDArray[np.intp]) -> int:
    """Return the largest number of splits on the way to a leaf, given the children of each node, two by two."""
    level, depth = np.zeros(1, dtype=np.intp), 0
    while True:
        below = np.stack([children[2 * level], children[2 * level + 1]])
        level = np.unique(below[below != level])
        if not len(level):
            return depth
        depth += 1


@dataclass(frozen=True, slots=True)
class TreeScore:
    """A score made of the trees' sums.

    Attributes
    ----------
    trees
        The trees, over unscaled columns.
    combination
        ``"exponential"``: the exponential of the only target. ``"value"``: the only target. ``"largest"``: the
        largest of the targets.
    """

    view: ClassVar[View] = "unscaled"

    trees: TreeEnsemble
    combination: Combination

    def score(self, columns: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores in float64, ``[n]``: the reference that exported graphs are checked against."""
        sums = self.trees.sums(columns)
        if self.combination == "largest":
            return np.asarray(sums.max(axis=1), dtype=np.float64)
        return np.exp(sums[:, 0]) if self.combination == "exponential" else sums[:, 0]


@dataclass(frozen=True, slots=True)
class ColumnTrees:
    """A score that is the sum of one function a column, each a tree over that column alone.

    Attributes
    ----------
    trees
        The trees, over unscaled columns; the targets are the columns.
    """

    view: ClassVar[View] = "unscaled"

    trees: TreeEnsemble

    def column_errors(self, columns: NDArray[Any]) -> NDArray[np.float64]:
        """Return each column's part of the score, float64 ``[n, d]``."""
        return self.trees.sums(columns)

    def score(self, columns: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores in float64, ``[n]``: the reference that exported graphs are checked against."""
        return np.asarray(self.column_errors(columns).sum(axis=1), dtype=np.float64)


def joined_trees(trees: Sequence[TreeEnsemble], targets: int) -> TreeEnsemble:
    """Return one ensemble of all trees; each keeps its target."""
    offsets = np.cumsum([0, *(len(each.column) for each in trees)])
    pairs = [(each, np.int32(offset)) for each, offset in zip(trees, offsets, strict=False)]
    return TreeEnsemble(
        root=np.concatenate([each.root + offset for each, offset in pairs]),
        column=np.concatenate([each.column for each in trees]),
        threshold=np.concatenate([each.threshold for each in trees]),
        left=np.concatenate([each.left + offset for each, offset in pairs]),
        right=np.concatenate([each.right + offset for each, offset in pairs]),
        missing_left=np.concatenate([each.missing_left for each in trees]),
        value=np.concatenate([each.value for each in trees]),
        target=np.concatenate([each.target for each in trees]),
        targets=targets,
    )


def single_tree(
    column: NDArray[Any],
    threshold: NDArray[np.float32],
    left: NDArray[Any],
    right: NDArray[Any],
    value: NDArray[Any],
    *,
    missing_left: NDArray[np.bool_] | None = None,
    target: int = 0,
) -> TreeEnsemble:
    """Return an ensemble of one tree whose root is node 0; arrays as in :class:`TreeEnsemble`, leaves as they come.

    Column, threshold and children of leaves are those that the class asks for, whatever is given: a node is a leaf
    where ``column`` is negative.
    """
    is_leaf = np.asarray(column) < 0
    nodes = np.arange(len(is_leaf))
    missing = np.zeros(len(is_leaf), dtype=np.bool_) if missing_left is None else np.asarray(missing_left, np.bool_)
    values = np.asarray(value, dtype=np.float32).reshape(len(is_leaf), -1)
    return TreeEnsemble(
        root=np.zeros(1, dtype=np.int32),
        column=np.where(is_leaf, LEAF, column).astype(np.int32),
        threshold=np.where(is_leaf, 0, threshold).astype(np.float32),
        left=np.where(is_leaf, nodes, left).astype(np.int32),
        right=np.where(is_leaf, nodes, right).astype(np.int32),
        missing_left=missing & ~is_leaf,
        value=np.where(is_leaf[:, None], values, 0).astype(np.float32),
        target=np.array([target], dtype=np.int32),
        targets=target + values.shape[1],
    )


def exactly_summable(trees: TreeEnsemble, *, across_targets: bool = False) -> TreeEnsemble:
    """Return the trees with leaf values rounded to a grid on which all their sums are exact in float32.

    With ``across_targets`` the sum of all targets is exact too.

    The grid's step is the power of two of which float32 holds every multiple up to the largest sum that the trees
    could reach together: values move by less than float32 would lose in adding them up.
    """
    largest = _largest_sum(trees, across_targets)
    step = 2.0 ** (np.ceil(np.log2(max(largest, SMALLEST_SUM))) - FLOAT32_BITS)
    rounded = _on_grid(trees, step)
    if (
        _largest_sum(rounded, across_targets) > step * 2.0**FLOAT32_BITS
    ):  # rounding up can carry the sum past the power of two
        rounded = _on_grid(trees, 2 * step)
    return rounded


def _largest_sum(trees: TreeEnsemble, across_targets: bool) -> float:
    """Return a bound of what a target's leaves, or all, add up to, in any order, with any of them left out."""
    bounds = np.maximum.reduceat(np.abs(trees.value.astype(np.float64)), trees.root)
    largest = np.zeros(trees.targets)
    for first, bound in zip(trees.target, bounds, strict=True):
        largest[first : first + len(bound)] += bound
    return float(largest.sum() if across_targets else largest.max())


def _on_grid(trees: TreeEnsemble, step: float) -> TreeEnsemble:
    return replace(trees, value=(np.round(trees.value.astype(np.float64) / step) * step).astype(np.float32))
