"""Record-aligned blocks cut from any stream of text; every text format goes through here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from netsieve.engine.sources.source import BLOCK_BYTES, RAW_BYTES, Block, Reject

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsieve.engine.sources.bytestream import ByteStream

MAX_RECORD_BYTES: Final = 16 * 1024 * 1024
"""A longer record is rejected, so that one quote that never closes cannot swallow the file."""


class RecordCounts(Protocol):
    """What a scan found, all of it before ``end``."""

    @property
    def records(self) -> int:
        """Records, those among them that parsing will reject."""

    @property
    def blank(self) -> int:
        """Blank lines."""

    @property
    def headers(self) -> int:
        """Header lines."""

    @property
    def lines(self) -> int:
        """Newlines."""

    @property
    def end(self) -> int:
        """Offset behind the last complete record."""

    @property
    def overlong_open(self) -> bool:
        """Whether the record at ``end`` is too long and has no end yet."""

    @property
    def more(self) -> bool:
        """Whether the scan ended at the most records of a block, and the text goes on."""


MOST_RECORDS: Final = 128 * 1024
"""Records of a block at most: what is made of a record takes memory, however few bytes it has."""
SHOWN_CELL: Final = 80
"""A wrong cell is shown in a reason up to so many characters."""

Scan = Callable[["NDArray[np.uint8]", bool], RecordCounts]
"""``scan(text, final)``: counts the records of a text that begins with one (``kernels._native.scan_records``)."""


def overlong_reason(max_record: int) -> str:
    """Return why a line over the limit is rejected."""
    return f"line of more than {max_record} bytes"


def shown_cell(cell: bytes) -> str:
    """Return a wrong cell as a reason shows it: in quotes, and cut where it is long."""
    text = cell.decode("utf-8", "replace")
    return repr(text[:SHOWN_CELL] + "..." if len(text) > SHOWN_CELL else text)


def parser_rejects(
    block: Block, rejected: NDArray[np.int64], reason_of: Callable[[int, int, bytes], str]
) -> Iterator[Reject]:
    """Yield what a native parser rejected of a block of text.

    Parameters
    ----------
    block
        The block.
    rejected
        int64 ``[n, 8]``: record, lines before it, start, end, reason, column, start and end of the cell.
    reason_of
        Makes text of reason, column and cell.
    """
    assert block.first_line is not None
    assert block.offset is not None
    text = memoryview(block.data)
    for record, lines, start, end, reason, column, cell_start, cell_end in rejected.tolist():
        yield Reject(
            source_file=block.source_file,
            record=block.first_record + record,
            line=block.first_line + lines,
            offset=block.offset + start,
            reason=reason_of(reason, column, bytes(text[cell_start:cell_end])),
            raw=bytes(text[start : min(end, start + RAW_BYTES)]).decode("utf-8", "surrogateescape"),
        )


class BlockCutter:
    """Cuts a byte stream into blocks of whole records, with the record number, line and offset of each.

    Memory is bounded by the block size and the longest record allowed, whatever the stream holds.

    Parameters
    ----------
    stream
        Stream that stands at the beginning of a record.
    scan
        Finds the records of the format.
    first_line
        1-based physical line the stream stands at.
    block_bytes
        Bytes read at a time.
    max_record
        Longest record in bytes, the same as ``scan`` was given.
    """

    def __init__(
        self,
        stream: ByteStream,
        scan: Scan,
        *,
        first_line: int = 1,
        block_bytes: int = BLOCK_BYTES,
        max_record: int = MAX_RECORD_BYTES,
    ) -> None:
        self._stream = stream
        self._scan = scan
        self._block_bytes = block_bytes
        self._max_record = max_record
        self._line = first_line
        self._offset = stream.offset  # of the text that was not handed out yet
        self._position = 0
        self._record = 0
        self._sequence = 0

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks in order, once.

        Raises
        ------
        SourceError
            The stream is truncated or damaged.
        """
        rest: NDArray[np.uint8] = np.empty(0, np.uint8)
        final = False
        while not final:
            text = np.empty(len(rest) + self._block_bytes, np.uint8)
            text[: len(rest)] = rest
            filled = self._stream.readinto(text.data[len(rest) :])
            final = filled < self._block_bytes
            text = text[: len(rest) + filled]
            while (found := self._scan(text, final)).more:
                yield self._block(text[: found.end], found)
                text = text[found.end :]
            if found.end:
                yield self._block(text[: found.end], found)
            rest = text[found.end :]
            if found.overlong_open:
                raw, length, rest, final = self._discard_line(rest)
                yield self._overlong_block(raw, length)

    def _block(self, data: NDArray[np.uint8], found: RecordCounts) -> Block:
        skipped = {reason: count for reason, count in (("blank", found.blank), ("header", found.headers)) if count}
        block = Block(
            source_file=self._stream.name,
            sequence=self._sequence,
            first_record=self._record,
            records=found.records,
            first_line=self._line,
            offset=self._offset,
            data=data,
            bytes_read=self._bytes_read(),
            skipped=skipped,
        )
        self._advance(records=found.records, lines=found.lines, length=len(data))
        return block

    def _overlong_block(self, raw: bytes, length: int) -> Block:
        reject = Reject(
            source_file=self._stream.name,
            record=self._record,
            line=self._line,
            offset=self._offset,
            reason=overlong_reason(self._max_record),
            raw=raw.decode("utf-8", "surrogateescape"),
        )
        block = Block(
            source_file=self._stream.name,
            sequence=self._sequence,
            first_record=self._record,
            records=1,
            first_line=self._line,
            offset=self._offset,
            data=np.empty(0, np.uint8),
            bytes_read=self._bytes_read(),
            rejects=(reject,),
        )
        self._advance(records=1, lines=1, length=length)
        return block

    def _discard_line(self, begun: NDArray[np.uint8]) -> tuple[bytes, int, NDArray[np.uint8], bool]:
        """Read on to the end of a line: its first bytes, its length, the text behind it, whether the stream ends."""
        raw, length = bytes(begun[:RAW_BYTES]), len(begun)
        while True:
            text = np.empty(self._block_bytes, np.uint8)
            filled = self._stream.readinto(text.data)
            newline = text[:filled].tobytes().find(b"\n")
            end = filled if newline < 0 else newline
            raw += bytes(text[: min(end, RAW_BYTES - len(raw))])
            length += end
            if newline >= 0:
                raw = raw if length > RAW_BYTES else raw.removesuffix(b"\r")
                return raw, length + 1, text[newline + 1 : filled], False
            if filled < self._block_bytes:
                raw = raw if length > RAW_BYTES else raw.removesuffix(b"\r")
                return raw, length, text[:0], True

    def _bytes_read(self) -> int:
        read = self._stream.position - self._position
        self._position += read
        return read

    def _advance(self, *, records: int, lines: int, length: int) -> None:
        self._sequence += 1
        self._record += records
        self._line += lines
        self._offset += length
