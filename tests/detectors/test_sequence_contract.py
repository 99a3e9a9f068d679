"""What every detector over windows must hold, whatever it is."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from export_cases import KINDS, assert_feature_errors_close, session
from sequence_cases import SEQUENCE_NAMES, WINDOW, trained, windowed_case

from netsieve.engine.detectors.registry import DETECTORS, detector_class, detector_parameters
from netsieve.engine.errors import ExportError, TrainingError
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.export.cores import core_model
from netsieve.export.model import write_model
from netsieve.export.parity import hard_windows

OF_CATEGORIES = ("lstm_tokens",)
KNOWN_ATTACKS_ONLY = ("lstm_classifier",)
LARGER_WINDOW = ("lstm_predictor", "lstm_tokens")
EXPLAINED = tuple(name for name in SEQUENCE_NAMES if DETECTORS[name].explains)
CASES = [
    pytest.param(name, kinds, id=f"{name}-{case}")
    for name in SEQUENCE_NAMES
    for case, kinds in KINDS.items()
    if name not in OF_CATEGORIES or any(kind.startswith("category") for kind in kinds)
]


@pytest.fixture(scope="module")
def mixed():
    cache = {}

    def get(name):
        if name not in cache:
            cache[name] = trained(name, KINDS["mixed"])
        return cache[name]

    return get


def written(detector, schema, x, path, parity_rows=None):
    calibration = Calibration.fit(detector.score(x[500:]), None, None, schema)
    thresholds = {"percentile:95": calibration.score_at_position(0.95 * 99), "default": "percentile:95"}
    return write_model(
        detector,
        path,
        schema=schema,
        calibration=calibration,
        thresholds=thresholds,
        provenance={},
        parity_rows=x[400:] if parity_rows is None else parity_rows,
    )


@pytest.mark.parametrize(("name", "kinds"), CASES)
def test_export_holds_for_every_kind_of_column(name, kinds, tmp_path):
    # on held-out windows, on short histories, and on missing, unknown and extreme values, in batches and alone
    detector, schema, x = trained(name, kinds)
    assert written(detector, schema, x, tmp_path / "model.onnx").largest_error <= 1e-5


@pytest.mark.parametrize("name", SEQUENCE_NAMES)
def test_a_score_depends_on_its_window_alone(name, mixed):
    detector, schema, _ = mixed(name)
    _, x = windowed_case(KINDS["mixed"], rows=5_200, seed=1)
    model = core_model(detector.core, schema)
    onnx.checker.check_model(model, full_check=True)
    assert {opset.domain for opset in model.opset_import} == {""}
    run = session(model)
    scores = run.run(["score"], {"x": x})[0]
    reference = detector.reference_score(x)
    near = {"rtol": 1e-5, "atol": 1e-5 * np.median(np.abs(reference))}
    np.testing.assert_allclose(scores, reference, **near)
    shuffled = np.random.default_rng(0).permutation(len(x))
    np.testing.assert_allclose(run.run(["score"], {"x": x[shuffled]})[0], scores[shuffled], **near)
    cut = np.concatenate([run.run(["score"], {"x": part})[0] for part in np.split(x, [1, 8, 1000, 5096])])
    np.testing.assert_allclose(cut, scores, **near)


@pytest.mark.parametrize("name", SEQUENCE_NAMES)
def test_scores_are_diverse(name, mixed):
    # of windows that differ: a model of one category's values sees a few hundred kinds of them
    detector, _, _ = mixed(name)
    _, x = windowed_case(KINDS["mixed"], rows=3_000, seed=1)
    assert len(np.unique(detector.score(x))) > 1_000


@pytest.mark.parametrize("name", EXPLAINED)
def test_far_records_score_above_normal_ones(name, mixed):
    detector, schema, x = mixed(name)
    far = x[500:].copy()
    for column, _ in schema.numeric:
        far[:, -1, column] = np.nanmax(np.abs(x[:, :, column])) * 1000
    assert np.median(detector.score(far)) > np.quantile(detector.score(x[500:]), 0.9)


@pytest.mark.parametrize("name", SEQUENCE_NAMES)
def test_padding_changes_nothing(name, mixed):
    # a history of few records scores the same however far its window is padded, by the reference and the graph
    detector, schema, x = mixed(name)
    windows = np.concatenate([x[500:], hard_windows(schema, x[500:])])
    longer = np.concatenate([np.full((len(windows), 4, x.shape[2]), np.nan, np.float32), windows], axis=1)
    reference = detector.reference_score(windows)
    np.testing.assert_allclose(detector.reference_score(longer), reference, rtol=1e-12)
    model = core_model(replace(detector.core, window=WINDOW + 4), schema)
    atol = 1e-5 * np.median(np.abs(reference))
    scores = session(model).run(["score"], {"x": longer})[0]
    np.testing.assert_allclose(scores, reference, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("name", SEQUENCE_NAMES)
def test_a_record_without_values_is_no_padding_once_there_was_one_with(name):
    kinds = ("category5",) if name in OF_CATEGORIES else KINDS["all missing"]
    detector, _, x = trained(name, kinds)
    whole = x[~np.isnan(x).all(axis=2).any(axis=1)][:20]
    gap, begun_later = whole.copy(), whole.copy()
    gap[:, -2] = np.nan
    begun_later[:, :-1] = np.nan
    assert (detector.score(gap) != detector.score(begun_later)).all()


@pytest.mark.parametrize("name", SEQUENCE_NAMES)
def test_order_matters(name, mixed):
    detector, _, x = mixed(name)
    turned = x[500:].copy()
    turned[:, :-1] = turned[:, -2::-1]
    assert (detector.score(turned) != detector.score(x[500:])).mean() > 0.9


@pytest.mark.parametrize("name", SEQUENCE_NAMES)
def test_weights_read_back_give_the_same_scores(name, mixed, tmp_path):
    detector, schema, x = mixed(name)
    detector.save_weights(tmp_path / "weights.safetensors")
    again = type(detector).load_weights(tmp_path / "weights.safetensors")
    assert again.schema == schema
    assert again.parameters == detector.parameters
    assert again.core.window == WINDOW
    np.testing.assert_array_equal(again.score(x), detector.score(x))


@pytest.mark.parametrize("name", SEQUENCE_NAMES)
def test_training_again_gives_the_same_detector(name, mixed):
    detector, _, x = mixed(name)
    again, _, _ = trained(name, KINDS["mixed"])
    np.testing.assert_array_equal(again.score(x), detector.score(x))
    other, _, _ = trained(name, KINDS["mixed"], seed=1)
    assert (other.score(x) != detector.score(x)).any()


@pytest.mark.parametrize("name", SEQUENCE_NAMES)
def test_parts_of_the_score_belong_to_steps_and_features(name, mixed):
    detector, schema, x = mixed(name)
    errors = detector.feature_error(x)
    model = core_model(detector.core, schema)
    exported = len(model.graph.output) == 2
    assert exported == (errors is not None) == (name in EXPLAINED)
    if errors is None:
        return
    assert errors.shape == x.shape
    assert not errors[np.isnan(x).all(axis=2)].any()
    np.testing.assert_allclose(errors.sum(axis=(1, 2)), detector.score(x), rtol=1e-5)
    assert_feature_errors_close(model, detector, np.concatenate([x, hard_windows(schema, x)]))


@pytest.mark.parametrize("name", SEQUENCE_NAMES)
def test_what_cannot_be_trained_or_written_is_refused(name, mixed, tmp_path):
    detector, schema, x = mixed(name)
    attacks = {"x_attacks": x[:20]} if name in KNOWN_ATTACKS_ONLY else {}
    for train, validation in ((x[:400, -1], x[400:, -1]), (x[:400], x[400:, 1:])):
        with pytest.raises(TrainingError, match=r"expected windows \[n, window, n_features\]"):
            detector_class(name)().fit(schema, train, validation, device="cpu", **attacks)
    with pytest.raises(TrainingError, match=r"more records"):
        detector_class(name)().fit(schema, x[:3], x[3:5], device="cpu", **attacks)
    with pytest.raises(TrainingError, match="not trained"):
        detector_class(name)().score(x)
    with pytest.raises(ExportError, match=r"expected held-out records, \[n, 5, 6\]"):
        written(detector, schema, x, tmp_path / "model.onnx", parity_rows=x[400:, -1])


@pytest.mark.parametrize("name", SEQUENCE_NAMES)
def test_windows_of_one_record(name, tmp_path):
    if name in LARGER_WINDOW:
        with pytest.raises(TrainingError, match="at least 2 records"):
            trained(name, KINDS["mixed"], window=1)
        return
    detector, schema, x = trained(name, KINDS["mixed"], window=1)
    assert written(detector, schema, x, tmp_path / "model.onnx").largest_error <= 1e-5


@pytest.mark.parametrize("name", SEQUENCE_NAMES)
def test_impossible_parameters_are_refused(name):
    for wrong in ({"units": 0}, {"learning_rate": 0.0}, {"scheduler": "none"}, {"batch_size": 1}, {"patience": 0}):
        with pytest.raises(TrainingError, match=next(iter(wrong))):
            detector_parameters(name, wrong)
