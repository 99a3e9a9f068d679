"""A tree for each feature, recognised in a graph: the reader of ``netsieve.export.trees.add_column_trees``."""

from __future__ import annotations

from netsieve.engine.scoring.model_file import FEATURE_ERROR, SCORE
from netsieve.engine.scoring.native_columns import RecognisedColumns
from netsieve.engine.scoring.native_cores import RecognisedCore
from netsieve.engine.scoring.native_forest import forest_kernel, take_trees
from netsieve.engine.scoring.recognition import NotRecognisedError, RecognisedGraph


def recognise(graph: RecognisedGraph, columns: RecognisedColumns, variant: str) -> RecognisedCore:
    """Return the kernel of trees whose targets are the features; parameters and errors as in ``recognise_core``."""
    if graph.operator(FEATURE_ERROR) != "TreeEnsembleRegressor":
        raise NotRecognisedError("there are no native kernels for this kind of detector")
    trees, parts = take_trees(graph, columns, FEATURE_ERROR)
    if trees.targets != columns.n_features:
        raise NotRecognisedError(f"the trees have {trees.targets} targets for {columns.n_features} features")
    graph.integers("row_axis", [1])
    score = graph.node("ReduceSum", parts, graph.name("row_axis"), name=SCORE, keepdims=0)
    return RecognisedCore((forest_kernel(trees, columns.width, "sum", variant, explains=True),), score, parts)
