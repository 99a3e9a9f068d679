"""Every contender of the in-memory benchmarks gives the reference's answers: one registry for tests and timing."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import netsieve.bench
from netsieve.bench.agreement import LARGEST_DIFFERENCE, score_agreement
from netsieve.bench.scoring import (
    CONTENDERS,
    RECORD_CONTENDERS,
    WIDTHS,
    ScoringCase,
    call_seconds,
    measure_scoring,
    scoring_table,
)

ROWS = 3_000


@pytest.fixture(scope="module", params=WIDTHS)
def case(request, tmp_path_factory) -> ScoringCase:
    return ScoringCase(request.param, ROWS, tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.name)
def test_contenders_agree(case, contender):
    scores = contender.prepare(case)()
    assert scores.shape == (ROWS,)
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) > ROWS // 2
    if contender.same_model:
        agreement = score_agreement(scores, case.reference)
        assert agreement["largest_difference"] < LARGEST_DIFFERENCE
        assert agreement["rank_correlation"] > 0.9999


@pytest.mark.parametrize("name", RECORD_CONTENDERS)
def test_record_contenders_agree(case, name):
    assert RECORD_CONTENDERS[name](case)() == pytest.approx(case.reference[0], rel=1e-4)


def test_registry_is_not_empty():
    assert len(CONTENDERS) >= 5
    assert sum(not contender.same_model for contender in CONTENDERS) == 1


def test_calls_are_timed_one_by_one():
    calls = []
    seconds = call_seconds(lambda: calls.append(1), calls=50)
    assert len(calls) == 55
    assert seconds.shape == (50,)
    assert (seconds >= 0).all()


def test_measurement_and_table(tmp_path):
    result = measure_scoring(widths=(10,), rows=500, rounds=1, threads=1, folder=tmp_path)
    table = scoring_table(result)
    for contender in CONTENDERS:
        assert f"| 10 | {contender.name} |" in table
    for name in RECORD_CONTENDERS:
        assert f"| 10 | {name} |" in table


def test_suites_are_collected_only_when_asked_for():
    suites = Path(netsieve.bench.__file__).resolve().parent / "suites"
    assert suites.is_dir()

    def collected(*arguments: str) -> str:
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=suites).stdout

    listed = collected(str(suites))
    for name in ("bench_scoring.py", "bench_records.py", "bench_encoding.py", "bench_startup.py"):
        assert name in listed
    one = collected(str(suites / "bench_encoding.py"))
    assert one.count("test_encoding_flows") == 1
