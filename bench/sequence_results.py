"""Sequence detectors on real sequences: system calls of ADFA-LD, and days of the addresses of cs448b.

ADFA-LD: an LSTM over system calls learns from the training traces, four of five; the fifth stops the training. A
trace's score is the median, or the mean, of the scores of its calls. Half of the validation traces set the thresholds:
the groups differ, and those of held-out training traces are too low. The other half and all attacks test. Beside it
stands what is oldest: the share of a trace's runs of six calls that the training traces do not hold (Forrest et al.,
"A Sense of Self for Unix Processes", 1996).

cs448b: an LSTM predicts each local address's day from the 13 before it. The set's own page names days on which somebody
noticed a machine; days up to two before and one after count, since the flows often show it first. Places are among the
days with a whole window.
"""

from __future__ import annotations

import gzip
import io
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.bench.sequence_windows import windows_of
from netsieve.engine.detectors.registry import detector_class, detector_parameters
from netsieve.engine.evaluation.curves import RankedScores
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.inference import fit_schema, infer_schema
from netsieve.engine.features.schema import FeatureSchema
from netsieve.export.cores import core_model
from netsieve.export.parity import ScoreFunction, score_function

SEQUENCE_SETS: Final = ("adfa_ld", "cs448b")
QUICK_DRAWS: Final = 5_000
TRACES: Final = "adfa_ld/adfa_ld_part-a.parquet"
TRACE_WINDOW: Final = 16
TRACE_PARAMETERS: Final = {"units": 128, "max_draws": 600_000, "patience": 30}
"""Half as long a training left the held-out training traces a loss of 1.00 nats a call, this one 0.92. Windows of 32
calls leave 0.91 at twice the cost, and rank the attacks no better (median 0.833, mean 0.838)."""
RUN: Final = 6
TRAINING_SHARE: Final = 0.8
RATES: Final = (0.05, 0.01)
BATCH: Final = 2_048
DAYS: Final = "cs448b/cs448b_ipasn.csv.gz"
DAY_WINDOW: Final = 14
DAY_PARAMETERS: Final = {"max_draws": 60_000}
NOTICED: Final = {
    1: date(2006, 8, 24),
    5: date(2006, 9, 4),
    4: date(2006, 9, 18),
    3: date(2006, 9, 26),
    6: date(2006, 9, 26),
}
DAYS_BEFORE, DAYS_AFTER = 2, 1
AGGREGATIONS: Final[dict[str, Callable[[NDArray[Any]], Any]]] = {"median": np.median, "mean": np.mean}


def measure_sequences(name: str, root: Path, seed: int, *, quick: bool = False) -> dict[str, Any]:
    """Return the measures of one of :data:`SEQUENCE_SETS`, as plain JSON values; quick trains for a moment only."""
    parameters = {"max_draws": QUICK_DRAWS} if quick else {}
    return {"adfa_ld": measure_traces, "cs448b": measure_days}[name](root, seed, **parameters)


