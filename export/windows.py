"""Windows of records in a graph: their prepared columns, and which of their steps are padding.

The arithmetic of :mod:`netsieve.engine.detectors.sequence_core`. All steps of all windows are prepared together, as
records of one long matrix.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.dense_autoencoder import Aggregation
from netsieve.engine.detectors.sequence_core import LARGEST_INPUT
from netsieve.engine.features.preprocessing import prepared_columns
from netsieve.engine.features.schema import FeatureSchema
from netsieve.export.autoencoder import add_feature_error
from netsieve.export.graph import FEATURE_ERROR, INPUT, SCORE, CoreOutputs, Graph
from netsieve.export.preprocessing import RecordColumns

STEP_AXIS: Final = 1
"""Axis of the steps in ``[n, window, columns]``."""


class WindowColumns:
    """The columns of windows in a graph; each is added when it is first asked for.

    Parameters
    ----------
    graph
        Graph to add to; its input is ``x``, float32 ``[n, window, n_features]``, raw units and codes.
    schema
        Fitted schema.
    window
        Records in a window.
    """

    def __init__(self, graph: Graph, schema: FeatureSchema, window: int) -> None:
        self.graph = graph
        self.schema = schema
        self.window = window

    @property
    def width(self) -> int:
        """Number of prepared columns."""
        return len(prepared_columns(self.schema))

    @cached_property
    def prepared(self) -> str:
        """Name of the prepared records of all windows, float32 ``[n * window, width]``; padding is anything finite."""
        records = self.reshaped(INPUT, "records", -1, len(self.schema.features))
        return RecordColumns(self.graph, self.schema, records).view("prepared")

    @cached_property
    def shown(self) -> str:
        """Name of what networks are shown of them, of the same shape; padding is anything bounded."""
        low, high = (
            self.graph.constant("lowest_input", -LARGEST_INPUT),
            self.graph.constant("highest_input", LARGEST_INPUT),
        )
        return self.graph.node("Clip", self.prepared, low, high, name="shown")

    @cached_property
    def recorded(self) -> str:
        """Name of the steps that are records, float32 ``[n, window]`` of 0 and 1."""
        graph = self.graph
        absent = graph.node("Cast", graph.node("IsNaN", INPUT, name="absent_value"), name="absent", to=1)
        features = graph.constant("feature_axis", np.array([2]))
        nothing = graph.node("ReduceMin", absent, features, name="nothing", keepdims=0)
        # the last step is always a record: it counts one more
        last = np.ones((1, self.window), dtype=np.float32)
        last[:, -1] = 2.0
        something = graph.node("Sub", graph.constant("one_record", last), nothing, name="something")
        records = graph.node("CumSum", something, graph.constant("step_axis", np.array(STEP_AXIS)), name="records_yet")
        return graph.node("Min", records, graph.constant("recorded_step", 1.0), name="recorded")

    @cached_property
    def padded(self) -> str:
        """Name of the steps that are padding, float32 ``[n * window, 1]`` of 0 and 1."""
        padded = self.graph.node("Sub", self.graph.constant("any_step", 1.0), self.recorded, name="padded_step")
        return self.reshaped(padded, "padded", -1, 1)

    def reshaped(self, values: str, name: str, *shape: int) -> str:
        """Add and return the node ``name``: ``values`` in another shape, of which -1 is what remains."""
        return self.graph.node("Reshape", values, self.graph.constant(f"{name}.shape", np.array(shape)), name=name)

    def by_step(self, rows: str, name: str, columns: int, order: tuple[int, int, int]) -> str:
        """Add and return the node ``name``: rows ``[n * window, columns]`` with the axes window, step and column so."""
        by_window = self.reshaped(rows, f"{name}_by_window", -1, self.window, columns)
        return self.graph.node("Transpose", by_window, name=name, perm=list(order))


def add_window_score(
    columns: WindowColumns,
    rebuilt: str,
    error_weight: NDArray[np.float32],
    aggregation: Aggregation,
    last_share: float,
) -> CoreOutputs:
    """Add the nodes from rebuilt records ``[n * window, width]`` to ``feature_error`` and ``score``.

    See :func:`netsieve.engine.detectors.sequence_core.window_errors`.
    """
    graph, window, schema = columns.graph, columns.window, columns.schema
    residual = graph.node("Sub", rebuilt, columns.prepared, name="residual")
    errors = add_feature_error(graph, schema, error_weight, aggregation, residual, "record_error")
    by_window = columns.reshaped(errors, "error_by_window", -1, window, len(schema.features))
    steps = graph.constant("step_axes", np.array([STEP_AXIS]))
    count = graph.node("ReduceSum", columns.recorded, steps, name="record_count", keepdims=1)
    share = graph.node("Mul", columns.recorded, graph.constant("shared", 1 - last_share), name="shared_step")
    each = graph.node("Div", share, count, name="step_share")
    last = np.zeros((1, window), dtype=np.float32)
    last[:, -1] = last_share
    weight = graph.node("Add", each, graph.constant("last_share", last), name="step_weight")
    column = columns.reshaped(weight, "step_weight_column", -1, window, 1)
    feature_error = graph.node("Mul", by_window, column, name=FEATURE_ERROR)
    axes = graph.constant("window_axes", np.array([1, 2]))
    return CoreOutputs(graph.node("ReduceSum", feature_error, axes, name=SCORE, keepdims=0), feature_error)
