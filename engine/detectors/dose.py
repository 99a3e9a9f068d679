"""Density of states: a one-class machine over whitened statistics of records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import prepared_float32, sampled_rows
from netsieve.engine.detectors.core_detector import CoreDetector
from netsieve.engine.detectors.hyperplane import WhitenedHyperplane
from netsieve.engine.detectors.one_class_svm import SupportParameters, fit_fourier_hyperplane
from netsieve.engine.detectors.parameters import DetectorParameters
from netsieve.engine.features.schema import FeatureSchema

COMPONENT_LIMIT: Final = 10.0
"""Whitened components are cut here, in standard deviations, as far as prepared columns reach before the soft clip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DensityOfStatesParameters(SupportParameters):
    """How the statistics are whitened, and how the machine over them is trained.

    Attributes
    ----------
    regularisation
        Added to the variance of each principal component before it divides: directions that hardly vary must not
        decide alone.
    nu, features, gamma, largest_training_set
        As in :class:`~netsieve.engine.detectors.one_class_svm.SupportParameters`.
    """

    detector: ClassVar[str] = "dose"

    regularisation: float = 0.1

    def __post_init__(self) -> None:
        self.check(conditions={"regularisation": (1e-3 <= self.regularisation <= 1e3, "a number from 0.001 to 1000")})
        self.check_support()


class DensityOfStates(CoreDetector):
    """Whitened principal components of the prepared matrix, and a one-class support vector machine over them.

    References
    ----------
    Morningstar et al., "Density of States Estimation for Out-of-Distribution Detection", AISTATS 2021: the form with a
    one-class support vector machine. There the statistics are those of a generative model
    (:func:`fit_density_of_states`); here they are the record's own columns.
    """

    name: ClassVar[str] = "dose"
    parameters_class: ClassVar[type[DetectorParameters]] = DensityOfStatesParameters

    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[WhitenedHyperplane, dict[str, Any]]:
        """Return whitening and hyperplane; ``x_validation`` is not used."""
        parameters: DensityOfStatesParameters = self.parameters
        z = prepared_float32(schema, sampled_rows(x_train, parameters.largest_training_set, seed))
        return _fit_whitened(z.astype(np.float64), np.ones(z.shape[1]), parameters, seed)


def fit_density_of_states(
    statistics: NDArray[Any], parameters: DensityOfStatesParameters, *, seed: int, smallest_deviation: float = 0.0
) -> tuple[WhitenedHyperplane, dict[str, Any]]:
    """Return a core over any statistics of records, and how training went.

    Parameters
    ----------
    statistics
        ``[n, s]``, finite; of any units, such as a variational autoencoder's log likelihood, Kullback-Leibler
        divergence, reconstruction error and length of the code. Each is first taken in its own standard deviations.
    parameters
        Of whitening and training; ``largest_training_set`` applies.
    seed
        Of draws.
    smallest_deviation
        Statistics that vary less are taken in this deviation instead of their own.
    """
    rows = sampled_rows(np.asarray(statistics), parameters.largest_training_set, seed).astype(np.float64)
    deviation = np.maximum(rows.std(axis=0), smallest_deviation)
    return _fit_whitened(rows, np.where(deviation > 0, deviation, 1.0), parameters, seed)


def _fit_whitened(
    values: NDArray[np.float64], scale: NDArray[np.float64], parameters: DensityOfStatesParameters, seed: int
) -> tuple[WhitenedHyperplane, dict[str, Any]]:
    center = values.mean(axis=0)
    scaled = (values - center) / scale
    variance, axes = np.linalg.eigh(scaled.T @ scaled / len(values))
    spread = np.sqrt(np.maximum(variance, 0) + parameters.regularisation)
    whitening = np.ascontiguousarray(axes / scale[:, None] / spread, dtype=np.float32)
    center = center.astype(np.float32)
    components = np.clip((values - center) @ whitening.astype(np.float64), -COMPONENT_LIMIT, COMPONENT_LIMIT)
    hyperplane, summary = fit_fourier_hyperplane(components, parameters, seed=seed)
    return WhitenedHyperplane(center, whitening, COMPONENT_LIMIT, hyperplane), summary
