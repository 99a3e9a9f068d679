"""The inputs of a job: files read in order, block by block, as tables that fit the models of the job."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from netsieve.engine.errors import MissingColumnError
from netsieve.engine.sources.formats import open_event_source, open_source
from netsieve.engine.sources.source import (
    ANY_RECORD,
    Block,
    BlockSource,
    ColumnRequest,
    EventSource,
    ParsedBlock,
    ReadOptions,
    Reject,
    Source,
)

Opened = TypeVar("Opened", bound=BlockSource)

BLOCK_BYTES: Final = 2 * 1024 * 1024
"""Text of a block. Measured on 10 M records, two threads, CSV to Parquet: 2, 4 and 8 MiB take the same time, 1 MiB some
10 % more, and peak memory is 200, 245 and 290 MB."""
EVENT_BLOCK_BYTES: Final = 8 * 1024 * 1024
"""The same of Suricata's events, whose text is some five times as long as a line of CSV. Measured on 100 MB of mixed
events with one thread: 2, 4 and 8 MiB take 0.98, 0.71 and 0.61 CPU seconds, and peak memory is 180, 184 and 201 MB."""
EVENT_FAMILIES: Final = ("suricata.", "pcap.", "adfa.")
"""Record types with these beginnings, and the event type behind them, are read from one file as one or the other."""
SHOWN_COLUMNS: Final = 12
"""Columns of a file that an error names."""


def options_for(options: ReadOptions, record_type: str, reading: Mapping[str, Any] | None = None) -> ReadOptions:
    """Return the options for the records of a model: they are read as those that it was trained on.

    Of mixed events it takes those of its record type; the rest is what its schema declares (``FeatureSchema.reading``).
    """
    options = options.under(reading or {})
    if options.event_type is None and record_type.startswith(EVENT_FAMILIES):
        return replace(options, event_type=record_type.partition(".")[2])
    return options


def block_bytes_for(record_type: str) -> int:
    """Return the bytes of text in a block of such records."""
    return EVENT_BLOCK_BYTES if record_type.startswith("suricata.") else BLOCK_BYTES


NumberedBlock = tuple[int, Opened, Block]


@dataclass(frozen=True, slots=True)
class ParsedItem:
    """A block of a job that was parsed.

    Attributes
    ----------
    number, records
        Number of the block within the job; its records, those skipped and blank lines among them.
    tables
        A table for each model of the job. What they say of rejects, skipped and read bytes does not count.
    rejects, skipped, bytes_read
        Of the block, as in :class:`netsieve.engine.sources.source.ParsedBlock`.
    """

    number: int
    records: int
    tables: tuple[ParsedBlock, ...]
    rejects: list[Reject]
    skipped: Mapping[str, int]
    bytes_read: int


class JobInputs(ABC, Generic[Opened]):
    """The files of a job, whatever is read of them.

    Parameters
    ----------
    files
        Paths, or ``"-"`` for standard input, in order.

    Attributes
    ----------
    columns
        Columns of each table in the first file, once it was opened.
    """

    def __init__(self, files: Sequence[str]) -> None:
        self.files = files
        self.columns: tuple[tuple[str, ...], ...] = ()

    def numbered_blocks(self) -> Iterator[list[NumberedBlock[Opened]]]:
        """Yield each block of all files, in order, with its number and source, as the only item of a list.

        Where there are several files all are opened once before, so that a wrong one is found before hours of work.
        """
        regular = [path for path in self.files if os.path.isfile(path)]
        for path in regular if len(self.files) > 1 else []:
            self._open(path).close()
        number = 0
        for path in self.files:
            with closing(self._open(path)) as source:
                # No name here holds a block while the next one is awaited
                for item in ([(number, source, block)] for number, block in enumerate(source.blocks(), number)):
                    yield item
                    number += 1

    @abstractmethod
    def _open(self, path: str) -> Opened: ...

    @abstractmethod
    def parsed(self, number: int, source: Opened, block: Block) -> ParsedItem:
        """Return a block's tables; called from several threads."""

    @property
    def are_files(self) -> bool:
        """Whether all are regular files; standard input and pipes are not."""
        return all(map(os.path.isfile, self.files))

    def total_bytes(self) -> int | None:
        """Return the bytes of all files as they are on disk; None where one is a stream."""
        return sum(map(os.path.getsize, self.files)) if self.are_files else None


