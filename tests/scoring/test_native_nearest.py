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
from export_cases import KINDS, fitted_case, session
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from netsieve.engine.detectors.stored_rows import StoredRows
from netsieve.engine.errors import ModelFileError
from netsieve.engine.features.preprocessing import prepare, prepared_columns
from netsieve.engine.scoring.model_file import ModelFile
from netsieve.engine.scoring.native import native_plan
from netsieve.engine.scoring.native_nearest import search_directions
from netsieve.engine.scoring.recognition import NotRecognisedError
from netsieve.export.parity import hard_rows
from netsieve.kernels._native import ScoringPlan, preparation, stored_rows

VARIANT = pytest.mark.parametrize("variant", VARIANTS)


def near_core(schema, x, *, rows=200, neighbours=1, aggregation="mean", seed=0):
    """Return a core that stores some of the rows."""
    rng = np.random.default_rng(seed)
    z = prepare(schema, x).astype(np.float32)
    stored = z[rng.permutation(len(z))[:rows]]
    return StoredRows(stored, rng.uniform(0.1, 90, z.shape[1]).astype(np.float32), neighbours, aggregation)


def naive_distances(rows, weight, z, neighbours, aggregation):
    """Return 1 and the squared weighted distances to the nearest rows, one pair at a time."""
    scores = []
    for record in z.astype(np.float64):
        squares = sorted(float((weight * (record - row) ** 2).sum()) for row in rows.astype(np.float64))[:neighbours]
        scores.append(1 + (squares[-1] if aggregation == "farthest" else sum(squares) / neighbours))
    return np.array(scores)


def plain_plan(variant, rows, weight, *, neighbours=1, aggregation="mean", directions=None, limit=1e6):
    """Return a plan that takes rows as they are."""
    width = rows.shape[1]
    directions = search_directions(rows, weight) if directions is None else directions
    column = np.arange(width, dtype=np.int32)
    kernel = stored_rows(variant, rows, weight, neighbours, aggregation, directions, column, width)
    zeros, ones, none = np.zeros(width, np.float32), np.ones(width, np.float32), np.zeros(0, np.int32)
    prepared = preparation(
        variant, width, "prepared", column, np.zeros(width, bool), zeros, ones, zeros, none, [], limit, 1e30
    )
    return ScoringPlan(variant, prepared=prepared, unscaled=None, kernels=[kernel], explained=0)


@VARIANT
@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize(
    ("neighbours", "aggregation"), [(1, "mean"), (5, "mean"), (5, "farthest")], ids=["nearest", "mean", "farthest"]
)
def test_scores_and_parts_are_those_of_the_reference(variant, kinds, neighbours, aggregation):
    schema, x = fitted_case(KINDS[kinds], rows=700)
    core = near_core(schema, x, neighbours=neighbours, aggregation=aggregation)
    model = core_model_file(core, schema, x)
    plan = native_plan(model, variant)
    x = np.concatenate([x, hard_rows(schema, x)])
    reference = reference_scores(core, schema, x)
    assert_within_tolerance(plan.score(x), reference, model.calibration.median)
    parts = plan.feature_error(x)
    np.testing.assert_allclose(1 + parts.sum(axis=1, dtype=np.float64), reference, rtol=1e-5)
    expected = reference_errors(core, schema, x)
    assert np.abs(parts - expected).max(axis=1) == pytest.approx(0, abs=1e-5 * reference.max())
    if neighbours == 1:  # of several at one distance another may be taken
        np.testing.assert_allclose(parts, expected, rtol=1e-4, atol=1e-5 * model.calibration.median)


@VARIANT
@pytest.mark.parametrize("kinds", ["mixed", "another order", "category", "scalings"])
def test_scores_are_those_of_onnxruntime(variant, kinds):
    schema, x = fitted_case(KINDS[kinds], rows=900)
    core = near_core(schema, x, rows=300)
    model = core_model_file(core, schema, x)
    expected = session(model.data).run(["score"], {"x": x})[0]
    assert_within_tolerance(native_plan(model, variant).score(x), expected, model.calibration.median)


@VARIANT
@pytest.mark.parametrize("neighbours", [1, 3])
def test_a_score_depends_neither_on_its_place_nor_on_other_rows(variant, neighbours):
    schema, x = fitted_case(KINDS["mixed"], rows=1000)
    plan = native_plan(core_model_file(near_core(schema, x, neighbours=neighbours), schema, x), variant)
    hard = hard_rows(schema, x)
    x[: 7 * len(hard) : 7] = hard
    scores = plan.score(x)
    for rows in [*range(1, 200), 383, 384, 385, 999, 1000]:
        np.testing.assert_array_equal(plan.score(x[:rows]), scores[:rows])
    for start in range(0, 150, 7):
        np.testing.assert_array_equal(plan.score(x[start : start + 50]), scores[start : start + 50])
    order = np.random.default_rng(0).permutation(len(x))
    np.testing.assert_array_equal(plan.score(x[order]), scores[order])


