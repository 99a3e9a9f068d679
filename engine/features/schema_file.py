"""Schema files: what a person declares about columns, over what is inferred.

A schema file is TOML. Everything in it is optional::

    record_type = "flow"
    soft_clip = 10.0                # deviations beyond which numbers grow by their logarithm only
    features = ["BytesSent", ...]   # only these columns are features
    ignore = ["SensorName"]         # these are none

    [columns.DestinationPort]
    kind = "categorical"            # "numeric", "categorical" or "ignored"
    one_hot = 32                    # most frequent values with a column of their own
    vocabulary_limit = 1024         # values beyond the most frequent so many count as unknown

    [columns.BytesSent]
    kind = "numeric"
    signed_log = true               # sign(x) * log(1 + |x|) first; by the skewness if left out
    scaling = "robust"              # "standard", "robust", "minmax" or "none"
    imputation = 0.0                # stands for a missing value: a number in raw units, or "median"
    missing_indicator = true        # a column that says a value was missing, even if none is in training

    [neighbours]                    # features of the records around, see docs/neighbours.md
    source = "SourceIP"             # columns by role, where they are not known by the record type
    windows = [60, 3600]            # seconds

    [reading]                       # how the records are read, see docs/schema.md
    home_networks = ["10.0.0.0/8"]

``kind`` may be left out where another key tells it.
"""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, get_args

from netsieve.engine.errors import SchemaError
from netsieve.engine.features.neighbours import DECLARED
from netsieve.engine.features.reading import checked_reading
from netsieve.engine.features.roles import RoleKind
from netsieve.engine.features.schema import ColumnKind, Scaling

NUMERIC_KEYS: Final = frozenset({"signed_log", "scaling", "imputation", "missing_indicator"})
CATEGORICAL_KEYS: Final = frozenset({"one_hot", "vocabulary_limit"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDeclaration:
    """What is declared about one column: its kind, if at all, and attributes of its feature by name."""

    kind: RoleKind | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaDeclaration:
    """What is declared over what is inferred.

    Attributes
    ----------
    features
        Columns that are the only features; empty for all that are inferred.
    ignore
        Columns that are none.
    columns
        What is declared about single columns.
    settings
        ``record_type``, ``soft_clip`` and ``reading`` of the schema, where given.
    neighbours
        Keys of :class:`~netsieve.engine.features.neighbours.Neighbours`; None where there is no such section.
    """

    features: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    columns: Mapping[str, ColumnDeclaration] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    neighbours: Mapping[str, Any] | None = None


def read_schema_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the content of a schema file, checked.

    Raises
    ------
    SchemaError
        It cannot be read, is no TOML, or has a key or value that is not known. Whether the data has the
        columns that it names is checked when a schema is inferred.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise SchemaError(f"cannot read the schema file {os.fspath(path)!r}: {reason}") from error
    except tomllib.TOMLDecodeError as error:
        raise SchemaError(f"the schema file {os.fspath(path)!r} is no valid TOML: {error}") from error
    try:
        schema_declaration(content)
    except SchemaError as error:
        raise SchemaError(f"schema file {os.fspath(path)!r}: {error}") from None
    return content


def schema_declaration(content: Mapping[str, Any]) -> SchemaDeclaration:
    """Return the declaration of a schema file's content.

    Raises
    ------
    SchemaError
        A key or a value is not known.
    """
    _check_keys(
        content, {"record_type", "soft_clip", "features", "ignore", "columns", "neighbours", "reading"}, "at the top"
    )
    settings: dict[str, Any] = {}
    if "record_type" in content:
        settings["record_type"] = _checked(content, "record_type", str, "text", "at the top")
    if "soft_clip" in content:
        settings["soft_clip"] = float(_checked(content, "soft_clip", (int, float), "a number", "at the top"))
    if "reading" in content:
        settings["reading"] = checked_reading(content["reading"])
    columns = _checked(content, "columns", dict, "a table", "at the top") if "columns" in content else {}
    neighbours = _checked(content, "neighbours", dict, "a table", "at the top") if "neighbours" in content else None
    _check_keys(neighbours or {}, DECLARED, "in [neighbours]")
    return SchemaDeclaration(
        features=_names(content, "features"),
        ignore=_names(content, "ignore"),
        columns={name: _column(name, entry) for name, entry in columns.items()},
        settings=settings,
        neighbours=neighbours,
    )


def declared_kinds(content: Mapping[str, Any]) -> dict[str, ColumnKind]:
    """Return how columns are read whose kind a schema file declares: numbers as floats, categories as text.

    Raises
    ------
    SchemaError
        A key or a value is not known.
    """
    kinds: dict[str, ColumnKind] = {}
    for name, column in schema_declaration(content).columns.items():
        if column.kind in ("numeric", "categorical"):
            kinds[name] = "float" if column.kind == "numeric" else "string"
    return kinds


def _column(name: str, entry: Any) -> ColumnDeclaration:
    where = f"for column {name!r}"
    if not isinstance(entry, dict):
        raise SchemaError(f"{where} a table of keys is expected, got {entry!r}")
    _check_keys(entry, {"kind"} | NUMERIC_KEYS | CATEGORICAL_KEYS, where)
    kind: RoleKind | None = entry.get("kind")
    if kind is not None and kind not in get_args(RoleKind):
        raise SchemaError(f"kind {kind!r} {where} is not known; it is one of {', '.join(get_args(RoleKind))}")
    attributes = {key: value for key, value in entry.items() if key != "kind"}
    allowed = {"numeric": NUMERIC_KEYS, "categorical": CATEGORICAL_KEYS, "ignored": frozenset[str]()}
    of_numbers, of_categories = attributes.keys() & NUMERIC_KEYS, attributes.keys() & CATEGORICAL_KEYS
    if kind is None and of_numbers:
        kind = "numeric"
    elif kind is None and of_categories:
        kind = "categorical"
    if kind is not None and attributes.keys() - allowed[kind]:
        wrong = ", ".join(sorted(attributes.keys() - allowed[kind]))
        raise SchemaError(f"{wrong} {where} does not go with kind {kind!r}; leave it out or change the kind")
    for key in ("signed_log", "missing_indicator"):
        if key in attributes:
            _checked(entry, key, bool, "true or false", where)
    for key, least in (("one_hot", 0), ("vocabulary_limit", 1)):
        if key in attributes and (type(attributes[key]) is not int or attributes[key] < least):
            raise SchemaError(f"{key} {where} is {attributes[key]!r}; a whole number from {least} is expected")
    if "scaling" in attributes and attributes["scaling"] not in get_args(Scaling):
        raise SchemaError(f"scaling {attributes['scaling']!r} {where}; it is one of {', '.join(get_args(Scaling))}")
    if "imputation" in attributes and attributes["imputation"] != "median":
        number = attributes["imputation"]
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise SchemaError(f"imputation {number!r} {where}; it is a finite number or 'median'")
        attributes["imputation"] = float(number)
    return ColumnDeclaration(kind=kind, attributes=attributes)


def _check_keys(content: Mapping[str, Any], known: set[str] | frozenset[str], where: str) -> None:
    for key in content:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it is one of {', '.join(sorted(known))}"
            raise SchemaError(f"key {key!r} {where} is not known; {hint}")


def _checked(content: Mapping[str, Any], key: str, kind: Any, expected: str, where: str) -> Any:
    value = content[key]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise SchemaError(f"{key} {where} is {value!r}; {expected} is expected")
    return value


def _names(content: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = content.get(key, [])
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise SchemaError(f"{key} at the top is {value!r}; a list of column names is expected")
    return tuple(value)
