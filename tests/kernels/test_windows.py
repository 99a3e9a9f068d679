import naive_windows as naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsieve.kernels import _native
from netsieve.kernels import windows as kernels

ENTITIES = 4


@st.composite
def streams(draw):
    """Return ids and elapsed of the interner, and rows, of some records."""
    size = draw(st.integers(0, 80))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    entities = generator.integers(0, draw(st.integers(1, 6)), size)
    keys = np.stack([entities.astype(np.uint64) + 1, entities.astype(np.uint64)], axis=1)
    keys[generator.random(size) < 0.1] = 0
    steps = generator.choice([0.0, 1.0, -2.0, 40.0, 200.0], size, p=[0.3, 0.45, 0.1, 0.1, 0.05])
    ids, elapsed, _ = _native.Interner(ENTITIES, 100.0).assign(keys, 1e9 + np.cumsum(steps))
    rows = generator.normal(size=(size, draw(st.integers(1, 3)))).astype(np.float32)
    rows[generator.random(rows.shape) < 0.1] = np.nan
    return ids, elapsed, rows


def run(stream, length, cuts=()):
    """Return the windows of a stream that is cut into blocks, and what is kept at the end."""
    ids, elapsed, x = stream
    counts, latest = np.zeros(ENTITIES, np.int64), np.zeros(ENTITIES, np.int64)
    ring = np.zeros((ENTITIES, length - 1, x.shape[1]), np.float32)
    out = []
    for part in np.split(np.arange(len(x)), cuts):
        links = np.empty(len(part), np.int64)
        m = kernels.link_records(ids[part], elapsed[part], length, counts, latest, links)
        assert m <= len(part) * (length - 1)
        carried, carried_links = np.empty((m, x.shape[1]), np.float32), np.empty(m, np.int64)
        kernels.keep_rows(ids[part], elapsed[part], x[part], links, counts, latest, ring, carried, carried_links)
        assert not latest.any()
        windows = np.full((len(part), length, x.shape[1]), 7.0, np.float32)
        # the windows are made later, in any order
        order = np.random.default_rng(0).permutation(len(part))
        for rows in np.array_split(order, 3):
            some = np.empty((len(rows), length, x.shape[1]), np.float32)
            kernels.gather_windows(x[part], links, carried, carried_links, rows, some)
            windows[rows] = some
        out.append(windows)
    return np.concatenate(out), (counts, ring)


@given(streams(), st.integers(2, 12))
@settings(max_examples=150, deadline=None)
def test_windows_are_those_of_the_naive_twin(stream, length):
    ids, elapsed, rows = stream
    found, _ = run(stream, length)
    expected = naive.windows(ids.tolist(), elapsed.tolist(), rows.tolist(), length)
    np.testing.assert_array_equal(found, np.reshape(expected, found.shape))


@given(streams(), st.integers(2, 6), st.lists(st.integers(0, 80), max_size=10))
@settings(max_examples=100, deadline=None)
def test_cuts_change_no_bit(stream, length, cuts):
    size = len(stream[0])
    whole, kept = run(stream, length)
    for places in (sorted(min(cut, size) for cut in cuts), list(range(1, size))):
        cut, cut_kept = run(stream, length, places)
        assert whole.tobytes() == cut.tobytes()
        for left, right in zip(kept, cut_kept, strict=True):
            assert left.tobytes() == right.tobytes()


def test_a_window_longer_than_all_that_was_is_padded_with_nan():
    stream = np.zeros(3, np.int32), np.array([np.nan, 1.0, 1.0]), np.arange(6, dtype=np.float32).reshape(3, 2)
    found, _ = run(stream, 5)
    assert np.isnan(found[:, :2]).all()
    np.testing.assert_array_equal(found[2, 2:], stream[2])
    assert np.isnan(found[0, :4]).all()
    assert found[0, 4] == pytest.approx([0, 1])


def test_warmup_runs_each_kernel():
    kernels.warmup()
    for kernel in (kernels.link_records, kernels.keep_rows, kernels.gather_windows):
        assert kernel.signatures
