"""From a frame to a fitted schema: which columns are features, their vocabularies and their preprocessing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.engine.errors import SchemaError
from netsieve.engine.features.encoding import Encoder, category_text
from netsieve.engine.features.preprocessing import HEAVY_TAIL_SKEWNESS, fit_preprocessing, signed_log
from netsieve.engine.features.roles import ColumnRole, column_kind, column_role
from netsieve.engine.features.schema import (
    CategoricalFeature,
    Feature,
    FeatureSchema,
    IgnoredColumn,
    NumericFeature,
)
from netsieve.engine.features.schema_file import ColumnDeclaration, SchemaDeclaration, schema_declaration

FEWEST_FOR_ONE_HOT: Final = 5
"""A value seen less often has no column of its own: the network could learn nothing about it."""
SMALLEST_LOGARITHM_RANGE: Final = 1.0
"""Where no value is larger than this, log(1 + |x|) is nearly a straight line and loses precision for nothing."""
STRONG_CORRELATION: Final = 0.98
"""Features that are correlated more strongly than this are named as a pair."""
CORRELATION_ROWS: Final = 20_000
SHOWN_PAIRS: Final = 20
SHOWN_VALUES: Final = 5
DEFAULT_VOCABULARY_LIMIT: Final = CategoricalFeature(name="").vocabulary_limit


def infer_schema(
    frame: pl.DataFrame,
    *,
    features: Sequence[str] = (),
    ignore: Sequence[str] = (),
    label: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> FeatureSchema:
    """Return the unfitted schema of a frame: which columns are features and of which kind.

    Parameters
    ----------
    frame
        Records; how roles are told from names and values is said in :mod:`netsieve.engine.features.roles`.
    features
        Only these columns, whatever they look like; all that qualify unless given.
    ignore
        Columns that are no features.
    label
        The column that says what a record is; never a feature.
    overrides
        What a schema file declares (:mod:`netsieve.engine.features.schema_file`), as its content; ``features`` and
        ``ignore`` are added to its own.

    Raises
    ------
    SchemaError
        A column that is named is not there or is named twice over, the overrides are malformed, or no feature is
        left.
    """
    declared = schema_declaration(overrides or {})
    wanted = tuple(dict.fromkeys([*declared.features, *features]))
    unwanted = {*declared.ignore, *ignore}
    _check_present([*wanted, *unwanted, *declared.columns, *([label] if label else [])], frame.columns)
    _check_contradictions(wanted, unwanted, label, declared)
    found: list[Feature] = []
    ignored: list[IgnoredColumn] = []
    for name in frame.columns:
        column = frame.get_column(name)
        declaration = declared.columns.get(name, ColumnDeclaration())
        if name == label:
            ignored.append(IgnoredColumn(name=name, column_kind=column_kind(column), reason="label"))
        elif name in unwanted or declaration.kind == "ignored" or (wanted and name not in wanted):
            ignored.append(_asked_to_ignore(column))
        else:
            role = _declared_role(column, declaration, must_use=name in wanted or declaration.kind is not None)
            if role.kind == "ignored":
                if name in wanted or declaration.kind is not None:
                    raise SchemaError(_unusable_message(name, role))
                ignored.append(IgnoredColumn(name=name, column_kind=role.column_kind, reason=role.reason))
            else:
                found.append(_feature(name, role, declaration))
    if not found:
        raise SchemaError(
            f"none of the {frame.width} columns is a feature ({_reasons(ignored) or 'there are none'}); name columns "
            "with --features or in a schema file"
        )
    return FeatureSchema(features=tuple(found), ignored=tuple(ignored), **declared.settings)


def _asked_to_ignore(column: pl.Series) -> IgnoredColumn:
    """Keep the reason of a column that would be ignored anyway: the splits look for the timestamp."""
    role = column_role(column, vocabulary_limit=DEFAULT_VOCABULARY_LIMIT)
    reason = role.reason if role.reason in ("timestamp", "label", "address", "identifier") else "asked"
    return IgnoredColumn(name=column.name, column_kind=role.column_kind, reason=reason)


def _declared_role(column: pl.Series, declaration: ColumnDeclaration, *, must_use: bool) -> ColumnRole:
    limit = declaration.attributes.get("vocabulary_limit", DEFAULT_VOCABULARY_LIMIT)
    role = column_role(column, vocabulary_limit=limit, must_use=must_use)
    if declaration.kind in (None, role.kind) or role.kind == "ignored":
        return role
    kind = column_kind(column)
    if declaration.kind == "numeric" and kind == "string":
        raise SchemaError(f"column {column.name!r} is declared numeric and holds text; declare it categorical")
    assert declaration.kind is not None
    return ColumnRole(declaration.kind, kind)


def _feature(name: str, role: ColumnRole, declaration: ColumnDeclaration) -> Feature:
    attributes: dict[str, Any] = dict(declaration.attributes)
    if role.kind == "categorical":
        return CategoricalFeature(name=name, column_kind=role.column_kind, **attributes)
    # None: decided by the skewness when the schema is fitted
    return NumericFeature(name=name, column_kind=role.column_kind, **{"signed_log": None, **attributes})


def _check_present(names: Iterable[str], columns: Sequence[str]) -> None:
    for name in names:
        if name not in columns:
            close = get_close_matches(name, columns, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(map(repr, columns[:20]))}"
            raise SchemaError(f"the data has no column {name!r}; {hint}")


def _check_contradictions(
    wanted: Sequence[str], unwanted: set[str], label: str | None, declared: SchemaDeclaration
) -> None:
    for name in wanted:
        if name in unwanted or declared.columns.get(name, ColumnDeclaration()).kind == "ignored":
            raise SchemaError(f"column {name!r} is named as a feature and as one to ignore; name it once")
        if name == label:
            raise SchemaError(f"column {name!r} is the label, which is no feature; leave it out of the features")


def _unusable_message(name: str, role: ColumnRole) -> str:
    why = {
        "timestamp": "holds times, which never come again and are too large for float32; derive a feature from it",
        "type": "holds values that are neither numbers nor text; convert it first",
    }[role.reason]
    return f"column {name!r} cannot be a feature: it {why}"


def _reasons(ignored: Sequence[IgnoredColumn]) -> str:
    reasons: dict[str, int] = {}
    for column in ignored:
        reasons[column.reason] = reasons.get(column.reason, 0) + 1
    return ", ".join(f"{count} ignored: {reason}" for reason, count in reasons.items())


def fit_schema(schema: FeatureSchema, frame: pl.DataFrame) -> FeatureSchema:
    """Return the schema fitted to training rows.

    Vocabularies and counts are taken from the frame, a signed log is decided where the schema leaves it open
    (:func:`takes_signed_log`), centres and scales are fitted, and the features are put in the order that scores
    fastest: plain numbers, numbers with a signed log, categories.

    Parameters
    ----------
    schema
        From :func:`infer_schema`.
    frame
        Training rows only: what is fitted to others leaks into the evaluation.

    Raises
    ------
    SchemaError
        The frame is empty, lacks columns, or holds values that a feature cannot.
    """
    if not frame.height:
        raise SchemaError("there are no rows to fit the feature schema to; give training records")
    schema = fit_vocabularies(schema, frame)
    x = Encoder(schema).encode(frame)
    features = [
        replace(feature, signed_log=takes_signed_log(x[:, column]))
        if isinstance(feature, NumericFeature) and feature.signed_log is None
        else feature
        for column, feature in enumerate(schema.features)
    ]
    fitted = fit_preprocessing(replace(schema, features=tuple(features)), x)
    return replace(fitted, features=tuple(sorted(fitted.features, key=_place)))


def _place(feature: Feature) -> int:
    return 2 if isinstance(feature, CategoricalFeature) else int(bool(feature.signed_log))


def fit_vocabularies(schema: FeatureSchema, frame: pl.DataFrame) -> FeatureSchema:
    """Return the schema with the vocabulary and the counts of each categorical feature taken from the frame.

    Values are ordered by how often they occur, then by their text. Those seen fewer than 5 times have no one-hot
    column of their own but share the column "other".
    """
    features: list[Feature] = []
    for feature in schema.features:
        if isinstance(feature, CategoricalFeature):
            text = category_text(frame.get_column(feature.name)).alias("value")
            counted = text.drop_nulls().value_counts(name="rows")
            counted = counted.sort(["rows", "value"], descending=[True, False]).head(feature.vocabulary_limit)
            counts = tuple(int(count) for count in counted["rows"])
            features.append(
                replace(
                    feature,
                    vocabulary=tuple(counted["value"].to_list()),
                    counts=counts,
                    missing_count=text.null_count(),
                    rows=frame.height,
                    one_hot=min(feature.one_hot, sum(count >= FEWEST_FOR_ONE_HOT for count in counts)),
                )
            )
        else:
            features.append(feature)
    return replace(schema, features=tuple(features))


def takes_signed_log(values: NDArray[np.float32]) -> bool:
    """Return whether a signed log makes the distribution of a feature less heavy-tailed.

    It does where the skewness is larger than 2 either way and the logarithm's is smaller, and where values
    exceed 1, below which ``log(1 + |x|)`` changes little.

    Parameters
    ----------
    values
        float32 ``[n]``, raw units, NaN for missing.
    """
    present = values[~np.isnan(values)].astype(np.float64)
    if not present.size or np.abs(present).max() <= SMALLEST_LOGARITHM_RANGE:
        return False
    skewness = abs(_skewness(present))
    return skewness > HEAVY_TAIL_SKEWNESS and abs(_skewness(signed_log(present))) < skewness


def _skewness(values: NDArray[np.float64]) -> float:
    centered = values - values.mean()
    deviation = centered.std()
    if deviation <= 1e-12 * max(1.0, float(np.abs(values).max())):
        return 0.0
    return float(((centered / deviation) ** 3).mean())


def correlated_pairs(schema: FeatureSchema, frame: pl.DataFrame) -> tuple[tuple[str, str, float], ...]:
    """Return pairs of numeric features that tell nearly the same, strongest first.

    Parameters
    ----------
    schema
        From :func:`infer_schema`, fitted or not.
    frame
        Records; at most 20,000, evenly spread, are looked at.

    Returns
    -------
    tuple of (name, name, correlation)
        Spearman's rank correlation, at least 0.98 in size, over rows in which a missing value has the mean rank.
    """
    numeric = [feature for _, feature in schema.numeric]
    if len(numeric) < 2 or not frame.height:
        return ()
    rows = frame.gather_every(max(1, frame.height // CORRELATION_ROWS))
    x = Encoder(FeatureSchema(features=tuple(numeric))).encode(rows)
    ranks = np.column_stack([_centred_ranks(x[:, column]) for column in range(x.shape[1])])
    length = np.sqrt(np.square(ranks).sum(axis=0))
    varying = np.flatnonzero(length > 0)
    unit = ranks[:, varying] / length[varying]
    correlation = unit.T @ unit
    pairs = [
        (numeric[varying[i]].name, numeric[varying[j]].name, float(correlation[i, j]))
        for i, j in np.argwhere(np.triu(np.abs(correlation) >= STRONG_CORRELATION, k=1))
    ]
    return tuple(sorted(pairs, key=lambda pair: -abs(pair[2])))


def _centred_ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    ranks = pl.Series(values).fill_nan(None).rank("average").to_numpy().astype(np.float64)
    present = ~np.isnan(ranks)
    if not present.any():
        return np.zeros(len(values))
    return np.where(present, ranks - ranks[present].mean(), 0.0)


def describe_schema(schema: FeatureSchema, correlated: Sequence[tuple[str, str, float]] = ()) -> str:
    """Return a table of the features, the ignored columns with their reasons and the correlated pairs, as text."""
    numbers, categories = len(schema.numeric), len(schema.categorical)
    lines = [f"{len(schema.features)} features: {numbers} numeric, {categories} categorical"]
    width = max((len(name) for name in schema.feature_names), default=0)
    for feature in schema.features:
        if isinstance(feature, NumericFeature):
            lines.append(f"  {feature.name:<{width}}  number    {_number_details(feature)}")
        else:
            lines.append(f"  {feature.name:<{width}}  category  {_category_details(feature, schema.fitted)}")
    if schema.ignored:
        lines.append(f"{len(schema.ignored)} column{'s' * (len(schema.ignored) != 1)} ignored")
        for reason in dict.fromkeys(column.reason for column in schema.ignored):
            names = ", ".join(column.name for column in schema.ignored if column.reason == reason)
            lines.append(f"  {reason}: {names}")
    if correlated:
        lines.append(f"{len(correlated)} strongly correlated pairs; one of each may be left out with --ignore")
        lines += [f"  {a} and {b}: {value:+.3f}" for a, b, value in correlated[:SHOWN_PAIRS]]
        if len(correlated) > SHOWN_PAIRS:
            lines.append(f"  and {len(correlated) - SHOWN_PAIRS} more")
    return "\n".join(lines)


def _number_details(feature: NumericFeature) -> str:
    logarithm = {None: "signed log if heavy-tailed", True: "signed log", False: ""}[feature.signed_log]
    missing = "missing indicator" if feature.missing_indicator else ""
    imputation = "" if feature.imputation == "median" else f"missing as {feature.imputation:g}"
    kind = "" if feature.column_kind == "float" else feature.column_kind
    return ", ".join(part for part in (kind, logarithm, f"{feature.scaling} scaling", imputation, missing) if part)


def _category_details(feature: CategoricalFeature, fitted: bool) -> str:
    if not fitted:
        return f"{feature.column_kind}, one-hot of up to {feature.one_hot} values, rarity"
    shown = ", ".join(feature.vocabulary[:SHOWN_VALUES])
    more = ", ..." if len(feature.vocabulary) > SHOWN_VALUES else ""
    return f"{len(feature.vocabulary)} values ({shown}{more}), {feature.one_hot_count} one-hot, rarity"
