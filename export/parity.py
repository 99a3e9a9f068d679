"""Whether an exported graph gives the scores of the detector's float64 reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.errors import ParityError
from netsieve.engine.features.schema import (
    FIRST_CODE,
    LARGEST_NUMBER,
    UNKNOWN_CODE,
    FeatureSchema,
    NumericFeature,
)
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.export.graph import INPUT, SCORE

NEARLY_EQUAL: Final = 2e-6
"""Scores of sound graphs are off by up to 1e-6 of score and median each: what is closer may come in any order."""
RELATIVE_TOLERANCE: Final = 1e-5
"""Largest ``|score - reference| / (|reference| + median calibration score)``."""
LOWEST_RANK_CORRELATION: Final = 0.99999
LARGE_BATCH: Final = 4096
"""Rows a batch, as scoring uses them."""
SINGLE_ROWS: Final = 256
"""Rows, spread over all, that are also scored one at a time: other matrix kernels serve a single row."""
HARD_COLUMNS: Final = 256
"""At most so many features are made hard one by one."""

ScoreFunction = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReport:
    """How closely a graph follows its reference.

    Attributes
    ----------
    rows
        Rows compared.
    largest_error
        Largest ``|score - reference| / (|reference| + median calibration score)`` in large batches and row by row.
    rank_correlation
        Spearman's, over the reference scores that differ by more than rounding; 1 where there are fewer than three.
    decisions_differing
        Rows on another side of a named threshold, all of them within the tolerance of it.
    """

    rows: int
    largest_error: float
    rank_correlation: float
    decisions_differing: int


def check_parity(
    model: bytes,
    x: NDArray[np.float32],
    reference: NDArray[np.float64],
    calibration: Calibration,
    thresholds: Mapping[str, float | str],
) -> ParityReport:
    """Score ``x`` with the graph, in large batches and row by row, and compare with the reference.

    Parameters
    ----------
    model
        The serialised model.
    x
        float32 ``[n, n_features]``, raw units and codes; windows ``[n, window, n_features]``.
    reference
        float64 ``[n]``, the detector's scores of these rows in float64 arithmetic.
    calibration
        Gives the median score that tolerances are relative to.
    thresholds
        Named thresholds; entries that are no numbers are passed over.

    Raises
    ------
    ParityError
        A score is not finite or further from the reference than 1e-5 of its size plus the median score; a
        decision differs where the reference is not that close to the threshold; or the order of scores differs.
    """
    if len(x) == 0:
        raise ParityError("parity was to be checked on no rows; give held-out records")
    if not np.isfinite(reference).all():
        row = int(np.argmin(np.isfinite(reference)))
        raise ParityError(f"the detector's own score of row {row} is {reference[row]}; it cannot score such records")
    run = score_function(model)
    scores = np.concatenate([run(x[start : start + LARGE_BATCH]) for start in range(0, len(x), LARGE_BATCH)])
    chosen = np.unique(np.linspace(0, len(x) - 1, min(SINGLE_ROWS, len(x))).astype(np.int64))
    single = np.concatenate([run(x[row : row + 1]) for row in chosen])
    tolerance = RELATIVE_TOLERANCE * (np.abs(reference) + abs(calibration.median))
    worst = 0.0
    for what, rows, got in (("in a batch", np.arange(len(x)), scores), ("alone", chosen, single)):
        worst = max(worst, _largest_error(what, rows, got, reference, tolerance))
    differing = 0
    for name, threshold in thresholds.items():
        if isinstance(threshold, str):
            continue
        differs = (scores > threshold) != (reference > threshold)
        beyond = differs & (np.abs(reference - threshold) > tolerance)
        if beyond.any():
            row = int(np.argmax(beyond))
            raise ParityError(
                f"the exported graph decides {int(beyond.sum())} of {len(x)} rows otherwise at {name} "
                f"({threshold:.6g}); row {row} scores {scores[row]:.6g}, the detector {reference[row]:.6g}"
            )
        differing += int(differs.sum())
    correlation = _rank_correlation(scores, reference, NEARLY_EQUAL * (np.abs(reference) + abs(calibration.median)))
    if correlation < LOWEST_RANK_CORRELATION:
        raise ParityError(
            f"the exported graph orders {len(x)} rows otherwise than the detector: Spearman's rank correlation is "
            f"{correlation:.6f}, at least {LOWEST_RANK_CORRELATION} is expected"
        )
    return ParityReport(
        rows=len(x),
        largest_error=worst * RELATIVE_TOLERANCE,
        rank_correlation=correlation,
        decisions_differing=differing,
    )


def score_function(model: bytes) -> ScoreFunction:
    """Return a function that scores a raw matrix with the serialised model on one CPU thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=0)

    def run(x: NDArray[np.float32]) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = session.run([SCORE], {INPUT: np.ascontiguousarray(x, dtype=np.float32)})[0]
        if scores.shape != (len(x),):
            raise ParityError(f"the exported graph gives scores of shape {scores.shape} for {len(x)} rows")
        return scores

    return run


