import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from netsieve.engine.errors import ThresholdError
from netsieve.engine.features.schema import CategoricalFeature, FeatureSchema, NumericFeature
from netsieve.engine.thresholds.calibration import LARGEST_COUNT, Calibration

SCHEMA = FeatureSchema(
    features=(
        NumericFeature(name="bytes"),
        NumericFeature(name="never"),
        CategoricalFeature(name="proto", vocabulary=("tcp", "udp")),
    )
)

finite_scores = hnp.arrays(np.float32, st.integers(1, 200), elements=st.floats(-(2.0**100), 2.0**100, width=32))


def calibration_with_features(n: int = 500) -> tuple[Calibration, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    x = np.column_stack([rng.pareto(1, n), np.full(n, np.nan), rng.integers(0, 4, n)]).astype(np.float32)
    x[::5, 0] = np.nan
    errors = rng.random((n, 3)).astype(np.float32)
    scores = errors.sum(axis=1)
    return Calibration.fit(scores, x, errors, SCHEMA, "unlabelled"), x, errors, scores


@given(finite_scores)
@settings(deadline=None, max_examples=60)
def test_every_number_survives_the_json_text(scores):
    calibration = Calibration.fit(scores)
    text = calibration.to_json()
    again = Calibration.from_json(text)
    assert again.to_json() == text
    assert np.array_equal(again.largest, np.sort(scores)[::-1][:LARGEST_COUNT])
    assert again.quantiles.dtype == again.largest.dtype == np.float32
    assert (again.mean, again.deviation, again.log_mean) == (
        calibration.mean,
        calibration.deviation,
        calibration.log_mean,
    )
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} in the text"))


def test_features_and_probe_rows_survive_the_json_text():
    calibration, x, errors, _ = calibration_with_features()
    again = Calibration.from_json(calibration.to_json())
    assert np.array_equal(again.probe_rows, calibration.probe_rows, equal_nan=True)
    assert again.population == "unlabelled"
    volume, never, protocol = again.features
    assert (volume.name, volume.missing_rate) == ("bytes", pytest.approx(0.2))
    assert volume.quantiles is not None
    assert volume.quantiles[50] == pytest.approx(np.nanmedian(x[:, 0]), rel=1e-6)
    assert volume.error_mean == pytest.approx(errors[:, 0].mean(), rel=1e-6)
    assert never.quantiles is not None
    assert (len(never.quantiles), never.missing_rate) == (0, 1.0)
    assert protocol.quantiles is None
    assert protocol.counts is not None
    assert protocol.counts.tolist() == np.bincount(x[:, 2].astype(int), minlength=4).tolist()


def test_probe_rows_are_rows_spread_over_the_scores():
    calibration, x, _, scores = calibration_with_features()
    assert calibration.probe_rows.shape == (64, 3)
    assert calibration.probe_scores[0] == scores.min()
    assert calibration.probe_scores[-1] == scores.max()
    assert len(np.unique(calibration.probe_scores)) == 64
    ranks = np.searchsorted(np.sort(scores), calibration.probe_scores)
    assert np.abs(np.diff(ranks) - len(scores) / 63).max() < 2
    for row, score in zip(calibration.probe_rows, calibration.probe_scores, strict=True):
        assert np.array_equal(row, x[np.flatnonzero(scores == score)[0]], equal_nan=True)


def test_moments_and_quantiles():
    scores = np.array([4, 0, 1, 3, 2], dtype=np.float32)
    calibration = Calibration.fit(scores)
    assert (calibration.n, calibration.mean, calibration.median) == (5, 2.0, 2.0)
    assert calibration.deviation == pytest.approx(np.sqrt(2))
    assert calibration.log_mean == pytest.approx(np.log([1, 2, 3, 4]).mean())
    assert calibration.quantiles[[0, 1000]].tolist() == [0, 4]
    assert calibration.largest.tolist() == [4, 3, 2, 1, 0]
    assert Calibration.fit([-1.0, 0.0]).log_mean is None


@given(finite_scores, st.floats(0, 1))
@settings(deadline=None, max_examples=60)
def test_a_position_is_the_interpolated_order_statistic(scores, share):
    position = share * (len(scores) - 1)
    expected = np.quantile(scores.astype(np.float64), share)
    found = Calibration.fit(scores).score_at_position(position)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6 * float(np.abs(scores).max()))


def test_positions_ascend_across_the_border_of_the_exact_part():
    scores = np.random.default_rng(1).pareto(0.7, 50_000)
    calibration = Calibration.fit(scores)
    ordered = np.sort(scores.astype(np.float32))
    found = [calibration.score_at_position(position) for position in range(47_000, 50_000)]
    assert (np.diff(found) >= 0).all()
    assert found[1000:] == ordered[48_000:].tolist()


@pytest.mark.parametrize(
    ("scores", "part"),
    [
        ([], "no scores"),
        ([1.0, float("nan")], "at row 1 is not a finite"),
        ([float("inf")], "not a finite"),
        ([1e39], "not a finite"),
        ([[1.0]], r"shape \[1, 1\]"),
    ],
)
def test_unfit_scores_are_refused(scores, part):
    with pytest.raises(ThresholdError, match=part):
        Calibration.fit(scores)


def test_unfit_features_are_refused():
    scores = np.ones(4, dtype=np.float32)
    with pytest.raises(ThresholdError, match="schema"):
        Calibration.fit(scores, np.ones((4, 3), dtype=np.float32))
    with pytest.raises(ThresholdError, match=r"x has shape \[4, 2\]; \[4, 3\] is expected"):
        Calibration.fit(scores, np.ones((4, 2), dtype=np.float32), None, SCHEMA)
    with pytest.raises(ThresholdError, match="population"):
        Calibration.fit(scores, population="all")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n", 3),
        ("population", "bad"),
        ("quantiles", [1.0]),
        ("largest", [0.0, 1.0]),
        ("largest", [1.0, None]),
        ("mean", None),
        ("features", [{}]),
        ("probe_rows", [[1.0]]),
        ("n", "many"),
    ],
)
def test_a_damaged_text_is_refused_in_one_line(key, value):
    content = json.loads(Calibration.fit([0.0, 1.0]).to_json())
    content[key] = value
    with pytest.raises(ThresholdError, match="no netsieve calibration") as caught:
        Calibration.from_json(json.dumps(content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [("counts", 7), ("counts", [[1, 2]]), ("counts", [1, -1]), ("counts", [1.5, "x"]), ("error_deviation", -0.5)],
)
def test_damaged_features_are_refused_in_one_line(key, value):
    content = json.loads(Calibration.fit([0.0, 1.0]).to_json())
    feature = {"name": "a", "quantiles": None, "counts": [1, 0], "missing_rate": 0.0}
    feature |= {"error_mean": 0.0, "error_deviation": 0.0}
    content["features"] = [feature]
    assert Calibration.from_json(json.dumps(content)).features[0].name == "a"
    content["features"] = [{**feature, key: value}]
    with pytest.raises(ThresholdError, match="no netsieve calibration") as caught:
        Calibration.from_json(json.dumps(content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "3"])
def test_a_foreign_text_is_refused(text):
    with pytest.raises(ThresholdError, match="no netsieve calibration"):
        Calibration.from_json(text)


def test_policies_and_metrics_need_numpy_only():
    code = (
        "import sys, netsieve.engine.thresholds.policy, netsieve.engine.evaluation.table;"
        "print(sorted({'numba', 'scipy', 'polars', 'torch', 'sklearn', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")
