"""Slow, obvious twins of the readers of JSON text: orjson says of one line at a time whether it is JSON."""

import json
import re
from datetime import date

import orjson

from naive import MISSING_TOKENS, cell_value

BLANKS = b" \t\r\n"
TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:[Zz]|([+-])(\d\d)(?::?(\d\d))?)?", re.ASCII
)
EARLIEST, LATEST = -62135596800, 253402300799


class Number(str):
    """A number as the text it was written as."""


class Pairs(list):
    """The members of an object, in order."""


def json_line_spans(text, max_record=10**9):
    """Return (kind, start, end) of each line of a whole text; kinds are record, blank and overlong."""
    spans = []
    start = 0
    while start < len(text):
        newline = text.find(b"\n", start)
        following = len(text) if newline < 0 else newline + 1
        end = len(text) if newline < 0 else newline
        if text[start:end].endswith(b"\r"):
            end -= 1
        blank = not text[start:end].strip(BLANKS)
        kind = "overlong" if end - start > max_record else "blank" if blank else "record"
        spans.append((kind, start, end))
        start = following
    return spans


def json_record(line):
    """Return the members of a record; None where the line is no JSON object, or has a number beyond 64 bits."""
    line = line.removeprefix(b"\xef\xbb\xbf")
    try:
        orjson.loads(line)
        loaded = json_loaded(line)
    except (orjson.JSONDecodeError, ValueError):
        return None
    return loaded if isinstance(loaded, Pairs) else None


def json_loaded(text):
    """Return a JSON value with its numbers as they are written and its objects as pairs."""
    return json.loads(text, parse_int=_integer, parse_float=_float, object_pairs_hook=Pairs)


def _integer(text):
    if not -(2**63) <= int(text) < 2**64:
        raise ValueError
    return Number(text)


def _float(text):
    if float(text) in (float("inf"), -float("inf")):
        raise ValueError
    return Number(text)


def json_values(record, paths):
    """Return the values of the paths that a record has, by path."""
    values = {}
    _collect(record, "", paths, values, set())
    return values


def _collect(members, prefix, paths, values, seen):
    for key, value in members:
        name = prefix + key
        below = [path for path in paths if path.startswith(name + ".")]
        for path in below if name in seen else []:  # what an earlier member of the same name had
            values.pop(path, None)
        seen.add(name)
        if below and isinstance(value, Pairs):
            _collect(value, name + ".", paths, values, seen)
        if name in paths:
            values[name] = value


def json_cell(value, kind):
    """Return the value of a cell: None where it is missing, ``"bad"`` where it is not of the kind.

    Arrays and objects in a text column come back as they are loaded.
    """
    if value is None:
        return None
    if kind == "string" and isinstance(value, Pairs | list):
        return value
    if isinstance(value, Pairs | list):
        return "bad"
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else value
    if kind == "string":
        return str(text)
    if kind == "time":
        return _time(text)
    return cell_value(str(text), kind)


def _time(text):
    """Return a time as microseconds since 1970."""
    if isinstance(text, Number):
        seconds = float(text)
        return round(seconds * 1e6) if EARLIEST <= seconds <= LATEST else "bad"
    if text.lower() in MISSING_TOKENS:
        return None
    found = TIME.fullmatch(text)
    if not found:
        return "bad"
    year, month, day, hour, minute, second, places, sign, zone_hour, zone_minute = found.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        return "bad"
    if int(hour) > 23 or int(minute) > 59 or int(second) > 60:
        return "bad"
    if int(zone_hour or 0) > 23 or int(zone_minute or 0) > 59:
        return "bad"
    offset = (-1 if sign == "-" else 1) * (60 * int(zone_hour or 0) + int(zone_minute or 0))
    seconds = ((days * 24 + int(hour)) * 60 + int(minute) - offset) * 60 + int(second)
    return seconds * 10**6 + int(f"{places or '':0<6}"[:6])
