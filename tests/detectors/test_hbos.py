import numpy as np
import pytest
from export_cases import KINDS, fitted_case

from netsieve.engine.detectors.hbos import HistogramScore, HistogramScoreParameters
from netsieve.engine.errors import TrainingError
from netsieve.engine.features.preprocessing import fit_preprocessing, prepare
from netsieve.engine.features.schema import CategoricalFeature, FeatureSchema, NumericFeature


def numbers(values):
    features = tuple(NumericFeature(name=f"f{i}") for i in range(values.shape[1]))
    return fit_preprocessing(FeatureSchema(features=features), values)


def naive_hbos(z_train, z, bins):
    """Return Goldstein and Dengel's score with static bins, a row added to each, and half a bin of tolerance."""
    score = np.zeros(len(z))
    for train, values in zip(z_train.T, z.T, strict=True):
        count, edges = np.histogram(train, bins)
        height = np.append(count, 0) + 1
        width = edges[1] - edges[0]
        for row, value in enumerate(values):
            inside = edges[0] - width / 2 <= value <= edges[-1] + width / 2
            bin_number = min(max(int((value - edges[0]) / width), 0), bins - 1) if inside else bins
            score[row] += np.log(height.max() / height[bin_number])
    return score


def test_static_bins_are_those_of_the_paper():
    rng = np.random.default_rng(0)
    train = np.column_stack([rng.normal(size=3000), rng.exponential(size=3000)]).astype(np.float32)
    schema = numbers(train)
    detector = HistogramScore(HistogramScoreParameters(bins=20)).fit(schema, train, train[:20])
    rows = np.concatenate([train[:300], rng.normal(0, 4, (300, 2)).astype(np.float32)])
    expected = naive_hbos(prepare(schema, train), prepare(schema, rows), 20)
    np.testing.assert_allclose(detector.reference_score(rows), expected, atol=1e-4)


def test_dynamic_bins_hold_equally_many_rows():
    rng = np.random.default_rng(0)
    train = rng.normal(size=(10_000, 1)).astype(np.float32)
    detector = HistogramScore(HistogramScoreParameters(bins=10, binning="dynamic")).fit(
        numbers(train), train, train[:20]
    )
    leaf, rows = np.unique(detector.core.trees.leaves(train, 0), return_counts=True)
    assert len(leaf) == 10
    assert (np.abs(rows - 1000) <= 1).all()
    # equally many rows: what is left of the density is the width
    cuts = np.quantile(train, np.linspace(0, 1, 11))
    width = np.diff(cuts)
    middles = (cuts[:-1] + width / 2).astype(np.float32)[:, None]
    np.testing.assert_allclose(detector.reference_score(middles), np.log(width / width.min()), atol=0.01)
    beyond = detector.reference_score(np.array([[9.0]], dtype=np.float32))[0]
    assert beyond > detector.reference_score(middles).max() + 4


def test_a_value_that_repeats_is_the_densest_bin():
    rng = np.random.default_rng(0)
    values = np.where(rng.random(5000) < 0.7, 0.0, rng.exponential(size=5000)).astype(np.float32)[:, None]
    for binning in ("static", "dynamic"):
        detector = HistogramScore(HistogramScoreParameters(binning=binning)).fit(numbers(values), values, values[:20])
        scores = detector.reference_score(np.array([[0.0], [0.5], [-1.0], [99.0]], dtype=np.float32))
        assert scores[0] == 0
        assert (np.diff(scores)[:2] > 0).all()
        assert scores[3] == pytest.approx(scores[2], rel=0.2)


def test_missing_values_and_categories_have_bins():
    rng = np.random.default_rng(0)
    values = np.where(rng.random(1000) < 0.02, np.nan, rng.normal(size=1000))
    codes = rng.choice([2, 3, 4], 1000, p=[0.9, 0.09, 0.01])
    x = np.column_stack([values, codes]).astype(np.float32)
    counts = tuple(int((codes == code).sum()) for code in (2, 3, 4))
    category = CategoricalFeature(name="c", vocabulary=("a", "b", "c"), counts=counts, missing_count=0, rows=1000)
    schema = fit_preprocessing(FeatureSchema(features=(NumericFeature(name="n"), category)), x)
    detector = HistogramScore(HistogramScoreParameters(bins=10)).fit(schema, x, x[:20])
    rows = np.array([[np.nan, 2], [0, 2], [0, 3], [0, 4], [0, 1]], dtype=np.float32)
    parts = detector.feature_error(rows)
    highest = np.histogram(values[~np.isnan(values)], 10)[0].max()
    assert parts[0, 0] == pytest.approx(np.log((highest + 1) / (np.isnan(values).sum() + 1)), abs=1e-4)
    heights = np.array([counts[0], counts[0], counts[1], counts[2], 0]) + 1
    np.testing.assert_allclose(parts[:, 1], np.log(heights.max() / heights), atol=1e-4)
    np.testing.assert_allclose(parts.sum(axis=1), detector.score(rows), atol=1e-4)


def test_any_change_of_a_constant_column_is_odd():
    schema, x = fitted_case(KINDS["constant"], rows=500)
    detector = HistogramScore().fit(schema, x[:400], x[400:])
    names = [feature.name for feature in schema.features]
    for name, values in (("constant", (6.999, 7.001, np.nan)), ("never", (0.0, 1.0, np.inf))):
        for value in values:
            row = x[:1].copy()
            row[0, names.index(name)] = value
            assert detector.feature_error(row)[0, names.index(name)] > np.log(300)
    assert (detector.feature_error(x[:1])[0, [names.index("constant"), names.index("never")]] == 0).all()


@pytest.mark.parametrize("wrong", [{"bins": 1}, {"binning": "none"}])
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(TrainingError, match=next(iter(wrong))):
        HistogramScoreParameters(**wrong)
