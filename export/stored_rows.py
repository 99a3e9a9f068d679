"""The distance to the nearest stored rows as ONNX nodes.

A matrix product gives the distances to all stored rows (``distances``, less what is the same for all of them), good
to about 1e-7 of the squared lengths of the rows: enough to find candidates, not to score a row that lies close to a
stored one. Hence the nearest of them and a few more (``candidates``) are fetched, and their differences taken exactly.
Measured with onnxruntime 1.31 on one core, 60 columns against 1,000 stored rows, in microseconds a row: the product
2.2, with TopK 3.3, with the exact differences of 4 candidates 3.9, of 8 candidates 5.6.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import BASE_SCORE
from netsieve.engine.detectors.stored_rows import StoredRows
from netsieve.engine.errors import ExportError
from netsieve.engine.features.preprocessing import feature_selection
from netsieve.export.graph import FEATURE_ERROR, SCORE, CoreOutputs, Graph
from netsieve.export.preprocessing import RecordColumns

SPARE_CANDIDATES: Final = 3
"""Rows fetched beyond the neighbours, among which exact differences choose."""


def add_stored_rows(graph: Graph, columns: RecordColumns, core: StoredRows) -> CoreOutputs:
    """Add the nodes from the prepared matrix to ``feature_error`` and ``score``.

    Raises
    ------
    ExportError
        The stored rows and the schema do not fit together.
    """
    selection = feature_selection(columns.schema)
    width = core.rows.shape[1]
    if width != len(selection) or core.weight.shape != (width,):
        raise ExportError(
            f"the stored rows have {width} columns with {core.weight.shape} weights, but the schema prepares "
            f"{len(selection)}; use the schema they were stored with"
        )
    prepared = columns.view(core.view)
    rows = graph.constant("stored_rows", core.rows)
    second = graph.constant("neighbour_axis", np.array([1]))
    row = graph.node("Unsqueeze", prepared, second, name="row")
    neighbours = _add_neighbours(graph, core, prepared, row, rows)
    nearest = graph.node("Gather", rows, neighbours, name="neighbour_rows", axis=0)
    difference = graph.node("Sub", row, nearest, name="difference")
    squared = graph.node("Mul", difference, difference, name="difference_squared")
    if core.neighbours == 1 or core.aggregation == "farthest":
        mean = graph.node("Squeeze", squared, second, name="squared")
    else:
        mean = graph.node("ReduceMean", squared, second, name="squared", keepdims=0)
    combination = graph.constant("feature_weight", core.weight[:, None] * selection)
    feature_error = graph.node("MatMul", mean, combination, name=FEATURE_ERROR)
    distance = graph.node("ReduceSum", feature_error, second, name="distance", keepdims=0)
    score = graph.node("Add", distance, graph.constant("base_score", BASE_SCORE), name=SCORE)
    return CoreOutputs(score, feature_error)


def _add_neighbours(graph: Graph, core: StoredRows, prepared: str, row: str, rows: str) -> str:
    """Return the name of the numbers of the stored rows that count, int64 ``[n, neighbours]``."""
    exact_rows, weight = core.rows.astype(np.float64), core.weight.astype(np.float64)
    candidates = _add_candidates(graph, core, prepared, exact_rows, weight)
    fetched = graph.node("Gather", rows, candidates, name="candidate_rows", axis=0)
    difference = graph.node("Sub", row, fetched, name="candidate_difference")
    squared = graph.node("Mul", difference, difference, name="candidate_difference_squared")
    weighted = graph.node("Mul", squared, graph.constant("column_weight", weight[None, None]), name="candidate_parts")
    last = graph.constant("column_axis", np.array([2]))
    distance = graph.node("ReduceSum", weighted, last, name="candidate_distance", keepdims=0)
    _, nearest = graph.split_node(
        "TopK",
        distance,
        graph.constant("neighbours", np.array([core.neighbours])),
        name="nearest",
        outputs=("nearest_distance", "nearest_candidate"),
        axis=1,
        largest=0,
    )
    if core.aggregation == "farthest" and core.neighbours > 1:
        farthest = graph.constant("farthest_position", np.array([core.neighbours - 1]))
        nearest = graph.node("Gather", nearest, farthest, name="farthest", axis=1)
    return graph.node("GatherElements", candidates, nearest, name="neighbour", axis=1)


def _add_candidates(
    graph: Graph, core: StoredRows, prepared: str, rows: NDArray[np.float64], weight: NDArray[np.float64]
) -> str:
    """Return the name of the numbers of the stored rows that may be the nearest, int64 ``[n, candidates]``."""
    distances = graph.node(
        "Gemm",
        prepared,
        graph.constant("distances.weight", -2 * (rows * weight).T),
        graph.constant("distances.bias", (np.square(rows) * weight).sum(axis=1)),
        name="distances",
    )
    count = min(core.neighbours + SPARE_CANDIDATES, len(rows))
    return graph.split_node(
        "TopK",
        distances,
        graph.constant("candidate_count", np.array([count])),
        name="candidates",
        outputs=("candidate_distances", "candidate"),
        axis=1,
        largest=0,
    )[1]
