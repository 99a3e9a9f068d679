import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import betabinom

from netsieve.engine.errors import ThresholdError
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.engine.thresholds.policy import (
    Policy,
    ThresholdWarning,
    best_f1_threshold,
    default_policy,
    parse_policy,
    realised_rate_interval,
)


def scores_of(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if kind == "normal":
        values = rng.normal(size=shape)
    elif kind == "heavy":
        values = rng.pareto(0.5, size=shape)
    elif kind == "tied":
        values = rng.geometric(0.02, size=shape)
    else:
        values = rng.integers(0, 2, size=shape)
    return values.astype(np.float32)


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("fpr:0.001", Policy("fpr", 0.001)),
        ("fpr(0.001)", Policy("fpr", 0.001)),
        (" fpr ( 1e-3 ) ", Policy("fpr", 0.001)),
        ("mean_std:3", Policy("mean_std", 3)),
        ("mean_std=-1.5", Policy("mean_std", -1.5)),
        ("percentile:95", Policy("percentile", 95)),
        ("contamination:.01", Policy("contamination", 0.01)),
        ("f1", Policy("f1")),
        ("f1()", Policy("f1")),
        ("score:1.25", Policy("score", 1.25)),
    ],
)
def test_policy_text_is_read(text, policy):
    assert parse_policy(text) == policy
    assert parse_policy(str(policy)) == policy


def test_policy_text_is_short():
    assert [str(parse_policy(t)) for t in ("mean_std(3.0)", "fpr(0.00001)", "f1()")] == [
        "mean_std:3",
        "fpr:1e-05",
        "f1",
    ]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "not known"),
        ("mad:3", "mean_std:3, percentile:95"),
        ("fpr", "needs a value"),
        ("fpr:", "not known"),
        ("fpr:one", "'one' is no number"),
        ("fpr:0", "between 0 and 1"),
        ("fpr:1", "between 0 and 1"),
        ("fpr:nan", "between 0 and 1"),
        ("percentile:100", "between 0 and 100"),
        ("contamination:-0.1", "between 0 and 1"),
        ("mean_std:inf", "finite"),
        ("f1:2", "takes no value"),
        ("score:1e39", "float32"),
        ("fpr:0.1 or so", "not known"),
        ("fpr(0.1", "not known"),
    ],
)
def test_bad_policy_text_names_the_way_out(text, part):
    with pytest.raises(ThresholdError, match=part) as caught:
        parse_policy(text)
    assert "\n" not in str(caught.value)


@given(
    hnp.arrays(np.float32, st.integers(1, 300), elements=st.floats(-(2.0**100), 2.0**100, width=32)),
    st.floats(0.001, 0.999),
)
@settings(deadline=None, max_examples=60)
def test_thresholds_flag_what_they_say_on_the_calibration_itself(scores, rate):
    n = len(scores)
    calibration = Calibration.fit(scores)
    if rate * n < 1:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ThresholdWarning)
        fpr = Policy("fpr", rate).threshold(calibration)
        contamination = Policy("contamination", rate).threshold(calibration)
        percentile = Policy("percentile", 100 - 100 * rate).threshold(calibration)
    descending = np.sort(scores)[::-1]
    assert fpr == descending[math.floor(rate * (n + 1) + 1e-9) - 1]
    assert contamination == descending[math.floor(rate * n + 1e-9)]
    assert (scores > contamination).sum() <= rate * n + 1e-6
    expected = np.quantile(scores.astype(np.float64), 1 - rate)
    assert percentile == pytest.approx(expected, rel=1e-6, abs=1e-6 * float(np.abs(scores).max()))
    for threshold in (fpr, contamination, percentile):
        assert float(np.float32(threshold)) == threshold


@pytest.mark.parametrize("rate", [0.5, 0.05, 0.0123, 0.002, 0.001, 0.0001])
def test_threshold_is_exact_where_the_exact_scores_reach_and_close_below(rate):
    n = 200_000
    scores = scores_of("heavy", (n,), np.random.default_rng(7))
    threshold = Policy("fpr", rate).threshold(Calibration.fit(scores))
    rank = math.floor(rate * (n + 1) + 1e-9)
    if rank <= 2000:
        assert threshold == np.sort(scores)[-rank]
    else:
        # beyond: never more than the width of one quantile interval off
        assert abs((scores > threshold).mean() - rate) < 0.001


def test_mean_std_and_fixed_score():
    scores = np.array([1, 2, 3, 4], dtype=np.float32)
    calibration = Calibration.fit(scores)
    assert Policy("mean_std", 2).threshold(calibration) == pytest.approx(2.5 + 2 * math.sqrt(1.25))
    assert Policy("score", 0.1).threshold(calibration) == float(np.float32(0.1))
    largest = Calibration.fit(np.array([0, 3e38], dtype=np.float32))
    assert math.isfinite(Policy("mean_std", 30).threshold(largest))


def test_a_tied_float32_score_is_not_flagged_in_either_precision():
    scores = np.full(100, np.float32(0.1))
    threshold = Policy("fpr", 0.5).threshold(Calibration.fit(scores))
    assert not (scores > threshold).any()
    assert not (scores.astype(np.float64) > threshold).any()


