"""What all detectors share whose training ends in a core: scores, parts of the score, weights on disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import Core, chunked, explained_part, view_columns
from netsieve.engine.detectors.core_file import load_core, save_core
from netsieve.engine.detectors.parameters import DetectorParameters
from netsieve.engine.errors import TrainingError
from netsieve.engine.features.preprocessing import feature_selection
from netsieve.engine.features.schema import FeatureSchema


class CoreDetector(ABC):
    """A detector whose training ends in a :class:`~netsieve.engine.detectors.core.Core`.

    A subclass sets the class attributes and writes :meth:`fit_core`.

    Parameters
    ----------
    parameters
        How it is trained; None for the defaults.

    Attributes
    ----------
    name
        Its name in :data:`netsieve.engine.detectors.registry.DETECTORS`.
    parameters_class
        Class of its parameters.
    smallest_training_set, smallest_validation_set
        Fewer rows than these are refused.
    parameters, schema, core
        As given; the fitted schema and what was learned, None before training.
    """

    name: ClassVar[str]
    parameters_class: ClassVar[type[DetectorParameters]]
    smallest_training_set: ClassVar[int] = 20
    smallest_validation_set: ClassVar[int] = 2

    def __init__(self, parameters: Any = None) -> None:
        self.parameters: Any = self.parameters_class() if parameters is None else parameters
        self.schema: FeatureSchema | None = None
        self.core: Core | None = None
        self._summary: dict[str, Any] = {}

    @abstractmethod
    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[Core, dict[str, Any]]:
        """Train on encoded records and return what was learned, and how it went as plain JSON values."""

    def fit(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int = 0,
        device: str = "auto",
        progress: bool = False,
        initial_weights: str | Path | None = None,
    ) -> Self:
        """Train on ``x_train``.

        Parameters
        ----------
        schema
            Fitted schema.
        x_train, x_validation
            float32 ``[n, n_features]``, encoded records in raw units, both of the population that counts as normal.
            What the second is for is the detector's own: to stop early, or to scale errors.
        seed
            Same seed, data, device and library versions: same weights.
        device
            ``"auto"``, ``"cpu"`` or ``"cuda"``; what is not trained in PyTorch is trained on the CPU.
        progress
            Whether to show a progress bar on stderr.
        initial_weights
            A file of :meth:`save_weights` to go on from, for detectors that can.

        Raises
        ------
        TrainingError
            Too few rows, no features, or the detector cannot go on from earlier weights.
        DeviceError
            The device is not there.
        """
        if initial_weights is not None:
            raise TrainingError(f"a {self.name} detector cannot go on from earlier weights; train it anew")
        self.check_rows(schema, x_train, x_validation)
        self.core, self._summary = self.fit_core(
            schema, x_train, x_validation, seed=seed, device=device, progress=progress
        )
        self.schema = schema
        return self

    @property
    def summary(self) -> dict[str, Any]:
        """How the last training run went, as plain JSON values; empty before any."""
        return self._summary

    def score(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the anomaly scores of encoded records, float32 ``[n]``; higher is more anomalous."""
        return self.reference_score(x).astype(np.float32)

    def reference_score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the scores in float64 arithmetic, ``[n]``: what exported graphs are checked against."""
        schema, core = self.trained()
        return chunked(lambda rows: core.score(view_columns(core.view, schema, rows)), x)

    def feature_error(self, x: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return each feature's part of the score, float32 ``[n, n_features]``; None where there are no such parts.

        Of detectors that combine others: those of the first one that has them.
        """
        schema, core = self.trained()
        explained = explained_part(core)
        if explained is None:
            return None
        selection = feature_selection(schema)
        parts = chunked(lambda rows: explained.column_errors(view_columns(explained.view, schema, rows)) @ selection, x)
        return parts.astype(np.float32)

    def save_weights(self, path: str | Path) -> None:
        """Write what was learned, the schema and the parameters to a safetensors file.

        Raises
        ------
        TrainingError
            The detector is not trained.
        OutputError
            The file cannot be written.
        """
        schema, core = self.trained()
        save_core(path, core, detector=self.name, parameters=self.parameters, schema=schema)

    @classmethod
    def load_weights(cls, path: str | Path) -> Self:
        """Return the trained detector of a file that :meth:`save_weights` wrote.

        Raises
        ------
        TrainingError
            The file is absent, or holds no such detector.
        """
        parameters, schema, core = load_core(path, cls.name)
        detector = cls(cls.parameters_class.from_dict(parameters))
        detector.schema, detector.core = schema, core
        try:
            scores = detector.reference_score(np.zeros(detector.probe_shape(schema), dtype=np.float32))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise TrainingError(
                f"{path} is damaged ({type(error).__name__}: {error}); train the detector anew"
            ) from error
        if scores.shape != (1,):
            raise TrainingError(f"{path} is damaged (it gives no score a record); train the detector anew")
        return detector

    def probe_shape(self, schema: FeatureSchema) -> tuple[int, ...]:
        """Return the shape of what the detector scores of one record."""
        return (1, len(schema.features))

    def trained(self) -> tuple[FeatureSchema, Core]:
        """Return schema and core.

        Raises
        ------
        TrainingError
            The detector is not trained.
        """
        if self.schema is None or self.core is None:
            raise TrainingError(f"the {self.name} detector is not trained; call fit, or load weights")
        return self.schema, self.core

    def check_rows(
        self, schema: FeatureSchema, x_train: NDArray[np.float32], x_validation: NDArray[np.float32]
    ) -> None:
        """Raise TrainingError where there is too little to train on."""
        if not schema.features:
            raise TrainingError("the schema has no features; name columns to train on, or ignore fewer")
        for name, x, least in (
            ("training", x_train, self.smallest_training_set),
            ("validation", x_validation, self.smallest_validation_set),
        ):
            if len(x) < least:
                raise TrainingError(f"got {len(x)} {name} rows; {self.name} needs at least {least}: give more records")
