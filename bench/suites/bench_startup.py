"""Start-up: scoring a file of 1,000 rows as a whole process, beside what Python and the libraries need anyway."""

import sys
from pathlib import Path
from typing import Any

import pytest

from netsieve.bench.process import run_process
from netsieve.bench.workload import Workload, prepare_workload, score_command


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    """Return 1,000 flows and a trained model."""
    return prepare_workload(tmp_path_factory.mktemp("startup"), 1_000)


def test_score_small_file(benchmark: Any, workload: Workload, tmp_path: Path) -> None:
    """Run ``netsieve score``."""
    benchmark.group = "start-up"
    out = tmp_path / "scored.parquet"
    command = score_command(workload.model, workload.flows, out, keep="all", threads=1)
    benchmark.pedantic(lambda: run_process(command), rounds=5, warmup_rounds=1)
    assert out.stat().st_size > 0


@pytest.mark.parametrize("code", ["pass", "import polars, onnxruntime"])
def test_python(benchmark: Any, code: str) -> None:
    """Start Python, alone and with the two libraries that scoring cannot do without."""
    benchmark.group = "start-up"
    benchmark.pedantic(lambda: run_process([sys.executable, "-c", code]), rounds=5, warmup_rounds=1)
