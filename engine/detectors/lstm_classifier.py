"""A supervised classifier of known attacks over windows: the log-odds of an LSTM's last state are the score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.classifier import HELD_BACK
from netsieve.engine.detectors.lstm_cores import LstmClassifierCore
from netsieve.engine.detectors.parameters import DetectorParameters
from netsieve.engine.detectors.sequence_core import VALIDATION_WINDOWS, SequenceDetector, prepared_windows_float32
from netsieve.engine.detectors.sequence_parameters import SequenceParameters
from netsieve.engine.detectors.sequence_training import trained_network
from netsieve.engine.detectors.supervised import SupervisedDetector
from netsieve.engine.features.schema import FeatureSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class LstmClassifierParameters(SequenceParameters):
    """How the classifier is built and trained."""

    detector: ClassVar[str] = "lstm_classifier"

    def __post_init__(self) -> None:
        self.check_all()


class LstmClassifier(SequenceDetector, SupervisedDetector):
    """Log-odds of a window ending in one of the attacks it was shown, both classes weighed alike."""

    name: ClassVar[str] = "lstm_classifier"
    parameters_class: ClassVar[type[DetectorParameters]] = LstmClassifierParameters

    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[LstmClassifierCore, dict[str, Any]]:
        """Return the trained network; ``x_validation`` and a share of the attacks stop the training."""
        from netsieve.engine.detectors.lstm_networks import LstmClassifierNetwork

        parameters: LstmClassifierParameters = self.parameters
        attacks = prepared_windows_float32(schema, self.x_attacks, seed)
        held_back = np.random.default_rng(seed).permutation(len(attacks)) % HELD_BACK == 0
        windows = _with_class(prepared_windows_float32(schema, x_train, seed), attacks[~held_back])
        normal = prepared_windows_float32(schema, x_validation, seed)[:VALIDATION_WINDOWS]
        validation = _with_class(normal, attacks[held_back][:VALIDATION_WINDOWS])
        width = attacks.shape[2]
        network, summary = trained_network(
            lambda: LstmClassifierNetwork(width, parameters.units_for(width), share=float(windows[:, -1, -1].mean())),
            windows,
            validation,
            parameters.loop(),
            seed=seed,
            device=device,
            progress=progress,
        )
        return network.core(windows.shape[1]), summary


def _with_class(normal: NDArray[np.float32], attacks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return windows of both kinds with one more column, 0 for normal and 1 for attack, ``[n + m, window, d + 1]``."""
    windows = np.concatenate([normal, attacks])
    kind = (np.arange(len(windows)) >= len(normal)).astype(np.float32)
    column = np.broadcast_to(kind[:, None, None], (*windows.shape[:2], 1))
    return np.concatenate([windows, column], axis=2)
