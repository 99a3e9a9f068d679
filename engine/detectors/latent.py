"""Whitening of a latent code, so that its squared length is a Mahalanobis distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMALLEST_VARIANCE = 1e-6
"""Floor of an eigenvalue, as a share of the mean variance: a dead unit of the code must not divide by zero."""


def latent_whitening(code: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return centre and whitening matrix ``W``: ``sum(((code - center) @ W)**2)`` is the Mahalanobis distance.

    Parameters
    ----------
    code
        float64 ``[n, size]``, latent codes of normal rows, n at least 1.

    Returns
    -------
    center
        float32 ``[size]``.
    whitening
        float32 ``[size, size]``.
    """
    center = code.mean(axis=0)
    covariance = shrunk_covariance(code)
    variance, axes = np.linalg.eigh(covariance)
    floor = max(SMALLEST_VARIANCE * float(np.trace(covariance)) / len(covariance), SMALLEST_VARIANCE)
    whitening = axes / np.sqrt(np.maximum(variance, floor))
    return center.astype(np.float32), np.ascontiguousarray(whitening, dtype=np.float32)


def shrunk_covariance(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the covariance of ``values`` ``[n, size]``, shrunk towards a multiple of the identity.

    References
    ----------
    Ledoit and Wolf, "A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices", Journal of
    Multivariate Analysis 88 (2004), equations 14 and lemma 3.2 to 3.4.
    """
    n, size = values.shape
    centered = values - values.mean(axis=0)
    sample = centered.T @ centered / n
    target = float(np.trace(sample)) / size
    distance = float(np.square(sample).sum()) / size - target**2
    # mean over rows of the squared distance between a row's outer product and the sample covariance
    spread = (float((np.square(np.square(centered).sum(axis=1))).sum()) / n - float(np.square(sample).sum())) / (
        n * size
    )
    shrinkage = 0.0 if distance <= 0 else min(1.0, max(0.0, spread / distance))
    return np.asarray((1 - shrinkage) * sample + shrinkage * target * np.eye(size), dtype=np.float64)
