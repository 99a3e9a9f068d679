import numpy as np
import pytest
from export_cases import KINDS, fitted_case, rows_at_thresholds, session
from sklearn.ensemble import HistGradientBoostingClassifier

from netsieve.engine.detectors.boosted_trees import BoostedTreesParameters, fit_boosted_trees
from netsieve.engine.detectors.core import prepared_float32
from netsieve.engine.errors import TrainingError
from netsieve.engine.features.unscaled import unscaled_columns
from netsieve.export.cores import core_model
from netsieve.export.parity import hard_rows

FEW = BoostedTreesParameters(trees=30)


def labelled(kinds, rows=1500):
    """Return a schema, records and labels that depend on two of their features, with some noise."""
    schema, x = fitted_case(kinds, rows=rows)
    z = prepared_float32(schema, x)
    odds = z[:, 0] + (z[:, -1] > 0) + np.random.default_rng(99).normal(0, 0.5, rows)
    return schema, x, odds > np.quantile(odds, 0.8)


@pytest.mark.parametrize(
    "kinds", [KINDS[name] for name in ("mixed", "all missing", "scalings", "categories", "constant")]
)
def test_scores_are_the_log_odds_of_scikit_learn(kinds):
    schema, x, is_attack = labelled(kinds)
    core, summary = fit_boosted_trees(schema, x, is_attack, FEW)
    rows = np.concatenate([x, hard_rows(schema, x)])
    if schema.numeric and (core.trees.column >= 0).any():
        rows = np.concatenate([rows, rows_at_thresholds(core.trees, schema, x)])
    classifier = HistGradientBoostingClassifier(
        max_iter=30, class_weight="balanced", early_stopping=True, random_state=0
    ).fit(prepared_float32(schema, x), is_attack)
    assert summary["trees"] == classifier.n_iter_
    expected = classifier.decision_function(prepared_float32(schema, rows))
    score = core.score(unscaled_columns(schema, rows))
    np.testing.assert_allclose(score, expected, atol=2e-5)
    exported = session(core_model(core, schema)).run(["score"], {"x": rows})[0]
    np.testing.assert_array_equal(exported, score)


def test_attacks_score_above_normal_records():
    schema, x, is_attack = labelled(KINDS["mixed"], rows=3000)
    core, summary = fit_boosted_trees(schema, x[:2000], is_attack[:2000], FEW)
    score, attack = core.score(unscaled_columns(schema, x[2000:])), is_attack[2000:]
    assert np.mean(score[attack][:, None] > score[~attack]) > 0.85
    assert summary["attacks"] == is_attack[:2000].sum()
    assert len(np.unique(score)) > 100


def test_few_attacks_are_learnt_from_without_holding_any_back():
    schema, x, _ = labelled(KINDS["mixed"])
    is_attack = np.zeros(len(x), dtype=bool)
    is_attack[:5] = True
    core, summary = fit_boosted_trees(schema, x, is_attack, BoostedTreesParameters(trees=5, largest_training_set=1400))
    assert summary == {"trees": 5, "nodes": len(core.trees.column), "rows": 1400, "attacks": summary["attacks"]}


def test_too_few_or_wrong_labels_are_refused():
    schema, x, is_attack = labelled(KINDS["mixed"], rows=100)
    with pytest.raises(TrainingError, match="0 attacks among 100"):
        fit_boosted_trees(schema, x, np.zeros(100, dtype=bool))
    with pytest.raises(TrainingError, match=r"shape \(99,\)"):
        fit_boosted_trees(schema, x, is_attack[:99])


@pytest.mark.parametrize("wrong", [{"trees": 0}, {"learning_rate": 0}, {"leaves": 1}, {"smallest_leaf": 0}])
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(TrainingError, match=next(iter(wrong))):
        BoostedTreesParameters(**wrong)
