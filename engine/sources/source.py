"""What every format gives: blocks cut in order by one thread, and frames parsed from them by any thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from netsieve.engine.features.schema import ColumnKind

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

BLOCK_BYTES: Final = 4 * 1024 * 1024
"""Text read at a time. 4 MiB took least processor time of 1 to 16 MiB: the columns of a block stay in cache."""
MOST_SKIPPED_REASONS: Final = 64
OTHER_SKIPPED: Final = "(other)"
RAW_BYTES: Final = 4096
"""A rejected record's text is cut at so many bytes."""
CLASH_PREFIX: Final = "input_"
"""Put before the name of a column that has the name of an added one: scored files can be read again."""
ANY_RECORD: Final = "record"
"""Record type of files that do not tell what their records are."""


@dataclass(frozen=True, slots=True)
class ColumnRequest:
    """Which columns are wanted, and how they are read from text.

    Attributes
    ----------
    columns
        Names of the columns wanted; None for all. Names that a file lacks are absent from its frames.
    kinds
        How columns are read from text. A cell that is not of its column's kind rejects the record, unless it is
        missing. ``"datetime"`` columns of text formats stay text.
    lenient
        Columns in whose cells nothing is at stake: one that is not of its column's kind is left empty and counted in
        :attr:`ParsedBlock.emptied`, where it would otherwise reject the record.
    open
        Columns that are read as text in a block with a cell that is not of their kind.
    infer
        Whether the kinds of columns not in ``kinds`` are inferred from a file's first block; otherwise they are
        read as text. A column inferred to hold integers turns to floats in the block that has the first fraction.
    """

    columns: tuple[str, ...] | None = None
    kinds: Mapping[str, ColumnKind] = field(default_factory=dict)
    infer: bool = True
    lenient: frozenset[str] = frozenset()
    open: frozenset[str] = frozenset()

    def wants(self, name: str) -> bool:
        """Whether the column is to be read."""
        return self.columns is None or name in self.columns


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """How files are read, as far as their content does not tell.

    Attributes
    ----------
    input_format
        Name of a format (:data:`netsieve.engine.sources.formats.FORMATS`); None tells it by content, then by name.
    names
        Column names of delimited text without a header line, and of JSON lines that are not to be searched for them.
    delimiter
        Delimiter of text; None looks for it.
    event_type
        Events wanted of a file that mixes several types; None for the format's own default.
    home_networks
        Networks in CIDR notation that count as inside, for the direction of flows; empty: the private ones.
    idle_timeout, active_timeout, most_flows
        When a flow of a packet capture ends: seconds without a packet, seconds since its first, flows open at a time.
        None for the format's own.
    declared
        Columns that JSON lines have whether they are found in a file's first records or not, and their kinds, which
        are also those of columns of delimited text.
    """

    input_format: str | None = None
    names: Sequence[str] | None = None
    delimiter: str | None = None
    event_type: str | None = None
    home_networks: Sequence[str] = ()
    idle_timeout: float | None = None
    active_timeout: float | None = None
    most_flows: int | None = None
    declared: Mapping[str, ColumnKind] = field(default_factory=dict)

    @property
    def flow_limits(self) -> list[str]:
        """Names of the limits that are given of when a flow of a packet capture ends."""
        return [name for name in ("idle_timeout", "active_timeout", "most_flows") if getattr(self, name) is not None]

    def under(self, reading: Mapping[str, Any]) -> ReadOptions:
        """Return the options with what a schema declares (``FeatureSchema.reading``) where they ask for nothing."""
        return replace(self, **{name: reading[name] for name in reading if getattr(self, name) in (None, (), [], {})})


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that could not be read.

    Attributes
    ----------
    source_file
        Path of the file as it was given, ``-`` for standard input.
    record
        0-based record number within the file.
    line
        1-based physical line the record begins on; None where the format has no lines.
    offset
        Byte offset of the record in the decompressed file; None where the format has none.
    reason
        What is wrong with it.
    raw
        Its text, cut at :data:`RAW_BYTES`; bytes that are not UTF-8 stand as lone surrogates (``surrogateescape``).
    """

    source_file: str
    record: int
    line: int | None
    offset: int | None
    reason: str
    raw: str


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole records of one file, not parsed yet.

    Attributes
    ----------
    source_file, sequence
        File, and number of the block within it.
    first_record, records
        0-based number of the first record within the file, and how many there are (among them those that parsing
        will reject, or skip as events of another type).
    first_line, offset
        Where the block begins: 1-based physical line and decompressed byte offset; None where the format has none.
    data
        For text uint8 ``[n]``, for Parquet a ``pyarrow.RecordBatch``.
    bytes_read
        Bytes of the file (compressed as it is) that were read since the block before; they sum up to
        ``Source.total_bytes``.
    skipped
        Lines that are no records, by reason.
    rejects
        Records that were already rejected when the blocks were cut.
    """

    source_file: str
    sequence: int
    first_record: int
    records: int
    first_line: int | None
    offset: int | None
    data: Any
    bytes_read: int
    skipped: Mapping[str, int] = field(default_factory=dict)
    rejects: tuple[Reject, ...] = ()


