"""The score of an LSTM over a category's codes as ONNX nodes."""

from __future__ import annotations

import numpy as np

from netsieve.engine.detectors.core import BASE_SCORE
from netsieve.engine.detectors.token_core import TokenCore
from netsieve.engine.features.schema import UNKNOWN_CODE
from netsieve.export.autoencoder import add_layers
from netsieve.export.graph import INPUT, SCORE, CoreOutputs, Graph
from netsieve.export.lstm import add_state_before_last
from netsieve.export.preprocessing import add_code_index
from netsieve.export.windows import STEP_AXIS, WindowColumns


def add_tokens(graph: Graph, columns: WindowColumns, core: TokenCore) -> CoreOutputs:
    """Add the nodes from the windows to ``score``."""
    count, size = core.embedding.shape
    column = graph.constant("token_column", np.array(core.feature))
    index = add_code_index(graph, graph.node("Gather", INPUT, column, name="token_value", axis=2), count)
    # what is no code takes the last row, that of unknown
    codes = graph.constant("token_codes", np.append(np.arange(count), UNKNOWN_CODE))
    token = graph.node("Gather", codes, index, name="token", axis=0)
    embedded = graph.node("Gather", graph.constant("embedding", core.embedding), token, name="embedded", axis=0)
    rows = columns.reshaped(embedded, "embedded_rows", -1, size)
    state = add_state_before_last(columns, "memory", core.memory, rows)
    likelihood = graph.node(
        "LogSoftmax", add_layers(graph, "logit", (core.output,), state), name="log_likelihood", axis=1
    )
    last = graph.node("Gather", token, graph.constant("last_step", np.array([-1])), name="last", axis=STEP_AXIS)
    chosen = graph.node("GatherElements", likelihood, last, name="last_log_likelihood", axis=1)
    base = graph.constant("base_score", BASE_SCORE)
    axis = graph.constant("token_axis", np.array([1]))
    return CoreOutputs(
        graph.node("Sub", base, graph.node("Squeeze", chosen, axis, name="likelihood_of_last"), name=SCORE), None
    )
