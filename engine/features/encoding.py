"""Encoding: from a frame or a record to the raw matrix ``x`` that graphs and detectors take.

``x`` is float32 ``[n, n_features]`` in C order: numbers in their own unit with NaN for missing, categories
as codes. Columns of the frame that the schema does not name are left alone, and their order does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from math import isnan
from operator import itemgetter
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.engine.errors import EncodeError, MissingColumnError
from netsieve.engine.features.schema import (
    FIRST_CODE,
    LARGEST_NUMBER,
    MISSING_CODE,
    MISSING_TEXTS,
    UNKNOWN_CODE,
    CategoricalFeature,
    FeatureSchema,
    NumericFeature,
)

ROWS_PER_TILE: Final = 2048
"""Rows that are written at once: a tile of 115 float32 columns is still within a core's L2 cache."""
LARGEST_INTEGER_TABLE: Final = 65_536
"""Integer categories whose vocabulary spans no more than this (ports, protocol numbers) are looked up by position."""
SHOWN_ROWS: Final = 3
"""Rows named in an error."""
SHOWN_COLUMNS: Final = 20
"""Columns of the frame named in an error."""
SHOWN_TEXT: Final = 60
"""Characters of an offending text shown in an error."""

_LIMIT = np.float32(LARGEST_NUMBER)
_TEXT_TYPES = (pl.String, pl.Categorical, pl.Enum)


class Encoder:
    """Encodes frames and records for one schema. Immutable, so one encoder serves any number of threads.

    Parameters
    ----------
    schema
        Schema whose vocabularies are known; it need not be fitted.
    """

    def __init__(self, schema: FeatureSchema) -> None:
        self.schema = schema
        self._names = schema.feature_names
        self._vocabularies = {i: _Vocabulary(f) for i, f in schema.categorical}
        self._kinds = [
            f if isinstance(f, NumericFeature) else self._vocabularies[i] for i, f in enumerate(schema.features)
        ]
        self._values_of = _getter(self._names)

    def __reduce__(self) -> tuple[type[Encoder], tuple[FeatureSchema]]:
        return Encoder, (self.schema,)

    def encode(self, frame: pl.DataFrame) -> NDArray[np.float32]:
        """Return the frame as the raw matrix.

        Parameters
        ----------
        frame
            Has at least the schema's columns.

        Returns
        -------
        float32 ``[n, n_features]``, C-contiguous. A null or NaN number is NaN, numbers beyond
        ``±LARGEST_NUMBER`` are clipped to it, categories are codes.

        Raises
        ------
        MissingColumnError
            The frame lacks columns; all of them are named.
        EncodeError
            A column's type cannot hold the feature, or a text is no number; names the column and first rows.
        """
        columns = self.column_arrays(frame)
        x = np.empty((frame.height, len(columns)), dtype=np.float32)
        for start in range(0, len(x), ROWS_PER_TILE):
            write_rows(columns, start, x[start : start + ROWS_PER_TILE])
        return x

    def column_arrays(self, frame: pl.DataFrame) -> list[NDArray[Any]]:
        """Return each feature's column as a one-dimensional array of numbers or codes, without copies where possible.

        :func:`write_rows` puts them into a matrix. A caller that scores batch by batch writes each batch just
        before scoring it, while it stays in the cache, and never holds the whole matrix.

        Raises
        ------
        MissingColumnError, EncodeError
            As :meth:`encode`.
        """
        missing = [name for name in self._names if name not in frame.columns]
        if missing:
            raise MissingColumnError(_missing_columns_message(missing, frame.columns, "frame"))
        return [
            kind.codes(frame.get_column(name))
            if isinstance(kind, _Vocabulary)
            else _numbers(frame.get_column(name), kind)
            for name, kind in zip(self._names, self._kinds, strict=True)
        ]

    def write_column(self, column: pl.Series, x: NDArray[np.float32]) -> None:
        """Write one more column into its place in a raw matrix.

        Parameters
        ----------
        column
            Named like one of the features.
        x
            float32 ``[n, n_features]``.

        Raises
        ------
        EncodeError
            As :meth:`encode`.
        """
        position = self._names.index(column.name)
        kind = self._kinds[position]
        values = kind.codes(column) if isinstance(kind, _Vocabulary) else _numbers(column, kind)
        write_rows([values], 0, x[:, position : position + 1])

    def encode_record(self, record: Mapping[str, Any], out: NDArray[np.float32]) -> None:
        """Write one record into ``out``.

        Parameters
        ----------
        record
            Has a value for each of the schema's features; None or NaN where it is missing.
        out
            float32 ``[1, n_features]``.

        Raises
        ------
        MissingColumnError
            The record lacks features; all of them are named.
        EncodeError
            A value cannot be held by its feature.
        """
        try:
            values = list(self._values_of(record))
        except KeyError:
            missing = [name for name in self._names if name not in record]
            raise MissingColumnError(_missing_columns_message(missing, list(record), "record")) from None
        for column, vocabulary in self._vocabularies.items():
            value = values[column]
            values[column] = vocabulary.code(value)
        row = out[0]
        with np.errstate(over="ignore"):
            try:
                row[:] = values
            except (TypeError, ValueError, OverflowError):
                # Some value is not simply a number: find it, name it or convert it
                row[:] = [
                    value if isinstance(kind, _Vocabulary) else _number(value, kind)
                    for value, kind in zip(values, self._kinds, strict=True)
                ]
        np.minimum(row, _LIMIT, out=row)
        np.maximum(row, -_LIMIT, out=row)


