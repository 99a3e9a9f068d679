"""Slow, obvious twins of the kernels. Tests compare each kernel with its twin."""

import math
import re

import numpy as np

# thresholds and the quantile sketch


def sketch_bucket_bounds(value):
    """Return the bounds of the numbers that share a float's sign, exponent and first nine bits of its fraction."""
    if value < 0:
        low, high = sketch_bucket_bounds(-value)
        return -high, -low
    exponent = -126
    while exponent < 127 and 2.0 ** (exponent + 1) <= value:
        exponent += 1
    width = 2.0**exponent / 512
    steps = int(value / width)
    return steps * width, (steps + 1) * width


def order_statistic(values, position):
    """Return the value at a 0-based position of the ascending order, interpolated between whole positions."""
    ordered = sorted(float(value) for value in values)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def largest(values, count):
    """Return the largest values, descending."""
    return sorted((float(value) for value in values), reverse=True)[:count]


def mean_and_deviation(values):
    """Return mean and deviation by exactly rounded sums."""
    values = [float(value) for value in values]
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


def rate_threshold(values, rate):
    """Return the lowest score that at most a share `rate` of further exchangeable scores is expected to exceed."""
    descending = largest(values, len(values))
    for rank in range(len(values), 0, -1):
        if rank / (len(values) + 1) <= rate + 1e-12:
            return descending[rank - 1]
    return None


# records and cells of delimited text

MISSING_TOKENS = {"", "-", "?", "na", "n/a", "nan", "+nan", "-nan", "null", "none"}
INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)
NUMBER = re.compile(r"[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)


def delimited_records(text, delimiter=b",", header=b"", max_record=10**9):
    """Return (kind, start, end, next) of each record of a whole text, one byte at a time.

    Kinds are record, blank, header, misquoted and overlong; the last two end with their first line.
    """
    records = []
    start = 0
    while start < len(text):
        kind, end, following = _delimited_record(text, start, delimiter, max_record)
        if kind == "record" and end == start:
            kind = "blank"
        elif kind == "record" and header and text[start:end].removeprefix(b"\xef\xbb\xbf") == header:
            kind = "header"
        records.append((kind, start, end, following))
        start = following
    return records


def _delimited_record(text, start, delimiter, max_record):
    state = "field begins"
    at = start
    while at < len(text):
        byte = text[at : at + 1]
        structural = byte == b'"' if state == "quoted" else byte in (delimiter, b"\n")
        if (structural or (state == "quote seen" and byte != b'"')) and at - start > max_record:
            return _first_line(text, start, max_record)
        if state == "quoted":
            if byte == b'"':
                state = "quote seen"
        elif state == "quote seen" and byte == b'"':
            state = "quoted"
        elif state == "quote seen" and byte == b"\r" and text[at + 1 : at + 2] in (b"\n", b""):
            return "record", at, min(at + 2, len(text))
        elif byte == b"\n":
            end = at - 1 if at > start and text[at - 1 : at] == b"\r" else at
            return "record", end, at + 1
        elif byte == delimiter:
            state = "field begins"
        elif state == "quote seen":
            return _first_line(text, start, max_record)
        elif state == "field begins" and byte == b'"':
            state = "quoted"
        else:
            state = "plain"
        at += 1
    if at - start > max_record or state == "quoted":
        return _first_line(text, start, max_record)
    if state == "quote seen":
        return "record", at, at
    return "record", at - 1 if text[at - 1 : at] == b"\r" else at, at


def _first_line(text, start, max_record):
    newline = text.find(b"\n", start)
    end, following = (len(text), len(text)) if newline < 0 else (newline, newline + 1)
    kind = "overlong" if end - start > max_record else "misquoted"
    if end > start and text[end - 1 : end] == b"\r":
        end -= 1
    return kind, end, following


def delimited_fields(record, delimiter=b","):
    """Return the fields of one sound record, without quotes."""
    fields = []
    rest = record
    while True:
        if rest.startswith(b'"'):
            field, rest = b"", rest[1:]
            while True:
                inside, _, rest = rest.partition(b'"')
                field += inside
                if not rest.startswith(b'"'):
                    break
                field, rest = field + b'"', rest[1:]
            more = rest.startswith(delimiter)
            rest = rest[1:]
        else:
            field, more, rest = rest.partition(delimiter)
        fields.append(field)
        if not more:
            return fields


def cell_value(text, kind):
    """Return the value of a cell's text: None where it is missing, ``"bad"`` where it is not of the kind."""
    if kind == "string":
        return text or None
    text = text.strip(" \t")
    if text.lower() in MISSING_TOKENS:
        return None
    if kind == "boolean":
        words = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
        return words.get(text.lower(), "bad")
    if not NUMBER.fullmatch(text):
        return "bad"
    if kind == "float":
        return float(text)
    if INTEGER.fullmatch(text):
        whole = int(text)
    elif math.isfinite(float(text)) and float(text).is_integer() and abs(float(text)) <= 2**53:
        whole = int(float(text))
    else:
        return "bad"
    return whole if -(2**63) <= whole < 2**63 else "bad"


def prepared_number(value, feature, limit):
    """Return a number as the autoencoder gets it: ``soft_clip((signed_log?(x) - center) / scale)``."""
    if math.isnan(value):
        return feature.fill
    if feature.signed_log:
        value = math.copysign(math.log1p(abs(value)), value)
    z = (value - feature.center) / feature.scale
    if abs(z) <= limit:
        return z
    return math.copysign(limit + math.log1p(min(abs(z) - limit, 1e30)), z)


def prepared_category(code, feature, limit):
    """Return a category as the autoencoder gets it: rarity, then missing, unknown, the frequent values and other."""
    if math.isnan(code):
        code = 0
    if code not in range(2 + len(feature.vocabulary)):
        code = 1
    counts = [feature.missing_count, 0, *feature.counts]
    rarity = -math.log((counts[int(code)] + 1) / (feature.rows + len(feature.vocabulary) + 1))
    z = (rarity - feature.rarity_center) / feature.rarity_scale
    if abs(z) > limit:
        z = math.copysign(limit + math.log1p(abs(z) - limit), z)
    shown = min(feature.one_hot, len(feature.vocabulary))
    columns = [0.0] * (2 + shown + (len(feature.vocabulary) > shown))
    columns[min(int(code), len(columns) - 1)] = 1.0
    return [z, *columns]


def top_features(errors, means, deviations, count):
    """Return each row's features with the largest z and these, largest first; of equal ones the first feature."""
    smallest = sum(deviations) / len(deviations) or sum(abs(mean) for mean in means) / len(means) or 1.0
    rows = []
    for row in errors:
        z = []
        for error, mean, deviation in zip(row, means, deviations, strict=True):
            exact = (float(error) - mean) / max(deviation, smallest)
            z.append(float(np.float32(min(max(exact, -3e38), 3e38))))
        order = sorted(range(len(z)), key=lambda position: (-z[position], position))[:count]
        rows.append([(position, z[position]) for position in order])
    return rows


def shown_value(value):
    """Return a value as text, whole numbers without a fraction; None where it is missing."""
    if value is None or value != value:
        return None
    return str(int(value)) if isinstance(value, float) and value == int(value) else str(value)
