import numpy as np
import pytest
from export_cases import KINDS, fitted_case, session
from scipy.stats import multivariate_normal

from netsieve.engine.detectors.core import BASE_SCORE
from netsieve.engine.detectors.elliptic_envelope import (
    EllipticEnvelope,
    EllipticEnvelopeParameters,
    usual_rows,
    varying_directions,
)
from netsieve.engine.detectors.gaussian import Ellipsoid, Mixture, column_whitening
from netsieve.engine.detectors.gaussian_mixture import GaussianMixture, GaussianMixtureParameters, mixture_core
from netsieve.engine.errors import ExportError, TrainingError
from netsieve.engine.features.preprocessing import fit_preprocessing, prepare
from netsieve.engine.features.schema import FeatureSchema, NumericFeature
from netsieve.export.cores import core_model


def random_covariance(size, seed=0):
    factor = np.random.default_rng(seed).normal(size=(size, size))
    return factor @ factor.T + 0.1 * np.eye(size)


def test_whitened_columns_are_white_and_belong_to_their_columns():
    covariance = random_covariance(6)
    whitening = column_whitening(covariance)
    np.testing.assert_allclose(whitening @ whitening.T, np.linalg.inv(covariance), rtol=1e-9)
    # the correlation of each column with its own part is positive, and in the mean as large as can be
    correlation = covariance @ whitening / np.sqrt(np.diag(covariance))[:, None]
    assert (np.diag(correlation) > 0.3).all()
    other = np.linalg.cholesky(np.linalg.inv(covariance))
    assert np.trace(correlation) > np.trace(covariance @ other / np.sqrt(np.diag(covariance))[:, None])
    # columns that do not go together are whitened alone
    np.testing.assert_allclose(column_whitening(np.diag([4.0, 0.25])), np.diag([0.5, 2.0]))


def test_ellipsoid_is_the_mahalanobis_distance():
    rng = np.random.default_rng(0)
    covariance, center = random_covariance(4), rng.normal(size=4)
    core = Ellipsoid(center, column_whitening(covariance))
    rows = rng.normal(size=(50, 4)) * 5
    inverse = np.linalg.inv(covariance)
    expected = [BASE_SCORE + (row - center) @ inverse @ (row - center) for row in rows]
    np.testing.assert_allclose(core.score(rows), expected, rtol=1e-9)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_mixture_is_the_log_likelihood_but_for_a_constant(covariance):
    rng = np.random.default_rng(1)
    share, centers = np.array([0.2, 0.5, 0.3]), rng.normal(size=(3, 4)) * 3
    covariances = np.array([random_covariance(4, seed) for seed in range(3)])
    if covariance == "diagonal":
        covariances = np.array([np.diag(np.diag(each)) for each in covariances])
        whitening = np.array([1 / np.sqrt(np.diag(each)) for each in covariances])
    else:
        whitening = np.array([np.linalg.cholesky(np.linalg.inv(each)) for each in covariances])
    core = mixture_core(share, centers, whitening)
    rows = rng.normal(size=(200, 4)) * 4
    density = sum(
        part * multivariate_normal(center, each).pdf(rows)
        for part, center, each in zip(share, centers, covariances, strict=True)
    )
    constant = core.score(rows) + np.log(density)
    np.testing.assert_allclose(constant, constant.mean(), atol=1e-5)
    assert core.score(centers).min() >= BASE_SCORE


def test_scores_of_a_mixture_stay_finite_where_every_density_is_zero():
    schema, x = fitted_case(KINDS["plain"], rows=50)
    core = Mixture(
        np.zeros((2, 2), np.float32), np.full((2, 2), 100, np.float32), np.log([0.5, 0.5]).astype(np.float32)
    )
    x[0] = 3e38
    score = session(core_model(core, schema)).run(["score"], {"x": x})[0]
    assert np.isfinite(score).all()
    assert score[0] > 1e6
    np.testing.assert_allclose(score, core.score(prepare(schema, x)), rtol=1e-5)


def test_mixture_scores_are_those_of_scikit_learn():
    from sklearn import mixture

    schema, x = fitted_case(KINDS["mixed"], rows=900)
    z = prepare(schema, x).astype(np.float32).astype(np.float64)
    for kind, theirs in (("full", "full"), ("diagonal", "diag")):
        parameters = GaussianMixtureParameters(components=3, covariance=kind)
        detector = GaussianMixture(parameters).fit(schema, x[:600], x[600:700], seed=4)
        fitted = mixture.GaussianMixture(3, covariance_type=theirs, reg_covar=0.01, random_state=4).fit(z[:600])
        difference = detector.reference_score(x[700:]) + fitted.score_samples(z[700:])
        np.testing.assert_allclose(difference, difference.mean(), atol=1e-4)
        assert detector.summary["validation_log_likelihood"] == pytest.approx(fitted.score(z[600:700]))


