"""Records for any model, drawn from what its file tells of the values it was calibrated on.

Each feature is drawn on its own, so that the records are as large, as sparse and as varied as real ones, and no more
than that: their scores mean nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.engine.features.schema import (
    FIRST_CODE,
    MISSING_CODE,
    UNKNOWN_CODE,
    CategoricalFeature,
    FeatureSchema,
    NumericFeature,
)
from netsieve.engine.scoring.model_file import ModelFile
from netsieve.engine.thresholds.calibration import FeatureCalibration

NEVER_SEEN: Final = "(never seen)"
"""Text of an unknown category."""
LARGEST_WHOLE: Final = 2.0**53


def drawn_matrix(model: ModelFile, rows: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Return records as the raw matrix, float32 ``[rows, n_features]``, or windows ``[rows, window, n_features]``.

    Numbers follow the calibration's percentiles and missing rates, categories its counts; where the file has none,
    numbers are normal around the schema's centre and categories follow the schema's counts.
    """
    random = np.random.default_rng(seed)
    shape = (rows, *model.schema.row_shape)
    x = np.empty(shape, dtype=np.float32)
    known = {each.name: each for each in model.calibration.features}
    for i, feature in enumerate(model.schema.features):
        calibration = known.get(feature.name)
        if isinstance(feature, CategoricalFeature):
            x[..., i] = random.choice(feature.code_count, size=shape[:-1], p=_code_shares(feature, calibration))
        else:
            x[..., i] = _numbers(feature, calibration, random, shape[:-1])
    return x


def drawn_frame(schema: FeatureSchema, x: NDArray[np.float32]) -> pl.DataFrame:
    """Return the frame that encodes to a matrix of :func:`drawn_matrix`, without its windows."""
    columns = []
    for i, feature in enumerate(schema.features):
        values = x[:, i]
        if isinstance(feature, CategoricalFeature):
            columns.append(_texts(feature, values))
            continue
        column = pl.Series(feature.name, values, nan_to_null=True)
        kinds = {"integer": pl.Int64(), "boolean": pl.Boolean()}
        columns.append(column.cast(kinds.get(feature.column_kind, pl.Float32())))
    return pl.DataFrame(columns)


def _numbers(
    feature: NumericFeature,
    calibration: FeatureCalibration | None,
    random: np.random.Generator,
    shape: tuple[int, ...],
) -> NDArray[np.float64]:
    quantiles = None if calibration is None else calibration.quantiles
    if quantiles is not None and len(quantiles):
        ranks = np.linspace(0.0, 1.0, len(quantiles))
        values = np.interp(random.random(shape), ranks, quantiles.astype(np.float64))
    else:
        values = feature.center + feature.scale * random.standard_normal(shape)
        if feature.signed_log:
            values = np.sign(values) * np.expm1(np.minimum(np.abs(values), 40.0))
    if feature.column_kind != "float":
        least, largest = (0.0, 1.0) if feature.column_kind == "boolean" else (-LARGEST_WHOLE, LARGEST_WHOLE)
        values = np.rint(np.clip(values, least, largest)) + 0.0  # no -0.0, which integers do not have
    if calibration is not None:
        values[random.random(shape) < calibration.missing_rate] = np.nan
    return np.asarray(values, dtype=np.float64)


def _code_shares(feature: CategoricalFeature, calibration: FeatureCalibration | None) -> NDArray[np.float64]:
    counts = np.zeros(feature.code_count)
    if calibration is not None and calibration.counts is not None and calibration.counts.sum():
        counts[:] = calibration.counts
    else:
        counts[MISSING_CODE] = feature.missing_count
        counts[FIRST_CODE:] = feature.counts
        counts[UNKNOWN_CODE] = 1.0  # so that there is something to draw
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def _texts(feature: CategoricalFeature, codes: NDArray[np.float32]) -> pl.Series:
    # Columns that hold whole numbers have no text for what was never seen
    unknown = NEVER_SEEN if feature.column_kind == "string" else None
    texts = pl.Series(feature.name, [None, unknown, *feature.vocabulary], dtype=pl.String)
    column = texts.gather(codes.astype(np.uint32))
    return column.cast(pl.Int64) if feature.column_kind == "integer" else column
