"""What neighbour features add on real traffic: the same model trained without and with them.

Records are read by netsieve's sources, take the features of their record type's ready schema, and are scored in order
by the exported model file, the state of the hosts going along. Half of the normal records, the last where there is
time, and all attacks are tested on.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.bench.neighbour_sets import (
    ATTACK,
    BEACON_COLUMNS,
    BEACON_DAYS,
    BEACON_PAIR,
    KIND,
    LOG_SETS,
    NOT_FEATURES,
    LogSet,
    beacon_files,
    read_beacon_day,
)
from netsieve.bench.quality import ATTACK_SHARE, MODEL_POLICY, SHARES
from netsieve.engine.evaluation.metrics import evaluate_scores
from netsieve.engine.features.clock import end_times
from netsieve.engine.scoring.files import score_files
from netsieve.engine.scoring.scorer import Scorer
from netsieve.engine.training.job import TrainingResult, train_detector
from netsieve.engine.training.neighbours import LARGEST_DISORDER, add_neighbours, disorder

VARIANTS: Final = ("without", "with")
RATES: Final = {"recall_at_1e_2": 0.01, "recall_at_1e_3": 0.001}
FEWEST_FALSE_POSITIVES: Final = 1
"""A recall at a rate is told where so many of the normal test records may lie above the threshold."""
FEWEST_OF_A_KIND: Final = 10
BEACON: Final = "zeek_beacon_3days"
BEACON_WAYS: Final[dict[str, dict[str, bool]]] = {
    "benign": {"normal_only": True},
    "unlabelled": {"normal_only": False},
    "unlabelled, all records of busy pairs": {"normal_only": False, "balance_pairs": False},
}
"""What trains: the first day without the beacon's flows, or all of it."""
NEIGHBOUR_SETS: Final = (*LOG_SETS, BEACON)
QUICK_DRAWS: Final = 50_000
SECONDS_AN_HOUR: Final = 3600.0
FREQUENT: Final = 20
"""Flows of a day from which on the regularity of a pair is looked at."""


def measure_neighbours(name: str, root: Path, seed: int, *, quick: bool = False) -> dict[str, Any]:
    """Return the measures of one set without and with neighbour features, as plain JSON values.

    Parameters
    ----------
    name
        One of :data:`NEIGHBOUR_SETS`.
    root
        The data folder.
    seed
        Of the training, and of splits at random.
    quick
        Whether to train for a moment only.
    """
    parameters = {"max_draws": QUICK_DRAWS} if quick else {}
    if name == BEACON:
        return _measure_beacon(root, seed, parameters)
    log_set = LOG_SETS[name](root)
    found: dict[str, Any] = {"files": list(log_set.files), "records": log_set.frame.height}
    for variant in VARIANTS:
        started = time.perf_counter()
        result = _trained(log_set, variant, seed, parameters, shares=SHARES)
        scores = _scores_in_order(result, log_set.frame)
        rows = result.splits.test
        test = log_set.frame[rows]
        found[variant] = {
            **measures(scores[rows], (test[ATTACK] == 1).to_numpy(), test[KIND]),
            "seconds": time.perf_counter() - started,
        }
    rows_of = result.provenance["rows"]
    normal_test = rows[(test[ATTACK] == 0).to_numpy()]
    attacks = int(test[ATTACK].sum())
    return {
        **found,
        "computed": [name for name in result.schema.feature_names if name in _computed(result)],
        "windows": _windows(result),
        "train": rows_of["train"] + rows_of["validation"],
        "train_hours": _hours(result, log_set.frame[result.splits.train]),
        "test_hours": _hours(result, log_set.frame[normal_test]),
        "calibration": rows_of["calibration"],
        "test_normal": test.height - attacks,
        "test_attacks": attacks,
    }


def measures(scores: NDArray[np.float32], attack: NDArray[np.bool_], kind: pl.Series) -> dict[str, Any]:
    """Return AUROC, average precision and recalls, and recall at 1e-2 and AUROC of each kind of attack.

    Parameters
    ----------
    scores, attack
        float32 and bool ``[n]``.
    kind
        Of each attack.
    """
    evaluation = evaluate_scores(scores, attack, float(np.median(scores)), attack_share=ATTACK_SHARE)
    normal = int(np.count_nonzero(~attack))
    kinds = {}
    for value in sorted(set(kind.drop_nulls())):
        own = (kind == value).fill_null(value=False).to_numpy()
        if np.count_nonzero(own) >= FEWEST_OF_A_KIND:
            rows = own | ~attack
            alone = evaluate_scores(scores[rows], attack[rows], float(np.median(scores)))
            recall = alone.recall_at_fpr[RATES["recall_at_1e_2"]]
            kinds[value] = {"records": int(own.sum()), "auroc": alone.auroc, "recall_at_1e_2": recall}
    return {
        "auroc": evaluation.auroc,
        "average_precision": evaluation.average_precision,
        "average_precision_5": evaluation.average_precision_reweighted,
        **{
            name: evaluation.recall_at_fpr[rate] if rate * normal >= FEWEST_FALSE_POSITIVES else None
            for name, rate in RATES.items()
        },
        "kinds": kinds,
    }


def _trained(
    log_set: LogSet, variant: str, seed: int, parameters: dict[str, Any], *, normal_only: bool = True, **settings: Any
) -> TrainingResult:
    labelled = log_set.normal_only and normal_only
    frame = log_set.frame if labelled else log_set.frame.drop(ATTACK)
    return train_detector(
        frame,
        label=ATTACK if labelled else None,
        normal="0" if labelled else None,
        ignore=[name for name in NOT_FEATURES if name in frame.columns],
        schema_overrides=log_set.overrides,
        neighbours=variant == "with",
        threshold=MODEL_POLICY,
        time_column=log_set.split,
        parameters=parameters,
        seed=seed,
        device="cpu",
        progress=False,
        **settings,
    )


