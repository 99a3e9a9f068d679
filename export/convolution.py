"""A convolutional autoencoder's score as ONNX nodes: one Conv node a layer, named ``layer_0``, ``layer_1``, ..."""

from __future__ import annotations

from netsieve.engine.detectors.conv_core import ConvolutionalAutoencoderCore
from netsieve.export.graph import CoreOutputs, Graph
from netsieve.export.windows import WindowColumns, add_window_score


def add_convolutional_autoencoder(
    graph: Graph, columns: WindowColumns, core: ConvolutionalAutoencoderCore
) -> CoreOutputs:
    """Add the nodes from the windows to ``feature_error`` and ``score``."""
    rows = columns.reshaped(columns.recorded, "recorded_rows", -1, 1)
    bounded = graph.node("Mul", columns.shown, rows, name="without_padding")
    marked = graph.node("Concat", bounded, rows, name="marked", axis=1)
    values = columns.by_step(marked, "channels", columns.width + 1, (0, 2, 1))
    recorded = columns.reshaped(columns.recorded, "recorded_channel", -1, 1, core.window)
    for number, layer in enumerate(core.layers):
        name = f"layer_{number}"
        weight, bias = graph.constant(f"{name}.weight", layer.weight), graph.constant(f"{name}.bias", layer.bias)
        beyond = layer.weight.shape[2] // 2
        values = graph.node("Conv", values, weight, bias, name=name, pads=[beyond, beyond])
        if layer.rectified:
            values = graph.node("Relu", values, name=f"{name}.activation")
        if number < len(core.layers) - 1:
            values = graph.node("Mul", values, recorded, name=f"{name}.recorded")
    by_window = graph.node("Transpose", values, name="rebuilt_by_window", perm=[0, 2, 1])
    rebuilt = columns.reshaped(by_window, "rebuilt", -1, columns.width)
    return add_window_score(columns, rebuilt, core.error_weight, core.aggregation, core.last_share)
