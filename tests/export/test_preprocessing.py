import numpy as np
import onnx
import pytest
from export_cases import KINDS, fitted_case, session
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from netsieve.engine.features.preprocessing import feature_selection, prepare, prepared_columns
from netsieve.export.graph import Graph
from netsieve.export.parity import hard_rows
from netsieve.export.preprocessing import RecordColumns


def prepared_session(schema):
    graph = Graph()
    prepared = RecordColumns(graph, schema).prepared
    model = graph.model(len(schema.features), feature_error=False)
    del model.graph.output[:]
    width = len(prepared_columns(schema))
    model.graph.output.append(onnx.helper.make_tensor_value_info(prepared, onnx.TensorProto.FLOAT, ["n", width]))
    onnx.checker.check_model(model, full_check=True)
    return session(model)


def run(model, x):
    return model.run(None, {"x": np.asarray(x, dtype=np.float32)})[0]


def assert_prepared(schema, model, x):
    z, expected = run(model, x), prepare(schema, x)
    assert np.isfinite(z).all()
    assert z.shape == expected.shape
    np.testing.assert_allclose(z, expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_graph_equals_reference_on_ordinary_and_hard_rows(kinds):
    schema, x = fitted_case(kinds)
    model = prepared_session(schema)
    rows = np.concatenate([x, hard_rows(schema, x)])
    assert_prepared(schema, model, rows)
    for row in rows[-30:]:
        assert_prepared(schema, model, row[None])


MIXED = fitted_case(KINDS["another order"])
MIXED_SESSION = prepared_session(MIXED[0])
NUMBERS = st.one_of(
    st.floats(width=32, allow_nan=True, allow_infinity=True),
    st.sampled_from([np.nan, 0.0, 1.0, 2.0, 3.0, 5.0, 6.0, 51.0, 52.0, 2.5, -1.0, 3e38, -3e38]),
)


@settings(deadline=None)
@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.just(6)), elements=NUMBERS))
def test_graph_equals_reference_on_any_float32(x):
    assert_prepared(MIXED[0], MIXED_SESSION, x)


def test_a_huge_vocabulary_is_looked_up_whole():
    schema, x = fitted_case(("category1024", "category2"), rows=20_000)
    model = prepared_session(schema)
    codes = np.stack([np.arange(-2, 1030), np.arange(-2, 1030)], axis=1).astype(np.float32)
    assert_prepared(schema, model, np.concatenate([codes, x]))


@pytest.mark.parametrize("kinds", [KINDS["mixed"], KINDS["another order"]])
def test_only_another_order_pays_for_a_gather_of_all_columns(kinds):
    graph = Graph()
    _ = RecordColumns(graph, fitted_case(kinds)[0]).prepared
    assert ("ordered" in [node.name for node in graph.nodes]) == (kinds == KINDS["another order"])


def test_feature_selection_gives_each_column_to_its_feature():
    schema, _ = fitted_case(KINDS["another order"])
    selection = feature_selection(schema)
    assert selection.shape == (len(prepared_columns(schema)), 6)
    assert (selection.sum(axis=1) == 1).all()
    assert selection.sum(axis=0).tolist() == [1 + 2 + 4, 1, 2, 1 + 2 + 32 + 1, 1, 2]
