"""Whether a file is a Zeek log, tab-separated or JSON lines: by content, and by its name where that leaves it open."""

from __future__ import annotations

import re
from typing import Final

from netsieve.engine.sources.zeek_fields import is_log_name

DIRECTIVES: Final = (
    b"#separator",
    b"#set_separator",
    b"#empty_field",
    b"#unset_field",
    b"#path",
    b"#fields",
    b"#types",
)
"""Header lines of the tab-separated form that say how the records after them are read."""
_OPENING: Final = (*DIRECTIVES, b"#open", b"#close")
_HEADLESS: Final = re.compile(rb"(?:[^\t\n]+\t)?\d{1,10}\.\d{6}\t[CF][0-9A-Za-z]{8,22}\t")
"""A record of a log whose header is cut off: an optional node name, a time, a connection's or file's identifier."""
_TIME_KEY: Final = re.compile(rb'"ts"\s*:')
_KEY: Final = re.compile(rb'"(?:uid|id\.orig_h|_path|fuid|uids|conn_uids)"\s*:')
_EVENT_TYPE: Final = re.compile(rb'"event_type"\s*:')
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def text_begins(head: bytes) -> bytes:
    """Return a file's first bytes without a byte order mark and blank lines."""
    return head.removeprefix(_BYTE_ORDER_MARK).lstrip(b"\r\n")


def is_json(head: bytes) -> bool:
    """Whether a file that begins with ``head`` holds JSON objects."""
    return text_begins(head).lstrip().startswith(b"{")


def is_zeek(head: bytes, name: str) -> bool:
    """Whether a file of this name that begins, decompressed, with ``head`` is a Zeek log."""
    text = text_begins(head)
    if text.startswith(_OPENING) or _HEADLESS.match(text):
        return True
    if is_json(head):
        first = text.lstrip().split(b"\n", 1)[0]
        if _EVENT_TYPE.search(first) or not _TIME_KEY.search(first):
            return False
        return _KEY.search(first) is not None or is_log_name(name)
    return is_log_name(name) and bool(text) and not _is_delimited(text)


def _is_delimited(text: bytes) -> bool:
    """Whether the first two lines have a delimiter in common, the same number of times."""
    lines = [line for line in text.split(b"\n")[:8] if line.strip()][:2]
    return any(
        len({line.count(delimiter) for line in lines}) == 1 and delimiter in lines[0] for delimiter in _DELIMITERS
    )


_DELIMITERS: Final = (b",", b"\t", b";", b"|")
