"""What detectors share that learn from labelled attacks beside normal records."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core_detector import CoreDetector
from netsieve.engine.errors import TrainingError
from netsieve.engine.features.schema import FeatureSchema


class SupervisedDetector(CoreDetector):
    """A detector that learns from attacks; :meth:`fit_core` finds them in ``x_attacks``.

    Attributes
    ----------
    smallest_attack_set
        Fewer attacks than this are refused.
    x_attacks
        float32 ``[m, n_features]`` during training.
    """

    smallest_attack_set: ClassVar[int] = 10

    x_attacks: NDArray[np.float32]

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
        x_attacks: NDArray[np.float32] | None = None,
    ) -> Self:
        """Train on normal records and on attacks, float32 ``[m, n_features]``; otherwise as :meth:`CoreDetector.fit`.

        Raises
        ------
        TrainingError
            Too few rows of either kind.
        """
        attacks = 0 if x_attacks is None else len(x_attacks)
        if x_attacks is None or attacks < self.smallest_attack_set:
            raise TrainingError(
                f"got {attacks} attacks to learn from; {self.name} needs at least {self.smallest_attack_set}: give "
                "more labelled records, or take a detector that learns from normal records alone"
            )
        self.x_attacks = x_attacks
        try:
            return super().fit(
                schema,
                x_train,
                x_validation,
                seed=seed,
                device=device,
                progress=progress,
                initial_weights=initial_weights,
            )
        finally:
            del self.x_attacks
