"""A workload for whole-process benchmarks whose model is quick to train."""

import pytest

from netsieve.bench.traffic import generate_traffic
from netsieve.bench.workload import Workload, prepare_workload
from netsieve.engine.training.job import train_detector

ROWS = 3_000


@pytest.fixture(scope="session")
def workload(tmp_path_factory) -> Workload:
    """Return 3,000 flows, a model and the peers' form of it; what is in the folder already is not made again."""
    folder = tmp_path_factory.mktemp("bench")
    train_detector(
        generate_traffic(6_000, seed=1),
        label="IsAnomaly",
        normal="0",
        parameters={"max_draws": 40_000},
        device="cpu",
        progress=False,
    ).export(folder / "model.onnx")
    return prepare_workload(folder, ROWS, training_rows=1_000)
