"""Latency of a single record: median by pytest-benchmark, the 99th percentile beside it."""

from typing import Any

import numpy as np
import pytest

from netsieve.bench.contenders import RECORD_CONTENDERS, Contender
from netsieve.bench.scoring import call_seconds
from netsieve.bench.scoring_case import ScoringCase


@pytest.mark.parametrize("contender", RECORD_CONTENDERS, ids=lambda contender: contender.name)
def test_record(benchmark: Any, case: ScoringCase, contender: Contender[float]) -> None:
    """Score one record, from a dict to a float."""
    if contender.missing is not None:
        pytest.skip(f"{contender.missing} is not installed")
    score = contender.start(case)
    benchmark.group = f"one record, {case.width} features"
    if benchmark.enabled:
        median, p99 = np.quantile(call_seconds(score), (0.5, 0.99))
        benchmark.extra_info.update(median_microseconds=1e6 * median, p99_microseconds=1e6 * p99)
    assert benchmark(score) == pytest.approx(case.model(contender.family).reference[0], rel=1e-3, abs=1e-3)
