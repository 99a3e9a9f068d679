"""Text columns as numbers and booleans, cell by cell: what ``cpp/cells.cpp`` does with delimited text."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

MISSING_TOKENS: Final = ("", "-", "?", "na", "n/a", "nan", "+nan", "-nan", "null", "none")
"""Texts that stand for no value in a number column, in any case (as in ``cpp/cells.cpp``)."""
TRUE_TOKENS: Final = ("true", "t", "1")
FALSE_TOKENS: Final = ("false", "f", "0")


def text_as_kind(column: pl.Series, kind: str) -> tuple[pl.Series, NDArray[np.bool_]]:
    """Return a text column as numbers or booleans, and which rows are neither that nor missing.

    Parameters
    ----------
    column
        String ``[n]``.
    kind
        ``"integer"``, ``"float"`` or ``"boolean"``.

    Returns
    -------
    values, wrong
        Int64, Float64 or Boolean ``[n]``, null where missing or wrong; bool ``[n]``.
    """
    text = column.str.strip_chars(" \t")
    lower = text.str.to_lowercase()
    missing = lower.is_in(MISSING_TOKENS).fill_null(True)
    if kind == "boolean":
        true = lower.is_in(TRUE_TOKENS)
        sound = true | lower.is_in(FALSE_TOKENS)
        values = pl.select(pl.when(sound).then(true)).to_series()
    else:
        values = text.set(missing, None).str.strip_prefix("+").cast(pl.Float64, strict=False)
        if kind == "integer":
            exact = text.cast(pl.Int64, strict=False)
            whole = values.cast(pl.Int64, strict=False)
            integral = pl.select(pl.when(whole.cast(pl.Float64) == values).then(whole)).to_series()
            values = pl.select(pl.coalesce(exact, integral)).to_series()
        sound = values.is_not_null()
    bad = ~(missing | sound.fill_null(False))
    return values.alias(column.name), bad.to_numpy()
