"""Slow, obvious twins of the forest's kernels, and trees to compare them on."""

import numpy as np

from netsieve.engine.detectors.tree_ensemble import LEAF, TreeEnsemble

GRID = 2.0**-6
"""Leaf values are multiples of this, and few enough that float32 sums of them are exact."""


def leaf_of(trees, tree, row):
    """Return the leaf that a row falls into, one question after the other."""
    node = int(trees.root[tree])
    while trees.column[node] != LEAF:
        value = row[trees.column[node]]
        goes_left = bool(trees.missing_left[node]) if np.isnan(value) else bool(value <= trees.threshold[node])
        node = int(trees.left[node] if goes_left else trees.right[node])
    return node


def sums_of(trees, x):
    """Return what the rows' leaves add up to, target by target, ``[n, targets]``."""
    sums = np.zeros((len(x), trees.targets))
    for i, row in enumerate(x):
        for tree, first in enumerate(trees.target):
            for j, value in enumerate(trees.value[leaf_of(trees, tree, row)]):
                sums[i, first + j] += float(value)
    return sums


def random_trees(rng, *, columns, leaves, values=1, targets=1, thresholds=None, missing=True, chain=0.0):
    """Return trees of random splits.

    Parameters
    ----------
    rng
        Random numbers.
    columns
        Columns that they look at.
    leaves
        Leaves of each tree.
    values, targets
        Values of a leaf, and targets there are.
    thresholds
        What thresholds are drawn from; normal numbers unless given.
    missing
        Whether missing values go left at some nodes.
    chain
        Share of the splits that go on at the last leaf made, so that a tree grows deep.
    """
    column, left, right, root = [], [], [], []
    for count in leaves:
        root.append(len(column))
        open_leaves = [len(column)]
        column.append(LEAF)
        left.append(0)
        right.append(0)
        for _ in range(count - 1):
            node = open_leaves.pop(-1 if rng.random() < chain else int(rng.integers(len(open_leaves))))
            column[node] = int(rng.integers(columns))
            left[node], right[node] = len(column), len(column) + 1
            if rng.random() < 0.5:
                left[node], right[node] = right[node], left[node]
            open_leaves += [len(column), len(column) + 1]
            column += [LEAF, LEAF]
            left += [0, 0]
            right += [0, 0]
    column = np.array(column, dtype=np.int32)
    inner, nodes = column != LEAF, len(column)
    threshold = rng.normal(size=nodes) if thresholds is None else rng.choice(thresholds, nodes)
    value = rng.integers(-64, 65, (nodes, values)) * GRID
    return TreeEnsemble(
        root=np.array(root, dtype=np.int32),
        column=column,
        threshold=np.where(inner, threshold, 0).astype(np.float32),
        left=np.where(inner, left, np.arange(nodes)).astype(np.int32),
        right=np.where(inner, right, np.arange(nodes)).astype(np.int32),
        missing_left=(rng.random(nodes) < 0.5) & inner & missing,
        value=np.where(inner[:, None], 0, value).astype(np.float32),
        target=rng.integers(0, targets - values + 1, len(root)).astype(np.int32),
        targets=targets,
    )
