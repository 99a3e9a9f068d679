"""The BETH experiment: ``python -m netsieve.bench.beth DATA_DIR`` runs the paper's detectors and netsieve's.

Highnam, Arulkumaran, Hanif and Jennings, "BETH Dataset: Real Cybersecurity Data for Unsupervised Anomaly Detection
Research", CEUR-WS 3095 (2021): trained on ``labelled_training_data.csv`` whole, stopped by
``labelled_validation_data.csv``, tested on ``labelled_testing_data.csv`` against the label ``sus``, each detector with
the seeds 1 to 5.

The published code does not rank scores. It lets each of the five models say yes or no, takes the mean of these answers
and the AUROC of that: a curve of at most six steps at thresholds that the training fixed. Both are measured here.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.bench.experiments import (
    Contender,
    auroc,
    check_folder,
    experiment_parser,
    mean_of,
    policy_threshold,
    present_file,
    rates,
    run_experiment,
    share_argument,
    shown,
    table,
    told,
)
from netsieve.bench.machine import describe_machine
from netsieve.engine.errors import SourceError
from netsieve.engine.evaluation.curves import RankedScores
from netsieve.engine.sources.beth import PROCESS_TYPE, READY_SCHEMAS
from netsieve.engine.sources.reading import read_frame
from netsieve.engine.sources.source import ColumnRequest

PARTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "train": "labelled_training_data.csv",
        "validation": "labelled_validation_data.csv",
        "test": "labelled_testing_data.csv",
    }
)
PUBLISHED_ROWS: Final[Mapping[str, int]] = MappingProxyType({"train": 763_144, "validation": 188_967, "test": 188_967})
"""Records of each part by the paper's Table 1."""
LABELS: Final = ("sus", "evil")
FEATURES: Final = tuple(READY_SCHEMAS[PROCESS_TYPE]["features"])
SEEDS: Final = (1, 2, 3, 4, 5)
OUTLIER_SHARE: Final = 0.05
"""Share of the training records beyond the threshold of the paper's forest and robust covariance."""
BUDGET: Final = 0.01
"""False-positive rate whose threshold is taken from normal validation records."""
LARGEST_PART: Final = 1_000_000
CHUNK_ROWS: Final = 50_000


class Fitted(NamedTuple):
    """A trained model: scores of records, higher for odder ones, and the score above which it says yes."""

    scores: Callable[[pl.DataFrame], NDArray[Any]]
    threshold: float


def paper_columns(frame: pl.DataFrame) -> NDArray[np.float64]:
    """Return the seven columns as the paper encodes them, float64 ``[n, 7]``.

    0 for the system's process, parent, user and mount namespace and 1 for others; the event; the number of arguments;
    0, 1 and 2 for a return value of 0, above and below.
    """
    system = [1 - frame[name].cast(pl.Float64) for name in FEATURES[:4]]
    sign = frame["returnValueSign"].cast(pl.Float64)
    columns = [*system, frame["eventId"], frame["argsNum"], sign.replace({-1.0: 2.0})]
    return np.column_stack([column.cast(pl.Float64).to_numpy() for column in columns])


def _by_scikit_learn(module: str, name: str, *, whitened: bool, **parameters: Any) -> Callable[..., Fitted]:
    def fit(train: pl.DataFrame, _validation: pl.DataFrame, seed: int, _quick: bool) -> Fitted:
        from importlib import import_module

        from sklearn.decomposition import PCA
        from sklearn.pipeline import make_pipeline

        model = getattr(import_module(f"sklearn.{module}"), name)(random_state=seed, **parameters)
        pipeline = make_pipeline(PCA(whiten=True), model) if whitened else make_pipeline(model)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # few directions vary in a small file, and the covariance says so
            pipeline.fit(paper_columns(train))

        def scores(records: pl.DataFrame) -> NDArray[np.float64]:
            x = paper_columns(records)
            with np.errstate(all="ignore"):
                parts = [pipeline.decision_function(x[i : i + CHUNK_ROWS]) for i in range(0, len(x), CHUNK_ROWS)]
            return -np.concatenate([np.empty(0), *parts])

        return Fitted(scores, 0.0)

    return fit


def _by_netsieve(detector: str) -> Callable[..., Fitted]:
    def fit(train: pl.DataFrame, validation: pl.DataFrame, seed: int, quick: bool) -> Fitted:
        contender = Contender(detector, detector)
        scores = contender.fitted(
            train.select(FEATURES), validation.select(FEATURES), PROCESS_TYPE, seed=seed, quick=quick
        )
        threshold = policy_threshold(f"contamination:{OUTLIER_SHARE}", scores(train))
        assert threshold is not None
        return Fitted(scores, threshold)

    return fit


