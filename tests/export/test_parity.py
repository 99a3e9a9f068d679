import numpy as np
import pytest
from export_cases import KINDS, UntrainedDetector, calibrated, fitted_case

from netsieve.engine.errors import ParityError
from netsieve.engine.features.schema import LARGEST_NUMBER
from netsieve.export.cores import core_model
from netsieve.export.parity import LOWEST_RANK_CORRELATION, _rank_correlation, check_parity, hard_rows

SCHEMA, X = fitted_case(KINDS["mixed"], rows=3000)
DETECTOR = UntrainedDetector(SCHEMA)
MODEL = core_model(DETECTOR.core, SCHEMA).SerializeToString()
REFERENCE = DETECTOR.reference_score(X)
CALIBRATION, THRESHOLDS = calibrated(DETECTOR, X)


def test_a_sound_graph_passes_and_is_reported():
    report = check_parity(MODEL, X, REFERENCE, CALIBRATION, THRESHOLDS)
    assert report.rows == 3000
    assert 0 < report.largest_error < 1e-6
    assert report.rank_correlation > 0.999999
    assert report.decisions_differing <= 1


def test_one_wrong_row_fails_and_is_named():
    reference = REFERENCE.copy()
    reference[1234] *= 1 + 1e-4
    with pytest.raises(ParityError, match="1 of 3000 rows scored in a batch; row 1234 "):
        check_parity(MODEL, X, reference, CALIBRATION, THRESHOLDS)


def test_another_order_fails():
    small = REFERENCE * 1e-9
    with pytest.raises(ParityError):
        check_parity(MODEL, X, small[::-1].copy(), CALIBRATION, THRESHOLDS)


def test_order_is_checked_even_within_the_tolerance(monkeypatch):
    monkeypatch.setattr("netsieve.export.parity.RELATIVE_TOLERANCE", 1e3)
    with pytest.raises(ParityError, match="Spearman"):
        check_parity(MODEL, X, REFERENCE[::-1].copy(), CALIBRATION, {})


def test_a_decision_that_differs_away_from_the_threshold_fails(monkeypatch):
    monkeypatch.setattr("netsieve.export.parity._largest_error", lambda what, rows, scores, reference, tolerance: 0.0)
    threshold = float(np.median(REFERENCE))
    reference = np.where(np.arange(3000) == 7, threshold * 2 if REFERENCE[7] < threshold else 0.0, REFERENCE)
    with pytest.raises(ParityError, match=r"1 of 3000 rows otherwise at fpr:0.5 .*row 7 "):
        check_parity(MODEL, X, reference, CALIBRATION, {"fpr:0.5": threshold})


def test_a_decision_within_the_tolerance_of_the_threshold_passes():
    threshold = float(REFERENCE[7] * (1 + 1e-9))
    check_parity(MODEL, X, REFERENCE, CALIBRATION, {"a": threshold, "b": float(REFERENCE[7] * (1 - 1e-9))})


def test_a_reference_that_is_not_finite_and_no_rows_fail():
    reference = REFERENCE.copy()
    reference[3] = np.nan
    with pytest.raises(ParityError, match="row 3 is nan"):
        check_parity(MODEL, X, reference, CALIBRATION, THRESHOLDS)
    with pytest.raises(ParityError, match="no rows"):
        check_parity(MODEL, X[:0], REFERENCE[:0], CALIBRATION, THRESHOLDS)


def test_rows_that_are_all_alike_pass():
    rows = np.repeat(X[:1], 500, axis=0)
    report = check_parity(MODEL, rows, DETECTOR.reference_score(rows), CALIBRATION, THRESHOLDS)
    assert report.rank_correlation == 1.0


def test_hard_rows_hold_every_hard_value_in_every_feature():
    rows = hard_rows(SCHEMA, X)
    assert rows.dtype == np.float32
    for i, _ in SCHEMA.numeric:
        assert np.isnan(rows[:, i]).any()
        assert {np.inf, -np.inf, np.float32(LARGEST_NUMBER), -np.float32(LARGEST_NUMBER)} <= set(rows[:, i])
    for i, feature in SCHEMA.categorical:
        assert np.isnan(rows[:, i]).any()
        assert {-1.0, 0.0, 1.0, 2.5, feature.code_count - 1.0, float(feature.code_count)} <= set(rows[:, i].tolist())


def test_records_whose_scores_differ_by_rounding_only_may_swap():
    reference = np.arange(1.0, 21.0)
    reference[11] = reference[10] * (1 + 1e-7)
    scores = reference.astype(np.float32)
    scores[[10, 11]] = scores[[11, 10]]
    assert _rank_correlation(scores, reference, np.full(20, 2e-6)) == pytest.approx(1.0)
    assert _rank_correlation(scores, reference, np.zeros(20)) < LOWEST_RANK_CORRELATION
    scores[[3, 4]] = scores[[4, 3]]
    assert _rank_correlation(scores, reference, np.full(20, 2e-6)) < LOWEST_RANK_CORRELATION
