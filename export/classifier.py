"""Dense layers whose last output is the score, as ONNX nodes."""

from __future__ import annotations

import numpy as np

from netsieve.engine.detectors.classifier import DenseScore
from netsieve.export.autoencoder import add_layers
from netsieve.export.graph import SCORE, CoreOutputs, Graph
from netsieve.export.preprocessing import RecordColumns


def add_dense_score(graph: Graph, columns: RecordColumns, core: DenseScore) -> CoreOutputs:
    """Add the nodes from the prepared matrix to ``score``."""
    output = add_layers(graph, "layer", core.layers, columns.view(core.view))
    axis = graph.constant("output_axis", np.array([1]))
    return CoreOutputs(graph.node("Squeeze", output, axis, name=SCORE), None)
