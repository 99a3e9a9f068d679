import numpy as np
import pytest
from export_cases import KINDS, fitted_case, session

from netsieve.engine.detectors.dose import DensityOfStates, DensityOfStatesParameters, fit_density_of_states
from netsieve.engine.detectors.hyperplane import FourierHyperplane, Hyperplane, WhitenedHyperplane
from netsieve.engine.detectors.one_class_svm import (
    LONGEST_FEATURES,
    OneClassSvm,
    OneClassSvmParameters,
    fit_fourier_hyperplane,
    kernel_gammas,
)
from netsieve.engine.errors import ExportError, TrainingError
from netsieve.engine.features.preprocessing import prepare
from netsieve.export.cores import core_model
from netsieve.export.graph import INPUT, Graph
from netsieve.export.hyperplane import add_whitened_score


def fitted_by_scikit_learn(z, parameters, seed, gamma=None):
    from sklearn.kernel_approximation import RBFSampler
    from sklearn.linear_model import SGDOneClassSVM
    from sklearn.pipeline import make_pipeline

    machine = SGDOneClassSVM(
        nu=parameters.nu, max_iter=max(10, 1_000_000 // len(z)), tol=1e-4, average=True, random_state=seed
    )
    if gamma is None:
        return machine.fit(z)
    sampler = RBFSampler(gamma=gamma, n_components=parameters.features, random_state=seed)
    return make_pipeline(sampler, machine).fit(z)


def float32_prepared(schema, x):
    return prepare(schema, x).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("kernel", ["gaussian", "none"])
def test_scores_are_scikit_learns_decisions_but_for_sign_scale_and_a_constant(kernel):
    schema, x = fitted_case(KINDS["mixed"], rows=900)
    parameters = OneClassSvmParameters(kernel=kernel, nu=0.2, features=64)
    detector = OneClassSvm(parameters).fit(schema, x[:600], x[600:700], seed=5)
    z = float32_prepared(schema, x)
    gamma = detector.summary.get("gamma")
    assert (gamma is None) == (kernel == "none")
    theirs = fitted_by_scikit_learn(z[:600], parameters, 5, gamma)
    length = np.sqrt(np.square((theirs if gamma is None else theirs[-1]).coef_).sum())
    constant = detector.reference_score(x[700:]) + theirs.decision_function(z[700:]) / length
    np.testing.assert_allclose(constant, constant.mean(), atol=1e-5)
    assert detector.summary["rows_beyond"] == pytest.approx((theirs.decision_function(z[:600]) < 0).mean())


def test_random_features_stand_for_the_kernel():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 5))
    weights = np.sqrt(2 * 0.1) * rng.normal(size=(5, 20_000))
    phase = rng.uniform(0, 2 * np.pi, 20_000)
    support = np.sqrt(2 / 20_000) * np.cos(rows[0] @ weights + phase)
    core = FourierHyperplane(weights, phase, support * np.sqrt(2 / 20_000), LONGEST_FEATURES)
    kernel = np.exp(-0.1 * np.square(rows - rows[0]).sum(axis=1))
    np.testing.assert_allclose(core.score(rows), LONGEST_FEATURES - kernel, atol=0.03)


def test_the_kernels_width_is_the_median_distance():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 6))
    distances = np.square(rows[:, None] - rows[None]).sum(axis=2)[np.triu_indices(400, 1)]
    assert kernel_gammas(rows, 0)[0] == pytest.approx(1 / (2 * np.median(distances)), rel=0.05)
    # equal rows say nothing of the width
    often = np.concatenate([np.zeros((2_000, 6)), rows])
    assert kernel_gammas(often, 0)[0] > 0.5 * kernel_gammas(rows, 0)[0]
    assert kernel_gammas(np.ones((30, 2)), 0) == (1, np.inf)


def test_scores_with_a_kernel_are_above_zero():
    schema, x = fitted_case(KINDS["mixed"], rows=600)
    for detector in (OneClassSvm(), DensityOfStates()):
        scores = detector.fit(schema, x[:400], x[400:]).score(x)
        assert scores.min() > 0.3
        assert scores.max() < 2 * LONGEST_FEATURES


