"""The PyTorch forms of LSTM detectors over prepared windows, padded with NaN. Importing this module imports torch."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netsieve.engine.detectors.dense_autoencoder import Aggregation
from netsieve.engine.detectors.dense_network import plain_layer, plain_layers
from netsieve.engine.detectors.lstm_cores import LstmAutoencoderCore, LstmClassifierCore, LstmPredictorCore
from netsieve.engine.detectors.lstm_layer import LstmLayer
from netsieve.engine.detectors.sequence_core import LARGEST_INPUT


def recorded_steps(z: Tensor) -> Tensor:
    """Return which steps are records, bool ``[n, window]``."""
    return ~torch.isnan(z[:, :, 0])


def shown(z: Tensor) -> Tensor:
    """Return what networks are shown of prepared windows; see :func:`netsieve.engine.detectors.sequence_core.shown`."""
    return torch.nan_to_num(torch.clamp(z, -LARGEST_INPUT, LARGEST_INPUT))


def new_memory(inputs: int, units: int) -> nn.LSTM:
    """Return a layer that at first forgets little (Jozefowicz, Zaremba and Sutskever, ICML 2015)."""
    memory = nn.LSTM(inputs, units, batch_first=True)
    with torch.no_grad():
        memory.get_parameter("bias_ih_l0")[units : 2 * units].fill_(1.0)
    return memory


def states(memory: nn.LSTM, values: Tensor, recorded: Tensor) -> Tensor:
    """Return the output after each step, ``[n, window, units]``; 0 where there is only padding so far.

    Windows are turned so that their records come first, and their outputs back again: what follows the records then
    changes nothing.
    """
    window = values.shape[1]
    padding = (~recorded).sum(dim=1, keepdim=True)
    steps = torch.arange(window, device=values.device)
    turned = torch.gather(values, 1, _index((steps + padding) % window, values.shape[2]))
    outputs = memory(turned)[0]
    outputs = torch.gather(outputs, 1, _index((steps - padding) % window, outputs.shape[2]))
    return outputs * recorded[:, :, None]


def counted_steps(recorded: Tensor, *, training: bool) -> Tensor:
    """Return which steps count in a prediction's loss, float ``[n, window]``.

    In training all records that are predicted as they would be in scoring, or from fewer records: not the first of a
    window without padding, before which there may have been others. Otherwise the last one, as in scoring.
    """
    counted = torch.zeros_like(recorded)
    counted[:, -1] = True
    if training and recorded.shape[1] > 1:
        counted = recorded.clone()
        counted[:, 0] = False
    return counted.float()


def plain_memory(memory: nn.LSTM) -> LstmLayer:
    """Return the layer as plain weights; PyTorch's gates come as input, forget, cell, output."""
    units = memory.hidden_size
    order = np.concatenate([np.arange(units) + units * gate for gate in (0, 3, 1, 2)])

    def plain(values: Tensor) -> NDArray[np.float32]:
        return np.ascontiguousarray(values.detach().cpu().numpy()[order].T, dtype=np.float32)

    return LstmLayer(
        input_weight=plain(memory.get_parameter("weight_ih_l0")),
        recurrent_weight=plain(memory.get_parameter("weight_hh_l0")),
        bias=plain(memory.get_parameter("bias_ih_l0") + memory.get_parameter("bias_hh_l0")),
    )


def reconstruction_loss(rebuilt: Tensor, clean: Tensor, last_share: float) -> Tensor:
    """Return the mean squared error, steps weighed as in the score."""
    recorded = recorded_steps(clean)
    weight = (1 - last_share) * recorded / recorded.sum(dim=1, keepdim=True)
    weight[:, -1] += last_share
    squares = torch.square(rebuilt - torch.nan_to_num(clean)).mean(dim=2)
    return (squares * weight).sum(dim=1).mean()


