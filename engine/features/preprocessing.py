"""From the raw matrix ``x`` to the prepared matrix ``z``: fitting the parameters, and a NumPy reference.

The same arithmetic is written as an ONNX graph by ``netsieve.export.preprocessing``. All parameters are
float32 numbers, so the float64 transform here is the exact value that the float32 graph approximates.

Columns of ``z``: the numeric features, the missing indicators, then for each categorical feature its rarity
and its one-hot columns: missing, unknown, the frequent values, other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.features.schema import (
    FIRST_CODE,
    MISSING_CODE,
    UNKNOWN_CODE,
    CategoricalFeature,
    Feature,
    FeatureSchema,
    NumericFeature,
    Scaling,
)

HEAVY_TAIL_SKEWNESS: Final = 2.0
"""A column with a larger absolute skewness is taken through the signed log."""
RELATIVE_SCALE_FLOOR: Final = 1e-6
"""Smallest scale as a share of the centre's magnitude (or of 1): keeps constant columns finite, and float32 exact."""
LOGARITHM_SCALE_FLOOR: Final = 1e-2
"""The same after a signed log: float32 has 1 + |x| to 6e-8 only, which a smaller scale would blow up to an error
that shows in the score."""
LARGEST_SCALE: Final = 2.0**126
"""Float32's range allows a wider spread than this, but not its reciprocal."""
LARGEST_SOFT_CLIP: Final = 1e6
"""Largest limit of the soft clip that a schema takes."""
LARGEST_EXCESS: Final = 1e30
"""Largest distance beyond the soft-clip limit, so that no infinity arises."""

ColumnRole = Literal["value", "missing", "rarity", "category"]


@dataclass(frozen=True, slots=True)
class PreparedColumn:
    """One column of ``z``: which feature it comes from (its matrix column), its role and a name to show."""

    feature: int
    role: ColumnRole
    name: str


def prepared_columns(schema: FeatureSchema) -> tuple[PreparedColumn, ...]:
    """Return the columns of ``z`` in order."""
    columns = [PreparedColumn(i, "value", f.name) for i, f in schema.numeric]
    columns += [PreparedColumn(i, "missing", f"{f.name} missing") for i, f in schema.numeric if f.missing_indicator]
    for i, f in schema.categorical:
        columns.append(PreparedColumn(i, "rarity", f"{f.name} rarity"))
        labels = ["missing", "unknown", *f.vocabulary[: f.one_hot_count], *(["other"] if f.has_other else [])]
        columns += [PreparedColumn(i, "category", f"{f.name}={label}") for label in labels]
    return tuple(columns)


def feature_selection(schema: FeatureSchema) -> NDArray[np.float32]:
    """Return the 0/1 matrix that sums prepared columns by feature, float32 ``[prepared columns, n_features]``."""
    columns = prepared_columns(schema)
    selection = np.zeros((len(columns), len(schema.features)), dtype=np.float32)
    selection[np.arange(len(columns)), [column.feature for column in columns]] = 1.0
    return selection


def with_scaling(schema: FeatureSchema, scaling: Scaling) -> FeatureSchema:
    """Return the schema with all numbers scaled in this way, without logarithms, and bounded as little as may be."""
    features = tuple(
        replace(feature, scaling=scaling, signed_log=False) if isinstance(feature, NumericFeature) else feature
        for feature in schema.features
    )
    return replace(schema, features=features, soft_clip=LARGEST_SOFT_CLIP)


def fit_preprocessing(schema: FeatureSchema, x: NDArray[np.float32]) -> FeatureSchema:
    """Return the schema with centres, scales and fills fitted to ``x``.

    Parameters
    ----------
    schema
        Schema whose vocabularies are known (:func:`netsieve.engine.features.inference.fit_vocabularies`).
    x
        float32 ``[n, n_features]``, raw units, the training rows.

    Notes
    -----
    ``signed_log`` is taken as the schema says, None as False;
    :func:`netsieve.engine.features.inference.fit_schema` decides it by the skewness.
    """
    features: list[Feature] = []
    for column, feature in enumerate(schema.features):
        if isinstance(feature, NumericFeature):
            features.append(_fit_numeric(feature, x[:, column].astype(np.float64), schema.soft_clip))
        else:
            features.append(_fit_rarity(feature, x[:, column].astype(np.int64)))
    return replace(schema, features=tuple(features), fitted=True)


