"""Histograms: a record is odd whose values fall into bins that few others fall into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import prepared_float32, sampled_rows
from netsieve.engine.detectors.core_detector import CoreDetector
from netsieve.engine.detectors.parameters import DetectorParameters
from netsieve.engine.detectors.sklearn_trees import thresholds_before_rounding
from netsieve.engine.detectors.step_trees import StepFunction, below, distinct_steps, rarity_steps, step_trees
from netsieve.engine.detectors.tree_ensemble import ColumnTrees
from netsieve.engine.features.preprocessing import prepared_columns
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.features.unscaled import unscaled_thresholds

MOST_BINS: Final = 256
"""Bins of a column unless they are asked for: the square root of the rows, and no more than these."""
TOLERANCE: Final = 0.5
"""So many bin widths beyond the training range still count as the outermost bin."""
NARROWEST: Final = 0.1
"""Least width of a dynamic bin, in mean bin widths: a value that repeats would else be infinitely dense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramScoreParameters(DetectorParameters):
    """How the histograms are made.

    Attributes
    ----------
    bins
        Bins of a numeric column; None: the square root of the training rows, at most 256.
    binning
        ``"static"``: bins of equal width. ``"dynamic"``: bins of equally many rows, narrow where rows are dense.
    largest_training_set
        Rows beyond so many are left out, drawn at random.
    """

    detector: ClassVar[str] = "hbos"

    bins: int | None = None
    binning: str = "static"
    largest_training_set: int = 200_000

    def __post_init__(self) -> None:
        self.check(
            choices={"binning": ("static", "dynamic")},
            conditions={
                "bins": (self.bins is None or 2 <= self.bins <= 4096, "2 to 4096, or none"),
                "largest_training_set": (self.largest_training_set >= 20, "at least 20"),
            },
        )


class HistogramScore(CoreDetector):
    """The sum over columns of ``log(highest density / density)``, each a tree over its column.

    Bins are those of the prepared scale. One row is added to every bin, so that an empty one has a finite score;
    values beyond the training range fall into an empty bin. Missing values are a bin of their own, of mean width. A
    category's bins are the values it can have, those met equally often as one.

    References
    ----------
    Goldstein and Dengel, "Histogram-based Outlier Score (HBOS): A fast Unsupervised Anomaly Detection Algorithm",
    KI 2012.
    """

    name: ClassVar[str] = "hbos"
    parameters_class: ClassVar[type[DetectorParameters]] = HistogramScoreParameters

    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[ColumnTrees, dict[str, Any]]:
        """Return a tree for each feature; ``x_validation`` is not needed."""
        parameters: HistogramScoreParameters = self.parameters
        x = sampled_rows(x_train, parameters.largest_training_set, seed)
        z = prepared_float32(schema, x)
        bins = parameters.bins or int(np.clip(np.sqrt(len(x)), 2, MOST_BINS))
        functions = []
        for column, (feature, _) in enumerate(schema.numeric):
            raw = x[:, feature]
            edges = self._edges(schema, column, raw, z[:, column], bins)
            functions.append(_numeric_part(column, raw, *edges))
        for category in rarity_steps(schema, z):
            density = category.rows / category.codes + 1
            functions.append(_part(category.column, category.edges, density, category.rows.astype(np.float64)))
        trees = step_trees(functions, target_of_column=True, targets=len(prepared_columns(schema)))
        return ColumnTrees(trees), {"bins": bins, "nodes": len(trees.column)}

    def _edges(
        self, schema: FeatureSchema, column: int, raw: NDArray[np.float32], z: NDArray[np.float32], bins: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the right edges of all bins but those above the range and of missing values, and those bins' widths.

        The first bin lies below the range. Edges are in raw units, widths in mean bin widths.
        """
        present = ~np.isnan(raw)
        raw, z = raw[present], z[present].astype(np.float64)
        if not len(raw) or z.min() == z.max():
            # every value but the only one is out of range
            only = np.unique(raw)
            return np.concatenate([below(only[:1]), only[-1:]]), np.ones(2 if len(only) else 0)
        low, high = float(z.min()), float(z.max())
        mean_width = (high - low) / bins
        if self.parameters.binning == "static":
            inner = np.linspace(low, high, bins + 1)[1:-1]
        else:
            inner = np.unique(np.quantile(z, np.linspace(0, 1, bins + 1), method="inverted_cdf"))
            # the lowest value is a bin of its own where it fills one
            inner = inner[0 if np.mean(z == low) > 1 / bins else 1 : -1]
        ends = np.concatenate([[low - TOLERANCE * mean_width], inner, [high + TOLERANCE * mean_width]])
        width = np.diff(np.concatenate([[low - mean_width, low], inner, [high]])) / mean_width
        edges = unscaled_thresholds(schema, np.full(len(ends), column), thresholds_before_rounding(ends))
        edges, (width,) = distinct_steps(edges, np.append(width, 1.0))
        return edges, np.maximum(width[:-1], NARROWEST)


def _numeric_part(
    column: int, raw: NDArray[np.float32], edges: NDArray[np.float32], width: NDArray[np.float64]
) -> StepFunction:
    """Return the part of a number: bins up to the edges, the bin beyond them, and the bin of missing values."""
    edges = np.append(edges, np.float32(np.inf))
    missing = np.isnan(raw)
    rows = np.bincount(np.searchsorted(edges[:-1], raw[~missing]), minlength=len(edges))
    rows = np.append(rows, missing.sum())
    return _part(column, edges, (rows + 1) / np.concatenate([width, [1.0, 1.0]]), rows.astype(np.float64))


def _part(
    column: int, edges: NDArray[np.float32], density: NDArray[np.float64], rows: NDArray[np.float64]
) -> StepFunction:
    return StepFunction(column, edges, np.log(density.max() / density)[:, None], rows)
