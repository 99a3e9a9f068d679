"""Slow, obvious readers of flow exports and traces: one record at a time, by the standard library."""

import csv
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise

MISSING = {"", "-", "?", "na", "n/a", "nan", "+nan", "-nan", "null", "none"}


def records(text: str, delimiter: str) -> Iterator[dict[str, str]]:
    """Yield the rows of delimited text by column name, repeated headers left out."""
    rows = csv.reader(text.splitlines(), delimiter=delimiter)
    header = next(rows)
    for row in rows:
        if row and row != header:
            yield dict(zip((name.strip() for name in header), row, strict=True))


def time_of(text: str, form: str) -> datetime:
    """Return a time in UTC by a ``strptime`` format of the standard library."""
    return datetime.strptime(text, form).replace(tzinfo=UTC)


def port(text: str) -> int | None:
    """Return a port: decimal, 0x and hexadecimal digits, or ICMP type and code."""
    if text.strip().lower() in MISSING:
        return None
    if text.startswith("0x"):
        return int(text, 16)
    if "." in text:
        kind, code = text.split(".")
        return 256 * int(kind) + int(code)
    return int(text)


def number(text: str) -> float | None:
    """Return a number, None where it is missing."""
    return None if text.strip().lower() in MISSING else float(text)


def argus_flow(row: Mapping[str, str]) -> dict[str, object]:
    """Return what a line of Argus says."""
    start = time_of(row["StartTime"], "%Y/%m/%d %H:%M:%S.%f")
    duration = float(row["Dur"])
    return {
        "StartTime": start,
        "Dur": duration,
        "Proto": row["Proto"] or None,
        "Sport": port(row["Sport"]),
        "Dport": port(row["Dport"]),
        "Dir": row["Dir"].strip() or None,
        "TotBytes": int(row["TotBytes"]),
        "end": (start - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1) + duration,
    }


def beth_features(row: Mapping[str, str]) -> dict[str, object]:
    """Return the BETH paper's encodings of a process call."""
    value = int(row["returnValue"])
    encoded: dict[str, object] = {
        "processIsSystem": int(row["processId"]) in (0, 1, 2),
        "parentProcessIsSystem": int(row["parentProcessId"]) in (0, 1, 2),
        "userIsSystem": int(row["userId"]) < 1000,
        "returnValueSign": (value > 0) - (value < 0),
    }
    if "mountNamespace" in row:
        encoded["mountNamespaceIsHost"] = int(row["mountNamespace"]) == 4026531840
    return encoded


def trace_features(calls: Iterable[int]) -> dict[str, float]:
    """Return length and variety of a trace of system calls."""
    calls = list(calls)
    counts = Counter(calls)
    return {
        "calls": len(calls),
        "distinct_calls": len(counts),
        "distinct_pairs": len(set(pairwise(calls))),
        "distinct_triples": len(set(zip(calls, calls[1:], calls[2:], strict=False))),
        "call_entropy": -sum(n / len(calls) * math.log2(n / len(calls)) for n in counts.values()),
    }