def write_rows(columns: Sequence[NDArray[Any]], start: int, out: NDArray[np.float32]) -> None:
    """Write rows ``start`` to ``start + len(out)`` of ``columns`` into the matrix ``out``, clipped.

    Parameters
    ----------
    columns
        From :meth:`Encoder.column_arrays`.
    start
        First row.
    out
        float32 ``[rows, n_features]``.
    """
    stop = start + len(out)
    # A float64 beyond float32 becomes infinite first, and is clipped then
    with np.errstate(over="ignore", invalid="ignore"):
        for j, column in enumerate(columns):
            out[:, j] = column[start:stop]
    np.clip(out, -_LIMIT, _LIMIT, out=out)


def category_text(column: pl.Series) -> pl.Series:
    """Return the text by which the values of a categorical column are compared, as a String column.

    Strings, categories and enums as they are; booleans ``true`` and ``false``; integers, and floats without
    a fraction, as integers (``443``); NaN as null.

    Raises
    ------
    EncodeError
        The column holds times, lists, structures or bytes.
    """
    dtype = column.dtype
    if dtype in _TEXT_TYPES or dtype == pl.Boolean or dtype.is_integer() or dtype == pl.Null:
        return column.cast(pl.String)
    if dtype.is_float() or dtype.is_decimal():
        # Only values that an Int64 holds are written as integers; the cast of the others must not fail
        values = column.cast(pl.Float64) if dtype.is_decimal() or dtype != pl.Float32 else column
        whole = values.cast(pl.Int64, strict=False)
        is_whole = (values == whole.cast(values.dtype)) & (values.abs() < 2.0**63)
        text = values.fill_nan(None).cast(pl.String)
        return whole.cast(pl.String).zip_with(is_whole.fill_null(False), text).alias(column.name)
    raise EncodeError(
        f"column {column.name!r} is {dtype}; the model takes it as a category, which must be text, an integer "
        "or a boolean; convert it first"
    )


