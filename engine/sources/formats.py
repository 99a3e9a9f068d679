"""Which format a file is in: told by its content first, and by its name only where that leaves it open."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, NamedTuple

from netsieve.engine.errors import SourceError
from netsieve.engine.sources.bytestream import ByteStream
from netsieve.engine.sources.plain_text import LOOKED_AT
from netsieve.engine.sources.source import BLOCK_BYTES, ColumnRequest, ReadOptions, Source

Detector = Callable[[bytes, str], bool]
"""``is_format(head, name)``: whether a file of this name that begins, decompressed, with ``head`` is of the format."""


class Format(NamedTuple):
    """A format that is read.

    ``module`` has ``open_stream(stream, request, options, block_bytes)``, which gives the stream's Source. It is
    imported only for a file of the format.
    """

    module: str
    is_format: Detector


def _is_parquet(head: bytes, _name: str) -> bool:
    return head.startswith(b"PAR1")


def _told_by_module(module: str) -> Format:
    """Return a format whose module has a detector of its own; it is imported when a file is first looked at."""

    def is_format(head: bytes, name: str) -> bool:
        return bool(import_module(module).is_format(head, name))

    return Format(module, is_format)


def _is_anything(_head: bytes, _name: str) -> bool:
    return True


FORMATS: Final[dict[str, Format]] = {
    "parquet": Format("netsieve.engine.sources.parquet", _is_parquet),
    "nfdump": _told_by_module("netsieve.engine.sources.nfdump"),
    "argus": _told_by_module("netsieve.engine.sources.argus"),
    "cicflowmeter": _told_by_module("netsieve.engine.sources.cicflowmeter"),
    "beth": _told_by_module("netsieve.engine.sources.beth"),
    "adfa": _told_by_module("netsieve.engine.sources.adfa"),
    # What no other format claims is delimited text, or an error that opening it names
    "csv": Format("netsieve.engine.sources.csv", _is_anything),
}
"""Formats by name, in the order in which a file is tried: by content first, and by name where that leaves it open."""


def open_source(
    path: str,
    *,
    columns: ColumnRequest | None = None,
    options: ReadOptions | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Source:
    """Open a file of any format that is read, plain, gzip or Zstandard.

    Parameters
    ----------
    path
        A file, or ``-`` for standard input.
    columns
        Columns wanted and their kinds; None for all, kinds inferred.
    options
        What the content does not tell.
    block_bytes
        Bytes of text in a block.

    Raises
    ------
    SourceError
        The file cannot be read, or is of no format that is read here.
    """
    request = columns if columns is not None else ColumnRequest()
    options = options if options is not None else ReadOptions()
    if options.input_format is not None and options.input_format not in FORMATS:
        raise SourceError(f"input format {options.input_format!r} is not known; it is one of {', '.join(FORMATS)}")
    stream = ByteStream(path)
    try:
        form = options.input_format or _format_of(bytes(stream.peek(LOOKED_AT)), stream.name)
        module: Any = import_module(FORMATS[form].module)
        source: Source = module.open_stream(stream, request, options, block_bytes)
        return source
    except BaseException:
        stream.close()
        raise


def _format_of(head: bytes, name: str) -> str:
    return next(form for form, (_, is_format) in FORMATS.items() if is_format(head, name))