@VARIANT
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_no_direction_changes_a_score(variant, data):
    width = data.draw(st.integers(1, 40), label="width")
    stored = data.draw(st.integers(1, 60), label="stored")
    neighbours = data.draw(st.integers(1, min(stored, 64)), label="neighbours")
    aggregation = data.draw(st.sampled_from(["mean", "farthest"]), label="aggregation")
    scale = data.draw(st.sampled_from([1e-3, 1.0, 1e3]), label="scale")
    crowd = data.draw(st.sampled_from([0.0, 1e-4, 1.0]), label="crowd")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    corners = rng.choice([-9, 0, 9], size=(3, width))
    rows = (scale * (corners[rng.integers(0, 3, stored)] + crowd * rng.normal(size=(stored, width)))).astype(np.float32)
    weight = np.where(rng.random(width) < 0.2, 0, rng.uniform(0.01, 100, width)).astype(np.float32)
    z = (rows[rng.integers(0, stored, 100)] + scale * crowd * rng.normal(size=(100, width))).astype(np.float32)
    z[0] = -z[0]
    expected = naive_distances(rows, weight, z, neighbours, aggregation)
    options = {"neighbours": neighbours, "aggregation": aggregation}
    scores = plain_plan(variant, rows, weight, **options).score(z)
    assert_within_tolerance(scores, expected, 1.0)
    directions = np.linalg.qr(rng.normal(size=(width, rng.integers(1, width + 1))))[0]
    np.testing.assert_array_equal(plain_plan(variant, rows, weight, directions=directions, **options).score(z), scores)


@VARIANT
def test_the_nearest_of_many_stored_rows_that_lie_together_far_out_is_found(variant):
    rng = np.random.default_rng(1)
    corners = np.repeat(rng.choice([-9, 9], size=(20, 30)), 50, axis=0)
    rows = (corners + rng.normal(0, 0.003, corners.shape)).astype(np.float32)
    weight = np.full(30, 100, dtype=np.float32)
    z = (rows + rng.normal(0, 0.001, rows.shape)).astype(np.float32)
    expected = StoredRows(rows, weight).score(z)
    assert expected.max() < 1.1
    np.testing.assert_allclose(plain_plan(variant, rows, weight).score(z), expected, rtol=1e-5)
    np.testing.assert_array_equal(plain_plan(variant, rows, weight).score(rows), 1)


@VARIANT
@pytest.mark.parametrize("neighbours", [1, 4])
def test_equal_stored_rows(variant, neighbours):
    rng = np.random.default_rng(2)
    rows = np.repeat(rng.normal(size=(8, 5)), 40, axis=0).astype(np.float32)
    weight = np.ones(5, dtype=np.float32)
    z = np.concatenate([rows[::40], rng.normal(size=(60, 5))]).astype(np.float32)
    scores = plain_plan(variant, rows, weight, neighbours=neighbours).score(z)
    np.testing.assert_array_equal(scores[:8], 1)
    np.testing.assert_allclose(scores, naive_distances(rows, weight, z, neighbours, "mean"), rtol=1e-5)


@VARIANT
@pytest.mark.parametrize("stored", [1, 2, 7, 8, 9, 63])
def test_few_stored_rows(variant, stored):
    rng = np.random.default_rng(3)
    rows, weight = rng.normal(size=(stored, 6)).astype(np.float32), np.ones(6, dtype=np.float32)
    z = rng.normal(size=(101, 6)).astype(np.float32)
    for neighbours in {1, stored}:
        for aggregation in ("mean", "farthest"):
            plan = plain_plan(variant, rows, weight, neighbours=neighbours, aggregation=aggregation)
            expected = naive_distances(rows, weight, z, neighbours, aggregation)
            np.testing.assert_allclose(plan.score(z), expected, rtol=1e-5)


@VARIANT
@pytest.mark.parametrize("value", [3e38, -3e38, 1e20, 1e6])
def test_huge_numbers(variant, value):
    schema, x = fitted_case(KINDS["plain"], rows=400)
    core = near_core(schema, x)
    model = core_model_file(core, schema, x)
    x = x.copy()
    x[:100, 0] = value
    x[50:150, 1] = -value
    scores = native_plan(model, variant).score(x)
    assert np.isfinite(scores).all()
    assert_within_tolerance(scores, reference_scores(core, schema, x), model.calibration.median)


@VARIANT
def test_a_number_that_overflows_gives_no_finite_score(variant):
    # such a model is refused record by record, by either backend
    rows, weight = np.ones((20, 3), dtype=np.float32), np.full(3, 1e9, dtype=np.float32)
    plan = plain_plan(variant, rows, weight, limit=3e38)
    scores = plan.score(np.array([[1, 1, 1], [1e30, 0, 0], [0, -3e38, 3e38]], dtype=np.float32))
    assert scores[0] == 1
    assert not np.isfinite(scores[1:]).any()


