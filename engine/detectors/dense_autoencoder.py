"""The plain arithmetic of a dense autoencoder's score: what is exported, and its float64 reference.

A trained network reduces to this: dense layers with batch normalisation folded in, weights of the squared
residuals, and the whitening of the latent code. It knows nothing of PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import View

Activation = Literal["linear", "relu", "leaky_relu"]
Aggregation = Literal["sum", "log_mean", "absolute"]

NEGATIVE_SLOPE: Final = 0.01
"""Slope of the leaky ReLU below zero."""


@dataclass(frozen=True, slots=True)
class DenseLayer:
    """``activation(x @ weight + bias)``; weight float32 ``[inputs, outputs]``, bias float32 ``[outputs]``."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    activation: Activation


@dataclass(frozen=True, slots=True)
class DenseAutoencoder:
    """A trained dense autoencoder over the prepared matrix ``z`` of width ``d``.

    The score of a row is the aggregate of its squared residuals ``r = decode(encode(z)) - z`` and the
    squared Mahalanobis length of its latent code:

    - ``"sum"``: ``sum_j error_weight_j * r_j**2 + latent_distance``
    - ``"log_mean"``: ``mean_j log(1 + error_weight_j * r_j**2) + log(1 + latent_distance) / d``
    - ``"absolute"``: ``sum_j error_weight_j * |r_j| + latent_distance``

    where ``latent_distance = sum((code - latent_center) @ latent_whitening)**2``, or 0 without whitening. A
    ReLU network can rebuild rows far outside its training data; only the latent code then shows it. ``base_score``
    is added to all.

    Attributes
    ----------
    encoder, decoder
        Layers; the last layer of each is usually linear.
    error_weight
        float32 ``[d]``.
    latent_center, latent_whitening
        float32 ``[code]`` and ``[code, code]``, or None.
    base_score
        As :func:`netsieve.engine.detectors.core.base_score_for` tells.
    """

    view: ClassVar[View] = "prepared"

    encoder: tuple[DenseLayer, ...]
    decoder: tuple[DenseLayer, ...]
    error_weight: NDArray[np.float32]
    aggregation: Aggregation = "sum"
    latent_center: NDArray[np.float32] | None = None
    latent_whitening: NDArray[np.float32] | None = None
    base_score: float = 0.0

    def code(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return the latent code, float64 ``[n, code]``."""
        return forward(self.encoder, np.asarray(z, dtype=np.float64))

    def residual(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return reconstruction minus ``z``, float64 ``[n, d]``."""
        z = np.asarray(z, dtype=np.float64)
        return np.asarray(forward(self.decoder, self.code(z)) - z, dtype=np.float64)

    def column_errors(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return each prepared column's part of the score before the latent part, float64 ``[n, d]``."""
        return self._errors_and_code(z)[0]

    def score(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores in float64, ``[n]``: the reference that exported graphs are checked against."""
        errors, code = self._errors_and_code(z)
        distance = np.zeros(len(errors))
        if self.latent_center is not None and self.latent_whitening is not None:
            whitened = (code - self.latent_center) @ self.latent_whitening.astype(np.float64)
            distance = np.square(whitened).sum(axis=1)
        if self.aggregation == "log_mean":
            distance = np.log1p(distance) / errors.shape[1]
        return np.asarray(self.base_score + errors.sum(axis=1) + distance, dtype=np.float64)

    def _errors_and_code(self, z: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        z = np.asarray(z, dtype=np.float64)
        code = forward(self.encoder, z)
        return weighted_errors(forward(self.decoder, code) - z, self.error_weight, self.aggregation), code


def weighted_errors(
    residual: NDArray[np.float64], weight: NDArray[np.float32], aggregation: Aggregation
) -> NDArray[np.float64]:
    """Return what each column's residual adds to a score, float64 ``[n, d]``; see :class:`DenseAutoencoder`."""
    if aggregation == "absolute":
        return np.asarray(np.abs(residual) * weight, dtype=np.float64)
    errors = np.square(residual) * weight
    if aggregation == "log_mean":
        errors = np.log1p(errors) / residual.shape[1]
    return np.asarray(errors, dtype=np.float64)


def forward(layers: tuple[DenseLayer, ...], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what layers make of ``values`` ``[n, inputs]``, float64 ``[n, outputs]``."""
    for layer in layers:
        values = values @ layer.weight.astype(np.float64) + layer.bias.astype(np.float64)
        if layer.activation != "linear":
            values = np.where(
                values > 0, values, values * (NEGATIVE_SLOPE if layer.activation == "leaky_relu" else 0.0)
            )
    return values
