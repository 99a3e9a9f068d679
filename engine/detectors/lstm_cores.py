"""The plain arithmetic of LSTM detectors' scores over prepared windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import View
from netsieve.engine.detectors.dense_autoencoder import Aggregation, DenseLayer, forward, weighted_errors
from netsieve.engine.detectors.lstm_layer import LstmLayer
from netsieve.engine.detectors.sequence_core import shown, window_errors


@dataclass(frozen=True, slots=True)
class LstmAutoencoderCore:
    """A trained LSTM autoencoder over prepared windows of ``d`` columns.

    The encoder's last state becomes a code; the decoder takes the code at every step and rebuilds the window from its
    last record backwards (Srivastava et al. 2015), so that padding comes last and changes nothing. With the error
    ``e_t`` of a step, ``mean_j log(1 + error_weight_j * r_tj**2)`` or the sum of the weighted squares, the score is
    ``last_share * e_last + (1 - last_share) * mean_t e_t`` over the steps that are records.

    Attributes
    ----------
    window
        Records in a window.
    encoder, decoder
        Layers with memory.
    code, output
        From the encoder's state to the code; from the decoder's state to a record.
    error_weight
        float32 ``[d]``.
    """

    view: ClassVar[View] = "prepared"

    window: int
    encoder: LstmLayer
    code: DenseLayer
    decoder: LstmLayer
    output: DenseLayer
    error_weight: NDArray[np.float32]
    aggregation: Aggregation = "log_mean"
    last_share: float = 0.5

    def rebuilt(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return windows as they are rebuilt, float64 ``[n, window, d]``; padded steps are of no meaning."""
        z = np.asarray(z, dtype=np.float64)
        n, window, width = z.shape
        code = forward((self.code,), self.encoder.last_state(shown(z), ~np.isnan(z[:, :, 0])))
        states = self.decoder.states(np.repeat(code[:, None], window, axis=1))[:, ::-1]
        return forward((self.output,), states.reshape(n * window, -1)).reshape(n, window, width)

    def column_errors(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return each step's and column's part of the score, float64 ``[n, window, d]``."""
        z = np.asarray(z, dtype=np.float64)
        return window_errors(self.rebuilt(z), z, self.error_weight, self.aggregation, self.last_share)

    def score(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores of prepared windows, float64 ``[n]``."""
        return np.asarray(self.column_errors(z).sum(axis=(1, 2)), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class LstmPredictorCore:
    """A trained LSTM that predicts a window's last record from those before it.

    The score is the error of the prediction, ``mean_j log(1 + error_weight_j * r_j**2)`` or the sum of the weighted
    squares. The first record of an entity is predicted from the initial state.

    Attributes
    ----------
    window
        Records in a window, the predicted one among them.
    memory
        Layer over the records before the last.
    output
        From the state to a record.
    error_weight
        float32 ``[d]``.
    """

    view: ClassVar[View] = "prepared"

    window: int
    memory: LstmLayer
    output: DenseLayer
    error_weight: NDArray[np.float32]
    aggregation: Aggregation = "log_mean"

    def predicted(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return the prediction of each window's last record, float64 ``[n, d]``."""
        past = np.asarray(z, dtype=np.float64)[:, :-1]
        return forward((self.output,), self.memory.last_state(shown(past), ~np.isnan(past[:, :, 0])))

    def column_errors(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return each step's and column's part of the score, float64 ``[n, window, d]``: 0 but for the last step."""
        z = np.asarray(z, dtype=np.float64)
        errors = np.zeros(z.shape)
        errors[:, -1] = weighted_errors(self.predicted(z) - z[:, -1], self.error_weight, self.aggregation)
        return errors

    def score(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores of prepared windows, float64 ``[n]``."""
        return np.asarray(self.column_errors(z)[:, -1].sum(axis=1), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class LstmClassifierCore:
    """A trained LSTM whose last state gives the log-odds of an attack.

    Attributes
    ----------
    window
        Records in a window.
    memory
        Layer over the window.
    layers
        From the last state to one number, the score.
    """

    view: ClassVar[View] = "prepared"

    window: int
    memory: LstmLayer
    layers: tuple[DenseLayer, ...]

    def score(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores of prepared windows, float64 ``[n]``."""
        z = np.asarray(z, dtype=np.float64)
        return forward(self.layers, self.memory.last_state(shown(z), ~np.isnan(z[:, :, 0])))[:, 0]
