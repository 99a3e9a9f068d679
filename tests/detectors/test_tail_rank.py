import numpy as np
import pytest

from netsieve.engine.detectors.tail_rank import KNOTS, TailRank


def test_the_surprise_of_normal_scores_is_the_log_of_their_rank():
    scores = np.random.default_rng(0).gamma(2.0, size=20_000)
    fresh = np.random.default_rng(1).gamma(2.0, size=20_000)
    surprise = TailRank.fit(scores).surprise(fresh)
    # the share of normal records with a surprise of t or more is exp(-t)
    for asked, allowed in ((0.5, 0.03), (0.1, 0.1), (0.01, 0.5)):
        assert (surprise > -np.log(asked)).mean() == pytest.approx(asked, rel=allowed)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("shift", [0.0, -3.0])
def test_it_rises_with_the_score_whatever_the_scale(scale, shift):
    scores = (np.random.default_rng(0).lognormal(size=5000) + shift) * scale
    rank = TailRank.fit(scores)
    grid = np.linspace(scores.min(), scores.max() * 5, 1000)
    surprise = rank.surprise(grid)
    assert (np.diff(surprise) >= 0).all()
    assert np.isfinite(surprise).all()
    assert (np.diff(surprise[grid > np.quantile(scores, 0.9)]) > 0).all()


@pytest.mark.parametrize(
    "scores", [np.zeros(50), np.full(50, 7.0), np.r_[np.zeros(45), 1.0], [3.0], np.r_[np.zeros(26), np.full(24, 1e6)]]
)
def test_equal_scores_do_not_divide_by_zero(scores):
    rank = TailRank.fit(np.asarray(scores))
    assert len(rank.knots) == KNOTS + 1
    assert (np.diff(rank.knots) > 0).all()
    surprise = rank.surprise(np.array([-1.0, 0.0, 1.0, 7.0, 100.0]))
    assert np.isfinite(rank.slope).all()
    assert np.isfinite(surprise).all()
    assert (np.diff(surprise) >= 0).all()


def test_rounding_of_a_crowded_score_does_not_show():
    scores = 1 + 1e-7 * np.random.default_rng(0).random(1000)
    rank = TailRank.fit(scores)
    assert np.abs(rank.surprise(scores) - rank.surprise(scores.astype(np.float32).astype(float))).max() < 1e-5
