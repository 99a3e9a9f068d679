"""Principal components: records that lie off the plane of normal records, or far out in it, are odd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.autoencoder import residual_weight
from netsieve.engine.detectors.core import chunked, prepared_float32, sampled_rows
from netsieve.engine.detectors.core_detector import CoreDetector
from netsieve.engine.detectors.dense_autoencoder import DenseAutoencoder, DenseLayer
from netsieve.engine.detectors.latent import latent_whitening
from netsieve.engine.detectors.parameters import Choices, DetectorParameters, Range
from netsieve.engine.features.schema import FeatureSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipalComponentsParameters(DetectorParameters):
    """How many components are kept, and what is scored.

    Attributes
    ----------
    variance
        The first components that hold this share of the variance are kept, at least one and never all.
    latent_distance
        Whether the Mahalanobis distance within the components counts beside the residuals.
    largest_training_set
        Rows beyond so many are left out, drawn at random.
    """

    detector: ClassVar[str] = "pca"
    search_space: ClassVar[Mapping[str, Range | Choices]] = MappingProxyType(
        {"variance": Range(low=0.5, high=0.99), "latent_distance": Choices(values=(True, False))}
    )

    variance: float = 0.9
    latent_distance: bool = True
    largest_training_set: int = 200_000

    def __post_init__(self) -> None:
        self.check(
            conditions={
                "variance": (0 < self.variance < 1, "a share above 0 and below 1"),
                "largest_training_set": (self.largest_training_set >= 20, "at least 20"),
            }
        )


class PrincipalComponents(CoreDetector):
    """An autoencoder with one linear layer each way, whose best weights are known without training: the components.

    References
    ----------
    Shyu et al., "A Novel Anomaly Detection Scheme Based on Principal Component Classifier", 2003. Here residuals are
    weighed by their usual size, as the autoencoder does.
    """

    name: ClassVar[str] = "pca"
    parameters_class: ClassVar[type[DetectorParameters]] = PrincipalComponentsParameters

    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[DenseAutoencoder, dict[str, Any]]:
        """Return the components as linear layers; ``x_validation`` tells how large residuals usually are."""
        parameters: PrincipalComponentsParameters = self.parameters
        z = prepared_float32(schema, sampled_rows(x_train, parameters.largest_training_set, seed))
        center = z.mean(axis=0, dtype=np.float64)
        covariance = np.cov(z, rowvar=False, dtype=np.float64).reshape(z.shape[1], z.shape[1])
        variance, axes = np.linalg.eigh(covariance)
        share = np.cumsum(np.maximum(variance[::-1], 0)) / max(float(np.maximum(variance, 0).sum()), 1e-300)
        kept = int(np.clip(np.searchsorted(share, parameters.variance) + 1, 1, max(z.shape[1] - 1, 1)))
        components = axes[:, ::-1][:, :kept]
        encoder = DenseLayer(_float32(components), _float32(-center @ components), "linear")
        decoder = DenseLayer(_float32(components.T), _float32(center), "linear")
        plain = DenseAutoencoder((encoder,), (decoder,), np.ones(z.shape[1], dtype=np.float32))
        weight = residual_weight(chunked(plain.residual, prepared_float32(schema, x_validation)), "sum")
        latent = latent_whitening(chunked(plain.code, z)) if parameters.latent_distance else (None, None)
        core = DenseAutoencoder((encoder,), (decoder,), weight, "sum", *latent)
        return core, {"components": kept, "variance": float(share[kept - 1])}


def _float32(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)
