"""Gradient-boosted trees: with attacks to learn from, how likely a record is to be one of the kinds seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import prepared_float32
from netsieve.engine.detectors.parameters import DetectorParameters
from netsieve.engine.detectors.sklearn_trees import boosted_trees, prepared_splits
from netsieve.engine.detectors.supervised import SupervisedDetector
from netsieve.engine.detectors.tree_ensemble import TreeScore
from netsieve.engine.errors import TrainingError
from netsieve.engine.features.schema import FeatureSchema

FEWEST_TO_HOLD_BACK: Final = 50
"""With fewer rows of a class none are held back to stop early."""
HELD_BACK: Final = 0.1
PATIENCE: Final = 10
"""Trees without progress on the rows held back, after which no more are added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoostedTreesParameters(DetectorParameters):
    """How the trees are grown.

    Attributes
    ----------
    trees
        At most so many trees; fewer where rows held back show no more progress.
    learning_rate
        Share of a tree's correction that is applied.
    leaves
        At most so many leaves a tree.
    smallest_leaf
        Fewest training rows in a leaf.
    balanced
        Whether attacks and normal rows weigh alike, however many there are of each.
    largest_training_set
        Rows beyond so many are left out, drawn at random.
    """

    detector: ClassVar[str] = "boosted_trees"

    trees: int = 200
    learning_rate: float = 0.1
    leaves: int = 31
    smallest_leaf: int = 20
    balanced: bool = True
    largest_training_set: int = 500_000

    def __post_init__(self) -> None:
        self.check(
            conditions={
                "trees": (1 <= self.trees <= 10_000, "1 to 10000"),
                "learning_rate": (0 < self.learning_rate <= 1, "above 0, at most 1"),
                "leaves": (self.leaves >= 2, "at least 2"),
                "smallest_leaf": (self.smallest_leaf >= 1, "at least 1"),
                "largest_training_set": (self.largest_training_set >= 20, "at least 20"),
            }
        )


class BoostedTrees(SupervisedDetector):
    """The log-odds of an attack by gradient-boosted trees."""

    name: ClassVar[str] = "boosted_trees"
    parameters_class: ClassVar[type[DetectorParameters]] = BoostedTreesParameters

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
        """Return the trees; ``x_validation`` is not used."""
        x = np.concatenate([x_train, self.x_attacks])
        return fit_boosted_trees(schema, x, np.arange(len(x)) >= len(x_train), self.parameters, seed=seed)


def fit_boosted_trees(
    schema: FeatureSchema,
    x: NDArray[np.float32],
    is_attack: NDArray[np.bool_],
    parameters: BoostedTreesParameters | None = None,
    *,
    seed: int = 0,
) -> tuple[TreeScore, dict[str, Any]]:
    """Train gradient-boosted trees (scikit-learn) on labelled records.

    Parameters
    ----------
    schema
        Fitted schema.
    x
        float32 ``[n, n_features]``, encoded records in raw units, normal ones and attacks.
    is_attack
        bool ``[n]``.
    parameters
        How the trees are grown; None for the defaults.
    seed
        Same seed, data and library versions: same trees.

    Returns
    -------
    core
        Its score is the log-odds of an attack.
    summary
        How the training went, as plain JSON values.

    Raises
    ------
    TrainingError
        There are not at least two records of each kind, or not as many labels as records.

    References
    ----------
    Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NeurIPS 2017.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    parameters = BoostedTreesParameters() if parameters is None else parameters
    labels = np.asarray(is_attack, dtype=np.bool_)
    if labels.shape != (len(x),):
        raise TrainingError(f"got labels of shape {labels.shape} for {len(x)} records; expected one a record")
    rows = np.arange(len(x))
    if len(x) > parameters.largest_training_set:
        rows = np.sort(np.random.default_rng(seed).choice(len(x), parameters.largest_training_set, replace=False))
    labels = labels[rows]
    attacks = int(labels.sum())
    fewest = min(attacks, len(labels) - attacks)
    if fewest < 2:
        raise TrainingError(
            f"got {attacks} attacks among {len(labels)} labelled records; boosted trees need at least 2 attacks and 2 "
            "normal records: give more labelled records"
        )
    classifier = HistGradientBoostingClassifier(
        max_iter=parameters.trees,
        learning_rate=parameters.learning_rate,
        max_leaf_nodes=parameters.leaves,
        min_samples_leaf=parameters.smallest_leaf,
        class_weight="balanced" if parameters.balanced else None,
        early_stopping=fewest >= FEWEST_TO_HOLD_BACK,
        validation_fraction=HELD_BACK,
        n_iter_no_change=PATIENCE,
        random_state=seed,
    ).fit(prepared_float32(schema, x[rows]), labels)
    trees = boosted_trees(classifier, *prepared_splits(schema))
    summary = {"trees": len(trees.root), "nodes": len(trees.column), "rows": len(labels), "attacks": attacks}
    return TreeScore(trees, "value"), summary
