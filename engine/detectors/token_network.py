"""The PyTorch form of the LSTM over a category's codes. Importing this module imports torch."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from netsieve.engine.detectors.dense_network import plain_layer
from netsieve.engine.detectors.lstm_networks import counted_steps, new_memory, plain_memory, states
from netsieve.engine.detectors.sequence_core import PADDING
from netsieve.engine.detectors.token_core import TokenCore
from netsieve.engine.features.schema import UNKNOWN_CODE


class TokenNetwork(nn.Module):
    """Embedding, memory, and a logit for each code.

    Parameters
    ----------
    codes, embedding_size, units
        Number of codes, length of an embedded code and of the state.
    replaced
        Share of the codes that are shown as unknown in training: training data hold no unknown ones, but scoring has
        to go on after them.
    """

    def __init__(self, codes: int, embedding_size: int, units: int, *, replaced: float) -> None:
        super().__init__()
        self.replaced = replaced
        self.embedding = nn.Embedding(codes, embedding_size)
        self.memory = new_memory(embedding_size, units)
        self.output = nn.Linear(units, codes)

    def forward(self, codes: Tensor) -> Tensor:
        """Return the logits of each step from the codes before it, ``[n, window, codes]``."""
        after = states(self.memory, self.embedding(codes.clamp(min=0)), codes != PADDING)
        before = torch.cat([torch.zeros_like(after[:, :1]), after[:, :-1]], dim=1)
        return cast(Tensor, self.output(before))

    @staticmethod
    def objective(network: nn.Module, windows: Tensor, _clean: Tensor) -> Tensor:
        """Return the cross entropy of the predictions that count, in nats a code."""
        assert isinstance(network, TokenNetwork)
        seen, recorded = windows, windows != PADDING
        if network.training:
            replaced = (torch.rand(windows.shape, device=windows.device) < network.replaced) & recorded
            seen = torch.where(replaced, UNKNOWN_CODE, windows)
        counted = counted_steps(recorded, training=network.training)
        logits = network(seen)
        losses = nn.functional.cross_entropy(logits.flatten(0, 1), windows.clamp(min=0).flatten(), reduction="none")
        return (losses * counted.flatten()).sum() / counted.sum().clamp(min=1)

    def core(self, window: int, feature: int) -> TokenCore:
        """Return the network as plain weights."""
        return TokenCore(
            window=window,
            feature=feature,
            embedding=np.ascontiguousarray(self.embedding.weight.detach().cpu().numpy()),
            memory=plain_memory(self.memory),
            output=plain_layer(self.output, "linear"),
        )
