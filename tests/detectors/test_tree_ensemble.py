import numpy as np
import pytest
from export_cases import KINDS, fitted_case, session
from hypothesis import given, settings
from hypothesis import strategies as st

from netsieve.engine.detectors.registry import detector_class
from netsieve.engine.detectors.step_trees import StepFunction, below, step_trees
from netsieve.engine.detectors.tree_ensemble import LEAF, TreeScore, exactly_summable, joined_trees, single_tree
from netsieve.engine.errors import ExportError
from netsieve.engine.features.preprocessing import fit_preprocessing
from netsieve.engine.features.schema import CategoricalFeature, FeatureSchema, NumericFeature
from netsieve.engine.features.unscaled import unscaled_columns
from netsieve.export.cores import core_model
from netsieve.export.parity import hard_rows

FLOATS = st.floats(allow_nan=False, width=32)


def naive_leaf(trees, tree, row):
    node = trees.root[tree]
    while trees.column[node] != LEAF:
        value = row[trees.column[node]]
        left = trees.missing_left[node] if np.isnan(value) else value <= trees.threshold[node]
        node = trees.left[node] if left else trees.right[node]
    return node


def random_tree(rng, width, depth, target):
    """Return a tree of random splits, some of whose branches end early, with NaN going either way."""
    column, threshold, left, right, missing, value = parts = tuple([] for _ in range(6))

    def grow(level):
        node = len(column)
        for part in parts:
            part.append(0)
        if level == depth or rng.random() < 0.2:
            column[node], value[node] = -1, rng.normal()
            return node
        column[node], threshold[node] = rng.integers(width), rng.choice([0, 0.5, -1, 50, 3, np.inf])
        missing[node] = rng.random() < 0.5
        left[node], right[node] = grow(level + 1), grow(level + 1)
        return node

    grow(0)
    arrays = (np.array(part) for part in (column, threshold, left, right, value))
    return single_tree(*arrays, missing_left=np.array(missing), target=target)


def random_trees(rng, width, count=20, depth=5):
    return joined_trees([random_tree(rng, width, depth, number % 2) for number in range(count)], 2)


def test_leaves_sums_and_graph_follow_each_row_through_the_trees():
    schema, x = fitted_case(KINDS["mixed"], rows=300)
    columns = unscaled_columns(schema, x)
    trees = exactly_summable(random_trees(np.random.default_rng(0), columns.shape[1]))
    leaves = np.stack([trees.leaves(columns, tree) for tree in range(20)], axis=1)
    expected = [[naive_leaf(trees, tree, row) for tree in range(20)] for row in columns]
    np.testing.assert_array_equal(leaves, expected)
    sums = np.zeros((len(x), 2))
    for tree in range(20):
        sums[:, tree % 2] += trees.value[leaves[:, tree], 0]
    np.testing.assert_array_equal(trees.sums(columns), sums)
    core = TreeScore(trees, "largest")
    # sums on the grid are exact: not a bit differs
    for rows in (x, x[:1]):
        exported = session(core_model(core, schema)).run(["score"], {"x": rows})[0]
        np.testing.assert_array_equal(exported, core.score(unscaled_columns(schema, rows)))


def test_leaf_values_move_by_less_than_adding_them_up_would_lose():
    rng = np.random.default_rng(1)
    trees = random_trees(rng, 4, count=100)
    rounded = exactly_summable(trees)
    largest = np.abs(trees.value).max() * 100
    assert np.abs(rounded.value - trees.value).max() <= largest * 2.0**-24
    assert np.abs(rounded.value - trees.value).max() > 0
    np.testing.assert_array_equal(exactly_summable(rounded).value, rounded.value)
    total = np.float32(0)
    for value in rng.permutation(rounded.value[rounded.column == LEAF, 0]):
        total += value
    assert total == rounded.value.astype(np.float64).sum()


@settings(deadline=None)
@given(st.lists(FLOATS, unique=True, max_size=40), st.lists(FLOATS, min_size=1, max_size=20), st.integers(0, 2**32))
def test_a_step_tree_finds_the_step(edges, values, seed):
    edges = np.unique(np.array(edges, dtype=np.float32))
    rng = np.random.default_rng(seed)
    weight = rng.random(len(edges) + 1) ** 20
    steps = np.arange(len(edges) + 1.0)[:, None]
    trees = step_trees([StepFunction(0, edges, steps, weight)], target_of_column=False, targets=1)
    at_edges = np.concatenate([np.array(values, dtype=np.float32), edges, below(edges)])
    step = np.round(trees.sums(at_edges[:, None])[:, 0])
    np.testing.assert_array_equal(step, np.searchsorted(edges, at_edges))
    assert trees.sums(np.full((1, 1), np.nan))[0, 0] == pytest.approx(len(edges))


def test_frequent_steps_are_near_the_root_and_none_is_far():
    edges = np.arange(255, dtype=np.float32)
    weight = np.zeros(256)
    weight[77] = 1.0
    function = StepFunction(0, edges, np.arange(256.0)[:, None], weight)
    trees = step_trees([function], target_of_column=False, targets=1)
    depth = np.zeros(len(trees.column), dtype=int)
    for node in np.flatnonzero(trees.column != LEAF):
        depth[[trees.left[node], trees.right[node]]] = depth[node] + 1
    frequent = trees.leaves(np.array([[77.0]]), 0)
    assert depth[frequent] <= 3
    assert depth.max() <= 12


def test_below_keeps_off_the_numbers_that_processors_may_take_for_zero():
    values = np.array([0.0, -0.0, 1.0, -1.0, np.finfo(np.float32).tiny], dtype=np.float32)
    smaller = below(values)
    assert (smaller < values).all()
    assert smaller[0] == smaller[1] == -np.finfo(np.float32).tiny
    assert smaller[2] == np.nextafter(np.float32(1), np.float32(0))


def test_trees_of_another_schema_are_refused():
    schema, _ = fitted_case(KINDS["plain"])
    trees = random_trees(np.random.default_rng(0), 9)
    with pytest.raises(ExportError, match="use the schema"):
        core_model(TreeScore(trees, "value"), schema)


@pytest.mark.parametrize("name", ["hbos", "ecod"])
def test_graph_and_reference_are_the_same_to_the_bit(name):
    schema, x = fitted_case(KINDS["mixed"], rows=2000)
    detector = detector_class(name)().fit(schema, x[:1000], x[1000:1100])
    run = session(core_model(detector.core, schema))
    rows = np.concatenate([x, hard_rows(schema, x)])
    for part in (rows, rows[::-1], rows[:1], rows[7:20]):
        np.testing.assert_array_equal(run.run(["score"], {"x": part})[0], detector.reference_score(part))


@pytest.mark.parametrize("name", ["hbos", "ecod"])
def test_columns_without_any_choice_make_trees_of_one_leaf(name):
    category = CategoricalFeature(name="empty", vocabulary=(), counts=(), missing_count=0, rows=100)
    x = np.full((100, 2), 1.0, dtype=np.float32)
    x[:, 1] = np.random.default_rng(0).normal(size=100)
    schema = fit_preprocessing(FeatureSchema(features=(category, NumericFeature(name="n"))), x)
    detector = detector_class(name)().fit(schema, x, x[:20])
    exported = session(core_model(detector.core, schema)).run(["score"], {"x": x})[0]
    np.testing.assert_allclose(exported, detector.reference_score(x), rtol=1e-6)
    assert len(np.unique(exported)) > 4
