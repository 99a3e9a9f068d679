"""What the contenders of :mod:`netsieve.bench.contenders` score: generated records, and a model of each family."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.bench.plain_onnxruntime import onnxruntime_session
from netsieve.engine.detectors.autoencoder import Autoencoder
from netsieve.engine.detectors.core import prepared_float32
from netsieve.engine.detectors.core_detector import CoreDetector
from netsieve.engine.detectors.isolation_forest import IsolationForest, IsolationForestParameters
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.inference import fit_schema, infer_schema
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.scoring.scorer import Scorer
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.export import write_model

WIDTHS: Final = (10, 41, 115)
"""Features: those of a plain flow, of KDD Cup, and of N-BaIoT."""
AUTOENCODER: Final = "autoencoder"
FOREST: Final = "isolation forest"
FAMILIES: Final = (AUTOENCODER, FOREST)
"""Kinds of models. Contenders of one family do the same work; those of two are never compared."""
TREES: Final = 100
TREE_SAMPLES: Final = 256
TRAINING_ROWS: Final = 4_000
VALIDATION_ROWS: Final = 1_000
CALIBRATION_ROWS: Final = 1_000
REFERENCE_ROWS: Final = 20_000
"""Records whose scores are compared with the reference."""

Floats = NDArray[np.float32]


class ScoringModel:
    """A trained detector, its model file, and what contenders make of that.

    Parameters
    ----------
    detector, path
        The detector and the file that it was exported to.
    x
        float32 ``[n, n_features]``, the records of :attr:`reference`.
    threads
        What each contender may use.
    """

    def __init__(self, detector: CoreDetector, path: Path, x: Floats, *, threads: int) -> None:
        self.detector, self.path, self.threads = detector, path, threads
        self._x = x

    @cached_property
    def reference(self) -> NDArray[np.float64]:
        """Scores of the first records, :data:`REFERENCE_ROWS` at most, in float64 arithmetic."""
        return self.detector.reference_score(self._x)

    @cached_property
    def scorer(self) -> Scorer:
        """Our scorer of the model file."""
        return Scorer(self.path, threads=self.threads)

    @cached_property
    def session(self) -> Any:
        """A plain onnxruntime session of the same file."""
        return onnxruntime_session(str(self.path), self.threads)


class ScoringCase:
    """Records of ``width`` numeric features to score, and a model of each family, trained when first asked for.

    Parameters
    ----------
    width, rows
        Features and records.
    folder
        Where the model files are written.
    threads
        What each contender may use.

    Attributes
    ----------
    frame, x
        The records as a frame and as the raw matrix, float32 ``[rows, width]``.
    schema
        The fitted schema.
    """

    def __init__(self, width: int, rows: int, folder: Path, *, threads: int = 1) -> None:
        self.width, self.rows, self.folder, self.threads = width, rows, folder, threads
        rng = np.random.default_rng(width)
        first = TRAINING_ROWS + VALIDATION_ROWS + CALIBRATION_ROWS
        latent = rng.standard_normal((first + rows, 4))
        mixed = latent @ rng.standard_normal((4, width)) + 0.3 * rng.standard_normal((first + rows, width))
        values = np.where(np.arange(width) % 2, np.exp(mixed), mixed).astype(np.float32)
        self.frame = pl.DataFrame(values[first:], schema=[f"f{i:03}" for i in range(width)])
        training = pl.DataFrame(values[:first], schema=self.frame.columns)
        self.schema: FeatureSchema = fit_schema(infer_schema(training), training)
        self.x: Floats = Encoder(self.schema).encode(self.frame)
        encoded = Encoder(self.schema).encode(training)
        self._training, self._validation, self._calibration = np.split(
            encoded, (TRAINING_ROWS, TRAINING_ROWS + VALIDATION_ROWS)
        )
        self._models: dict[str, ScoringModel] = {}

    def first(self, rows: int) -> ScoringCase:
        """Return the case of the first ``rows`` records, with the same models."""
        part = copy(self)
        part.frame, part.x = self.frame.head(rows), self.x[:rows]
        part.rows = len(part.x)
        return part

    @property
    def prepared(self) -> Floats:
        """The records with logarithms taken and standardised: what peers without preparation of their own are given."""
        return prepared_float32(self.schema, self.x)

    @property
    def prepared_training(self) -> Floats:
        """The training records, prepared alike."""
        return prepared_float32(self.schema, self._training)

    def model(self, family: str) -> ScoringModel:
        """Return the model of one of :data:`FAMILIES`."""
        if family not in self._models:
            detector = _autoencoder() if family == AUTOENCODER else _isolation_forest()
            detector.fit(self.schema, self._training, self._validation, device="cpu")
            path = self.folder / f"{family.replace(' ', '-')}-{self.width}.onnx"
            self._export(detector, path)
            self._models[family] = ScoringModel(detector, path, self.x[:REFERENCE_ROWS], threads=self.threads)
        return self._models[family]

    def _export(self, detector: CoreDetector, path: Path) -> None:
        held_back = self._calibration
        calibration = Calibration.fit(
            detector.score(held_back), held_back, detector.feature_error(held_back), self.schema, population="normal"
        )
        write_model(
            detector,
            path,
            schema=self.schema,
            calibration=calibration,
            thresholds={"mean_std:3": calibration.mean + 3 * calibration.deviation, "default": "mean_std:3"},
            provenance={},
            parity_rows=held_back,
        )


def _autoencoder() -> Autoencoder:
    detector = Autoencoder()
    detector.parameters = replace(detector.parameters, max_draws=40_000)
    return detector


def _isolation_forest() -> IsolationForest:
    return IsolationForest(IsolationForestParameters(trees=TREES, samples=TREE_SAMPLES))