def test_a_hyperplane_among_columns_is_exported_with_its_parts():
    schema, x = fitted_case(KINDS["mixed"], rows=600)
    detector = OneClassSvm(OneClassSvmParameters(kernel="none")).fit(schema, x[:400], x[400:])
    assert isinstance(detector.core, Hyperplane)
    reference = detector.reference_score(x)
    tolerance = 1e-5 * np.median(np.abs(reference))
    scores, parts = session(core_model(detector.core, schema)).run(["score", "feature_error"], {"x": x})
    np.testing.assert_allclose(scores, reference, rtol=1e-5, atol=tolerance)
    np.testing.assert_allclose(parts, detector.feature_error(x), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(detector.core.offset + parts.sum(axis=1), scores, rtol=1e-4, atol=1e-5)
    assert (reference[:400] > -1e-6).all()


def test_components_of_the_density_of_states_are_white():
    schema, x = fitted_case(("plain a", "plain b", "log a"), rows=2_000)
    x[:, 1] += x[:, 0] - 50
    detector = DensityOfStates(DensityOfStatesParameters(regularisation=0.001)).fit(schema, x[:1_500], x[1_500:])
    components = detector.core.components(prepare(schema, x[:1_500]))
    np.testing.assert_allclose(components.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(np.cov(components.T), np.eye(3), atol=0.02)
    far = x[:5].copy()
    far[:] = 3e38
    assert np.abs(detector.core.components(prepare(schema, far))).max() <= detector.core.limit


def test_density_of_states_takes_any_statistics_in_any_units():
    rng = np.random.default_rng(0)
    error = rng.gamma(3, size=2_000)
    # a log likelihood, a divergence, an error and a length, as of a generative model
    statistics = np.column_stack([-300 - 40 * error, 1e-3 * rng.gamma(2, size=2_000), error, rng.normal(5, 1, 2_000)])
    parameters = DensityOfStatesParameters(features=256)
    core, summary = fit_density_of_states(statistics[:1_000], parameters, seed=1)
    assert isinstance(core, WhitenedHyperplane)
    assert summary["rows_beyond"] < 0.3
    scaled, _ = fit_density_of_states(statistics[:1_000] * [1e-3, 1e4, 1, 7], parameters, seed=1)
    np.testing.assert_allclose(scaled.score(statistics * [1e-3, 1e4, 1, 7]), core.score(statistics), atol=1e-3)
    # likely and divergent at once: each statistic alone is usual
    odd = statistics[1_000:].copy()
    odd[:, 0] = -300 - 40 * odd[::-1, 2]
    both = np.concatenate([core.score(statistics[1_000:]), core.score(odd)])
    ranks = np.argsort(np.argsort(both))
    assert ranks[1_000:].mean() > ranks[:1_000].mean() + 200

    graph = Graph()
    add_whitened_score(graph, INPUT, core)
    scores = session(graph.model(4, feature_error=False)).run(["score"], {"x": statistics.astype(np.float32)})[0]
    np.testing.assert_allclose(scores, core.score(statistics.astype(np.float32)), rtol=1e-5)


def test_a_statistic_that_never_varies_is_no_division_by_zero():
    statistics = np.column_stack([np.random.default_rng(0).normal(size=100), np.full(100, 3.0)])
    core, _ = fit_density_of_states(statistics, DensityOfStatesParameters(features=32), seed=0)
    assert np.isfinite(core.score(statistics)).all()


def test_a_schema_of_another_width_is_refused():
    schema, _ = fitted_case(KINDS["plain"])
    three = np.ones(3, dtype=np.float32)
    kernel = FourierHyperplane(three[:, None], three[:1], three[:1], 1.0)
    for core in (Hyperplane(three, 0.0), kernel, WhitenedHyperplane(three, np.eye(3, dtype=np.float32), 9.0, kernel)):
        with pytest.raises(ExportError, match="schema prepares 2"):
            core_model(core, schema)


@pytest.mark.parametrize(
    ("parameters", "values"),
    [
        (OneClassSvmParameters, {"kernel": "cosine"}),
        (OneClassSvmParameters, {"nu": 0.0}),
        (OneClassSvmParameters, {"features": 0}),
        (OneClassSvmParameters, {"gamma": -1.0}),
        (DensityOfStatesParameters, {"regularisation": 0.0}),
        (DensityOfStatesParameters, {"nu": 2.0}),
    ],
)
def test_parameters_are_checked(parameters, values):
    with pytest.raises(TrainingError, match=next(iter(values))):
        parameters.from_dict(values)


@pytest.mark.parametrize("gamma", [None, 1e12])
def test_a_tight_bulk_and_far_rows_do_not_make_the_kernel_see_rounding(gamma):
    rng = np.random.default_rng(0)
    bulk = np.concatenate([1e-5 * rng.normal(size=(990, 3)), 5 + rng.normal(size=(10, 3))])
    core, summary = fit_fourier_hyperplane(bulk, OneClassSvmParameters(features=64, gamma=gamma), seed=0)
    rounded = bulk * (1 + 1e-6 * rng.normal(size=bulk.shape))
    np.testing.assert_allclose(core.score(rounded), core.score(bulk), rtol=1e-3, atol=1e-4)
    assert summary["gamma"] < 1e5
