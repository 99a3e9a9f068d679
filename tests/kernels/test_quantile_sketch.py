import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import naive
from netsieve.kernels.quantile_sketch import (
    BUCKETS_PER_SIGN,
    RELATIVE_ERROR,
    bucket_values,
    empty_sketch,
    finite_float32,
    sketched_values,
    update_largest,
    update_sketch,
)

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
arrays = hnp.arrays(np.float32, st.integers(1, 60), elements=finite)


def sketch_of(values: np.ndarray) -> np.ndarray:
    counts = empty_sketch()
    update_sketch(values, counts)
    return counts


@given(finite)
@settings(deadline=None)
def test_a_bucket_holds_the_numbers_of_one_sign_exponent_and_nine_bits(value):
    counts = sketch_of(np.array([value], dtype=np.float32))
    (bucket,) = np.flatnonzero(counts)
    assert (bucket >= BUCKETS_PER_SIGN) == (not np.signbit(np.float32(value)))
    low, high = naive.sketch_bucket_bounds(value)
    middle = bucket_values(np.array([bucket]))[0]
    if abs(value) < 2.0**-135:
        assert middle == 0
    else:
        assert middle == (low + high) / 2


@given(arrays, st.floats(0, 1))
@settings(deadline=None, max_examples=60)
def test_values_are_within_the_stated_error(values, share):
    position = share * (len(values) - 1)
    expected = naive.order_statistic(values, position)
    neighbours = [naive.order_statistic(values, int(position)), naive.order_statistic(values, len(values) - 1)]
    neighbours[1] = naive.order_statistic(values, min(int(position) + 1, len(values) - 1))
    found = sketched_values(sketch_of(values), [position])[0]
    # between two values of different sign the error of each counts
    assert abs(found - expected) <= RELATIVE_ERROR * max(map(abs, neighbours)) * (1 + 1e-9) + 2.0**-136


@given(arrays, arrays, st.integers(1, 20))
@settings(deadline=None, max_examples=60)
def test_merged_parts_equal_the_whole(left, right, k):
    together = np.concatenate([left, right])
    assert np.array_equal(sketch_of(left) + sketch_of(right), sketch_of(together))
    heap, other = np.zeros(k, dtype=np.float32), np.zeros(k, dtype=np.float32)
    filled, other_filled = update_largest(left, heap, 0), update_largest(right, other, 0)
    filled = update_largest(other[:other_filled], heap, filled)
    assert np.sort(heap[:filled])[::-1].tolist() == naive.largest(together, k)


@pytest.mark.parametrize("order", ["ascending", "descending", "shuffled", "tied"])
def test_largest_whatever_the_order(order):
    values = np.arange(300, dtype=np.float32)
    if order == "descending":
        values = values[::-1]
    elif order == "shuffled":
        values = np.random.default_rng(0).permutation(values)
    elif order == "tied":
        values = values // 50
    heap = np.zeros(64, dtype=np.float32)
    filled = 0
    for start in range(0, 300, 37):
        filled = update_largest(values[start : start + 37], heap, filled)
    assert np.sort(heap[:filled])[::-1].tolist() == naive.largest(values, 64)


def test_extremes_zeros_and_strides():
    top = np.finfo(np.float32).max
    values = np.array([-top, top, 0.0, -0.0, 1e-45, -1e-45, 1.0, 1.0], dtype=np.float32)
    found = sketched_values(sketch_of(values), np.arange(8))
    assert np.allclose(found, np.sort(values).astype(np.float64), rtol=RELATIVE_ERROR, atol=1e-40)
    assert np.isfinite(found).all()
    assert np.array_equal(sketch_of(values[::2]), sketch_of(values[::2].copy()))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [0, 1023, 1024, 1100])
def test_a_value_that_is_not_finite_is_refused_and_changes_nothing(bad, position):
    values = np.ones(1101, dtype=np.float32)
    values[position] = bad
    counts, heap = empty_sketch(), np.zeros(3, dtype=np.float32)
    with pytest.raises(ValueError, match=f"at position {position} is not finite"):
        update_sketch(values, counts)
    with pytest.raises(ValueError, match="not finite"):
        update_largest(values, heap, 0)
    assert not counts.any()
    assert not heap.any()


def test_wrong_arrays_are_refused():
    with pytest.raises(ValueError, match="float64"):
        finite_float32(np.ones(3))
    with pytest.raises(ValueError, match=r"\[1, 1\]"):
        finite_float32(np.ones((1, 1), dtype=np.float32))
    with pytest.raises(ValueError, match="counts"):
        update_sketch(np.ones(1, dtype=np.float32), np.zeros(4, dtype=np.int64))
    with pytest.raises(ValueError, match="heap"):
        update_largest(np.ones(1, dtype=np.float32), np.zeros(4), 0)
    with pytest.raises(ValueError, match="filled"):
        update_largest(np.ones(1, dtype=np.float32), np.zeros(4, dtype=np.float32), 5)
    with pytest.raises(ValueError, match="empty"):
        sketched_values(empty_sketch(), [0])
    with pytest.raises(ValueError, match="outside of 0 to 0"):
        sketched_values(sketch_of(np.ones(1, dtype=np.float32)), [0.5])