def measure_traces(root: Path, seed: int, **parameters: Any) -> dict[str, Any]:
    """Return how well an LSTM over system calls tells attacks of ADFA-LD from other traces, as plain JSON values.

    Parameters
    ----------
    root
        The data folder.
    seed
        Of the splits and the training.
    parameters
        Of the detector, in place of :data:`TRACE_PARAMETERS`; and ``window``.
    """
    parameters = {"window": TRACE_WINDOW} | TRACE_PARAMETERS | parameters
    window = parameters.pop("window")
    frame = pl.read_parquet(root / TRACES)
    group = frame["group"].str.split("_").list.first().to_numpy()
    rng = np.random.default_rng(seed)
    learning = rng.permutation(np.flatnonzero(group == "Training"))
    train, held_back = np.split(learning, [round(TRAINING_SHARE * len(learning))])
    validating = rng.permutation(np.flatnonzero(group == "Validation"))
    calibration, test = np.array_split(validating, 2)
    attacks = np.flatnonzero(group == "Attack")

    calls = frame.select(pl.col("syscalls").cast(pl.List(pl.String)))
    schema = infer_schema(
        _calls(calls, train), features=["syscalls"], overrides={"columns": {"syscalls": {"kind": "categorical"}}}
    )
    schema = fit_schema(schema, _calls(calls, train))
    started = time.perf_counter()
    detector = detector_class("lstm_tokens")(detector_parameters("lstm_tokens", parameters))
    detector.fit(
        schema,
        np.concatenate(list(_trace_windows(schema, calls, train, window))),
        np.concatenate(list(_trace_windows(schema, calls, held_back, window))),
        seed=seed,
        device="cpu",
    )
    seconds = time.perf_counter() - started
    assert detector.core is not None
    score = score_function(core_model(detector.core, schema).SerializeToString())
    started = time.perf_counter()
    found: dict[str, NDArray[np.float64]] = {}
    parts = {"calibration": calibration, "test": test, "attacks": attacks, "held_back": held_back}
    for name, rows in parts.items():
        scores = [_scored(score, windows) for windows in _trace_windows(schema, calls, rows, window)]
        found[name] = np.array([[aggregate(s) for aggregate in AGGREGATIONS.values()] for s in scores])
    seconds_scoring = time.perf_counter() - started
    windows = np.concatenate(list(_trace_windows(schema, calls, np.concatenate([test[:3], attacks[:3]]), window)))
    difference = largest_difference(_scored(score, windows), detector.reference_score(windows))
    known = np.unique(np.concatenate([_runs(frame["syscalls"][int(row)]) for row in train]))
    unseen = {
        name: np.array([1 - np.isin(_runs(frame["syscalls"][int(row)]), known).mean() for row in rows])
        for name, rows in parts.items()
    }
    measured = sum(len(calls["syscalls"][int(i)]) for i in np.concatenate([validating, attacks, held_back]))
    return {
        "file": TRACES,
        "seed": seed,
        "window": window,
        "parameters": parameters,
        "training": detector.summary,
        "fit_seconds": seconds,
        "largest_difference": difference,
        "calls_per_second": measured / seconds_scoring,
        **{
            name: _trace_measures({part: values[:, column] for part, values in found.items()})
            for column, name in enumerate(AGGREGATIONS)
        },
        "unseen_runs": _trace_measures(unseen),
    }