class LstmAutoencoderNetwork(nn.Module):
    """Encoder, code, and a decoder that rebuilds the window from its last record backwards.

    Parameters
    ----------
    width, units, latent_size
        Prepared columns, length of the states and of the code.
    last_share
        Weight of the last record.

    References
    ----------
    Srivastava, Mansimov and Salakhutdinov, "Unsupervised Learning of Video Representations using LSTMs", ICML 2015.
    """

    def __init__(self, width: int, units: int, latent_size: int, last_share: float) -> None:
        super().__init__()
        self.last_share = last_share
        self.encoder = new_memory(width, units)
        self.code = nn.Linear(units, latent_size)
        self.decoder = new_memory(latent_size, units)
        self.output = nn.Linear(units, width)

    def forward(self, z: Tensor) -> Tensor:
        """Return the windows as they are rebuilt, ``[n, window, width]``."""
        code = self.code(states(self.encoder, shown(z), recorded_steps(z))[:, -1])
        decoded = self.decoder(code[:, None].expand(-1, z.shape[1], -1))[0]
        return cast(Tensor, self.output(torch.flip(decoded, (1,))))

    @staticmethod
    def objective(network: nn.Module, disturbed: Tensor, clean: Tensor) -> Tensor:
        """Return the mean squared error of what is rebuilt of disturbed windows."""
        assert isinstance(network, LstmAutoencoderNetwork)
        return reconstruction_loss(network(disturbed), clean, network.last_share)

    def core(self, window: int, error_weight: NDArray[np.float32], aggregation: Aggregation) -> LstmAutoencoderCore:
        """Return the network as plain weights."""
        return LstmAutoencoderCore(
            window=window,
            encoder=plain_memory(self.encoder),
            code=plain_layer(self.code, "linear"),
            decoder=plain_memory(self.decoder),
            output=plain_layer(self.output, "linear"),
            error_weight=error_weight,
            aggregation=aggregation,
            last_share=self.last_share,
        )


class LstmPredictorNetwork(nn.Module):
    """Memory over the records so far, and a layer that predicts the next.

    Parameters
    ----------
    width, units
        Prepared columns, and length of the state.
    """

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.memory = new_memory(width, units)
        self.output = nn.Linear(units, width)

    def forward(self, z: Tensor) -> Tensor:
        """Return the prediction of each step from those before it, ``[n, window, width]``."""
        after = states(self.memory, shown(z), recorded_steps(z))
        before = torch.cat([torch.zeros_like(after[:, :1]), after[:, :-1]], dim=1)
        return cast(Tensor, self.output(before))

    @staticmethod
    def objective(network: nn.Module, windows: Tensor, _clean: Tensor) -> Tensor:
        """Return the mean squared error of the predictions that count."""
        assert isinstance(network, LstmPredictorNetwork)
        counted = counted_steps(recorded_steps(windows), training=network.training)
        squares = torch.square(network(windows) - torch.nan_to_num(windows)).mean(dim=2)
        return (squares * counted).sum() / counted.sum().clamp(min=1)

    def core(self, window: int, error_weight: NDArray[np.float32], aggregation: Aggregation) -> LstmPredictorCore:
        """Return the network as plain weights."""
        return LstmPredictorCore(
            window=window,
            memory=plain_memory(self.memory),
            output=plain_layer(self.output, "linear"),
            error_weight=error_weight,
            aggregation=aggregation,
        )


class LstmClassifierNetwork(nn.Module):
    """Memory over the window, a hidden layer, and the log-odds of an attack.

    Parameters
    ----------
    width, units
        Prepared columns, and length of the state.
    share
        Share of attacks among the training windows: classes are weighed as if there were as many of each.
    """

    def __init__(self, width: int, units: int, *, share: float) -> None:
        super().__init__()
        self.memory = new_memory(width, units)
        self.stack = nn.Sequential(nn.Linear(units, max(units // 2, 1)), nn.ReLU(), nn.Linear(max(units // 2, 1), 1))
        self.share = share

    def forward(self, z: Tensor) -> Tensor:
        """Return the log-odds ``[n]`` of the classes weighed alike."""
        last = states(self.memory, shown(z), recorded_steps(z))[:, -1]
        return cast(Tensor, self.stack(last)[:, 0])

    @staticmethod
    def objective(network: nn.Module, windows: Tensor, _clean: Tensor) -> Tensor:
        """Return the balanced cross entropy of windows whose last column is the class."""
        assert isinstance(network, LstmClassifierNetwork)
        kind = windows[:, -1, -1]
        weight = kind / network.share + (1 - kind) / (1 - network.share)
        return nn.functional.binary_cross_entropy_with_logits(network(windows[:, :, :-1]), kind, weight=weight) / 2

    def core(self, window: int) -> LstmClassifierCore:
        """Return the network as plain weights."""
        return LstmClassifierCore(window=window, memory=plain_memory(self.memory), layers=plain_layers(self.stack))


def _index(steps: Tensor, columns: int) -> Tensor:
    return steps[:, :, None].expand(-1, -1, columns)
