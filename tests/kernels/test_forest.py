"""The forest's kernel, for every instruction set that this machine has, against its naive twin."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_trees import random_trees, sums_of

from netsieve.engine.detectors.tree_ensemble import TreeEnsemble
from netsieve.kernels import _native

VARIANTS = _native.scoring_variants()
EDGES = np.array([-3e38, -1.5, -1e-40, -0.0, 0.0, 1e-40, 0.25, 1.0, 7.0, 3e38, np.inf], dtype=np.float32)
"""Thresholds on which, and one float32 step beside which, rows lie."""


def forest(variant, trees, columns, score="sum", *, explains=False, view="unscaled"):
    return _native.forest(
        variant,
        view,
        columns,
        trees.root,
        trees.column,
        trees.threshold,
        trees.left,
        trees.right,
        trees.missing_left,
        trees.value,
        trees.target,
        trees.targets,
        score,
        explains,
    )


def plan(variant, trees, columns, score="sum", *, explains=False):
    """Return a plan that gives the kernel the rows as they are."""
    zero = np.zeros(columns, dtype=np.float32)
    every = np.arange(columns, dtype=np.int32)
    as_they_are = _native.preparation(
        variant, columns, "unscaled", every, zero != 0, zero, zero + 1, zero, every[:0], [], 1.0, 1.0
    )
    kernel = forest(variant, trees, columns, score, explains=explains)
    return _native.ScoringPlan(
        variant, prepared=None, unscaled=as_they_are, kernels=[kernel], explained=0 if explains else -1
    )


def rows_beside(rng, edges, rows, columns):
    """Return rows of values at edges, one float32 step beside them, and missing."""
    with np.errstate(over="ignore"):
        near = [np.nextafter(edges, np.float32(way)) for way in (-np.inf, np.inf)]
    return rng.choice(np.concatenate([edges, *near, [np.float32(np.nan)]]), (rows, columns)).astype(np.float32)


@pytest.mark.parametrize("variant", VARIANTS)
@given(
    seed=st.integers(0, 2**32 - 1),
    columns=st.integers(1, 9),
    leaves=st.lists(
        st.one_of(st.integers(1, 70), st.sampled_from([31, 32, 33, 64, 65, 96, 97])), min_size=1, max_size=6
    ),
    chain=st.sampled_from([0.0, 0.5, 1.0]),
    rows=st.integers(1, 60),
)
@settings(max_examples=60, deadline=None)
def test_sums_are_those_of_the_naive_twin(variant, seed, columns, leaves, chain, rows):
    rng = np.random.default_rng(seed)
    trees = random_trees(rng, columns=columns, leaves=leaves, thresholds=EDGES, chain=chain)
    x = rows_beside(rng, EDGES, rows, columns)
    np.testing.assert_array_equal(plan(variant, trees, columns).score(x), sums_of(trees, x)[:, 0])


@pytest.mark.parametrize("variant", VARIANTS)
def test_trees_of_very_many_leaves_are_walked_through(variant):
    rng = np.random.default_rng(0)
    trees = random_trees(rng, columns=5, leaves=[3000, 40, 2000], chain=0.1)
    x = rng.normal(size=(300, 5)).astype(np.float32)
    x[rng.random(x.shape) < 0.2] = np.nan
    x[:100, 2] = rng.choice(trees.threshold, 100)
    expected = sums_of(trees, x)[:, 0]
    assert len(np.unique(expected)) > 50
    np.testing.assert_array_equal(plan(variant, trees, 5).score(x), expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_tree_as_deep_as_it_has_leaves(variant):
    trees = random_trees(np.random.default_rng(0), columns=2, leaves=[100_000], chain=1.0)
    x = np.random.default_rng(1).normal(size=(9, 2)).astype(np.float32)
    np.testing.assert_array_equal(plan(variant, trees, 2).score(x), sums_of(trees, x)[:, 0])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("leaves", [[20, 50, 33, 90], [5000, 20]], ids=["tested", "walked"])
def test_a_row_has_its_score_wherever_it_stands(variant, leaves):
    rng = np.random.default_rng(2)
    trees = random_trees(rng, columns=7, leaves=leaves)
    x = rng.normal(size=(1000, 7)).astype(np.float32)
    scoring = plan(variant, trees, 7)
    expected = scoring.score(x)
    np.testing.assert_array_equal(expected, trees.sums(x)[:, 0])
    for rows in [*range(1, 200), 383, 384, 385, 999]:
        start = 1000 - rows
        np.testing.assert_array_equal(scoring.score(x[start:]), expected[start:])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("leaves", [[20, 50, 70, 1], [3000, 20]], ids=["tested", "walked"])
@pytest.mark.parametrize("rows", [1, 17, 250])
def test_the_largest_of_several_targets(variant, leaves, rows):
    rng = np.random.default_rng(3)
    trees = random_trees(rng, columns=4, leaves=leaves, values=3, targets=5)
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    expected = trees.sums(x).max(axis=1)
    np.testing.assert_array_equal(plan(variant, trees, 4, "largest").score(x), expected)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("leaves", [[20, 50, 70, 1], [3000, 20]], ids=["tested", "walked"])
@pytest.mark.parametrize("rows", [1, 17, 250])
def test_the_targets_explain_their_sum(variant, leaves, rows):
    rng = np.random.default_rng(4)
    trees = random_trees(rng, columns=6, leaves=leaves, targets=6)
    x = rng.normal(size=(rows, 6)).astype(np.float32)
    scoring = plan(variant, trees, 6, explains=True)
    np.testing.assert_array_equal(scoring.feature_error(x), trees.sums(x))
    np.testing.assert_array_equal(scoring.score(x), trees.sums(x).sum(axis=1))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_exponential_is_that_of_float64(variant):
    rng = np.random.default_rng(5)
    trees = random_trees(rng, columns=3, leaves=[60, 60])
    sums = np.concatenate([rng.uniform(-87, 88.7, 4000), rng.normal(0, 1, 1000), [0, -86.5, 88.5]]).astype(np.float32)
    trees = random_trees(rng, columns=1, leaves=[len(sums)], chain=1.0)
    leaf = np.flatnonzero(trees.column < 0)
    value = np.zeros_like(trees.value)
    value[leaf, 0] = sums
    trees = replace(trees, value=value)
    x = np.concatenate([trees.threshold, rng.normal(size=500)]).astype(np.float32)[:, None]
    expected = np.exp(trees.sums(x)[:, 0])
    np.testing.assert_allclose(plan(variant, trees, 1, "exponential").score(x), expected, rtol=3e-7)


def test_an_exponential_beyond_float32_is_infinite():
    trees = random_trees(np.random.default_rng(0), columns=1, leaves=[1])
    for value, expected in ((200.0, np.inf), (3e38, np.inf), (-200.0, 0.0), (-3e38, 0.0)):
        scoring = plan(VARIANTS[0], replace(trees, value=np.array([[value]], dtype=np.float32)), 1, "exponential")
        np.testing.assert_array_equal(scoring.score(np.zeros((1, 1), dtype=np.float32)), [expected])


def changed(trees, **arrays):
    return replace(
        trees, **{name: np.asarray(array, dtype=getattr(trees, name).dtype) for name, array in arrays.items()}
    )


def hostile_forests():
    trees = random_trees(np.random.default_rng(6), columns=3, leaves=[4, 4])
    inner = np.flatnonzero(trees.column >= 0)
    leaf = np.flatnonzero(trees.column < 0)

    def with_value(name, position, value):
        array = getattr(trees, name).copy()
        array[position] = value
        return replace(trees, **{name: array})

    return {
        "a circle": with_value("left", inner[1], 0),
        "a node after itself": with_value("right", inner[0], inner[0]),
        "a child of another tree": with_value("left", inner[0], trees.root[1] + 1),
        "a child before all": with_value("left", inner[0], -1),
        "a child behind all": with_value("right", inner[-1], 2**31 - 1),
        "two parents": with_value("left", inner[0], trees.right[inner[0]]),
        "a column that is not there": with_value("column", inner[0], 3),
        "a far column": with_value("column", inner[0], 2**31 - 1),
        "a threshold that is not a number": with_value("threshold", inner[0], np.nan),
        "a leaf that is not a number": with_value("value", leaf[0], np.nan),
        "an infinite leaf": with_value("value", leaf[0], np.inf),
        "a target that is not there": with_value("target", 0, 1),
        "a target before all": with_value("target", 0, -1),
        "a first tree that begins later": with_value("root", 0, 1),
        "trees in another order": changed(trees, root=trees.root[::-1]),
        "a tree behind all nodes": with_value("root", 1, 2**31 - 1),
        "a node that follows no other": with_value("column", inner[0], -1),
        "no tree": changed(trees, root=[], target=[]),
        "fewer thresholds": changed(trees, threshold=trees.threshold[:-1]),
        "fewer children": changed(trees, left=trees.left[:-1]),
        "fewer values": changed(trees, value=trees.value[:-1]),
        "no values": replace(trees, value=trees.value[:, :0]),
        "no targets": replace(trees, targets=0),
        "very many targets": replace(trees, targets=2**30),
    }


@pytest.mark.parametrize("case", hostile_forests().items(), ids=lambda case: case[0])
def test_arrays_that_are_no_trees_are_refused(case):
    for variant in VARIANTS:
        with pytest.raises(ValueError, match=r"^(a|an|the|only) "):
            forest(variant, case[1], 3)


def test_very_many_trees_of_one_leaf_are_refused():
    count = 2**20
    every, zero = np.arange(count, dtype=np.int32), np.zeros(count, dtype=np.int32)
    value = np.zeros((count, 1), dtype=np.float32)
    trees = TreeEnsemble(every, zero - 1, value[:, 0], every, every, zero != 0, value, zero, 1)
    with pytest.raises(ValueError, match="too many trees"):
        forest(VARIANTS[0], trees, 1)


def test_combinations_that_do_not_fit_are_refused():
    trees = random_trees(np.random.default_rng(7), columns=2, leaves=[3], values=2, targets=2)
    single = random_trees(np.random.default_rng(7), columns=2, leaves=[3])
    for arguments, message in (
        ((trees, 2, "sum"), "only one value"),
        ((single, 2, "mean"), "no score of trees 'mean'"),
        ((single, 0), "no column"),
        ((single, 2**20), "too many"),
    ):
        with pytest.raises(ValueError, match=message):
            forest(VARIANTS[0], *arguments)
    with pytest.raises(ValueError, match="do not sum up"):
        forest(VARIANTS[0], single, 2, "exponential", explains=True)
    with pytest.raises(ValueError, match="no view 'raw'"):
        forest(VARIANTS[0], single, 2, view="raw")
