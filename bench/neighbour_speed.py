"""What neighbour features cost: the stage alone, in memory and on one thread, and whole scoring jobs."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

from netsieve.bench.interleave import interleave, ratios, spread
from netsieve.bench.process import run_process
from netsieve.bench.traffic import generate_traffic
from netsieve.bench.workload import NETSIEVE, SCORED_SEED, TRAINING_SEED, make_flows, score_command
from netsieve.engine.features.stage import NeighbourStage
from netsieve.engine.features.state import FeatureState
from netsieve.engine.training.neighbours import add_neighbours

SPEED_ROWS: Final = 500_000
SPEED_BATCH: Final = 50_000
JOB_ROWS: Final = 1_000_000
JOB_TRAINING_ROWS: Final = 50_000
ROUNDS: Final = 5
WITHOUT: Final = "without"
WITH: Final = "with"


def stage_speed(rows: int = SPEED_ROWS, *, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return seconds of the feature stage on one thread for the usual columns and for all, ready for JSON.

    ``seconds`` are of all of the stage, ``ordered_seconds`` of its part that takes the records in order: the interner
    and the stateful kernels. Each round starts without any state.
    """
    frame = generate_traffic(rows, seed=3)
    measured: dict[str, Any] = {"rows": rows, "columns": {}}
    for name, section in (("usual", None), ("all", {"neighbours": {"columns": "all"}})):
        declaration = add_neighbours(frame.head(10_000), overrides=section).declaration
        stage = NeighbourStage(declaration)
        taken = [_stage_seconds(stage, frame, FeatureState(declaration)) for _ in range(rounds + 1)][1:]
        measured["columns"][name] = {
            "count": len(declaration.columns),
            "seconds": [prepared + ordered for prepared, ordered in taken],
            "ordered_seconds": [ordered for _, ordered in taken],
        }
    return measured


def _stage_seconds(stage: NeighbourStage, frame: Any, state: FeatureState) -> tuple[float, float]:
    prepared_in = ordered_in = 0.0
    for start in range(0, frame.height, SPEED_BATCH):
        begun = time.perf_counter()
        seen = stage.prepare(frame[start : start + SPEED_BATCH])
        prepared_at = time.perf_counter()
        stage.update(seen, state)
        prepared_in += prepared_at - begun
        ordered_in += time.perf_counter() - prepared_at
    return prepared_in, ordered_in


def job_costs(folder: Path, rows: int = JOB_ROWS, *, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return the costs of scoring a CSV file to Parquet without and with the features, ready for JSON.

    Raises
    ------
    ProcessFailedError
        A process failed.
    """
    training = make_flows(folder / f"training-{JOB_TRAINING_ROWS}.csv", JOB_TRAINING_ROWS, seed=TRAINING_SEED)
    flows = make_flows(folder / f"flows-{rows}.csv", rows, seed=SCORED_SEED)
    models = {name: folder / f"{name}-neighbours.onnx" for name in (WITHOUT, WITH)}
    for name, model in models.items():
        options = ["--label", "IsAnomaly", "--normal", "0", "--ignore", "Attack", "--seed", "0", "--device", "cpu"]
        options += ["--neighbours"] if name == WITH else []
        run_process([*NETSIEVE, "train", str(training), "-o", str(model), *options])
    out = folder / "neighbours-scored.parquet"
    measured: dict[str, Any] = {"rows": rows, "threads": {}}
    for threads in (1, 2):
        cases = {
            name: partial(run_process, score_command(model, flows, out, keep="none", threads=threads))
            for name, model in models.items()
        }
        measured["threads"][str(threads)] = {
            name: [vars(cost) for cost in costs] for name, costs in interleave(cases, rounds=rounds, warm_up=1).items()
        }
    out.unlink()
    return measured


def speed_table(result: dict[str, Any]) -> str:
    """Return ``speed`` and ``job`` of a result as Markdown tables."""
    rows = result["speed"]["rows"]
    lines = [
        f"| columns computed, {rows:,} flows, one thread | M flows/s | interner and kernels alone, M flows/s |",
        "| --- | --- | --- |",
    ]
    for name, taken in result["speed"]["columns"].items():
        rates = [rows / median(taken[key]) / 1e6 for key in ("seconds", "ordered_seconds")]
        lines.append(f"| {taken['count']} ({name}) | {rates[0]:.2f} | {rates[1]:.2f} |")
    job = result.get("job")
    if not job:
        return "\n".join(lines)
    lines += [
        "",
        f"| threads | scoring {job['rows']:,} rows of CSV, scores only | wall s | CPU s | rows/s | peak MB "
        "| times as long |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for threads, cases in job["threads"].items():
        walls = {name: [cost["wall_seconds"] for cost in costs] for name, costs in cases.items()}
        for name, costs in cases.items():
            used, peak = median(c["cpu_seconds"] for c in costs), max(c["peak_rss_bytes"] for c in costs)
            wall = median(walls[name])
            middle, least, most = spread(ratios(walls[name], walls[WITHOUT]))
            longer = f"{middle:.2f} ({least:.2f} to {most:.2f})" if name == WITH else ""
            cells = f"{wall:.2f} | {used:.2f} | {job['rows'] / wall:,.0f} | {peak / 1e6:.0f} | {longer}"
            lines.append(f"| {threads} | {name} neighbour features | {cells} |")
    return "\n".join(lines)
