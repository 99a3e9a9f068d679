"""JSON text: one object a line, or the objects of one array; what the formats written in it have in common.

What counts as a record, and what of it is rejected, is decided by ``kernels._native.parse_json_lines``:

- A record is one line that is not blank. Where the file begins with ``[``, the records are the objects of that array,
  on any number of lines, and are read one by one in bounded memory.
- One that is no JSON object (RFC 8259, UTF-8) is rejected, and no other with it. Numbers beyond 64 bits, ``NaN`` and
  more than 1,024 levels of nesting are no JSON here. A longer record than
  :data:`netsieve.engine.sources.blocks.MAX_RECORD_BYTES` is rejected.
- Members of objects are columns with the names of both, ``flow.start``; null and an absent member are missing values.
- Of keys that occur twice in an object the last counts.
- Numbers, booleans and times may stand in quotes. In a text column a number is the text it is written as, an array
  or object its JSON without white space.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from netsieve.engine.errors import SourceError
from netsieve.engine.features.schema import ColumnKind
from netsieve.engine.sources.blocks import (
    MAX_RECORD_BYTES,
    MOST_RECORDS,
    BlockCutter,
    overlong_reason,
    parser_rejects,
    shown_cell,
)
from netsieve.engine.sources.plain_text import LOOKED_AT, check_encoding
from netsieve.engine.sources.source import BLOCK_BYTES, Block, Reject
from netsieve.kernels import _native

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsieve.engine.sources.bytestream import ByteStream

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
BLANKS: Final = b" \t\r\n"
DISCOVERY_BYTES: Final = BLOCK_BYTES
"""Columns and their kinds are found in so many bytes at the beginning of a file, whatever the size of its blocks."""

MOST_CELLS: Final = 4 * 1024 * 1024
"""Cells of a block at most, but for :data:`FEWEST_RECORDS`: a member that is absent takes memory, and no text."""
FEWEST_RECORDS: Final = 1024

TIME: Final = 5
"""Code of ``kernels._native.parse_json_lines`` for times."""
KIND_CODES: Final[dict[ColumnKind, int]] = {"integer": 1, "float": 2, "boolean": 3, "string": 4, "datetime": 4}
"""Codes of the kinds that are asked for; times stay text, which loses nothing, unless the format knows better."""

# Reasons of kernels._native.parse_json_lines
OVERLONG: Final = 3
FRACTION: Final = 8
NO_SELECTOR: Final = 17
RECORD_REASONS: Final = {
    7: "invalid UTF-8",
    10: "invalid JSON",
    11: "expected a JSON object",
    12: "JSON nested too deeply",
    13: "invalid JSON: a number that is malformed or beyond 64 bits",
    14: "invalid JSON: a wrong escape in a string",
    15: "invalid JSON: a string is not closed",
    16: "invalid JSON: a control character in a string",
}
CELL_REASONS: Final = {
    4: "expected an integer",
    5: "expected a number",
    6: "expected true or false",
    8: "expected a 64-bit integer",
    9: "expected a time like 2021-06-06T14:05:06.123456+0000",
    14: "an escape that stands for no character",
}


@dataclass(frozen=True, slots=True)
class JsonColumns:
    """Columns that are read of the records of one kind.

    Attributes
    ----------
    kinds
        Kind code by path.
    inferred
        Paths whose kind was only inferred: integers turn to floats in a block that has a fraction there.
    """

    kinds: Mapping[str, int]
    inferred: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class JsonRows:
    """The records of one kind that were taken of a block.

    Attributes
    ----------
    columns
        By path, as native columns for Polars to take over.
    height
        Their number of rows.
    record
        Record number of each row within the file.
    """

    columns: dict[str, _native.Column]
    height: int
    record: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ParsedText:
    """What became of a block's records.

    Attributes
    ----------
    tables
        The records of each kind that is wanted, in the order of the selector.
    rejects, skipped
        As in :class:`netsieve.engine.sources.source.ParsedBlock`; what is skipped for its type is counted by the
        value of the selector.
    """

    tables: list[JsonRows]
    rejects: list[Reject]
    skipped: dict[str, int]


class JsonText:
    """A file of JSON text that is open for reading.

    Parameters
    ----------
    stream
        The text, at its beginning.
    selector
        Path, and the texts there of the records that are wanted, which tell them apart into tables; None for all
        records, in one table.
    block_bytes, max_record
        See :class:`netsieve.engine.sources.blocks.BlockCutter`.

    Attributes
    ----------
    discovered
        For each table path and kind code of each column in the first :data:`DISCOVERY_BYTES` of the file, in order of
        appearance.

    Raises
    ------
    SourceError
        The file is empty, or is no text.
    """

    def __init__(
        self,
        stream: ByteStream,
        *,
        selector: tuple[str, Sequence[str]] | None = None,
        block_bytes: int = BLOCK_BYTES,
        max_record: int = MAX_RECORD_BYTES,
    ) -> None:
        self._stream = stream
        self._selector = ("", ()) if selector is None else selector
        self._max_record = max_record
        head = bytes(stream.peek(LOOKED_AT))
        check_encoding(head, stream.label)
        if head.startswith(BYTE_ORDER_MARK):
            stream.skip(len(BYTE_ORDER_MARK))
        begins = head.removeprefix(BYTE_ORDER_MARK).lstrip(BLANKS)
        if not begins and len(head) < LOOKED_AT:
            raise SourceError(f"{stream.label} is empty: it has no records")
        self._array = begins.startswith(b"[")
        self.discovered: list[dict[str, int]] = [dict(columns) for columns in self._discover()]
        columns = sum(map(len, self.discovered))
        self._most_records = min(max(MOST_CELLS // max(columns, 1), FEWEST_RECORDS), MOST_RECORDS)
        self._cutter = BlockCutter(stream, self._scan, block_bytes=block_bytes, max_record=max_record)

    @property
    def stream(self) -> ByteStream:
        """The text."""
        return self._stream

    def blocks(self) -> Iterator[Block]:
        """Yield the file's blocks in order, once."""
        return self._cutter.blocks()

    def parse(self, block: Block, *tables: JsonColumns) -> ParsedText:
        """Return columns of a block's records.

        Parameters
        ----------
        block
            One of :meth:`blocks`.
        *tables
            What is read of each kind of records.
        """
        codes = [dict(table.kinds) for table in tables]
        places = [(table, path) for table, kinds in enumerate(codes) for path in kinds]
        while True:
            parsed = _native.parse_json_lines(
                block.data,
                self._array,
                self._max_record,
                self._selector,
                [(list(kinds), list(kinds.values())) for kinds in codes],
                block.records - len(block.rejects),
            )
            rejected = parsed.rejected
            fractions = {places[column] for column in rejected[rejected[:, 4] == FRACTION, 5]}
            fractions = {(table, path) for table, path in fractions if path in tables[table].inferred}
            if not fractions:
                break
            for table, path in fractions:
                codes[table][path] = KIND_CODES["float"]
        return ParsedText(
            tables=[
                JsonRows(
                    columns=dict(zip(kinds, table.columns, strict=True)),
                    height=table.rows,
                    record=table.selected + block.first_record,
                )
                for kinds, table in zip(codes, parsed.tables, strict=True)
            ],
            rejects=[
                *block.rejects,
                *parser_rejects(block, rejected, partial(self._reason, [path for _, path in places])),
            ],
            skipped=parsed.skipped,
        )

    def _scan(self, text: NDArray[np.uint8], final: bool) -> _native.RecordScan:
        return _native.scan_json_lines(text, self._array, self._max_record, final, self._most_records)

    def _discover(self) -> list[list[tuple[str, int]]]:
        for size in (DISCOVERY_BYTES, self._max_record + DISCOVERY_BYTES):
            head = self._stream.peek(size)
            text = np.frombuffer(head, np.uint8)
            found = _native.scan_json_lines(text, self._array, self._max_record, len(head) < size)
            if found.records or len(head) < size:
                break
        return _native.discover_json_columns(text[: found.end], self._array, self._max_record, self._selector)

    def _reason(self, paths: Sequence[str], reason: int, column: int, cell: bytes) -> str:
        if reason == OVERLONG:
            return overlong_reason(self._max_record)
        if reason == NO_SELECTOR:
            return f"no text under {self._selector[0]!r}"
        if column < 0:
            return RECORD_REASONS[reason]
        return f"column {paths[column]!r}: {CELL_REASONS[reason]}, got {shown_cell(cell)}"


class JsonSource:
    """What the sources of JSON text have in common: all but their columns and what they make of a block."""

    _text: JsonText

    @property
    def name(self) -> str:
        """Path as it was given."""
        return self._text.stream.name

    @property
    def total_bytes(self) -> int | None:
        """Size of the file; None for pipes."""
        return self._text.stream.total_bytes

    def close(self) -> None:
        """Close the file."""
        self._text.stream.close()

    def blocks(self) -> Iterator[Block]:
        """Yield the file's blocks in order, once."""
        return self._text.blocks()


def frame_of(columns: Mapping[str, _native.Column]) -> pl.DataFrame:
    """Return native columns as a frame."""
    # handed over at once: one by one takes ten times as long
    return pl.DataFrame(_native.RecordBatch(list(columns), list(columns.values()))) if columns else pl.DataFrame()
