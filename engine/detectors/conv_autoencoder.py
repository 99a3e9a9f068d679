"""The one-dimensional convolutional autoencoder over windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.conv_core import ConvolutionalAutoencoderCore
from netsieve.engine.detectors.parameters import Choices, DetectorParameters, Range
from netsieve.engine.detectors.sequence_core import VALIDATION_WINDOWS, SequenceDetector, prepared_windows_float32
from netsieve.engine.detectors.sequence_parameters import AGGREGATIONS, RebuildingParameters
from netsieve.engine.detectors.sequence_training import scaled_core, trained_network
from netsieve.engine.features.schema import FeatureSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvolutionalAutoencoderParameters(RebuildingParameters):
    """How a convolutional autoencoder is built, trained and turned into a score.

    Attributes
    ----------
    units
        Widest hidden layer; the next is half as wide. None: twice the prepared columns, within 32 to 64.
    latent_size
        Width of the code at each step; None: a third of the prepared columns, within 2 to 16.
    kernel
        Records that a convolution spans, odd.
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

    kernel: int = 3

    def __post_init__(self) -> None:
        self.check_rebuilding({"kernel": (self.kernel >= 1 and self.kernel % 2 == 1, "an odd number")})


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

        parameters: ConvolutionalAutoencoderParameters = self.parameters
        z_train = prepared_windows_float32(schema, x_train, seed)
        z_validation = prepared_windows_float32(schema, x_validation, seed)[:VALIDATION_WINDOWS]
        width = z_train.shape[2]
        widest = parameters.units_for(width)
        network, summary = trained_network(
            lambda: ConvolutionalNetwork(
                width,
                (widest, max(widest // 2, 1)),
                parameters.latent_size or int(np.clip(width // 3, 2, 16)),
                kernel=parameters.kernel,
                last_share=parameters.last_share,
            ),
            z_train,
            z_validation,
            parameters.loop(parameters.noise),
            seed=seed,
            device=device,
            progress=progress,
        )
        return scaled_core(network.core, z_validation, parameters.aggregation), summary
