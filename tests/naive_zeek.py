"""Slow, obvious twin of the readers of Zeek logs, and of Zeek's own writers."""

import json
import math
import re
from decimal import ROUND_HALF_UP, Decimal

from naive import cell_value

DIRECTIVES = ["separator", "set_separator", "empty_field", "unset_field", "path", "fields", "types"]
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
SHOWN = {*range(0x20, 0x7F), *b"\b\f\n\r\t"}
KINDS = {"count": "integer", "int": "integer", "port": "integer", "interval": "float", "double": "float"}
LATEST_SECONDS = 9e12


# reading


def zeek_tsv(data, max_record=10**9):
    """Read a whole tab-separated log, line by line.

    Returns the rows (record number and values, by the first header's columns), the rejects as (record, line, offset),
    and the counts of what is skipped.
    """
    said = {"separator": "\t", "set_separator": ",", "empty_field": "(empty)", "unset_field": "-"}
    first = None
    rows, rejects, skipped = [], [], {}
    record = offset = 0
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    for number, raw in enumerate(lines, 1):
        content = raw.removesuffix(b"\r").removeprefix(BYTE_ORDER_MARK)
        if len(raw) <= max_record and not content:
            skipped["blank"] = skipped.get("blank", 0) + 1
        elif len(raw) <= max_record and content.startswith(b"#"):
            skipped["header"] = skipped.get("header", 0) + 1
            _take_directive(said, content.decode("utf-8", "replace"))
        else:
            if first is None:
                first = dict(said)
            if len(raw) > max_record or not _is_usable(said):
                rejects.append((record, number, offset))
            elif said.get("path") != first.get("path"):
                reason = f"event type {said.get('path') or 'unknown'}"
                skipped[reason] = skipped.get(reason, 0) + 1
            else:
                values = _values(content, said, first)
                if values is None:
                    rejects.append((record, number, offset))
                else:
                    rows.append((record, *values))
            record += 1
        offset += len(raw) + 1
    return rows, rejects, skipped


def _take_directive(said, line):
    for name in DIRECTIVES:
        if line.startswith("#" + name):
            rest = line[len(name) + 1 :]
            if name == "separator":
                said[name] = _plain(rest.strip(" "))
                return
            value = rest.removeprefix(said["separator"])
            if name in ("fields", "types"):
                value = [
                    _plain(part.strip()) for part in value.replace("   ", said["separator"]).split(said["separator"])
                ]
            elif name == "path":
                value = _plain(value.strip())
            said[name] = value[:1] if name == "set_separator" else value
            return


def _plain(text):
    return re.sub(r"\\x([0-9a-fA-F]{2})", lambda match: chr(int(match[1], 16)), text)


def _is_usable(said):
    fields = said["fields"]
    return all(fields) and len(set(fields)) == len(fields) and len(said["separator"]) == 1


def _values(content, said, first):
    fields = said["fields"]
    cells = content.split(said["separator"].encode())
    if len(cells) != len(fields):
        return None
    found = {}
    for name, cell in zip(fields, cells, strict=True):
        if name in first["fields"]:
            value = zeek_value(cell, first["types"][first["fields"].index(name)], said)
            if isinstance(value, str) and value == "bad":
                return None
            found[name] = value
    return tuple(found.get(name) for name in first["fields"])