def _fit_numeric(feature: NumericFeature, values: NDArray[np.float64], limit: float) -> NumericFeature:
    missing = np.isnan(values)
    present = values[~missing]
    if feature.signed_log:
        present = signed_log(present)
    center, scale = 0.0, 1.0
    if present.size and feature.scaling == "standard":
        center, scale = float(present.mean()), float(present.std())
    elif present.size and feature.scaling == "robust":
        low, center, high = (float(v) for v in np.quantile(present, (0.25, 0.5, 0.75)))
        # 1.349 makes the interquartile range of a normal distribution one deviation
        scale = (high - low) / 1.349 or float(present.std())
    elif present.size and feature.scaling == "minmax":
        center, scale = float(present.min()), float(np.ptp(present))
    if feature.scaling != "none":
        floor = LOGARITHM_SCALE_FLOOR if feature.signed_log else RELATIVE_SCALE_FLOOR
        scale = min(max(scale, floor * max(1.0, abs(center))), LARGEST_SCALE)
    center, scale = float(np.float32(center)), float(np.float32(scale))
    if feature.imputation != "median":
        constant = np.float64(feature.imputation)
        raw = signed_log(constant) if feature.signed_log else constant
        fill = float(soft_clip((raw - center) / scale, limit))
    elif missing.any() and present.size:
        fill = float(soft_clip((np.median(present) - center) / scale, limit))
    else:
        fill = limit if present.size else 0.0
    return replace(
        feature,
        signed_log=bool(feature.signed_log),
        missing_indicator=feature.missing_indicator or bool(missing.any()),
        center=center,
        scale=scale,
        fill=float(np.float32(fill)),
    )


def _fit_rarity(feature: CategoricalFeature, codes: NDArray[np.int64]) -> CategoricalFeature:
    rarity = raw_rarity(feature)[np.clip(codes, 0, feature.code_count - 1)]
    center = float(np.float32(rarity.mean())) if rarity.size else 0.0
    scale = float(np.float32(max(rarity.std(), 0.1))) if rarity.size else 1.0
    return replace(feature, rarity_center=center, rarity_scale=scale)


def raw_rarity(feature: CategoricalFeature) -> NDArray[np.float64]:
    """Return ``-log((count + 1) / (rows + values + 1))`` for each code; unknown counts 0."""
    counts = np.zeros(feature.code_count)
    counts[MISSING_CODE] = feature.missing_count
    counts[FIRST_CODE:] = feature.counts
    return np.asarray(-np.log((counts + 1) / (feature.rows + len(feature.vocabulary) + 1)), dtype=np.float64)


def rarity_table(feature: CategoricalFeature, limit: float) -> NDArray[np.float32]:
    """Return the prepared rarity of each code, float32 ``[code_count]``."""
    z = (raw_rarity(feature) - feature.rarity_center) / feature.rarity_scale
    return soft_clip(z, limit).astype(np.float32)


def signed_log(values: Any) -> NDArray[np.float64]:
    """Return ``sign(v) * log(1 + |v|)``."""
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)), dtype=np.float64)


def soft_clip(z: Any, limit: float) -> NDArray[np.float64]:
    """Return ``z`` within ``limit``, and ``limit + log(1 + |z| - limit)`` with the sign of ``z`` beyond."""
    z = np.asarray(z, dtype=np.float64)
    inner = np.clip(z, -limit, limit)
    excess = np.minimum(np.abs(z - inner), LARGEST_EXCESS)
    return np.asarray(inner + np.sign(z) * np.log1p(excess), dtype=np.float64)


def prepare(schema: FeatureSchema, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the prepared matrix, float64 ``[n, len(prepared_columns(schema))]``.

    Parameters
    ----------
    schema
        Fitted schema.
    x
        float32 ``[n, n_features]``, raw units and codes. A code outside the vocabulary counts as unknown,
        a NaN code as missing.
    """
    values, indicators = [], []
    for i, numeric in schema.numeric:
        raw = x[:, i].astype(np.float64)
        missing = np.isnan(raw)
        if numeric.signed_log:
            raw = signed_log(raw)
        z = soft_clip((raw - numeric.center) / numeric.scale, schema.soft_clip)
        values.append(np.where(missing, numeric.fill, z))
        if numeric.missing_indicator:
            indicators.append(missing.astype(np.float64))
    categories = []
    for i, category in schema.categorical:
        codes = valid_codes(x[:, i], category)
        categories.append(rarity_table(category, schema.soft_clip)[codes].astype(np.float64))
        width = FIRST_CODE + category.one_hot_count + category.has_other
        categories.append((np.minimum(codes, width - 1)[:, None] == np.arange(width)).astype(np.float64))
    columns = [*values, *indicators, *categories]
    return np.column_stack(columns) if columns else np.empty((len(x), 0))


def valid_codes(column: NDArray[np.float32], feature: CategoricalFeature) -> NDArray[np.int64]:
    """Return the codes of any shape, int64: NaN as missing, what is no code of the feature as unknown."""
    codes = np.where(np.isnan(column), np.float32(MISSING_CODE), column)
    inside = (codes >= 0) & (codes < feature.code_count) & (codes == np.floor(codes))
    return np.where(inside, codes, np.float32(UNKNOWN_CODE)).astype(np.int64)
