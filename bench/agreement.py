"""Whether two contenders gave the same answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

LARGEST_DIFFERENCE: Final = 1e-4
"""Contenders that differ by more, relative to the score plus the median score, do not run the same model."""


def read_scores(path: Path) -> NDArray[np.float64]:
    """Return the column ``anomaly_score`` of a scored file, float64 ``[n]``."""
    scan = pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path)
    scores: NDArray[np.float64] = scan.select(pl.col("anomaly_score").cast(pl.Float64)).collect().to_series().to_numpy()
    return scores


def score_agreement(scores: NDArray[Any], reference: NDArray[Any]) -> dict[str, float]:
    """Return how far ``scores`` are from ``reference``, both ``[n]``.

    Returns
    -------
    dict
        ``rows``, ``largest_difference`` and ``mean_difference`` (of ``|score - reference|`` over
        ``|reference| + median``), and ``rank_correlation`` (Spearman, ties by order).

    Raises
    ------
    ValueError
        They are of different length.
    """
    if len(scores) != len(reference):
        raise ValueError(f"got {len(scores)} and {len(reference)} scores; contenders must score the same rows")
    difference = np.abs(scores - reference) / (np.abs(reference) + np.median(reference))
    ranks = np.stack([np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (scores, reference)])
    return {
        "rows": len(scores),
        "largest_difference": float(difference.max()),
        "mean_difference": float(difference.mean()),
        "rank_correlation": float(np.asarray(np.corrcoef(ranks))[0, 1]),
    }
