"""What neighbour features add on generated traffic: recall of each attack at one false-positive budget, the ranking of
sources, and speed.

``python -m netsieve.bench.neighbours --rows 200000 --json build/neighbours.json``

Two days of one network: a detector is trained on the first, without and with the features, and finds attacks in the
second. The threshold is set so that a share of the second day's normal records lies above it, the same for both.
"""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.bench.machine import describe_machine
from netsieve.bench.measurement import timing_line, write_measurement
from netsieve.bench.neighbour_speed import JOB_ROWS, ROUNDS, SPEED_ROWS, job_costs, speed_table, stage_speed
from netsieve.bench.traffic import MONDAY, generate_traffic
from netsieve.bench.traffic_campaigns import ATTACKS
from netsieve.engine.evaluation.metrics import evaluate_scores
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.neighbours import Neighbours
from netsieve.engine.features.stage import NeighbourStage
from netsieve.engine.features.state import FeatureState
from netsieve.engine.scoring.entities import EntityRanking
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.engine.training.job import train_detector
from netsieve.engine.training.neighbours import add_neighbours

BUDGETS: Final = (0.01, 0.001)
FIRST: Final = 20
"""Sources at the head of the ranking that are looked at."""


def recall_by_attack(frame: pl.DataFrame, scores: NDArray[np.float32], budget: float) -> dict[str, float]:
    """Return the share of each attack's records that score above all but a share of the normal ones."""
    normal = (frame["IsAnomaly"] == 0).to_numpy()
    threshold = np.quantile(scores[normal], 1 - budget)
    attack = frame["Attack"].to_numpy()
    return {name: float((scores[attack == name] > threshold).mean()) for name in ATTACKS}


def rank_sources(frame: pl.DataFrame, scores: NDArray[np.float32], calibration: Calibration) -> dict[str, float]:
    """Return the average precision of attackers in the ranking of sources, and their share among the first 20."""
    ranking = EntityRanking(["SourceIP"], calibration)
    ranking.add(ranking.records(frame, scores, np.zeros(frame.height, dtype=bool)))
    attackers = frame.filter(pl.col("IsAnomaly") == 1)["SourceIP"].unique()
    found = ranking.frame()["SourceIP"].is_in(attackers.implode()).to_numpy()
    evaluation = evaluate_scores(-np.arange(len(found), dtype=np.float64), found, 0.0)
    return {"average_precision": float(evaluation.average_precision or 0), "first": float(found[:FIRST].mean())}


def compare(rows: int, columns: list[str] | None = None) -> dict[str, Any]:
    """Return the recall of each attack without and with neighbour features, by budget."""
    first = generate_traffic(rows, seed=1)
    second = generate_traffic(rows, seed=2, start=MONDAY + timedelta(days=1))
    section = None if columns is None else {"neighbours": {"columns": columns}}
    computed = add_neighbours(first, overrides=section)
    stage, state = NeighbourStage(computed.declaration), FeatureState(computed.declaration)
    stage.apply(first, state=state)
    # the state of the first day is carried over into the second
    days = {"without": (first, second), "with": (computed.frame, stage.apply(second, state=state))}
    found: dict[str, Any] = {"rows": rows, "columns": list(computed.declaration.columns)}
    for name, (train, test) in days.items():
        declaration: bool | Neighbours = computed.declaration if name == "with" else False
        result = train_detector(
            train, label="IsAnomaly", normal="0", ignore=["Attack"], neighbours=declaration, progress=False
        )
        scores = result.detector.score(Encoder(result.schema).encode(test))
        found[name] = {str(budget): recall_by_attack(test, scores, budget) for budget in BUDGETS}
        found[name]["sources"] = rank_sources(test, scores, result.calibration)
    return found


def recall_lines(found: dict[str, Any]) -> list[str]:
    """Return the comparison as lines of text."""
    lines = []
    for budget in map(str, BUDGETS):
        lines.append(f"recall at {float(budget):.1%} false positives: without, with {len(found['columns'])} columns")
        lines += [
            f"  {name:<17} {found['without'][budget][name]:6.1%}  {found['with'][budget][name]:6.1%}"
            for name in ATTACKS
        ]
    return lines


def main(arguments: list[str] | None = None) -> None:
    """Print the comparison and the speed, and write them as JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m netsieve.bench.neighbours")
    parser.add_argument("--rows", type=int, default=200_000, help="flows of each day (default: %(default)s)")
    parser.add_argument("--columns", nargs="+", help="computed columns to take (default: those of --neighbours)")
    parser.add_argument("--speed", action="store_true", help="measure the speed only")
    parser.add_argument("--speed-rows", type=int, default=SPEED_ROWS, help="flows in memory (default: %(default)s)")
    parser.add_argument("--job-rows", type=int, default=JOB_ROWS, help="flows of the jobs (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds that count (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=Path("build/bench"), help="where data and models are kept")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    options.cache.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"benchmark": "neighbour speed", "machine": describe_machine(), "rounds": options.rounds}
    result["speed"] = stage_speed(options.speed_rows, rounds=options.rounds)
    result["job"] = job_costs(options.cache, options.job_rows, rounds=options.rounds)
    print(f"{timing_line(result)}\n\n{speed_table(result)}")
    if not options.speed:
        result |= compare(options.rows, options.columns)
        print("\n".join(["", *recall_lines(result)]))
        for name in ("without", "with"):
            sources = result[name]["sources"]
            print(
                f"sources ranked {name}: average precision of attackers {sources['average_precision']:.2f}, "
                f"{sources['first']:.0%} of the first {FIRST}"
            )
    if options.json is not None:
        write_measurement(options.json, result)


if __name__ == "__main__":
    main()
