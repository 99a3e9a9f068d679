"""What a detector's scores look like on records it was not trained on: the basis of every threshold.

A calibration is plain data, written into the model file as JSON. It needs NumPy only, and it imports nothing
heavy, since every scorer reads one.

Scores are float32 by contract, and so is everything here that is compared with a score: a threshold taken
from a float32 order statistic flags the same records in every backend.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from netsieve.engine.errors import ThresholdError
from netsieve.engine.features.schema import MISSING_CODE, UNKNOWN_CODE, FeatureSchema, NumericFeature

Population = Literal["normal", "unlabelled"]
"""``normal``: only records labelled normal. ``unlabelled``: whatever came, attacks among it perhaps."""

SCORE_QUANTILE_COUNT: Final = 1001
"""Score quantiles kept, evenly spaced: the 0th, 0.1st, ... 100th percentile."""
LARGEST_COUNT: Final = 2000
"""Scores kept exactly, from the largest down: rates of alarms live in this tail."""
FEATURE_QUANTILE_COUNT: Final = 101
"""Quantiles kept of each numeric feature: the percentiles."""
PROBE_COUNT: Final = 64
"""Rows kept with their scores, so that a backend can be checked when it loads the model."""
LARGEST_PROBES: Final = 65_536
"""Numbers in all of them: of long windows there are fewer, since they are written as text."""
FEWEST_PROBES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureCalibration:
    """One feature's values and errors over the calibration rows.

    Attributes
    ----------
    name
        Feature name of the schema.
    quantiles
        Numeric features: float32 ``[101]``, percentiles of the present values in raw units; empty where every
        value was missing. Categorical features: None.
    counts
        Categorical features: int64 ``[code_count]``, rows per code (missing, unknown, vocabulary). Numeric: None.
    missing_rate
        Share of rows in which the value was missing.
    error_mean, error_deviation
        Of the feature's part of the score; None where the detector tells no such parts.
    """

    name: str
    quantiles: NDArray[np.float32] | None
    counts: NDArray[np.int64] | None
    missing_rate: float
    error_mean: float | None = None
    error_deviation: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Score distribution of a detector over calibration rows.

    Attributes
    ----------
    population
        ``"normal"`` or ``"unlabelled"``.
    n
        Calibration rows.
    mean, deviation
        Of the scores; the deviation divides by n.
    log_mean, log_deviation
        Of the natural logarithm of the scores above zero; None where no score is.
    quantiles
        float32 ``[1001]``, ascending, linearly interpolated between order statistics.
    largest
        float32 ``[min(n, 2000)]``, the largest scores exactly, descending.
    features
        One entry per schema feature in matrix order; empty where the rows were not given.
    probe_rows, probe_scores
        float32 ``[64, n_features]`` raw matrix rows (NaN is missing), windows ``[64, window, n_features]``, and float32
        ``[64]`` scores, ordered by score and spread evenly over its ranks. Fewer where there were fewer rows or they
        are large; none where none were given.
    """

    population: Population
    n: int
    mean: float
    deviation: float
    log_mean: float | None
    log_deviation: float | None
    quantiles: NDArray[np.float32]
    largest: NDArray[np.float32]
    features: tuple[FeatureCalibration, ...]
    probe_rows: NDArray[np.float32]
    probe_scores: NDArray[np.float32]

    @property
    def median(self) -> float:
        """Median calibration score."""
        return float(self.quantiles[SCORE_QUANTILE_COUNT // 2])

    @classmethod
    def fit(
        cls,
        scores: ArrayLike,
        x: NDArray[np.float32] | None = None,
        feature_errors: NDArray[np.float32] | None = None,
        schema: FeatureSchema | None = None,
        population: Population = "normal",
    ) -> Calibration:
        """Return the calibration of the scores of rows that were neither trained nor early-stopped on.

        Parameters
        ----------
        scores
            ``[n]``, finite; taken as float32.
        x
            float32 ``[n, n_features]``, the raw matrix that was scored (NaN is missing, categories are codes), or
            windows ``[n, window, n_features]``, of which the features' values are those of the last row. Needs
            ``schema``.
        feature_errors
            ``[n, n_features]``, each feature's part of the score; of windows ``[n, window, n_features]``, which are
            added up. Needs ``schema``.
        schema
            Names and kinds of the features.
        population
            Which records these are.

        Raises
        ------
        ThresholdError
            There are no scores, one is not finite, or shapes do not fit.
        """
        values = checked_scores(scores)
        if population not in get_args(Population):
            raise ThresholdError(f"population {population!r} is not known; it is 'normal' or 'unlabelled'")
        ordered = np.sort(values).astype(np.float64)
        positive = np.log(ordered[ordered > 0])
        probes = probe_positions(values, 1 if x is None else x[0].size) if x is not None else np.empty(0, np.int64)
        features: tuple[FeatureCalibration, ...] = ()
        if x is not None or feature_errors is not None:
            features = fit_features(len(values), x, feature_errors, schema)
        return cls(
            population=population,
            n=len(values),
            mean=float(ordered.mean()),
            deviation=float(ordered.std()),
            log_mean=float(positive.mean()) if positive.size else None,
            log_deviation=float(positive.std()) if positive.size else None,
            quantiles=np.quantile(ordered, np.linspace(0, 1, SCORE_QUANTILE_COUNT)).astype(np.float32),
            largest=ordered[: -LARGEST_COUNT - 1 : -1].astype(np.float32),
            features=features,
            probe_rows=np.ascontiguousarray(x[probes], dtype=np.float32) if x is not None else np.empty((0, 0), "f4"),
            probe_scores=values[probes],
        )

    def score_at_position(self, position: float) -> float:
        """Return the score at a 0-based position among the ascending calibration scores.

        Parameters
        ----------
        position
            0 is the smallest score, ``n - 1`` the largest; between whole positions the score is interpolated.

        Returns
        -------
        float
            Exact among the largest 2,000 scores, and interpolated between the 1,001 quantiles below them.
        """
        first_exact = self.n - len(self.largest)
        exact = self.largest[::-1].astype(np.float64)
        if position >= first_exact:
            return float(np.interp(position, np.arange(first_exact, self.n), exact))
        # the lowest exact score is one more knot, so that no quantile interval reaches into the exact part
        knots = np.linspace(0, self.n - 1, SCORE_QUANTILE_COUNT)
        below = knots < first_exact
        return float(
            np.interp(position, np.append(knots[below], first_exact), np.append(self.quantiles[below], exact[0]))
        )

    def surprise(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return -log10 of the probability that a calibration record scores at least as high.

        Parameters
        ----------
        scores
            float32 ``[n]``, finite.

        Returns
        -------
        float32 ``[n]``
            From 0 to ``log10(n + 1)``: of k calibration scores that are no lower, ``log10((n + 1) / (k + 1))``. k is
            exact among the largest 2,000, and interpolated between the quantiles below them.
        """
        exact = self.largest[::-1]
        reached = len(exact) - np.searchsorted(exact, scores, side="left").astype(np.float64)
        below = scores < exact[0]
        if below.any():
            knots = np.linspace(0, self.n - 1, SCORE_QUANTILE_COUNT)
            inner = knots < self.n - len(exact)
            values = np.append(self.quantiles[inner], exact[0]).astype(np.float64)
            places = np.append(knots[inner], self.n - len(exact))
            reached[below] = self.n - np.interp(scores[below], values, places)
        return np.log10((self.n + 1) / (reached + 1)).astype(np.float32)

    def to_json(self) -> str:
        """Return the calibration as compact JSON text: finite numbers only, a missing value is null."""
        content = {
            "population": self.population,
            "n": self.n,
            "mean": self.mean,
            "deviation": self.deviation,
            "log_mean": self.log_mean,
            "log_deviation": self.log_deviation,
            "quantiles": _shortest(self.quantiles),
            "largest": _shortest(self.largest),
            "features": [
                {
                    "name": feature.name,
                    "quantiles": None if feature.quantiles is None else _shortest(feature.quantiles),
                    "counts": None if feature.counts is None else feature.counts.tolist(),
                    "missing_rate": feature.missing_rate,
                    "error_mean": feature.error_mean,
                    "error_deviation": feature.error_deviation,
                }
                for feature in self.features
            ],
            "probe_rows": [_shortest_rows(row) for row in self.probe_rows],
            "probe_scores": _shortest(self.probe_scores),
        }
        return json.dumps(content, allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Read a calibration back from :meth:`to_json`; every float32 comes back as it was.

        Raises
        ------
        ThresholdError
            The text is no calibration.
        """
        try:
            content = json.loads(text)
            probe_rows = [_float_rows(row) for row in content["probe_rows"]]
            calibration = cls(
                population=content["population"],
                n=int(content["n"]),
                mean=float(content["mean"]),
                deviation=float(content["deviation"]),
                log_mean=_optional_float(content["log_mean"]),
                log_deviation=_optional_float(content["log_deviation"]),
                quantiles=_floats(content["quantiles"]),
                largest=_floats(content["largest"]),
                features=tuple(
                    FeatureCalibration(
                        name=str(entry["name"]),
                        quantiles=None if entry["quantiles"] is None else _floats(entry["quantiles"]),
                        counts=None if entry["counts"] is None else np.array(entry["counts"], dtype=np.int64),
                        missing_rate=float(entry["missing_rate"]),
                        error_mean=_optional_float(entry["error_mean"]),
                        error_deviation=_optional_float(entry["error_deviation"]),
                    )
                    for entry in content["features"]
                ),
                probe_rows=np.stack(probe_rows) if probe_rows else np.empty((0, 0), dtype=np.float32),
                probe_scores=_floats(content["probe_scores"]),
            )
            calibration._check()
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ThresholdError(f"this is no netsieve calibration ({type(error).__name__}: {error})") from error
        return calibration

    def _check(self) -> None:
        """Raise ValueError where the parts contradict each other: the text came from a file."""
        if self.population not in get_args(Population):
            raise ValueError(f"population {self.population!r}")
        if self.n < 1 or len(self.largest) != min(self.n, LARGEST_COUNT):
            raise ValueError(f"{len(self.largest)} largest scores of {self.n}")
        if self.quantiles.shape != (SCORE_QUANTILE_COUNT,) or (np.diff(self.quantiles) < 0).any():
            raise ValueError(f"quantiles are not {SCORE_QUANTILE_COUNT} ascending numbers")
        if (np.diff(self.largest) > 0).any():
            raise ValueError("largest scores do not descend")
        numbers = [self.mean, self.deviation, *self.quantiles.tolist(), *self.largest.tolist()]
        if not all(map(math.isfinite, [*numbers, *self.probe_scores.tolist()])):
            raise ValueError("a score is not finite")
        for feature in self.features:
            counts, deviation = feature.counts, feature.error_deviation
            if counts is not None and (counts.ndim != 1 or (counts < 0).any()):
                raise ValueError(f"the counts of {feature.name!r} are no list of numbers")
            if deviation is not None and deviation < 0:
                raise ValueError(f"the errors of {feature.name!r} have the deviation {deviation}")
        if len(self.probe_rows) not in (0, len(self.probe_scores)):
            raise ValueError(f"{len(self.probe_rows)} probe rows with {len(self.probe_scores)} scores")


def checked_scores(scores: ArrayLike) -> NDArray[np.float32]:
    """Return scores as float32 ``[n]``.

    Raises
    ------
    ThresholdError
        There are none, they are not one-dimensional, or one is not a finite float32 number.
    """
    with np.errstate(over="ignore"):
        values = np.asarray(scores).astype(np.float32, copy=False)
    if values.ndim != 1:
        raise ThresholdError(f"scores have shape {list(values.shape)}; one score per row, [n], is expected")
    if not values.size:
        raise ThresholdError("there are no scores; at least one row is needed")
    finite = np.isfinite(values)
    if not finite.all():
        first = int(np.argmin(finite))
        raise ThresholdError(f"score {values[first]} at row {first} is not a finite float32 number; check the detector")
    return values


def probe_positions(scores: NDArray[np.float32], row_size: int = 1) -> NDArray[np.int64]:
    """Return up to 64 row positions whose scores are spread evenly over the ranks, smallest and largest included.

    Parameters
    ----------
    scores
        float32 ``[n]``.
    row_size
        Numbers of a row: of large ones there are fewer.
    """
    order = np.argsort(scores, kind="stable")
    count = min(max(LARGEST_PROBES // max(row_size, 1), FEWEST_PROBES), PROBE_COUNT, len(scores))
    ranks = np.linspace(0, len(scores) - 1, count).round().astype(np.int64)
    return np.asarray(order[ranks], dtype=np.int64)


def fit_features(
    rows: int,
    x: NDArray[np.float32] | None,
    feature_errors: NDArray[np.float32] | None,
    schema: FeatureSchema | None,
) -> tuple[FeatureCalibration, ...]:
    """Return the calibration of each feature; parameters and errors are those of :meth:`Calibration.fit`."""
    if schema is None:
        raise ThresholdError("feature values or errors need the schema that names them")
    expected = (rows, *schema.row_shape)
    for what, matrix in (("x", x), ("feature_errors", feature_errors)):
        if matrix is not None and matrix.shape != expected:
            raise ThresholdError(f"{what} has shape {list(matrix.shape)}; {list(expected)} is expected")
    if len(schema.row_shape) > 1:
        x = None if x is None else x[:, -1]
        feature_errors = None if feature_errors is None else np.nansum(feature_errors, axis=1)
    features = []
    for column, feature in enumerate(schema.features):
        quantiles, counts, missing_rate = None, None, 0.0
        if x is not None:
            values = np.asarray(x[:, column], dtype=np.float64)
            if isinstance(feature, NumericFeature):
                present = values[~np.isnan(values)]
                missing_rate = 1 - present.size / rows
                quantiles = np.empty(0, dtype=np.float32)
                if present.size:
                    quantiles = np.quantile(present, np.linspace(0, 1, FEATURE_QUANTILE_COUNT)).astype(np.float32)
            else:
                counts = count_codes(values, feature.code_count)
                missing_rate = float(counts[MISSING_CODE] / rows)
        errors = None if feature_errors is None else np.asarray(feature_errors[:, column], dtype=np.float64)
        features.append(
            FeatureCalibration(
                name=feature.name,
                quantiles=quantiles,
                counts=counts,
                missing_rate=missing_rate,
                error_mean=None if errors is None else float(errors.mean()),
                error_deviation=None if errors is None else float(errors.std()),
            )
        )
    return tuple(features)


def count_codes(codes: NDArray[np.floating[Any]], code_count: int) -> NDArray[np.int64]:
    """Return rows per category code, int64 ``[code_count]``; NaN counts as missing, a foreign code as unknown."""
    known = np.where(np.isnan(codes), MISSING_CODE, codes)
    known = np.where((known >= 0) & (known < code_count), known, UNKNOWN_CODE).astype(np.int64)
    return np.bincount(known, minlength=code_count)


def _shortest(values: NDArray[np.float32]) -> list[float | None]:
    """Return the shortest decimals that name the float32 values; NaN becomes None."""
    return [None if text == "nan" else float(text) for text in map(str, values)]


def _shortest_rows(row: NDArray[np.float32]) -> list[Any]:
    return _shortest(row) if row.ndim == 1 else [_shortest(step) for step in row]


def _float_rows(row: list[Any]) -> NDArray[np.float32]:
    return np.stack([_floats(step) for step in row]) if row and isinstance(row[0], list) else _floats(row)


def _floats(values: Sequence[float | None]) -> NDArray[np.float32]:
    return np.array([math.nan if value is None else float(value) for value in values], dtype=np.float32)


def _optional_float(value: float | None) -> float | None:
    return None if value is None else float(value)