CONTENDERS: Final[Mapping[str, Callable[..., Fitted]]] = MappingProxyType(
    {
        "paper: robust covariance": _by_scikit_learn(
            "covariance", "EllipticEnvelope", whitened=False, contamination=OUTLIER_SHARE
        ),
        "paper: one-class SVM": _by_scikit_learn("linear_model", "SGDOneClassSVM", whitened=True),
        "paper: isolation forest": _by_scikit_learn(
            "ensemble", "IsolationForest", whitened=True, contamination=OUTLIER_SHARE
        ),
        **{
            name: _by_netsieve(name)
            for name in (
                "elliptic_envelope",
                "one_class_svm",
                "isolation_forest",
                "dose",
                "dose_variational",
                "autoencoder",
            )
        },
    }
)
"""By the name shown: the paper's, with its settings, by scikit-learn; and netsieve's, by the name in its registry."""


def read_parts(folder: Path, *, largest: int = LARGEST_PART, seed: int = 0) -> dict[str, pl.DataFrame]:
    """Return training, validation and test records: the seven features, ``sus`` and ``evil``.

    Parameters
    ----------
    folder
        Holds the files of :data:`PARTS`, plain or compressed.
    largest
        Records of a file that are kept at most, drawn at random.
    seed
        Of that draw.

    Raises
    ------
    SourceError
        A file is absent, cannot be read, or lacks a column.
    """
    check_folder(folder)
    paths = {part: present_file(folder, name) for part, name in PARTS.items()}
    if absent := [PARTS[part] for part, path in paths.items() if path is None]:
        raise SourceError(
            f"'{folder}' has no {', '.join(absent)} (nor with .gz or .zst); the data set's three files go there"
        )
    wanted = ColumnRequest(columns=(*FEATURES, *LABELS))
    frames = {}
    for part, path in paths.items():
        read = read_frame([str(path)], columns=wanted, max_rows=largest, seed=seed)
        frame = read.frame
        if lacking := [name for name in (*FEATURES, *LABELS) if name not in frame.columns]:
            raise SourceError(f"'{path}' gives no {', '.join(lacking)}; expected the columns of {PARTS[part]}")
        frames[part] = frame.drop_nulls()
        if not frames[part].height:
            raise SourceError(f"'{path}' has no records with all of {', '.join(FEATURES)} and the labels")
        if left_out := read.rejected + frame.height - frames[part].height:
            told(f"{path}: {left_out:,} records that cannot be read, or lack a cell, are left out")
    return frames


def measure_beth(
    folder: Path,
    *,
    label: str = "sus",
    seeds: Sequence[int] = SEEDS,
    contenders: Sequence[str] = tuple(CONTENDERS),
    budget: float = BUDGET,
    largest: int = LARGEST_PART,
    quick: bool = False,
) -> dict[str, Any]:
    """Return the measures of all contenders, as plain JSON values.

    Parameters
    ----------
    folder
        Holds the data set's three files.
    label
        ``"sus"``, as the paper, or ``"evil"``.
    seeds
        Of the models whose answers are put together.
    contenders
        Names of :data:`CONTENDERS`.
    budget
        False-positive rate. Its threshold is taken from one half of the normal validation records; the other half of
        the validation records stops the training.
    largest
        Records of a file that are kept at most.
    quick
        Whether networks are trained for a moment only.

    Raises
    ------
    SourceError, TrainingError
        The files cannot be used.
    """
    parts = read_parts(folder, largest=largest)
    is_attack = parts["test"][label].to_numpy() > 0
    measured = {}
    for name in contenders:
        started = time.perf_counter()
        runs = [_run(CONTENDERS[name], parts, label=label, seed=seed, budget=budget, quick=quick) for seed in seeds]
        measured[name] = {**_together(runs, is_attack), "seconds": time.perf_counter() - started}
        told(f"{name}: {measured[name]['seconds']:.1f} s")
    rows = {part: frame.height for part, frame in parts.items()}
    return {
        "benchmark": "beth",
        "machine": describe_machine(),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": rows,
        "published_rows": dict(PUBLISHED_ROWS),
        "whole": rows == dict(PUBLISHED_ROWS),
        "attacks": {part: int((frame[label] > 0).sum()) for part, frame in parts.items()},
        "label": label,
        "seeds": list(seeds),
        "budget": budget,
        "quick": quick,
        "contenders": measured,
    }


