"""What windows that the training data cannot fill do to the normal records that follow.

``python -m netsieve.bench.cold_start``

Captures of generated traffic of some minutes or hours: the normal records of the first half train, the whole second
half is tested, with the state of the hosts going on.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from netsieve.bench.traffic import generate_traffic
from netsieve.engine.evaluation.metrics import evaluate_scores
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.stage import NeighbourStage
from netsieve.engine.training.job import train_detector

CAPTURES: Final = {"10 minutes": (600, 15_000), "an hour": (3600, 20_000), "3 hours": (10_800, 24_000)}
"""Seconds and about how many flows."""
WAYS: Final[Mapping[str, Mapping[str, Any] | None]] = {
    "without": None,
    "60 s and an hour": {"windows": [60, 3600]},
    "windows by the training": {},
}
"""Sections ``[neighbours]``; None for no neighbour features."""
FALSE_POSITIVE_RATE: Final = 0.01
DRAWS: Final = 200_000
"""Records that a training draws: fewer than usual, since many are made."""
BEGIN: Final = timedelta(hours=10)
DAY: Final = 86_400
MEASURES: Final = ("false_positive_rate", "score_growth", "auroc")


def capture(seconds: int, rows: int, seed: int) -> pl.DataFrame:
    """Return the generated flows of so many seconds of a day's late morning, in order."""
    day = generate_traffic(round(rows * DAY / seconds), seed=seed)
    begin = day["Timestamp"].min() + BEGIN  # type: ignore[operator]
    return day.filter(pl.col("Timestamp").is_between(begin, begin + timedelta(seconds=seconds))).sort("Timestamp")


def measure_way(frame: pl.DataFrame, section: Mapping[str, Any] | None, seed: int) -> dict[str, Any]:
    """Return the measures of a model that the first half of a frame trains on the second.

    Returns
    -------
    dict
        ``false_positive_rate``, that of the second half at a threshold for 1 % of the calibration records;
        ``score_growth``, the median score of its normal records over that of the calibration; ``auroc``; ``windows``.
    """
    half = frame.height // 2
    result = train_detector(
        frame[:half],
        label="IsAnomaly",
        normal="0",
        ignore=["Attack"],
        schema_overrides=None if section is None else {"neighbours": section},
        threshold=f"fpr:{FALSE_POSITIVE_RATE}",
        parameters={"max_draws": DRAWS},
        seed=seed,
        device="cpu",
        progress=False,
    )
    declaration = result.schema.neighbours
    computed = frame if declaration is None else NeighbourStage(declaration).apply(frame)
    attack = (computed["IsAnomaly"] == 1).to_numpy()
    scores = result.detector.score(Encoder(result.schema).encode(computed))
    before, after = scores[result.splits.calibration], scores[half:]
    normal = after[~attack[half:]]
    threshold = result.thresholds[str(result.thresholds["default"])]
    return {
        "false_positive_rate": float(np.mean(normal > threshold)),
        "score_growth": float(np.median(normal) / np.median(before)),
        "auroc": float(evaluate_scores(after, attack[half:], float(threshold)).auroc or np.nan),
        "windows": [] if declaration is None else list(declaration.windows),
    }


def cold_start_table(runs: Mapping[str, Mapping[str, list[dict[str, Any]]]]) -> str:
    """Return the means over seeds as a Markdown table."""
    lines = [
        "| capture | neighbour features | windows, s | false positives at 1 % | median score after / before | AUROC |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, ways in runs.items():
        for way, found in ways.items():
            windows = ", ".join(f"{window:.0f}" for window in found[0]["windows"])
            rate, growth, auroc = (np.mean([run[measure] for run in found]) for measure in MEASURES)
            lines.append(f"| {name} | {way} | {windows} | {rate:.1%} | {growth:.2f} | {auroc:.3f} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Print a table with one row for each capture and way."""
    parser = argparse.ArgumentParser(prog="python -m netsieve.bench.cold_start")
    parser.add_argument("--captures", nargs="+", choices=list(CAPTURES), default=list(CAPTURES), metavar="CAPTURE")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], metavar="N")
    options = parser.parse_args(arguments)
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for name, seed in itertools.product(options.captures, options.seeds):
        frame = capture(*CAPTURES[name], seed)
        for way, section in WAYS.items():
            runs.setdefault(name, {}).setdefault(way, []).append(measure_way(frame, section, seed))
    print(cold_start_table(runs))


if __name__ == "__main__":
    main()
