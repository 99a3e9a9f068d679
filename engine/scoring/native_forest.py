"""Decision trees recognised in a graph: the reader of ``netsieve.export.trees``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.tree_ensemble import LEAF, TreeEnsemble
from netsieve.engine.scoring.model_file import SCORE
from netsieve.engine.scoring.native_columns import RecognisedColumns
from netsieve.engine.scoring.native_cores import RecognisedCore
from netsieve.engine.scoring.recognition import NotRecognisedError, RecognisedGraph

if TYPE_CHECKING:
    from netsieve.kernels._native import ScoringKernel

MOST_NODES: Final = 2**22
"""Nodes of all trees together; larger forests stay with onnxruntime, which does not lay them out anew."""
TREES: Final = "trees"
NODE_ATTRIBUTES: Final = ("treeids", "nodeids", "featureids", "truenodeids", "falsenodeids")
TARGET_ATTRIBUTES: Final = ("target_treeids", "target_nodeids", "target_ids")
MISSING_LEFT: Final = "nodes_missing_value_tracks_true"


def recognise(graph: RecognisedGraph, columns: RecognisedColumns, variant: str) -> RecognisedCore:
    """Return the kernel of trees whose sums are a score; parameters and errors as in ``recognise_core``."""
    trees, sums = take_trees(graph, columns, TREES)
    graph.integers("row_axis", [1])
    axis = graph.name("row_axis")
    if graph.has_node(SCORE) and graph.operator(SCORE) == "ReduceMax":
        combination = "largest"
        score = graph.node("ReduceMax", sums, axis, name=SCORE, keepdims=0)
    else:
        combination = "sum"
        if graph.has_node("exponential"):
            combination = "exponential"
            sums = graph.node("Exp", sums, name="exponential")
        if trees.targets != 1:
            raise NotRecognisedError(f"the trees of a score have {trees.targets} targets")
        score = graph.node("Squeeze", sums, axis, name=SCORE)
    return RecognisedCore((forest_kernel(trees, columns.width, combination, variant),), score)


def take_trees(graph: RecognisedGraph, columns: RecognisedColumns, name: str) -> tuple[TreeEnsemble, str]:
    """Return the trees of the node of this name over the unscaled view or the records, and the name of their sums.

    Other parameters and errors are those of :func:`recognise`. That they are trees, their kernel checks.
    """
    inputs = columns.unscaled_or_records(graph.input_of(name, 0))
    if graph.operator(name) != "TreeEnsembleRegressor":
        raise NotRecognisedError(f"the node {name!r} is of another operator")
    lists = [*(f"nodes_{each}" for each in NODE_ATTRIBUTES), *TARGET_ATTRIBUTES]
    sums = graph.node(
        "TreeEnsembleRegressor",
        inputs,
        name=name,
        domain="ai.onnx.ml",
        **dict.fromkeys([*lists, "n_targets", "nodes_modes", "nodes_values", "target_weights", MISSING_LEFT], ...),
    )
    return _trees(_Attributes(graph, name), columns.width), sums


def forest_kernel(
    trees: TreeEnsemble, width: int, combination: str, variant: str, *, explains: bool = False
) -> ScoringKernel:
    """Return the kernel of trees over the unscaled view.

    Parameters
    ----------
    trees
        The trees.
    width
        Columns of the view.
    combination
        ``"sum"`` of all targets, its ``"exponential"``, or the ``"largest"`` target.
    variant
        Instruction set, one of ``netsieve.kernels._native.scoring_variants()``.
    explains
        Whether the targets are the features' parts of the score.

    Raises
    ------
    NotRecognisedError
        The arrays are not trees.
    """
    from netsieve.kernels._native import forest

    try:
        return forest(
            variant,
            "unscaled",
            width,
            trees.root,
            trees.column,
            trees.threshold,
            trees.left,
            trees.right,
            trees.missing_left,
            np.ascontiguousarray(trees.value),
            trees.target,
            trees.targets,
            combination,
            explains,
        )
    except ValueError as error:
        raise NotRecognisedError(str(error)) from error


class _Attributes:
    """The attributes of a node of trees."""

    def __init__(self, graph: RecognisedGraph, node: str) -> None:
        self._graph = graph
        self._node = node

    def get(self, name: str) -> Any:
        return self._graph.attribute(self._node, name)

    def integers(self, name: str, size: int) -> NDArray[np.int64]:
        return self._list(name, size, np.int64)

    def floats(self, name: str, size: int) -> NDArray[np.float32]:
        return self._list(name, size, np.float32)

    def _list(self, name: str, size: int, dtype: type[np.generic]) -> NDArray[Any]:
        values = self.get(name)
        if not isinstance(values, np.ndarray) or values.dtype != np.dtype(dtype) or values.shape != (size,):
            raise NotRecognisedError(f"the trees' {name} are no list of {size:,} numbers")
        return values


def _trees(attributes: _Attributes, width: int) -> TreeEnsemble:
    """Return the trees that a node's attributes describe."""
    modes = attributes.get("nodes_modes")
    nodes = len(modes) if isinstance(modes, tuple) else 0
    if not 0 < nodes <= MOST_NODES:
        raise NotRecognisedError(f"the trees have {nodes:,} nodes")
    is_leaf = np.fromiter((mode == b"LEAF" for mode in modes), np.bool_, nodes)
    if not all(mode in (b"LEAF", b"BRANCH_LEQ") for mode in modes):
        raise NotRecognisedError("the trees decide otherwise than by x <= threshold")
    tree, node, column, left, right = (attributes.integers(f"nodes_{each}", nodes) for each in NODE_ATTRIBUTES)
    threshold = attributes.floats("nodes_values", nodes)
    missing_left = np.zeros(nodes, dtype=np.int64)
    if attributes.get(MISSING_LEFT) is not None:
        missing_left = attributes.integers(MISSING_LEFT, nodes)

    starts = np.diff(tree, prepend=-1)
    root = np.flatnonzero(starts)
    follow_each_other = tree[0] == 0 and ((starts == 0) | (starts == 1)).all()
    if not follow_each_other or not np.array_equal(node, np.arange(nodes) - root[tree]):
        raise NotRecognisedError("the nodes of the trees are numbered otherwise")
    size = np.diff(root, append=nodes)[tree]
    within = (column >= 0) & (column < width) & (left >= 0) & (left < size) & (right >= 0) & (right < size)
    if not (is_leaf | within).all() or not ((missing_left == 0) | (missing_left == 1)).all():
        raise NotRecognisedError("a node of the trees looks, or leads, where there is nothing")
    # Else a few leaves of many values would take memory for every node
    if 2 * int(is_leaf.sum()) != nodes + len(root):
        raise NotRecognisedError("the trees have more or fewer leaves than their nodes lead to")
    value, target, targets = _leaves(attributes, tree, node, is_leaf)
    return TreeEnsemble(
        root=root.astype(np.int32),
        column=np.where(is_leaf, LEAF, column).astype(np.int32),
        threshold=threshold,
        left=np.where(is_leaf, 0, left + root[tree]).astype(np.int32),
        right=np.where(is_leaf, 0, right + root[tree]).astype(np.int32),
        missing_left=missing_left.astype(np.bool_) & ~is_leaf,
        value=value,
        target=target,
        targets=targets,
    )


