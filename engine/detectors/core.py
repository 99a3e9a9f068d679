"""What a trained detector reduces to: arrays, and plain arithmetic over the columns of a record.

A core knows neither the library it was trained with nor any file. Its float64 arithmetic is the reference of the
detector's exported graph, which :mod:`netsieve.export.cores` writes for each type of core.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.features.preprocessing import prepare, prepared_columns
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.features.unscaled import unscaled_columns

View = Literal["prepared", "unscaled", "both", "codes"]
"""Which columns a core takes: those of :func:`~netsieve.engine.features.preprocessing.prepare`; where it compares
with thresholds and a rounding would change the outcome, :func:`~netsieve.engine.features.unscaled.unscaled_columns`;
where it combines cores of both kinds, the prepared columns and the unscaled ones side by side. A core over windows of
one category takes its codes (:mod:`netsieve.engine.detectors.sequence_core`).
"""

CHUNK_ROWS: Final = 16_384
"""Rows prepared or scored at a time, so that float64 intermediates stay small."""
BASE_SCORE: Final = 1.0
"""Added to scores that are distances or log likelihoods. Where most records lie at distance 0, rounding alone would
else be their score, and float32 could not follow float64 in it."""


FAINTEST_MEDIAN: Final = 1e-3
"""Scores that are sums of residuals get :data:`BASE_SCORE` where their median is less: columns that hardly ever change
are rebuilt up to rounding."""


class Core(Protocol):
    """A frozen dataclass of arrays, numbers, texts, and tuples or cores of such.

    Attributes
    ----------
    view
        Which columns the methods take.
    """

    view: ClassVar[View]

    def score(self, columns: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores ``[n]`` of rows ``[n, d]`` in float64 arithmetic; higher is more anomalous."""
        ...


class ExplainedCore(Core, Protocol):
    """A core whose score is made of the columns' parts."""

    def column_errors(self, columns: NDArray[Any]) -> NDArray[np.float64]:
        """Return each column's part of the score, float64 ``[n, d]``."""
        ...


def base_score_for(scores: NDArray[np.float64]) -> float:
    """Return what is added to scores that are sums of residuals, given those of held-back normal rows ``[n]``."""
    return BASE_SCORE if np.median(scores) < FAINTEST_MEDIAN else 0.0


def explained_part(core: Core) -> ExplainedCore | None:
    """Return the core, or the first of those it combines, whose score is made of the columns' parts; None without."""
    if hasattr(core, "column_errors"):
        return cast(ExplainedCore, core)
    return next((found for part in getattr(core, "members", ()) if (found := explained_part(part)) is not None), None)


def view_columns(view: View, schema: FeatureSchema, x: NDArray[np.float32]) -> NDArray[Any]:
    """Return the columns that a core with this view takes, ``[n, d]``; twice the prepared columns for both."""
    if view == "prepared":
        return prepare(schema, x)
    if view == "unscaled":
        return unscaled_columns(schema, x)
    return np.hstack([prepare(schema, x), unscaled_columns(schema, x)])


def side(view: View, columns: NDArray[Any]) -> NDArray[Any]:
    """Return what a core with this view takes of the columns of both."""
    if view == "both":
        return columns
    half = columns.shape[1] // 2
    return columns[:, :half] if view == "prepared" else columns[:, half:]


def prepared_float32(schema: FeatureSchema, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the prepared matrix in float32, as training takes it."""
    z = np.empty((len(x), len(prepared_columns(schema))), dtype=np.float32)
    for start in range(0, len(x), CHUNK_ROWS):
        z[start : start + CHUNK_ROWS] = prepare(schema, x[start : start + CHUNK_ROWS])
    return z


def chunked(
    function: Callable[[NDArray[np.float32]], NDArray[np.float64]], rows: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return a function of rows, taken over :data:`CHUNK_ROWS` at a time."""
    parts = [function(rows[start : start + CHUNK_ROWS]) for start in range(0, max(len(rows), 1), CHUNK_ROWS)]
    return np.concatenate(parts)


def sampled_rows(rows: NDArray[np.float32], largest: int, seed: int) -> NDArray[np.float32]:
    """Return the rows, or at most ``largest`` of them drawn at random, in order."""
    if len(rows) <= largest:
        return rows
    return rows[np.sort(np.random.default_rng(seed).choice(len(rows), largest, replace=False))]
