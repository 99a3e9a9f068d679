"""In-memory scoring: ours and each peer, each checked against the float64 reference."""

from typing import Any

import pytest

from netsieve.bench.agreement import LARGEST_DIFFERENCE, score_agreement
from netsieve.bench.scoring import CONTENDERS, Contender, ScoringCase


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.name)
def test_scoring(benchmark: Any, case: ScoringCase, contender: Contender) -> None:
    """Score the whole case."""
    score = contender.prepare(case)
    benchmark.group = f"scoring, {case.width} features"
    benchmark.extra_info["rows"] = case.rows
    scores = benchmark(score)
    assert scores.shape == (case.rows,)
    if contender.same_model:
        agreement = score_agreement(scores[: len(case.reference)], case.reference)
        assert agreement["largest_difference"] < LARGEST_DIFFERENCE