def _leaves(
    attributes: _Attributes, tree: NDArray[np.int64], node: NDArray[np.int64], is_leaf: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.int32], int]:
    """Return the values of all nodes, the first target of each tree, and how many targets there are."""
    targets = attributes.get("n_targets")
    weight: Any = attributes.get("target_weights")
    leaf = np.flatnonzero(is_leaf)
    total = len(weight) if isinstance(weight, np.ndarray) else 0
    if not isinstance(targets, int) or not 0 < targets < 2**16 or not len(leaf) or not total or total % len(leaf):
        raise NotRecognisedError("the leaves of the trees have no values")
    weight = attributes.floats("target_weights", total)
    values = total // len(leaf)
    tree_of, node_of, target_of = (attributes.integers(each, total) for each in TARGET_ATTRIBUTES)
    target_of = target_of.reshape(-1, values)
    target = np.zeros(int(tree[-1]) + 1, dtype=np.int64)
    target[tree[leaf]] = target_of[:, 0]
    if (
        not np.array_equal(tree_of, np.repeat(tree[leaf], values))
        or not np.array_equal(node_of, np.repeat(node[leaf], values))
        or not np.array_equal(target_of, target[tree[leaf]][:, None] + np.arange(values))
        or target_of.min() < 0
        or target_of.max() >= targets
    ):
        raise NotRecognisedError("the values of the trees' leaves are of other leaves or targets")
    value = np.zeros((len(is_leaf), values), dtype=np.float32)
    value[leaf] = weight.reshape(-1, values)
    return value, target.astype(np.int32), targets
