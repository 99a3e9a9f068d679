"""The header lines of Zeek's tab-separated logs, and how they say that the records below are read."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Final

from netsieve.engine.sources.zeek_detection import DIRECTIVES

WIDE_SEPARATOR: Final = "   "
"""What stands between the last fields of the labelled logs of IoT-23, in the header and in the records."""
_ESCAPE: Final = re.compile(r"\\x([0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeekHeader:
    """What the header lines read so far say.

    Attributes
    ----------
    lines
        The lines in force, one of each sort, without line end.
    separator, set_separator
        One character between fields, and between the elements of a set or vector.
    empty, unset
        What stands for an empty text, set or vector, and for no value.
    path
        The log's name, like ``"conn"``; None where no line tells.
    fields, types
        Names and Zeek types; empty where no line tells.
    spaced
        The last so many fields have three spaces between them.
    """

    lines: tuple[bytes, ...] = ()
    separator: str = "\t"
    set_separator: str = ","
    empty: str = "(empty)"
    unset: str = "-"
    path: str | None = None
    fields: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    spaced: int = 0

    @property
    def problem(self) -> str | None:
        """Why records below the header cannot be read; None where they can."""
        if len(self.separator) != 1 or not self.separator.isascii() or self.separator in "\r\n":
            return f"the #separator line gives {self.separator!r}; expected one ASCII character, like \\x09"
        if not self.set_separator.isascii():
            return f"the #set_separator line gives {self.set_separator!r}; expected an ASCII character"
        if not self.fields:
            return "it has no #fields line that names the columns"
        if not all(self.fields):
            return "the #fields line has a field without a name"
        twice = [name for name, count in Counter(self.fields).items() if count > 1]
        return f"the #fields line names {twice[0]!r} twice" if twice else None

    def type_of(self, number: int) -> str | None:
        """Return the Zeek type of a field; None where the header does not tell."""
        return self.types[number] if len(self.types) == len(self.fields) else None


def header_lines(text: bytes) -> tuple[list[bytes], bool]:
    """Return the header lines that a text begins with, and whether a record or the text's end follows them.

    Otherwise the text is cut off within the header.
    """
    lines: list[bytes] = []
    rest = text
    while rest:
        line, newline, rest = rest.partition(b"\n")
        line = line.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\r")
        if line and not line.startswith(b"#"):
            return lines, True
        if line and newline:
            lines.append(line)
    return lines, False


def header_after(header: ZeekHeader, line: bytes) -> ZeekHeader:
    """Return what the header says after one more of its lines; lines of other sorts change nothing."""
    directive = next((known for known in DIRECTIVES if line.startswith(known)), None)
    if directive is None:
        return header
    kept = tuple(known for known in header.lines if not known.startswith(directive))
    rest = line[len(directive) :].decode("utf-8", "replace")
    value = rest.removeprefix(header.separator)
    said: dict[str, Any] = {}
    match directive:
        case b"#separator":
            said["separator"] = _unescaped(rest.strip(" "))
            kept = ()  # with another separator the same line may say something else
        case b"#set_separator":
            said["set_separator"] = _unescaped(value)[:1]
        case b"#empty_field":
            said["empty"] = value
        case b"#unset_field":
            said["unset"] = value
        case b"#path":
            said["path"] = _unescaped(value.strip()) or None
        case b"#types":
            said["types"], _ = _names(value, header.separator)
        case b"#fields":
            said["fields"], said["spaced"] = _names(value, header.separator)
    return replace(header, lines=(*kept, line), **said)


def _names(text: str, separator: str) -> tuple[tuple[str, ...], int]:
    """Return the names of a header line, and how many of the last have three spaces between them."""
    names = text.split(separator or None)
    spaced = names[-1].split(WIDE_SEPARATOR) if names else []
    names = [*names[:-1], *spaced]
    return tuple(_unescaped(name.strip()) for name in names), len(spaced) if len(spaced) > 1 else 0


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
