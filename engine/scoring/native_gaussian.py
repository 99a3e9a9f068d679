"""Normal distributions recognised in a graph: the reader of ``netsieve.export.gaussian``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import BASE_SCORE
from netsieve.engine.scoring.model_file import FEATURE_ERROR, SCORE
from netsieve.engine.scoring.native_columns import RecognisedColumns
from netsieve.engine.scoring.native_cores import RecognisedCore
from netsieve.engine.scoring.recognition import NotRecognisedError, RecognisedGraph

if TYPE_CHECKING:
    from netsieve.kernels._native import ScoringKernel


def recognise(graph: RecognisedGraph, columns: RecognisedColumns, variant: str) -> RecognisedCore:
    """Return the kernel of one or several normal distributions; as in ``native_cores.recognise_core``."""
    try:
        if graph.has_node("log_likelihood"):
            return _recognise_mixture(graph, columns, variant)
        return _recognise_ellipsoid(graph, columns, variant)
    except ValueError as error:
        raise NotRecognisedError(str(error)) from error


def _recognise_ellipsoid(graph: RecognisedGraph, columns: RecognisedColumns, variant: str) -> RecognisedCore:
    from netsieve.kernels._native import ellipsoid

    prepared = columns.view("prepared")
    width, features = columns.width, columns.n_features
    center = graph.constant("center_row", (1, width))[0]
    whitening = graph.constant("whitening", (width, width))
    centered = graph.node("Sub", prepared, graph.name("center_row"), name="from_center")
    whitened = graph.node("MatMul", centered, graph.name("whitening"), name="whitened")
    if graph.has_node("whitened_squared"):
        selection = graph.constant("feature_selection", (width, features))
        feature = np.argmax(selection, axis=1)
        if not np.array_equal(selection, feature[:, None] == np.arange(features)):
            raise NotRecognisedError("the columns of a distribution do not each belong to one feature")
        squared = graph.node("Mul", whitened, whitened, name="whitened_squared")
        feature_error = graph.node("MatMul", squared, graph.name("feature_selection"), name=FEATURE_ERROR)
    else:
        if width != features:
            raise NotRecognisedError("the columns of a distribution are not the features")
        feature = np.arange(width)
        feature_error = graph.node("Mul", whitened, whitened, name=FEATURE_ERROR)
    graph.integers("row_axis", [1])
    graph.number("base_score", BASE_SCORE)
    distance = graph.node("ReduceSum", feature_error, graph.name("row_axis"), name="distance", keepdims=0)
    score = graph.node("Add", distance, graph.name("base_score"), name=SCORE)
    kernel = ellipsoid(variant, center, whitening, feature.astype(np.int32), features)
    return RecognisedCore((kernel,), score, feature_error)


def _recognise_mixture(graph: RecognisedGraph, columns: RecognisedColumns, variant: str) -> RecognisedCore:
    prepared = columns.view("prepared")
    log_height = graph.constant("log_height", (1, None))[0]
    if not len(log_height):
        raise NotRecognisedError("the mixture has no part")
    if graph.has_node("whitened_by_component"):
        kernel, whitened = _full_mixture(graph, prepared, columns.width, log_height, variant)
    else:
        kernel, whitened = _diagonal_mixture(graph, prepared, columns.width, log_height, variant)
    graph.integers("column_axis", [2])
    graph.integers("row_axis", [1])
    graph.number("minus_half", -0.5)
    graph.number("base_score", BASE_SCORE)
    distance = graph.node("ReduceSumSquare", whitened, graph.name("column_axis"), name="distances", keepdims=0)
    half = graph.node("Mul", distance, graph.name("minus_half"), name="minus_half_distances")
    exponent = graph.node("Add", half, graph.name("log_height"), name="log_densities")
    likelihood = graph.node("ReduceLogSumExp", exponent, graph.name("row_axis"), name="log_likelihood", keepdims=0)
    score = graph.node("Sub", graph.name("base_score"), likelihood, name=SCORE)
    return RecognisedCore((kernel,), score)


def _full_mixture(
    graph: RecognisedGraph, prepared: str, width: int, log_height: NDArray[np.float32], variant: str
) -> tuple[ScoringKernel, str]:
    from netsieve.kernels._native import mixture

    components = len(log_height)
    weight = graph.constant("whitened.weight", (width, components * width))
    bias = graph.constant("whitened.bias", (components * width,))
    together = graph.node("Gemm", prepared, graph.name("whitened.weight"), graph.name("whitened.bias"), name="whitened")
    graph.integers("component_shape", [0, components, width])
    whitened = graph.node("Reshape", together, graph.name("component_shape"), name="whitened_by_component")
    layers = [
        (np.ascontiguousarray(each), np.ascontiguousarray(offset), 1.0)
        for each, offset in zip(np.split(weight, components, axis=1), np.split(bias, components), strict=True)
    ]
    return mixture(variant, log_height, layers), whitened


def _diagonal_mixture(
    graph: RecognisedGraph, prepared: str, width: int, log_height: NDArray[np.float32], variant: str
) -> tuple[ScoringKernel, str]:
    from netsieve.kernels._native import diagonal_mixture

    centers = graph.constant("centers", (1, len(log_height), width))[0]
    whitening = graph.constant("whitening", (1, len(log_height), width))[0]
    graph.integers("component_axis", [1])
    row = graph.node("Unsqueeze", prepared, graph.name("component_axis"), name="row")
    centered = graph.node("Sub", row, graph.name("centers"), name="from_centers")
    whitened = graph.node("Mul", centered, graph.name("whitening"), name="whitened")
    return diagonal_mixture(variant, log_height, centers, whitening), whitened
