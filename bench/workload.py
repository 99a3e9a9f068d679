"""The data and the model that the whole-process benchmarks share, made once and kept in a folder."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from netsieve.bench.process import run_process

TRAINING_ROWS: Final = 100_000
TRAINING_SEED: Final = 1
SCORED_SEED: Final = 2
NETSIEVE: Final = [sys.executable, "-c", "from netsieve.engine.cli.main import run; run()"]
"""The ``netsieve`` command of this very interpreter."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Files of a benchmark: flows to score, the model, and the folder that the peers read it from."""

    flows: Path
    model: Path
    peer: Path


def prepare_workload(folder: Path, rows: int, *, suffix: str = ".csv", training_rows: int = TRAINING_ROWS) -> Workload:
    """Make the files that ``folder`` lacks: a day of ``rows`` flows, and a model trained on another day.

    Raises
    ------
    ProcessFailedError
        Generating, training or the conversion for the peers failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    flows = make_flows(folder / f"flows-{rows}{suffix}", rows, seed=SCORED_SEED)
    training = make_flows(folder / "training.csv", training_rows, seed=TRAINING_SEED)
    model, peer = folder / "model.onnx", folder / "peer"
    if not model.exists():
        train = [str(training), "-o", str(model), "--label", "IsAnomaly", "--normal", "0", "--ignore", "Attack"]
        run_process([*NETSIEVE, "train", *train, "--seed", "0", "--device", "cpu"])
    if not (peer / "model.onnx").exists():
        run_process([sys.executable, "-m", "netsieve.bench.peer_model", str(model), str(peer)])
    return Workload(flows, model, peer)


def make_flows(path: Path, rows: int, *, seed: int) -> Path:
    """Generate ``rows`` flows of one day into ``path`` unless it is there, and return it."""
    if not path.exists():
        generate = [sys.executable, "-m", "netsieve.bench.traffic", str(path), "--rows", str(rows), "--seed", str(seed)]
        run_process(generate)
    return path


def score_command(model: Path, flows: Path, out: Path, *, keep: str, threads: int) -> list[str]:
    """Return the command line that scores ``flows`` into ``out``."""
    return [*NETSIEVE, "score", str(model), str(flows), "-o", str(out), "--keep", keep, "--threads", str(threads)]
