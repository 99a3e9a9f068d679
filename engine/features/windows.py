"""The declaration of windows: whose latest records a sequence detector takes together, and how many of them.

It is part of the feature schema (``FeatureSchema.stateful``) and so of the model file. The window of a record holds the
latest records of its entity in the order of the stream, itself the last; where there are fewer, the rows before them
are all NaN.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from netsieve.engine.errors import SchemaError
from netsieve.engine.features.neighbours import LARGEST_WINDOW, MOST_ENTITIES
from netsieve.engine.features.stateful_entry import entry_values

KERNEL: Final = "windows"
VERSION: Final = 1
LONGEST: Final = 1024
"""Records of a window at most."""
DEFAULT_LENGTH: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Whose latest records are taken together.

    Attributes
    ----------
    entity
        Columns whose combination is the entity: a host, a process, a trace. A record without one of them is alone in
        its window.
    length
        Records of a window.
    time, duration
        Columns of the record's time, and of what is to be added for its end. Without a time the source of the records
        tells when each ended; where it does not, no entity expires.
    time_format
        How the time was written in training where it was text (strftime): tried first.
    time_unit, duration_unit
        Seconds in a unit of time and duration where they are numbers.
    expiry
        Seconds after which an entity without records starts anew; so does one whose record is earlier by more.
    entities
        Most entities known at a time; one more takes the place of the least recently seen.
    key
        32 hexadecimal digits: the key of the fingerprints.
    """

    entity: tuple[str, ...]
    length: int = DEFAULT_LENGTH
    time: str | None = None
    duration: str | None = None
    time_format: str | None = None
    time_unit: float = 1.0
    duration_unit: float = 1.0
    expiry: float = 86_400.0
    entities: int = 65_536
    key: str = "0" * 32

    def __post_init__(self) -> None:
        named = isinstance(self.entity, tuple) and all(isinstance(name, str) for name in self.entity)
        if not named or not self.entity or len(set(self.entity)) != len(self.entity):
            raise SchemaError(f"the entity of the windows is {self.entity!r}; one or more different columns name it")
        for name in ("time", "duration", "time_format"):
            if not isinstance(getattr(self, name), str | None):
                raise SchemaError(f"the {name} of the windows is {getattr(self, name)!r}; text is expected")
        for name, least, most in (("length", 2, LONGEST), ("entities", 1, MOST_ENTITIES)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise SchemaError(f"the {name} of the windows is {value!r}; a whole number from {least} to {most}")
        for name, low, high in (
            ("expiry", 1.0, LARGEST_WINDOW),
            ("time_unit", 1e-12, 1e6),
            ("duration_unit", 1e-12, 1e6),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise SchemaError(f"the {name} of the windows is {value!r}; a number from {low:g} to {high:g}")
        if not isinstance(self.key, str) or len(self.key) != 32 or not set(self.key) <= set("0123456789abcdef"):
            raise SchemaError("the key of the windows is no 32 hexadecimal digits")

    @property
    def input_columns(self) -> tuple[str, ...]:
        """Columns of the record that are read."""
        named = (*self.entity, self.time, self.duration)
        return tuple(dict.fromkeys(name for name in named if name is not None))

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of the schema."""
        return {"kernel": KERNEL, "version": VERSION, **asdict(self), "entity": list(self.entity)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Windows:
        """Read an entry of a schema.

        Raises
        ------
        SchemaError
            It is of another kernel or version, or malformed.
        """
        known = [entry.name for entry in fields(cls)]
        values = entry_values(content, KERNEL, VERSION, known, made="windows", what="the windows")
        if isinstance(values.get("entity"), list):
            values["entity"] = tuple(values["entity"])
        try:
            return cls(**values)
        except TypeError as error:
            raise SchemaError(f"the windows are malformed ({error})") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowLayout:
    """What a state keeps for windows: of whom, how many rows, and what the numbers of a row mean.

    Attributes
    ----------
    windows
        The declaration.
    n_features
        Numbers of a row.
    encoding
        Digest of the features and their categories: rows that were encoded otherwise are of no use.
    """

    windows: Windows
    n_features: int
    encoding: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides what the state holds, in hexadecimal."""
        content = [self.windows.to_dict(), self.n_features, self.encoding]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