def zeek_value(cell, zeek_type, said=None):
    """Return what a cell (bytes) means: times in microseconds, None where it is unset, ``"bad"`` where it is wrong."""
    said = said or {"set_separator": ",", "empty_field": "(empty)", "unset_field": "-"}
    unset, empty = said["unset_field"].encode(), said["empty_field"].encode()
    if cell == unset:
        return None
    if zeek_type in KINDS or zeek_type == "bool" or zeek_type == "time":
        text = cell.decode("utf-8", "surrogateescape")
        if zeek_type == "time":
            return time_value(text)
        value = cell_value(text, KINDS.get(zeek_type, "boolean"))
        return "bad" if isinstance(value, str) else value
    if not re.fullmatch(r"(set|vector)\[.*\]", zeek_type):
        return "" if cell == empty else unescaped(cell)
    if cell == empty:
        return ""
    elements = []
    for element in cell.split(said["set_separator"].encode()) if said["set_separator"] else [cell]:
        if element == unset:
            elements.append("-")
        elif zeek_type in ("vector[interval]", "vector[double]"):
            value = cell_value(element.decode("utf-8", "surrogateescape"), "float")
            if not isinstance(value, float):
                return "bad"
            elements.append(value)
        else:
            elements.append("" if element == empty else unescaped(element))
    if "bad" in elements:
        return "bad"
    return elements if any(isinstance(element, float) for element in elements) else ",".join(elements)


def time_value(text):
    """Return seconds since 1970 as microseconds; None where it is missing, ``"bad"`` where it is no time."""
    match = re.fullmatch(r"(-?)([0-9]{1,12})(?:\.([0-9]{0,6}))?", text)
    if match:
        value = int(match[2] + (match[3] or "").ljust(6, "0"))
        return -value if match[1] else value
    seconds = cell_value(text, "float")
    if seconds is None or isinstance(seconds, str):
        return seconds and "bad"
    if not abs(seconds) < LATEST_SECONDS:
        return "bad"
    return int(Decimal(seconds * 1e6).to_integral_value(ROUND_HALF_UP))


def unescaped(cell):
    r"""Return a text without its \xNN; ``"bad"`` where it is no UTF-8.

    Each \xNN is a byte; of the bytes, those stay written as \xNN that are neither printable nor part of a UTF-8
    character.
    """
    parts = re.findall(rb"\\x[0-9a-fA-F]{2}|(?s:.)", cell)
    written = [(int(part[2:], 16), True) if len(part) == 4 else (part[0], False) for part in parts]
    text = ""
    at = 0
    while at < len(written):
        byte, escaped = written[at]
        if byte < 0x80:
            text += chr(byte) if byte in SHOWN or not escaped else f"\\x{byte:02x}"
            at += 1
            continue
        for length in (2, 3, 4):
            try:
                text += bytes(each for each, _ in written[at : at + length]).decode()
            except UnicodeDecodeError:
                continue
            at += length
            break
        else:
            if not escaped:
                return "bad"
            text += f"\\x{byte:02x}"
            at += 1
    return text


# writing, as Zeek does (src/threading/formatters/Ascii.cc and JSON.cc, src/Desc.cc, util::json_escape_utf8)


def tsv_cell(value, zeek_type, set_separator=","):
    """Return the text of a value: str or bytes, int, float, bool, a list of these, or None."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return set_separator.join(tsv_cell(each, "", set_separator) for each in value) if value else "(empty)"
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, float):
        return f"{value:.6f}"
    if isinstance(value, int):
        return str(value)
    if not value:
        return "(empty)"
    if value in (b"-", b"(empty)"):
        return f"\\x{value[0]:02x}" + value[1:].decode()
    odd = {0x5C, ord("\t"), ord(set_separator)}
    return "".join(chr(b) if 0x20 <= b < 0x7F and b not in odd else f"\\x{b:02x}" for b in value)


def json_line(values):
    """Return an object of the values that are set."""
    return json.dumps({name: _json(value) for name, value in values.items() if value is not None}, ensure_ascii=False)


def _json(value):
    if isinstance(value, list):
        return [_json(each) for each in value]
    return unescaped(b"".join(b"\\x%02x" % byte for byte in value)) if isinstance(value, bytes) else value


def shortest(numbers):
    """Return numbers as they stand in a frame: "60", "0.5", "1e+22"."""
    texts = []
    for number in numbers:
        digits = repr(number).removesuffix(".0")
        texts.append(digits if math.isfinite(number) else "?")
    return ",".join(texts)
