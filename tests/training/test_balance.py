import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsieve.bench.traffic import generate_traffic
from netsieve.engine.training import job
from netsieve.engine.training.balance import balanced_rows, largest_count


def as_fingerprints(pairs: list[int]) -> np.ndarray:
    return np.stack([np.array(pairs, np.uint64), np.zeros(len(pairs), np.uint64)], axis=1)


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(0, 3))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_the_bound_is_the_smallest_that_leaves_half(pairs, seed):
    rows = balanced_rows(as_fingerprints(pairs), seed)
    assert rows.tolist() == sorted(set(rows.tolist()))
    kept = [pairs[row] for row in rows]
    assert kept.count(0) == pairs.count(0)  # no pair is known
    counts = {pair: pairs.count(pair) for pair in set(pairs) - {0}}
    least = sum(counts.values()) / 2
    bound = next(c for c in range(len(pairs) + 1) if sum(min(count, c) for count in counts.values()) >= least)
    assert all(kept.count(pair) == min(count, bound) for pair, count in counts.items())
    assert largest_count(np.array(list(counts.values()), np.int64), int(np.ceil(least))) == bound


def test_which_records_of_a_pair_stay_is_drawn():
    pairs = as_fingerprints([1] * 1000 + [2])
    rows = balanced_rows(pairs, 0)
    assert len(rows) == 501
    assert 430 < np.median(rows) < 570
    assert not np.array_equal(rows, balanced_rows(pairs, 1))


@pytest.mark.parametrize(("label", "left_out"), [(None, True), ("IsAnomaly", False)])
def test_busy_pairs_are_bounded_where_no_label_tells_normal_records(label, left_out):
    frame = generate_traffic(3000, seed=1, hosts=60).drop("Attack")
    options = {
        "neighbours": True,
        "parameters": {"max_draws": 256},
        "progress": False,
        "device": "cpu",
        "threshold": "mean_std:3",
    }
    if label is None:
        frame = frame.drop("IsAnomaly")
    else:
        options |= {"label": label, "normal": "0"}
    result = job.train_detector(frame, **options)
    rows = result.provenance["rows"]
    assert (rows["train_left_out"] > 0) == left_out
    if left_out:
        train = frame[result.splits.train].group_by("SourceIP", "DestinationIP").len()["len"]
        part = frame[: int(0.6 * frame.height)].group_by("SourceIP", "DestinationIP").len()["len"]
        assert train.max() < part.max()
        assert train.len() == part.len()
        assert len(result.splits.calibration) == int(0.2 * frame.height)
        whole = job.train_detector(frame, balance_pairs=False, **options)
        assert whole.provenance["rows"]["train_left_out"] == 0
