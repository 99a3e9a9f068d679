"""Zeek logs, tab-separated or as JSON lines, told apart by content."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from netsieve.engine.errors import SourceError
from netsieve.engine.sources.plain_text import LOOKED_AT
from netsieve.engine.sources.source import ColumnRequest, ReadOptions, Source
from netsieve.engine.sources.zeek_derived import READY_SCHEMAS
from netsieve.engine.sources.zeek_detection import is_json, text_begins
from netsieve.engine.sources.zeek_fields import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    STANDARD_LOGS,
    TIME,
    field_code,
    log_of_fields,
    log_of_name,
)
from netsieve.engine.sources.zeek_header import ZeekHeader, header_after, header_lines
from netsieve.engine.sources.zeek_json import ZeekJsonSource
from netsieve.engine.sources.zeek_tsv import ZeekTsvSource

if TYPE_CHECKING:
    from netsieve.engine.sources.bytestream import ByteStream

__all__ = ["READY_SCHEMAS", "open_stream"]

LONGEST_HEADER: Final = 1024 * 1024
"""The first header must end within so many bytes."""


def open_stream(stream: ByteStream, request: ColumnRequest, options: ReadOptions, block_bytes: int) -> Source:
    """Return the stream as a source.

    Raises
    ------
    SourceError
        It is no Zeek log, or its header does not say what the columns are.
    """
    head = bytes(stream.peek(LOOKED_AT))
    if not text_begins(head).strip():
        raise SourceError(f"{stream.label} is empty: it has no header lines and no records")
    if is_json(head):
        return ZeekJsonSource(stream, request, options, block_bytes=block_bytes)
    return _open_tsv(stream, head, request, options, block_bytes)


def _open_tsv(
    stream: ByteStream, head: bytes, request: ColumnRequest, options: ReadOptions, block_bytes: int
) -> ZeekTsvSource:
    lines, whole = header_lines(head)
    if not whole:
        lines, _ = header_lines(bytes(stream.peek(LONGEST_HEADER)))
    header = ZeekHeader()
    for line in lines:
        header = header_after(header, line)
    path = header.path or log_of_name(stream.name) or log_of_fields(header.fields)
    if header.fields or lines:
        if header.problem:
            raise SourceError(f"{stream.label} cannot be read as a Zeek log: {header.problem}")
        return ZeekTsvSource(stream, request, options, first=header, path=path, block_bytes=block_bytes)
    header, path = _headless(text_begins(head), stream, options)
    return ZeekTsvSource(stream, request, options, first=header, path=path, headless=True, block_bytes=block_bytes)


def _headless(text: bytes, stream: ByteStream, options: ReadOptions) -> tuple[ZeekHeader, str | None]:
    """Return what holds for a log whose header is cut off: the names given, or the standard fields where they fit."""
    cells = text.split(b"\n", 1)[0].removesuffix(b"\r").decode("utf-8", "replace").split("\t")
    path = log_of_name(stream.name)
    if options.names is not None:
        names = tuple(options.names)
        header = ZeekHeader(fields=names)
        if header.problem is None and len(names) == len(cells):
            return header, path or log_of_fields(names)
        raise SourceError(
            f"{stream.label}: the first record has {len(cells)} fields, but {len(set(names))} different column names "
            "were given"
        )
    standard = STANDARD_LOGS.get(path or "", {})
    if len(cells) == len(standard) and all(map(_fits, cells, standard.values())):
        return ZeekHeader(fields=tuple(standard), types=tuple(standard.values())), path
    raise SourceError(
        f"{stream.label} is no Zeek log that can be read: it has no #fields line that names the columns; "
        "put the header lines back, or give the column names"
    )


def _fits(cell: str, zeek_type: str) -> bool:
    """Whether a cell looks like a value of its type."""
    if cell == "-":
        return zeek_type != "time"
    code = field_code(zeek_type)
    try:
        if code == INTEGER:
            int(cell)
        elif code in (NUMBER, TIME):
            float(cell)
        elif code == BOOLEAN:
            return cell in ("T", "F")
        elif zeek_type == "addr":
            ip_address(cell)
    except ValueError:
        return False
    return True