@dataclass(frozen=True, slots=True)
class ParsedBlock:
    """A block as a frame.

    ``block.records + sum(block.skipped) = frame.height + len(rejects) + sum(skipped)``. Blank and header lines
    take no record number; events of another type do.

    Attributes
    ----------
    frame
        The columns wanted, in file order.
    record
        0-based record number within the file of each row of the frame.
    rejects
        Records that could not be read, in file order.
    skipped
        What is no record of the wanted kind, by reason (``"blank"``, ``"header"``, ``"event type dns"``): the block's
        own and what parsing found.
    source_file, bytes_read
        As in the block.
    end_time
        float64 ``[n]``: when each record ended, seconds since 1970, NaN where that is not known. None where the
        format has no such time.
    emptied
        Cells of lenient columns that were left empty, by column.
    """

    frame: pl.DataFrame
    record: NDArray[np.int64] | range
    rejects: list[Reject]
    skipped: dict[str, int]
    source_file: str
    bytes_read: int
    end_time: NDArray[np.float64] | None = None
    emptied: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ParsedEvents:
    """A block of mixed events as frames, one for each event type that is wanted.

    ``block.records + sum(block.skipped) = heights of all frames + len(rejects) + sum(skipped)``.

    Attributes
    ----------
    tables
        By event type. What was rejected or skipped, and the bytes read, are not in these but below: a record that
        cannot be read is of no type.
    rejects, skipped, bytes_read
        Of the block, as in :class:`ParsedBlock`.
    """

    tables: dict[str, ParsedBlock]
    rejects: list[Reject]
    skipped: dict[str, int]
    bytes_read: int


class BlockSource(Protocol):
    """A file that is open for reading.

    One thread iterates over :meth:`blocks`, which is cheap; any number of threads parse them, which is the work.
    """

    @property
    def name(self) -> str:
        """Path as it was given, ``-`` for standard input."""

    @property
    def total_bytes(self) -> int | None:
        """Size of the file, compressed as it is; None where it is not known."""

    def blocks(self) -> Iterator[Block]:
        """Yield the file's blocks in order, once.

        Raises
        ------
        SourceError
            The file is truncated or damaged.
        """

    def close(self) -> None:
        """Close the file."""


class Source(BlockSource, Protocol):
    """A file of records that are all of one type, or read as such."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns of the file, in file order, whether wanted or not."""

    @property
    def record_type(self) -> str:
        """What the records are, like ``"zeek.conn"`` or ``"suricata.flow"``; ``"record"`` where nothing tells."""

    def parse(self, block: Block) -> ParsedBlock:
        """Return a block's records as a frame."""


class EventSource(BlockSource, Protocol):
    """A file of mixed events, several types of which are read in one pass."""

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """All columns of each event type, whether wanted or not."""

    def parse(self, block: Block) -> ParsedEvents:
        """Return a block's events as a frame for each type."""


def add_skipped(totals: MutableMapping[str, int], found: Mapping[str, int]) -> None:
    """Add what was skipped, by reason, to the totals of a job.

    At most :data:`MOST_SKIPPED_REASONS` are told apart, as a reason may hold text of the file; the others are counted
    under :data:`OTHER_SKIPPED`.
    """
    for reason, count in found.items():
        name = reason if reason in totals or len(totals) < MOST_SKIPPED_REASONS else OTHER_SKIPPED
        totals[name] = totals.get(name, 0) + count
