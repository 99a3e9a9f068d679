"""Hyperplanes of one-class support vector machines in a graph: the reader of ``netsieve.export.hyperplane``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.scoring.model_file import FEATURE_ERROR, SCORE
from netsieve.engine.scoring.native_columns import RecognisedColumns
from netsieve.engine.scoring.native_cores import RecognisedCore
from netsieve.engine.scoring.recognition import NotRecognisedError, RecognisedGraph


def recognise(graph: RecognisedGraph, columns: RecognisedColumns, variant: str) -> RecognisedCore:
    """Return the kernel of a hyperplane of any kind; parameters and errors as in ``native_cores.recognise_core``."""
    try:
        if graph.has_node("cosine"):
            return _recognise_fourier(graph, columns, variant)
        return _recognise_linear(graph, columns, variant)
    except ValueError as error:
        raise NotRecognisedError(str(error)) from error


def _recognise_linear(graph: RecognisedGraph, columns: RecognisedColumns, variant: str) -> RecognisedCore:
    from netsieve.kernels._native import hyperplane

    prepared = columns.view("prepared")
    combination = graph.constant("feature_weight", (columns.width, columns.n_features))
    if (np.count_nonzero(combination, axis=1) > 1).any():
        raise NotRecognisedError("a column of the hyperplane counts for several features")
    feature = np.argmax(combination != 0, axis=1)
    weight = np.ascontiguousarray(combination[np.arange(columns.width), feature])
    feature_error = graph.node("MatMul", prepared, graph.name("feature_weight"), name=FEATURE_ERROR)
    graph.integers("row_axis", [1])
    offset = graph.number("offset")
    projection = graph.node("ReduceSum", feature_error, graph.name("row_axis"), name="projection", keepdims=0)
    score = graph.node("Add", projection, graph.name("offset"), name=SCORE)
    kernel = hyperplane(variant, weight, offset, feature.astype(np.int32), columns.n_features)
    return RecognisedCore((kernel,), score, feature_error)


def _recognise_fourier(graph: RecognisedGraph, columns: RecognisedColumns, variant: str) -> RecognisedCore:
    from netsieve.kernels._native import fourier_hyperplane

    values, width = columns.view("prepared"), columns.width
    whitening: tuple[NDArray[Any], NDArray[Any], float] | None = None
    if graph.has_node("components"):
        center = graph.constant("center_row", (1, width))[0]
        matrix = graph.constant("whitening", (width, None))
        limit = graph.number("highest_component")
        graph.number("lowest_component", -limit)
        centered = graph.node("Sub", values, graph.name("center_row"), name="from_center")
        whitened = graph.node("MatMul", centered, graph.name("whitening"), name="whitened")
        low, high = graph.name("lowest_component"), graph.name("highest_component")
        values, width = graph.node("Clip", whitened, low, high, name="components"), matrix.shape[1]
        whitening = (center, matrix, limit)
    frequency = graph.constant("frequency", (width, None))
    phase, normal = (graph.constant(name, (frequency.shape[1],)) for name in ("phase", "normal"))
    offset = graph.number("offset")
    angle = graph.node("Gemm", values, graph.name("frequency"), graph.name("phase"), name="angle")
    cosine = graph.node("Cos", angle, name="cosine")
    projection = graph.node("MatMul", cosine, graph.name("normal"), name="projection")
    score = graph.node("Sub", graph.name("offset"), projection, name=SCORE)
    kernel = fourier_hyperplane(variant, (frequency, phase, 1.0), normal, offset, whitening)
    return RecognisedCore((kernel,), score)
