"""Decision trees as one TreeEnsembleRegressor node named ``trees``, and the score made of its sums."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.tree_ensemble import LEAF, ColumnTrees, Combination, TreeEnsemble, TreeScore
from netsieve.engine.errors import ExportError
from netsieve.engine.features.preprocessing import prepared_columns
from netsieve.export.graph import FEATURE_ERROR, SCORE, TREE_DOMAIN, CoreOutputs, Graph
from netsieve.export.preprocessing import RecordColumns


def add_tree_score(graph: Graph, columns: RecordColumns, core: TreeScore) -> CoreOutputs:
    """Add the nodes from the unscaled columns to ``score``.

    Raises
    ------
    ExportError
        The trees look at columns that the schema does not prepare.
    """
    _check_columns(columns, core.trees)
    sums = add_trees(graph, core.trees, columns.view(core.view))
    return CoreOutputs(add_combined(graph, sums, core.combination), None)


def add_column_trees(graph: Graph, columns: RecordColumns, core: ColumnTrees) -> CoreOutputs:
    """Add the nodes from the unscaled columns to ``feature_error`` and ``score``: a tree adds to its feature at once.

    Raises
    ------
    ExportError
        The trees look at columns that the schema does not prepare.
    """
    _check_columns(columns, core.trees)
    feature = np.array([column.feature for column in prepared_columns(columns.schema)], dtype=np.int32)
    view = columns.view(core.view)
    parts = add_trees(
        graph,
        core.trees,
        view,
        target=feature[core.trees.target],
        targets=len(columns.schema.features),
        name=FEATURE_ERROR,
    )
    axis = graph.constant("row_axis", np.array([1]))
    return CoreOutputs(graph.node("ReduceSum", parts, axis, name=SCORE, keepdims=0), parts)


def add_trees(
    graph: Graph,
    trees: TreeEnsemble,
    columns: str,
    *,
    target: NDArray[np.int32] | None = None,
    targets: int | None = None,
    name: str = "trees",
) -> str:
    """Add the node of the trees' sums and return its name, float32 ``[n, targets]``.

    Parameters
    ----------
    graph
        Graph to add to.
    trees
        The trees.
    columns
        Name of the columns that they look at.
    target, targets
        Other targets than the trees' own.
    name
        Of the node.
    """
    target = trees.target if target is None else target
    nodes = len(trees.column)
    sizes = np.diff(np.append(trees.root, nodes))
    tree_of = np.repeat(np.arange(len(trees.root)), sizes)
    node_of = np.arange(nodes) - trees.root[tree_of]
    is_leaf = trees.column == LEAF
    leaf = np.flatnonzero(is_leaf)
    values = trees.value.shape[1]
    attributes = {
        "nodes_treeids": tree_of,
        "nodes_nodeids": node_of,
        "nodes_featureids": np.where(is_leaf, 0, trees.column),
        "nodes_values": trees.threshold,
        "nodes_truenodeids": np.where(is_leaf, 0, trees.left - trees.root[tree_of]),
        "nodes_falsenodeids": np.where(is_leaf, 0, trees.right - trees.root[tree_of]),
        "target_treeids": np.repeat(tree_of[leaf], values),
        "target_nodeids": np.repeat(node_of[leaf], values),
        "target_ids": (target[tree_of[leaf]][:, None] + np.arange(values)).reshape(-1),
        "target_weights": trees.value[leaf].reshape(-1),
    }
    if trees.missing_left.any():  # onnxruntime looks for NaN at each node where this is given
        attributes["nodes_missing_value_tracks_true"] = trees.missing_left.astype(np.int64)
    return graph.node(
        "TreeEnsembleRegressor",
        columns,
        name=name,
        domain=TREE_DOMAIN,
        n_targets=trees.targets if targets is None else targets,
        nodes_modes=["LEAF" if leaf else "BRANCH_LEQ" for leaf in is_leaf],
        **{key: value.tolist() for key, value in attributes.items()},
    )


def add_combined(graph: Graph, sums: str, combination: Combination) -> str:
    """Add the node ``score`` made of the trees' sums, and return its name."""
    axis = graph.constant("row_axis", np.array([1]))
    if combination == "largest":
        return graph.node("ReduceMax", sums, axis, name=SCORE, keepdims=0)
    if combination == "exponential":
        sums = graph.node("Exp", sums, name="exponential")
    return graph.node("Squeeze", sums, axis, name=SCORE)


def _check_columns(columns: RecordColumns, trees: TreeEnsemble) -> None:
    width = len(prepared_columns(columns.schema))
    largest = int(trees.column.max(initial=LEAF))
    if largest >= width:
        raise ExportError(
            f"the trees look at column {largest}, but the schema prepares {width}; "
            "use the schema they were trained with"
        )
