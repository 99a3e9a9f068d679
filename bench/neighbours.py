"""What neighbour features add on generated traffic: recall of each attack at one false-positive budget, the ranking of
sources, and speed.

``python -m netsieve.bench.neighbours --rows 200000 --json build/neighbours.json``

Two days of one network: a detector is trained on the first, without and with the features, and finds attacks in the
second. The threshold is set so that a share of the second day's normal records lies above it, the same for both.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

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
ROUNDS: Final = 5
FIRST: Final = 20
"""Sources at the head of the ranking that are looked at."""
SPEED_ROWS: Final = 500_000
SPEED_BATCH: Final = 50_000


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


def stage_speed() -> dict[str, float]:
    """Return flows a second on one thread, the best of some runs: all of the stage, and its ordered part alone."""
    frame = generate_traffic(SPEED_ROWS, seed=3)
    declaration = add_neighbours(frame.head(10_000)).declaration
    stage = NeighbourStage(declaration)
    whole, ordered = [], []
    for _ in range(ROUNDS):
        state = FeatureState(declaration)
        prepared_in = updated_in = 0.0
        for start in range(0, SPEED_ROWS, SPEED_BATCH):
            begun = time.perf_counter()
            seen = stage.prepare(frame[start : start + SPEED_BATCH])
            prepared_at = time.perf_counter()
            stage.update(seen, state)
            prepared_in += prepared_at - begun
            updated_in += time.perf_counter() - prepared_at
        whole.append(prepared_in + updated_in)
        ordered.append(updated_in)
    return {"flows_per_second": SPEED_ROWS / min(whole), "ordered_flows_per_second": SPEED_ROWS / min(ordered)}


def main(arguments: list[str] | None = None) -> None:
    """Print the comparison and the speed, and write them as JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m netsieve.bench.neighbours")
    parser.add_argument("--rows", type=int, default=200_000, help="flows of each day (default: %(default)s)")
    parser.add_argument("--columns", nargs="+", help="computed columns to take (default: those of --neighbours)")
    parser.add_argument("--speed", action="store_true", help="measure the speed only")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    speed = stage_speed()
    print(f"{speed['flows_per_second']:,.0f} flows/s on one thread ({speed['ordered_flows_per_second']:,.0f} in order)")
    found = {} if options.speed else compare(options.rows, options.columns)
    for budget in map(str, BUDGETS) if found else []:
        print(f"recall at {float(budget):.1%} false positives: without, with {len(found['columns'])} columns")
        for name in ATTACKS:
            print(f"  {name:<17} {found['without'][budget][name]:6.1%}  {found['with'][budget][name]:6.1%}")
    for name in ("without", "with") if found else ():
        sources = found[name]["sources"]
        print(
            f"sources ranked {name}: average precision of attackers {sources['average_precision']:.2f}, "
            f"{sources['first']:.0%} of the first {FIRST}"
        )
    if options.json is not None:
        options.json.write_text(json.dumps({**found, "speed": speed}, indent=2) + "\n")


if __name__ == "__main__":
    main()
