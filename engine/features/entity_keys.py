"""Fingerprints of who or what a record is about: 128 bits under a key, by which an interner numbers entities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.engine.features.encoding import category_text
from netsieve.kernels import _native


def fingerprints(frame: pl.DataFrame, name: str, key: bytes) -> NDArray[np.uint64]:
    """Return the fingerprints of a column, uint64 ``[n, 2]``, zeros for missing.

    A number counts as the integer that it is, whatever type the column was read as.

    Raises
    ------
    EncodeError
        The column is of a type that names nothing.
    """
    column = frame.get_column(name)
    dtype = column.dtype
    if dtype.is_integer():
        column = column.cast(pl.Int64, strict=False)
    elif dtype.is_float():
        # integers that were read as numbers
        whole = column.cast(pl.Int64, strict=False)
        column = pl.select(pl.when(whole.cast(dtype) == column).then(whole)).to_series()
    elif dtype != pl.String:
        column = category_text(column)
    return _native.fingerprints(column, key)


def combined_fingerprints(frame: pl.DataFrame, names: Sequence[str], key: bytes) -> NDArray[np.uint64]:
    """Return the fingerprints of the combinations of columns, uint64 ``[n, 2]``, zeros where one is missing."""
    combined = fingerprints(frame, names[0], key)
    for name in names[1:]:
        combined = _native.paired_fingerprints(combined, fingerprints(frame, name, key), key)
    return combined
