"""LSTM and convolutional cores against PyTorch, and what they learn."""

import numpy as np
import pytest
import torch
from export_cases import KINDS
from sequence_cases import SEQUENCE_NAMES, WINDOW, windowed_case

from netsieve.bench.sequence_windows import windows_of
from netsieve.engine.detectors.conv_network import ConvolutionalNetwork
from netsieve.engine.detectors.lstm_autoencoder import LstmAutoencoder, LstmAutoencoderParameters
from netsieve.engine.detectors.lstm_classifier import LstmClassifier, LstmClassifierParameters
from netsieve.engine.detectors.lstm_layer import LstmLayer
from netsieve.engine.detectors.lstm_networks import (
    LstmAutoencoderNetwork,
    LstmClassifierNetwork,
    LstmPredictorNetwork,
    counted_steps,
    new_memory,
    plain_memory,
    states,
)
from netsieve.engine.detectors.lstm_predictor import LstmPredictor, LstmPredictorParameters
from netsieve.engine.detectors.sequence_core import (
    PADDING,
    code_windows,
    prepared_windows,
    recorded_steps,
    step_weight,
)
from netsieve.engine.features.preprocessing import fit_preprocessing, prepare
from netsieve.engine.features.schema import FeatureSchema, NumericFeature

SCHEMA, X = windowed_case(KINDS["mixed"])
Z = prepared_windows(SCHEMA, X)
WIDTH = Z.shape[2]
ONES = np.ones(WIDTH, dtype=np.float32)


def test_leading_records_without_values_are_padding_but_the_last_is_a_record():
    nan = np.nan
    windows = np.array([[[nan], [nan], [1]], [[nan], [1], [nan]], [[1], [nan], [nan]], [[nan]] * 3], dtype=np.float32)
    expected = [[False, False, True], [False, True, True], [True, True, True], [False, False, True]]
    np.testing.assert_array_equal(recorded_steps(windows), expected)


def test_prepared_windows_are_prepared_records():
    recorded = recorded_steps(X)
    assert not recorded.all()
    np.testing.assert_array_equal(Z[recorded], prepare(SCHEMA, X[recorded]))
    assert np.isnan(Z[~recorded]).all()


def test_codes_of_windows():
    column, category = SCHEMA.categorical[0]
    x = np.full((1, 6, X.shape[2]), 0.0, dtype=np.float32)
    x[0, :1] = np.nan
    x[0, 1:, column] = [0, category.code_count, 2.5, np.nan, 3]
    np.testing.assert_array_equal(code_windows(SCHEMA, column, x), [[PADDING, 0, 1, 1, 0, 3]])


def test_weights_of_steps():
    recorded = np.array([[True, True, True, True], [False, False, False, True]])
    np.testing.assert_allclose(step_weight(recorded, 0.5), [[0.125, 0.125, 0.125, 0.625], [0, 0, 0, 1]])
    np.testing.assert_allclose(step_weight(recorded, 1.0), [[0, 0, 0, 1]] * 2)


def test_the_layer_is_that_of_pytorch():
    torch.manual_seed(0)
    memory = torch.nn.LSTM(3, 4, batch_first=True)
    values = np.random.default_rng(0).normal(size=(10, 6, 3)).astype(np.float32)
    with torch.inference_mode():
        expected = memory(torch.from_numpy(values))[0].numpy()
    np.testing.assert_allclose(plain_memory(memory).states(values), expected, atol=1e-6)


def test_padding_leaves_the_state_alone():
    # what comes after padding, by the plain layer and in training, is what would come without it
    torch.manual_seed(0)
    memory = new_memory(3, 4)
    layer = plain_memory(memory)
    values = np.random.default_rng(0).normal(size=(6, 6, 3)).astype(np.float32)
    recorded = np.arange(6) >= np.arange(6)[:, None]
    plain = layer.states(values, recorded)
    with torch.inference_mode():
        trained = states(memory, torch.from_numpy(values), torch.from_numpy(recorded)).numpy()
    np.testing.assert_allclose(trained, plain, atol=1e-6)
    for row in range(6):
        assert not plain[row, :row].any()
        np.testing.assert_allclose(plain[row, row:], layer.states(values[row : row + 1, row:])[0], rtol=1e-12)


def test_a_state_without_steps_is_zero():
    layer = LstmLayer(np.ones((2, 12), "f4"), np.ones((3, 12), "f4"), np.ones(12, "f4"))
    assert not layer.last_state(np.empty((4, 0, 2)), np.empty((4, 0), bool)).any()


