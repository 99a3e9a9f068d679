"""Detection quality on the labelled sets, through the product's whole path, beside scikit-learn's isolation forest.

Normal records: 36 % train, 4 % validate, 10 % calibrate, 50 % test; all attacks test. By time where the set has
times, else by a seeded shuffle. netsieve trains with its defaults, is exported, and the file is scored by
``netsieve.Scorer``. The isolation forest is fitted on the same 40 % (training and validation rows together). The
ensemble is measured by itself (:func:`measure_ensemble`), on the same parts of the same records.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.bench.datasets import LabelledSet
from netsieve.engine.evaluation.metrics import evaluate_scores
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.preprocessing import prepare
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.scoring.scorer import Scorer
from netsieve.engine.thresholds.policy import parse_policy
from netsieve.engine.training.job import TrainingResult, train_detector
from netsieve.engine.training.labels import normal_records
from netsieve.engine.training.splits import SplitShares

SHARES: Final = SplitShares(train=0.36, validation=0.04, calibration=0.1)
ATTACK_SHARE: Final = 0.05
"""Share of rows that attacks are weighted to in AP5."""
POLICIES: Final = ("fpr:0.01", "fpr:0.001")
MODEL_POLICY: Final = "mean_std:3"
"""The models' own threshold: one that any calibration part supports; no measure but the realised rates uses any."""
FOREST_TREES: Final = 100
CHUNK_ROWS: Final = 50_000

NETSIEVE: Final = "netsieve"
ENSEMBLE: Final = "netsieve, ensemble"
FOREST_RAW: Final = "isolation forest, raw"
FOREST_PREPARED: Final = "isolation forest, prepared"
CONTENDERS: Final = (NETSIEVE, FOREST_RAW, FOREST_PREPARED)


def measure_set(labelled: LabelledSet, seed: int, *, largest: int | None = None) -> dict[str, Any]:
    """Return the measures of all contenders on one set and split, as plain JSON values.

    Parameters
    ----------
    labelled
        The set.
    seed
        Of split, training and forest.
    largest
        Use at most so many records, drawn at random; None uses all.
    """
    frame = _drawn(labelled, seed, largest)
    result, seconds = _trained(labelled, frame, seed)
    test, attack = _test_part(labelled, frame, result)
    fitted_on = frame[np.concatenate([result.splits.train, result.splits.validation])]
    scores: dict[str, NDArray[Any]] = {NETSIEVE: product_scores(result, test)}
    scores.update(forest_scores(result.schema, fitted_on, test, seed))
    return {
        "rows": {
            "features": len(result.schema.features),
            **{name: int(count) for name, count in result.provenance["rows"].items() if count is not None},
        },
        "split": result.provenance["split"],
        "training_seconds": seconds,
        "steps": result.provenance["training"]["steps"],
        "contenders": {name: quality(values, attack) for name, values in scores.items()},
        "thresholds": realised_rates(result, scores[NETSIEVE][~attack]),
    }


def measure_ensemble(labelled: LabelledSet, seed: int, *, largest: int | None = None) -> dict[str, Any]:
    """Return the measures of the ensemble, on what :func:`measure_set` measures the autoencoder on with that seed."""
    frame = _drawn(labelled, seed, largest)
    result, seconds = _trained(labelled, frame, seed, detector="ensemble")
    test, attack = _test_part(labelled, frame, result)
    return {
        "training_seconds": seconds,
        "rows": {"test": test.height, "test_attacks": int(attack.sum())},
        "contenders": {ENSEMBLE: quality(product_scores(result, test), attack)},
    }


def _drawn(labelled: LabelledSet, seed: int, largest: int | None) -> pl.DataFrame:
    frame = labelled.frame
    if largest is None or frame.height <= largest:
        return frame
    return frame[np.sort(np.random.default_rng(seed).choice(frame.height, largest, replace=False))]