class _Run(NamedTuple):
    scores: NDArray[Any]
    said_yes: NDArray[np.bool_]
    within_budget: NDArray[np.bool_] | None


def _run(
    fit: Callable[..., Fitted],
    parts: Mapping[str, pl.DataFrame],
    *,
    label: str,
    seed: int,
    budget: float,
    quick: bool,
) -> _Run:
    order = np.random.default_rng(seed).permutation(parts["validation"].height)
    half = len(order) // 2
    stopping, held = (parts["validation"][np.sort(rows)] for rows in (order[:half], order[half:]))
    fitted = fit(parts["train"], stopping, seed, quick)
    scores = fitted.scores(parts["test"])
    threshold = policy_threshold(f"fpr:{budget}", fitted.scores(held.filter(pl.col(label) == 0)))
    within = None if threshold is None else scores.astype(np.float32) > np.float32(threshold)
    return _Run(scores, scores > fitted.threshold, within)


def _together(runs: Sequence[_Run], is_attack: NDArray[np.bool_]) -> dict[str, Any]:
    by_scores = [auroc(run.scores, is_attack) for run in runs]
    votes = np.mean([run.said_yes for run in runs], axis=0)
    binary = auroc(votes, is_attack)
    present = [value for value in by_scores if value is not None]
    budgets = [rates(run.within_budget, is_attack) for run in runs if run.within_budget is not None]
    return {
        "auroc_scores": mean_of(by_scores),
        "auroc_scores_deviation": float(np.std(present)) if present else None,
        "average_precision": mean_of(
            [RankedScores.of(run.scores.astype(np.float32), is_attack).average_precision() for run in runs]
        ),
        "auroc_binary_predictions": binary,
        "auroc_binary_predictions_inverted": None if binary is None else 1 - binary,
        "auroc_binary_predictions_single": mean_of([auroc(run.said_yes, is_attack) for run in runs]),
        "said_yes": float(votes.mean()),
        "budget": {key: mean_of([found[key] for found in budgets]) for key in budgets[0]} if budgets else None,
    }


def beth_page(result: Mapping[str, Any]) -> str:
    """Return the measures as text."""
    rows = result["rows"]
    counts = ", ".join(f"{part} {rows[part]:,} ({result['attacks'][part]:,} {result['label']})" for part in PARTS)
    lines = [
        f"BETH, label {result['label']}, seeds {', '.join(map(str, result['seeds']))}; records: {counts}",
        "",
        table(
            [
                ("detector", "AUROC", "AUROC of answers", "of one's", "said yes", "recall", "false positives"),
                *(
                    (
                        name,
                        shown(found["auroc_scores"], found["auroc_scores_deviation"]),
                        shown(found["auroc_binary_predictions"]),
                        shown(found["auroc_binary_predictions_single"]),
                        shown(found["said_yes"]),
                        shown((found["budget"] or {}).get("recall")),
                        shown((found["budget"] or {}).get("false_positive_rate")),
                    )
                    for name, found in result["contenders"].items()
                ),
            ]
        ),
        "",
        "AUROC: of the scores, mean over the seeds. AUROC of answers: as published, of the mean of the models' yes",
        f"and no. Recall and false positives: at the threshold for {result['budget']:g} on normal validation records,",
        "where there are enough of them.",
    ]
    if not result["whole"]:
        published = " / ".join(f"{count:,}" for count in PUBLISHED_ROWS.values())
        lines += ["", f"These are not the whole files ({published} records): no result on BETH."]
    if result["quick"]:
        lines += ["", "Networks were trained for a moment only (--quick): no result on BETH."]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the experiment."""
    parser = experiment_parser("netsieve.bench.beth", (__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--label", choices=LABELS, default=LABELS[0], help="default: %(default)s")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, metavar="N", help="default: 1 2 3 4 5")
    parser.add_argument("--detectors", nargs="+", choices=tuple(CONTENDERS), default=tuple(CONTENDERS), metavar="NAME")
    parser.add_argument(
        "--false-positive-rate", type=share_argument, default=BUDGET, metavar="RATE", help="default: %(default)s"
    )
    parser.add_argument("--max-rows", type=int, default=LARGEST_PART, metavar="N", help="records of a file at most")
    return run_experiment(
        parser.parse_args(arguments),
        lambda options: measure_beth(
            options.folder,
            label=options.label,
            seeds=options.seeds,
            contenders=options.detectors,
            budget=options.false_positive_rate,
            largest=options.max_rows,
            quick=options.quick,
        ),
        beth_page,
    )


if __name__ == "__main__":
    sys.exit(main())
