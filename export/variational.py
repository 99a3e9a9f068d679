"""Scores of variational autoencoders as ONNX nodes: the mean path, the divergence of the code, and their density."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from netsieve.engine.detectors.dose_variational import VariationalDensity
from netsieve.engine.detectors.variational_core import LARGEST_LOG_VARIANCE, VariationalCore
from netsieve.export.autoencoder import add_feature_error, add_layers, add_score
from netsieve.export.graph import CoreOutputs, Graph
from netsieve.export.hyperplane import add_whitened_score
from netsieve.export.preprocessing import RecordColumns


def add_variational(graph: Graph, columns: RecordColumns, core: VariationalCore) -> CoreOutputs:
    """Add the nodes from the prepared matrix to ``feature_error`` and ``score``."""
    code, residual = _add_network(graph, columns.view(core.view), core)
    feature_error = add_feature_error(graph, columns.schema, core.error_weight, core.aggregation, residual)
    axis = graph.constant("row_axis", np.array([1]))
    divergence = _add_divergence(graph, code, axis, keepdims=0)
    if core.aggregation == "log_mean":
        one_more = graph.node("Add", divergence, graph.constant("one_divergence", 1.0), name="divergence_plus_one")
        logarithm = graph.node("Log", one_more, name="log_divergence")
        divergence = graph.node(
            "Div", logarithm, graph.constant("column_count", float(len(core.error_weight))), name="divergence_mean"
        )
    return CoreOutputs(add_score(graph, feature_error, divergence, core.base_score, axis), feature_error)


def add_variational_density(graph: Graph, columns: RecordColumns, core: VariationalDensity) -> CoreOutputs:
    """Add the nodes from the prepared matrix over the statistics to ``score``."""
    code, residual = _add_network(graph, columns.view(core.view), core.network)
    axis, unit = graph.constant("row_axis", np.array([1])), graph.constant("unit", 1.0)
    squared = graph.node("Mul", residual, residual, name="residual_squared")
    weight = graph.constant("error_weight", core.network.error_weight[None])
    error = graph.node("Mul", squared, weight, name="weighted_error")
    column_logarithm = graph.node("Log", graph.node("Add", error, unit, name="error_plus_one"), name="log_error")
    second_moment = graph.node("Add", code.squared, code.variance, name="second_moment")
    sums = (
        graph.node("ReduceSum", error, axis, name="distortion"),
        _add_divergence(graph, code, axis, keepdims=1),
    )
    logarithms = [
        graph.node("Log", graph.node("Add", total, unit, name=f"{name}_plus_one"), name=f"log_{name}")
        for name, total in zip(("distortion", "divergence"), sums, strict=True)
    ]
    moment = graph.node("ReduceSum", second_moment, axis, name="second_moment_sum")
    statistics = graph.node(
        "Concat",
        logarithms[0],
        graph.node("ReduceMean", column_logarithm, axis, name="mean_log_error"),
        logarithms[1],
        graph.node("Log", moment, name="log_second_moment"),
        graph.node("ReduceMean", code.log_variance, axis, name="mean_log_variance"),
        name="statistics",
        axis=1,
    )
    return CoreOutputs(add_whitened_score(graph, statistics, core.density), None)


class _Code(NamedTuple):
    """Names of the code's squared mean, log variance and variance, float32 ``[n, code]`` each."""

    squared: str
    log_variance: str
    variance: str


def _add_network(graph: Graph, prepared: str, core: VariationalCore) -> tuple[_Code, str]:
    """Add the network, and return its code and the residual's name."""
    hidden = add_layers(graph, "encoder", core.encoder, prepared)
    mean = add_layers(graph, "mean", (core.mean,), hidden)
    rebuilt = add_layers(graph, "decoder", core.decoder, mean)
    residual = graph.node("Sub", rebuilt, prepared, name="residual")
    log_variance = add_layers(graph, "log_variance", (core.log_variance,), hidden)
    low = graph.constant("lowest_log_variance", -LARGEST_LOG_VARIANCE)
    high = graph.constant("highest_log_variance", LARGEST_LOG_VARIANCE)
    clipped = graph.node("Clip", log_variance, low, high, name="clipped_log_variance")
    squared = graph.node("Mul", mean, mean, name="mean_squared")
    return _Code(squared, clipped, graph.node("Exp", clipped, name="variance")), residual


def _add_divergence(graph: Graph, code: _Code, axis: str, *, keepdims: int) -> str:
    excess = graph.node("Sub", code.variance, code.log_variance, name="variance_excess")
    less_one = graph.node("Sub", excess, graph.constant("one_variance", 1.0), name="variance_excess_less_one")
    parts = graph.node("Add", code.squared, less_one, name="divergence_parts")
    return graph.node("ReduceSum", parts, axis, name="divergence", keepdims=keepdims)
