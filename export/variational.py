"""A variational autoencoder's score as ONNX nodes: the mean path, and the divergence of the code."""

from __future__ import annotations

import numpy as np

from netsieve.engine.detectors.variational_core import LARGEST_LOG_VARIANCE, VariationalCore
from netsieve.export.autoencoder import add_feature_error, add_layers
from netsieve.export.graph import SCORE, CoreOutputs, Graph
from netsieve.export.preprocessing import RecordColumns


def add_variational(graph: Graph, columns: RecordColumns, core: VariationalCore) -> CoreOutputs:
    """Add the nodes from the prepared matrix to ``feature_error`` and ``score``."""
    prepared = columns.view(core.view)
    hidden = add_layers(graph, "encoder", core.encoder, prepared)
    mean = add_layers(graph, "mean", (core.mean,), hidden)
    rebuilt = add_layers(graph, "decoder", core.decoder, mean)
    residual = graph.node("Sub", rebuilt, prepared, name="residual")
    feature_error = add_feature_error(graph, columns.schema, core.error_weight, core.aggregation, residual)
    axis = graph.constant("row_axis", np.array([1]))
    error = graph.node("ReduceSum", feature_error, axis, name="error_sum", keepdims=0)
    divergence = _add_divergence(graph, mean, add_layers(graph, "log_variance", (core.log_variance,), hidden), axis)
    if core.aggregation == "log_mean":
        one_more = graph.node("Add", divergence, graph.constant("one_divergence", 1.0), name="divergence_plus_one")
        logarithm = graph.node("Log", one_more, name="log_divergence")
        divergence = graph.node(
            "Div", logarithm, graph.constant("column_count", float(len(core.error_weight))), name="divergence_mean"
        )
    return CoreOutputs(graph.node("Add", error, divergence, name=SCORE), feature_error)


def _add_divergence(graph: Graph, mean: str, log_variance: str, axis: str) -> str:
    low = graph.constant("lowest_log_variance", -LARGEST_LOG_VARIANCE)
    high = graph.constant("highest_log_variance", LARGEST_LOG_VARIANCE)
    clipped = graph.node("Clip", log_variance, low, high, name="clipped_log_variance")
    squared = graph.node("Mul", mean, mean, name="mean_squared")
    variance = graph.node("Exp", clipped, name="variance")
    excess = graph.node("Sub", variance, clipped, name="variance_excess")
    less_one = graph.node("Sub", excess, graph.constant("one_variance", 1.0), name="variance_excess_less_one")
    parts = graph.node("Add", squared, less_one, name="divergence_parts")
    return graph.node("ReduceSum", parts, axis, name="divergence", keepdims=0)
