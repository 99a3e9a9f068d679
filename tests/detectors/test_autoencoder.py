from dataclasses import replace

import numpy as np
import pytest
import torch

from netsieve.engine.detectors.autoencoder import Autoencoder, AutoencoderParameters, residual_weight
from netsieve.engine.errors import DeviceError, TrainingError
from netsieve.engine.features.preprocessing import fit_preprocessing, prepare
from netsieve.engine.features.schema import CategoricalFeature, FeatureSchema, NumericFeature

QUICK = AutoencoderParameters(max_draws=30_000, batch_size=64, learning_rate=0.003, noise=None, aggregation="sum")


def correlated_rows(rows: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    factors = generator.standard_normal((rows, 2)) @ np.random.default_rng(99).standard_normal((2, 5))
    codes = np.where(factors[:, :1] > 0, 2, 3)
    return np.hstack([factors + 0.05 * generator.standard_normal((rows, 5)), codes]).astype(np.float32)


def fitted_schema(x: np.ndarray) -> FeatureSchema:
    codes, counts = np.unique(x[:, 5], return_counts=True)
    category = CategoricalFeature(
        name="service", vocabulary=tuple(f"s{int(c)}" for c in codes), counts=tuple(counts.tolist()), rows=len(x)
    )
    numbers = tuple(NumericFeature(name=f"n{i}") for i in range(5))
    return fit_preprocessing(FeatureSchema(features=(*numbers, category)), x)


@pytest.fixture(scope="module")
def trained() -> Autoencoder:
    x = correlated_rows(1000)
    return Autoencoder(QUICK).fit(fitted_schema(x), x[:800], x[800:], seed=1, device="cpu")


def test_rows_off_the_correlation_score_higher_than_normal_rows(trained: Autoencoder) -> None:
    normal = correlated_rows(500, seed=7)
    shuffled = normal.copy()
    for column in range(6):
        shuffled[:, column] = np.random.default_rng(column).permutation(normal[:, column])
    cutoff = np.quantile(trained.score(normal), 0.9)
    assert (trained.score(shuffled) > cutoff).mean() > 0.7
    assert len(np.unique(trained.score(normal))) > 490


def test_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    x = correlated_rows(400)
    schema = fitted_schema(x)
    parameters = replace(
        QUICK, dropout=0.1, normalization="batch", activation="leaky_relu", noise=(0.05, 0.5), max_draws=6_000
    )
    torch.manual_seed(5)
    state = torch.get_rng_state()
    fits = [
        Autoencoder(parameters).fit(schema, x[:300], x[300:], seed=seed, device="cpu").network for seed in (3, 3, 4)
    ]
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.are_deterministic_algorithms_enabled()
    same, again, other = fits
    for first, second in zip((*same.encoder, *same.decoder), (*again.encoder, *again.decoder), strict=True):
        np.testing.assert_array_equal(first.weight, second.weight)
        np.testing.assert_array_equal(first.bias, second.bias)
    np.testing.assert_array_equal(same.latent_whitening, again.latent_whitening)
    assert not np.array_equal(same.encoder[0].weight, other.encoder[0].weight)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
@pytest.mark.parametrize("normalization", ["batch", "none"])
def test_folded_layers_compute_what_torch_computes(activation: str, normalization: str) -> None:
    x = correlated_rows(600)
    schema = fitted_schema(x)
    parameters = replace(QUICK, activation=activation, normalization=normalization, dropout=0.2, max_draws=6_000)
    detector = Autoencoder(parameters).fit(schema, x[:500], x[500:], seed=2, device="cpu")
    z = prepare(schema, correlated_rows(200, seed=3) * np.float32(3))
    network = detector._torch_network.double().eval()
    with torch.inference_mode():
        rebuilt = network(torch.from_numpy(z)).numpy()
        code = network.encoder(torch.from_numpy(z)).numpy()
    np.testing.assert_allclose(detector.network.residual(z), rebuilt - z, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(detector.network.code(z), code, rtol=1e-5, atol=1e-5)


def test_feature_errors_and_latent_distance_add_up_to_the_score(trained: Autoencoder) -> None:
    x = correlated_rows(50, seed=4)
    network = trained.network
    whitened = (network.code(prepare(trained.schema, x)) - network.latent_center) @ network.latent_whitening
    errors = trained.feature_error(x)
    assert errors.shape == (50, 6)
    assert errors.dtype == np.float32
    np.testing.assert_allclose(errors.sum(axis=1) + np.square(whitened).sum(axis=1), trained.score(x), rtol=1e-4)


def test_score_is_the_reference_in_float32_and_independent_of_the_batch(trained: Autoencoder) -> None:
    x = correlated_rows(40, seed=5)
    scores = trained.score(x)
    assert scores.dtype == np.float32
    assert trained.reference_score(x).dtype == np.float64
    np.testing.assert_allclose(scores, trained.reference_score(x), rtol=1e-6)
    np.testing.assert_allclose([trained.score(x[i : i + 1])[0] for i in range(40)], scores, rtol=1e-6)
    assert trained.score(x[:0]).shape == (0,)


@pytest.mark.parametrize("aggregation", ["sum", "log_mean", "absolute", "mean_squared"])
def test_every_aggregation_separates(aggregation: str) -> None:
    x = correlated_rows(600)
    detector = Autoencoder(replace(QUICK, aggregation=aggregation, latent_distance=aggregation == "sum"))
    detector.fit(fitted_schema(x), x[:500], x[500:], device="cpu")
    normal, odd = correlated_rows(200, seed=8), correlated_rows(200, seed=8)
    odd[:, 0] += 5
    assert np.median(detector.score(odd)) > np.quantile(detector.score(normal), 0.95)
    assert np.argmax(detector.feature_error(odd).mean(axis=0)) == 0


def test_residual_weights_by_hand() -> None:
    residual = np.array([[1.0, 0.0], [3.0, 0.0]])
    np.testing.assert_allclose(residual_weight(residual, "sum"), [1 / 5.01, 100])
    np.testing.assert_allclose(residual_weight(residual, "absolute"), [1 / 2.1, 10], rtol=1e-6)
    np.testing.assert_allclose(residual_weight(residual, "mean_squared"), [0.5, 0.5])


def test_weights_file_restores_the_detector_and_training_goes_on(trained: Autoencoder, tmp_path) -> None:
    path = tmp_path / "weights.safetensors"
    trained.save_weights(path)
    restored = Autoencoder.load_weights(path)
    x = correlated_rows(300, seed=6)
    assert restored.parameters == trained.parameters
    assert restored.schema == trained.schema
    np.testing.assert_array_equal(restored.reference_score(x), trained.reference_score(x))
    # one step with a tiny learning rate: what comes out is what went in, not a fresh network
    onward = Autoencoder(replace(QUICK, learning_rate=1e-9, max_draws=64))
    onward.fit(trained.schema, x, x[:50], device="cpu", initial_weights=path)
    np.testing.assert_allclose(onward.network.encoder[0].weight, trained.network.encoder[0].weight, atol=1e-6)


def test_weights_that_do_not_fit_are_refused(trained: Autoencoder, tmp_path) -> None:
    path = tmp_path / "weights.safetensors"
    trained.save_weights(path)
    x = correlated_rows(100)
    with pytest.raises(TrainingError, match="do not fit"):
        Autoencoder(replace(QUICK, latent_size=5)).fit(fitted_schema(x), x, x, device="cpu", initial_weights=path)
    path.write_bytes(b"nonsense")
    with pytest.raises(TrainingError, match=r"weights\.safetensors"):
        Autoencoder.load_weights(path)
    with pytest.raises(TrainingError, match="cannot be read"):
        Autoencoder.load_weights(tmp_path / "absent")


def test_constant_and_all_missing_columns_give_finite_scores_and_a_change_is_news() -> None:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((300, 3)).astype(np.float32)
    x[:, 1], x[:, 2] = 7, np.nan
    schema = fit_preprocessing(FeatureSchema(features=tuple(NumericFeature(name=n) for n in "abc")), x)
    detector = Autoencoder(QUICK).fit(schema, x[:250], x[250:], device="cpu")
    scores = detector.score(x)
    assert np.isfinite(scores).all()
    changed, appeared, extreme = x[:50].copy(), x[:50].copy(), x[:50].copy()
    changed[:, 1] = 8
    appeared[:, 2] = 1
    extreme[:, 0] = 3e38
    for odd in (changed, appeared, extreme):
        assert np.isfinite(detector.score(odd)).all()
        assert detector.score(odd).min() > scores.max()


@pytest.mark.parametrize(
    ("train", "validation", "named"), [(0, 10, "training"), (19, 10, "training"), (50, 1, "valid")]
)
def test_too_few_rows_are_refused(train: int, validation: int, named: str) -> None:
    x = correlated_rows(100)
    with pytest.raises(TrainingError, match=named):
        Autoencoder(QUICK).fit(fitted_schema(x), x[:train], x[:validation])


def test_twenty_rows_and_batches_larger_than_them_train() -> None:
    x = correlated_rows(22)
    detector = Autoencoder(AutoencoderParameters(normalization="batch", max_draws=500))
    assert np.isfinite(detector.fit(fitted_schema(x), x[:20], x[20:], device="cpu").score(x)).all()


def test_a_schema_without_features_is_refused() -> None:
    with pytest.raises(TrainingError, match="no features"):
        Autoencoder().fit(FeatureSchema(features=(), fitted=True), np.empty((50, 0), "f4"), np.empty((50, 0), "f4"))


def test_an_untrained_detector_says_so(tmp_path) -> None:
    with pytest.raises(TrainingError, match="not trained"):
        Autoencoder().score(np.zeros((1, 1), dtype=np.float32))
    with pytest.raises(TrainingError, match="not trained"):
        Autoencoder().save_weights(tmp_path / "w")


@pytest.mark.parametrize(
    "wrong",
    [
        {"activation": "tanh"},
        {"dropout": 1.0},
        {"noise": (0.0, 1.0)},
        {"batch_size": 1},
        {"hidden_layers": (8, 0)},
        {"learning_rate": 0},
        {"aggregation": "max"},
    ],
)
def test_wrong_parameters_are_refused_by_name(wrong: dict) -> None:
    with pytest.raises(TrainingError, match=next(iter(wrong))):
        AutoencoderParameters(**wrong)


def test_parameters_survive_a_dict_and_unknown_names_are_refused() -> None:
    assert AutoencoderParameters.from_dict({"hidden_layers": [64, 8], "noise": None}) == AutoencoderParameters(
        hidden_layers=(64, 8), noise=None
    )
    with pytest.raises(TrainingError, match="layers"):
        AutoencoderParameters.from_dict({"layers": 3})


def test_devices_that_are_not_there_are_refused() -> None:
    x = correlated_rows(100)
    with pytest.raises(DeviceError, match="tpu"):
        Autoencoder(QUICK).fit(fitted_schema(x), x, x, device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="cuda"):
            Autoencoder(QUICK).fit(fitted_schema(x), x, x, device="cuda")
