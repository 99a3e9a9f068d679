"""Hyperplanes of one-class support vector machines as plain arithmetic: the cores of the linear and the kernel one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import View


@dataclass(frozen=True, slots=True)
class Hyperplane:
    """A hyperplane in the prepared matrix; the score is ``offset - z @ normal``, the distance on its far side.

    Attributes
    ----------
    normal
        float32 ``[d]``, of length 1, or 0 where training found no direction.
    offset
        Largest projection of a training row on the normal, so that most normal records score above zero.
    """

    view: ClassVar[View] = "prepared"

    normal: NDArray[np.float32]
    offset: float

    def score(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores in float64, ``[n]``: the reference that exported graphs are checked against."""
        return np.asarray(self.offset + self.column_errors(z).sum(axis=1), dtype=np.float64)

    def column_errors(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return each prepared column's part of the score without the offset, float64 ``[n, d]``; of either sign."""
        return np.asarray(-np.asarray(z, dtype=np.float64) * self.normal, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class FourierHyperplane:
    """A hyperplane among random Fourier features, which stand for a Gaussian kernel.

    The score of a row of values is ``offset - cos(values @ frequency + phase) @ normal``.

    Attributes
    ----------
    frequency
        float32 ``[d, m]``.
    phase
        float32 ``[m]``.
    normal
        float32 ``[m]``, with the features' own factor ``sqrt(2 / m)``.
    offset
        Larger than any projection, so that no score is near zero.
    """

    view: ClassVar[View] = "prepared"

    frequency: NDArray[np.float32]
    phase: NDArray[np.float32]
    normal: NDArray[np.float32]
    offset: float

    def score(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores in float64, ``[n]``: the reference that exported graphs are checked against."""
        angle = np.asarray(values, dtype=np.float64) @ self.frequency.astype(np.float64) + self.phase
        return np.asarray(self.offset - np.cos(angle) @ self.normal.astype(np.float64), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class WhitenedHyperplane:
    """Whitening of values, then a :class:`FourierHyperplane`.

    Attributes
    ----------
    center
        float32 ``[s]``.
    whitening
        float32 ``[s, p]``, from ``s`` statistics to ``p`` principal components of variance 1.
    limit
        Components beyond plus or minus this count as if they were there: far out is far out.
    hyperplane
        Among the features of the components.
    """

    view: ClassVar[View] = "prepared"

    center: NDArray[np.float32]
    whitening: NDArray[np.float32]
    limit: float
    hyperplane: FourierHyperplane

    def score(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores of statistics ``[n, s]`` in float64, ``[n]``: the reference of exported graphs."""
        return self.hyperplane.score(self.components(values))

    def components(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the whitened components, float64 ``[n, p]``."""
        centered = np.asarray(values, dtype=np.float64) - self.center
        return np.asarray(
            np.clip(centered @ self.whitening.astype(np.float64), -self.limit, self.limit), dtype=np.float64
        )
