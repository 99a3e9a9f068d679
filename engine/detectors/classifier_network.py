"""The PyTorch form of the classifier. Importing this module imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from netsieve.engine.detectors.dense_autoencoder import DenseLayer
from netsieve.engine.detectors.dense_network import plain_layers


class ClassifierNetwork(nn.Module):
    """Layers ``width - hidden... - 1``, ReLU between them.

    Parameters
    ----------
    width, hidden_layers
        Columns of the prepared matrix, and widths of the hidden layers.
    share
        Share of attacks among the training rows: classes are weighed as if there were as many of each.
    """

    def __init__(self, width: int, hidden_layers: Sequence[int], *, share: float) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        for inputs, outputs in pairwise([width, *hidden_layers]):
            modules += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.stack = nn.Sequential(*modules, nn.Linear(hidden_layers[-1], 1))
        self.share = share

    def forward(self, z: Tensor) -> Tensor:
        """Return the log-odds ``[n]`` of the classes weighed alike."""
        logits: Tensor = self.stack(z)[:, 0]
        return logits

    @staticmethod
    def objective(network: nn.Module, rows: Tensor, _clean: Tensor) -> Tensor:
        """Return the balanced cross entropy of rows whose last column is the class."""
        assert isinstance(network, ClassifierNetwork)
        kind = rows[:, -1]
        weight = kind / network.share + (1 - kind) / (1 - network.share)
        return nn.functional.binary_cross_entropy_with_logits(network(rows[:, :-1]), kind, weight=weight) / 2

    def layers(self) -> tuple[DenseLayer, ...]:
        """Return the network as plain weights."""
        return plain_layers(self.stack)
