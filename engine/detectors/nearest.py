"""Nearest neighbours among stored rows: records unlike any that was seen are odd."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.autoencoder import residual_weight
from netsieve.engine.detectors.core import chunked, prepared_float32, sampled_rows
from netsieve.engine.detectors.core_detector import CoreDetector
from netsieve.engine.detectors.coreset import random_rows, spread_rows
from netsieve.engine.detectors.parameters import DetectorParameters
from netsieve.engine.detectors.stored_rows import NeighbourAggregation, StoredRows
from netsieve.engine.features.schema import FeatureSchema

WEIGHING_ROWS: Final = 20_000
"""Usual differences are taken over at most so many rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestParameters(DetectorParameters):
    """Which rows are stored, and what is scored.

    Attributes
    ----------
    stored_rows
        Rows stored at most; the cost of scoring grows with it.
    selection
        ``"random"``, or ``"mixed"``: nine in ten at random, the others so that rare rows are covered too.
    neighbours
        How many of the nearest stored rows count.
    aggregation
        ``"mean"`` of their squared distances, or that of the ``"farthest"`` of them.
    weighting
        ``"usual"``: a column's squared difference counts against its mean over held-back rows. ``"equal"``: all
        columns count alike.
    largest_training_set
        Rows are chosen among at most so many, drawn at random.
    """

    detector: ClassVar[str] = "nearest"

    stored_rows: int = 1_000
    selection: Literal["random", "mixed"] = "mixed"
    neighbours: int = 1
    aggregation: NeighbourAggregation = "mean"
    weighting: Literal["usual", "equal"] = "usual"
    largest_training_set: int = 50_000

    def __post_init__(self) -> None:
        self.check(
            choices={
                "selection": ("random", "mixed"),
                "aggregation": ("mean", "farthest"),
                "weighting": ("usual", "equal"),
            },
            conditions={
                "stored_rows": (self.stored_rows >= 1, "at least 1"),
                "neighbours": (1 <= self.neighbours <= self.stored_rows, "from 1 to the number of stored rows"),
                "largest_training_set": (self.largest_training_set >= 20, "at least 20"),
            },
        )


class NearestNeighbours(CoreDetector):
    """The squared distance to the nearest of a few stored training rows.

    References
    ----------
    Ramaswamy, Rastogi and Shim, "Efficient Algorithms for Mining Outliers from Large Data Sets", SIGMOD 2000.
    """

    name: ClassVar[str] = "nearest"
    parameters_class: ClassVar[type[DetectorParameters]] = NearestParameters

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
        """Return the stored rows; ``x_validation`` tells how large differences usually are."""
        parameters: NearestParameters = self.parameters
        z = prepared_float32(schema, sampled_rows(x_train, parameters.largest_training_set, seed))
        choose = random_rows if parameters.selection == "random" else spread_rows
        rows = choose(z, parameters.stored_rows, seed)
        held_back = prepared_float32(schema, sampled_rows(x_validation, WEIGHING_ROWS, seed))
        weight = usual_weight(rows, held_back) if parameters.weighting == "usual" else equal_weight(rows)
        neighbours = min(parameters.neighbours, len(rows))
        core = StoredRows(rows, weight, neighbours, parameters.aggregation)
        return core, {"stored_rows": len(rows), "neighbours": neighbours}


def equal_weight(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the weights of an unweighted distance, float32 ``[d]``."""
    return np.ones(rows.shape[1], dtype=np.float32)


def usual_weight(rows: NDArray[np.float32], held_back: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what each column's squared difference is multiplied by, float32 ``[d]``.

    Parameters
    ----------
    rows
        float32 ``[stored, d]``.
    held_back
        float32 ``[n, d]``, prepared normal rows that are not among the stored ones: how far they are from the nearest
        in each column is usual.
    """
    plain = StoredRows(rows, equal_weight(rows))
    differences = chunked(lambda z: np.sqrt(plain.squared_differences(z)), held_back)
    return residual_weight(differences, "sum")
