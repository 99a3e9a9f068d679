"""Latency of a single record: median by pytest-benchmark, the 99th percentile beside it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from netsieve.bench.scoring import RECORD_CONTENDERS, ScoringCase, call_seconds


@pytest.mark.parametrize("prepare", RECORD_CONTENDERS.values(), ids=RECORD_CONTENDERS.keys())
def test_record(benchmark: Any, case: ScoringCase, prepare: Callable[[ScoringCase], Callable[[], float]]) -> None:
    """Score one record, from a dict to a float."""
    score = prepare(case)
    benchmark.group = f"one record, {case.width} features"
    if benchmark.enabled:
        median, p99 = np.quantile(call_seconds(score), (0.5, 0.99))
        benchmark.extra_info.update(median_microseconds=1e6 * median, p99_microseconds=1e6 * p99)
    assert benchmark(score) == pytest.approx(case.reference[0], rel=1e-3, abs=1e-3)
