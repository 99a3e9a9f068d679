from functools import cache

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
from export_cases import KINDS, fitted_case, random_autoencoder, session
from onnx import numpy_helper

from netsieve.engine.detectors.core import side, view_columns
from netsieve.engine.detectors.ensemble import Ensemble, EnsembleParameters
from netsieve.engine.detectors.ensemble_core import EnsembleCore
from netsieve.engine.detectors.stored_rows import StoredRows
from netsieve.engine.detectors.tail_rank import TailRank
from netsieve.engine.errors import ModelFileError
from netsieve.engine.features.preprocessing import prepare
from netsieve.engine.scoring.model_file import ModelFile
from netsieve.engine.scoring.native import native_plan
from netsieve.engine.scoring.recognition import NotRecognisedError
from netsieve.export.parity import hard_rows
from netsieve.kernels._native import tail_ranks

VARIANT = pytest.mark.parametrize("variant", VARIANTS)
COMBINATIONS = ("mean", "max", "median")


def random_ensemble(schema, x, combination, members=3, seed=0):
    """Return an ensemble of untrained members with rank functions of their scores."""
    rng = np.random.default_rng(seed)
    z = prepare(schema, x).astype(np.float32)
    cores = []
    for number in range(members):
        if number % 2:
            cores.append(random_autoencoder(z.shape[1], "log_mean", seed=seed + number))
        else:
            weight = rng.uniform(0.1, 9, z.shape[1]).astype(np.float32)
            cores.append(StoredRows(z[rng.permutation(len(z))[:50]], weight, 1 + number % 3))
    columns = view_columns("both", schema, x)
    ranks = [TailRank.fit(core.score(side(core.view, columns))) for core in cores]
    return EnsembleCore(tuple(cores), tuple(ranks), combination)


@VARIANT
@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("members", [1, 2, 3, 4, 5])
def test_scores_and_parts_are_those_of_the_reference(variant, combination, members):
    schema, x = fitted_case(KINDS["mixed"], rows=700)
    core = random_ensemble(schema, x, combination, members)
    model = core_model_file(core, schema, x)
    plan = native_plan(model, variant)
    x = np.concatenate([x, hard_rows(schema, x)])
    scores, reference = plan.score(x), reference_scores(core, schema, x)
    assert_within_tolerance(scores, reference, model.calibration.median)
    assert len(np.unique(scores)) > 0.9 * len(np.unique(reference.astype(np.float32)))
    expected = reference_errors(core, schema, x)
    assert np.abs(plan.feature_error(x) - expected).max() <= 1e-4 * expected.max()
    assert_within_tolerance(scores, session(model.data).run(["score"], {"x": x})[0], model.calibration.median)


@VARIANT
@pytest.mark.parametrize("scores", ["crowded", "constant", "two", "wide", "negative"])
def test_rank_functions_of_odd_scores(variant, scores):
    """A stored row at 0 and one column: the member's score is 1 + x**2, so that every score can be asked for."""
    schema, x = fitted_case(("plain none",), rows=50)
    rng = np.random.default_rng(0)
    held_back = {
        "crowded": 5 + 1e-6 * rng.random(2000),
        "constant": np.full(100, 3.0),
        "two": np.repeat([1.5, 40.0], 50),
        "wide": 1 + rng.lognormal(0, 6, 2000),
        "negative": rng.normal(-50, 30, 2000),
    }[scores]
    rank = TailRank.fit(held_back)
    core = EnsembleCore((StoredRows(np.zeros((1, 1), np.float32), np.ones(1, np.float32)),), (rank,), "mean")
    wanted = np.concatenate([held_back, rank.knots, np.nextafter(rank.knots, np.float32(np.inf)), [1, 2, 1e3, 1e12]])
    x = np.sqrt(np.maximum(wanted - 1, 0)).astype(np.float32)[:, None]
    model = core_model_file(core, schema, x)
    got = native_plan(model, variant).score(x)
    # what the rank function makes of a member's score rounded to float32, as it makes of it in the graph
    rounded = (1 + prepare(schema, x)[:, 0].astype(np.float32) ** 2).astype(np.float32)
    step = np.abs(rank.surprise(rounded.astype(np.float64)) - rank.surprise(np.nextafter(rounded, np.float32(0))))
    error = np.abs(got - (1 + rank.surprise(rounded.astype(np.float64))))
    assert (error <= 2e-6 * (1 + np.abs(got)) + 2 * step).all()
    assert_within_tolerance(got, session(model.data).run(["score"], {"x": x})[0], model.calibration.median)


