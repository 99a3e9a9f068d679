"""The feature schema: which columns of a record are features, and how each is prepared.

A schema is plain data. It is written into the model file as JSON, so everything needed to prepare a record
is in it: the scoring path needs nothing else, and a person can read it with ``netsieve inspect``.

The order of ``FeatureSchema.features`` is the column order of the float32 matrix ``x`` that detectors and
graphs take, in raw units: a number as it is, with NaN for missing; a category as its code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from netsieve.engine.errors import SchemaError
from netsieve.engine.features.neighbours import Neighbours
from netsieve.engine.features.reading import checked_reading
from netsieve.engine.features.windows import KERNEL as WINDOWS
from netsieve.engine.features.windows import WindowLayout, Windows

MISSING_CODE: Final = 0
"""Code of a missing category."""
UNKNOWN_CODE: Final = 1
"""Code of a category that the training data did not hold."""
FIRST_CODE: Final = 2
"""Code of the first, that is the most frequent, value of a vocabulary."""

SCHEMA_VERSION: Final = 1
LARGEST_NUMBER: Final = 3e38
"""Numbers are clipped to plus and minus this on encoding, just inside float32's range."""
MISSING_TEXTS: Final = frozenset({"", "-", "?", "na", "nan", "n/a", "null", "none", "-nan", "+nan"})
"""Lower-case texts that stand for a missing number, without blanks around; as in ``kernels._native``."""

