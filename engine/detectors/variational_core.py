"""The plain arithmetic of a variational autoencoder's score on its deterministic mean path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import View
from netsieve.engine.detectors.dense_autoencoder import Aggregation, DenseLayer, forward, weighted_errors

LARGEST_LOG_VARIANCE: Final = 8.0
"""The log variance of a code is clipped to plus and minus this."""


@dataclass(frozen=True, slots=True)
class VariationalCore:
    """A trained variational autoencoder over the prepared matrix ``z`` of width ``d``.

    The encoder gives the mean ``m`` and the log variance ``v`` of a code; the decoder rebuilds ``z`` of the mean. With
    residuals ``r`` and the divergence ``k = sum(m**2 + exp(v) - v - 1)``, twice that of Kingma and Welling (2014,
    appendix B), the score is

    - ``"sum"``: ``sum_j error_weight_j * r_j**2 + k``, twice the negative evidence bound up to a constant
    - ``"log_mean"``: ``mean_j log(1 + error_weight_j * r_j**2) + log(1 + k) / d``

    with ``base_score`` added to all.

    Attributes
    ----------
    encoder, decoder
        Layers; those of the encoder end with an activation.
    mean, log_variance
        Linear layers from the encoder's output to the code.
    error_weight
        float32 ``[d]``.
    base_score
        As :func:`netsieve.engine.detectors.core.base_score_for` tells.
    """

    view: ClassVar[View] = "prepared"

    encoder: tuple[DenseLayer, ...]
    mean: DenseLayer
    log_variance: DenseLayer
    decoder: tuple[DenseLayer, ...]
    error_weight: NDArray[np.float32]
    aggregation: Aggregation = "log_mean"
    base_score: float = 0.0

    def residual(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return reconstruction minus ``z``, float64 ``[n, d]``."""
        z = np.asarray(z, dtype=np.float64)
        return np.asarray(forward(self.decoder, self.code(z)[0]) - z, dtype=np.float64)

    def divergence(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return ``k``, float64 ``[n]``."""
        return _divergence(*self.code(np.asarray(z, dtype=np.float64)))

    def column_errors(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return each prepared column's part of the score before the divergence, float64 ``[n, d]``."""
        return weighted_errors(self.residual(z), self.error_weight, self.aggregation)

    def score(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores in float64, ``[n]``."""
        z = np.asarray(z, dtype=np.float64)
        mean, log_variance = self.code(z)
        errors = weighted_errors(forward(self.decoder, mean) - z, self.error_weight, self.aggregation)
        divergence = _divergence(mean, log_variance)
        if self.aggregation == "log_mean":
            divergence = np.log1p(divergence) / z.shape[1]
        return np.asarray(self.base_score + errors.sum(axis=1) + divergence, dtype=np.float64)

    def code(self, z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and log variance of the code, float64 ``[n, code]`` each."""
        hidden = forward(self.encoder, z)
        log_variance = np.clip(forward((self.log_variance,), hidden), -LARGEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)
        return forward((self.mean,), hidden), log_variance


def _divergence(mean: NDArray[np.float64], log_variance: NDArray[np.float64]) -> NDArray[np.float64]:
    parts = np.square(mean) + np.exp(log_variance) - log_variance - 1
    return np.asarray(parts.sum(axis=1), dtype=np.float64)
