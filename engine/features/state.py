"""What is known of the hosts of a stream of records: explicit, bounded, owned by the caller, and kept in a file.

A state belongs to one declaration of neighbour features
(:class:`~netsieve.engine.features.neighbours.Neighbours`), of windows
(:class:`~netsieve.engine.features.windows.WindowLayout`), or of both, and is changed by
:class:`~netsieve.engine.features.stage.NeighbourStage` and
:class:`~netsieve.engine.features.window_stage.WindowStage` alone. It is no pickle: a file is a header of JSON, arrays
of fixed types, and a checksum, and whatever is wrong with it, the answer is a :class:`StateError` of one line.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.errors import StateError
from netsieve.engine.features.neighbours import DISTINCT, ENTITIES, RATES, Neighbours
from netsieve.engine.features.windows import WindowLayout
from netsieve.engine.sinks.atomic import PendingFile
from netsieve.kernels._native import Interner

MAGIC: Final = b"netsieve state\n"
VERSION: Final = 2
"""Of states with windows. Those without are written as version 1, which older readers read."""
VERSION_WITHOUT_WINDOWS: Final = 1
FIRST_ENTITIES: Final = 2**20
"""Entities that there is room for at first; the room doubles as it is needed, up to the declared bound. Rows that were
never used take no memory: the system hands out cleared pages when they are first written to."""
FIRST_BYTES: Final = 2**28
"""Bytes of the arrays at first: of entities with large rows there is room for fewer."""
LARGEST_LATE_SHARE: Final = 0.5
"""Of late records; where there are more, the order is asked about. Exporters write in the order of timeouts: a third of
the records of a sensor's Zeek logs are late, nearly all by less than a minute."""
_LENGTH_BYTES: Final = 8
_DIGEST_BYTES: Final = 32
_COUNTERS: Final = ("records", "late", "without_time")
_WINDOWS: Final = "windows"
_WINDOW_CLOCK: Final = "window_clock"


ArrayShapes: TypeAlias = dict[str, tuple[tuple[int, ...], Any]]
"""Shape and type of a row of each array, by name."""