def _test_part(
    labelled: LabelledSet, frame: pl.DataFrame, result: TrainingResult
) -> tuple[pl.DataFrame, NDArray[np.bool_]]:
    """Return the test records, and which are attacks."""
    test = frame[result.splits.test]
    is_normal, _ = normal_records(test, labelled.label, labelled.normal)
    return test, ~is_normal


def _trained(labelled: LabelledSet, frame: pl.DataFrame, seed: int, **settings: Any) -> tuple[TrainingResult, float]:
    """Return a training run with the product's defaults, and its seconds."""
    started = time.perf_counter()
    result = train_detector(
        frame,
        label=labelled.label,
        normal=labelled.normal,
        ignore=labelled.ignore,
        time_column=labelled.time,
        shares=SHARES,
        threshold=MODEL_POLICY,
        seed=seed,
        device="cpu",
        progress=False,
        **settings,
    )
    return result, time.perf_counter() - started


def product_scores(result: TrainingResult, frame: pl.DataFrame) -> NDArray[np.float32]:
    """Return the scores that the exported model file gives a frame, float32 ``[n]``."""
    with tempfile.TemporaryDirectory() as folder:
        scorer = Scorer(result.export(Path(folder) / "model.onnx"))
        return np.asarray(scorer.score(frame)["anomaly_score"].to_numpy(), dtype=np.float32)


def forest_scores(
    schema: FeatureSchema, fitted_on: pl.DataFrame, test: pl.DataFrame, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Return the scores of isolation forests on raw and on prepared columns; higher is more anomalous."""
    from sklearn.ensemble import IsolationForest

    encoder = Encoder(schema)
    x_fit, x_test = encoder.encode(fitted_on), encoder.encode(test)
    scores = {}
    for name, columns in ((FOREST_RAW, raw_columns), (FOREST_PREPARED, prepare)):
        forest = IsolationForest(n_estimators=FOREST_TREES, random_state=seed).fit(columns(schema, x_fit))
        parts = [
            -forest.score_samples(columns(schema, x_test[start : start + CHUNK_ROWS]))
            for start in range(0, len(x_test), CHUNK_ROWS)
        ]
        scores[name] = np.concatenate(parts)
    return scores


def raw_columns(schema: FeatureSchema, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return numbers as they are (0 for missing), and categories one-hot over all codes: the usual preparation."""
    numbers = np.nan_to_num(x[:, [i for i, _ in schema.numeric]], posinf=None, neginf=None)
    one_hots = [(x[:, [i]] == np.arange(f.code_count)).astype(np.float32) for i, f in schema.categorical]
    return np.hstack([numbers, *one_hots])


def quality(scores: NDArray[Any], attack: NDArray[np.bool_]) -> dict[str, float | None]:
    """Return AUROC, average precision (as it is and at 5 % attacks) and recall at a false-positive rate of 1e-2."""
    evaluation = evaluate_scores(scores, attack, float(np.median(scores)), attack_share=ATTACK_SHARE)
    return {
        "auroc": evaluation.auroc,
        "average_precision": evaluation.average_precision,
        "average_precision_5": evaluation.average_precision_reweighted,
        "recall_at_1e_2": evaluation.recall_at_fpr[0.01],
    }


def realised_rates(result: TrainingResult, normal_scores: NDArray[np.float32]) -> dict[str, dict[str, float]]:
    """Return for each policy the rate asked, the rate realised on normal test rows, and the 99 % interval."""
    rates = {}
    for text in POLICIES:
        policy = parse_policy(text)
        interval = None
        if str(policy) in result.thresholds:
            interval = policy.realised_rate_interval(result.calibration.n, len(normal_scores))
        if interval is None or policy.asked_rate is None:
            continue
        rates[text] = {
            "asked": policy.asked_rate,
            "realised": float((normal_scores > float(result.thresholds[str(policy)])).mean()),
            "low": interval[0],
            "high": interval[1],
            "calibration_rows": result.calibration.n,
        }
    return rates
