"""Elliptic envelope: the Mahalanobis distance under a covariance that a few odd training records do not distort."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import prepared_float32, sampled_rows
from netsieve.engine.detectors.core_detector import CoreDetector
from netsieve.engine.detectors.gaussian import Ellipsoid, column_whitening
from netsieve.engine.detectors.parameters import DetectorParameters
from netsieve.engine.features.schema import FeatureSchema

COMMON_VALUE_SHARE: Final = 0.5
"""Columns with a single value in so many rows have no spread in the tightest half of the rows."""
SMALLEST_VARIANCE: Final = 1e-6
"""Directions of less variance, as a share of the largest, depend on others."""
TAIL: Final = 0.025
"""Rows that a normal distribution has more rarely may be left out."""
ROWS_PER_DIRECTION: Final = 5
"""The tightest half is sought in at most rows / 5 directions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EllipticEnvelopeParameters(DetectorParameters):
    """How the covariance is estimated.

    Attributes
    ----------
    support_fraction
        Share of rows whose covariance has the least determinant, at least a half; None for a little more than half.
    contamination
        At most this share of the rows counts as odd and is left out. Real records have heavier tails than a normal
        distribution: the usual cut at 97.5 % of that would leave out many.
    regularisation
        Added to the variance of each prepared column (1 in most): columns that hardly vary must not decide alone.
    largest_training_set
        Rows beyond so many are left out, drawn at random.
    """

    detector: ClassVar[str] = "elliptic_envelope"

    support_fraction: float | None = None
    contamination: float = 0.01
    regularisation: float = 0.01
    largest_training_set: int = 20_000

    def __post_init__(self) -> None:
        fraction = self.support_fraction
        self.check(
            conditions={
                "support_fraction": (fraction is None or 0.5 <= fraction <= 1, "a share from 0.5 to 1, or nothing"),
                "contamination": (0 <= self.contamination <= 0.5, "a share from 0 to 0.5"),
                "regularisation": (1e-3 <= self.regularisation <= 1e3, "a number from 0.001 to 1000"),
                "largest_training_set": (self.largest_training_set >= 20, "at least 20"),
            }
        )


class EllipticEnvelope(CoreDetector):
    """The squared Mahalanobis distance from the rows that a robust covariance keeps.

    The minimum covariance determinant is undefined where a column has one value in half of the rows, as one-hot
    columns do, or depends on others. It is therefore sought in the directions that do vary, and tells which rows are
    odd; the covariance of all columns is then that of the other rows, regularised.

    References
    ----------
    Rousseeuw and Van Driessen, "A Fast Algorithm for the Minimum Covariance Determinant Estimator", Technometrics 41
    (1999).
    """

    name: ClassVar[str] = "elliptic_envelope"
    parameters_class: ClassVar[type[DetectorParameters]] = EllipticEnvelopeParameters

    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[Ellipsoid, dict[str, Any]]:
        """Return centre and whitening; ``x_validation`` is not used."""
        parameters: EllipticEnvelopeParameters = self.parameters
        rows = sampled_rows(x_train, parameters.largest_training_set, seed)
        z = prepared_float32(schema, rows).astype(np.float64)
        directions = varying_directions(z)
        usual = usual_rows(directions, parameters.support_fraction, parameters.contamination, seed)
        kept = np.ones(len(z), dtype=bool) if usual is None else usual
        center = z[kept].mean(axis=0)
        covariance = np.cov(z[kept], rowvar=False, bias=True).reshape(z.shape[1], z.shape[1])
        whitening = column_whitening(covariance + parameters.regularisation * np.eye(z.shape[1]))
        core = Ellipsoid(center.astype(np.float32), np.ascontiguousarray(whitening, dtype=np.float32))
        return core, {
            "rows_kept": int(kept.sum()),
            "rows": len(z),
            "directions": directions.shape[1],
            "robust": usual is not None,
        }


def varying_directions(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rows' principal components, float64 ``[n, directions]``, of columns that vary, without dependent ones.

    Parameters
    ----------
    z
        float64 ``[n, d]``.
    """
    varies = [np.unique(column, return_counts=True)[1].max() < COMMON_VALUE_SHARE * len(z) for column in z.T]
    columns = z[:, np.array(varies, dtype=bool)]
    if not columns.shape[1]:
        return np.empty((len(z), 0))
    covariance = np.cov(columns, rowvar=False).reshape(columns.shape[1], columns.shape[1])
    variance, axes = np.linalg.eigh(covariance)
    chosen = np.flatnonzero(variance > SMALLEST_VARIANCE * variance[-1])[-max(len(z) // ROWS_PER_DIRECTION, 1) :]
    return np.asarray((columns - columns.mean(axis=0)) @ axes[:, chosen], dtype=np.float64)


def usual_rows(
    directions: NDArray[np.float64], support_fraction: float | None, contamination: float, seed: int
) -> NDArray[np.bool_] | None:
    """Return which rows a robust covariance does not find odd, bool ``[n]``.

    None where there is no such covariance: nothing varies, or half of the rows lie in one place.
    """
    from scipy.stats import chi2
    from sklearn.covariance import MinCovDet

    if not directions.shape[1]:
        return None
    with warnings.catch_warnings():
        # determinants may rise by rounding where half of the rows lie nearly in a plane; the rows kept are sound
        warnings.simplefilter("ignore")
        try:
            fitted = MinCovDet(support_fraction=support_fraction, random_state=seed).fit(directions)
        except ValueError:  # "The covariance matrix of the support data is equal to 0"
            return None
        distance = fitted.mahalanobis(directions)
    limit = max(float(chi2(directions.shape[1]).isf(TAIL)), float(np.quantile(distance, 1 - contamination)))
    return np.asarray(distance <= limit, dtype=bool)
