"""How often the records of each entity are as surprising as few calibration records are, counted while records go by.

Entities have dense numbers (``netsieve.kernels._native.Interner``); a number whose entity is new begins anew. A
record's surprise is -log10 of the share of calibration records that score at least as high. What is kept of an entity
is a histogram of its records' surprises; :func:`compare_with_calibration` tells from it how far the entity departs
from the calibration records.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from netsieve.kernels.jit import kernel

LEVELS: Final = 24
"""Levels of surprise that are told apart, a quarter of a power of ten each: up to one record in a million."""
LEVELS_PER_DECADE: Final = 4
INDEPENDENT_RECORDS: Final = 32.0
"""Surprising records of an entity that count in full; with more it is taken for a smaller sample that has so many. Its
records are much alike: in full they would rank the busiest entities first."""


@kernel()
def update_levels(  # noqa: PLR0917 (kernels are called by position)
    ids: NDArray[np.int32],
    is_new: NDArray[np.bool_],
    scores: NDArray[np.float32],
    surprise: NDArray[np.float32],
    flags: NDArray[np.bool_],
    counts: NDArray[np.int64],
    sums: NDArray[np.float64],
    highest: NDArray[np.float32],
    levels: NDArray[np.uint32],
) -> None:
    """Count each entity's records, all and by level of surprise, add up its scores and keep the highest.

    Parameters
    ----------
    ids, is_new
        int32 and bool ``[n]``: the entity, -1 for none, and whether its number is void before this record.
    scores, surprise, flags
        float32 ``[n]``, finite, the latter not below 0, and bool ``[n]``: whether the record is an anomaly.
    counts
        int64 ``[entities, 2]``: records and anomalies.
    sums
        float64 ``[entities]``: of the records' scores.
    highest
        float32 ``[entities]``.
    levels
        uint32 ``[entities, LEVELS]``: records whose surprise is from (i + 1) / 4 to (i + 2) / 4, or more in the last.
    """
    for i in range(ids.size):
        entity = ids[i]
        if entity < 0:
            continue
        if is_new[i]:
            counts[entity, 0] = 0
            counts[entity, 1] = 0
            sums[entity] = 0.0
            highest[entity] = -np.inf
            levels[entity, :] = 0
        counts[entity, 0] += 1
        counts[entity, 1] += flags[i]
        sums[entity] += scores[i]
        highest[entity] = max(highest[entity], scores[i])
        level = min(int(surprise[i] * LEVELS_PER_DECADE), LEVELS) - 1
        if level >= 0:
            levels[entity, level] += 1


@kernel()
def compare_with_calibration(
    counts: NDArray[np.int64], levels: NDArray[np.uint32], calibration_records: int, out: NDArray[np.float64]
) -> None:
    """Tell how far each entity's records depart from the calibration's, as a logarithm of likelihood ratios.

    At a level that k of the entity's n records and c of N calibration records reach, the ratio is that of "the entity
    reaches it at its own rate" to "both reach it at one rate": k ln(k / e) + c ln(c / f), with e and f the counts that
    the common rate gives (Kulldorff, "A spatial scan statistic", Communications in Statistics 26(6), 1997, for Poisson
    counts; the calibration's rate has its error too). Where k is beyond :data:`INDEPENDENT_RECORDS`, k and n are both
    made smaller by the same factor. The largest of all levels is told.

    Parameters
    ----------
    counts, levels
        As :func:`update_levels` left them.
    calibration_records
        N.
    out
        float64 ``[entities]``: powers of ten; 0 where no level is reached at a higher rate than the calibration's.
    """
    for entity in range(out.size):
        out[entity] = 0.0
        records = np.float64(counts[entity, 0])
        reached = 0.0
        for i in range(LEVELS):
            level = LEVELS - 1 - i
            reached += levels[entity, level]
            # the record itself is among those that reach a level, as in the definition of surprise
            calibrated = max((calibration_records + 1.0) * 10.0 ** (-(level + 1) / LEVELS_PER_DECADE), 1.0)
            share = min(INDEPENDENT_RECORDS / reached, 1.0) if reached > 0.0 else 1.0
            own, of = reached * share, records * share
            rate = (own + calibrated) / (of + calibration_records)
            if own > rate * of:
                ratio = own * np.log(own / (rate * of)) + calibrated * np.log(calibrated / (rate * calibration_records))
                out[entity] = max(out[entity], ratio / np.log(10.0))


def warmup() -> None:
    """Run each kernel once."""
    one = np.zeros(1, np.bool_)
    counts, levels = np.zeros((1, 2), np.int64), np.zeros((1, LEVELS), np.uint32)
    number = np.zeros(1, np.float32)
    sums, highest = np.zeros(1), np.zeros(1, np.float32)
    update_levels(np.zeros(1, np.int32), one, number, number, one, counts, sums, highest, levels)
    compare_with_calibration(counts, levels, 1, np.zeros(1))
