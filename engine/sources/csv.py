"""Delimited text: comma, tab, semicolon or pipe, with a header line or with given column names."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
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
from netsieve.engine.sources.csv_headers import (
    OTHER_HEADER,
    HeaderWatch,
    OtherColumns,
    check_unique,
    every_record,
    given_names,
)
from netsieve.engine.sources.plain_text import LOOKED_AT, check_text
from netsieve.engine.sources.source import (
    BLOCK_BYTES,
    Block,
    ColumnRequest,
    ParsedBlock,
    ReadOptions,
)
from netsieve.engine.sources.text_kinds import text_as_kind
from netsieve.kernels import _native

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsieve.engine.sources.bytestream import ByteStream

DELIMITERS: Final = ",\t;|"
"""Delimiters that are looked for in the first record, in order of preference."""
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
LONGEST_HEADER: Final = 1024 * 1024
"""The header must end within so many bytes."""

SKIPPED: Final = 0
KIND_CODES: Final[dict[ColumnKind, int]] = {"integer": 1, "float": 2, "boolean": 3, "string": 4, "datetime": 4}
"""Codes of ``kernels._native.parse_records``; times stay text, which loses nothing."""
INFERRED_KINDS: Final[dict[int, ColumnKind]] = {1: "integer", 2: "float", 3: "boolean", 4: "string"}

# Reasons of kernels._native.parse_records
FIELD_COUNT: Final = 1
MISQUOTED: Final = 2
OVERLONG: Final = 3
CELL_REASONS: Final = {
    4: "expected an integer",
    5: "expected a number",
    6: "expected true or false",
    7: "invalid UTF-8",
    8: "expected a 64-bit integer",
}
INVALID_UTF8: Final = 7
FRACTION: Final = 8
FEWEST_MISFITS: Final = 20
WRONG_KIND: Final = (4, 5, 6)
LARGEST_MISFIT_SHARE: Final = 0.05
"""Share of a block's records with a cell that is not of its column's inferred kind, beyond which the column is text."""


def sniff_delimiter(line: str) -> str:
    """Return the delimiter that occurs most often outside quotes; a comma where there is none."""
    counts: Counter[str] = Counter()
    quoted = False
    for character in line:
        if character == '"':
            quoted = not quoted
        elif not quoted and character in DELIMITERS:
            counts[character] += 1
    return max(DELIMITERS, key=lambda delimiter: counts[delimiter])


class CsvSource:
    """A file of delimited text.

    Parameters
    ----------
    stream
        The text, at its beginning.
    request
        Columns wanted and their kinds.
    delimiter
        One character; None looks for it in the first line.
    names
        Column names of a file without a header line; None takes them from the first record. A first record that
        equals the names is a header all the same.
    declared
        Kinds of columns that would be inferred; one that turns out to be of truth values is read as such.
    block_bytes, max_record
        See :class:`netsieve.engine.sources.blocks.BlockCutter`.

    Raises
    ------
    SourceError
        The file is empty, has no usable header, or its first record does not have as many fields as ``names``.
    """

    def __init__(
        self,
        stream: ByteStream,
        request: ColumnRequest,
        *,
        delimiter: str | None = None,
        names: Sequence[str] | None = None,
        declared: Mapping[str, ColumnKind] | None = None,
        block_bytes: int = BLOCK_BYTES,
        max_record: int = MAX_RECORD_BYTES,
    ) -> None:
        if delimiter is not None and (len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n'):
            raise SourceError(f"{delimiter!r} is no delimiter; give one ASCII character other than a quote or line end")
        self._stream = stream
        self._request = request
        self._max_record = max_record
        self._leading_blank = self._skip_to_first_record()
        fields, first_record, lines, self._delimiter = self._read_first_record(delimiter)
        if names is None:
            self._file_columns = self.names_of(fields, stream.label)
            self._header = first_record.rstrip(b"\r\n")
            stream.skip(len(first_record))
        else:
            self._file_columns = given_names(names, fields, stream.label)
            self._header = self._delimiter.join(names).encode()
            lines = 0
        self.columns = self._file_columns
        self._codes = self._known_codes()
        self._inferred: frozenset[int] = frozenset()
        self._named: list[int] = []
        self._declared = declared or {}
        self._cutter = BlockCutter(
            stream,
            self._scan,
            first_line=1 + self._leading_blank + lines,
            block_bytes=block_bytes,
            max_record=max_record,
        )

    record_type = "record"

    @property
    def name(self) -> str:
        """Path as it was given."""
        return self._stream.name

    @property
    def total_bytes(self) -> int | None:
        """Size of the file; None for pipes."""
        return self._stream.total_bytes

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def blocks(self) -> Iterator[Block]:
        """Yield the file's blocks in order, once."""
        watch = HeaderWatch(self._file_columns, self._delimiter, self._joined_names, self._counts)
        parts = (part for block in self._cutter.blocks() for part in watch.parts(block, self._named))
        first = True
        for sequence, part in enumerate(parts):
            block = replace(part, sequence=sequence)
            if first and isinstance(block.data, np.ndarray) and len(block.data):
                first = False
                self._infer_kinds(block.data)
            if sequence == 0 and self._leading_blank:
                blank = block.skipped.get("blank", 0) + self._leading_blank
                yield replace(block, skipped={**block.skipped, "blank": blank})
            else:
                yield block

    def parse(self, block: Block) -> ParsedBlock:
        """Return a block's records as a frame; the rejected ones with what is wrong with them."""
        if isinstance(block.data, OtherColumns):
            return self._rejected(replace(block, data=block.data.text))
        codes = list(self._codes)
        while True:
            parsed = _native.parse_records(
                block.data,
                ord(self._delimiter),
                self._header,
                self._max_record,
                codes,
                block.records - len(block.rejects),
            )
            rejected = parsed.rejected
            wider = self._wider_kinds(rejected, block.records) | self._texts(rejected, codes)
            if not wider:
                break
            for column, kind in wider.items():  # read the block again
                codes[column] = KIND_CODES[kind]
        wanted = [name for name, code in zip(self._file_columns, codes, strict=True) if code != SKIPPED]
        frame = pl.DataFrame({name: pl.Series(column) for name, column in zip(wanted, parsed.columns, strict=True)})
        frame, emptied = self._without_misfits(frame, codes)
        record: NDArray[np.int64] | range = range(block.first_record, block.first_record + parsed.rows)
        if len(rejected):
            every = np.arange(block.first_record, block.first_record + parsed.records)
            record = np.delete(every, rejected[:, 0])
        return ParsedBlock(
            frame=frame,
            record=record,
            rejects=[*block.rejects, *parser_rejects(block, rejected, self._reason)],
            skipped=dict(block.skipped),
            source_file=block.source_file,
            bytes_read=block.bytes_read,
            emptied=emptied,
        )

    def _rejected(self, block: Block) -> ParsedBlock:
        """Return a block of which no record can be read."""
        dialect = (ord(self._delimiter), self._header, self._max_record)
        rejected = every_record(block.data, *dialect, block.records - len(block.rejects))
        columns = _native.parse_records(block.data[:0], *dialect, self._codes, 0).columns
        wanted = [name for name, code in zip(self._file_columns, self._codes, strict=True) if code != SKIPPED]
        return ParsedBlock(
            frame=pl.DataFrame({name: pl.Series(column) for name, column in zip(wanted, columns, strict=True)}),
            record=range(block.first_record, block.first_record),
            rejects=[*block.rejects, *parser_rejects(block, rejected, lambda *_: OTHER_HEADER)],
            skipped=dict(block.skipped),
            source_file=block.source_file,
            bytes_read=block.bytes_read,
        )

    def _joined_names(self, fields: list[str]) -> tuple[str, ...]:
        """Return the columns' names by the fields of a header line in mid-file."""
        try:
            return self.names_of(fields, self._stream.label)
        except SourceError:  # a name twice: other columns in any case
            return tuple(fields)

    def names_of(self, fields: list[str], label: str, *, unique: bool = True) -> tuple[str, ...]:
        """Return the columns' names by the fields of the header line.

        Raises
        ------
        SourceError
            Two columns have one name, and they must be ``unique``.
        """
        names = tuple(field.strip() or f"column_{number}" for number, field in enumerate(fields, 1))
        if unique:
            check_unique(names, label)
        return names

    def _wider_kinds(self, rejected: NDArray[np.int64], records: int) -> dict[int, ColumnKind]:
        """Return the inferred columns that hold something else in this block than in the first."""
        wider: dict[int, ColumnKind] = {
            int(column): "float" for column in rejected[rejected[:, 4] == FRACTION, 5] if int(column) in self._inferred
        }
        misfits = Counter(rejected[np.isin(rejected[:, 4], WRONG_KIND), 5].tolist())
        for column, count in misfits.items():
            # Single bad cells are rejected; where there are many, the first block did not show what the column holds
            if column in self._inferred and count > max(LARGEST_MISFIT_SHARE * records, FEWEST_MISFITS):
                wider[column] = "string"
        return wider

    def _texts(self, rejected: NDArray[np.int64], codes: list[int]) -> dict[int, ColumnKind]:
        """Return the lenient and open columns with a cell that is not of their kind."""
        wrong = rejected[np.isin(rejected[:, 4], (*WRONG_KIND, FRACTION)), 5].tolist()
        readable = self._request.lenient | self._request.open
        return {column: "string" for column in wrong if self._file_columns[column] in readable}

    def _without_misfits(self, frame: pl.DataFrame, codes: list[int]) -> tuple[pl.DataFrame, dict[str, int]]:
        """Return the frame with its lenient columns as their kinds say, and how many cells of each had to go."""
        emptied: dict[str, int] = {}
        for name, known, used in zip(self._file_columns, self._codes, codes, strict=True):
            if known == used or name not in self._request.lenient:
                continue
            text = frame[name]
            values, wrong = text_as_kind(text, INFERRED_KINDS[known])
            emptied[name] = int(np.count_nonzero(wrong))
            frame = frame.with_columns(values)
        return frame, emptied

    def _scan(self, text: NDArray[np.uint8], final: bool) -> _native.RecordScan:
        found = self._counts(text, final, MOST_RECORDS)
        self._named = found.named if found.end else []
        return found

    def _counts(self, text: NDArray[np.uint8], final: bool, most_records: int = sys.maxsize) -> _native.RecordScan:
        return _native.scan_records(text, ord(self._delimiter), self._header, self._max_record, final, most_records)

    def _skip_to_first_record(self) -> int:
        """Move on over the byte order mark and blank lines; returns the number of the latter."""
        head = bytes(self._stream.peek(LONGEST_HEADER))
        text = head.removeprefix(BYTE_ORDER_MARK)
        rest = text.lstrip(b"\r\n")
        if not rest:
            raise SourceError(f"{self._stream.label} is empty: it has no header line and no records")
        self._stream.skip(len(head) - len(rest))
        return text[: len(text) - len(rest)].count(b"\n")

    def _read_first_record(self, delimiter: str | None) -> tuple[list[str], bytes, int, str]:
        """Return the first record's fields, its bytes with the line end, its number of lines, and the delimiter."""
        head = bytes(self._stream.peek(LONGEST_HEADER))
        if b"\n" not in head and len(head) == LONGEST_HEADER:
            raise SourceError(
                f"{self._stream.label}: the first line does not end within {LONGEST_HEADER} bytes; is this a CSV file?"
            )
        lines = head.splitlines(keepends=True) if b"\n" not in head else [line + b"\n" for line in head.split(b"\n")]
        if b"\n" not in head and len(lines) > 1:
            raise SourceError(
                f"{self._stream.label} ends its lines with bare carriage returns; "
                "convert them to newlines (tr '\\r' '\\n')"
            )
        try:
            if delimiter is None:
                delimiter = sniff_delimiter(lines[0].decode("utf-8"))
            reader = csv.reader((line.decode("utf-8") for line in lines), delimiter=delimiter, strict=True)
            fields = next(reader)
        except (UnicodeDecodeError, csv.Error) as error:
            raise SourceError(
                f"{self._stream.label}: the first record cannot be read as UTF-8 delimited text ({error}); "
                "expected a header line with the column names"
            ) from error
        record = b"".join(lines[: reader.line_num])
        return fields, record[: len(head)], reader.line_num, delimiter

    def _known_codes(self) -> list[int]:
        codes = []
        for name in self._file_columns:
            wanted = self._request.wants(name)
            codes.append(KIND_CODES[self._request.kinds.get(name, "string")] if wanted else SKIPPED)
        return codes

    def _infer_kinds(self, text: NDArray[np.uint8]) -> None:
        unknown = [
            i
            for i, name in enumerate(self._file_columns)
            if self._request.infer and name not in self._request.kinds and self._request.wants(name)
        ]
        if not unknown:
            return
        kinds = _native.infer_kinds(text, ord(self._delimiter), self._header, self._max_record, len(self._file_columns))
        for i in unknown:
            declared = self._declared.get(self._file_columns[i])
            self._codes[i] = kinds[i] if declared is None or kinds[i] == KIND_CODES["boolean"] else KIND_CODES[declared]
        self._inferred = frozenset(i for i in unknown if self._file_columns[i] not in self._declared)

    def _reason(self, reason: int, column: int, cell: bytes) -> str:
        if reason == FIELD_COUNT:
            return f"{column} field{'' if column == 1 else 's'}, expected {len(self._file_columns)}"
        if reason == OVERLONG:
            return overlong_reason(self._max_record)
        if reason == MISQUOTED:
            return "a quoted field is not closed, or text follows its closing quote"
        what = f"column {self._file_columns[column]!r}: {CELL_REASONS[reason]}"
        if reason == INVALID_UTF8:
            return what
        return f"{what}, got {shown_cell(cell)}"


def open_stream(stream: ByteStream, request: ColumnRequest, options: ReadOptions, block_bytes: int) -> CsvSource:
    """Return the stream as a source.

    Raises
    ------
    SourceError
        It is no UTF-8 text, or has no usable header.
    """
    check_text(bytes(stream.peek(LOOKED_AT)), stream.label)
    return CsvSource(
        stream,
        request,
        delimiter=options.delimiter,
        names=options.names,
        declared=options.declared,
        block_bytes=block_bytes,
    )
