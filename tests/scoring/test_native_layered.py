"""Classifiers, normal distributions, hyperplanes and variational autoencoders by native kernels."""

from functools import cache
from itertools import pairwise

import numpy as np
import onnx
import pytest
from core_models import (
    VARIANTS,
    assert_within_tolerance,
    core_model_file,
    core_onnx,
    reference_errors,
    reference_scores,
)
from export_cases import AGGREGATIONS, KINDS, fitted_case, random_autoencoder, session
from onnx import numpy_helper

from netsieve.engine.detectors.classifier import DenseScore
from netsieve.engine.detectors.dense_autoencoder import DenseLayer
from netsieve.engine.detectors.ensemble_core import EnsembleCore
from netsieve.engine.detectors.gaussian import Ellipsoid, Mixture
from netsieve.engine.detectors.hyperplane import FourierHyperplane, Hyperplane, WhitenedHyperplane
from netsieve.engine.detectors.registry import detector_class
from netsieve.engine.detectors.tail_rank import TailRank
from netsieve.engine.detectors.variational_core import VariationalCore
from netsieve.engine.features.preprocessing import prepare
from netsieve.engine.scoring.model_file import ModelFile
from netsieve.engine.scoring.native import native_plan
from netsieve.engine.scoring.recognition import NotRecognisedError
from netsieve.export.parity import hard_rows
from netsieve.kernels import _native

VARIANT = pytest.mark.parametrize("variant", VARIANTS)


def random_values(rng, *shape, scale=1.0):
    return (scale * rng.normal(size=shape)).astype(np.float32)


def dense_score(width, rng):
    sizes = (width, 48, 17, 1)
    layers = [
        DenseLayer(random_values(rng, i, o, scale=i**-0.5), random_values(rng, o), "leaky_relu")
        for i, o in pairwise(sizes)
    ]
    return DenseScore((*layers[:-1], DenseLayer(layers[-1].weight, layers[-1].bias, "linear")))


def fourier(width, rng, features=100):
    phase = rng.uniform(0, 2 * np.pi, features).astype(np.float32)
    frequency = random_values(rng, width, features, scale=0.2 * width**-0.5)
    return FourierHyperplane(frequency, phase, random_values(rng, features, scale=0.1), 3.0)


def mixture(width, rng, *, full, parts=5):
    whitening = random_values(rng, parts, width, width, scale=width**-0.5) if full else 0.1 + rng.random((parts, width))
    height = np.log(np.full(parts, 1 / parts)).astype(np.float32)
    return Mixture(random_values(rng, parts, width), whitening.astype(np.float32), height)


def variational(width, rng, aggregation):
    def layers(activation, *sizes):
        return tuple(
            DenseLayer(random_values(rng, i, o, scale=i**-0.5), random_values(rng, o, scale=0.1), activation)
            for i, o in pairwise(sizes)
        )

    return VariationalCore(
        layers("leaky_relu", width, 30, 20),
        *layers("linear", 20, 6),
        *layers("linear", 20, 6),
        (*layers("relu", 6, 25), *layers("linear", 25, width)),
        rng.uniform(0.2, 20, width).astype(np.float32),
        aggregation,
        base_score=float(aggregation == "sum"),
    )


CORES = {
    **{
        f"variational, {aggregation}": lambda width, rng, aggregation=aggregation: variational(width, rng, aggregation)
        for aggregation in AGGREGATIONS
    },
    "classifier": dense_score,
    "ellipsoid": lambda width, rng: Ellipsoid(random_values(rng, width), random_values(rng, width, width)),
    "mixture": lambda width, rng: mixture(width, rng, full=True),
    "diagonal mixture": lambda width, rng: mixture(width, rng, full=False),
    "one part": lambda width, rng: mixture(width, rng, full=True, parts=1),
    "hyperplane": lambda width, rng: Hyperplane(random_values(rng, width), 40.0),
    "fourier": fourier,
    "whitened": lambda width, rng: WhitenedHyperplane(
        random_values(rng, width), random_values(rng, width, 7, scale=width**-0.5), 10.0, fourier(7, rng)
    ),
}
CORE = pytest.mark.parametrize("make", CORES.values(), ids=CORES)


def core_of(make, schema, x, seed=0):
    return make(prepare(schema, x[:1]).shape[1], np.random.default_rng(seed))