class _Vocabulary:
    """The codes of one categorical feature."""

    def __init__(self, feature: CategoricalFeature) -> None:
        self.name = feature.name
        self._codes = {text: code for code, text in enumerate(feature.vocabulary, FIRST_CODE)}
        self._enum = pl.Enum(feature.vocabulary)
        # By the position in the vocabulary; the last entry is for texts that are not in it
        self._by_position = np.arange(FIRST_CODE, FIRST_CODE + len(self._codes) + 1, dtype=np.float32)
        self._by_position[-1] = UNKNOWN_CODE
        integers = {int(text): code for text, code in self._codes.items() if _is_integer_text(text)}
        self._has_integers = bool(integers)
        self._lowest = min(integers, default=0)
        self._highest = max(integers, default=0)
        self._by_integer: NDArray[np.float32] | None = None
        # Beyond 62 bits the ends of the table would not fit into an Int64
        if self._highest - self._lowest < LARGEST_INTEGER_TABLE and max(-self._lowest, self._highest) < 2**62:
            # One more at either end stands for every integer beyond
            self._by_integer = np.full(self._highest - self._lowest + 3, UNKNOWN_CODE, dtype=np.float32)
            for integer, code in integers.items():
                self._by_integer[integer - self._lowest + 1] = code

    def codes(self, column: pl.Series) -> NDArray[np.float32]:
        """Return the codes of a column, float32 ``[n]``."""
        codes: NDArray[np.float32]
        if column.dtype.is_integer() and self._by_integer is not None:
            # An integer that Int64 cannot hold becomes null here, and hence unknown
            values = column.cast(pl.Int64, strict=False).fill_null(self._lowest - 1).to_numpy()
            below = self._lowest - 1
            codes = self._by_integer.take(np.clip(values, below, self._highest + 1) - below)
            missing = column
        else:
            missing = category_text(column)
            positions = missing.cast(self._enum, strict=False).to_physical().cast(pl.UInt32)
            codes = self._by_position.take(positions.fill_null(len(self._codes)).to_numpy())
            if column.dtype in _TEXT_TYPES and positions.null_count() > missing.null_count() and self._has_integers:
                missing = self._correct_integers(missing, codes)
        if missing.null_count():
            codes[missing.is_null().to_numpy()] = MISSING_CODE
        return codes

    def _correct_integers(self, text: pl.Series, codes: NDArray[np.float32]) -> pl.Series:
        """Look up what is unknown as text once more as a number (443.0, +443), in place; returns what is missing.

        Where the vocabulary holds integers, the texts that stand for a missing number are missing here, too.
        """
        unknown = np.flatnonzero(codes == UNKNOWN_CODE)
        rest = text.gather(unknown).str.strip_chars()
        absent = rest.str.to_lowercase().is_in(sorted(MISSING_TEXTS)).fill_null(value=False)
        numbers = category_text(rest.cast(pl.Float64, strict=False))
        positions = numbers.cast(self._enum, strict=False).to_physical().cast(pl.UInt32)
        codes[unknown] = self._by_position.take(positions.fill_null(len(self._codes)).to_numpy())
        return text.scatter(unknown[absent.to_numpy()], None) if absent.any() else text

    def code(self, value: Any) -> int:
        """Return the code of one value."""
        if isinstance(value, str):
            return self._code_of_text(str(value))
        if value is None:
            return MISSING_CODE
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, int):
            text = str(value)
        elif isinstance(value, float | Decimal):
            value = float(value)
            if isnan(value):
                return MISSING_CODE
            if value.is_integer() and abs(value) < 2.0**63:
                text = str(int(value))
            else:
                text = category_text(pl.Series([value]))[0]
        else:
            raise EncodeError(
                f"{self.name!r} is {_shown(value)}; the model takes it as a category, which must be text, an integer "
                "or a boolean"
            )
        return self._codes.get(text, UNKNOWN_CODE)

    def _code_of_text(self, text: str) -> int:
        code = self._codes.get(text)
        if code is not None:
            return code
        if not self._has_integers:
            return UNKNOWN_CODE
        codes = np.full(1, UNKNOWN_CODE, dtype=np.float32)
        missing = self._correct_integers(pl.Series([text]), codes)
        return MISSING_CODE if missing.null_count() else int(codes[0])


