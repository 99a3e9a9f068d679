"""Density of states over a variational autoencoder's statistics: records whose statistics are unusual together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import View, chunked, prepared_float32, sampled_rows
from netsieve.engine.detectors.core_detector import CoreDetector
from netsieve.engine.detectors.dose import DensityOfStatesParameters, fit_density_of_states
from netsieve.engine.detectors.hyperplane import WhitenedHyperplane
from netsieve.engine.detectors.parameters import DetectorParameters
from netsieve.engine.detectors.variational import VariationalParameters, fit_variational
from netsieve.engine.detectors.variational_core import VariationalCore
from netsieve.engine.features.schema import FeatureSchema

SMALLEST_DEVIATION: Final = 0.05
"""Statistics are logarithms or means of them: one that varies by less than so much says nothing, and float32 cannot
follow what is made of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariationalDensityParameters(DensityOfStatesParameters):
    """How the variational autoencoder, and the machine over its statistics, are trained.

    Attributes
    ----------
    hidden_layers, latent_size, divergence_weight, learning_rate, batch_size, max_draws, patience
        As in :class:`~netsieve.engine.detectors.variational.VariationalParameters`.
    regularisation, nu, features, gamma, largest_training_set
        As in :class:`~netsieve.engine.detectors.dose.DensityOfStatesParameters`.
    """

    detector: ClassVar[str] = "dose_variational"

    hidden_layers: tuple[int, ...] | None = None
    latent_size: int | None = None
    divergence_weight: float = 0.1
    learning_rate: float = 0.001
    batch_size: int = 256
    max_draws: int = 1_024_000
    patience: int = 3

    def __post_init__(self) -> None:
        DensityOfStatesParameters.__post_init__(self)
        self.network()  # checks its own

    def network(self) -> VariationalParameters:
        """Return the parameters of the autoencoder."""
        return VariationalParameters(
            hidden_layers=self.hidden_layers,
            latent_size=self.latent_size,
            divergence_weight=self.divergence_weight,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            max_draws=self.max_draws,
            patience=self.patience,
        )


@dataclass(frozen=True, slots=True)
class VariationalDensity:
    """A variational autoencoder, and a one-class machine over its statistics of a record.

    With the network's residuals ``r``, weights ``w``, mean ``m``, log variance ``v`` and divergence ``k`` (see
    :class:`~netsieve.engine.detectors.variational_core.VariationalCore`) the statistics are

    - ``log(1 + sum_j w_j * r_j**2)``: the distortion, by which the record is unlikely given its code
    - ``mean_j log(1 + w_j * r_j**2)``: the same, column by column
    - ``log(1 + k)``: the rate, by which the code leaves the known distribution
    - ``log(sum(m**2 + exp(v)))``: the cross-entropy between the two
    - ``mean(v)``: the entropy of the code

    the last two up to constants.

    Attributes
    ----------
    network
        On its deterministic mean path.
    density
        Over the five statistics.
    """

    view: ClassVar[View] = "prepared"

    network: VariationalCore
    density: WhitenedHyperplane

    def score(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores in float64, ``[n]``: the reference that exported graphs are checked against."""
        return self.density.score(variational_statistics(self.network, z))


def variational_statistics(network: VariationalCore, z: NDArray[Any]) -> NDArray[np.float64]:
    """Return the statistics of :class:`VariationalDensity`, float64 ``[n, 5]``."""
    z = np.asarray(z, dtype=np.float64)
    mean, log_variance = network.code(z)
    error = np.square(network.residual(z)) * network.error_weight
    return np.column_stack(
        [
            np.log1p(error.sum(axis=1)),
            np.log1p(error).mean(axis=1),
            np.log1p(network.divergence(z)),
            np.log((np.square(mean) + np.exp(log_variance)).sum(axis=1)),
            log_variance.mean(axis=1),
        ]
    )


class VariationalDensityOfStates(CoreDetector):
    """Density of states in the form with a one-class support vector machine, over a variational autoencoder.

    The published statistics are means over draws of the code; these are those of its mean, so that a record has one
    score.

    References
    ----------
    Morningstar et al., "Density of States Estimation for Out-of-Distribution Detection", AISTATS 2021. Highnam et al.,
    "BETH Dataset: Real Cybersecurity Data for Unsupervised Anomaly Detection Research", CEUR-WS 3095 (2021), use it so.
    """

    name: ClassVar[str] = "dose_variational"
    parameters_class: ClassVar[type[DetectorParameters]] = VariationalDensityParameters

    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[VariationalDensity, dict[str, Any]]:
        """Return network and machine; ``x_validation`` stops the network's training and scales the residuals."""
        parameters: VariationalDensityParameters = self.parameters
        network, history = fit_variational(
            schema, x_train, x_validation, parameters.network(), seed=seed, device=device, progress=progress
        )
        z = prepared_float32(schema, sampled_rows(x_train, parameters.largest_training_set, seed))
        statistics = chunked(lambda rows: variational_statistics(network, rows), z)
        density, summary = fit_density_of_states(
            statistics, parameters, seed=seed, smallest_deviation=SMALLEST_DEVIATION
        )
        return VariationalDensity(network, density), {**history, **summary}
