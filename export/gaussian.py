"""Normal distributions as ONNX nodes: the elliptic envelope and Gaussian mixtures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import BASE_SCORE
from netsieve.engine.detectors.gaussian import Ellipsoid, Mixture
from netsieve.engine.errors import ExportError
from netsieve.engine.features.preprocessing import feature_selection
from netsieve.export.graph import FEATURE_ERROR, SCORE, CoreOutputs, Graph
from netsieve.export.preprocessing import RecordColumns


def add_ellipsoid(graph: Graph, columns: RecordColumns, core: Ellipsoid) -> CoreOutputs:
    """Add the nodes from the prepared matrix to ``feature_error`` and ``score``.

    Raises
    ------
    ExportError
        The distribution and the schema do not fit together.
    """
    selection = feature_selection(columns.schema)
    _check_width(core.center.shape[0], len(selection))
    prepared = columns.view(core.view)
    centered = graph.node("Sub", prepared, graph.constant("center_row", core.center[None]), name="from_center")
    whitened = graph.node("MatMul", centered, graph.constant("whitening", core.whitening), name="whitened")
    feature_error = graph.node(
        "Mul", whitened, whitened, name="whitened_squared" if _sums(selection) else FEATURE_ERROR
    )
    if _sums(selection):
        feature_error = graph.node(
            "MatMul", feature_error, graph.constant("feature_selection", selection), name=FEATURE_ERROR
        )
    axis = graph.constant("row_axis", np.array([1]))
    distance = graph.node("ReduceSum", feature_error, axis, name="distance", keepdims=0)
    score = graph.node("Add", distance, graph.constant("base_score", BASE_SCORE), name=SCORE)
    return CoreOutputs(score, feature_error)


def add_mixture(graph: Graph, columns: RecordColumns, core: Mixture) -> CoreOutputs:
    """Add the nodes from the prepared matrix to ``score``.

    With full covariances all components are whitened by one Gemm, ``whitened``, of weight ``[d, components * d]``.

    Raises
    ------
    ExportError
        The mixture and the schema do not fit together.
    """
    components, width = core.centers.shape
    _check_width(width, len(feature_selection(columns.schema)))
    prepared = columns.view(core.view)
    if core.whitening.ndim == 2:
        second = graph.constant("component_axis", np.array([1]))
        row = graph.node("Unsqueeze", prepared, second, name="row")
        centered = graph.node("Sub", row, graph.constant("centers", core.centers[None]), name="from_centers")
        whitened = graph.node("Mul", centered, graph.constant("whitening", core.whitening[None]), name="whitened")
    else:
        whitening = core.whitening.astype(np.float64)
        bias = -np.einsum("kd,kde->ke", core.centers.astype(np.float64), whitening)
        weight = whitening.transpose(1, 0, 2).reshape(width, components * width)
        together = graph.node(
            "Gemm",
            prepared,
            graph.constant("whitened.weight", weight),
            graph.constant("whitened.bias", bias.ravel()),
            name="whitened",
        )
        # 0 keeps the number of rows, also where there are none
        shape = graph.constant("component_shape", np.array([0, components, width]))
        whitened = graph.node("Reshape", together, shape, name="whitened_by_component")
    last = graph.constant("column_axis", np.array([2]))
    distance = graph.node("ReduceSumSquare", whitened, last, name="distances", keepdims=0)
    half = graph.node("Mul", distance, graph.constant("minus_half", -0.5), name="minus_half_distances")
    exponent = graph.node("Add", half, graph.constant("log_height", core.log_height[None]), name="log_densities")
    rows = graph.constant("row_axis", np.array([1]))
    likelihood = graph.node("ReduceLogSumExp", exponent, rows, name="log_likelihood", keepdims=0)
    score = graph.node("Sub", graph.constant("base_score", BASE_SCORE), likelihood, name=SCORE)
    return CoreOutputs(score, None)


def _sums(selection: NDArray[np.float32]) -> bool:
    """Whether features have several columns, or another order."""
    return not np.array_equal(selection, np.eye(len(selection)))


def _check_width(width: int, prepared: int) -> None:
    if width != prepared:
        raise ExportError(
            f"the distribution has {width} columns, but the schema prepares {prepared}; "
            "use the schema it was fitted with"
        )
