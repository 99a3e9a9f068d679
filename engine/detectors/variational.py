"""The variational autoencoder: its code is held to a known distribution, and records that leave it are odd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.autoencoder import residual_weight
from netsieve.engine.detectors.core import base_score_for, chunked, prepared_float32, sampled_rows
from netsieve.engine.detectors.core_detector import CoreDetector
from netsieve.engine.detectors.parameters import Choices, DetectorParameters, Range
from netsieve.engine.detectors.variational_core import VariationalCore
from netsieve.engine.features.preprocessing import prepared_columns
from netsieve.engine.features.schema import FeatureSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class VariationalParameters(DetectorParameters):
    """How a variational autoencoder is built, trained and turned into a score.

    Attributes
    ----------
    hidden_layers, latent_size
        As in :class:`~netsieve.engine.detectors.autoencoder_parameters.AutoencoderParameters`.
    divergence_weight
        Weight of the divergence beside the squared error in training (the beta of a beta-VAE).
    learning_rate, batch_size, max_draws, patience
        As for the autoencoder.
    aggregation
        See :class:`~netsieve.engine.detectors.variational_core.VariationalCore`.
    """

    detector: ClassVar[str] = "variational"
    search_space: ClassVar[Mapping[str, Range | Choices]] = MappingProxyType(
        {
            "latent_size": Range(low=2, high=32, logarithmic=True, whole=True),
            "learning_rate": Range(low=3e-4, high=5e-3, logarithmic=True),
            # the weighted divergence is part of the loss: the least weight would always win
            "divergence_weight": Range(low=0.01, high=1.0, logarithmic=True, changes_loss=True),
            "aggregation": Choices(values=("log_mean", "sum"), changes_loss=True),
        }
    )

    hidden_layers: tuple[int, ...] | None = None
    latent_size: int | None = None
    divergence_weight: float = 0.1
    learning_rate: float = 0.001
    batch_size: int = 256
    max_draws: int = 1_024_000
    patience: int = 3
    aggregation: Literal["sum", "log_mean"] = "log_mean"

    def __post_init__(self) -> None:
        self.check(
            {"aggregation": ("sum", "log_mean")},
            {
                "hidden_layers": (
                    self.hidden_layers is None
                    or (len(self.hidden_layers) > 0 and all(width >= 1 for width in self.hidden_layers)),
                    "at least one width, each at least 1",
                ),
                "latent_size": (self.latent_size is None or self.latent_size >= 1, "at least 1"),
                "divergence_weight": (self.divergence_weight > 0, "above 0"),
                "learning_rate": (self.learning_rate > 0, "above 0"),
                "batch_size": (self.batch_size >= 2, "at least 2"),
                "max_draws": (self.max_draws >= 1, "at least 1"),
                "patience": (self.patience >= 1, "at least 1"),
            },
        )


class Variational(CoreDetector):
    """A variational autoencoder over prepared records.

    References
    ----------
    Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014. Higgins et al., "beta-VAE", ICLR 2017.
    """

    name: ClassVar[str] = "variational"
    parameters_class: ClassVar[type[DetectorParameters]] = VariationalParameters

    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[VariationalCore, dict[str, Any]]:
        """Return the trained network; ``x_validation`` stops the training and scales the residuals."""
        return fit_variational(
            schema, x_train, x_validation, self.parameters, seed=seed, device=device, progress=progress
        )


def fit_variational(
    schema: FeatureSchema,
    x_train: NDArray[np.float32],
    x_validation: NDArray[np.float32],
    parameters: VariationalParameters,
    *,
    seed: int,
    device: str,
    progress: bool,
) -> tuple[VariationalCore, dict[str, Any]]:
    """Return a trained network, and how training went; parameters as for :meth:`Variational.fit`."""
    from netsieve.engine.detectors.variational_network import VariationalNetwork
    from netsieve.engine.training.loop import LoopParameters, reproducible, resolve_device, train_network

    loop: dict[str, Any] = {"noise": None, "loss": "mse", "weight_decay": 0.0, "scheduler": "cosine"}
    loop |= {f.name: getattr(parameters, f.name) for f in fields(LoopParameters) if f.name not in loop}
    z_train = prepared_float32(schema, sampled_rows(x_train, parameters.max_draws, seed))
    z_validation = prepared_float32(schema, x_validation)
    width = len(prepared_columns(schema))
    widest = int(np.clip(2 * width, 32, 128))
    with reproducible(seed):
        network = VariationalNetwork(
            width,
            parameters.hidden_layers or (widest, widest // 2),
            parameters.latent_size or int(np.clip(width // 3, 2, 16)),
            parameters.divergence_weight,
        )
        history = train_network(
            network,
            z_train,
            z_validation,
            LoopParameters(**loop),
            device=resolve_device(device),
            progress=progress,
            objective=VariationalNetwork.objective,
        )
    plain = network.core(np.ones(width, dtype=np.float32), parameters.aggregation)
    weight = residual_weight(chunked(plain.residual, z_validation), parameters.aggregation)
    core = network.core(weight, parameters.aggregation)
    return replace(core, base_score=base_score_for(chunked(core.score, z_validation))), history.summary
