"""The LSTM autoencoder: rebuilds windows of normal records well, and others badly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.autoencoder import residual_weight
from netsieve.engine.detectors.lstm_cores import LstmAutoencoderCore
from netsieve.engine.detectors.parameters import Choices, DetectorParameters, Range
from netsieve.engine.detectors.sequence_core import VALIDATION_WINDOWS, SequenceDetector, prepared_windows_float32
from netsieve.engine.detectors.sequence_parameters import AGGREGATIONS, SequenceParameters
from netsieve.engine.features.schema import FeatureSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class LstmAutoencoderParameters(SequenceParameters):
    """How an LSTM autoencoder is built, trained and turned into a score.

    Attributes
    ----------
    latent_size
        Length of the code; None: half of the prepared columns, within 4 to 32.
    noise
        Range of the Gaussian noise level of denoising training, one level a window, in deviations; None: no noise.
    aggregation, last_share
        See :class:`~netsieve.engine.detectors.lstm_cores.LstmAutoencoderCore`. A score belongs to the last record of
        its window, which by default makes up half of it; with ``last_share`` 1 the others are only context.
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

    latent_size: int | None = None
    noise: tuple[float, float] | None = (0.05, 0.5)
    aggregation: Literal["sum", "log_mean"] = "log_mean"
    last_share: float = 0.5

    def __post_init__(self) -> None:
        self.check_all(
            {"aggregation": AGGREGATIONS},
            {
                "latent_size": (self.latent_size is None or self.latent_size >= 1, "at least 1"),
                "noise": (
                    self.noise is None or 0 < self.noise[0] <= self.noise[1],
                    "two levels 0 < low <= high, or None",
                ),
                "last_share": (0 <= self.last_share <= 1, "a share from 0 to 1"),
            },
        )


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
        from netsieve.engine.training.loop import reproducible, resolve_device, train_network

        parameters: LstmAutoencoderParameters = self.parameters
        z_train = prepared_windows_float32(schema, x_train, seed)
        z_validation = prepared_windows_float32(schema, x_validation, seed)[:VALIDATION_WINDOWS]
        window, width = z_train.shape[1:]
        with reproducible(seed):
            network = LstmAutoencoderNetwork(
                width,
                parameters.units_for(width),
                parameters.latent_size or int(np.clip(width // 2, 4, 32)),
                parameters.last_share,
            )
            history = train_network(
                network,
                z_train,
                z_validation,
                parameters.loop(parameters.noise),
                device=resolve_device(device),
                progress=progress,
                objective=LstmAutoencoderNetwork.objective,
            )
        plain = network.core(window, np.ones(width, dtype=np.float32), parameters.aggregation)
        recorded = ~np.isnan(z_validation[:, :, 0])
        residual = (plain.rebuilt(z_validation) - z_validation)[recorded]
        return network.core(window, residual_weight(residual, "sum"), parameters.aggregation), history.summary
