"""Distance to the nearest of the centres that k-means finds."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import prepared_float32, sampled_rows
from netsieve.engine.detectors.core_detector import CoreDetector
from netsieve.engine.detectors.nearest import WEIGHING_ROWS, equal_weight, usual_weight
from netsieve.engine.detectors.parameters import DetectorParameters
from netsieve.engine.detectors.stored_rows import StoredRows
from netsieve.engine.features.schema import FeatureSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class KMeansParameters(DetectorParameters):
    """How many centres are sought, and what is scored.

    Attributes
    ----------
    clusters
        Centres at most; fewer where there are fewer different rows.
    weighting
        ``"usual"``: a column's squared difference counts against its mean over held-back rows. ``"equal"``: all
        columns count alike.
    restarts
        Runs from different first centres, of which the best is kept.
    largest_training_set
        Rows beyond so many are left out, drawn at random.
    """

    detector: ClassVar[str] = "kmeans"

    clusters: int = 128
    weighting: Literal["usual", "equal"] = "usual"
    restarts: int = 3
    largest_training_set: int = 50_000

    def __post_init__(self) -> None:
        self.check(
            choices={"weighting": ("usual", "equal")},
            conditions={
                "clusters": (self.clusters >= 1, "at least 1"),
                "restarts": (self.restarts >= 1, "at least 1"),
                "largest_training_set": (self.largest_training_set >= 20, "at least 20"),
            },
        )


class KMeansDistance(CoreDetector):
    """The squared distance to the nearest centre.

    References
    ----------
    Lloyd, "Least Squares Quantization in PCM", IEEE Transactions on Information Theory 28 (1982); first centres by
    Arthur and Vassilvitskii, "k-means++: The Advantages of Careful Seeding", SODA 2007.
    """

    name: ClassVar[str] = "kmeans"
    parameters_class: ClassVar[type[DetectorParameters]] = KMeansParameters

    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[StoredRows, dict[str, Any]]:
        """Return the centres; ``x_validation`` tells how large differences usually are."""
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning

        parameters: KMeansParameters = self.parameters
        z = prepared_float32(schema, sampled_rows(x_train, parameters.largest_training_set, seed))
        clusters = min(parameters.clusters, len(np.unique(z, axis=0)))
        with warnings.catch_warnings():
            # rows that are nearly the same may share a centre: the surplus ones are dropped below
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = KMeans(clusters, n_init=parameters.restarts, random_state=seed).fit(z)
        rows = np.unique(np.asarray(fitted.cluster_centers_, dtype=np.float32), axis=0)
        held_back = prepared_float32(schema, sampled_rows(x_validation, WEIGHING_ROWS, seed))
        weight = usual_weight(rows, held_back) if parameters.weighting == "usual" else equal_weight(rows)
        return StoredRows(rows, weight), {"clusters": len(rows), "iterations": int(fitted.n_iter_)}
