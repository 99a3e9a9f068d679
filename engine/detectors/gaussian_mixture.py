"""Gaussian mixture: records that a few normal distributions make unlikely are odd."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import prepared_float32, sampled_rows
from netsieve.engine.detectors.core_detector import CoreDetector
from netsieve.engine.detectors.gaussian import Mixture
from netsieve.engine.detectors.parameters import DetectorParameters
from netsieve.engine.features.schema import FeatureSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianMixtureParameters(DetectorParameters):
    """How many normal distributions are mixed, and of what shape.

    Attributes
    ----------
    components
        Normal distributions at most; fewer where there are few rows for each.
    covariance
        ``"full"``, or ``"diagonal"``: columns are independent within a component.
    regularisation
        Added to the variance of each prepared column (1 in most): columns that hardly vary must not decide alone.
    largest_step_count
        Steps of expectation maximisation at most.
    largest_training_set
        Rows beyond so many are left out, drawn at random.
    """

    detector: ClassVar[str] = "gaussian_mixture"

    components: int = 16
    covariance: Literal["full", "diagonal"] = "full"
    regularisation: float = 0.01
    largest_step_count: int = 100
    largest_training_set: int = 20_000

    def __post_init__(self) -> None:
        self.check(
            choices={"covariance": ("full", "diagonal")},
            conditions={
                "components": (self.components >= 1, "at least 1"),
                "regularisation": (1e-3 <= self.regularisation <= 1e3, "a number from 0.001 to 1000"),
                "largest_step_count": (self.largest_step_count >= 1, "at least 1"),
                "largest_training_set": (self.largest_training_set >= 20, "at least 20"),
            },
        )


class GaussianMixture(CoreDetector):
    """The negative log likelihood under a mixture of normal distributions.

    References
    ----------
    Dempster, Laird and Rubin, "Maximum Likelihood from Incomplete Data via the EM Algorithm", Journal of the Royal
    Statistical Society B 39 (1977).
    """

    name: ClassVar[str] = "gaussian_mixture"
    parameters_class: ClassVar[type[DetectorParameters]] = GaussianMixtureParameters

    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[Mixture, dict[str, Any]]:
        """Return the mixture; ``x_validation`` tells how likely held-back rows are."""
        from sklearn import mixture
        from sklearn.exceptions import ConvergenceWarning

        parameters: GaussianMixtureParameters = self.parameters
        rows = sampled_rows(x_train, parameters.largest_training_set, seed)
        z = prepared_float32(schema, rows).astype(np.float64)
        with warnings.catch_warnings():
            # a mixture whose last steps still gained a little is as good a detector; the summary tells
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = mixture.GaussianMixture(
                min(parameters.components, len(np.unique(z, axis=0))),
                covariance_type="full" if parameters.covariance == "full" else "diag",
                reg_covar=parameters.regularisation,
                max_iter=parameters.largest_step_count,
                random_state=seed,
            ).fit(z)
        core = mixture_core(fitted.weights_, fitted.means_, fitted.precisions_cholesky_)
        held_back = prepared_float32(schema, sampled_rows(x_validation, parameters.largest_training_set, seed))
        summary = {
            "components": len(core.centers),
            "steps": int(fitted.n_iter_),
            "converged": bool(fitted.converged_),
            "log_likelihood": float(fitted.score(z)),
            "validation_log_likelihood": float(fitted.score(held_back.astype(np.float64))),
        }
        return core, summary


def mixture_core(share: NDArray[np.float64], centers: NDArray[np.float64], whitening: NDArray[np.float64]) -> Mixture:
    """Return the core of a mixture.

    Parameters
    ----------
    share
        float64 ``[k]``, weights that add up to 1.
    centers
        float64 ``[k, d]``.
    whitening
        float64 ``[k, d, d]``, triangular factors ``W`` with ``W @ W.T`` the inverse covariance, or ``[k, d]``, one
        over each standard deviation.
    """
    scales = whitening if whitening.ndim == 2 else np.diagonal(whitening, axis1=1, axis2=2)
    log_height = np.log(np.maximum(share, np.finfo(np.float64).tiny)) + np.log(scales).sum(axis=1)
    log_height -= np.logaddexp.reduce(log_height)
    return Mixture(
        np.ascontiguousarray(centers, dtype=np.float32),
        np.ascontiguousarray(whitening, dtype=np.float32),
        log_height.astype(np.float32),
    )
