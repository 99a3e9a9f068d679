"""The PyTorch form of the variational autoencoder. Importing this module imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netsieve.engine.detectors.dense_autoencoder import Aggregation
from netsieve.engine.detectors.dense_network import plain_layer, plain_layers
from netsieve.engine.detectors.variational_core import LARGEST_LOG_VARIANCE, VariationalCore


class VariationalNetwork(nn.Module):
    """Encoder ``width - hidden...``, mean and log variance of the code, and the mirrored decoder.

    Parameters
    ----------
    width
        Columns of the prepared matrix ``z``.
    hidden_layers
        Widths of the encoder's hidden layers, from the input on; ReLU follows each.
    latent_size
        Width of the code.
    divergence_weight
        Weight of the divergence in the objective.
    """

    def __init__(self, width: int, hidden_layers: Sequence[int], latent_size: int, divergence_weight: float) -> None:
        super().__init__()
        self.divergence_weight = divergence_weight
        self.encoder = nn.Sequential(*_activated([width, *hidden_layers]))
        self.mean = nn.Linear(hidden_layers[-1], latent_size)
        self.log_variance = nn.Linear(hidden_layers[-1], latent_size)
        self.decoder = nn.Sequential(
            *_activated([latent_size, *reversed(hidden_layers)]), nn.Linear(hidden_layers[0], width)
        )

    def code(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of the code, ``[n, latent_size]`` each."""
        hidden = self.encoder(z)
        limit = LARGEST_LOG_VARIANCE
        return self.mean(hidden), torch.clamp(self.log_variance(hidden), -limit, limit)

    def forward(self, z: Tensor) -> Tensor:
        """Return the reconstruction of the mean, ``[n, width]``."""
        return cast(Tensor, self.decoder(self.code(z)[0]))

    @staticmethod
    def objective(network: nn.Module, disturbed: Tensor, clean: Tensor) -> Tensor:
        """Return the mean squared error and weighted divergence a column; the code is drawn in training only."""
        assert isinstance(network, VariationalNetwork)
        mean, log_variance = network.code(disturbed)
        drawn = mean
        if network.training:
            drawn = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        error = torch.square(network.decoder(drawn) - clean).mean()
        divergence = (torch.square(mean) + torch.exp(log_variance) - log_variance - 1).sum(dim=1).mean()
        return error + network.divergence_weight * divergence / clean.shape[1]

    def core(self, error_weight: NDArray[np.float32], aggregation: Aggregation) -> VariationalCore:
        """Return the network as plain weights."""
        return VariationalCore(
            encoder=plain_layers(self.encoder),
            mean=plain_layer(self.mean, "linear"),
            log_variance=plain_layer(self.log_variance, "linear"),
            decoder=plain_layers(self.decoder),
            error_weight=error_weight,
            aggregation=aggregation,
        )


def _activated(widths: Sequence[int]) -> list[nn.Module]:
    return [module for inputs, outputs in pairwise(widths) for module in (nn.Linear(inputs, outputs), nn.ReLU())]
