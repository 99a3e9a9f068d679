"""One-class support vector machine by stochastic gradient descent, linear or over a kernel's random features."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import prepared_float32, sampled_rows
from netsieve.engine.detectors.core_detector import CoreDetector
from netsieve.engine.detectors.hyperplane import FourierHyperplane, Hyperplane
from netsieve.engine.detectors.parameters import DetectorParameters
from netsieve.engine.features.schema import FeatureSchema

FEWEST_STEPS: Final = 1_000_000
"""Small sets are gone through again until so many rows were seen."""
FEWEST_EPOCHS: Final = 10
PAIRS: Final = 5_000
"""Pairs of rows whose median distance is the kernel's width."""
NARROWEST: Final = 1e-3
"""The kernel's squared width is at least this share of the mean squared distance. Where most rows all but coincide and
a few lie far out, a narrower kernel would see nothing but rounding in those."""
LONGEST_FEATURES: Final = float(np.sqrt(2.0))
"""No vector of random Fourier features is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportParameters(DetectorParameters):
    """How a one-class support vector machine is trained.

    Attributes
    ----------
    nu
        About this share of the training rows falls beyond the hyperplane.
    features
        Random features of the kernel.
    gamma
        Of the kernel ``exp(-gamma * |a - b|**2)``; None for ``1 / (2 * median(|a - b|**2))`` over pairs of different
        training rows: the width is the median distance. At most 1000 / 2 of the mean's inverse in either case: the
        width is no smaller than a thirtieth of the root mean square distance.
    largest_training_set
        Rows beyond so many are left out, drawn at random.
    """

    nu: float = 0.1
    features: int = 512
    gamma: float | None = None
    largest_training_set: int = 50_000

    def __post_init__(self) -> None:
        self.check_support()

    def check_support(self) -> None:
        """Raise TrainingError where a value is not allowed."""
        self.check(
            conditions={
                "nu": (0 < self.nu <= 1, "a share above 0 and up to 1"),
                "features": (self.features >= 1, "at least 1"),
                "gamma": (self.gamma is None or 0 < self.gamma < np.inf, "a number above 0, or nothing"),
                "largest_training_set": (self.largest_training_set >= 20, "at least 20"),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OneClassSvmParameters(SupportParameters):
    """How the machine is trained, and over what.

    Attributes
    ----------
    kernel
        ``"gaussian"``, by random Fourier features, or ``"none"``: a hyperplane among the prepared columns themselves.
    nu, features, gamma, largest_training_set
        As in :class:`SupportParameters`.
    """

    detector: ClassVar[str] = "one_class_svm"

    kernel: Literal["gaussian", "none"] = "gaussian"

    def __post_init__(self) -> None:
        self.check(choices={"kernel": ("gaussian", "none")})
        self.check_support()


class OneClassSvm(CoreDetector):
    """The distance from the hyperplane that sets normal records apart from the origin.

    Without a kernel the hyperplane can only say that a sum of columns is small: prepared columns have their middle at
    the origin, and few sets suit it.

    References
    ----------
    Schölkopf et al., "Estimating the Support of a High-Dimensional Distribution", Neural Computation 13 (2001).
    Rahimi and Recht, "Random Features for Large-Scale Kernel Machines", NIPS 2007.
    """

    name: ClassVar[str] = "one_class_svm"
    parameters_class: ClassVar[type[DetectorParameters]] = OneClassSvmParameters

    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[Hyperplane | FourierHyperplane, dict[str, Any]]:
        """Return the hyperplane; ``x_validation`` is not used."""
        parameters: OneClassSvmParameters = self.parameters
        rows = sampled_rows(x_train, parameters.largest_training_set, seed)
        z = prepared_float32(schema, rows).astype(np.float64)
        if parameters.kernel == "gaussian":
            return fit_fourier_hyperplane(z, parameters, seed=seed)
        support = fit_support(z, parameters.nu, seed)
        normal = support.normal.astype(np.float32)
        offset = float(np.float32((z @ normal.astype(np.float64)).max()))
        return Hyperplane(normal, offset), support.summary


class Support(NamedTuple):
    """A hyperplane's normal, float64 of length 1, and how its training went."""

    normal: NDArray[np.float64]
    summary: dict[str, Any]


def fit_fourier_hyperplane(
    values: NDArray[np.float64], parameters: SupportParameters, *, seed: int
) -> tuple[FourierHyperplane, dict[str, Any]]:
    """Return a hyperplane among random features of a Gaussian kernel, and how training went.

    Parameters
    ----------
    values
        float64 ``[n, d]``, training rows.
    parameters
        Of the training.
    seed
        Of the features and the order of the rows.
    """
    from sklearn.kernel_approximation import RBFSampler

    usual, largest = kernel_gammas(values, seed)
    gamma = usual if parameters.gamma is None else min(parameters.gamma, largest)
    sampler = RBFSampler(gamma=gamma, n_components=parameters.features, random_state=seed).fit(values)
    support = fit_support(sampler.transform(values), parameters.nu, seed)
    core = FourierHyperplane(
        np.ascontiguousarray(sampler.random_weights_, dtype=np.float32),
        np.ascontiguousarray(sampler.random_offset_, dtype=np.float32),
        (support.normal * np.sqrt(2 / parameters.features)).astype(np.float32),
        LONGEST_FEATURES,
    )
    return core, {"gamma": gamma, **support.summary}


def fit_support(values: NDArray[np.float64], nu: float, seed: int) -> Support:
    """Return the normal of the hyperplane that stochastic gradient descent finds."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import SGDOneClassSVM

    with warnings.catch_warnings():
        # the last steps gain little; the summary says how many there were
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = SGDOneClassSVM(
            nu=nu,
            max_iter=max(FEWEST_EPOCHS, FEWEST_STEPS // len(values)),
            tol=1e-4,
            average=True,
            random_state=seed,
        ).fit(values)
    normal = np.asarray(fitted.coef_, dtype=np.float64).ravel()
    length = float(np.sqrt(np.square(normal).sum()))
    beyond = float((values @ normal < fitted.offset_).mean())
    return Support(normal / (length or 1.0), {"epochs": int(fitted.n_iter_), "rows_beyond": beyond})


def kernel_gammas(values: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """Return the kernel's usual and its largest gamma.

    Over pairs of different rows, ``1 / (2 * median(|a - b|**2))``, and the same of :data:`NARROWEST` of the mean, which
    bounds it; 1 and infinity where all rows are the same.
    """
    pairs = np.random.default_rng(seed).integers(len(values), size=(2, PAIRS))
    distance = np.square(values[pairs[0]] - values[pairs[1]]).sum(axis=1)
    distance = distance[distance > 0]
    if not distance.size:
        return 1.0, np.inf
    largest = float(1 / (2 * NARROWEST * distance.mean()))
    return min(float(1 / (2 * np.median(distance))), largest), largest