def _computed(result: TrainingResult) -> tuple[str, ...]:
    declaration = result.schema.neighbours
    return () if declaration is None else declaration.columns


def _windows(result: TrainingResult) -> list[float]:
    """Return the windows of the computed columns, seconds."""
    windows = {name.rsplit("_", 1)[1] for name in _computed(result) if name[-2].isdigit()}
    return sorted(float(window.removesuffix("s")) for window in windows)


def _hours(result: TrainingResult, frame: pl.DataFrame) -> float:
    """Return the time from the first to the last of some records, by the clock of the neighbour features."""
    declaration = result.schema.neighbours
    assert declaration is not None
    times = end_times(frame, declaration, None)
    return float(np.nanmax(times) - np.nanmin(times)) / SECONDS_AN_HOUR


def _scores_in_order(result: TrainingResult, frame: pl.DataFrame) -> NDArray[np.float32]:
    """Return the scores that the exported model file gives all records, taken in order, float32 ``[n]``."""
    with tempfile.TemporaryDirectory() as folder:
        scorer = Scorer(result.export(Path(folder) / "model.onnx"))
    declaration = scorer.schema.neighbours
    if declaration is None:
        return _scores(scorer.score(frame))
    order = np.arange(frame.height)
    times = end_times(frame, declaration, None)
    if disorder(times, declaration.windows[-1]) > LARGEST_DISORDER:
        # training took them in the order of time and asked for files that are sorted
        order = np.argsort(times, kind="stable")
    scores = np.empty(frame.height, dtype=np.float32)
    scores[order] = _scores(scorer.score(frame[order], state=scorer.new_state()))
    return scores


def _scores(scored: pl.DataFrame) -> NDArray[np.float32]:
    return np.asarray(scored["anomaly_score"].to_numpy(), dtype=np.float32)


def _measure_beacon(root: Path, seed: int, parameters: dict[str, Any]) -> dict[str, Any]:
    """Train on the first day and rank the pairs of both, the second with the first's state carried over."""
    days = [read_beacon_day(root, day) for day in BEACON_DAYS]
    found: dict[str, Any] = {"files": [f"{BEACON}/{day}/conn.*" for day in BEACON_DAYS]}
    counts = days[1].frame.group_by(BEACON_COLUMNS).len().sort("len", descending=True)
    found |= {
        "train": days[0].frame.height,
        "test": days[1].frame.height,
        "pairs": counts.height,
        "rank_by_records": _beacon_rank(counts),
        "regularity": pair_regularity([day.frame for day in days]),
        "ways": {},
    }
    for way, settings in BEACON_WAYS.items():
        for variant in VARIANTS:
            # without neighbour features nothing is left out
            if variant == "without" and "balance_pairs" in settings:
                continue
            result = _trained(days[0], variant, seed, parameters, **settings)
            found["ways"].setdefault(way, {})[variant] = _ranked_days(result, root)
    return found


def pair_regularity(days: Sequence[pl.DataFrame]) -> dict[str, float]:
    """Return how regular the beacon's pair is on the second day, and how many frequent pairs have gaps as regular."""
    names = ["pair_gap_mean", "pair_gap_variation", "pair_size_variation"]
    frame = pl.concat(days, how="vertical_relaxed")
    second = add_neighbours(frame, overrides={"neighbours": {"columns": names}}).frame[days[0].height :]
    pairs = second.group_by(BEACON_COLUMNS).agg(pl.len(), *(pl.col(name).median() for name in names))
    beacon = pairs.filter(_is_beacon(pairs)).row(0, named=True)
    frequent = pairs.filter(pl.col("len") >= FREQUENT)
    return {
        **{name: beacon[name] for name in names},
        "frequent_pairs": frequent.height,
        "as_regular": int((frequent["pair_gap_variation"] < beacon["pair_gap_variation"]).sum()),
    }


def _ranked_days(result: TrainingResult, root: Path) -> dict[str, Any]:
    """Score the days as ``netsieve score --state --by-entity`` does, and return the rank of the beacon's pair."""
    ranks: dict[str, Any] = {"train_left_out": result.provenance["rows"]["train_left_out"]}
    with tempfile.TemporaryDirectory() as folder:
        scorer = Scorer(result.export(Path(folder) / "model.onnx"))
        state = None if scorer.schema.neighbours is None else str(Path(folder) / "hosts.state")
        for number, day in enumerate(BEACON_DAYS, start=1):
            summary = score_files(
                scorer,
                [str(root / file) for file in beacon_files(day)],
                str(Path(folder) / f"{day}.parquet"),
                state=state,
                by_entity=",".join(BEACON_COLUMNS),
                progress=False,
            )
            ranking = pl.read_csv(str(summary.entities), infer_schema_length=None)
            scored = pl.read_parquet(Path(folder) / f"{day}.parquet")
            beacon = _is_beacon(scored).to_numpy()
            evaluation = evaluate_scores(scored["anomaly_score"].to_numpy(), beacon, 0.0, attack_share=ATTACK_SHARE)
            ranks[f"day_{number}"] = {"rank": _beacon_rank(ranking), "records_auroc": evaluation.auroc}
    return ranks


def _is_beacon(frame: pl.DataFrame) -> pl.Series:
    pair = [pl.col(name) == host for name, host in zip(BEACON_COLUMNS, BEACON_PAIR, strict=True)]
    return frame.select(pl.all_horizontal(pair)).to_series()


def _beacon_rank(ranking: pl.DataFrame) -> int:
    return int(_is_beacon(ranking).arg_true()[0]) + 1
