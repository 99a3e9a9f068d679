"""Isolation forest: a record that few random splits set apart from the others is odd."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import prepared_float32, sampled_rows
from netsieve.engine.detectors.core_detector import CoreDetector
from netsieve.engine.detectors.parameters import DetectorParameters
from netsieve.engine.detectors.sklearn_trees import isolation_trees, prepared_splits
from netsieve.engine.detectors.tree_ensemble import TreeScore
from netsieve.engine.features.schema import FeatureSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationForestParameters(DetectorParameters):
    """How many trees are grown, and on what.

    Attributes
    ----------
    trees
        Number of trees.
    samples
        Rows that each tree is grown on, drawn at random; all where there are fewer.
    features
        Share of the prepared columns that each tree sees, drawn at random.
    largest_training_set
        Rows beyond so many are left out, drawn at random.
    """

    detector: ClassVar[str] = "isolation_forest"

    trees: int = 200
    samples: int = 256
    features: float = 1.0
    largest_training_set: int = 200_000

    def __post_init__(self) -> None:
        self.check(
            conditions={
                "trees": (1 <= self.trees <= 10_000, "1 to 10000"),
                "samples": (self.samples >= 2, "at least 2"),
                "features": (0 < self.features <= 1, "a share above 0, at most 1"),
                "largest_training_set": (self.largest_training_set >= 20, "at least 20"),
            }
        )


class IsolationForest(CoreDetector):
    """Trees of random splits, grown by scikit-learn on the prepared columns and compared in raw units.

    The score is that of the paper, between 0 and 1: scikit-learn's ``score_samples`` with its sign turned.

    References
    ----------
    Liu, Ting and Zhou, "Isolation Forest", ICDM 2008.
    """

    name: ClassVar[str] = "isolation_forest"
    parameters_class: ClassVar[type[DetectorParameters]] = IsolationForestParameters

    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[TreeScore, dict[str, Any]]:
        """Return the trees; ``x_validation`` is not needed."""
        from sklearn import ensemble

        parameters: IsolationForestParameters = self.parameters
        z = prepared_float32(schema, sampled_rows(x_train, parameters.largest_training_set, seed))
        forest = ensemble.IsolationForest(
            n_estimators=parameters.trees,
            max_samples=min(parameters.samples, len(z)),
            max_features=float(parameters.features),
            random_state=seed,
        ).fit(z)
        trees = isolation_trees(forest, *prepared_splits(schema))
        return TreeScore(trees, "exponential"), {"trees": len(trees.root), "nodes": len(trees.column)}
