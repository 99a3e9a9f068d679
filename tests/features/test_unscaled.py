import numpy as np
from export_cases import KINDS, fitted_case, session
from hypothesis import given, settings
from hypothesis import strategies as st

from netsieve.engine.features.preprocessing import prepare, prepared_columns
from netsieve.engine.features.unscaled import rounded_down, unscaled_columns, unscaled_thresholds
from netsieve.export.graph import Graph
from netsieve.export.parity import hard_rows
from netsieve.export.preprocessing import RecordColumns

SCHEMA, X = fitted_case(KINDS["another order"])
ROWS = np.concatenate([X, hard_rows(SCHEMA, X)])


@settings(deadline=None)
@given(st.integers(0, len(prepared_columns(SCHEMA)) - 1), st.integers(0, len(ROWS) - 1), st.sampled_from([-1, 0, 1]))
def test_a_threshold_decides_alike_on_prepared_and_unscaled_columns(column, row, step):
    prepared, unscaled = prepare(SCHEMA, ROWS), unscaled_columns(SCHEMA, ROWS)
    # thresholds at and right beside a value that occurs
    threshold = prepared[row, column]
    threshold = threshold if not step else np.nextafter(threshold, step * np.inf)
    raw = unscaled_thresholds(SCHEMA, np.array([column]), np.array([threshold]))[0]
    present = ~np.isnan(unscaled[:, column])
    left = prepared[:, column].astype(np.float32 if column >= len(SCHEMA.numeric) else np.float64) <= threshold
    np.testing.assert_array_equal((unscaled[:, column] <= raw)[present], left[present])


def test_thresholds_below_and_above_all_numbers():
    thresholds = unscaled_thresholds(SCHEMA, np.array([0, 0]), np.array([-np.inf, np.inf]))
    np.testing.assert_array_equal(thresholds, [-np.inf, np.inf])


def test_rounding_down_never_rounds_up():
    values = np.random.default_rng(0).normal(size=1000) * 10.0 ** np.random.default_rng(1).integers(-20, 20, 1000)
    rounded = rounded_down(values)
    assert (rounded <= values).all()
    assert (np.nextafter(rounded, np.float32(np.inf)) > values).all()


def test_the_graph_gives_the_same_bits():
    for kinds in KINDS.values():
        schema, x = fitted_case(kinds, rows=200)
        rows = np.concatenate([x, hard_rows(schema, x)])
        graph = Graph()
        name = RecordColumns(graph, schema).view("unscaled")
        graph.node("Identity", name, name="columns")
        model = graph.model(len(schema.features), feature_error=False)
        model.graph.output[0].CopyFrom(onnx_output(len(prepared_columns(schema))))
        np.testing.assert_array_equal(session(model).run(None, {"x": rows})[0], unscaled_columns(schema, rows))


def onnx_output(width):
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info("columns", TensorProto.FLOAT, ["n", width])
