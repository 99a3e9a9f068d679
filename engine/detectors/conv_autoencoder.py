"""The one-dimensional convolutional autoencoder over windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.autoencoder import residual_weight
from netsieve.engine.detectors.conv_core import ConvolutionalAutoencoderCore
from netsieve.engine.detectors.parameters import Choices, DetectorParameters, Range
from netsieve.engine.detectors.sequence_core import VALIDATION_WINDOWS, SequenceDetector, prepared_windows_float32
from netsieve.engine.detectors.sequence_parameters import AGGREGATIONS, SequenceParameters
from netsieve.engine.features.schema import FeatureSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvolutionalAutoencoderParameters(SequenceParameters):
    """How a convolutional autoencoder is built, trained and turned into a score.

    Attributes
    ----------
    units
        Widest hidden layer; the next is half as wide. None: twice the prepared columns, within 32 to 64.
    latent_size
        Width of the code at each step; None: a third of the prepared columns, within 2 to 16.
    kernel
        Records that a convolution spans, odd.
    noise, aggregation, last_share
        As for the LSTM autoencoder.
    """

    detector: ClassVar[str] = "conv_autoencoder"
    search_space: ClassVar[Mapping[str, Range | Choices]] = MappingProxyType(
        {
            "latent_size": Range(low=2, high=32, logarithmic=True, whole=True),
            "learning_rate": Range(low=5e-4, high=1e-2, logarithmic=True),
            "kernel": Choices(values=(3, 5, 7)),
            "last_share": Choices(values=(0.0, 0.5, 1.0), changes_loss=True),
            "aggregation": Choices(values=AGGREGATIONS, changes_loss=True),
        }
    )

    latent_size: int | None = None
    kernel: int = 3
    noise: tuple[float, float] | None = (0.05, 0.5)
    aggregation: Literal["sum", "log_mean"] = "log_mean"
    last_share: float = 0.5

    def __post_init__(self) -> None:
        self.check_all(
            {"aggregation": AGGREGATIONS},
            {
                "latent_size": (self.latent_size is None or self.latent_size >= 1, "at least 1"),
                "kernel": (self.kernel >= 1 and self.kernel % 2 == 1, "an odd number"),
                "noise": (
                    self.noise is None or 0 < self.noise[0] <= self.noise[1],
                    "two levels 0 < low <= high, or None",
                ),
                "last_share": (0 <= self.last_share <= 1, "a share from 0 to 1"),
            },
        )


class ConvolutionalAutoencoder(SequenceDetector):
    """Convolutions along the window with a narrow code at each step."""

    name: ClassVar[str] = "conv_autoencoder"
    parameters_class: ClassVar[type[DetectorParameters]] = ConvolutionalAutoencoderParameters

    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[ConvolutionalAutoencoderCore, dict[str, Any]]:
        """Return the trained network; ``x_validation`` stops the training and scales the residuals."""
        from netsieve.engine.detectors.conv_network import ConvolutionalNetwork
        from netsieve.engine.training.loop import reproducible, resolve_device, train_network

        parameters: ConvolutionalAutoencoderParameters = self.parameters
        z_train = prepared_windows_float32(schema, x_train, seed)
        z_validation = prepared_windows_float32(schema, x_validation, seed)[:VALIDATION_WINDOWS]
        window, width = z_train.shape[1:]
        widest = parameters.units_for(width)
        with reproducible(seed):
            network = ConvolutionalNetwork(
                width,
                (widest, max(widest // 2, 1)),
                parameters.latent_size or int(np.clip(width // 3, 2, 16)),
                kernel=parameters.kernel,
                last_share=parameters.last_share,
            )
            history = train_network(
                network,
                z_train,
                z_validation,
                parameters.loop(parameters.noise),
                device=resolve_device(device),
                progress=progress,
                objective=ConvolutionalNetwork.objective,
            )
        plain = network.core(window, np.ones(width, dtype=np.float32), parameters.aggregation)
        recorded = ~np.isnan(z_validation[:, :, 0])
        residual = (plain.rebuilt(z_validation) - z_validation)[recorded]
        return network.core(window, residual_weight(residual, "sum"), parameters.aggregation), history.summary
