"""A variational autoencoder's score recognised in a graph: the reader of ``netsieve.export.variational``.

The errors of the mean path are those of a dense autoencoder; a second kernel tells what the code adds. It computes the
encoder again, which is a small part of the whole.
"""

from __future__ import annotations

from netsieve.engine.detectors.variational_core import LARGEST_LOG_VARIANCE
from netsieve.engine.scoring.native_autoencoder import (
    Layer,
    recognise_feature_error,
    recognise_layers,
    recognise_score,
)
from netsieve.engine.scoring.native_columns import RecognisedColumns
from netsieve.engine.scoring.native_cores import RecognisedCore
from netsieve.engine.scoring.recognition import NotRecognisedError, RecognisedGraph


def recognise(graph: RecognisedGraph, columns: RecognisedColumns, variant: str) -> RecognisedCore:
    """Return the two kernels of a variational autoencoder; as in ``native_cores.recognise_core``."""
    from netsieve.kernels._native import dense_autoencoder, divergence, sum_of_parts

    prepared = columns.view("prepared")
    encoder, hidden = recognise_layers(graph, "encoder", prepared, columns.width)
    mean, code = _recognise_layer(graph, "mean", hidden, encoder[-1][0].shape[1])
    decoder, rebuilt = recognise_layers(graph, "decoder", code, mean[0].shape[1])
    if decoder[-1][0].shape[1] != columns.width or decoder[-1][2] != 1:
        raise NotRecognisedError("the autoencoder does not rebuild the columns that it takes")
    residual = graph.node("Sub", rebuilt, prepared, name="residual")
    log_variance, raw_log_variance = _recognise_layer(graph, "log_variance", hidden, encoder[-1][0].shape[1])
    errors = recognise_feature_error(graph, residual, columns.width, columns.n_features)
    graph.integers("row_axis", [1])
    distance = _recognise_divergence(graph, code, raw_log_variance)
    share = 0.0
    if errors.aggregation == "log_mean":
        share = 1 / columns.width
        graph.number("one_divergence", 1.0)
        graph.number("column_count", float(columns.width))
        one_more = graph.node("Add", distance, graph.name("one_divergence"), name="divergence_plus_one")
        logarithm = graph.node("Log", one_more, name="log_divergence")
        distance = graph.node("Div", logarithm, graph.name("column_count"), name="divergence_mean")
    score, base_score = recognise_score(graph, errors.name, distance)
    try:
        kernels = (
            dense_autoencoder(
                variant,
                [*encoder, mean],
                decoder,
                errors.aggregation,
                errors.weight,
                errors.share,
                errors.feature,
                columns.n_features,
                None,
                1.0,
                columns.one_hot(),
                base_score,
            ),
            divergence(variant, encoder, mean, log_variance, LARGEST_LOG_VARIANCE, share),
        )
        return RecognisedCore(kernels, score, errors.name, sum_of_parts(variant, len(kernels)))
    except ValueError as error:
        raise NotRecognisedError(str(error)) from error


def _recognise_layer(graph: RecognisedGraph, name: str, values: str, width: int) -> tuple[Layer, str]:
    """Return the one linear layer of this name, and the name of its output."""
    layers, output = recognise_layers(graph, name, values, width)
    if len(layers) != 1 or layers[0][2] != 1:
        raise NotRecognisedError(f"{name} is not one linear layer")
    return layers[0], output


def _recognise_divergence(graph: RecognisedGraph, mean: str, log_variance: str) -> str:
    """Return the name of the code's divergence ``[n]``."""
    graph.number("lowest_log_variance", -LARGEST_LOG_VARIANCE)
    graph.number("highest_log_variance", LARGEST_LOG_VARIANCE)
    low, high = graph.name("lowest_log_variance"), graph.name("highest_log_variance")
    clipped = graph.node("Clip", log_variance, low, high, name="clipped_log_variance")
    squared = graph.node("Mul", mean, mean, name="mean_squared")
    variance = graph.node("Exp", clipped, name="variance")
    excess = graph.node("Sub", variance, clipped, name="variance_excess")
    graph.number("one_variance", 1.0)
    less_one = graph.node("Sub", excess, graph.name("one_variance"), name="variance_excess_less_one")
    parts = graph.node("Add", squared, less_one, name="divergence_parts")
    return graph.node("ReduceSum", parts, graph.name("row_axis"), name="divergence", keepdims=0)