@VARIANT
@pytest.mark.parametrize("kinds", ["plain", "missing", "mixed", "another order"])
@CORE
def test_scores_and_parts_are_those_of_the_reference(variant, make, kinds):
    schema, x = fitted_case(KINDS[kinds], rows=500)
    core = core_of(make, schema, x)
    model = core_model_file(core, schema, x)
    plan = native_plan(model, variant)
    x = np.concatenate([x, hard_rows(schema, x)])
    scores, reference = plan.score(x), reference_scores(core, schema, x)
    # of either sign and far out, what is summed is thousands of times the score
    parts = np.abs(prepare(schema, x)).sum(axis=1) if isinstance(core, Hyperplane | DenseScore) else 0
    allowed = 1e-5 * (np.abs(reference) + abs(model.calibration.median)) + 1e-6 * parts
    assert (np.abs(scores - reference) <= allowed).all()
    assert_within_tolerance(scores[:500], session(model.data).run(["score"], {"x": x[:500]})[0], np.abs(scores).max())
    assert plan.has_feature_error == hasattr(core, "column_errors")
    if plan.has_feature_error:
        errors, expected = plan.feature_error(x), reference_errors(core, schema, x)
        np.testing.assert_allclose(errors, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@VARIANT
@CORE
def test_a_score_depends_neither_on_its_place_nor_on_other_rows(variant, make):
    schema, x = fitted_case(KINDS["mixed"], rows=400)
    plan = native_plan(core_model_file(core_of(make, schema, x), schema, x), variant)
    scores = plan.score(x)
    for rows in (1, 2, 15, 16, 17, 47, 48, 49, 191, 192, 193):
        np.testing.assert_array_equal(plan.score(x[:rows]), scores[:rows])
        np.testing.assert_array_equal(plan.score(x[rows : 2 * rows]), scores[rows : 2 * rows])


@VARIANT
def test_cosines(variant):
    """One number, one feature of frequency 1 and phase 0: the score is -cos(x)."""
    angle = np.concatenate(
        [np.linspace(-30_000, 30_000, 200_001), np.linspace(-7, 7, 50_001), np.arange(-999, 1000) * np.pi / 2]
    ).astype(np.float32)
    one, none, first = np.ones(1, np.float32), np.zeros(0, np.int32), np.zeros(1, np.int32)
    kernel = _native.fourier_hyperplane(variant, (one[:, None], 0 * one, 1.0), one, 0.0, None)
    number = _native.preparation(
        variant, 1, "prepared", first, np.zeros(1, bool), 0 * one, one, 0 * one, none, [], 1e6, 1e30
    )
    plan = _native.ScoringPlan(variant, prepared=number, unscaled=None, kernels=[kernel])
    error = np.abs(-plan.score(angle[:, None]) - np.cos(angle.astype(np.float64)))
    assert error.max() < 1e-6
    assert error[np.abs(angle) < 1000].max() < 2e-7


@VARIANT
@pytest.mark.parametrize("name", ["pca", "kmeans", "elliptic_envelope", "gaussian_mixture", "one_class_svm", "dose"])
def test_trained_detectors(variant, name):
    schema, x = fitted_case(KINDS["mixed"], rows=900)
    detector = trained(name)
    model = core_model_file(detector.core, schema, x)
    scores = native_plan(model, variant).score(x)
    assert_within_tolerance(scores, detector.reference_score(x), model.calibration.median)


@cache
def trained(name):
    schema, x = fitted_case(KINDS["mixed"], rows=900)
    return detector_class(name)().fit(schema, x[:600], x[600:], device="cpu")


@VARIANT
def test_an_ensemble_with_a_classifier(variant):
    """What the detector ``hybrid`` is."""
    schema, x = fitted_case(KINDS["mixed"], rows=600)
    z = prepare(schema, x)
    members = (random_autoencoder(z.shape[1], "log_mean"), core_of(dense_score, schema, x))
    core = EnsembleCore(members, tuple(TailRank.fit(member.score(z)) for member in members), "max")
    model = core_model_file(core, schema, x)
    plan = native_plan(model, variant)
    assert_within_tolerance(plan.score(x), reference_scores(core, schema, x), model.calibration.median)
    assert plan.has_feature_error


def test_an_ensemble_with_a_member_of_two_kernels_is_left_to_onnxruntime():
    schema, x = fitted_case(KINDS["plain"], rows=300)
    z = prepare(schema, x)
    members = (variational(z.shape[1], np.random.default_rng(0), "sum"), core_of(dense_score, schema, x))
    core = EnsembleCore(members, tuple(TailRank.fit(member.score(z)) for member in members), "mean")
    with pytest.raises(NotRecognisedError, match="several kernels"):
        native_plan(core_model_file(core, schema, x), VARIANTS[0])


@cache
def small_file(name):
    schema, x = fitted_case(KINDS["missing"], rows=200)
    return core_onnx(core_of(CORES[name], schema, x), schema, x).SerializeToString()


@pytest.mark.parametrize("name", CORES)
def test_a_graph_with_another_node_is_not_recognised(name):
    for number in range(len(onnx.load_from_string(small_file(name)).graph.node)):
        model = onnx.load_from_string(small_file(name))
        model.graph.node[number].op_type = "Tan"
        with pytest.raises(NotRecognisedError):
            native_plan(ModelFile(model.SerializeToString()), VARIANTS[0])


@pytest.mark.parametrize("change", [lambda a: np.append(a, a), lambda a: a[..., :0], lambda a: -2 * np.ones_like(a)])
@pytest.mark.parametrize("name", CORES)
def test_a_graph_with_another_constant_is_refused_or_scores_as_onnxruntime(name, change):
    x = np.ones((60, 4), dtype=np.float32)
    for number, constant in enumerate(onnx.load_from_string(small_file(name)).graph.initializer):
        model = onnx.load_from_string(small_file(name))
        values = numpy_helper.to_array(constant)
        if not values.ndim or values.dtype == bool:
            continue
        changed = np.asarray(change(values)).astype(values.dtype)
        model.graph.initializer[number].CopyFrom(numpy_helper.from_array(changed, constant.name))
        try:
            scores = native_plan(ModelFile(model.SerializeToString()), VARIANTS[0]).score(x)
        except NotRecognisedError:
            continue
        np.testing.assert_allclose(scores, session(model).run(["score"], {"x": x})[0], rtol=1e-4, atol=1e-4)


ONE = np.ones(3, np.float32)
SQUARE, FEATURE = np.eye(3, dtype=np.float32), np.arange(3, dtype=np.int32)
LAYER = (SQUARE, ONE, 1.0)
TO_ONE = (SQUARE[:, :1].copy(), ONE[:1], 1.0)


@pytest.mark.parametrize(
    ("kernel", "arguments"),
    [
        ("dense_score", ([],)),
        ("dense_score", ([LAYER],)),
        ("dense_score", ([TO_ONE, TO_ONE],)),
        ("ellipsoid", (ONE, SQUARE[:2], FEATURE, 3)),
        ("ellipsoid", (ONE[:0], SQUARE[:0, :0].copy(), FEATURE[:0], 3)),
        ("ellipsoid", (ONE, SQUARE, FEATURE, 2)),
        ("ellipsoid", (ONE, SQUARE, FEATURE - 1, 3)),
        ("mixture", (ONE[:1], [])),
        ("mixture", (ONE[:2], [LAYER])),
        ("mixture", (ONE[:2], [LAYER, (*TO_ONE[:2], 0.5)])),
        ("diagonal_mixture", (ONE[:2], SQUARE, SQUARE)),
        ("diagonal_mixture", (ONE[:0], SQUARE[:0], SQUARE[:0])),
        ("hyperplane", (ONE, 0.0, FEATURE[:2], 3)),
        ("hyperplane", (ONE, 0.0, FEATURE, 0)),
        ("fourier_hyperplane", (LAYER, ONE[:2], 0.0, None)),
        ("fourier_hyperplane", ((SQUARE, ONE, 0.5), ONE, 0.0, None)),
        ("fourier_hyperplane", (LAYER, ONE, 0.0, (ONE[:2], SQUARE, 1.0))),
        ("fourier_hyperplane", (LAYER, ONE, 0.0, (ONE, SQUARE[:, :2].copy(), 1.0))),
        ("fourier_hyperplane", (LAYER, ONE, 0.0, (ONE, SQUARE, -1.0))),
        ("fourier_hyperplane", (LAYER, ONE, 0.0, (ONE[:0], SQUARE[:0], 1.0))),
        ("divergence", ([], LAYER, LAYER, 8.0, 0.0)),
        ("divergence", ([LAYER], TO_ONE, LAYER, 8.0, 0.0)),
        ("divergence", ([LAYER, TO_ONE], LAYER, LAYER, 8.0, 0.0)),
        ("divergence", ([LAYER], LAYER, LAYER, 100.0, 0.0)),
        ("divergence", ([LAYER], LAYER, LAYER, 8.0, -1.0)),
        ("sum_of_parts", (0,)),
    ],
)
def test_kernels_of_parts_that_do_not_fit_are_refused(kernel, arguments):
    for variant in VARIANTS:
        with pytest.raises(ValueError, match=r"\w"):
            getattr(_native, kernel)(variant, *arguments)