@pytest.mark.parametrize("kind", ["lstm", "convolution"])
def test_autoencoders_rebuild_as_in_training(kind):
    torch.manual_seed(0)
    if kind == "lstm":
        network = LstmAutoencoderNetwork(WIDTH, 16, 4, 0.5)
    else:
        network = ConvolutionalNetwork(WIDTH, (16, 8), 4, kernel=5, last_share=0.5)
    with torch.inference_mode():
        expected = network(torch.from_numpy(Z.astype(np.float32))).numpy()
        loss = float(network.objective(network, *[torch.from_numpy(Z.astype(np.float32))] * 2))
    core = network.core(WINDOW, ONES, "sum")
    recorded = recorded_steps(X)
    np.testing.assert_allclose(core.rebuilt(Z)[recorded], expected[recorded], atol=1e-5)
    # the loss is the mean of the unweighted scores, a column
    np.testing.assert_allclose(core.score(Z).mean() / WIDTH, loss, rtol=1e-5)


def test_predictions_are_those_of_training():
    torch.manual_seed(0)
    network = LstmPredictorNetwork(WIDTH, 16).eval()
    z = torch.from_numpy(Z.astype(np.float32))
    with torch.inference_mode():
        expected = network(z).numpy()
        loss = float(network.objective(network, z, z))
    core = network.core(WINDOW, ONES, "sum")
    np.testing.assert_allclose(core.predicted(Z), expected[:, -1], atol=1e-5)
    np.testing.assert_allclose(core.score(Z).mean() / WIDTH, loss, rtol=1e-5)
    # the first record of an entity is predicted from the initial state
    first = (~recorded_steps(X)[:, :-1]).all(axis=1)
    assert first.any()
    np.testing.assert_allclose(core.predicted(Z[first]), np.tile(core.output.bias, (first.sum(), 1)), atol=1e-12)


def test_log_odds_are_those_of_training():
    torch.manual_seed(0)
    network = LstmClassifierNetwork(WIDTH, 16, share=0.5)
    with torch.inference_mode():
        expected = network(torch.from_numpy(Z.astype(np.float32))).numpy()
    np.testing.assert_allclose(network.core(WINDOW).score(Z), expected, atol=1e-5)


def test_which_predictions_count():
    recorded = torch.tensor([[True, True, True], [False, True, True], [False, False, True]])
    expected = [[0, 1, 1], [0, 1, 1], [0, 0, 1]]
    np.testing.assert_array_equal(counted_steps(recorded, training=True), expected)
    np.testing.assert_array_equal(counted_steps(recorded, training=False), [[0, 0, 1]] * 3)


def waves(entities=20, steps=60, seed=0):
    """Return a schema and windows of entities whose values swing, each in its own phase, with a little noise."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 2 * np.pi, entities)
    values = np.sin(np.arange(steps)[:, None] * 0.7 + phase) + rng.normal(0, 0.02, (steps, entities))
    x = values.reshape(-1, 1).astype(np.float32)
    schema = fit_preprocessing(FeatureSchema(features=(NumericFeature(name="value"),)), x)
    return schema, windows_of(x, np.tile(np.arange(entities), steps), 8)


QUICK = {"max_draws": 30_000, "units": 32, "learning_rate": 0.01}


@pytest.mark.parametrize(
    ("detector", "worst"),
    [
        (LstmPredictor(LstmPredictorParameters(**QUICK)), 0.02),
        (LstmAutoencoder(LstmAutoencoderParameters(**QUICK, latent_size=4, noise=None, last_share=1.0)), 0.1),
    ],
    ids=["predictor", "autoencoder"],
)
def test_a_value_that_is_usual_but_comes_at_the_wrong_time_stands_out(detector, worst):
    schema, x = waves()
    whole = x[~np.isnan(x).any(axis=(1, 2))]
    detector.fit(schema, x[:800], x[800:], device="cpu")
    wrong = whole.copy()
    wrong[:, -1] = np.where(np.abs(whole[:, -2]) < 0.5, -np.sign(whole[:, -1]), 0.0)
    odd = np.abs(wrong[:, -1, 0] - whole[:, -1, 0]) > 0.8
    threshold = np.quantile(detector.score(whole), 0.99)
    assert odd.sum() > 200
    assert (detector.score(wrong[odd]) <= threshold).mean() < worst


def test_the_classifier_learns_an_order():
    # the same values in every window, attacks in the reverse order
    schema, _ = waves()
    rng = np.random.default_rng(0)
    rising = np.sort(rng.normal(size=(600, 8, 1)), axis=1).astype(np.float32)
    attacks = rising[:, ::-1].copy()
    detector = LstmClassifier(LstmClassifierParameters(max_draws=20_000, learning_rate=0.01, scheduler="plateau"))
    detector.fit(schema, rising[:400], rising[400:500], x_attacks=attacks[:300], device="cpu")
    assert detector.score(rising[500:]).max() < detector.score(attacks[300:]).min()


def test_sequence_detectors_are_named():
    assert set(SEQUENCE_NAMES) == {
        "lstm_autoencoder",
        "lstm_predictor",
        "lstm_classifier",
        "conv_autoencoder",
        "lstm_tokens",
    }
