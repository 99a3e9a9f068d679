"""The LSTM autoencoder: rebuilds windows of normal records well, and others badly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.lstm_cores import LstmAutoencoderCore
from netsieve.engine.detectors.parameters import Choices, DetectorParameters, Range
from netsieve.engine.detectors.sequence_core import VALIDATION_WINDOWS, SequenceDetector, prepared_windows_float32
from netsieve.engine.detectors.sequence_parameters import AGGREGATIONS, RebuildingParameters
from netsieve.engine.detectors.sequence_training import scaled_core, trained_network
from netsieve.engine.features.schema import FeatureSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class LstmAutoencoderParameters(RebuildingParameters):
    """How an LSTM autoencoder is built, trained and turned into a score.

    Attributes
    ----------
    latent_size
        Length of the code; None: half of the prepared columns, within 4 to 32.
    """

    detector: ClassVar[str] = "lstm_autoencoder"
    search_space: ClassVar[Mapping[str, Range | Choices]] = MappingProxyType(
        {
            "units": Range(low=16, high=128, logarithmic=True, whole=True),
            "latent_size": Range(low=2, high=32, logarithmic=True, whole=True),
            "learning_rate": Range(low=5e-4, high=1e-2, logarithmic=True),
            "last_share": Choices(values=(0.0, 0.5, 1.0), changes_loss=True),
            "aggregation": Choices(values=AGGREGATIONS, changes_loss=True),
        }
    )

    def __post_init__(self) -> None:
        self.check_rebuilding()


class LstmAutoencoder(SequenceDetector):
    """An LSTM autoencoder over prepared windows.

    References
    ----------
    Malhotra et al., "LSTM-based Encoder-Decoder for Multi-sensor Anomaly Detection", ICML 2016 workshop.
    """

    name: ClassVar[str] = "lstm_autoencoder"
    parameters_class: ClassVar[type[DetectorParameters]] = LstmAutoencoderParameters

    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[LstmAutoencoderCore, dict[str, Any]]:
        """Return the trained network; ``x_validation`` stops the training and scales the residuals."""
        from netsieve.engine.detectors.lstm_networks import LstmAutoencoderNetwork

        parameters: LstmAutoencoderParameters = self.parameters
        z_train = prepared_windows_float32(schema, x_train, seed)
        z_validation = prepared_windows_float32(schema, x_validation, seed)[:VALIDATION_WINDOWS]
        width = z_train.shape[2]
        network, summary = trained_network(
            lambda: LstmAutoencoderNetwork(
                width,
                parameters.units_for(width),
                parameters.latent_size or int(np.clip(width // 2, 4, 32)),
                parameters.last_share,
            ),
            z_train,
            z_validation,
            parameters.loop(parameters.noise),
            seed=seed,
            device=device,
            progress=progress,
        )
        return scaled_core(network.core, z_validation, parameters.aggregation), summary
