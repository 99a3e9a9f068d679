"""The PyTorch form of the dense autoencoder, and how it becomes plain weights.

Importing this module imports torch; :mod:`netsieve.engine.detectors.autoencoder` does so only when it trains.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from netsieve.engine.detectors.dense_autoencoder import NEGATIVE_SLOPE, Activation, DenseLayer


class DenseNetwork(nn.Module):
    """Encoder ``width - hidden... - latent`` and the mirrored decoder; code and output are linear.

    Parameters
    ----------
    width
        Columns of the prepared matrix ``z``.
    hidden_layers
        Widths of the encoder's hidden layers, from the input on.
    latent_size
        Width of the code.
    activation, normalization, dropout
        Of the hidden layers: linear, then batch normalisation, then activation, then dropout.
    """

    def __init__(
        self,
        width: int,
        hidden_layers: Sequence[int],
        latent_size: int,
        *,
        activation: Literal["relu", "leaky_relu"],
        normalization: Literal["batch", "none"],
        dropout: float,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.encoder = self._stack([width, *hidden_layers, latent_size], normalization, dropout)
        self.decoder = self._stack([latent_size, *reversed(hidden_layers), width], normalization, dropout)

    def _stack(self, widths: Sequence[int], normalization: str, dropout: float) -> nn.Sequential:
        modules: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            modules.append(nn.Linear(inputs, outputs))
            if i == len(widths) - 2:
                break
            if normalization == "batch":
                modules.append(nn.BatchNorm1d(outputs))
            modules.append(nn.ReLU() if self.activation == "relu" else nn.LeakyReLU(NEGATIVE_SLOPE))
            if dropout > 0:
                modules.append(nn.Dropout(dropout))
        return nn.Sequential(*modules)

    def forward(self, z: Tensor) -> Tensor:
        """Return the reconstruction of ``z``, ``[n, width]``."""
        return cast(Tensor, self.decoder(self.encoder(z)))

    def folded_layers(self) -> tuple[tuple[DenseLayer, ...], tuple[DenseLayer, ...]]:
        """Return encoder and decoder as plain layers, batch normalisation folded into the weights before it."""
        return self._fold(self.encoder), self._fold(self.decoder)

    def _fold(self, stack: nn.Sequential) -> tuple[DenseLayer, ...]:
        layers: list[DenseLayer] = []
        modules = [module for module in stack if not isinstance(module, nn.Dropout)]
        for i, module in enumerate(modules):
            if not isinstance(module, nn.Linear):
                continue
            weight, bias = _float64(module.weight).T, _float64(module.bias)
            following = modules[i + 1] if i + 1 < len(modules) else None
            if isinstance(following, nn.BatchNorm1d):
                mean, variance = cast(Tensor, following.running_mean), cast(Tensor, following.running_var)
                gain = _float64(following.weight) / np.sqrt(_float64(variance) + following.eps)
                weight, bias = weight * gain, (bias - _float64(mean)) * gain + _float64(following.bias)
            activation: Activation = "linear" if following is None else self.activation
            layers.append(
                DenseLayer(np.ascontiguousarray(weight, dtype=np.float32), bias.astype(np.float32), activation)
            )
        return tuple(layers)


def _float64(tensor: Tensor) -> NDArray[np.float64]:
    return np.asarray(tensor.detach().cpu().numpy(), dtype=np.float64)


def plain_layers(stack: nn.Sequential) -> tuple[DenseLayer, ...]:
    """Return linear layers and the ReLUs behind them, if there are any, as plain weights."""
    return tuple(
        plain_layer(module, "linear" if following is None else "relu")
        for module, following in pairwise([*stack, None])
        if isinstance(module, nn.Linear)
    )


def plain_layer(module: nn.Linear, activation: Activation) -> DenseLayer:
    """Return one linear layer as plain weights."""
    weight, bias = module.weight.detach().cpu().numpy(), module.bias.detach().cpu().numpy()
    return DenseLayer(np.ascontiguousarray(weight.T, dtype=np.float32), bias.astype(np.float32), activation)