def test_a_mixture_has_no_more_parts_than_different_rows():
    schema, x = fitted_case(KINDS["category"], rows=600)
    detector = GaussianMixture(GaussianMixtureParameters(components=40)).fit(schema, x[:400], x[400:500])
    assert len(detector.core.centers) == len(np.unique(x[:400]))


def test_robust_rows_are_those_of_scikit_learn():
    from sklearn.covariance import MinCovDet

    rng = np.random.default_rng(0)
    clean = rng.multivariate_normal(np.zeros(3), random_covariance(3), 500)
    z = np.concatenate([clean, 30 + rng.normal(size=(25, 3))])
    kept = usual_rows(varying_directions(z), None, 0.1, seed=0)
    robust = MinCovDet(random_state=0).fit(z)
    limit = max(np.quantile(robust.mahalanobis(z), 0.9), 9.348)  # 97.5 % of chi squared with 3 degrees of freedom
    np.testing.assert_array_equal(kept, robust.mahalanobis(z) <= limit)
    assert not kept[500:].any()
    assert kept[:500].mean() > 0.9


def test_odd_training_rows_do_not_hide_themselves():
    schema, x = fitted_case(KINDS["plain"], rows=1_000)
    odd = x.copy()
    odd[:40] += np.array([14.0, -15.0], dtype=np.float32)
    robust = EllipticEnvelope(EllipticEnvelopeParameters(contamination=0.1)).fit(schema, odd[:800], odd[800:])
    plain = EllipticEnvelope(EllipticEnvelopeParameters(contamination=0)).fit(schema, odd[:800], odd[800:])
    assert robust.summary["rows_kept"] <= 760
    assert plain.summary["rows_kept"] == 800
    assert np.median(robust.score(odd[:40])) > 2 * np.median(plain.score(odd[:40]))


def test_columns_without_spread_and_dependent_ones_are_left_out_of_the_robust_part():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 3))
    one_hot = (rng.random(300) < 0.1).astype(float)
    z = np.column_stack([values, values[:, 0] - 2 * values[:, 1], np.zeros(300), one_hot])
    directions = varying_directions(z)
    assert directions.shape == (300, 3)
    assert usual_rows(directions, None, 0.01, 0).mean() > 0.9
    none = varying_directions(z[:, 4:])
    assert none.shape == (300, 0)
    assert usual_rows(none, None, 0.01, 0) is None
    assert varying_directions(values[:10]).shape == (10, 2)


def test_a_change_in_a_constant_column_is_news():
    schema, x = fitted_case(("plain a", "constant", "plain b"), rows=600)
    detector = EllipticEnvelope().fit(schema, x[:400], x[400:])
    changed = x[400:].copy()
    changed[:, 1] = 8
    assert np.median(detector.score(changed)) > detector.score(x[400:]).max()
    errors = detector.feature_error(changed)
    assert (errors.argmax(axis=1) == 1).mean() > 0.9


def test_features_of_several_columns_get_the_sum_of_their_parts():
    schema, x = fitted_case(KINDS["mixed"], rows=600)
    detector = EllipticEnvelope().fit(schema, x[:400], x[400:])
    score, parts = session(core_model(detector.core, schema)).run(["score", "feature_error"], {"x": x})
    np.testing.assert_allclose(parts, detector.feature_error(x), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(BASE_SCORE + parts.sum(axis=1), score, rtol=1e-5)


def test_a_schema_of_another_width_is_refused():
    schema, _ = fitted_case(KINDS["plain"])
    three = np.zeros(3, dtype=np.float32)
    for core in (Ellipsoid(three, np.eye(3, dtype=np.float32)), Mixture(three[None], three[None] + 1, three[:1])):
        with pytest.raises(ExportError, match="schema prepares 2"):
            core_model(core, schema)


@pytest.mark.parametrize(
    ("parameters", "values"),
    [
        (EllipticEnvelopeParameters, {"support_fraction": 0.3}),
        (EllipticEnvelopeParameters, {"contamination": 0.7}),
        (EllipticEnvelopeParameters, {"regularisation": 0.0}),
        (GaussianMixtureParameters, {"components": 0}),
        (GaussianMixtureParameters, {"covariance": "tied"}),
        (GaussianMixtureParameters, {"regularisation": 0.0}),
    ],
)
def test_parameters_are_checked(parameters, values):
    with pytest.raises(TrainingError, match=next(iter(values))):
        parameters.from_dict(values)


def test_where_half_of_the_rows_all_but_coincide_all_are_kept():
    # scikit-learn takes a variance of less than 1e-8 in the tightest half for none
    rng = np.random.default_rng(0)
    values = np.concatenate([1e-6 * rng.normal(size=300), rng.normal(size=200)])[:, None].astype(np.float32)
    assert usual_rows(values.astype(np.float64), None, 0.01, 0) is None
    schema = fit_preprocessing(FeatureSchema(features=(NumericFeature(name="n"),)), values)
    detector = EllipticEnvelope().fit(schema, values, values[:100])
    assert detector.summary["rows_kept"] == 500
    assert detector.summary["robust"] is False
