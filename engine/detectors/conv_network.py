"""The PyTorch form of the convolutional autoencoder. Importing this module imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netsieve.engine.detectors.conv_core import ConvolutionalAutoencoderCore, ConvolutionLayer
from netsieve.engine.detectors.dense_autoencoder import Aggregation
from netsieve.engine.detectors.lstm_networks import reconstruction_loss, recorded_steps, shown


class ConvolutionalNetwork(nn.Module):
    """Convolutions ``width + 1 - channels... - latent_size - ...channels - width``, ReLU between but after the code.

    Parameters
    ----------
    width
        Prepared columns.
    channels
        Widths of the encoder's hidden layers; the decoder mirrors them.
    latent_size
        Width of the code at each step.
    kernel
        Steps that a convolution spans, odd.
    last_share
        Weight of the last record.
    """

    def __init__(
        self, width: int, channels: Sequence[int], latent_size: int, *, kernel: int, last_share: float
    ) -> None:
        super().__init__()
        self.last_share = last_share
        sizes = [width + 1, *channels, latent_size, *reversed(channels), width]
        self.layers = nn.ModuleList(nn.Conv1d(a, b, kernel, padding="same") for a, b in pairwise(sizes))
        self.linear = (len(channels), len(sizes) - 2)

    def forward(self, z: Tensor) -> Tensor:
        """Return the windows as they are rebuilt, ``[n, window, width]``."""
        recorded = recorded_steps(z)[:, None].to(z.dtype)
        values = torch.cat([shown(z).transpose(1, 2), recorded], dim=1)
        for number, layer in enumerate(self.layers):
            values = layer(values)
            if number not in self.linear:
                values = torch.relu(values)
            values = values * recorded
        return values.transpose(1, 2)

    @staticmethod
    def objective(network: nn.Module, disturbed: Tensor, clean: Tensor) -> Tensor:
        """Return the mean squared error of what is rebuilt of disturbed windows."""
        assert isinstance(network, ConvolutionalNetwork)
        return reconstruction_loss(network(disturbed), clean, network.last_share)

    def core(
        self, window: int, error_weight: NDArray[np.float32], aggregation: Aggregation
    ) -> ConvolutionalAutoencoderCore:
        """Return the network as plain weights."""
        layers = []
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Conv1d)
            assert layer.bias is not None
            weight, bias = (np.ascontiguousarray(v.detach().cpu().numpy()) for v in (layer.weight, layer.bias))
            layers.append(ConvolutionLayer(weight, bias, number not in self.linear))
        return ConvolutionalAutoencoderCore(
            window=window,
            layers=tuple(layers),
            error_weight=error_weight,
            aggregation=aggregation,
            last_share=self.last_share,
        )