Scaling = Literal["standard", "robust", "minmax", "none"]
ColumnKind = Literal["integer", "float", "boolean", "string", "datetime"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericFeature:
    """A number. Prepared as ``soft_clip((signed_log?(x) - center) / scale)``.

    Attributes
    ----------
    name
        Column in the record.
    column_kind
        How the column is read from text: ``"integer"``, ``"float"`` or ``"boolean"``.
    imputation
        What stands for a missing value: ``"median"`` of the training data, or a number in raw units.
    missing_indicator
        Whether a column says that the value was missing. Fitting sets it where training rows lack values.
    signed_log
        Whether ``sign(x) * log(1 + |x|)`` is taken first, for heavy tails; None leaves it to fitting.
    scaling
        ``"standard"`` (mean, deviation), ``"robust"`` (median, interquartile range), ``"minmax"`` or ``"none"``.
    center, scale
        Fitted, float32 values, after the signed log.
    fill
        Fitted: the *prepared* value (after scaling) that replaces a missing one. A feature that was never
        missing in training gets the soft-clip limit: an absence is then news, like an extreme value.
    """

    name: str
    column_kind: ColumnKind = "float"
    imputation: Literal["median"] | float = "median"
    missing_indicator: bool = False
    signed_log: bool | None = False
    scaling: Scaling = "standard"
    center: float = 0.0
    scale: float = 1.0
    fill: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoricalFeature:
    """A category. Prepared as one-hot columns and one rarity column.

    Codes: 0 missing, 1 unknown (not in the vocabulary), then the vocabulary from 2, most frequent first.

    Attributes
    ----------
    name
        Column in the record.
    column_kind
        How the column is read from text. Values of other kinds than string are compared by their text:
        integers without a fraction, ``true`` and ``false``.
    vocabulary
        Values seen in training, most frequent first, at most ``vocabulary_limit`` of them.
    counts
        How often each was seen.
    missing_count, rows
        How often the value was missing, and the rows the counts were taken over.
    one_hot
        The first so many values have a one-hot column of their own; the rest share the column "other".
    vocabulary_limit
        Values beyond the most frequent so many are treated as unknown.
    """

    name: str
    column_kind: ColumnKind = "string"
    vocabulary: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    missing_count: int = 0
    rows: int = 0
    one_hot: int = 32
    vocabulary_limit: int = 1024
    rarity_center: float = 0.0
    rarity_scale: float = 1.0

    @property
    def code_count(self) -> int:
        """Number of codes: missing, unknown and the vocabulary."""
        return FIRST_CODE + len(self.vocabulary)

    @property
    def one_hot_count(self) -> int:
        """Values with a one-hot column of their own."""
        return min(self.one_hot, len(self.vocabulary))

    @property
    def has_other(self) -> bool:
        """Whether some values of the vocabulary share the column "other"."""
        return len(self.vocabulary) > self.one_hot_count


Feature = NumericFeature | CategoricalFeature


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoredColumn:
    """A column that is no feature: ``reason`` is one of address, identifier, timestamp, port, label, text,
    empty (no values to tell by), type (neither numbers nor text), asked.
    """

    name: str
    column_kind: ColumnKind = "string"
    reason: str = "asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSchema:
    """Features of one record type, in the order of the matrix columns, and the columns left out.

    ``stateful`` declares what is made of several records: at most one entry for features that are computed from
    neighbouring records (:class:`~netsieve.engine.features.neighbours.Neighbours`), which are among ``features`` like
    all others, and at most one for windows (:class:`~netsieve.engine.features.windows.Windows`): a sequence detector
    then takes a matrix for each record. A reader that does not know a kernel or its version refuses the schema.

    ``reading`` holds how the records are to be read, as far as the features depend on it
    (:mod:`netsieve.engine.features.reading`).
    """

    features: tuple[Feature, ...]
    ignored: tuple[IgnoredColumn, ...] = ()
    record_type: str = "record"
    soft_clip: float = 10.0
    stateful: tuple[dict[str, Any], ...] = ()
    reading: dict[str, Any] = field(default_factory=dict)
    version: int = SCHEMA_VERSION
    fitted: bool = field(default=False)

    def __post_init__(self) -> None:
        names = [feature.name for feature in self.features]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SchemaError(f"schema names {', '.join(map(repr, twice))} more than once; name each feature once")
        if not 1.0 <= self.soft_clip <= 1e6:
            raise SchemaError(f"soft_clip is {self.soft_clip}; it is a number of deviations from 1 to 1000000")
        kernels = [entry.get("kernel") for entry in self.stateful]
        if len(set(kernels)) != len(kernels):
            raise SchemaError("the schema has several stateful features of a kind, which this netsieve cannot compute")
        checked_reading(self.reading)
        computed = self.neighbours.columns if self.neighbours else ()
        if not set(computed) <= set(names):
            lost = sorted(set(computed) - set(names))[0]
            raise SchemaError(f"the neighbour feature {lost!r} is not among the features of the schema")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Feature names in matrix column order."""
        return tuple(feature.name for feature in self.features)

    @property
    def numeric(self) -> tuple[tuple[int, NumericFeature], ...]:
        """Numeric features with their matrix column."""
        return tuple((i, f) for i, f in enumerate(self.features) if isinstance(f, NumericFeature))

    @property
    def categorical(self) -> tuple[tuple[int, CategoricalFeature], ...]:
        """Categorical features with their matrix column."""
        return tuple((i, f) for i, f in enumerate(self.features) if isinstance(f, CategoricalFeature))

    @property
    def neighbours(self) -> Neighbours | None:
        """What is computed of neighbouring records; None for a schema of single records."""
        return next((Neighbours.from_dict(entry) for entry in self.stateful if entry.get("kernel") != WINDOWS), None)

    @property
    def windows(self) -> Windows | None:
        """Whose latest records are taken together; None for a detector of single records."""
        return next((Windows.from_dict(entry) for entry in self.stateful if entry.get("kernel") == WINDOWS), None)

    @property
    def window_layout(self) -> WindowLayout | None:
        """What a state keeps for the windows; None without."""
        windows = self.windows
        if windows is None:
            return None
        meanings = [[feature.name, *getattr(feature, "vocabulary", ())] for feature in self.features]
        encoding = hashlib.sha256(json.dumps(meanings).encode()).hexdigest()
        return WindowLayout(windows=windows, n_features=len(self.features), encoding=encoding)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of what a detector takes of a record: ``(n_features,)``, with windows ``(length, n_features)``."""
        windows = self.windows
        return (len(self.features),) if windows is None else (windows.length, len(self.features))

    @property
    def input_columns(self) -> tuple[str, ...]:
        """Columns that a record must have: the features, or what the computed ones and windows are made of."""
        computed = () if self.neighbours is None else self.neighbours.columns
        own = (name for name in self.feature_names if name not in computed)
        return tuple(dict.fromkeys((*own, *self._stateful_columns())))

    def _stateful_columns(self) -> tuple[str, ...]:
        declared = (self.neighbours, self.windows)
        return tuple(name for entry in declared if entry is not None for name in entry.input_columns)

    def column_kinds(self, kept: Collection[str] = ()) -> dict[str, ColumnKind]:
        """Return how the columns are read from text for scoring.

        A number whose training data happened to hold integers only is read as any number. Where the column is
        ``kept`` for an output it stays an integer, and a record with another number is rejected.
        """
        kinds = {column.name: column.column_kind for column in (*self.ignored, *self.features)}
        for _, feature in self.numeric:
            if feature.column_kind == "integer" and feature.name not in kept:
                kinds[feature.name] = "float"
        return kinds

    def open_categories(self, kept: Collection[str] = ()) -> frozenset[str]:
        """Return the categories in which anything may come, whatever their values looked like in training.

        What comes is then unknown, and no reason to reject the record. Not among them are columns that are ``kept``
        for an output or that computed features or windows are made of: their type must be one and the same throughout.
        """
        bound = {*kept, *self._stateful_columns()}
        return frozenset(category.name for _, category in self.categorical if category.name not in bound)

    def to_json(self) -> str:
        """Return the schema as JSON text."""
        content = asdict(self)
        if not self.reading:
            del content["reading"]
        for feature, source in zip(content["features"], self.features, strict=True):
            feature["kind"] = "numeric" if isinstance(source, NumericFeature) else "categorical"
        return json.dumps(content, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> FeatureSchema:
        """Read a schema back from :meth:`to_json`.

        Raises
        ------
        SchemaError
            The text is no schema of this version, or asks for stateful features that this version does not know.
        """
        try:
            content = json.loads(text)
            if content["version"] != SCHEMA_VERSION:
                raise SchemaError(
                    f"schema version {content['version']} is not the version {SCHEMA_VERSION} that this netsieve "
                    "reads; use the netsieve that wrote the model, or a newer one"
                )
            stateful = tuple(
                (Windows if entry.get("kernel") == WINDOWS else Neighbours).from_dict(entry).to_dict()
                for entry in content.pop("stateful")
            )
            features: list[Feature] = []
            for entry in content.pop("features"):
                kind = entry.pop("kind")
                if kind == "numeric":
                    features.append(NumericFeature(**entry))
                else:
                    for key in ("vocabulary", "counts"):
                        entry[key] = tuple(entry[key])
                    features.append(CategoricalFeature(**entry))
            ignored = tuple(IgnoredColumn(**entry) for entry in content.pop("ignored"))
            return cls(features=tuple(features), ignored=ignored, stateful=stateful, **content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SchemaError(f"this is no netsieve feature schema ({type(error).__name__}: {error})") from error
