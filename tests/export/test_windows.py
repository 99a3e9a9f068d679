"""The nodes of windows against their reference."""

import numpy as np
import pytest
from export_cases import KINDS, session
from sequence_cases import windowed_case

from netsieve.engine.detectors.lstm_layer import LstmLayer
from netsieve.engine.detectors.sequence_core import prepared_windows, recorded_steps
from netsieve.export.graph import SCORE, Graph
from netsieve.export.lstm import SHUT, add_memory
from netsieve.export.parity import hard_windows
from netsieve.export.windows import WindowColumns


def output(graph, name, x, window, features):
    """Return what the node ``name`` gives for windows."""
    graph.node("Identity", name, name=SCORE)
    return session(graph.model(features, feature_error=False, window=window)).run([SCORE], {"x": x})[0]


@pytest.mark.parametrize("kinds", [KINDS["mixed"], KINDS["all missing"], KINDS["categories"]])
def test_steps_that_are_records_and_their_columns(kinds):
    schema, x = windowed_case(kinds)
    x = np.concatenate([x, hard_windows(schema, x)])
    sparse = x[:300].copy()
    sparse[np.random.default_rng(0).random((300, x.shape[1])) < 0.5] = np.nan
    x = np.concatenate([x, sparse])
    window, features = x.shape[1:]
    graph = Graph()
    recorded = output(graph, WindowColumns(graph, schema, window).recorded, x, window, features)
    np.testing.assert_array_equal(recorded, recorded_steps(x))
    graph = Graph()
    prepared = output(graph, WindowColumns(graph, schema, window).prepared, x, window, features)
    expected = prepared_windows(schema, x)
    got = prepared.reshape(expected.shape)
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got[recorded_steps(x)], expected[recorded_steps(x)], rtol=1e-5, atol=1e-5)


def test_a_mark_keeps_the_state_at_zero():
    # whatever stands in a step of padding, and however many there are
    rng = np.random.default_rng(0)
    units, inputs = 5, 3
    layer = LstmLayer(
        rng.normal(0, 5, (inputs, 4 * units)).astype("f4"),
        rng.normal(0, 5, (units, 4 * units)).astype("f4"),
        rng.normal(0, 5, 4 * units).astype("f4"),
    )
    x = rng.uniform(-16, 16, (40, 30, inputs)).astype("f4")
    padding = np.arange(30) < rng.integers(20, 30, 40)[:, None]
    graph = Graph()
    marked = np.concatenate([x, padding[:, :, None]], axis=2).astype("f4")
    by_step = graph.node("Transpose", "x", name="by_step", perm=[1, 0, 2])
    state = add_memory(graph, "memory", layer, by_step, marked=True, every_step=False)
    got = output(graph, state, marked, 30, inputs + 1)[0]
    np.testing.assert_allclose(got, layer.last_state(x, ~padding), atol=1e-5)
    assert -16 * np.abs(layer.input_weight).sum(axis=0).max() > SHUT


def test_hard_windows_hold_every_length_of_history():
    schema, x = windowed_case(KINDS["mixed"])
    windows = hard_windows(schema, x[300:])
    lengths = recorded_steps(windows).sum(axis=1)
    assert set(lengths) == set(range(1, x.shape[1] + 1))
    assert np.isnan(windows).all(axis=(1, 2)).any()