class Inputs(JobInputs[Source]):
    """The files of a job with one model, and what is read of them.

    Parameters
    ----------
    files
        Paths, or ``"-"`` for standard input, in order.
    needed
        Columns that every file must have.
    request
        Columns wanted, those needed among them, and how they are read from text.
    options
        How the files are read, where their content does not tell.
    record_type, reading
        What the model was trained on, and how that was read (``FeatureSchema.reading``).
    block_bytes
        Bytes of text in a block; None for what suits the records.
    """

    def __init__(
        self,
        files: Sequence[str],
        needed: Sequence[str],
        request: ColumnRequest,
        options: ReadOptions,
        *,
        record_type: str = ANY_RECORD,
        reading: Mapping[str, Any] | None = None,
        block_bytes: int | None = None,
    ) -> None:
        super().__init__(files)
        self._needed = needed
        self._request = request
        self._options = options_for(options, record_type, reading)
        self._record_type = record_type
        self._block_bytes = block_bytes_for(record_type) if block_bytes is None else block_bytes

    def _open(self, path: str) -> Source:
        source = open_source(path, columns=self._request, options=self._options, block_bytes=self._block_bytes)
        lacking = _lacking(source.columns, self._needed)
        if lacking is not None:
            source.close()
            if source.record_type != self._record_type:
                raise MissingColumnError(
                    f"{path!r} holds records of type {source.record_type}, but the model is for {self._record_type}: "
                    f"the file {lacking}; score it with a model for {source.record_type}"
                )
            raise MissingColumnError(f"{path!r} {lacking}; is it the right file, with a header line?")
        self.columns = self.columns or (source.columns,)
        return source

    def parsed(self, number: int, source: Source, block: Block) -> ParsedItem:
        """Return a block's records as the only table."""
        records = block.records + sum(block.skipped.values())
        parsed = source.parse(block)
        return ParsedItem(number, records, (parsed,), parsed.rejects, parsed.skipped, parsed.bytes_read)


class EventInputs(JobInputs[EventSource]):
    """The files of a job with a model for each of several event types, which the files mix.

    Parameters
    ----------
    files, options
        As for :class:`Inputs`.
    needed
        By event type: columns that every file must have.
    requests
        By event type: columns wanted, those needed among them, and how they are read from text.
    """

    def __init__(
        self,
        files: Sequence[str],
        needed: Mapping[str, Sequence[str]],
        requests: Mapping[str, ColumnRequest],
        options: ReadOptions,
    ) -> None:
        super().__init__(files)
        self._needed = needed
        self._requests = requests
        self._options = options

    def _open(self, path: str) -> EventSource:
        source = open_event_source(path, self._requests, options=self._options, block_bytes=EVENT_BLOCK_BYTES)
        for event_type, needed in self._needed.items():
            lacking = _lacking(source.columns[event_type], needed)
            if lacking is not None:
                source.close()
                raise MissingColumnError(f"{path!r}, events of type {event_type}: the file {lacking}")
        self.columns = self.columns or tuple(source.columns.values())
        return source

    def parsed(self, number: int, source: EventSource, block: Block) -> ParsedItem:
        """Return a block's events, a table for each type."""
        records = block.records + sum(block.skipped.values())
        parsed = source.parse(block)
        tables = tuple(parsed.tables.values())
        return ParsedItem(number, records, tables, parsed.rejects, parsed.skipped, parsed.bytes_read)


def _lacking(columns: Sequence[str], needed: Sequence[str]) -> str | None:
    """Return what a file lacks of the columns that a model needs, and what it has; None where it lacks nothing."""
    missing = [name for name in needed if name not in columns]
    if not missing:
        return None
    shown = ", ".join(map(repr, columns[:SHOWN_COLUMNS]))
    more = f" and {len(columns) - SHOWN_COLUMNS} more" if len(columns) > SHOWN_COLUMNS else ""
    names = ", ".join(map(repr, missing))
    return f"lacks {len(missing)} column{'s' * (len(missing) > 1)} that the model needs: {names}; it has {shown}{more}"
