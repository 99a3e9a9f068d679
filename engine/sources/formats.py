"""Which format a file is in: told by its content first, and by its name only where that leaves it open."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple

from netsieve.engine.errors import SourceError
from netsieve.engine.sources.bytestream import ByteStream
from netsieve.engine.sources.plain_text import LOOKED_AT
from netsieve.engine.sources.source import BLOCK_BYTES, ColumnRequest, EventSource, ReadOptions, Source
from netsieve.engine.sources.zeek_detection import is_zeek

CAPTURE_MAGIC: Final = frozenset(
    bytes.fromhex(magic) for magic in ("d4c3b2a1", "a1b2c3d4", "4d3cb2a1", "a1b23c4d", "0a0d0d0a")
)
"""pcap with micro- or nanoseconds in both byte orders, and pcapng."""

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


def _is_json(head: bytes, _name: str) -> bool:
    return _JSON_OBJECTS.match(head) is not None


def _is_eve(head: bytes, name: str) -> bool:
    return _is_json(head, name) and _EVENT_TYPE.search(head) is not None


def _is_capture(head: bytes, _name: str) -> bool:
    return head[:4] in CAPTURE_MAGIC


def _told_by_module(module: str) -> Format:
    """Return a format whose module has a detector of its own; it is imported when a file is first looked at."""

    def is_format(head: bytes, name: str) -> bool:
        return bool(import_module(module).is_format(head, name))

    return Format(module, is_format)


def _is_anything(_head: bytes, _name: str) -> bool:
    return True


_JSON_OBJECTS: Final = re.compile(rb'(?:\xef\xbb\xbf)?[ \t\r\n]*(?:\[[ \t\r\n]*)?\{[ \t\r\n]*["}]')
_EVENT_TYPE: Final = re.compile(
    rb'"event_type"[ \t]*:[ \t]*"(?:flow|netflow|alert|dns|http|http2|tls|fileinfo|anomaly|stats|ssh|smtp|smb|ftp|'
    rb"ftp_data|dhcp|krb5|snmp|sip|rdp|rfb|mqtt|nfs|tftp|ike|ikev2|quic|dcerpc|dnp3|modbus|drop|metadata|pgsql|"
    rb'bittorrent_dht|packetinfo|frame|arp|ldap|mdns|websocket|pop3|enip|template)"'
)
"""Suricata's event types: other logs have members called ``event_type``, too."""

FORMATS: Final[dict[str, Format]] = {
    "parquet": Format("netsieve.engine.sources.parquet", _is_parquet),
    "eve": Format("netsieve.engine.sources.eve", _is_eve),
    "zeek": Format("netsieve.engine.sources.zeek", is_zeek),
    "ndjson": Format("netsieve.engine.sources.ndjson", _is_json),
    "pcap": Format("netsieve.engine.sources.pcap", _is_capture),
    "nfdump": _told_by_module("netsieve.engine.sources.nfdump"),
    "argus": _told_by_module("netsieve.engine.sources.argus"),
    "cicflowmeter": _told_by_module("netsieve.engine.sources.cicflowmeter"),
    "beth": _told_by_module("netsieve.engine.sources.beth"),
    "n_baiot": _told_by_module("netsieve.engine.sources.n_baiot"),
    "adfa": _told_by_module("netsieve.engine.sources.adfa"),
    # What no other format claims is delimited text, or an error that opening it names
    "csv": Format("netsieve.engine.sources.csv", _is_anything),
}
"""Formats by name, in the order in which a file is tried: by content first, and by name where that leaves it open."""

EVENT_FORMATS: Final = ("eve",)
"""Those whose modules also have ``open_events(stream, requests, options, block_bytes)``, which gives an EventSource."""


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
    stream, form = _opened(path, options)
    try:
        if form in EVENT_FORMATS and options.flow_limits:
            raise SourceError(
                f"'{path}' is of the format {form}, and {', '.join(options.flow_limits)} only of use for flows of "
                "packet captures; leave it out"
            )
        source: Source = _module_of(form).open_stream(stream, request, options, block_bytes)
        return source
    except BaseException:
        stream.close()
        raise


def open_event_source(
    path: str,
    requests: Mapping[str, ColumnRequest],
    *,
    options: ReadOptions | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> EventSource:
    """Open a file of mixed events, of which several types are read in one pass.

    Parameters
    ----------
    path, options, block_bytes
        As for :func:`open_source`; ``options.event_type`` has no meaning here.
    requests
        The event types that are read; of each the columns wanted and their kinds.

    Raises
    ------
    SourceError
        The file cannot be read, or is of a format whose files do not mix event types.
    """
    options = options if options is not None else ReadOptions()
    stream, form = _opened(path, options)
    try:
        if form not in EVENT_FORMATS:
            raise SourceError(
                f"'{path}' is of the format {form}, where several event types are asked for; only files of the format "
                f"{' or '.join(EVENT_FORMATS)} mix them; read one type at a time"
            )
        source: EventSource = _module_of(form).open_events(stream, requests, options, block_bytes)
        return source
    except BaseException:
        stream.close()
        raise


def _opened(path: str, options: ReadOptions) -> tuple[ByteStream, str]:
    """Return a file's decompressed bytes, and the name of its format."""
    if options.input_format is not None and options.input_format not in FORMATS:
        raise SourceError(f"input format {options.input_format!r} is not known; it is one of {', '.join(FORMATS)}")
    stream = ByteStream(path)
    try:
        return stream, options.input_format or _format_of(bytes(stream.peek(LOOKED_AT)), stream.name)
    except BaseException:
        stream.close()
        raise


def _module_of(form: str) -> Any:
    return import_module(FORMATS[form].module)


def _format_of(head: bytes, name: str) -> str:
    return next(form for form, (_, is_format) in FORMATS.items() if is_format(head, name))