def _trace_measures(scores: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    normal, attacks = scores["test"], scores["attacks"]
    every = np.concatenate([scores["calibration"], normal])
    measures: dict[str, Any] = {
        "auroc": _auroc(normal, attacks),
        "auroc_all_validation": _auroc(every, attacks),
    }
    for rate in RATES:
        threshold = np.quantile(scores["calibration"], 1 - rate)
        held_back = np.quantile(scores["held_back"], 1 - rate)
        measures[f"at_{rate}"] = {
            "false_positive_rate": float((normal > threshold).mean()),
            "recall": float((attacks > threshold).mean()),
            "false_positive_rate_calibrated_on_training": float((normal > held_back).mean()),
        }
    return measures


def measure_days(root: Path, seed: int, **parameters: Any) -> dict[str, Any]:
    """Return at which place among all days of all local addresses the noticed ones come, as plain JSON values.

    The detector learns from all days, as somebody would who has no labels; nothing but the ranks is evaluated.
    """
    window = DAY_WINDOW
    name = "lstm_predictor"
    days = host_days(root)
    schema = fit_schema(infer_schema(days, features=["flows", "networks", "largest", "new_networks"]), days)
    x = Encoder(schema).encode(days)
    entity = days["l_ipn"].to_numpy().astype(np.int64)
    windows = windows_of(x, entity, window)
    held_back = np.random.default_rng(seed).random(len(windows)) < 0.2
    detector = detector_class(name)(detector_parameters(name, DAY_PARAMETERS | parameters))
    detector.fit(schema, windows[~held_back], windows[held_back], seed=seed, device="cpu")
    # days with less than a window before them are not ranked
    ranked = ~np.isnan(windows).any(axis=(1, 2))
    scores, days = detector.score(windows[ranked]), days.filter(pl.Series(ranked))
    return {
        "file": DAYS,
        "seed": seed,
        "detector": name,
        "window": window,
        "days": days.height,
        "training": detector.summary,
        "best_rank": noticed_ranks(days, scores),
        "best_rank_by_flows": noticed_ranks(days, days["flows"].to_numpy()),
    }


def host_days(root: Path) -> pl.DataFrame:
    """Return a row for each day of each local address: flows against its own usual, networks, the largest of them."""
    content = gzip.decompress((root / DAYS).read_bytes())
    flows = pl.read_csv(io.BytesIO(content), try_parse_dates=True).sort("date")
    seen = flows.with_columns(new=pl.col("date") == pl.col("date").min().over("l_ipn", "r_asn"))
    days = seen.group_by("l_ipn", "date").agg(
        flows=pl.col("f").sum(), networks=pl.len(), largest=pl.col("f").max(), new_networks=pl.col("new").sum()
    )
    every = days.select("l_ipn").unique().join(days.select("date").unique(), how="cross")
    days = every.join(days, on=["l_ipn", "date"], how="left").fill_null(0).sort("date", "l_ipn")
    counts = ["flows", "networks", "largest", "new_networks"]
    logged = days.with_columns(pl.col(counts).cast(pl.Float64).log1p())
    # a day counts against the same address's days before it alone
    return logged.with_columns(
        [(pl.col(c) - pl.col(c).shift(1).rolling_median(28, min_samples=1).over("l_ipn")).fill_null(0) for c in counts]
    )


def noticed_ranks(days: pl.DataFrame, scores: NDArray[Any]) -> dict[str, int]:
    """Return the best place among all days, from 1, of the days around the date on which each machine was noticed."""
    place = np.empty(len(scores), dtype=np.int64)
    place[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    ranked = days.with_columns(place=place)
    best = {}
    for address, noticed in NOTICED.items():
        offset = (pl.col("date") - pl.lit(noticed)).dt.total_days()
        around = (pl.col("l_ipn") == address) & (offset >= -DAYS_BEFORE) & (offset <= DAYS_AFTER)
        best[str(address)] = int(ranked.filter(around)["place"].min())  # type: ignore[arg-type]
    return best


def largest_difference(scores: NDArray[np.float32], reference: NDArray[np.float64]) -> float:
    """Return the largest difference between graph and reference, over the reference and its median."""
    return float((np.abs(scores - reference) / (np.abs(reference) + np.median(reference))).max())


def _auroc(normal: NDArray[np.float64], attacks: NDArray[np.float64]) -> float:
    truth = np.arange(len(normal) + len(attacks)) >= len(normal)
    return RankedScores.of(np.concatenate([normal, attacks]), truth).auroc() or 0.0


def _runs(trace: pl.Series) -> NDArray[np.int64]:
    """Return a number for each run of :data:`RUN` calls, the same for the same calls."""
    calls = np.lib.stride_tricks.sliding_window_view(trace.to_numpy().astype(np.int64), RUN)
    return np.asarray(calls @ (512 ** np.arange(RUN, dtype=np.int64)), dtype=np.int64)


def _calls(traces: pl.DataFrame, rows: NDArray[np.int64]) -> pl.DataFrame:
    return traces[rows].explode("syscalls")


def _trace_windows(
    schema: FeatureSchema, traces: pl.DataFrame, rows: NDArray[np.int64], window: int
) -> Iterator[NDArray[np.float32]]:
    """Yield the windows of all calls of a trace, one trace after the other."""
    encoder = Encoder(schema)
    for row in rows:
        x = encoder.encode(_calls(traces, np.array([row])))
        yield windows_of(x, np.zeros(len(x), dtype=np.int64), window)


def _scored(score: ScoreFunction, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([score(windows[start : start + BATCH]) for start in range(0, len(windows), BATCH)])