def _largest_error(
    what: str,
    rows: NDArray[np.int64],
    scores: NDArray[np.float32],
    reference: NDArray[np.float64],
    tolerance: NDArray[np.float64],
) -> float:
    """Return the largest error in tolerances, or raise where it is more than one."""
    allowed = np.maximum(tolerance[rows], np.finfo(np.float64).tiny)
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(scores - reference[rows]) / allowed
    # a NaN score must not pass as a small error
    error = np.where(np.isfinite(scores), error, np.inf)
    worst = int(np.argmax(error))
    if error[worst] > 1:
        raise ParityError(
            f"the exported graph misses the detector's score on {int((error > 1).sum())} of {len(rows)} rows scored "
            f"{what}; row {rows[worst]} scores {scores[worst]:.8g} where {reference[rows[worst]]:.8g} is expected"
        )
    return float(error[worst])


def _rank_correlation(
    scores: NDArray[np.float32], reference: NDArray[np.float64], nearly_equal: NDArray[np.float64]
) -> float:
    """Return Spearman's correlation over reference scores that differ: rounding may not order what is nearly equal.

    Reference scores that follow each other within float32's rounding count as one. In small data with few distinct
    records a single swap of such neighbours would fall below the limit.
    """
    order = np.argsort(reference)
    is_new = np.diff(reference[order]) > nearly_equal[order[1:]]
    group = np.empty(len(reference), np.int64)
    group[order] = np.concatenate([[0], np.cumsum(is_new)])
    groups = int(group.max()) + 1
    if groups < 3:
        return 1.0
    means = np.bincount(group, scores.astype(np.float64)) / np.bincount(group)
    return float(np.corrcoef(np.arange(groups), _ranks(means))[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ranks from 0, equal values sharing the mean of theirs."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts + 1) / 2)[group], dtype=np.float64)


def hard_rows(schema: FeatureSchema, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows that a graph may get wrong: missing, unknown, extreme and impossible values.

    Parameters
    ----------
    schema
        Says which columns are numbers and which codes.
    x
        float32 ``[n, n_features]``, ordinary rows, at least one.

    Returns
    -------
    float32 ``[rows, n_features]``
        Each hard value in one feature of an ordinary row, and in all features at once.
    """
    return np.concatenate(list(_hard_rows(schema, x))).astype(np.float32)


def _hard_rows(schema: FeatureSchema, x: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    chosen = np.unique(np.linspace(0, len(schema.features) - 1, HARD_COLUMNS).astype(np.int64))
    numbers = (np.nan, LARGEST_NUMBER, -LARGEST_NUMBER, np.inf, -np.inf, 0.0, 1e-7, 1e9)
    for position, number in enumerate(numbers):
        values = np.empty(len(schema.features), dtype=np.float32)
        for column, feature in enumerate(schema.features):
            if isinstance(feature, NumericFeature):
                values[column] = number
            else:
                last = feature.code_count - 1
                codes = (np.nan, UNKNOWN_CODE, last, last + 1, -1.0, FIRST_CODE + 0.5, np.inf, 0.0)
                values[column] = codes[position]
        rows = x[np.arange(len(chosen)) % len(x)].copy()
        rows[np.arange(len(chosen)), chosen] = values[chosen]
        yield rows
        yield values[None]


def hard_windows(schema: FeatureSchema, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return windows that a graph may get wrong: hard rows at their end and before it, and little or no history.

    Parameters
    ----------
    schema
        Says which columns are numbers and which codes.
    x
        float32 ``[n, window, n_features]``, ordinary windows, at least one.

    Returns
    -------
    float32 ``[windows, window, n_features]``
    """
    window = x.shape[1]
    hard = hard_rows(schema, x[:, -1])
    ordinary = x[np.arange(len(hard)) % len(x)]
    last, earlier, alone, throughout = (ordinary.copy() for _ in range(4))
    last[:, -1] = hard
    earlier[np.arange(len(hard)), np.arange(len(hard)) % window] = hard
    alone[:, :-1] = np.nan
    alone[:, -1] = hard
    throughout[:] = hard[:, None]
    shortened = x[np.arange(window) % len(x)].copy()
    for steps in range(window):
        shortened[steps, :steps] = np.nan
    nothing = np.full_like(x[:1], np.nan)
    return np.concatenate([last, earlier, alone, throughout, shortened, nothing])
