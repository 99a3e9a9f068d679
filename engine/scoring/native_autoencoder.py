"""A dense autoencoder recognised in a graph: the reader of ``netsieve.export.autoencoder``."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.dense_autoencoder import NEGATIVE_SLOPE, Aggregation
from netsieve.engine.scoring.model_file import FEATURE_ERROR, SCORE
from netsieve.engine.scoring.native_columns import RecognisedColumns
from netsieve.engine.scoring.native_cores import RecognisedCore
from netsieve.engine.scoring.recognition import NotRecognisedError, RecognisedGraph

Layer = tuple[NDArray[np.float32], NDArray[np.float32], float]
"""Weight ``[inputs, outputs]``, bias ``[outputs]`` and the slope of the activation below zero."""


class Errors(NamedTuple):
    """How the residuals of columns make the errors of features.

    Attributes
    ----------
    aggregation
        As in :class:`netsieve.engine.detectors.dense_autoencoder.DenseAutoencoder`.
    weight
        float32 ``[columns]``.
    share
        What a column's logarithm is multiplied by; 1 where none is taken.
    feature
        int32 ``[columns]``, the feature of each column.
    name
        Name of the features' errors in the graph.
    """

    aggregation: Aggregation
    weight: NDArray[np.float32]
    share: float
    feature: NDArray[np.int32]
    name: str


def recognise(graph: RecognisedGraph, columns: RecognisedColumns, variant: str) -> RecognisedCore:
    """Return the kernel of a dense autoencoder; parameters and errors as in ``native_cores.recognise_core``."""
    from netsieve.kernels._native import dense_autoencoder

    prepared = columns.view("prepared")
    encoder, code = recognise_layers(graph, "encoder", prepared, columns.width)
    code_width = encoder[-1][0].shape[1]
    decoder, rebuilt = recognise_layers(graph, "decoder", code, code_width)
    if decoder[-1][0].shape[1] != columns.width or decoder[-1][2] != 1:
        raise NotRecognisedError("the autoencoder does not rebuild the columns that it takes")
    residual = graph.node("Sub", rebuilt, prepared, name="residual")
    errors = recognise_feature_error(graph, residual, columns.width, columns.n_features)
    graph.integers("row_axis", [1])
    latent, distance = None, None
    if graph.has_node("latent"):
        latent, distance = _recognise_latent(graph, code, code_width, errors.aggregation, columns.width)
    score, base_score = recognise_score(graph, errors.name, distance)
    kernel = dense_autoencoder(
        variant,
        encoder,
        decoder,
        errors.aggregation,
        errors.weight,
        errors.share,
        errors.feature,
        columns.n_features,
        latent,
        float(columns.width),
        columns.one_hot(),
        base_score,
    )
    return RecognisedCore((kernel,), score, errors.name)


def recognise_score(graph: RecognisedGraph, feature_error: str, distance: str | None) -> tuple[str, float]:
    """Return the name of the score, the sum of the features' parts and the code's distance, and the base of all.

    Raises
    ------
    NotRecognisedError
        It is another sum than export writes.
    """
    has_base = graph.has_constant("base_score")
    only = distance is None and not has_base
    score = graph.node(
        "ReduceSum", feature_error, graph.name("row_axis"), name=SCORE if only else "error_sum", keepdims=0
    )
    if distance is not None:
        score = graph.node("Add", score, distance, name="error_and_distance" if has_base else SCORE)
    if not has_base:
        return score, 0.0
    return graph.node("Add", score, graph.name("base_score"), name=SCORE), graph.number("base_score")


def recognise_layers(graph: RecognisedGraph, part: str, values: str, width: int) -> tuple[list[Layer], str]:
    """Return the layers ``part_0``, ``part_1``, ... over ``width`` columns, and the name of the last one's output.

    Raises
    ------
    NotRecognisedError
        There are none, or they do not fit together.
    """
    layers: list[Layer] = []
    while graph.has_node(name := f"{part}_{len(layers)}"):
        weight = graph.constant(f"{name}.weight", (width, None))
        width = weight.shape[1]
        bias = graph.constant(f"{name}.bias", (width,))
        values = graph.node("Gemm", values, graph.name(f"{name}.weight"), graph.name(f"{name}.bias"), name=name)
        slope = 1.0
        if graph.has_node(f"{name}.activation"):
            activation = f"{name}.activation"
            if graph.operator(activation) == "Relu":
                slope, values = 0.0, graph.node("Relu", values, name=activation)
            else:
                slope, values = NEGATIVE_SLOPE, graph.node("LeakyRelu", values, name=activation, alpha=NEGATIVE_SLOPE)
        layers.append((weight, bias, slope))
    if not layers:
        raise NotRecognisedError(f"there is no layer {part}_0")
    return layers, values


def recognise_feature_error(graph: RecognisedGraph, residual: str, width: int, n_features: int) -> Errors:
    """Return how the node ``feature_error`` is made of the residuals ``[n, width]``.

    Raises
    ------
    NotRecognisedError
        In another way than export writes.
    """
    aggregation: Aggregation = "sum"
    if graph.has_node("residual_size"):
        aggregation = "absolute"
        size = graph.node("Abs", residual, name="residual_size")
    else:
        size = graph.node("Mul", residual, residual, name="residual_squared")
    weight: NDArray[np.float32] | None = None
    if aggregation == "sum" and graph.has_node("log_error"):
        aggregation = "log_mean"
        weight = graph.constant("error_weight", (1, width))[0]
        graph.number("unit", 1.0)
        weighted = graph.node("Mul", size, graph.name("error_weight"), name="weighted_error")
        size = graph.node(
            "Log", graph.node("Add", weighted, graph.name("unit"), name="weighted_error_plus_one"), name="log_error"
        )
        if (weight < 0).any():
            raise NotRecognisedError("an error has a negative weight")
    operator = graph.operator(FEATURE_ERROR)
    if operator == "Mul" and width == n_features:
        feature, of_column = np.arange(width), graph.constant("feature_weight", (1, width))[0]
    else:
        combination = graph.constant("feature_weight", (width, n_features))
        if (np.count_nonzero(combination, axis=1) > 1).any():
            raise NotRecognisedError("the error of a column counts for several features")
        operator, feature = "MatMul", np.argmax(combination != 0, axis=1)
        of_column = combination[np.arange(width), feature]
    name = graph.node(operator, size, graph.name("feature_weight"), name=FEATURE_ERROR)
    share = 1.0
    if weight is None:
        weight = np.ascontiguousarray(of_column)
    else:
        share = float(of_column[0])
        if (of_column != of_column[0]).any():
            raise NotRecognisedError("the logarithms of errors have different weights")
    return Errors(aggregation, weight, share, feature.astype(np.int32), name)


def _recognise_latent(
    graph: RecognisedGraph, code: str, code_width: int, aggregation: Aggregation, width: int
) -> tuple[Layer, str]:
    """Return the layer that whitens the code, and the name of the latent part of the score."""
    weight = graph.constant("latent.weight", (code_width, None))
    bias = graph.constant("latent.bias", (weight.shape[1],))
    whitened = graph.node("Gemm", code, graph.name("latent.weight"), graph.name("latent.bias"), name="latent")
    distance = graph.node("ReduceSumSquare", whitened, graph.name("row_axis"), name="latent_distance", keepdims=0)
    if aggregation == "log_mean":
        graph.number("latent_unit", 1.0)
        graph.number("column_count", float(width))
        one_more = graph.node("Add", distance, graph.name("latent_unit"), name="latent_distance_plus_one")
        logarithm = graph.node("Log", one_more, name="log_latent_distance")
        distance = graph.node("Div", logarithm, graph.name("column_count"), name="latent_mean")
    return (weight, bias, 1.0), distance
