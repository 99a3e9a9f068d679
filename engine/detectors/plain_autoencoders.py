"""Two autoencoders as they are often built: on columns as they come, judged by their mean absolute error.

They are here to be compared with. Neither scales a column by its own spread nor weighs a residual by its usual size,
so that the columns with the largest numbers decide alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from netsieve.engine.detectors.autoencoder import Autoencoder
from netsieve.engine.detectors.autoencoder_parameters import AutoencoderParameters
from netsieve.engine.detectors.parameters import DetectorParameters

DEEP_SHARES = (0.75, 0.5, 0.33, 0.25)
"""Widths of the deep encoder's layers as shares of the columns (Meidan et al., "N-BaIoT", IEEE Pervasive Computing
17(3), 2018)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleAutoencoderParameters(AutoencoderParameters):
    """Those of the dense autoencoder with other defaults: one layer each way, mean absolute error, no noise."""

    detector: ClassVar[str] = "autoencoder_simple"

    hidden_layers: tuple[int, ...] | None = ()
    noise: tuple[float, float] | None = None
    loss: Literal["mse", "huber", "mae"] = "mae"
    weight_decay: float = 0.0
    scheduler: Literal["cosine", "plateau", "constant"] = "constant"
    aggregation: Literal["sum", "log_mean", "absolute", "mean_squared", "mean_absolute"] = "mean_absolute"
    latent_distance: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepAutoencoderParameters(SimpleAutoencoderParameters):
    """Those of the simple autoencoder, with the layers of :data:`DEEP_SHARES` each way."""

    detector: ClassVar[str] = "autoencoder_deep"

    hidden_layers: tuple[int, ...] | None = None


class SimpleAutoencoder(Autoencoder):
    """One layer to the code and one back, on columns scaled to their range."""

    name: ClassVar[str] = "autoencoder_simple"
    parameters_class: ClassVar[type[DetectorParameters]] = SimpleAutoencoderParameters


class DeepAutoencoder(Autoencoder):
    """Four layers to the code and four back, on columns that are not scaled."""

    name: ClassVar[str] = "autoencoder_deep"
    parameters_class: ClassVar[type[DetectorParameters]] = DeepAutoencoderParameters

    def default_widths(self, width: int) -> tuple[tuple[int, ...], int]:
        """Return widths of the hidden layers and of the code for so many prepared columns."""
        *hidden, code = (max(1, round(share * width)) for share in DEEP_SHARES)
        return tuple(hidden), code
