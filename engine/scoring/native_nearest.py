"""The distance to the nearest stored rows recognised in a graph: the reader of ``netsieve.export.stored_rows``."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import BASE_SCORE
from netsieve.engine.detectors.stored_rows import NeighbourAggregation
from netsieve.engine.scoring.model_file import FEATURE_ERROR, SCORE
from netsieve.engine.scoring.native_columns import RecognisedColumns
from netsieve.engine.scoring.native_cores import RecognisedCore
from netsieve.engine.scoring.recognition import NotRecognisedError, RecognisedGraph

MOST_NEIGHBOURS: Final = 64
"""More neighbours are sought faster by sorting all distances, as the graph does."""
DOUBLE: Final = 11
"""ONNX's number of the type float64."""

DIRECTION_COUNTS: Final = (4, 8, 16, 24, 32, 48)
"""How many directions may be chosen."""
SPARE_DIRECTIONS: Final = 8
"""Directions beyond the largest choice that the iteration carries along, so that the last chosen ones are good."""
ITERATIONS: Final = 3
SMALLEST_VARIANCE: Final = 1e-12
"""Share of the largest variance below which a direction tells nothing."""
SAMPLE_ROWS: Final = 64
"""Stored rows from whose neighbours the number of full comparisons is estimated."""
PRODUCT_COST: Final = 1 / 29
"""Cost of one more direction for one stored row, in cycles a record with AVX-512; measured."""
COMPARISON_COST: Final = 64.0
"""Cost of one full comparison; twice what it is, since there are records less usual than the stored rows."""


def recognise(graph: RecognisedGraph, columns: RecognisedColumns, variant: str) -> RecognisedCore:
    """Return the kernel of stored rows; parameters and errors as in ``native_cores.recognise_core``."""
    from netsieve.kernels._native import stored_rows

    prepared = columns.view("prepared")
    rows = graph.constant("stored_rows", (None, columns.width))
    combination = graph.constant("feature_weight", (columns.width, columns.n_features))
    if (np.count_nonzero(combination, axis=1) > 1).any():
        raise NotRecognisedError("a column of the stored rows counts for several features")
    feature = np.argmax(combination != 0, axis=1)
    weight = combination[np.arange(columns.width), feature]
    second = graph.name("neighbour_axis")
    graph.integers("neighbour_axis", [1])
    row = graph.node("Unsqueeze", prepared, second, name="row")
    nearest, neighbours, aggregation = _recognise_neighbours(graph, prepared, rows, weight)
    gathered = graph.node("Gather", graph.name("stored_rows"), nearest, name="neighbour_rows", axis=0)
    difference = graph.node("Sub", row, gathered, name="difference")
    squared = graph.node("Mul", difference, difference, name="difference_squared")
    if neighbours == 1 or aggregation == "farthest":
        mean = graph.node("Squeeze", squared, second, name="squared")
    else:
        mean = graph.node("ReduceMean", squared, second, name="squared", keepdims=0)
    feature_error = graph.node("MatMul", mean, graph.name("feature_weight"), name=FEATURE_ERROR)
    distance = graph.node("ReduceSum", feature_error, second, name="distance", keepdims=0)
    graph.number("base_score", BASE_SCORE)
    score = graph.node("Add", distance, graph.name("base_score"), name=SCORE)
    try:
        kernel = stored_rows(
            variant,
            rows,
            np.ascontiguousarray(weight),
            neighbours,
            aggregation,
            search_directions(rows, weight),
            feature.astype(np.int32),
            columns.n_features,
        )
    except (ValueError, np.linalg.LinAlgError) as error:
        raise NotRecognisedError(str(error)) from error
    return RecognisedCore((kernel,), score, feature_error)


