"""Zeek's tab-separated logs, cut into blocks and parsed by the columns that their header lines name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from netsieve.engine.sources.blocks import MAX_RECORD_BYTES, MOST_RECORDS, BlockCutter, overlong_reason, shown_cell
from netsieve.engine.sources.source import (
    BLOCK_BYTES,
    RAW_BYTES,
    Block,
    ColumnRequest,
    ParsedBlock,
    ReadOptions,
    Reject,
)
from netsieve.engine.sources.zeek_columns import ColumnPlan, end_times
from netsieve.engine.sources.zeek_fields import SKIPPED, known_type
from netsieve.engine.sources.zeek_header import ZeekHeader, header_after
from netsieve.kernels import _native

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsieve.engine.sources.bytestream import ByteStream

USUAL_LINE: Final = 4096
"""Header lines are looked for the line end in so many bytes first."""

# Reasons of kernels._native.parse_zeek
FIELD_COUNT: Final = 1
OVERLONG: Final = 3
INVALID_UTF8: Final = 7
CELL_REASONS: Final = {
    4: "expected an integer",
    5: "expected a number",
    6: "expected T or F",
    INVALID_UTF8: "invalid UTF-8",
    8: "expected a 64-bit integer",
    9: "expected a time in seconds since 1970",
}


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a block's text that one header holds for.

    Attributes
    ----------
    start, end
        Byte offsets in the block's text.
    records
        Records in it, at least one.
    records_before, lines_before
        Records and lines of the block in front of it.
    header
        What the header lines in force say.
    """

    start: int
    end: int
    records: int
    records_before: int
    lines_before: int
    header: ZeekHeader