@pytest.mark.parametrize("text", ["fpr:0.001", "contamination:0.001", "percentile:99.9"])
def test_rates_too_small_for_the_calibration_are_refused_or_warned_of(text):
    policy = parse_policy(text)
    scores = np.arange(20_000, dtype=np.float32)
    with pytest.raises(ThresholdError, match=r"at least 1,000 are needed"):
        policy.threshold(Calibration.fit(scores[:999]))
    with pytest.warns(ThresholdWarning, match=r"10,000 rows"):
        policy.threshold(Calibration.fit(scores[:1000]))
    with pytest.warns(ThresholdWarning):
        policy.threshold(Calibration.fit(scores[:9999]))
    policy.threshold(Calibration.fit(scores[:10_000]))


def test_f1_says_that_it_needs_labels():
    with pytest.raises(ThresholdError, match="labelled"):
        parse_policy("f1").threshold(Calibration.fit([1.0, 2.0]))


@pytest.mark.parametrize(
    ("n", "text"), [(5, "mean_std:3"), (100, "fpr:0.01"), (9_999, "fpr:0.01"), (10_000, "fpr:0.001")]
)
def test_default_policy_is_one_that_the_calibration_supports(n, text):
    calibration = Calibration.fit(np.arange(n, dtype=np.float32))
    assert str(default_policy(calibration)) == text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ThresholdWarning)
        assert math.isfinite(default_policy(calibration).threshold(calibration))


@given(
    st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=1, max_size=40).filter(
        lambda rows: any(label for _, label in rows)
    )
)
@settings(deadline=None)
def test_best_f1_is_the_best_of_all_cuts(rows):
    scores = np.array([score for score, _ in rows], dtype=np.float32)
    labels = np.array([label for _, label in rows])

    def f1(threshold: float) -> float:
        flagged = scores > threshold
        return 2 * (flagged & labels).sum() / (flagged.sum() + labels.sum())

    best = max(f1(cut) for cut in [*np.unique(scores), -6.0])
    assert f1(best_f1_threshold(scores, labels)) == pytest.approx(best)


def test_best_f1_lies_between_neighbouring_floats_and_names_missing_anomalies():
    low = np.float32(1)
    high = np.nextafter(low, np.float32(2))
    assert best_f1_threshold([low, high], [False, True]) == low
    with pytest.raises(ThresholdError, match="hold none"):
        best_f1_threshold([1.0, 2.0], [0, 0])
    with pytest.raises(ThresholdError, match="shape"):
        best_f1_threshold([1.0, 2.0], [1])


@given(st.integers(1, 3000), st.integers(1, 3000), st.floats(0.0005, 0.9995), st.sampled_from([0.9, 0.99, 0.999]))
@settings(deadline=None, max_examples=60)
def test_interval_is_the_beta_binomial_one(n, m, rate, confidence):
    rank = math.floor(rate * (n + 1) + 1e-9)
    if not 1 <= rank <= n:
        with pytest.raises(ThresholdError, match="rank"):
            realised_rate_interval(n, m, rate, confidence)
        return
    low, high = realised_rate_interval(n, m, rate, confidence)
    tail = (1 - confidence) / 2
    flagged = betabinom(m, rank, n + 1 - rank)
    # the two ways of summing may disagree in the last digit just at a step
    assert flagged.cdf(round(low * m) - 1) <= tail + 1e-7
    assert flagged.cdf(round(low * m)) >= tail - 1e-7
    assert flagged.cdf(round(high * m)) >= 1 - tail - 1e-7
    assert flagged.cdf(round(high * m) - 1) <= 1 - tail + 1e-7


def test_interval_of_large_samples_is_quick_and_narrow():
    low, high = realised_rate_interval(1_000_000, 10_000_000, 0.001)
    assert 0.00091 < low < 0.001 < high < 0.00109


@pytest.mark.parametrize("kind", ["normal", "heavy", "tied", "two values"])
@pytest.mark.parametrize(("n", "m", "rate"), [(1000, 5000, 0.01), (100, 400, 0.01), (20, 50, 0.1), (2000, 1000, 0.2)])
@pytest.mark.parametrize("name", ["fpr", "contamination"])
def test_realised_rate_lies_in_the_interval(kind, n, m, rate, name):
    """On exchangeable data; with ties fewer rows are flagged, and rows at the threshold make up for them."""
    runs = 2000
    rng = np.random.default_rng(hash((n, m)) % 2**32)
    policy = Policy(name, rate)
    interval = policy.realised_rate_interval(n, m)
    assert interval is not None
    calibration = np.sort(scores_of(kind, (runs, n), rng), axis=1)
    thresholds = calibration[:, n - int(policy.rank(n))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ThresholdWarning)
        assert policy.threshold(Calibration.fit(calibration[0])) == thresholds[0]
    test = scores_of(kind, (runs, m), rng)
    above = (test > thresholds[:, None]).mean(axis=1)
    reached = (test >= thresholds[:, None]).mean(axis=1)
    # each side may be missed in 0.5 % of runs: 10 of 2,000, and 24 would be four deviations and more
    assert (above > interval[1]).sum() < 24
    assert (reached < interval[0]).sum() < 24
    if name == "fpr":
        standard_error = above.std() / math.sqrt(runs)
        assert above.mean() <= rate + 4 * standard_error
