"""In-memory scoring: ours and each peer, each checked against its family's float64 reference."""

from typing import Any

import pytest

from netsieve.bench.agreement import LARGEST_DIFFERENCE, score_agreement
from netsieve.bench.contenders import CONTENDERS, Contender
from netsieve.bench.scoring_case import Floats, ScoringCase


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.name)
def test_scoring(benchmark: Any, case: ScoringCase, contender: Contender[Floats]) -> None:
    """Score the case, or as much of it as the contender is given."""
    if contender.missing is not None:
        pytest.skip(f"{contender.missing} is not installed")
    score, rows = contender.start(case), contender.rows(case)
    benchmark.group = f"scoring, {contender.family}, {case.width} features"
    benchmark.extra_info["rows"] = rows
    scores = benchmark(score)
    assert scores.shape == (rows,)
    if contender.same_model:
        reference = case.model(contender.family).reference[:rows]
        agreement = score_agreement(scores[: len(reference)], reference)
        assert agreement["largest_difference"] < LARGEST_DIFFERENCE
