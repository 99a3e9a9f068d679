from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsieve.engine.errors import TrainingError
from netsieve.engine.training.splits import SplitShares, split_records


@given(
    rows=st.integers(20, 400),
    attack_share=st.floats(0, 0.5),
    labelled=st.booleans(),
    timed=st.booleans(),
    seed=st.integers(0, 5),
)
def test_parts_are_disjoint_and_complete(rows, attack_share, labelled, timed, seed) -> None:
    generator = np.random.default_rng(seed)
    normal = generator.random(rows) >= attack_share
    time = generator.integers(0, 10, rows).astype(float)
    if normal.sum() < 10:
        return
    splits = split_records(rows, normal=normal if labelled else None, time=time if timed else None, seed=seed)
    parts = (splits.train, splits.validation, splits.calibration, splits.test)
    together = np.concatenate(parts)
    assert len(together) == rows
    assert len(np.unique(together)) == rows
    assert splits.by_time == timed
    if labelled:
        assert normal[np.concatenate(parts[:3])].all()
    if timed:
        kept = [part[normal[part]] if labelled else part for part in parts]
        for earlier, later in pairwise(kept):
            if len(later):
                assert time[earlier].max() <= time[later].min()


def test_shares_are_of_the_normal_records() -> None:
    normal = np.arange(1000) < 500
    shares = SplitShares(train=0.36, validation=0.04, calibration=0.1)
    splits = split_records(1000, normal=normal, shares=shares)
    assert [len(p) for p in (splits.train, splits.validation, splits.calibration, splits.test)] == [180, 20, 50, 750]


def test_a_shuffle_mixes_and_repeats_with_its_seed() -> None:
    first, again, other = (split_records(1000, seed=seed).train for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert abs(first.mean() - 500) < 50


def test_unknown_and_equal_times_keep_the_order_of_the_records() -> None:
    time = np.array([5.0] * 10 + [np.nan] * 10)
    splits = split_records(20, time=time, shares=SplitShares(train=0.5, validation=0.25, calibration=0.25))
    assert splits.train.tolist() == list(range(10, 20))
    assert splits.validation.tolist() == [0, 1, 2, 3, 4]


def test_times_may_be_datetimes() -> None:
    time = np.datetime64("2026-01-01") - np.arange(20)
    assert split_records(20, time=time).train.min() == 8


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_too_few_records_are_refused(rows: int) -> None:
    with pytest.raises(TrainingError, match="too few"):
        split_records(rows)
    with pytest.raises(TrainingError, match="normal records"):
        split_records(100, normal=np.arange(100) < rows)


@pytest.mark.parametrize("shares", [(0.0, 0.1, 0.1), (0.9, 0.1, 0.1)])
def test_impossible_shares_are_refused(shares) -> None:
    with pytest.raises(TrainingError, match="shares"):
        SplitShares(train=shares[0], validation=shares[1], calibration=shares[2])
