"""Dense layers whose last output is the score, recognised in a graph: the reader of ``netsieve.export.classifier``."""

from __future__ import annotations

from netsieve.engine.scoring.model_file import SCORE
from netsieve.engine.scoring.native_autoencoder import recognise_layers
from netsieve.engine.scoring.native_columns import RecognisedColumns
from netsieve.engine.scoring.native_cores import RecognisedCore
from netsieve.engine.scoring.recognition import NotRecognisedError, RecognisedGraph


def recognise(graph: RecognisedGraph, columns: RecognisedColumns, variant: str) -> RecognisedCore:
    """Return the kernel of a dense score; parameters and errors as in ``native_cores.recognise_core``."""
    from netsieve.kernels._native import dense_score

    prepared = columns.view("prepared")
    layers, output = recognise_layers(graph, "layer", prepared, columns.width)
    graph.integers("output_axis", [1])
    score = graph.node("Squeeze", output, graph.name("output_axis"), name=SCORE)
    try:
        kernel = dense_score(variant, layers)
    except ValueError as error:
        raise NotRecognisedError(str(error)) from error
    return RecognisedCore((kernel,), score)
