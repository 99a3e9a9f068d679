"""How long ``netsieve score`` takes on a file of 1,000 rows, and how much of that is Python and libraries.

``python -m netsieve.bench.startup --json benchmarks/startup.json``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from netsieve.bench.interleave import interleave, spread
from netsieve.bench.machine import describe_machine
from netsieve.bench.measurement import timing_line, write_measurement
from netsieve.bench.process import run_process
from netsieve.bench.workload import NETSIEVE, prepare_workload, score_command

ROWS: Final = 1_000
SCORE: Final = "netsieve score, 1,000 rows, native kernels"
SCORE_BY_ONNXRUNTIME: Final = "netsieve score, 1,000 rows, onnxruntime"


def measure_startup(*, rounds: int, cache: Path, folder: Path) -> dict[str, Any]:
    """Run each command ``rounds`` times, interleaved, and return the times, ready for JSON."""
    machine = describe_machine()
    workload = prepare_workload(cache, ROWS)
    score = score_command(workload.model, workload.flows, folder / "scored.parquet", keep="all", threads=1)
    commands = {
        "python alone": [sys.executable, "-c", "pass"],
        "python, importing polars and onnxruntime": [sys.executable, "-c", "import polars, onnxruntime"],
        "netsieve --version": [*NETSIEVE, "--version"],
        SCORE: [*score, "--backend", "native"],
        SCORE_BY_ONNXRUNTIME: [*score, "--backend", "onnxruntime"],
    }
    walls = interleave({name: _wall_of(command) for name, command in commands.items()}, rounds=rounds)
    return {"benchmark": "startup", "machine": machine, "rounds": rounds, "wall_seconds": walls}


def _wall_of(command: list[str]) -> Callable[[], float]:
    return lambda: run_process(command).wall_seconds


def startup_table(result: dict[str, Any]) -> str:
    """Return the result as a Markdown table."""
    lines = ["| process | wall s, median (least to most) |", "| --- | --- |"]
    for name, walls in result["wall_seconds"].items():
        lines.append("| {} | {:.2f} ({:.2f} to {:.2f}) |".format(name, *spread(walls)))
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m netsieve.bench.startup", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=Path("build/bench"), help="where data and model are kept")
    parser.add_argument("--json", type=Path, help="write everything measured here")
    options = parser.parse_args(arguments)
    options.cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=options.cache) as folder:
        result = measure_startup(rounds=options.rounds, cache=options.cache, folder=Path(folder))
    print(f"{timing_line(result)}\n\n{startup_table(result)}")
    if options.json:
        write_measurement(options.json, result)


if __name__ == "__main__":
    main()