@dataclass(frozen=True, slots=True)
class ZeekText:
    """A block's text, uint8 ``[n]``, and its sections."""

    text: NDArray[np.uint8]
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class _Counts:
    records: int
    blank: int
    headers: int
    lines: int
    end: int
    overlong_open: bool
    more: bool


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a section begins in its file: number of its first record, its line, its byte offset."""

    source_file: str
    record: int
    line: int
    offset: int


@dataclass(slots=True)
class _Parsed:
    frames: list[pl.DataFrame]
    records: list[NDArray[np.int64]]
    rejects: list[Reject]
    skipped: Counter[str]


class ZeekTsvSource:
    """A tab-separated log.

    The columns and their types are those of the first header. Where logs were joined, each further header only says
    where its records have these columns: one that it lacks is missing there, and one that only it has is not read.
    Records of another log (``#path``) are skipped, records below a header that cannot be used are rejected.

    Parameters
    ----------
    stream
        The text, at its beginning.
    request, options
        Columns wanted and their kinds; the log wanted (``event_type``) and the home networks.
    first
        What the first header says, or what holds for a file without one.
    path
        The log's name, like ``"conn"``.
    headless
        Whether the first record has no header above it.
    block_bytes, max_record
        See :class:`netsieve.engine.sources.blocks.BlockCutter`.
    """

    def __init__(
        self,
        stream: ByteStream,
        request: ColumnRequest,
        options: ReadOptions,
        *,
        first: ZeekHeader,
        path: str | None,
        headless: bool = False,
        block_bytes: int = BLOCK_BYTES,
        max_record: int = MAX_RECORD_BYTES,
    ) -> None:
        self._stream = stream
        self._max_record = max_record
        types = {
            name: first.type_of(number) or known_type(path, name) or "string"
            for number, name in enumerate(first.fields)
        }
        self._plan = ColumnPlan(types, request, path=path, home_networks=options.home_networks)
        self.record_type = f"zeek.{path or 'log'}"
        self._first_path = first.path
        self._wanted_path = (options.event_type or path or "").removeprefix("zeek.")
        self._path = path
        self._header = first if headless else ZeekHeader()
        self._sections: list[Section] = []
        self._cutter = BlockCutter(stream, self._scan, block_bytes=block_bytes, max_record=max_record)

    @property
    def name(self) -> str:
        """Path as it was given."""
        return self._stream.name

    @property
    def columns(self) -> tuple[str, ...]:
        """The first header's fields, and the derived columns behind them."""
        return self._plan.columns

    @property
    def total_bytes(self) -> int | None:
        """Size of the file; None for pipes."""
        return self._stream.total_bytes

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def blocks(self) -> Iterator[Block]:
        """Yield the file's blocks in order, once."""
        for block in self._cutter.blocks():
            sections = tuple(self._sections) if len(block.data) else ()
            yield replace(block, data=ZeekText(block.data, sections))

    def parse(self, block: Block) -> ParsedBlock:
        """Return a block's records as a frame; the rejected ones with what is wrong with them."""
        content: ZeekText = block.data
        parsed = _Parsed([], [], list(block.rejects), Counter(block.skipped))
        for section in content.sections:
            place = _Place(
                block.source_file,
                block.first_record + section.records_before,
                (block.first_line or 1) + section.lines_before,
                (block.offset or 0) + section.start,
            )
            self._parse_section(section, content.text[section.start : section.end], place, parsed)
        frame = pl.concat(parsed.frames) if parsed.frames else self._plan.empty_frame()
        numbers = np.concatenate(parsed.records) if parsed.records else np.empty(0, np.int64)
        return ParsedBlock(
            frame=self._plan.finished(frame),
            record=numbers,
            rejects=parsed.rejects,
            skipped=dict(parsed.skipped),
            source_file=block.source_file,
            bytes_read=block.bytes_read,
            end_time=end_times(frame),
        )

    def _scan(self, text: NDArray[np.uint8], final: bool) -> _Counts:
        """Count the lines of a text, and note which header holds for which part of it."""
        self._sections = []
        records = blank = headers = lines = at = 0
        while True:
            found = _native.scan_zeek(
                text[at:], list(self._header.lines), self._max_record, final, MOST_RECORDS - records
            )
            if found.records:
                self._sections.append(Section(at, at + found.end, found.records, records, lines, self._header))
            records += found.records
            blank += found.blank
            headers += found.headers
            lines += found.lines
            at += found.end
            if not found.changed:
                return _Counts(records, blank, headers, lines, at, found.overlong_open, found.more)
            self._header = header_after(self._header, _first_line(text[at:]))

    def _parse_section(self, section: Section, text: NDArray[np.uint8], place: _Place, parsed: _Parsed) -> None:
        header = section.header
        path = header.path if header.path != self._first_path else self._path
        if header.problem:
            parsed.rejects += self._unreadable(text, header.problem, place)
            return
        if path != self._wanted_path and (path or self._wanted_path):
            # lines as single fields: only those that are too long are wrong
            header = replace(header, separator="\n", spaced=0, fields=("",))
        codes = [self._plan.codes.get(name, SKIPPED) for name in header.fields]
        found = _native.parse_zeek(
            text,
            ord(header.separator),
            header.spaced,
            ord(header.set_separator or ","),
            header.empty.encode(),
            header.unset.encode(),
            self._max_record,
            codes,
            section.records,
        )
        rejected = found.rejected
        for entry in rejected.tolist():
            parsed.rejects.append(self._reject(header, text, entry, place))
        if header.separator == "\n":
            parsed.skipped[f"event type {path or 'unknown'}"] += found.rows
            return
        read = [name for name, code in zip(header.fields, codes, strict=True) if code != SKIPPED]
        series = {name: pl.Series(column) for name, column in zip(read, found.columns, strict=True)}
        numbers = np.arange(place.record, place.record + section.records)
        parsed.frames.append(self._plan.arranged(series, found.rows))
        parsed.records.append(np.delete(numbers, rejected[:, 0]) if len(rejected) else numbers)

    def _reject(self, header: ZeekHeader, text: NDArray[np.uint8], entry: list[int], place: _Place) -> Reject:
        record, lines, start, end, reason, field, cell_start, cell_end = entry
        return Reject(
            source_file=place.source_file,
            record=place.record + record,
            line=place.line + lines,
            offset=place.offset + start,
            reason=self._reason(header, reason, field, text[cell_start:cell_end].tobytes()),
            raw=text[start : min(end, start + RAW_BYTES)].tobytes().decode("utf-8", "surrogateescape"),
        )

    def _reason(self, header: ZeekHeader, reason: int, field: int, cell: bytes) -> str:
        if reason == FIELD_COUNT:
            return f"{field} field{'' if field == 1 else 's'}, expected {len(header.fields)}"
        if reason == OVERLONG:
            return overlong_reason(self._max_record)
        what = f"column {header.fields[field]!r}: {CELL_REASONS[reason]}"
        if reason == INVALID_UTF8:
            return what
        return f"{what}, got {shown_cell(cell)}"

    def _unreadable(self, text: NDArray[np.uint8], problem: str, place: _Place) -> Iterator[Reject]:
        """Reject the records below a header that cannot be used."""
        record, line, offset = place.record, place.line, place.offset
        reason = f"the header above it cannot be used: {problem}"
        for raw in text.tobytes().split(b"\n"):
            content = raw.removesuffix(b"\r").removeprefix(b"\xef\xbb\xbf")
            overlong = len(raw) > self._max_record
            if overlong or (content and not content.startswith(b"#")):
                yield Reject(
                    source_file=place.source_file,
                    record=record,
                    line=line,
                    offset=offset,
                    reason=overlong_reason(self._max_record) if overlong else reason,
                    raw=content[:RAW_BYTES].decode("utf-8", "surrogateescape"),
                )
                record += 1
            line += 1
            offset += len(raw) + 1


def _first_line(text: NDArray[np.uint8]) -> bytes:
    """Return the first line of a text, which may be long, without a byte order mark and the line end."""
    line = b""
    for size in (USUAL_LINE, len(text)):
        line, newline, _ = text[:size].tobytes().partition(b"\n")
        if newline:
            break
    return line.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\r")
