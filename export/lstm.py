"""Scores of LSTM detectors as ONNX nodes; a layer with memory is one LSTM node.

Measured with onnxruntime 1.31 on one core, 16 steps of 40 columns and 64 units: the LSTM node takes 13 microseconds a
window, the same written as Gemm, Sigmoid and Tanh nodes 21, and both are off by 2e-7 of the float64 state. With lengths
of sequences, which would have to be turned, it takes 15. Hence a step of padding is marked by one more input that shuts
the gate through which inputs enter: the state, which is 0 before, then stays 0.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from netsieve.engine.detectors.lstm_cores import LstmAutoencoderCore, LstmClassifierCore, LstmPredictorCore
from netsieve.engine.detectors.lstm_layer import LstmLayer
from netsieve.export.autoencoder import add_feature_error, add_layers
from netsieve.export.graph import FEATURE_ERROR, SCORE, CoreOutputs, Graph
from netsieve.export.windows import STEP_AXIS, WindowColumns, add_window_score

SHUT: Final = -1e4
"""What a step of padding adds to the gate of inputs: far more than inputs and state can."""


def add_memory(
    graph: Graph, name: str, layer: LstmLayer, values: str, *, marked: bool, every_step: bool, backwards: bool = False
) -> str:
    """Add the LSTM node ``name`` and return the name of its output.

    Parameters
    ----------
    graph
        Graph to add to.
    name
        Of the node and its initializers.
    layer
        The layer; its gates lie in the order of the ONNX operator.
    values
        Name of its inputs, float32 ``[steps, n, inputs]``.
    marked
        Whether the inputs have one more column, 1 where a step is padding.
    every_step
        Whether the outputs after all steps are wanted, ``[steps, 1, n, units]``; else the last, ``[1, n, units]``.
    backwards
        Whether the last step comes first.
    """
    weight = layer.input_weight
    if marked:
        mark = np.zeros((1, weight.shape[1]), dtype=np.float32)
        mark[:, : layer.units] = SHUT
        weight = np.concatenate([weight, mark])
    inputs = graph.constant(f"{name}.input_weight", weight.T[None])
    recurrent = graph.constant(f"{name}.recurrent_weight", layer.recurrent_weight.T[None])
    bias = graph.constant(f"{name}.bias", np.concatenate([layer.bias, np.zeros_like(layer.bias)])[None])
    outputs = (f"{name}_states",) if every_step else ("", f"{name}_state")
    direction = {"direction": "reverse"} if backwards else {}
    made = graph.split_node(
        "LSTM", values, inputs, recurrent, bias, name=name, outputs=outputs, hidden_size=layer.units, **direction
    )
    return made[-1]


def add_last_state(columns: WindowColumns, name: str, layer: LstmLayer, values: str) -> str:
    """Add a layer over whole windows and return the name of its last output, float32 ``[n, units]``.

    Parameters
    ----------
    columns
        The windows.
    name
        Of the node.
    layer
        The layer.
    values
        Name of its inputs, float32 ``[n * window, inputs]``.
    """
    marked = columns.graph.node("Concat", values, columns.padded, name=f"{name}_marked", axis=1)
    return _last_of(columns, name, layer, columns.by_step(marked, f"{name}_input", _marked_inputs(layer), (1, 0, 2)))


def add_state_before_last(columns: WindowColumns, name: str, layer: LstmLayer, values: str) -> str:
    """Add a layer over all records of a window but the last; otherwise as :func:`add_last_state`."""
    graph = columns.graph
    marked = graph.node("Concat", values, columns.padded, name=f"{name}_marked", axis=1)
    by_step = columns.by_step(marked, f"{name}_steps", _marked_inputs(layer), (1, 0, 2))
    start, end, axis = (graph.constant(f"{name}_{at}", np.array([v])) for at, v in (("from", 0), ("to", -1), ("on", 0)))
    return _last_of(columns, name, layer, graph.node("Slice", by_step, start, end, axis, name=f"{name}_input"))


def add_lstm_autoencoder(graph: Graph, columns: WindowColumns, core: LstmAutoencoderCore) -> CoreOutputs:
    """Add the nodes from the windows to ``feature_error`` and ``score``."""
    state = add_last_state(columns, "encoder", core.encoder, columns.shown)
    code = add_layers(graph, "code", (core.code,), state)
    size = core.code.weight.shape[1]
    code = columns.reshaped(code, "code_step", 1, -1, size)
    repeats = graph.constant("code_repeats", np.array([core.window, 1, 1]))
    repeated = graph.node("Expand", code, repeats, name="decoder_input")
    decoded = add_memory(graph, "decoder", core.decoder, repeated, marked=False, every_step=True, backwards=True)
    by_window = graph.node("Transpose", decoded, name="decoder_by_window", perm=[2, 0, 1, 3])
    rows = columns.reshaped(by_window, "decoder_rows", -1, core.decoder.units)
    rebuilt = add_layers(graph, "output", (core.output,), rows)
    return add_window_score(columns, rebuilt, core.error_weight, core.aggregation, core.last_share)


def add_lstm_predictor(graph: Graph, columns: WindowColumns, core: LstmPredictorCore) -> CoreOutputs:
    """Add the nodes from the windows to ``feature_error``, 0 but for the last step, and ``score``."""
    state = add_state_before_last(columns, "memory", core.memory, columns.shown)
    predicted = add_layers(graph, "output", (core.output,), state)
    by_window = columns.reshaped(columns.prepared, "prepared_by_window", -1, core.window, columns.width)
    last = graph.node("Gather", by_window, graph.constant("last_step", np.array(-1)), name="last", axis=STEP_AXIS)
    residual = graph.node("Sub", predicted, last, name="residual")
    errors = add_feature_error(
        graph, columns.schema, core.error_weight, core.aggregation, residual, "last_feature_error"
    )
    axis = graph.constant("row_axis", np.array([1]))
    score = graph.node("ReduceSum", errors, axis, name=SCORE, keepdims=0)
    step = graph.node("Unsqueeze", errors, axis, name="last_step_error")
    before = graph.constant("steps_before", np.array([0, core.window - 1, 0, 0, 0, 0]))
    return CoreOutputs(score, graph.node("Pad", step, before, name=FEATURE_ERROR))


def add_lstm_classifier(graph: Graph, columns: WindowColumns, core: LstmClassifierCore) -> CoreOutputs:
    """Add the nodes from the windows to ``score``."""
    state = add_last_state(columns, "memory", core.memory, columns.shown)
    output = add_layers(graph, "layer", core.layers, state)
    axis = graph.constant("output_axis", np.array([1]))
    return CoreOutputs(graph.node("Squeeze", output, axis, name=SCORE), None)


def _marked_inputs(layer: LstmLayer) -> int:
    return len(layer.input_weight) + 1


def _last_of(columns: WindowColumns, name: str, layer: LstmLayer, values: str) -> str:
    graph = columns.graph
    state = add_memory(graph, name, layer, values, marked=True, every_step=False)
    return graph.node("Squeeze", state, graph.constant(f"{name}_direction", np.array([0])), name=f"{name}_last")
