"""A calibration of any number of scores in bounded memory, batch by batch.

:meth:`Calibration.fit` needs every score at once and sorts them. This keeps a summary of them instead, for
calibrations that run over whole files. It uses the Numba kernels, and so imports Numba.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from netsieve.engine.errors import ThresholdError
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.thresholds.calibration import (
    LARGEST_COUNT,
    SCORE_QUANTILE_COUNT,
    Calibration,
    Population,
    checked_scores,
    fit_features,
    probe_positions,
)
from netsieve.kernels.thresholds import ScoreSummary

SAMPLE_ROWS: Final = 20_000
"""Rows kept for the calibration of features and for the probe rows: a uniform sample of all."""


class CalibrationBuilder:
    """Takes scores batch by batch and returns their calibration.

    Against :meth:`Calibration.fit` of the same scores: ``n`` and the largest 2,000 scores are equal, moments
    agree to rounding, quantiles below the largest scores are within 0.1 % of the exact ones
    (:data:`netsieve.kernels.quantile_sketch.RELATIVE_ERROR`). Features and probe rows come from a uniform
    sample of 20,000 rows. The order and the size of batches change nothing but that sample.

    Parameters
    ----------
    schema
        Names and kinds of the features, where rows are given.
    population
        Which records these are.
    seed
        Of the sample of rows.
    """

    def __init__(
        self, schema: FeatureSchema | None = None, population: Population = "normal", *, seed: int = 0
    ) -> None:
        self._schema = schema
        self._population: Population = population
        self._random = np.random.default_rng(seed)
        self._summary = ScoreSummary(LARGEST_COUNT)
        self._keys = np.empty(0)
        self._scores = np.empty(0, dtype=np.float32)
        self._matrices: dict[str, NDArray[np.float32]] = {}

    @property
    def n(self) -> int:
        """Scores taken in."""
        return self._summary.n

    def update(
        self,
        scores: ArrayLike,
        x: NDArray[np.float32] | None = None,
        feature_errors: NDArray[np.float32] | None = None,
    ) -> None:
        """Take in the scores of one batch, and its rows and errors where they are wanted in the calibration.

        Parameters
        ----------
        scores
            ``[n]``, finite; taken as float32.
        x, feature_errors
            float32 ``[n, n_features]``, as in :meth:`Calibration.fit`; given with every batch or with none.

        Raises
        ------
        ThresholdError
            A score is not finite, shapes do not fit, or rows are given with some batches only.
        """
        values = np.asarray(scores)
        if values.ndim == 1 and not values.size:
            return
        values = checked_scores(values)
        batch = {name: m for name, m in (("x", x), ("feature_errors", feature_errors)) if m is not None}
        if self.n and batch.keys() != self._matrices.keys():
            raise ThresholdError("x and feature_errors must be given with every batch or with none")
        expected = None if self._schema is None else (len(values), len(self._schema.features))
        for name, matrix in batch.items():
            if matrix.shape != expected:
                raise ThresholdError(
                    f"{name} has shape {list(matrix.shape)}; "
                    + ("a schema is needed with it" if expected is None else f"{list(expected)} is expected")
                )
        self._summary.update(values)
        if batch:
            self._sample(values, batch)

    def calibration(self) -> Calibration:
        """Return the calibration of all scores taken in; more may be taken in afterwards.

        Raises
        ------
        ThresholdError
            No score was taken in.
        """
        summary = self._summary
        if not summary.n:
            raise ThresholdError("there are no scores; at least one row is needed")
        positive, log_mean, log_squares = (float(value) for value in summary.moments[3:])
        x = self._matrices.get("x")
        probes = probe_positions(self._scores) if x is not None else np.empty(0, dtype=np.int64)
        return Calibration(
            population=self._population,
            n=summary.n,
            mean=summary.mean,
            deviation=summary.deviation,
            log_mean=log_mean if positive else None,
            log_deviation=math.sqrt(log_squares / positive) if positive else None,
            quantiles=summary.values_at(np.linspace(0, summary.n - 1, SCORE_QUANTILE_COUNT)).astype(np.float32),
            largest=summary.largest(),
            features=fit_features(len(self._scores), x, self._matrices.get("feature_errors"), self._schema)
            if self._matrices
            else (),
            probe_rows=x[probes] if x is not None else np.empty((0, 0), dtype=np.float32),
            probe_scores=self._scores[probes],
        )

    def _sample(self, scores: NDArray[np.float32], batch: dict[str, NDArray[np.float32]]) -> None:
        """Keep the rows with the smallest random keys: every row seen has the same chance to be among them."""
        keys = self._random.random(len(scores))
        if len(self._keys) == SAMPLE_ROWS:
            # only these can displace a kept row, so that late batches cost next to nothing
            candidates = np.flatnonzero(keys < self._keys.max())
        else:
            candidates = np.arange(len(scores))
        all_keys = np.concatenate((self._keys, keys[candidates]))
        kept = np.arange(len(all_keys))
        if len(all_keys) > SAMPLE_ROWS:
            kept = np.sort(np.argpartition(all_keys, SAMPLE_ROWS)[:SAMPLE_ROWS])
        self._keys = all_keys[kept]
        self._scores = np.concatenate((self._scores, scores[candidates]))[kept]
        for name, matrix in batch.items():
            rows = matrix[candidates].astype(np.float32, copy=False)
            old = self._matrices.get(name)
            self._matrices[name] = (rows if old is None else np.concatenate((old, rows)))[kept]
