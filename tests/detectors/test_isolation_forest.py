import numpy as np
import pytest
from export_cases import KINDS, fitted_case, rows_at_thresholds, session
from sklearn import ensemble

from netsieve.engine.detectors.core import prepared_float32
from netsieve.engine.detectors.isolation_forest import IsolationForest, IsolationForestParameters
from netsieve.engine.detectors.sklearn_trees import average_path_length, thresholds_before_rounding
from netsieve.engine.errors import TrainingError
from netsieve.export.cores import core_model
from netsieve.export.parity import hard_rows

TREES = 40


def sklearn_scores(schema, x_train, x, **options):
    forest = ensemble.IsolationForest(n_estimators=TREES, random_state=0, **options)
    forest.fit(prepared_float32(schema, x_train))
    return -forest.score_samples(prepared_float32(schema, x))


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_scores_are_those_of_scikit_learn(kinds):
    schema, x = fitted_case(kinds, rows=1500)
    detector = IsolationForest(IsolationForestParameters(trees=TREES)).fit(schema, x[:1000], x[1000:1500])
    rows = np.concatenate([x, hard_rows(schema, x)])
    if schema.numeric:
        rows = np.concatenate([rows, rows_at_thresholds(detector.core.trees, schema, x)])
    expected = sklearn_scores(schema, x[:1000], rows, max_samples=256)
    # one wrong turn in one tree would show as 1e-4 and more
    np.testing.assert_allclose(detector.reference_score(rows), expected, atol=3e-6)
    exported = session(core_model(detector.core, schema)).run(["score"], {"x": rows})[0]
    np.testing.assert_allclose(exported, detector.reference_score(rows), rtol=3e-7)


def test_trees_of_some_columns_and_few_rows():
    schema, x = fitted_case(KINDS["mixed"])
    parameters = IsolationForestParameters(trees=TREES, samples=64, features=0.5)
    detector = IsolationForest(parameters).fit(schema, x[:1000], x[1000:1500])
    expected = sklearn_scores(schema, x[:1000], x, max_samples=64, max_features=0.5)
    np.testing.assert_allclose(detector.reference_score(x), expected, atol=3e-6)


def test_sums_do_not_depend_on_the_order_of_the_trees():
    schema, x = fitted_case(KINDS["mixed"])
    trees = IsolationForest(IsolationForestParameters(trees=TREES)).fit(schema, x[:1000], x[1000:1500]).core.trees
    unit = np.min(np.abs(trees.value[trees.value != 0]))
    step = 2.0 ** np.floor(np.log2(unit))
    while (np.round(trees.value / step) * step != trees.value).any():
        step /= 2
    largest = np.abs(np.minimum.reduceat(trees.value[:, 0].astype(np.float64), trees.root)).sum()
    assert largest <= step * 2**24
    assert step * 2**23 < 2 * largest


def test_thresholds_decide_before_rounding_as_after_it():
    rng = np.random.default_rng(0)
    threshold = np.concatenate([rng.normal(size=500), rng.normal(size=500).astype(np.float32)])
    near = np.nextafter(threshold.astype(np.float32), np.float32(9)).astype(np.float64)
    for share in (-1, -0.5, 0, 0.5, 1):  # the middle between two float32 numbers is the tie
        value = threshold + share * (near - threshold.astype(np.float32))
        for beside in (value, np.nextafter(value, 9), np.nextafter(value, -9)):
            expected = beside.astype(np.float32) <= threshold
            np.testing.assert_array_equal(beside <= thresholds_before_rounding(threshold), expected)


def test_average_path_length_of_small_trees():
    np.testing.assert_allclose(average_path_length(np.array([0, 1, 2, 256])), [0, 0, 1, 10.2447709], rtol=1e-7)


@pytest.mark.parametrize("wrong", [{"trees": 0}, {"samples": 1}, {"features": 0.0}, {"features": 2}])
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(TrainingError, match=next(iter(wrong))):
        IsolationForestParameters(**wrong)
