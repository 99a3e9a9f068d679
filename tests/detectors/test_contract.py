"""What every detector of single records must hold, whatever it is; test_sequence_contract.py has those of windows."""

import numpy as np
import onnx
import polars as pl
import pytest
from export_cases import KINDS, assert_feature_errors_close, fitted_case, session

from netsieve.engine.detectors.registry import DETECTORS, detector_class, detector_parameters
from netsieve.engine.errors import TrainingError
from netsieve.engine.scoring.scorer import Scorer
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.engine.training.job import train_detector
from netsieve.export.cores import core_model
from netsieve.export.model import write_model
from netsieve.export.parity import hard_rows

NEURAL = ("autoencoder", "autoencoder_simple", "autoencoder_deep", "variational", "classifier")
QUICK = {name: {"max_draws": 20_000} for name in NEURAL}
QUICK["hybrid"] = {"member_parameters": {name: QUICK[name] for name in ("autoencoder", "classifier")}}
QUICK["isolation_forest"] = {"trees": 60}
QUICK["boosted_trees"] = {"trees": 60}
QUICK["gaussian_mixture"] = {"components": 4}
QUICK["one_class_svm"] = QUICK["dose"] = {"features": 128}
QUICK["dose_variational"] = {"max_draws": 20_000, "features": 128}
QUICK["ensemble"] = {"member_parameters": {name: QUICK[name] for name in ("autoencoder", "isolation_forest")}}
"""Parameters under which training takes a moment."""
KNOWN_ATTACKS_ONLY = ("classifier", "boosted_trees")
"""They say of records unlike any they have seen whatever comes."""
NAMES = tuple(name for name, entry in DETECTORS.items() if not entry.sequence)


def trained(name, kinds, rows=600, seed=0):
    schema, x = fitted_case(kinds, rows=rows)
    parameters = detector_parameters(name, QUICK.get(name))
    attacks = {"x_attacks": other_rows(x[:60])} if DETECTORS[name].supervised else {}
    detector = detector_class(name)(parameters)
    return detector.fit(schema, x[:400], x[400:500], seed=seed, device="cpu", **attacks), schema, x


def other_rows(x):
    """Return rows whose columns do not belong together, and are larger."""
    other = np.column_stack([np.random.default_rng(i).permutation(column) for i, column in enumerate(x.T)])
    return np.where(other > 100, other * 3, other).astype(np.float32)


@pytest.fixture(scope="module")
def mixed():
    cache = {}

    def get(name):
        if name not in cache:
            cache[name] = trained(name, KINDS["mixed"])
        return cache[name]

    return get


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_export_holds_for_every_kind_of_column(name, kinds, tmp_path):
    # on held-out rows, and on missing, unknown and extreme values, in batches and alone
    detector, schema, x = trained(name, kinds)
    calibration = Calibration.fit(detector.score(x[500:]), x[500:], detector.feature_error(x[500:]), schema)
    thresholds = {"percentile:95": calibration.score_at_position(0.95 * 99), "default": "percentile:95"}
    report = write_model(
        detector,
        tmp_path / "model.onnx",
        schema=schema,
        calibration=calibration,
        thresholds=thresholds,
        provenance={},
        parity_rows=x[400:],
    )
    assert report.largest_error <= 1e-5
    if DETECTORS[name].explains:
        held_out = np.concatenate([x[400:], hard_rows(schema, x[500:])])
        assert_feature_errors_close((tmp_path / "model.onnx").read_bytes(), detector, held_out)


@pytest.mark.parametrize("name", NAMES)
def test_a_score_depends_on_its_row_alone(name, mixed):
    detector, schema, _ = mixed(name)
    _, x = fitted_case(KINDS["mixed"], rows=100_000, seed=1)
    model = core_model(detector.core, schema)
    onnx.checker.check_model(model, full_check=True)
    run = session(model)
    scores = run.run(["score"], {"x": x})[0]
    reference = detector.reference_score(x)
    typical = np.median(np.abs(reference))
    near = {"rtol": 1e-5, "atol": 1e-5 * typical}
    np.testing.assert_allclose(scores, reference, **near)
    shuffled = np.random.default_rng(0).permutation(len(x))
    np.testing.assert_allclose(run.run(["score"], {"x": x[shuffled]})[0], scores[shuffled], **near)
    cut = np.concatenate([run.run(["score"], {"x": part})[0] for part in np.split(x, [1, 8, 1000, 5096, 70_001])])
    np.testing.assert_allclose(cut, scores, **near)


