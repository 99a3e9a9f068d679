import numpy as np
import pytest
from export_cases import KINDS, fitted_case, session

from netsieve.engine.detectors.ecod import EmpiricalTails, EmpiricalTailsParameters, skewness
from netsieve.engine.errors import TrainingError
from netsieve.engine.features.preprocessing import fit_preprocessing
from netsieve.engine.features.schema import CategoricalFeature, FeatureSchema, NumericFeature
from netsieve.export.cores import core_model

EXACT = EmpiricalTailsParameters(steps=1_000_000)
SUMS = EmpiricalTailsParameters(steps=1_000_000, combination="sums")


def naive_ecod(train, row, combination):
    """Return the score of Li et al., algorithm 1, of a row among the training rows and itself."""
    from scipy.stats import skew

    together = np.vstack([train, row])
    left = -np.log((together <= row).mean(axis=0))
    right = -np.log((together >= row).mean(axis=0))
    if combination == "columns":
        return np.maximum(left, right).sum()
    chosen = np.where(skew(train.astype(np.float64)) < 0, left, right)
    return max(left.sum(), right.sum(), chosen.sum())


def numbers(values):
    features = tuple(NumericFeature(name=f"f{i}") for i in range(values.shape[1]))
    return fit_preprocessing(FeatureSchema(features=features), values)


def columns(rows, seed=0):
    rng = np.random.default_rng(seed)
    ties = rng.choice([0, 0, 0, 1, 5], rows)
    return np.column_stack([rng.normal(size=rows), rng.exponential(size=rows), -rng.exponential(size=rows), ties])


@pytest.mark.parametrize("parameters", [EXACT, SUMS], ids=lambda each: each.combination)
def test_scores_are_those_of_the_paper_within_the_training_range(parameters):
    train = columns(400).astype(np.float32)
    detector = EmpiricalTails(parameters).fit(numbers(train), train, train[:20])
    rows = np.concatenate([train[:100], columns(400, seed=1).astype(np.float32)])
    rows = np.clip(rows, train.min(axis=0), train.max(axis=0))
    rows[::7, 3] = 3.0  # in the gap between two values
    expected = [naive_ecod(train, row, parameters.combination) for row in rows]
    np.testing.assert_allclose(detector.reference_score(rows), expected, atol=1e-4)
    exported = session(core_model(detector.core, detector.schema)).run(["score"], {"x": rows})[0]
    np.testing.assert_array_equal(exported, detector.reference_score(rows))


def test_few_steps_stay_within_the_stated_error():
    train = columns(5000).astype(np.float32)
    schema = numbers(train)
    rows = columns(2000, seed=1).astype(np.float32)
    exact = EmpiricalTails(EXACT).fit(schema, train, train[:20])
    rough = EmpiricalTails(EmpiricalTailsParameters(steps=32)).fit(schema, train, train[:20])
    error = np.abs(exact.reference_score(rows) - rough.reference_score(rows))
    assert 0.05 < error.max() <= 4 * 2 * np.log(5001) / 32
    assert len(rough.core.trees.column) < 0.1 * len(exact.core.trees.column)


def test_scores_grow_beyond_the_training_range_on_both_sides():
    train = np.random.default_rng(0).normal(size=(1000, 1)).astype(np.float32)
    detector = EmpiricalTails().fit(numbers(train), train, train[:20])
    far = np.array([4, 5, 6, 8, 10, 20, 1e3, 1e6, 1e12, 3e38], dtype=np.float32)[:, None]
    for rows in (far, -far):
        scores = detector.reference_score(rows)
        assert scores[0] >= np.log(1001) - 1e-3
        assert (np.diff(scores) > 0).all()
    # as an exponential tail goes whose mean excess is one deviation
    at_six = detector.reference_score(np.array([[6]], np.float32))[0] - np.log(1001)
    excess = (6 - train.max()) / train.std()
    assert 0.8 * excess < at_six <= excess


def test_a_columns_part_is_its_rarer_tail():
    train = columns(400).astype(np.float32)
    detector = EmpiricalTails(EXACT).fit(numbers(train), train, train[:20])
    parts = detector.feature_error(train[:50])
    np.testing.assert_allclose(parts.sum(axis=1), detector.score(train[:50]), rtol=1e-6)
    for row, part in zip(train[:50], parts, strict=True):
        alone = [naive_ecod(train[:, [i]], row[[i]], "columns") for i in range(4)]
        np.testing.assert_allclose(part, alone, atol=1e-4)
    sums = EmpiricalTails(SUMS).fit(numbers(train), train, train[:20])
    assert sums.feature_error(train) is None


def test_missing_values_and_categories_count_by_their_share():
    rng = np.random.default_rng(0)
    values = np.where(rng.random(1000) < 0.02, np.nan, rng.normal(size=1000))
    codes = rng.choice([2, 3, 4], 1000, p=[0.9, 0.09, 0.01])
    x = np.column_stack([values, codes]).astype(np.float32)
    counts = tuple(int((codes == code).sum()) for code in (2, 3, 4))
    category = CategoricalFeature(name="c", vocabulary=("a", "b", "c"), counts=counts, missing_count=0, rows=1000)
    schema = fit_preprocessing(FeatureSchema(features=(NumericFeature(name="n"), category)), x)
    detector = EmpiricalTails(EXACT).fit(schema, x, x[:20])
    rows = np.array([[np.nan, 2], [np.nan, 3], [np.nan, 4], [np.nan, 1], [np.nan, 0]], dtype=np.float32)
    missing = -np.log((np.isnan(values).sum() + 1) / 1001)
    tails = [1001, counts[1] + counts[2] + 1, counts[2] + 1, 1, 1]
    np.testing.assert_allclose(detector.reference_score(rows), missing - np.log(np.array(tails) / 1001), atol=1e-4)


def test_a_value_where_there_was_none_is_odd():
    schema, x = fitted_case(KINDS["constant"], rows=500)
    detector = EmpiricalTails().fit(schema, x[:400], x[400:])
    row = x[:1].copy()
    row[0, [f.name for f in schema.features].index("never")] = 1.0
    assert detector.reference_score(row)[0] > detector.reference_score(x[:1])[0] + 5


@pytest.mark.parametrize("values", [[], [3, 3, 3], [1, 2, 3], [1, 1, 9], [-9, 1, 1], [3e38, 0, -1]])
def test_skewness_is_the_third_standardised_moment(values):
    values = np.array(values, dtype=np.float32)
    expected = 0.0
    if len(values) and np.ptp(values):
        z = (values.astype(np.float64) - values.mean(dtype=np.float64)) / values.astype(np.float64).std()
        expected = np.mean(z**3)
    assert skewness(values) == pytest.approx(expected, abs=1e-12)


def test_wrong_parameters_are_refused():
    with pytest.raises(TrainingError, match="steps"):
        EmpiricalTailsParameters(steps=1)
    with pytest.raises(TrainingError, match="combination"):
        EmpiricalTailsParameters(combination="mean")
