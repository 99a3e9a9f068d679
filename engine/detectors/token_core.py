"""The plain arithmetic of an LSTM over the values of one category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import BASE_SCORE, View
from netsieve.engine.detectors.dense_autoencoder import DenseLayer, forward
from netsieve.engine.detectors.lstm_layer import LstmLayer
from netsieve.engine.detectors.sequence_core import PADDING


@dataclass(frozen=True, slots=True)
class TokenCore:
    """A trained language model of a category's codes.

    The score of a window is ``1 - log p(last code | the codes before it)``, in nats: the 1 is there because what is
    nearly certain scores nearly 0, where float32 would keep no digits. Missing and unknown are codes like others.

    Attributes
    ----------
    window
        Codes in a window, the last one among them.
    feature
        Column of the category in the encoded matrix.
    embedding
        float32 ``[codes, size]``.
    memory
        Layer over the embedded codes before the last.
    output
        From the state to a logit for each code.
    """

    view: ClassVar[View] = "codes"

    window: int
    feature: int
    embedding: NDArray[np.float32]
    memory: LstmLayer
    output: DenseLayer

    def log_likelihood(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the log-likelihood of each code as the last of a window ``[n, window]``, float64 ``[n, codes]``."""
        past = codes[:, :-1]
        state = self.memory.last_state(self.embedding[np.maximum(past, 0)], past != PADDING)
        logits = forward((self.output,), state)
        logits -= logits.max(axis=1, keepdims=True)
        return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), dtype=np.float64)

    def score(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the scores of windows of codes, float64 ``[n]``."""
        likelihood = self.log_likelihood(codes)
        return np.asarray(BASE_SCORE - likelihood[np.arange(len(codes)), codes[:, -1]], dtype=np.float64)
