import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import naive
from netsieve.kernels.quantile_sketch import RELATIVE_ERROR
from netsieve.kernels.thresholds import (
    BLOCK,
    ScoreSummary,
    mean_std_threshold,
    percentile_threshold,
    rate_threshold,
    update_moments,
)

arrays = hnp.arrays(np.float32, st.integers(1, 80), elements=st.floats(-(2.0**60), 2.0**60, width=32))
ROWS = 2 * BLOCK + 17


def heavy_scores(rows: int = ROWS, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).pareto(1.2, rows).astype(np.float32)


@given(arrays, st.floats(-5, 5))
@settings(deadline=None, max_examples=60)
def test_mean_std_threshold_equals_its_twin(scores, k):
    mean, deviation = naive.mean_and_deviation(scores)
    scale = float(np.abs(scores).max())
    assert mean_std_threshold(scores, k) == pytest.approx(mean + k * deviation, rel=1e-9, abs=1e-9 * scale)


@given(arrays, st.floats(0, 100))
@settings(deadline=None, max_examples=40)
def test_percentile_threshold_equals_its_twin(scores, percentile):
    expected = naive.order_statistic(scores, percentile / 100 * (len(scores) - 1))
    scale = float(np.abs(scores).max())
    assert percentile_threshold(scores, percentile) == pytest.approx(expected, rel=1e-9, abs=1e-9 * scale)


@given(arrays, st.floats(0.001, 0.999))
@settings(deadline=None, max_examples=40)
def test_rate_threshold_equals_its_twin(scores, rate):
    if rate < 1 / len(scores):
        with pytest.raises(ValueError, match="rate"):
            rate_threshold(scores, rate)
    else:
        assert rate_threshold(scores, rate) == naive.rate_threshold(scores, rate)


def test_thresholds_below_the_exact_scores_are_within_the_stated_error():
    scores = heavy_scores()
    for rate in (0.3, 0.5, 0.9):
        assert rate_threshold(scores, rate) == pytest.approx(naive.rate_threshold(scores, rate), rel=RELATIVE_ERROR)
    for rate in (0.001, 0.01, 0.2):
        assert rate_threshold(scores, rate) == naive.rate_threshold(scores, rate)


def test_summary_of_batches_and_of_merged_parts_equals_the_summary_of_all():
    scores = heavy_scores()
    whole, batches, left, right = (ScoreSummary(50) for _ in range(4))
    whole.update(scores)
    for start in range(0, len(scores), 999):
        batches.update(scores[start : start + 999])
    left.update(scores[:100])
    right.update(scores[100:])
    left.merge(right)
    left.merge(ScoreSummary(50))
    for part in (batches, left):
        assert part.n == len(scores)
        assert np.allclose(part.moments, whole.moments, rtol=1e-12)
        assert np.array_equal(part.counts, whole.counts)
        assert np.array_equal(part.largest(), np.array(naive.largest(scores, 50), dtype=np.float32))
    logarithms = naive.mean_and_deviation([math.log(score) for score in scores if score > 0])
    assert whole.moments[4] == pytest.approx(logarithms[0])
    assert math.sqrt(whole.moments[5] / whole.moments[3]) == pytest.approx(logarithms[1])


def test_values_ascend_across_the_border_of_the_exact_part():
    summary = ScoreSummary(50)
    summary.update(heavy_scores())
    found = summary.values_at(np.arange(0, ROWS, dtype=np.float64))
    assert (np.diff(found) >= 0).all()


def test_moments_survive_a_large_common_offset():
    """The naive sum of squares loses every digit here."""
    scores = (np.tile([0.0, 8.0], 5000) + 1e7).astype(np.float32)
    summary = ScoreSummary()
    summary.update(scores)
    assert (summary.mean, summary.deviation) == (pytest.approx(1e7 + 4), pytest.approx(4))


def test_wrong_input_is_refused():
    summary = ScoreSummary(4)
    with pytest.raises(ValueError, match="not finite"):
        summary.update(np.array([1, np.nan], dtype=np.float32))
    assert summary.n == summary.counts.sum() == summary.filled == 0
    assert summary.deviation == 0
    with pytest.raises(ValueError, match="must agree"):
        summary.merge(ScoreSummary(5))
    with pytest.raises(ValueError, match="moments"):
        update_moments(np.ones(1, dtype=np.float32), np.zeros(3))
    for threshold in (mean_std_threshold, percentile_threshold, rate_threshold):
        with pytest.raises(ValueError, match="no scores"):
            threshold(np.empty(0, dtype=np.float32), 0.5)
    with pytest.raises(ValueError, match="0 to 100"):
        percentile_threshold(np.ones(1, dtype=np.float32), 101)
