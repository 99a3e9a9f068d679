"""The columns of the prepared matrix before scaling: exact in float32, for detectors that compare with thresholds.

Scaling rounds, and not everywhere alike: a graph would send a record that lies just at a threshold the other way. It
is monotone, however, so that a threshold on a prepared number is the same decision as a threshold on the raw one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.features.preprocessing import prepare, signed_log, soft_clip
from netsieve.engine.features.schema import FeatureSchema, NumericFeature


def unscaled_columns(schema: FeatureSchema, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the columns of the prepared matrix with numbers in raw units, float32 ``[n, prepared columns]``.

    Parameters
    ----------
    schema
        Fitted schema.
    x
        float32 ``[n, n_features]``, raw units and codes.

    Returns
    -------
    float32 ``[n, d]``
        In the order of :func:`~netsieve.engine.features.preprocessing.prepared_columns`: numbers as they are, NaN
        where they are missing, then the missing indicators, rarities and one-hot columns, as in the prepared matrix.
    """
    columns = prepare(schema, x).astype(np.float32)
    columns[:, : len(schema.numeric)] = x[:, [i for i, _ in schema.numeric]]
    return columns


def prepared_missing(schema: FeatureSchema) -> NDArray[np.float64]:
    """Return what stands for a missing number in each numeric column of the prepared matrix, float64 ``[numbers]``."""
    return np.array([f.fill for _, f in schema.numeric], dtype=np.float64)


def unscaled_thresholds(
    schema: FeatureSchema, column: NDArray[np.int64], threshold: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return thresholds of unscaled columns that decide like those of prepared columns.

    Parameters
    ----------
    schema
        Fitted schema.
    column
        int64 ``[m]``, prepared columns.
    threshold
        float64 ``[m]``: a row goes left where its prepared value is no larger.

    Returns
    -------
    float32 ``[m]``
        For numbers the largest float32 whose prepared value is no larger than the threshold (minus infinity where
        none is); for other columns, whose values are float32 already, the threshold rounded down.
    """
    result = rounded_down(threshold)
    for number, (_, feature) in enumerate(schema.numeric):
        chosen = column == number
        if chosen.any():
            prepared = partial(prepared_number, feature, limit=schema.soft_clip)
            result[chosen] = largest_at_most(prepared, threshold[chosen])
    return result


def rounded_down(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the largest float32 numbers that are no larger than the values."""
    rounded = np.asarray(values).astype(np.float32)
    return np.where(rounded > values, np.nextafter(rounded, np.float32(-np.inf)), rounded)


def largest_at_most(
    increasing: Callable[[NDArray[np.float32]], NDArray[np.float64]], threshold: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return the largest float32 numbers of which an increasing function is no larger than the thresholds.

    Minus infinity where there is none. Float32 numbers are ordered like integers, which are searched by bisection.
    """
    low = np.full(len(threshold), _ordinal(np.float32(-np.inf)))
    high = np.full(len(threshold), _ordinal(np.float32(np.inf)))
    while (low < high).any():
        middle = low + (high - low + 1) // 2
        below = increasing(_number(middle)) <= threshold
        low, high = np.where(below, middle, low), np.where(below, high, middle - 1)
    return _number(low)


def prepared_number(feature: NumericFeature, raw: NDArray[np.float32], limit: float) -> NDArray[np.float64]:
    """Return a number's prepared values, NaN where it is missing, float64 ``[n]``."""
    values = raw.astype(np.float64)
    if feature.signed_log:
        values = signed_log(values)
    return soft_clip((values - feature.center) / feature.scale, limit)


def _ordinal(value: np.float32) -> int:
    bits = int(np.float32(value).view(np.int32))
    return bits if bits >= 0 else -(bits & 0x7FFFFFFF)


def _number(ordinal: NDArray[np.int64]) -> NDArray[np.float32]:
    magnitude = np.abs(ordinal).astype(np.int32).view(np.float32)
    return np.where(ordinal < 0, -magnitude, magnitude).astype(np.float32)
