"""The declaration of neighbour features: which columns of a record say who spoke to whom, and what is computed of it.

It is part of the feature schema (``FeatureSchema.stateful``) and so of the model file. The computed columns are
ordinary numbers to everything behind: inference, preprocessing, detectors and graphs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final

from netsieve.engine.errors import SchemaError
from netsieve.engine.features.stateful_entry import entry_values

KERNEL: Final = "neighbours"
VERSION: Final = 1
ENTITIES: Final = ("source", "destination", "pair")
RATES: Final = ("flows", "failed", "sent", "received")
"""Damped sums of each entity, in the order of the kernel; ``failed`` is the share of failed flows."""
DISTINCT: Final[dict[str, tuple[str, ...]]] = {
    "source": ("ports", "hosts"),
    "destination": ("ports", "hosts"),
    "pair": ("ports",),
}
"""What is counted of each entity: destination ports, and the hosts at the other end."""
ONCE: Final[dict[str, tuple[str, ...]]] = {
    "source": ("new",),
    "destination": ("new",),
    "pair": ("new", "elapsed", "gap_mean", "gap_variation", "size_mean", "size_variation"),
}
"""What is told of each entity without a window."""
DEFAULT_ONCE: Final = ("pair_new", "pair_elapsed", "pair_gap_variation", "pair_size_variation")
DEFAULT_SHORT: Final = ("source_ports", "destination_flows")
DEFAULT_LONG: Final = (
    *("source_flows", "source_failed", "source_sent", "source_ports", "source_hosts"),
    *("destination_failed", "destination_hosts"),
    *("pair_flows", "pair_sent", "pair_ports"),
)
"""What is computed unless more is asked for, with the shortest and the longest window. An autoencoder's score is a mean
over its columns: measured on generated traffic, with all that can be computed the recall of brute force at 1 % false
positives is 0.31, with these 0.86."""
COLUMN_ROLES: Final = ("source", "destination", "port", "bytes_sent", "bytes_received", "state", "time", "duration")
LARGEST_WINDOW: Final = 366 * 86_400
MOST_WINDOWS: Final = 8
MOST_ENTITIES: Final = 2**26


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """What is computed of a record's neighbours.

    Attributes
    ----------
    source, destination
        Columns of the two hosts.
    port
        Column of the destination's port; None where there is none.
    bytes_sent, bytes_received
        Columns of the bytes from source to destination and back.
    state, failed
        Column of the connection's state, and its values for connections that failed. Without such a column those
        failed that received no more than ``unanswered_bytes``.
    unanswered_bytes
        Bytes received that are no answer.
    time, duration
        Columns of the record's time, and of what is to be added for its end. Without a time the source of the records
        tells when each ended.
    time_format
        How the time was written in training where it was text (strftime): tried first.
    time_unit, duration_unit
        Seconds in a unit of time and duration where they are numbers.
    windows
        Seconds, ascending.
    expiry
        Seconds after which an entity without records starts anew; so does one whose record is earlier by more.
    hosts
        Most sources known at a time, and most destinations; one more takes the place of the least recently seen.
    pairs
        Most pairs known at a time.
    key
        32 hexadecimal digits: the key of the fingerprints.
    columns
        The computed columns, in order.
    """

    source: str
    destination: str
    port: str | None = None
    bytes_sent: str | None = None
    bytes_received: str | None = None
    state: str | None = None
    failed: tuple[str, ...] = ()
    unanswered_bytes: float = 0.0
    time: str | None = None
    duration: str | None = None
    time_format: str | None = None
    time_unit: float = 1.0
    duration_unit: float = 1.0
    windows: tuple[float, ...] = (60.0, 3600.0)
    expiry: float = 86_400.0
    hosts: int = 65_536
    pairs: int = 262_144
    key: str = "0" * 32
    columns: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        for name in ("source", "destination"):
            if not isinstance(getattr(self, name), str):
                raise SchemaError(f"[neighbours] names no {name}; name the column of that host")
        for name in (*COLUMN_ROLES, "time_format"):
            if not isinstance(getattr(self, name), str | None):
                raise SchemaError(f"[neighbours] {name} is {getattr(self, name)!r}; text is expected")
        for name in ("failed", "columns"):
            if not all(isinstance(text, str) for text in getattr(self, name)):
                raise SchemaError(f"[neighbours] {name} is no list of texts")
        _check_number("unanswered_bytes", self.unanswered_bytes, 0.0, 1e18)
        for name in ("time_unit", "duration_unit"):
            _check_number(name, getattr(self, name), 1e-12, 1e6)
        if not 1 <= len(self.windows) <= MOST_WINDOWS or list(self.windows) != sorted(set(self.windows)):
            raise SchemaError(f"[neighbours] windows is {list(self.windows)}; 1 to {MOST_WINDOWS} ascending numbers")
        for window in self.windows:
            _check_number("windows", window, 1, LARGEST_WINDOW)
            if window != int(window):
                raise SchemaError(f"[neighbours] windows has {window}; whole seconds are expected")
        _check_number("expiry", self.expiry, self.windows[-1], LARGEST_WINDOW)
        for name in ("hosts", "pairs"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= MOST_ENTITIES:
                raise SchemaError(f"[neighbours] {name} is {value!r}; a whole number from 1 to {MOST_ENTITIES}")
        if not isinstance(self.key, str) or len(self.key) != 32 or not set(self.key) <= set("0123456789abcdef"):
            raise SchemaError("the key of the neighbour features is no 32 hexadecimal digits")
        unknown = [name for name in self.columns if name not in set(self.possible_columns())]
        if unknown or len(set(self.columns)) != len(self.columns):
            raise SchemaError(
                f"[neighbours] columns has {unknown[0]!r}, which is not computed"
                if unknown
                else "[neighbours] columns names one twice"
            )

    def possible_columns(self) -> Iterator[str]:
        """Yield the names of all columns that can be computed of the columns that are declared."""
        for entity in ENTITIES:
            yield from (f"{entity}_{name}" for name in self._known(ONCE[entity]))
            for name in self._known((*RATES, *DISTINCT[entity])):
                yield from (window_column(entity, name, window) for window in self.windows)

    def default_columns(self) -> tuple[str, ...]:
        """Return the columns that are computed unless others are asked for."""
        wanted = {
            *DEFAULT_ONCE,
            *(f"{name}_{self.windows[0]:.0f}s" for name in DEFAULT_SHORT),
            *(f"{name}_{self.windows[-1]:.0f}s" for name in DEFAULT_LONG),
        }
        return tuple(name for name in self.possible_columns() if name in wanted)

    def _known(self, names: Collection[str]) -> Iterator[str]:
        lacking = set()
        if self.port is None:
            lacking.add("ports")
        if self.bytes_sent is None:
            lacking |= {"sent", "size_mean", "size_variation"}
        if self.bytes_received is None:
            lacking.add("received")
        if self.state is None and self.bytes_received is None:
            lacking.add("failed")
        return (name for name in names if name not in lacking)

    @property
    def input_columns(self) -> tuple[str, ...]:
        """Columns of the record that are read."""
        named = (getattr(self, role) for role in COLUMN_ROLES)
        return tuple(dict.fromkeys(name for name in named if name is not None))

    def with_columns(self, names: Collection[str]) -> Neighbours:
        """Return the declaration with those of its columns that are among ``names``."""
        return replace(self, columns=tuple(name for name in self.columns if name in names))

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of the schema."""
        content = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {"kernel": KERNEL, "version": VERSION, **content}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Neighbours:
        """Read an entry of a schema.

        Raises
        ------
        SchemaError
            It is of another kernel or version, or malformed.
        """
        known = [entry.name for entry in fields(cls)]
        values = entry_values(content, KERNEL, VERSION, known, made="stateful features", what="the neighbour features")
        for name in ("failed", "windows", "columns"):
            if name in values:
                if not isinstance(values[name], list | tuple):
                    raise SchemaError(f"[neighbours] {name} is no list")
                values[name] = tuple(values[name])
        try:
            return cls(**values)
        except TypeError as error:
            raise SchemaError(f"the neighbour features are malformed ({error})") from error

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides what the state holds, in hexadecimal."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


DECLARED: Final = frozenset(entry.name for entry in fields(Neighbours)) - {"key", "time_format"}
"""Keys of the ``[neighbours]`` section of a schema file."""


def window_column(entity: str, name: str, window: float) -> str:
    """Return the name of a column with a window, like ``source_ports_60s``."""
    return f"{entity}_{name}_{window:.0f}s"


def _check_number(name: str, value: Any, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise SchemaError(f"[neighbours] {name} is {value!r}; a number from {least:g} to {most:g} is expected")