def _numbers(column: pl.Series, feature: NumericFeature) -> NDArray[Any]:
    dtype = column.dtype
    if dtype in (pl.Int128, pl.UInt128, pl.Float16) or dtype.is_decimal():
        column = column.cast(pl.Float64)
    elif dtype == pl.Boolean:
        column = column.cast(pl.UInt8)
    elif dtype == pl.Null:
        column = column.cast(pl.Float32)
    elif dtype in _TEXT_TYPES:
        column = _parsed_numbers(column.cast(pl.String), feature)
    elif not dtype.is_numeric():
        raise EncodeError(
            f"column {column.name!r} is {dtype}; the model takes it as a number; convert it to a number in the unit "
            "of the training data first"
        )
    values: NDArray[Any] = column.to_numpy()
    return values


def _parsed_numbers(column: pl.Series, feature: NumericFeature) -> pl.Series:
    text = column.str.strip_chars()
    numbers = text.cast(pl.Float64, strict=False)
    failed = (numbers.is_null() & text.is_not_null() & ~text.str.to_lowercase().is_in(sorted(MISSING_TEXTS))).arg_true()
    if failed.is_empty():
        return numbers
    values: list[float | None] = []
    bad = []
    for row in failed:
        try:
            values.append(_number(column[row], feature))
        except EncodeError:
            bad.append(row)
    if bad:
        first = ", ".join(f"row {row}: {_shown(column[row])}" for row in bad[:SHOWN_ROWS])
        more = f" and {len(bad) - SHOWN_ROWS:,} more" if len(bad) > SHOWN_ROWS else ""
        raise EncodeError(
            f"column {column.name!r} has text where the model takes a number ({first}{more}, counted from 0); "
            "correct these cells or leave them empty"
        )
    return numbers.scatter(failed, pl.Series(values, dtype=pl.Float64))


def _number(value: Any, feature: NumericFeature) -> float | None:
    """Return a value as a float or None, as both the frame's and the record's slow path take it."""
    if isinstance(value, str):
        word = value.strip().lower()
        if word in MISSING_TEXTS:
            return None
        if feature.column_kind == "boolean" and word in ("true", "false"):
            return float(word == "true")
    if value is None:
        return None
    if isinstance(value, str | int | float | Decimal | np.number | np.bool):
        try:
            return float(value)
        except OverflowError:
            # Only an integer is too large for a float without being infinite
            return LARGEST_NUMBER if value > 0 else -LARGEST_NUMBER  # type: ignore[operator]
        except (ValueError, TypeError):
            pass
    raise EncodeError(
        f"{feature.name!r} is {_shown(value)}; the model takes it as a number, or None where it is missing"
    )


def _getter(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if len(names) >= 2:
        return itemgetter(*names)
    return lambda record: tuple(record[name] for name in names)


def _is_integer_text(text: str) -> bool:
    # No integer column holds 41 characters (a UInt128 has 39 digits)
    return text.removeprefix("-").isdecimal() and len(text) <= 40 and str(int(text)) == text


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_TEXT else f"{text[:SHOWN_TEXT]}..."


def _missing_columns_message(missing: Sequence[str], present: Sequence[str], holder: str) -> str:
    by_folded_name = {str(name).casefold(): str(name) for name in present}
    named = []
    for name in missing:
        close = by_folded_name.get(name.casefold()) or by_folded_name.get(name.strip().casefold())
        similar = get_close_matches(name.casefold(), by_folded_name, n=1, cutoff=0.8)
        close = close or (by_folded_name[similar[0]] if similar else None)
        named.append(f"{name!r} (did you mean {close!r}?)" if close else repr(name))
    shown = ", ".join(map(repr, present[:SHOWN_COLUMNS])) or "none"
    more = f" and {len(present) - SHOWN_COLUMNS} more" if len(present) > SHOWN_COLUMNS else ""
    what = "column" if holder == "frame" else "key"
    remedy = "rename or add them" if holder == "frame" else "add them, with None for a missing value"
    return (
        f"the {holder} lacks {len(missing)} {what}{'s' * (len(missing) > 1)} that the model needs: {', '.join(named)}; "
        f"it has {shown}{more}; {remedy}"
    )