@pytest.mark.parametrize("name", [name for name in NAMES if not DETECTORS[name].supervised])
@pytest.mark.parametrize("changes", [0, 1], ids=["nothing changes", "hardly anything changes"])
def test_what_hardly_ever_changes_can_be_trained_on(name, changes, tmp_path):
    # residuals are then rounding errors, in which float32 cannot follow float64
    values = np.full(600, 7.0)
    values[:changes] = 8.0
    frame = pl.DataFrame({"number": values, "other": np.full(600, 0.1), "word": ["same"] * 600})
    found = train_detector(
        frame, detector=name, parameters=QUICK.get(name), threshold="mean_std:3", device="cpu", progress=False
    )
    scorer = Scorer(found.export(tmp_path / "model.onnx"))
    scores = scorer.score(frame)["anomaly_score"].to_numpy()
    assert len(np.unique(scores[changes:])) == 1
    news = frame.head(1).with_columns(number=pl.lit(70.0))
    if name == "isolation_forest" and not changes:
        return  # with nothing to split it gives one score to all
    assert scorer.score(news)["anomaly_score"][0] > scores[-1]


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_diverse(name, mixed):
    # a detector whose scores are nearly all the same passes many a test, and is worthless
    detector, _, _ = mixed(name)
    _, x = fitted_case(KINDS["mixed"], rows=10_000, seed=1)
    assert len(np.unique(detector.score(x))) > 2_000


@pytest.mark.parametrize("name", [name for name in NAMES if name not in KNOWN_ATTACKS_ONLY])
def test_far_records_score_above_normal_ones(name, mixed):
    detector, schema, x = mixed(name)
    far = x[500:].copy()
    for column, _ in schema.numeric:
        far[:, column] = np.nanmax(np.abs(x[:, column])) * 1000
    assert np.median(detector.score(far)) > np.quantile(detector.score(x[500:]), 0.9)


@pytest.mark.parametrize("name", NAMES)
def test_weights_read_back_give_the_same_scores(name, mixed, tmp_path):
    detector, schema, x = mixed(name)
    detector.save_weights(tmp_path / "weights.safetensors")
    again = type(detector).load_weights(tmp_path / "weights.safetensors")
    assert again.schema == schema
    assert again.parameters == detector.parameters
    np.testing.assert_array_equal(again.score(x), detector.score(x))
    (tmp_path / "broken").write_bytes(b"no weights")
    with pytest.raises(TrainingError, match="cannot be read"):
        type(detector).load_weights(tmp_path / "broken")


@pytest.mark.parametrize("name", NAMES)
def test_training_again_gives_the_same_detector(name, mixed):
    detector, _, x = mixed(name)
    again, _, _ = trained(name, KINDS["mixed"])
    np.testing.assert_array_equal(again.score(x), detector.score(x))


@pytest.mark.parametrize("name", NAMES)
def test_parts_of_the_score_belong_to_features(name, mixed):
    detector, schema, x = mixed(name)
    errors = detector.feature_error(x)
    exported = len(core_model(detector.core, schema).graph.output) == 2
    assert exported == (errors is not None) == DETECTORS[name].explains
    if errors is not None:
        assert errors.shape == x.shape
        assert np.isfinite(errors).all()


@pytest.mark.parametrize("name", NAMES)
def test_too_few_rows_are_refused(name):
    schema, x = fitted_case(KINDS["mixed"], rows=100)
    with pytest.raises(TrainingError, match=r"more (labelled )?records"):
        detector_class(name)().fit(schema, x[:3], x[3:5], device="cpu")
    with pytest.raises(TrainingError, match="not trained"):
        detector_class(name)().score(x)
