"""Choosing between detectors on validation data, before any test record is looked at."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from netsieve.engine.detectors.detector import Detector
from netsieve.engine.detectors.registry import detector_class, detector_entry, detector_parameters
from netsieve.engine.errors import TrainingError
from netsieve.engine.evaluation.curves import RankedScores
from netsieve.engine.evaluation.metrics import DEFAULT_ATTACK_SHARE
from netsieve.engine.training.data import TrainingData

AUTO: Final = "auto"
AUTO_DETECTORS: Final = ("autoencoder", "ensemble", "isolation_forest", "nearest", "pca")
"""What ``--detector auto`` compares: detectors that take the same columns, and that together see most."""
VALIDATION_ATTACK_SHARE: Final = 0.3
"""Share of the attacks that choices are made with; the others test."""
FEWEST_ATTACKS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationScore:
    """How well a detector told the validation part's attacks from its normal records.

    Attributes
    ----------
    detector
        Its name.
    average_precision
        With the attacks weighted to be 5 % of the records: what the choice is made by.
    auroc, recall
        Area under the curve, and recall at a false-positive rate of 1 %.
    seconds
        Of training.
    """

    detector: str
    average_precision: float
    auroc: float
    recall: float
    seconds: float


def validation_score(model: Detector, data: TrainingData, seconds: float) -> ValidationScore:
    """Return how well a trained detector does on the validation part.

    Raises
    ------
    TrainingError
        There are no or too few attacks to validate with.
    """
    attacks = len(data.attacks_validation)
    if attacks < FEWEST_ATTACKS:
        raise TrainingError(
            f"got {attacks} attacks to choose with; at least {FEWEST_ATTACKS} are needed: give more labelled records, "
            "or name a detector"
        )
    scores = model.score(np.concatenate([data.validation, data.attacks_validation]))
    ranked = RankedScores.of(scores, np.arange(len(scores)) >= len(data.validation))
    average_precision, auroc = ranked.average_precision(DEFAULT_ATTACK_SHARE), ranked.auroc()
    assert average_precision is not None
    assert auroc is not None
    return ValidationScore(
        detector=model.name,
        average_precision=average_precision,
        auroc=auroc,
        recall=ranked.recall_at(0.01) or 0.0,
        seconds=seconds,
    )


def compare_detectors(
    data: TrainingData,
    names: Sequence[str] = AUTO_DETECTORS,
    *,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool = False,
) -> tuple[Detector, list[ValidationScore]]:
    """Train several detectors on the same data, and return the best on its validation part.

    Parameters
    ----------
    data
        With attacks in its validation part.
    names
        Detectors of the registry that learn from normal records alone and scale columns as the schema says.
    parameters
        Those that differ from the defaults, by detector.
    seed, device, progress
        As for :meth:`netsieve.engine.detectors.detector.Detector.fit`.

    Returns
    -------
    Detector
        That with the highest average precision.
    list of ValidationScore
        Of all, best first.

    Raises
    ------
    TrainingError
        A detector cannot be compared, or there are too few attacks.
    """
    models: dict[str, Detector] = {}
    scores: list[ValidationScore] = []
    for name in names:
        entry = detector_entry(name)
        if entry.supervised or entry.sequence or entry.scaling is not None:
            raise TrainingError(
                f"{name} takes other data than the rest and cannot be compared with them; train it alone"
            )
        model = detector_class(name)(detector_parameters(name, (parameters or {}).get(name)))
        started = time.perf_counter()
        model.fit(data.schema, data.train, data.validation, seed=seed, device=device, progress=progress)
        scores.append(validation_score(model, data, time.perf_counter() - started))
        models[name] = model
    scores.sort(key=lambda score: score.average_precision, reverse=True)
    return models[scores[0].detector], scores
