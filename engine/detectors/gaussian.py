"""Normal distributions as plain arithmetic: the cores of the elliptic envelope and of Gaussian mixtures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import BASE_SCORE, View

PART_ROWS = 2_048
"""Rows whitened at a time for all parts of a mixture, so that intermediates stay small."""


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """One normal distribution over the prepared matrix; the score is ``1 + sum(((z - center) @ whitening)**2)``.

    Attributes
    ----------
    center
        float32 ``[d]``.
    whitening
        float32 ``[d, d]``, :func:`column_whitening` of a covariance: the sum is the squared Mahalanobis distance, and
        its parts belong to the columns.
    """

    view: ClassVar[View] = "prepared"

    center: NDArray[np.float32]
    whitening: NDArray[np.float32]

    def score(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores in float64, ``[n]``: the reference that exported graphs are checked against."""
        return np.asarray(BASE_SCORE + self.column_errors(z).sum(axis=1), dtype=np.float64)

    def column_errors(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return each prepared column's part of the distance, float64 ``[n, d]``."""
        centered = np.asarray(z, dtype=np.float64) - self.center
        return np.asarray(np.square(centered @ self.whitening.astype(np.float64)), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Mixture:
    """A mixture of normal distributions over the prepared matrix.

    The score is ``1 - log sum_k exp(log_height_k - distance_k / 2)``, with the squared Mahalanobis distances
    ``distance_k = sum(((z - center_k) @ whitening_k)**2)``: the negative log likelihood but for a constant, which is
    such that no score is below 1.

    Attributes
    ----------
    centers
        float32 ``[k, d]``.
    whitening
        float32 ``[k, d, d]``, or ``[k, d]`` for diagonal covariances.
    log_height
        float32 ``[k]``, logarithm of each part's share over its spread; its exponentials add up to 1.
    """

    view: ClassVar[View] = "prepared"

    centers: NDArray[np.float32]
    whitening: NDArray[np.float32]
    log_height: NDArray[np.float32]

    def score(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores in float64, ``[n]``: the reference that exported graphs are checked against."""
        z = np.asarray(z, dtype=np.float64)
        parts = [self._score(z[start : start + PART_ROWS]) for start in range(0, max(len(z), 1), PART_ROWS)]
        return np.concatenate(parts)

    def _score(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        centered = z[None] - self.centers.astype(np.float64)[:, None]
        whitening = self.whitening.astype(np.float64)
        whitened = centered * whitening[:, None] if whitening.ndim == 2 else centered @ whitening
        exponent = self.log_height[:, None] - np.square(whitened).sum(axis=2) / 2
        return np.asarray(BASE_SCORE - np.logaddexp.reduce(exponent, axis=0), dtype=np.float64)


def column_whitening(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the whitening matrix whose whitened columns are closest to the columns that they come from.

    Parameters
    ----------
    covariance
        float64 ``[d, d]``, positive definite.

    Returns
    -------
    float64 ``[d, d]``
        ``W`` with ``W @ W.T`` the inverse of the covariance.

    References
    ----------
    Garthwaite and Koch, "Evaluating the Contributions of Individual Variables to a Quadratic Form", Australian and New
    Zealand Journal of Statistics 58 (2016): the corr-max transformation.
    """
    deviation = np.sqrt(np.diag(covariance))
    variance, axes = np.linalg.eigh(covariance / np.outer(deviation, deviation))
    return np.asarray((axes / np.sqrt(variance)) @ axes.T / deviation[:, None], dtype=np.float64)
