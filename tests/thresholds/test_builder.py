import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from netsieve.engine.errors import ThresholdError
from netsieve.engine.features.schema import CategoricalFeature, FeatureSchema, NumericFeature
from netsieve.engine.thresholds.builder import SAMPLE_ROWS, CalibrationBuilder
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.engine.thresholds.policy import Policy
from netsieve.kernels.quantile_sketch import RELATIVE_ERROR

SCHEMA = FeatureSchema(features=(NumericFeature(name="bytes"), CategoricalFeature(name="proto", vocabulary=("tcp",))))


def built(scores: np.ndarray, batch: int) -> Calibration:
    builder = CalibrationBuilder()
    for start in range(0, len(scores), batch):
        builder.update(scores[start : start + batch])
    return builder.calibration()


@given(
    hnp.arrays(np.float32, st.integers(1, 100), elements=st.floats(-(2.0**60), 2.0**60, width=32)), st.integers(1, 100)
)
@settings(deadline=None, max_examples=30)
def test_equals_the_exact_calibration_while_all_scores_are_kept(scores, batch):
    exact, streamed = Calibration.fit(scores), built(scores, batch)
    scale = float(np.abs(scores).max())
    assert (streamed.n, streamed.population) == (exact.n, exact.population)
    assert np.array_equal(streamed.largest, exact.largest)
    assert np.allclose(streamed.quantiles, exact.quantiles, rtol=1e-6, atol=1e-6 * scale)
    assert streamed.mean == pytest.approx(exact.mean, rel=1e-9, abs=1e-9 * scale)
    assert streamed.deviation == pytest.approx(exact.deviation, rel=1e-9, abs=1e-9 * scale)
    assert (streamed.log_mean is None) == (exact.log_mean is None)
    Calibration.from_json(streamed.to_json())


def test_equals_the_exact_calibration_within_the_stated_error():
    scores = np.random.default_rng(5).pareto(0.8, 12_000).astype(np.float32)
    exact, streamed = Calibration.fit(scores), built(scores, 777)
    assert np.array_equal(streamed.largest, exact.largest)
    assert np.allclose(streamed.quantiles, exact.quantiles, rtol=RELATIVE_ERROR * 1.0001)
    assert streamed.log_mean == pytest.approx(exact.log_mean)
    assert streamed.log_deviation == pytest.approx(exact.log_deviation)
    assert Policy("fpr", 0.01).threshold(streamed) == Policy("fpr", 0.01).threshold(exact)
    assert math.isclose(Policy("fpr", 0.5).threshold(streamed), Policy("fpr", 0.5).threshold(exact), rel_tol=1e-3)


def test_features_come_from_a_uniform_sample_of_rows():
    n = 3 * SAMPLE_ROWS
    rng = np.random.default_rng(2)
    x = np.column_stack([np.arange(n), rng.integers(0, 3, n)]).astype(np.float32)
    errors = np.ones((n, 2), dtype=np.float32)
    scores = np.arange(n, dtype=np.float32)
    builder = CalibrationBuilder(SCHEMA, "unlabelled", seed=1)
    for start in range(0, n, 7_000):
        rows = slice(start, start + 7_000)
        builder.update(scores[rows], x[rows], errors[rows])
    calibration = builder.calibration()
    volume, protocol = calibration.features
    assert volume.quantiles is not None
    # order statistics of a uniform sample of 20,000: 0.35 % deviation at the median
    assert np.abs(volume.quantiles / n - np.linspace(0, 1, 101)).max() < 0.02
    assert protocol.counts is not None
    assert (protocol.counts.sum(), volume.error_mean) == (SAMPLE_ROWS, 1.0)
    assert np.array_equal(calibration.probe_rows[:, 0], calibration.probe_scores)
    assert calibration.probe_rows.shape == (64, 2)


def test_misuse_is_named():
    builder = CalibrationBuilder(SCHEMA)
    with pytest.raises(ThresholdError, match="no scores"):
        builder.calibration()
    builder.update([])
    with pytest.raises(ThresholdError, match="not a finite"):
        builder.update([float("nan")])
    with pytest.raises(ThresholdError, match=r"\[1, 2\] is expected"):
        builder.update([1.0], np.ones((1, 3), dtype=np.float32))
    builder.update([1.0])
    with pytest.raises(ThresholdError, match="every batch or with none"):
        builder.update([1.0], np.ones((1, 2), dtype=np.float32))
    with pytest.raises(ThresholdError, match="schema"):
        CalibrationBuilder().update([1.0], np.ones((1, 2), dtype=np.float32))
    assert builder.n == 1
