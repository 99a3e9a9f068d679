"""The plain arithmetic of a convolutional autoencoder's score over prepared windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import View
from netsieve.engine.detectors.dense_autoencoder import Aggregation
from netsieve.engine.detectors.sequence_core import shown, window_errors


@dataclass(frozen=True, slots=True)
class ConvolutionLayer:
    """A convolution along the steps of a window, of odd width, with zeros beyond its ends.

    Attributes
    ----------
    weight
        float32 ``[outputs, inputs, width]``.
    bias
        float32 ``[outputs]``.
    rectified
        Whether a ReLU follows.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    rectified: bool

    def applied(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the layer makes of ``values`` ``[n, steps, inputs]``, float64 ``[n, steps, outputs]``."""
        width, steps = self.weight.shape[2], values.shape[1]
        padded = np.pad(values, ((0, 0), (width // 2, width // 2), (0, 0)))
        result = np.tile(self.bias.astype(np.float64), (len(values), steps, 1))
        for offset in range(width):
            result += padded[:, offset : offset + steps] @ self.weight[:, :, offset].T.astype(np.float64)
        return np.maximum(result, 0.0) if self.rectified else result


@dataclass(frozen=True, slots=True)
class ConvolutionalAutoencoderCore:
    """A trained convolutional autoencoder over prepared windows of ``d`` columns.

    The layers see each step's columns and whether it is a record, and a step of padding is set to 0 after each layer:
    it is then the same as what lies beyond the window's end. The score is that of
    :class:`~netsieve.engine.detectors.lstm_cores.LstmAutoencoderCore`.

    Attributes
    ----------
    window
        Records in a window.
    layers
        From ``d + 1`` columns through the code, the narrowest layer, to ``d`` columns.
    error_weight
        float32 ``[d]``.
    """

    view: ClassVar[View] = "prepared"

    window: int
    layers: tuple[ConvolutionLayer, ...]
    error_weight: NDArray[np.float32]
    aggregation: Aggregation = "log_mean"
    last_share: float = 0.5

    def rebuilt(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return windows as they are rebuilt, float64 ``[n, window, d]``; padded steps are of no meaning."""
        z = np.asarray(z, dtype=np.float64)
        recorded = (~np.isnan(z[:, :, :1])).astype(np.float64)
        values = np.concatenate([shown(z), recorded], axis=2)
        for layer in self.layers:
            values = layer.applied(values) * recorded
        return values

    def column_errors(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return each step's and column's part of the score, float64 ``[n, window, d]``."""
        z = np.asarray(z, dtype=np.float64)
        return window_errors(self.rebuilt(z), z, self.error_weight, self.aggregation, self.last_share)

    def score(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores of prepared windows, float64 ``[n]``."""
        return np.asarray(self.column_errors(z).sum(axis=(1, 2)), dtype=np.float64)
