"""A dense autoencoder's score as ONNX nodes.

Layers are Gemm nodes named ``encoder_0``, ``encoder_1``, ... and ``decoder_0``, ..., with initializers
``encoder_0.weight`` ``[inputs, outputs]`` and ``encoder_0.bias``, and nodes ``encoder_0.activation`` where
they are not linear. The nodes ``residual`` and ``feature_error`` follow, then the latent distance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.dense_autoencoder import NEGATIVE_SLOPE, Aggregation, DenseAutoencoder, DenseLayer
from netsieve.engine.errors import ExportError
from netsieve.engine.features.preprocessing import feature_selection
from netsieve.engine.features.schema import FeatureSchema
from netsieve.export.graph import FEATURE_ERROR, SCORE, CoreOutputs, Graph
from netsieve.export.preprocessing import RecordColumns


def add_autoencoder(graph: Graph, columns: RecordColumns, autoencoder: DenseAutoencoder) -> CoreOutputs:
    """Add the nodes from the prepared matrix to ``feature_error`` and ``score``.

    Parameters
    ----------
    graph
        Graph to add to.
    columns
        The record's columns in it.
    autoencoder
        The trained network.

    Raises
    ------
    ExportError
        The network's layers, weights and the schema do not fit together.
    """
    schema = columns.schema
    _check_shapes(schema, autoencoder)
    prepared = columns.view(autoencoder.view)
    code = add_layers(graph, "encoder", autoencoder.encoder, prepared)
    rebuilt = add_layers(graph, "decoder", autoencoder.decoder, code)
    residual = graph.node("Sub", rebuilt, prepared, name="residual")
    feature_error = add_feature_error(graph, schema, autoencoder.error_weight, autoencoder.aggregation, residual)
    axis = graph.constant("row_axis", np.array([1]))
    distance = None if autoencoder.latent_center is None else _add_latent_distance(graph, autoencoder, code, axis)
    return CoreOutputs(add_score(graph, feature_error, distance, autoencoder.base_score, axis), feature_error)


def _check_shapes(schema: FeatureSchema, autoencoder: DenseAutoencoder) -> None:
    width = len(feature_selection(schema))
    sizes = [width]
    for layer in (*autoencoder.encoder, *autoencoder.decoder):
        if layer.weight.shape[0] != sizes[-1] or layer.bias.shape != layer.weight.shape[1:]:
            raise ExportError(
                f"an autoencoder layer of weight {layer.weight.shape} and bias {layer.bias.shape} follows "
                f"{sizes[-1]} columns; the layers do not fit together"
            )
        sizes.append(layer.weight.shape[1])
    if sizes[-1] != width or autoencoder.error_weight.shape != (width,):
        raise ExportError(
            f"the autoencoder rebuilds {sizes[-1]} columns with {autoencoder.error_weight.shape} weights, but the "
            f"schema prepares {width}; use the schema it was trained with"
        )


def add_score(graph: Graph, feature_error: str, distance: str | None, base_score: float, axis: str) -> str:
    """Add and return the node ``score``: the sum of the features' parts, the code's distance and a base of all."""
    only = distance is None and not base_score
    score = graph.node("ReduceSum", feature_error, axis, name=SCORE if only else "error_sum", keepdims=0)
    if distance is not None:
        score = graph.node("Add", score, distance, name="error_and_distance" if base_score else SCORE)
    if base_score:
        score = graph.node("Add", score, graph.constant("base_score", base_score), name=SCORE)
    return score


def add_layers(graph: Graph, part: str, layers: tuple[DenseLayer, ...], values: str) -> str:
    """Add dense layers named ``part_0``, ``part_1``, ... and return the name of the last one's output."""
    for number, layer in enumerate(layers):
        name = f"{part}_{number}"
        weight = graph.constant(f"{name}.weight", layer.weight)
        values = graph.node("Gemm", values, weight, graph.constant(f"{name}.bias", layer.bias), name=name)
        if layer.activation == "relu":
            values = graph.node("Relu", values, name=f"{name}.activation")
        elif layer.activation == "leaky_relu":
            values = graph.node("LeakyRelu", values, name=f"{name}.activation", alpha=NEGATIVE_SLOPE)
    return values


def add_feature_error(  # noqa: PLR0917
    graph: Graph,
    schema: FeatureSchema,
    weight: NDArray[np.float32],
    aggregation: Aggregation,
    residual: str,
    name: str = FEATURE_ERROR,
) -> str:
    """Add and return the node ``name``: each feature's part of the score, its columns weighted and summed."""
    selection = feature_selection(schema)
    if aggregation == "absolute":
        size = graph.node("Abs", residual, name="residual_size")
    else:
        size = graph.node("Mul", residual, residual, name="residual_squared")
    if aggregation == "log_mean":
        weighted = graph.node("Mul", size, graph.constant("error_weight", weight[None]), name="weighted_error")
        one_more = graph.node("Add", weighted, graph.constant("unit", 1.0), name="weighted_error_plus_one")
        size = graph.node("Log", one_more, name="log_error")
        weight = np.full(len(weight), 1 / len(weight), dtype=np.float32)
    if np.array_equal(selection, np.eye(len(weight))):
        return graph.node("Mul", size, graph.constant("feature_weight", weight[None]), name=name)
    combination = graph.constant("feature_weight", weight[:, None] * selection)
    return graph.node("MatMul", size, combination, name=name)


def _add_latent_distance(graph: Graph, autoencoder: DenseAutoencoder, code: str, axis: str) -> str:
    """Return the name of the latent part of the score, float32 ``[n]``."""
    assert autoencoder.latent_center is not None
    assert autoencoder.latent_whitening is not None
    whitening = autoencoder.latent_whitening.astype(np.float64)
    bias = -autoencoder.latent_center.astype(np.float64) @ whitening
    weight = graph.constant("latent.weight", whitening)
    whitened = graph.node("Gemm", code, weight, graph.constant("latent.bias", bias), name="latent")
    distance = graph.node("ReduceSumSquare", whitened, axis, name="latent_distance", keepdims=0)
    if autoencoder.aggregation != "log_mean":
        return distance
    one_more = graph.node("Add", distance, graph.constant("latent_unit", 1.0), name="latent_distance_plus_one")
    logarithm = graph.node("Log", one_more, name="log_latent_distance")
    columns = graph.constant("column_count", float(len(autoencoder.error_weight)))
    return graph.node("Div", logarithm, columns, name="latent_mean")