def test_directions_are_orthonormal_and_few():
    rng = np.random.default_rng(4)
    latent = rng.normal(size=(500, 3)) @ rng.normal(size=(3, 60))
    rows = (latent + 0.01 * rng.normal(size=latent.shape)).astype(np.float32)
    directions = search_directions(rows, np.ones(60, dtype=np.float32))
    np.testing.assert_allclose(directions.T @ directions, np.eye(directions.shape[1]), atol=1e-12)
    assert directions.shape[1] <= 8
    along = (rows - rows.mean(axis=0)) @ directions
    assert np.square(along).sum() > 0.99 * np.square(rows - rows.mean(axis=0)).sum()
    assert search_directions(np.ones((1, 5), np.float32), np.zeros(5, np.float32)).shape == (5, 1)


ROWS, WEIGHT = np.zeros((4, 3), np.float32), np.ones(3, np.float32)
DIRECTIONS, FEATURE = np.eye(3)[:, :2].copy(), np.arange(3, dtype=np.int32)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((ROWS, WEIGHT[:2], 1, "mean", DIRECTIONS, FEATURE, 3), "not of the same columns"),
        ((ROWS[:0], WEIGHT, 1, "mean", DIRECTIONS, FEATURE, 3), "not of the same columns"),
        ((ROWS, WEIGHT, 5, "mean", DIRECTIONS, FEATURE, 3), "number of neighbours"),
        ((ROWS, WEIGHT, 0, "mean", DIRECTIONS, FEATURE, 3), "number of neighbours"),
        ((np.zeros((70, 3), np.float32), WEIGHT, 65, "mean", DIRECTIONS, FEATURE, 3), "number of neighbours"),
        ((ROWS, WEIGHT, 1, "median", DIRECTIONS, FEATURE, 3), "no aggregation 'median'"),
        ((ROWS, WEIGHT, 1, "mean", 2 * DIRECTIONS, FEATURE, 3), "not orthonormal"),
        ((ROWS, WEIGHT, 1, "mean", DIRECTIONS[:2], FEATURE, 3), "columns"),
        ((ROWS, WEIGHT, 1, "mean", DIRECTIONS[:, :0].copy(), FEATURE, 3), "directions"),
        ((ROWS, WEIGHT, 1, "mean", DIRECTIONS, FEATURE, 2), "of no feature"),
        ((ROWS, WEIGHT, 1, "mean", DIRECTIONS, -1 - FEATURE, 3), "of no feature"),
        ((ROWS, -WEIGHT, 1, "mean", DIRECTIONS, FEATURE, 3), "below zero"),
        ((ROWS, np.nan * WEIGHT, 1, "mean", DIRECTIONS, FEATURE, 3), "no number"),
        ((ROWS + np.float32(np.inf), WEIGHT, 1, "mean", DIRECTIONS, FEATURE, 3), "no number"),
        ((ROWS, WEIGHT, 1, "mean", np.nan * DIRECTIONS, FEATURE, 3), "not orthonormal"),
    ],
)
def test_a_kernel_of_parts_that_do_not_fit_is_refused(arguments, text):
    for variant in VARIANTS:
        with pytest.raises(ValueError, match=text):
            stored_rows(variant, *arguments)


@cache
def small_file():
    schema, x = fitted_case(KINDS["missing"], rows=200)
    return core_onnx(near_core(schema, x, rows=20, neighbours=2), schema, x).SerializeToString()


def small_model():
    return onnx.load_from_string(small_file())


@pytest.mark.parametrize(
    "name", ["stored_rows", "feature_weight", "distances.weight", "distances.bias", "neighbour_count", "base_score"]
)
def test_a_graph_with_another_constant_is_not_recognised(name):
    for change in (lambda a: a * 0 + 3, lambda a: np.append(a, a), lambda a: a[:0] if a.ndim else a + 1):
        model = small_model()
        constant = next(each for each in model.graph.initializer if each.name == name)
        changed = np.asarray(change(numpy_helper.to_array(constant)))
        constant.CopyFrom(numpy_helper.from_array(changed.astype(numpy_helper.to_array(constant).dtype), name))
        try:
            plan = native_plan(ModelFile(model.SerializeToString()), VARIANTS[0])
        except NotRecognisedError:
            continue
        # only where the graph is still of the kind: three neighbours are as good as two
        assert name == "neighbour_count"
        assert plan.has_feature_error


def test_a_graph_with_another_node_is_not_recognised():
    for number in range(len(small_model().graph.node)):
        model = small_model()
        model.graph.node[number].op_type = "Tan"
        with pytest.raises(NotRecognisedError):
            native_plan(ModelFile(model.SerializeToString()), VARIANTS[0])


def test_damaged_files_are_refused_or_score():
    data = small_file()
    rng = np.random.default_rng(0)
    x = np.ones((50, 4), dtype=np.float32)
    for _ in range(400):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            damaged[place] = rng.integers(0, 256)
        try:
            native_plan(ModelFile(bytes(damaged)), VARIANTS[0]).score(x)
        except (ModelFileError, NotRecognisedError, ValueError):
            continue


def test_more_neighbours_than_kernels_have_are_left_to_onnxruntime():
    schema, x = fitted_case(KINDS["plain"], rows=200)
    core = near_core(schema, x, rows=100, neighbours=65)
    with pytest.raises(NotRecognisedError, match="65"):
        native_plan(core_model_file(core, schema, x), VARIANTS[0])
    assert len(prepared_columns(schema)) == 2
