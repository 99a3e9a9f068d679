"""Which format a file is in: told by its content first, and by nothing else where that is clear."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from netsieve.engine.errors import SourceError
from netsieve.engine.sources.blocks import BLOCK_BYTES
from netsieve.engine.sources.bytestream import ByteStream
from netsieve.engine.sources.source import ColumnRequest, Source

PARQUET_MAGIC: Final = b"PAR1"
LOOKED_AT: Final = 64 * 1024
"""Bytes looked at to tell text from other things."""
CONTROL_SHARE: Final = 0.01
"""Text has no larger share of control characters..."""
CONTROL_SLACK: Final = 4
"""...and a few more, so that a short file may have a stray one."""
CONTROL_BYTES: Final = bytes(byte for byte in range(32) if byte not in b"\t\n\r\x0b\x0c\x1b\x08\x07")

WIDE_ENCODINGS: Final = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
FOREIGN_FORMATS: Final = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"%PDF": "a PDF document",
    b"\x7fELF": "a program",
    b"SQLite format 3": "an SQLite database",
    b"ARROW1": "an Arrow IPC file",
    b"Obj\x01": "an Avro file",
    b"\xd4\xc3\xb2\xa1": "a packet capture",
    b"\xa1\xb2\xc3\xd4": "a packet capture",
    b"\x4d\x3c\xb2\xa1": "a packet capture",
    b"\xa1\xb2\x3c\x4d": "a packet capture",
    b"\x0a\x0d\x0d\x0a": "a packet capture",
    b"\x1f\x8b": "a gzip file within a compressed file",
    b"{": "JSON",
    b"[{": "JSON",
    b"#separator": "a Zeek log",
}
"""Formats that are recognised, only to say that they are not read."""


def open_source(
    path: str,
    *,
    columns: ColumnRequest | None = None,
    delimiter: str | None = None,
    names: Sequence[str] | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Source:
    """Open a file of any format that is read: delimited text or Parquet, plain, gzip or Zstandard.

    Parameters
    ----------
    path
        A file, or ``-`` for standard input.
    columns
        Columns wanted and their kinds; None for all, kinds inferred.
    delimiter
        Delimiter of text; None looks for it.
    names
        Column names of text without a header line.
    block_bytes
        Bytes of text in a block.

    Raises
    ------
    SourceError
        The file cannot be read, or is of no format that is read here.
    """
    request = columns if columns is not None else ColumnRequest()
    stream = ByteStream(path)
    try:
        head = bytes(stream.peek(LOOKED_AT))
        if head.startswith(PARQUET_MAGIC):
            from netsieve.engine.sources.parquet import ParquetSource

            return ParquetSource(stream, request)
        _check_text(head, stream.label)
        from netsieve.engine.sources.csv import CsvSource

        return CsvSource(stream, request, delimiter=delimiter, names=names, block_bytes=block_bytes)
    except BaseException:
        stream.close()
        raise


def _check_text(head: bytes, label: str) -> None:
    for mark, encoding in WIDE_ENCODINGS.items():
        if head.startswith(mark):
            raise _wide_encoding(label, encoding)
    for magic, kind in FOREIGN_FORMATS.items():
        if head.startswith(magic):
            raise SourceError(f"{label} is {kind}; expected delimited text (CSV) or Parquet")
    # UTF-16 without a mark: every other byte of mostly Latin text is NUL
    if len(head) >= 4 and max(head[::2].count(0), head[1::2].count(0)) > len(head) // 4:
        other = min(head[::2].count(0), head[1::2].count(0))
        if other <= len(head) // 100:
            raise _wide_encoding(label, "UTF-16")
    controls = len(head) - len(head.translate(None, CONTROL_BYTES))
    if controls > CONTROL_SLACK + CONTROL_SHARE * len(head):
        raise SourceError(f"{label} is no text file; expected delimited text (CSV) or Parquet")


def _wide_encoding(label: str, encoding: str) -> SourceError:
    return SourceError(f"{label} is in {encoding}; convert it to UTF-8 (iconv -f {encoding} -t UTF-8)")
