import naive_neighbours as naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsieve.kernels import _native
from netsieve.kernels import neighbours as kernels

WINDOWS = np.array([3.0, 60.0])
few_runs = settings(max_examples=100, deadline=None, derandomize=True)


@st.composite
def streams(draw):
    """Return ids, elapsed and times of the interner, and amounts and fingerprints, of some records."""
    size = draw(st.integers(0, 60))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    entities = generator.integers(0, draw(st.integers(1, 5)), size)
    keys = np.stack([entities.astype(np.uint64) + 1, entities.astype(np.uint64)], axis=1)
    keys[generator.random(size) < 0.1] = 0
    steps = generator.choice([0.0, 0.3, 1.0, 7.5, -2.0, 40.0, -200.0], size, p=[0.2, 0.3, 0.2, 0.2, 0.05, 0.04, 0.01])
    times = 1e9 + np.cumsum(steps)
    ids, elapsed, seen = _native.Interner(4, 100.0).assign(keys, times)
    amounts = generator.choice([0.0, np.nan, 5.5, 1e6], (2, size))
    fingerprints = generator.integers(0, 2**63, (20, 2)).astype(np.uint64)[generator.integers(0, 20, size)] * np.uint64(
        2
    )
    fingerprints[generator.random(size) < 0.1] = 0
    return ids, elapsed, seen, amounts, generator.random(size) < 0.5, fingerprints


def run(stream, batches=1):
    """Return what the three kernels give, and their states."""
    ids, elapsed, times, (sent, received), failed, fingerprints = stream
    n = len(ids)
    rates = np.zeros((4, len(WINDOWS), kernels.RATES))
    places = np.zeros((4, kernels.BUCKETS), np.uint32)
    moments = np.zeros((4, kernels.REGULARITY))
    outs = []
    for part in np.array_split(np.arange(n), batches):
        out = (
            np.empty((len(WINDOWS), 4, len(part)), np.float32),
            np.empty((len(WINDOWS), len(part)), np.float32),
            np.empty((2, len(part)), np.float32),
        )
        some = ids[part], elapsed[part]
        kernels.update_rates(*some, failed[part], sent[part], received[part], WINDOWS, rates, out[0])
        kernels.update_distinct(*some, times[part], fingerprints[part], WINDOWS, places, out[1])
        kernels.update_regularity(*some, sent[part], moments, out[2])
        outs.append(out)
    return [np.concatenate(parts, axis=-1) for parts in zip(*outs, strict=True)], (rates, places, moments)


@given(streams())
@few_runs
def test_kernels_give_what_the_naive_twins_give(stream):
    ids, elapsed, times, (sent, received), failed, fingerprints = stream
    (rates, distinct, regularity), _ = run(stream)
    lists = ids.tolist(), elapsed.tolist()
    expected = naive.rates(*lists, failed.tolist(), sent.tolist(), received.tolist(), WINDOWS)
    np.testing.assert_allclose(rates, np.reshape(expected, rates.shape), rtol=1e-5, atol=1e-6)
    expected = naive.distinct(*lists, times.tolist(), fingerprints.tolist(), WINDOWS)
    np.testing.assert_allclose(distinct, np.reshape(expected, distinct.shape), rtol=1e-6)
    expected = naive.regularity(*lists, sent.tolist())
    np.testing.assert_allclose(regularity, np.reshape(expected, regularity.shape), rtol=1e-5, atol=1e-6)


@given(streams())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_batches_change_no_bit(stream):
    whole, state = run(stream)
    for batches in (2, 60):
        cut, cut_state = run(stream, batches)
        for left, right in zip([*whole, *state], [*cut, *cut_state], strict=True):
            assert left.tobytes() == right.tobytes()


def test_a_long_regularity_fades():
    values = np.concatenate([np.full(100, 1.0), np.full(200, 9.0)])
    ids, elapsed = np.zeros(300, np.int32), np.append(np.nan, np.ones(299))
    out = np.empty((2, 300), np.float32)
    kernels.update_regularity(ids, elapsed, values, np.zeros((1, 3)), out)
    np.testing.assert_allclose(
        out, naive.regularity(ids.tolist(), elapsed.tolist(), values.tolist()), rtol=1e-4, atol=1e-5
    )
    assert out[0, -1] == pytest.approx(9.0, abs=0.02)


@pytest.mark.parametrize(("distinct", "error"), [(1, 0.01), (10, 0.09), (30, 0.10), (64, 0.11), (200, 0.18)])
def test_distinct_counts_have_the_error_that_is_stated(distinct, error):
    generator = np.random.default_rng(distinct)
    estimates = []
    for _ in range(400):
        fingerprints = generator.integers(1, 2**63, (distinct, 2)).astype(np.uint64) * np.uint64(2)
        out = np.empty((1, distinct), np.float32)
        ids, times = np.zeros(distinct, np.int32), np.zeros(distinct)
        kernels.update_distinct(ids, times, times, fingerprints, WINDOWS[:1], np.zeros((1, 64), np.uint32), out)
        estimates.append(out[0, -1])
    deviation = np.sqrt(np.mean((np.array(estimates) / distinct - 1) ** 2))
    assert deviation < 1.2 * error
    assert max(estimates) <= kernels.MOST_DISTINCT + 1e-3


def test_times_far_from_now_are_no_danger():
    times = np.array([-1e300, -1.0, 0.0, 1e8, 4e9, 1e300])
    out = np.empty((1, 6), np.float32)
    fingerprints = np.ones((6, 2), np.uint64)
    state = np.zeros((1, 64), np.uint32)
    kernels.update_distinct(np.zeros(6, np.int32), np.zeros(6), times, fingerprints, np.array([1e300]), state, out)
    assert np.isfinite(out).all()


def test_bursts_have_no_gaps():
    np.testing.assert_equal(
        kernels.gaps(np.array([np.nan, 0.0, 0.99, 1.0, 300.0])), [np.nan, np.nan, np.nan, 1.0, 300.0]
    )
