import struct

import naive_neighbours as naive
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsieve.kernels import _native

KEY = bytes(range(16))
short_runs = settings(max_examples=200, deadline=None, derandomize=True)


def naive_fingerprints(cells):
    return [(0, 0) if cell is None else naive.siphash_128(KEY, cell) for cell in cells]


def test_the_reference_vector_of_siphash():
    found = _native.fingerprints(pl.Series([""]), KEY)
    assert found.tobytes().hex() == "a3817f04ba25a8e66df67214c7550293"


@given(st.lists(st.none() | st.text(max_size=40)), st.sampled_from(["view", "large", "small"]), st.integers(0, 3))
@short_runs
def test_text_has_the_fingerprints_of_the_naive_twin(cells, layout, start):
    column = pl.Series(cells, dtype=pl.String)[start:]
    if layout != "view":
        import pyarrow as pa

        kind = pa.large_string() if layout == "large" else pa.string()
        column = pa.chunked_array([pa.array(cells, kind)[start:]])
    expected = naive_fingerprints([None if cell is None else cell.encode() for cell in cells[start:]])
    assert list(map(tuple, _native.fingerprints(column, KEY).tolist())) == expected


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
@short_runs
def test_integers_have_the_fingerprints_of_their_bytes(cells):
    expected = naive_fingerprints([None if cell is None else struct.pack("<q", cell) for cell in cells])
    found = _native.fingerprints(pl.Series(cells, dtype=pl.Int64), KEY)
    assert list(map(tuple, found.tolist())) == expected


def test_pairs_have_an_order_and_need_both():
    first = _native.fingerprints(pl.Series(["a", "b", None, "a"]), KEY)
    second = _native.fingerprints(pl.Series(["b", "a", "a", None]), KEY)
    pairs = _native.paired_fingerprints(first, second, KEY)
    assert tuple(pairs[0].tolist()) == naive.siphash_128(KEY, first[0].tobytes() + second[0].tobytes())
    assert pairs[0].tolist() != pairs[1].tolist()
    assert pairs[2:].tolist() == [[0, 0], [0, 0]]


def test_another_key_gives_other_fingerprints():
    column = pl.Series(["a"])
    assert (_native.fingerprints(column, KEY) != _native.fingerprints(column, bytes(16))).all()


def test_what_has_no_fingerprint_is_refused():
    with pytest.raises(ValueError, match="Arrow format 'g'"):
        _native.fingerprints(pl.Series([1.5]), KEY)
    with pytest.raises(ValueError, match="16 bytes"):
        _native.fingerprints(pl.Series(["a"]), b"short")
    with pytest.raises(AttributeError):
        _native.fingerprints(["a"], KEY)
    with pytest.raises(ValueError, match="differ in length"):
        _native.paired_fingerprints(np.zeros((1, 2), np.uint64), np.zeros((2, 2), np.uint64), KEY)


def keys_of(numbers):
    # neighbours in the table: the same home for all, so that searches and removals walk
    keys = np.zeros((len(numbers), 2), np.uint64)
    for row, number in enumerate(numbers):
        if number is not None:
            keys[row] = (7 + (number % 3) * 1024, (number + 1) << 32)
    return keys


rows = st.lists(st.tuples(st.none() | st.integers(0, 12), st.floats(-50, 50).map(lambda t: round(t, 1))), max_size=80)


@given(rows, st.integers(1, 8), st.sampled_from([1.0, 20.0, 1e9]), st.data())
@settings(max_examples=400, deadline=None, derandomize=True)
def test_numbers_are_those_of_the_naive_twin_however_cut(table, most, expiry, data):
    expected_interner = naive.Interner(most, expiry)
    interner = _native.Interner(most, expiry)
    keys, times = keys_of([number for number, _ in table]), np.array([time for _, time in table])
    found = []
    at = 0
    while at < len(table):
        size = data.draw(st.integers(1, 30))
        found += zip(
            *(part.tolist() for part in interner.assign(keys[at : at + size], times[at : at + size])), strict=True
        )
        at += size
        if data.draw(st.booleans()):
            state = interner.saved()
            interner = _native.Interner(most, expiry)
            interner.restore(state)
            assert interner.saved() == state
    expected = [expected_interner.assign(number, time) for number, time in table]
    np.testing.assert_equal(found, expected)
    assert interner.size == len(expected_interner.order) <= most
    for counter in ("evicted", "expired", "late"):
        assert getattr(interner, counter) == getattr(expected_interner, counter)


def test_a_reused_number_has_another_generation():
    interner = _native.Interner(1, 100.0)
    interner.assign(keys_of([0, 0]), np.array([0.0, 1.0]))
    assert interner.generations.tolist() == [0]
    ids, elapsed, _ = interner.assign(keys_of([1, 1]), np.array([2.0, 5.0]))
    assert ids.tolist() == [0, 0]
    np.testing.assert_equal(elapsed, [np.nan, 3.0])
    assert interner.generations.tolist() == [1]


def test_many_entities_stay_within_the_bound_and_keep_their_numbers():
    generator = np.random.default_rng(1)
    keys = generator.integers(1, 2**63, (20_000, 2)).astype(np.uint64)
    interner = _native.Interner(5000, 1e9)
    first, *_ = interner.assign(keys, np.zeros(20_000))
    assert interner.size == 5000
    assert interner.evicted == 15_000
    again, elapsed, _ = interner.assign(keys[-5000:], np.ones(5000))
    assert again.tolist() == first[-5000:].tolist()
    assert (elapsed == 1).all()
    assert len(interner.saved()) < 5000 * 40


def test_wrong_arguments_are_refused_and_change_nothing():
    for most, expiry in ((0, 1.0), (2**31, 1.0), (1, 0.0), (1, float("nan"))):
        with pytest.raises(ValueError, match="must be"):
            _native.Interner(most, expiry)
    interner = _native.Interner(4, 10.0)
    with pytest.raises(ValueError, match="finite"):
        interner.assign(keys_of([0, 1]), np.array([0.0, np.nan]))
    with pytest.raises(ValueError, match="length"):
        interner.assign(keys_of([0, 1]), np.array([0.0]))
    assert interner.size == 0


def test_bytes_that_are_no_state_are_refused():
    interner = _native.Interner(8, 10.0)
    interner.assign(keys_of(range(5)), np.arange(5.0))
    state = interner.saved()
    with pytest.raises(ValueError, match="no state"):
        _native.Interner(7, 10.0).restore(state)
    fresh = _native.Interner(8, 10.0)
    for wrong in (b"", state[:-1], state + b"x", b"x" + state[1:]):
        with pytest.raises(ValueError, match="no state"):
            fresh.restore(wrong)
    # every byte of an entity's key, use, and time, set to others
    generator = np.random.default_rng(0)
    for _ in range(2000):
        damaged = bytearray(state)
        damaged[generator.integers(len(state))] = generator.integers(256)
        try:
            fresh.restore(bytes(damaged))
        except ValueError:
            assert fresh.size == 0
        else:
            ids, *_ = fresh.assign(keys_of(range(12)), np.full(12, 5.0))
            assert set(ids.tolist()) <= set(range(8))
