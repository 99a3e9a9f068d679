import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as peer

from netsieve.engine.errors import SchemaError, ThresholdError
from netsieve.engine.evaluation.curves import RankedScores
from netsieve.engine.evaluation.metrics import Evaluation, evaluate_scores
from netsieve.engine.evaluation.table import evaluation_table
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.engine.thresholds.policy import Policy

# few distinct scores, so that ties are the rule
rows_of_both_classes = st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=80).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


def arrays(rows: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([score for score, _ in rows], dtype=np.float32), np.array([label for _, label in rows])


@given(rows_of_both_classes, st.floats(0.01, 0.99), st.integers(-5, 5))
@settings(deadline=None, max_examples=100)
def test_metrics_equal_scikit_learns(rows, share, threshold):
    scores, labels = arrays(rows)
    found = evaluate_scores(scores, labels, threshold, attack_share=share)
    assert found.auroc == pytest.approx(peer.roc_auc_score(labels, scores))
    assert found.average_precision == pytest.approx(peer.average_precision_score(labels, scores))
    weight = np.where(labels, share / labels.sum(), (1 - share) / (~labels).sum())
    assert found.average_precision_reweighted == pytest.approx(
        peer.average_precision_score(labels, scores, sample_weight=weight)
    )
    flagged = scores > threshold
    assert found.accuracy == pytest.approx(peer.accuracy_score(labels, flagged))
    assert found.recall == pytest.approx(peer.recall_score(labels, flagged))
    assert found.f1 == pytest.approx(peer.f1_score(labels, flagged, zero_division=0))
    if flagged.any():
        assert found.precision == pytest.approx(peer.precision_score(labels, flagged))
    else:
        assert found.precision is None
    (tn, fp), (fn, tp) = peer.confusion_matrix(labels, flagged, labels=[False, True])
    assert (found.confusion.tn, found.confusion.fp, found.confusion.fn, found.confusion.tp) == (tn, fp, fn, tp)
    assert found.false_positive_rate == pytest.approx(fp / (fp + tn))


@given(rows_of_both_classes, st.sampled_from([0.5, 0.29, 0.1, 0.05]))
@settings(deadline=None, max_examples=100)
def test_recall_at_a_rate_is_the_best_of_all_thresholds(rows, rate):
    scores, labels = arrays(rows)
    found = RankedScores.of(scores, labels).recall_at(rate)
    if (~labels).sum() * rate < 1 - 1e-9:
        assert found is None
        return
    reachable = [
        (scores > cut)[labels].mean()
        for cut in [*np.unique(scores), -9.0]
        if (scores > cut)[~labels].mean() <= rate + 1e-12
    ]
    assert found == pytest.approx(max(reachable))


@given(rows_of_both_classes, st.sampled_from([6, 30, 900]))
@settings(deadline=None, max_examples=60)
def test_points_drawn_lie_on_the_curves(rows, count):
    scores, labels = arrays(rows)
    ranked = RankedScores.of(scores, labels)
    cuts = ranked.thinned_cuts(count)
    assert len(cuts) <= count
    recall, fall_out = ranked.rates_from(cuts)
    precision = ranked.precision(recall, fall_out)
    for i, cut in enumerate(cuts):
        flagged = scores >= cut
        assert recall[i] == pytest.approx(flagged[labels].mean())
        assert fall_out[i] == pytest.approx(flagged[~labels].mean())
        assert precision[i] == pytest.approx(labels[flagged].mean())


def test_recall_at_the_three_rates():
    scores = np.concatenate([np.arange(10_000), [9_990.5, 9_899.5, 9_899.0, 20_000]]).astype(np.float32)
    labels = np.arange(len(scores)) >= 10_000
    # 9,899.5 is above all but 100 normal rows; 9,899 ties with one too many
    assert evaluate_scores(scores, labels, 0).recall_at_fpr == {0.01: 0.75, 0.001: 0.5, 0.0001: 0.25}
    few = evaluate_scores(scores[5_000:], labels[5_000:], 0).recall_at_fpr
    assert few == {0.01: 0.5, 0.001: 0.25, 0.0001: None}


def test_json_has_the_promised_keys_and_no_nan():
    evaluation = evaluate_scores([1.0, 2.0, 3.0, 4.0], [0, 1, 0, 1], 2.5, ["", "scan", "", "scan"])
    content = json.loads(evaluation.to_json(), parse_constant=pytest.fail)
    promised = "rows auroc average_precision threshold accuracy precision recall f1 false_positive_rate confusion"
    assert {*promised.split(), "recall_at_fpr"} <= content.keys()
    assert content["confusion"] == {"tp": 1, "fp": 1, "tn": 1, "fn": 1}
    assert content["recall_at_fpr"] == {"0.01": None, "0.001": None, "0.0001": None}
    assert content["recall_by_attack"] == {"scan": 0.5}
    assert content["rows_by_attack"] == {"scan": 2}
    assert content["baselines"] == {"flag_nothing": {"accuracy": 0.5}, "flag_everything": {"accuracy": 0.5}}
    assert "recall_by_attack" not in evaluate_scores([1.0], [0], 0).to_dict()


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_only_gives_none_and_no_warning(label):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluation = evaluate_scores(np.arange(200.0), np.full(200, label), 100, np.full(200, "x"))
    assert evaluation.auroc is evaluation.average_precision is evaluation.average_precision_reweighted is None
    assert set(evaluation.recall_at_fpr.values()) == {None}
    assert evaluation.accuracy == pytest.approx(99 / 200 if label else 101 / 200)
    assert (evaluation.recall is None) == (label == 0)
    assert (evaluation.false_positive_rate is None) == (label == 1)
    json.loads(evaluation.to_json(), parse_constant=pytest.fail)
    assert evaluation_table(evaluation)


def test_flagging_everything_is_seen_through():
    """A set that is 89 % attacks once made a detector that flags every row look 89 % accurate."""
    labels = np.arange(100) < 89
    evaluation = evaluate_scores(np.arange(100.0), labels, -1)
    assert evaluation.accuracy == evaluation.flag_everything_accuracy == 0.89
    assert evaluation.false_positive_rate == 1
    assert "flag everything: 0.8900" in evaluation_table(evaluation)


def test_recall_by_attack_counts_anomalous_rows_only():
    attacks = ["ddos", "scan ", "scan", None, float("nan"), "", "ddos", "benign"]
    labels = [1, 1, 1, 1, 1, 1, 0, 0]
    scores = [9, 9, 1, 9, 1, 1, 9, 9]
    evaluation = evaluate_scores(scores, labels, 5, attacks)
    assert evaluation.attacks is not None
    assert {name: (a.flagged, a.rows) for name, a in evaluation.attacks.items()} == {
        "ddos": (1, 1),
        "scan": (1, 2),
        "(unnamed)": (1, 3),
    }
    assert list(evaluation.attacks) == ["(unnamed)", "scan", "ddos"]


def calibrated(population: str, rows: int = 1000) -> Evaluation:
    rng = np.random.default_rng(0)
    calibration = Calibration.fit(rng.normal(size=rows), population=population)
    policy = Policy("fpr", 0.01)
    scores = np.concatenate([rng.normal(size=5000), rng.normal(4, 1, size=500)])
    labels = np.arange(5500) >= 5000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        threshold = policy.threshold(calibration)
    return evaluate_scores(scores, labels, threshold, policy=policy, calibration=calibration)


def test_the_rate_asked_for_is_told_beside_the_realised_one():
    evaluation = calibrated("normal")
    rate = evaluation.realised_rate
    assert rate is not None
    assert (rate.asked, rate.realised, rate.rows) == (0.01, evaluation.false_positive_rate, "normal")
    assert rate.within
    assert (rate.lowest, rate.highest) == Policy("fpr", 0.01).realised_rate_interval(1000, 5000)
    assert evaluation.to_dict()["realised_rate"]["within"] is True
    assert "inside" in evaluation_table(evaluation)


def test_a_rate_asked_of_unlabelled_records_is_one_of_all_rows():
    rate = calibrated("unlabelled").realised_rate
    assert rate is not None
    assert rate.rows == "all"
    assert rate.realised > 0.05
    assert not rate.within
    assert "OUTSIDE" in evaluation_table(calibrated("unlabelled"))


def test_no_rate_is_told_where_none_was_asked():
    calibration = Calibration.fit(np.arange(100.0))
    assert evaluate_scores([1.0], [0], 0, policy=Policy("mean_std", 3), calibration=calibration).realised_rate is None
    assert evaluate_scores([1.0], [0], 0, policy=Policy("fpr", 0.5)).realised_rate is None
    only_attacks = evaluate_scores([1.0], [1], 0, policy=Policy("fpr", 0.5), calibration=calibration)
    assert only_attacks.realised_rate is None


@pytest.mark.parametrize(
    ("scores", "labels", "error", "part"),
    [
        ([], [], ThresholdError, "no scores"),
        ([float("nan")], [1], ThresholdError, "not a finite"),
        ([1.0], [0, 1], SchemaError, "one per row"),
        ([1.0], [2], SchemaError, "1 and 0"),
        ([1.0], ["attack"], SchemaError, "1 and 0"),
        ([1.0], [float("nan")], SchemaError, "1 and 0"),
    ],
)
def test_unfit_input_is_refused(scores, labels, error, part):
    with pytest.raises(error, match=part):
        evaluate_scores(scores, labels, 0)


def test_unfit_attacks_and_share_are_refused():
    with pytest.raises(SchemaError, match="2 attack names and 1 rows"):
        evaluate_scores([1.0], [1], 0, ["a", "b"])
    with pytest.raises(SchemaError, match="attack_share"):
        evaluate_scores([1.0], [1], 0, attack_share=1.0)


def test_table_is_short_and_safe_to_print():
    names = ["\x1b[31mred\n" + "x" * 100, "scan"]
    evaluation = evaluate_scores([1.0, 2.0], [1, 1], 1.5, names)
    table = evaluation_table(evaluation)
    assert "\x1b" not in table
    assert max(map(len, table.splitlines())) < 130
    assert len(table.splitlines()) < 22
