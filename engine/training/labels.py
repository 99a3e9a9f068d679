"""Labels and record times of a frame: which records are normal, and when they happened."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.engine.errors import TrainingError
from netsieve.engine.features.schema import FeatureSchema

SHOWN_VALUES: Final = 20
"""Label values that an error names."""
LARGEST_UNREADABLE_SHARE: Final = 0.01
"""A column with a larger share of values that are no time is not one to split by."""


def label_text(frame: pl.DataFrame, column: str) -> pl.Series:
    """Return a label column as text: ``"0"`` for 0 and 0.0, ``"true"`` for True, strings without outer blanks.

    Raises
    ------
    TrainingError
        There is no such column.
    """
    if column not in frame.columns:
        raise TrainingError(f"label column {column!r} is not in the data; it has {_shown(frame.columns)}")
    values = frame[column]
    if values.dtype.is_float():
        whole = values.cast(pl.Int64, strict=False)
        if ((whole.cast(values.dtype) == values) | values.is_null() | values.is_nan()).all():
            values = whole
    return values.cast(pl.String).str.strip_chars()


def normal_records(frame: pl.DataFrame, column: str, normal: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which records are labelled normal, and which have a label at all.

    Parameters
    ----------
    frame
        Records with their labels.
    column
        Label column.
    normal
        The label of normal records, compared as text.

    Returns
    -------
    normal, labelled
        bool ``[n]`` each. A record without a label is neither normal nor an attack.

    Raises
    ------
    TrainingError
        There is no such column, or no record has that label.
    """
    values = label_text(frame, column)
    labelled = (values.is_not_null() & (values != "").fill_null(value=False)).to_numpy()
    is_normal = (values == normal.strip()).fill_null(value=False).to_numpy()
    if not is_normal.any():
        counts = values.drop_nulls().value_counts(sort=True)
        seen = [f"{value!r} ({count})" for value, count in counts.iter_rows()]
        raise TrainingError(
            f"no record has {normal!r} in label column {column!r}; it holds {_shown(seen) or 'nothing'}: "
            "name the value of normal records"
        )
    return is_normal, labelled


def record_time(
    frame: pl.DataFrame, schema: FeatureSchema, time_column: str | None = None
) -> tuple[str, NDArray[Any]] | None:
    """Return the column that tells when records happened and its values as float64 ``[n]``, NaN where unknown.

    Parameters
    ----------
    frame
        Records.
    schema
        Its ignored columns with reason ``timestamp`` are tried in order where no column is named.
    time_column
        Column to take. Numbers are taken as they are, text is parsed as a date and time.

    Returns
    -------
    tuple or None
        None where no column is named and none is a usable time.

    Raises
    ------
    TrainingError
        The named column is absent, or no time.
    """
    if time_column is not None:
        if time_column not in frame.columns:
            raise TrainingError(f"time column {time_column!r} is not in the data; it has {_shown(frame.columns)}")
        time = _as_time(frame[time_column])
        if time is None:
            raise TrainingError(f"time column {time_column!r} holds no times that differ; name another, or none")
        return time_column, time
    for column in schema.ignored:
        if column.reason == "timestamp" and column.name in frame.columns:
            time = _as_time(frame[column.name])
            if time is not None:
                return column.name, time
    return None


def _as_time(values: pl.Series) -> NDArray[np.float64] | None:
    present = values.drop_nulls().len()
    if values.dtype == pl.String:
        numbers = values.cast(pl.Float64, strict=False)
        values = numbers if numbers.null_count() == values.null_count() else _parsed(values)
    elif values.dtype.is_temporal():
        values = values.to_physical()
    elif not values.dtype.is_numeric():
        return None
    time = values.cast(pl.Float64).to_numpy().astype(np.float64)
    known = time[~np.isnan(time)]
    if len(known) < (1 - LARGEST_UNREADABLE_SHARE) * present or not len(known) or known.min() == known.max():
        return None
    return np.asarray(time)


def _parsed(values: pl.Series) -> pl.Series:
    try:
        return values.str.to_datetime(strict=False, time_unit="us").dt.replace_time_zone(None).to_physical()
    except pl.exceptions.PolarsError:
        return pl.Series(values.name, [None] * len(values), dtype=pl.Int64)


def _shown(values: list[str]) -> str:
    more = f" and {len(values) - SHOWN_VALUES} more" if len(values) > SHOWN_VALUES else ""
    return ", ".join(values[:SHOWN_VALUES]) + more
