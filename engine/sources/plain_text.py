"""What is text, and what only looks like a log: told from a file's first bytes."""

from __future__ import annotations

from typing import Final

from netsieve.engine.errors import SourceError

LOOKED_AT: Final = 64 * 1024
"""Decompressed bytes that a format is told by."""
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
    b"\x1f\x8b": "a gzip file within a compressed file",
    b"\xd4\xc3\xb2\xa1": "a packet capture",
    b"\xa1\xb2\xc3\xd4": "a packet capture",
    b"\x4d\x3c\xb2\xa1": "a packet capture",
    b"\xa1\xb2\x3c\x4d": "a packet capture",
    b"\x0a\x0d\x0d\x0a": "a packet capture",
    b"{": "JSON",
    b"[{": "JSON",
    b"#separator": "a Zeek log",
}
"""What is no delimited text, for an error that says what it is."""


def check_text(head: bytes, label: str) -> None:
    """Raise :class:`SourceError` where a file that begins with ``head`` is no UTF-8 text that can be read here."""
    for magic, kind in FOREIGN_FORMATS.items():
        if head.startswith(magic):
            raise SourceError(f"{label} is {kind}; expected delimited text (CSV) or another format that is read here")
    check_encoding(head, label)


def check_encoding(head: bytes, label: str) -> None:
    """Raise :class:`SourceError` where a file that begins with ``head`` is no text, or in UTF-16 or UTF-32."""
    for mark, encoding in WIDE_ENCODINGS.items():
        if head.startswith(mark):
            raise _wide_encoding(label, encoding)
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
