"""Hyperplanes of one-class support vector machines as ONNX nodes."""

from __future__ import annotations

import numpy as np

from netsieve.engine.detectors.hyperplane import FourierHyperplane, Hyperplane, WhitenedHyperplane
from netsieve.engine.errors import ExportError
from netsieve.engine.features.preprocessing import feature_selection
from netsieve.export.graph import FEATURE_ERROR, SCORE, CoreOutputs, Graph
from netsieve.export.preprocessing import RecordColumns


def add_hyperplane(graph: Graph, columns: RecordColumns, core: Hyperplane) -> CoreOutputs:
    """Add the nodes from the prepared matrix to ``feature_error`` and ``score``.

    Raises
    ------
    ExportError
        The hyperplane and the schema do not fit together.
    """
    selection = feature_selection(columns.schema)
    _check_width(len(core.normal), len(selection))
    combination = graph.constant("feature_weight", -core.normal[:, None] * selection)
    feature_error = graph.node("MatMul", columns.view(core.view), combination, name=FEATURE_ERROR)
    axis = graph.constant("row_axis", np.array([1]))
    projection = graph.node("ReduceSum", feature_error, axis, name="projection", keepdims=0)
    score = graph.node("Add", projection, graph.constant("offset", core.offset), name=SCORE)
    return CoreOutputs(score, feature_error)


def add_fourier_hyperplane(graph: Graph, columns: RecordColumns, core: FourierHyperplane) -> CoreOutputs:
    """Add the nodes from the prepared matrix to ``score``; errors as :func:`add_hyperplane`."""
    _check_width(len(core.frequency), len(feature_selection(columns.schema)))
    return CoreOutputs(add_fourier_score(graph, columns.view(core.view), core), None)


def add_whitened_hyperplane(graph: Graph, columns: RecordColumns, core: WhitenedHyperplane) -> CoreOutputs:
    """Add the nodes from the prepared matrix to ``score``; errors as :func:`add_hyperplane`."""
    _check_width(len(core.center), len(feature_selection(columns.schema)))
    return CoreOutputs(add_whitened_score(graph, columns.view(core.view), core), None)


def add_fourier_score(graph: Graph, values: str, core: FourierHyperplane) -> str:
    """Add the nodes from any values, float32 ``[n, d]``, to ``score`` and return its name."""
    frequency = graph.constant("frequency", core.frequency)
    angle = graph.node("Gemm", values, frequency, graph.constant("phase", core.phase), name="angle")
    cosine = graph.node("Cos", angle, name="cosine")
    projection = graph.node("MatMul", cosine, graph.constant("normal", core.normal), name="projection")
    return graph.node("Sub", graph.constant("offset", core.offset), projection, name=SCORE)


def add_whitened_score(graph: Graph, statistics: str, core: WhitenedHyperplane) -> str:
    """Add the nodes from any statistics, float32 ``[n, s]``, to ``score`` and return its name."""
    centered = graph.node("Sub", statistics, graph.constant("center_row", core.center[None]), name="from_center")
    whitened = graph.node("MatMul", centered, graph.constant("whitening", core.whitening), name="whitened")
    low, high = graph.constant("lowest_component", -core.limit), graph.constant("highest_component", core.limit)
    return add_fourier_score(graph, graph.node("Clip", whitened, low, high, name="components"), core.hyperplane)


def _check_width(width: int, prepared: int) -> None:
    if width != prepared:
        raise ExportError(
            f"the hyperplane is one of {width} columns, but the schema prepares {prepared}; "
            "use the schema it was fitted with"
        )