class EntityTable:
    """The entities of one kind: their numbers, and an array row for each.

    Attributes
    ----------
    interner
        Numbers of the entities.
    arrays
        By name, ``[capacity, ...]``. For neighbour features ``rates`` float64 ``[.., windows, 4]``, ``ports`` and
        ``hosts`` uint32 ``[.., 64]``, ``gap`` and ``size`` float64 ``[.., 3]``, as far as they are needed; for windows
        ``counts`` int64 ``[..]``, records of the entity, and ``rows`` float32 ``[.., length - 1, n_features]``.

    Parameters
    ----------
    most
        Entities known at a time.
    expiry
        Seconds after which one starts anew.
    shapes
        Shape and type of each array's rows.
    """

    def __init__(self, most: int, expiry: float, shapes: ArrayShapes) -> None:
        self.interner = Interner(most, expiry)
        self._shapes = shapes
        self.arrays: dict[str, NDArray[Any]] = {}
        self._capacity = 0
        row = sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in shapes.values())
        self._resize(max(1, min(FIRST_ENTITIES, most, FIRST_BYTES // max(row, 1))))

    @property
    def capacity(self) -> int:
        """Entities that there is room for."""
        return self._capacity

    def make_room(self) -> None:
        """Let every number that the interner handed out have its row."""
        if self.interner.size > self._capacity:
            needed = 1 << (self.interner.size - 1).bit_length()
            self._resize(min(needed, self.interner.max_entities))

    def _resize(self, capacity: int) -> None:
        for name, (shape, dtype) in self._shapes.items():
            larger = np.zeros((capacity, *shape), dtype=dtype)
            if name in self.arrays:
                larger[: self._capacity] = self.arrays[name]
            self.arrays[name] = larger
        self._capacity = capacity

    def saved(self) -> dict[str, bytes | memoryview]:
        """Return interner and arrays as bytes; the latter are not copied."""
        used = self.interner.size
        arrays = {name: array[:used].reshape(-1).view(np.uint8).data for name, array in self.arrays.items()}
        return {"interner": self.interner.saved(), **arrays}

    def restore(self, parts: dict[str, memoryview]) -> None:
        """Take over what :meth:`saved` gave; ValueError or KeyError where it does not fit."""
        self.interner.restore(bytes(parts.pop("interner")))
        self.make_room()
        for name, array in self.arrays.items():
            used = array[: self.interner.size]
            used[...] = np.frombuffer(parts.pop(name), dtype=array.dtype).reshape(used.shape)
        if parts:
            raise ValueError("it has more parts than are expected")


class WindowTable(EntityTable):
    """The entities of windows, and the latest records of each.

    Attributes
    ----------
    latest
        int64 ``[capacity]``, zeros between blocks: what the kernels remember within one.
    """

    def __init__(self, layout: WindowLayout) -> None:
        windows = layout.windows
        shapes: ArrayShapes = {
            "counts": ((), np.int64),
            "rows": ((windows.length - 1, layout.n_features), np.float32),
        }
        super().__init__(windows.entities, windows.expiry, shapes)

    def _resize(self, capacity: int) -> None:
        super()._resize(capacity)
        self.latest = np.zeros(capacity, dtype=np.int64)

    def restore(self, parts: dict[str, memoryview]) -> None:
        """Take over what :meth:`saved` gave; ValueError or KeyError where it does not fit."""
        super().restore(parts)
        if (self.arrays["counts"] < 0).any():
            raise ValueError("an entity has fewer records than none")


@dataclass(slots=True)
class WindowClock:
    """The clock of windows beside neighbour features, which have theirs in the state itself."""

    clock: float = 0.0
    without_time: int = 0


def _neighbour_table(declaration: Neighbours, entity: str) -> EntityTable:
    most = declaration.pairs if entity == "pair" else declaration.hosts
    return EntityTable(most, declaration.expiry, _array_shapes(declaration, entity))


def _array_shapes(declaration: Neighbours, entity: str) -> ArrayShapes:
    # imported late: the kernels take most of a second, and only models with neighbour features need them
    from netsieve.kernels.neighbours import BUCKETS, REGULARITY
    from netsieve.kernels.neighbours import RATES as RATE_COUNT

    asked = {name.removeprefix(f"{entity}_") for name in declaration.columns if name.startswith(f"{entity}_")}
    measures = {name.rsplit("_", 1)[0] if name.endswith("s") else name for name in asked}
    shapes: ArrayShapes = {}
    if measures & set(RATES):
        shapes["rates"] = ((len(declaration.windows), RATE_COUNT), np.float64)
    for name in DISTINCT[entity]:
        if name in measures:
            shapes[name] = ((BUCKETS,), np.uint32)
    for name in ("gap", "size"):
        if {f"{name}_mean", f"{name}_variation"} & asked:
            shapes[name] = ((REGULARITY,), np.float64)
    return shapes


class FeatureState:
    """What is known of the hosts so far. Pass it to each call in turn; one call at a time changes it.

    Parameters
    ----------
    declaration
        The neighbour features that it is for, if any: ``Scorer.schema.neighbours``.
    layout
        The windows that it is for, if any: ``Scorer.schema.window_layout``.

    Attributes
    ----------
    tables
        What is known of the entities of each kind; of those of windows under ``"windows"``.
    records
        Records seen.
    late
        Those from before an earlier record of one of their entities; they count at that record's time.
    without_time
        Those whose end is not known; they count at the time of the record before.
    clock
        Time of the last record that had one, seconds since 1970.
    window_table, window_clock
        The entities of windows, None without; and their clock, which beside neighbour features is another.

    Raises
    ------
    StateError
        It is for nothing.
    """

    def __init__(self, declaration: Neighbours | None, layout: WindowLayout | None = None) -> None:
        if declaration is None and layout is None:
            raise StateError("the model has neither neighbour features nor windows and takes no state; leave it out")
        self.declaration = declaration
        self.layout = layout
        self.records = self.late = self.without_time = 0
        self.clock = 0.0
        self.tables: dict[str, EntityTable] = {}
        self.window_table: WindowTable | None = None
        self.window_clock: FeatureState | WindowClock = self if declaration is None else WindowClock()
        if declaration is not None:
            self.tables |= {entity: _neighbour_table(declaration, entity) for entity in ENTITIES}
        if layout is not None:
            self.tables[_WINDOWS] = self.window_table = WindowTable(layout)
        self.lock = threading.Lock()

    def __repr__(self) -> str:
        sizes = {name: table.interner.size for name, table in self.tables.items()}
        of_windows = sizes.pop(_WINDOWS, None)
        known = [f"{size:,} {entity}s" for entity, size in sizes.items()]
        known += [] if of_windows is None else [f"windows of {of_windows:,} entities"]
        return f"<FeatureState of {self.records:,} records: {', '.join(known)}>"

    @property
    def evicted(self) -> int:
        """Entities that had to go before they expired, since there were more than the declared bound."""
        return sum(table.interner.evicted for table in self.tables.values())

    def notes(self) -> list[str]:
        """Return what a reader of the computed features should know."""
        notes = []
        if self.late:
            order = "; are the files in the order of time?" if self.late > LARGEST_LATE_SHARE * self.records else ""
            notes.append(
                f"{self.late:,} of {self.records:,} records are from before others of their hosts and count at their "
                f"time{order}"
            )
        # where no record tells a time, windows just follow the order of the records
        if self.without_time and (self.declaration is not None or self.without_time < self.records):
            notes.append(f"{self.without_time:,} records without a time count at that of the record before")
        evicted = {name: table.interner.evicted for name, table in self.tables.items()}
        of_windows = evicted.pop(_WINDOWS, 0)
        if sum(evicted.values()):
            notes.append(
                f"{sum(evicted.values()):,} hosts or pairs were forgotten early, as more were active than the model's "
                "bound; raise hosts and pairs under [neighbours] in the schema file when training"
            )
        if of_windows:
            notes.append(
                f"the windows of {of_windows:,} entities were forgotten early, as more were active than the model's "
                "bound; train with shorter windows, or of fewer entities"
            )
        return notes

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a file, which appears under its name only when it is complete.

        Raises
        ------
        OutputError
            It cannot be written there.
        """
        self.pending(path).commit()

    def pending(self, path: str | os.PathLike[str]) -> PendingFile:
        """Return a file with the state that is complete but for its name, for several outputs to appear together.

        Raises
        ------
        OutputError
            It cannot be written there.
        """
        digest = hashlib.sha256()
        pending = PendingFile(os.fspath(path))
        try:
            with self.lock:
                for part in self._file_parts():
                    digest.update(part)
                    pending.write(part)
            pending.write(digest.digest())
            pending.complete()
        except BaseException:
            pending.abort()
            raise
        return pending

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], declaration: Neighbours | None, layout: WindowLayout | None = None
    ) -> FeatureState:
        """Read a state from a file.

        Parameters
        ----------
        path
            File that :meth:`save` wrote.
        declaration, layout
            The neighbour features and windows that it is to be used for.

        Raises
        ------
        StateError
            There is no such file, it is damaged, or it belongs to another model.
        """
        name = repr(os.fspath(path))
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise StateError(f"cannot read the state file {name}: {error.strerror or error}") from error
        return cls.from_bytes(data, declaration, name, layout=layout)

    def to_bytes(self) -> bytes:
        """Return the content of a state file."""
        with self.lock:
            content = b"".join(self._file_parts())
        return content + hashlib.sha256(content).digest()

    def _file_parts(self) -> Iterator[bytes | memoryview]:
        """Yield the content of a state file up to its checksum."""
        saved = {entity: table.saved() for entity, table in self.tables.items()}
        layout = [(entity, name, memoryview(part).nbytes) for entity in saved for name, part in saved[entity].items()]
        header = {
            **_identity(self.declaration, self.layout),
            "clock": self.clock,
            **({} if self.layout is None else {_WINDOW_CLOCK: self.window_clock.clock}),
            **{name: getattr(self, name) for name in _COUNTERS},
            "parts": layout,
        }
        text = json.dumps(header).encode()
        yield MAGIC
        yield len(text).to_bytes(_LENGTH_BYTES, "little")
        yield text
        for parts in saved.values():
            yield from parts.values()

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        declaration: Neighbours | None,
        name: str = "the state",
        *,
        layout: WindowLayout | None = None,
    ) -> FeatureState:
        """Read a state back from :meth:`to_bytes`; parameters and errors as for :meth:`load`."""
        if not data.startswith(MAGIC):
            raise StateError(f"{name} is no state file that netsieve wrote; name another one, or one that is yet to be")
        content = memoryview(data)[:-_DIGEST_BYTES]
        if hashlib.sha256(content).digest() != data[-_DIGEST_BYTES:]:
            raise StateError(f"{name} is a damaged or truncated state file; remove it to start anew")
        try:
            header, parts = _header_and_parts(content)
            if header["version"] not in (VERSION_WITHOUT_WINDOWS, VERSION):
                raise StateError(f"{name} has the state format {header['version']}; use the netsieve that wrote it")
            expected = _identity(declaration, layout)
            what = "windows" if declaration is None else "neighbour features"
            if {key: header.get(key) for key in expected} != expected:
                raise StateError(f"{name} belongs to another model's {what}; name another state file for this model")
            state = cls(declaration, layout)
            for entity, table in state.tables.items():
                table.restore(parts.pop(entity))
            state.clock = float(header["clock"])
            for counter in _COUNTERS:
                setattr(state, counter, int(header[counter]))
            state.window_clock.clock = float(header[_WINDOW_CLOCK]) if layout is not None else state.clock
            if parts or not np.isfinite([state.clock, state.window_clock.clock]).all():
                raise ValueError("it has more than is expected")
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise StateError(f"{name} is a damaged state file ({error}); remove it to start anew") from error
        return state


def _identity(declaration: Neighbours | None, layout: WindowLayout | None) -> dict[str, Any]:
    """Return what the header of a state file says of what it belongs to."""
    own = None if declaration is None else declaration.fingerprint
    if layout is None:
        return {"version": VERSION_WITHOUT_WINDOWS, "declaration": own}
    return {"version": VERSION, "declaration": own, _WINDOWS: layout.fingerprint}


def _header_and_parts(content: memoryview) -> tuple[dict[str, Any], dict[str, dict[str, memoryview]]]:
    at = len(MAGIC) + _LENGTH_BYTES
    length = int.from_bytes(content[len(MAGIC) : at], "little")
    header = json.loads(bytes(content[at : at + length]))
    at += length
    parts: dict[str, dict[str, memoryview]] = {}
    for entity, name, size in header["parts"]:
        parts.setdefault(entity, {})[name] = content[at : at + size]
        at += size
    if at != len(content):
        raise ValueError("its length is not that of its parts")
    return header, parts