def _recognise_neighbours(
    graph: RecognisedGraph, prepared: str, rows: NDArray[np.float32], weight: NDArray[np.float32]
) -> tuple[str, int, NeighbourAggregation]:
    """Return the name of the numbers of the rows that count, how many are sought and what is taken of them."""
    stored, width = rows.shape
    wide, wide_weight = rows.astype(np.float64), weight.astype(np.float64)
    _check_close(graph.constant("distances.weight", (width, stored), np.float64), -2 * (wide * wide_weight).T)
    _check_close(graph.constant("distances.bias", (stored,), np.float64), (np.square(wide) * wide_weight).sum(axis=1))
    distances = graph.node(
        "Gemm",
        graph.node("Cast", prepared, name="row_float64", to=DOUBLE),
        graph.name("distances.weight"),
        graph.name("distances.bias"),
        name="distances",
    )
    counts = graph.integers("neighbour_count")
    if counts.shape != (1,) or not 1 <= counts[0] <= min(stored, MOST_NEIGHBOURS):
        raise NotRecognisedError(f"there are no kernels for {counts.tolist()[:8]} neighbours among {stored} rows")
    neighbours = int(counts[0])
    _, nearest = graph.split_node(
        "TopK",
        distances,
        graph.name("neighbour_count"),
        name="nearest",
        outputs=("nearest_distance", "nearest_row"),
        axis=1,
        largest=0,
    )
    if not graph.has_node("farthest_row"):
        return nearest, neighbours, "mean"
    graph.integers("farthest_position", [neighbours - 1])
    farthest = graph.node("Gather", nearest, graph.name("farthest_position"), name="farthest_row", axis=1)
    return farthest, neighbours, "farthest"


def _check_close(found: NDArray[np.float64], expected: NDArray[np.float64]) -> None:
    """Check what the graph seeks neighbours by: it must be of the rows that it then takes differences to."""
    with np.errstate(over="ignore", invalid="ignore"):
        same = np.allclose(found, expected, rtol=1e-12, atol=1e-12 * float(np.abs(expected).max(initial=0)))
    if not same:
        raise NotRecognisedError("the neighbours are sought among other rows than the stored ones")


def search_directions(rows: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the directions that stored rows are first compared along, float64 ``[d, m]`` with orthonormal columns.

    They are the principal directions of the rows times the square roots of the weights, found by subspace iteration,
    and as many of them as make the search cheapest: more cost more products, fewer more full comparisons, of which the
    stored rows' own nearest neighbours tell.

    Parameters
    ----------
    rows
        float32 ``[stored, d]``, finite.
    weight
        float32 ``[d]``, not below zero.

    References
    ----------
    Halko, Martinsson and Tropp, "Finding Structure with Randomness", SIAM Review 53 (2011), algorithm 4.4.
    """
    wide = rows.astype(np.float64)
    scaled = (wide - wide.mean(axis=0)) * np.sqrt(weight.astype(np.float64))
    width = scaled.shape[1]
    start = np.random.default_rng(0).standard_normal((width, min(width, DIRECTION_COUNTS[-1] + SPARE_DIRECTIONS)))
    basis = np.linalg.qr(start)[0]
    for _ in range(ITERATIONS):
        basis = np.linalg.qr(scaled.T @ (scaled @ basis))[0]
    projected = scaled @ basis
    variance, axes = np.linalg.eigh(projected.T @ projected)
    basis = basis @ axes[:, ::-1]
    useful = max(1, int((variance > SMALLEST_VARIANCE * variance[-1]).sum()))
    along = scaled @ basis
    count = min({min(each, useful) for each in DIRECTION_COUNTS}, key=lambda m: _search_cost(scaled, along[:, :m]))
    return np.ascontiguousarray(basis[:, :count])


def _search_cost(scaled: NDArray[np.float64], along: NDArray[np.float64]) -> float:
    """Return what the search for the nearest of the rows costs about, by their coordinates along the directions."""
    stored, directions = along.shape
    sample = np.linspace(0, stored - 1, min(stored, SAMPLE_ROWS)).astype(np.int64)
    squares = np.square(scaled).sum(axis=1)
    lengths = squares[sample][:, None] + squares
    distance = lengths - 2 * scaled[sample] @ scaled.T
    distance[np.arange(len(sample)), sample] = np.inf  # itself
    rest = np.sqrt(np.maximum(squares - np.square(along).sum(axis=1), 0))
    bound = lengths - 2 * (along[sample] @ along.T + np.outer(rest[sample], rest))
    compared = (bound <= distance.min(axis=1, keepdims=True)).sum(axis=1).mean()
    return float(stored * directions * PRODUCT_COST + compared * COMPARISON_COST)