@VARIANT
def test_a_trained_ensemble_of_the_defaults(variant):
    schema, x = fitted_case(KINDS["mixed"], rows=1500)
    quick = {"isolation_forest": {"trees": 40}, "autoencoder": {"max_draws": 4000}}
    parameters = EnsembleParameters(member_parameters=quick)
    detector = Ensemble(parameters).fit(schema, x[:1000], x[1000:1200], device="cpu")
    model = core_model_file(detector.core, schema, x[1200:])
    plan = native_plan(model, variant)
    rows = np.concatenate([x, hard_rows(schema, x)])
    assert_within_tolerance(plan.score(rows), detector.reference_score(rows), model.calibration.median)
    for count in (1, 47, 48, 49, 500):
        np.testing.assert_array_equal(plan.score(x[:count]), plan.score(x)[:count])


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_members_without_a_finite_score_give_none(combination):
    model = small_model(combination)
    high = np.float32(1e37)
    changed = {"high": high, "low": -high, "limit_less_one": high - np.float32(1)}
    for constant in model.graph.initializer:  # so that what is squared overflows
        values = numpy_helper.to_array(constant)
        if constant.name in changed or constant.name == "scale":
            values = changed.get(constant.name, values * np.float32(1e-34))
            constant.CopyFrom(numpy_helper.from_array(values, constant.name))
    for variant in VARIANTS:
        scores = native_plan(ModelFile(model.SerializeToString()), variant).score(np.full((50, 4), 1e5, np.float32))
        assert not np.isfinite(scores).any()


LINE = np.zeros(2, np.float32)
KNOTS = np.arange(3, dtype=np.float32)


@pytest.mark.parametrize(
    ("ranks", "combination", "text"),
    [
        ([], "mean", "from 1 to 64 members"),
        ([(KNOTS, LINE, LINE, 0, 1, 1)] * 65, "mean", "from 1 to 64 members"),
        ([(KNOTS, LINE, LINE, 0, 1, 1)], "sum", "no combination 'sum'"),
        ([(KNOTS, LINE[:1], LINE, 0, 1, 1)], "mean", "one for each interval"),
        ([(KNOTS[:2], LINE, LINE, 0, 1, 1)], "mean", "one for each interval"),
        ([(KNOTS[:1], LINE[:0], LINE[:0], 0, 1, 1)], "mean", "one for each interval"),
        ([(-KNOTS, LINE, LINE, 0, 1, 1)], "mean", "ascend"),
        ([(KNOTS * np.nan, LINE, LINE, 0, 1, 1)], "mean", "ascend"),
        ([(KNOTS, LINE, LINE, 0, 0, 1)], "mean", "above zero"),
        ([(KNOTS, LINE, LINE, 0, 1, np.nan)], "mean", "above zero"),
    ],
)
def test_rank_functions_that_do_not_fit_are_refused(ranks, combination, text):
    for variant in VARIANTS:
        with pytest.raises(ValueError, match=text):
            tail_ranks(variant, ranks, combination)


@cache
def small_file(combination):
    schema, x = fitted_case(KINDS["missing"], rows=200)
    return core_onnx(random_ensemble(schema, x, combination), schema, x).SerializeToString()


def small_model(combination="median"):
    return onnx.load_from_string(small_file(combination))


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_a_graph_with_another_node_is_not_recognised(combination):
    for number in range(len(small_model(combination).graph.node)):
        model = small_model(combination)
        model.graph.node[number].op_type = "Tan"
        with pytest.raises(NotRecognisedError):
            native_plan(ModelFile(model.SerializeToString()), VARIANTS[0])


@pytest.mark.parametrize("change", [lambda a: np.append(a, a), lambda a: -np.ones_like(a)], ids=["longer", "negative"])
def test_a_graph_with_another_constant_is_refused_or_scores_as_onnxruntime(change):
    x = np.ones((60, 4), dtype=np.float32)
    for number, constant in enumerate(small_model().graph.initializer):
        if not constant.name.startswith(("member_", "middle", "base", "members")):
            continue
        model = small_model()
        changed = np.asarray(change(numpy_helper.to_array(constant))).astype(numpy_helper.to_array(constant).dtype)
        model.graph.initializer[number].CopyFrom(numpy_helper.from_array(changed, constant.name))
        try:
            scores = native_plan(ModelFile(model.SerializeToString()), VARIANTS[0]).score(x)
        except NotRecognisedError:
            continue
        np.testing.assert_allclose(scores, session(model).run(["score"], {"x": x})[0], rtol=1e-4)


def test_damaged_files_are_refused_or_score():
    data = small_file("median")
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            damaged[place] = rng.integers(0, 256)
        try:
            native_plan(ModelFile(bytes(damaged)), VARIANTS[0]).score(np.ones((50, 4), dtype=np.float32))
        except (ModelFileError, NotRecognisedError, ValueError):
            continue
