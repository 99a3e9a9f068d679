"""What a column of a record is, told by its name and its content: a number, a category, or no feature at all.

Rules are tried in the order of :func:`column_role`. Names are compared without case, blanks and punctuation
(``Src Port``, ``src_port`` and ``id.orig_p`` become ``srcport``, ``srcport`` and ``idorigp``).

- A column without a single value is ``empty``: nothing is known of what it may hold.
- Labels go by name.
- Addresses go by content (nearly all values parse as IPv4, IPv6 or MAC addresses), or by name where they are
  text or large integers.
- Timestamps: a date type, text that reads as a date or time, a number named like a time that is as large as an
  epoch or never goes back.
- Ports: the client's is chosen by its system and ignored, the service's is a category although it is an integer.
- Identifiers: named like one; integers that count rows; text that is different in nearly every row. TCP sequence
  numbers (``stcpb``, ``dtcpb`` in UNSW-NB15) are among them: their start is random by design (RFC 6528).
- Text is a category while its values repeat: not where they are long, or where half of them occur once, or
  where the vocabulary would leave a fifth of the rows unknown. Text whose values are all numbers is a number.
- Integers that number things without an order (protocols, autonomous systems, ICMP types and codes) go by name.
- All other numbers and booleans are numbers, constant ones too: a change in one is news.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Literal

import polars as pl

from netsieve.engine.features.schema import MISSING_TEXTS, ColumnKind

RoleKind = Literal["numeric", "categorical", "ignored"]

SAMPLE_ROWS: Final = 50_000
"""Rows, evenly spread over the frame, by whose content roles are told."""
PARSED_VALUES: Final = 200
"""Distinct values that are parsed to tell addresses and dates."""
NEARLY_ALL: Final = 0.9
FEWEST_ROWS_FOR_IDENTIFIER: Final = 50
"""With fewer rows than this, values that are all different prove little."""
LONGEST_CATEGORY: Final = 64
"""Mean characters of a category's values; longer ones are text."""
LARGEST_DISTINCT_SHARE: Final = 0.5
"""Text with a larger share of distinct values is no category."""
SMALLEST_COVERAGE: Final = 0.8
"""Share of rows that the vocabulary must know."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LABELS: Final = _words(
    "label labels class attackcat attack attacks attacktype attackcategory isanomaly anomaly isattack difficulty "
    "difficultylevel detailedlabel detailedlabels sus evil ismalicious malicious groundtruth attemptedcategory"
)
_CLIENT_PORTS: Final = _words("sourceport srcport sport idorigp origp clientport localport")
_SERVICE_PORTS: Final = _words(
    "destinationport destport dstport dport idrespp respp serverport serviceport remoteport port"
)
_IDENTIFIERS: Final = _words(
    "id uid guid uuid index rowid rowindex recordid flowid communityid sessionid connectionid connid transactionid "
    "txid eventuid pid ppid tid processid parentprocessid threadid stcpb dtcpb seq seqno sequencenumber tcpseq "
    "ipid icmpid nodename unnamed0"
)
_TIMES: Final = _words(
    "time date datetime starttime endtime stime ltime lasttime firstseen lastseen eventtime start end flowstart "
    "flowend begin"
)
_ALWAYS_TIMES: Final = _words("ts timestamp epoch epochtime unixtime utctime")
_ADDRESS: Final = re.compile(
    r"(src|source|dst|dest|destination|orig|resp|client|server|local|remote|host)?"
    r"(ip|ipv4|ipv6|ipaddr|ipaddress|addr|address|mac|macaddr|macaddress)|saddr|daddr|smac|dmac|idorigh|idresph|origh|resph"
)
_NUMBERED_THINGS: Final = _words(
    "proto protocol protocolnumber ipproto ipprotocol asn srcasn dstasn rasn vlan vlanid eventid userid "
    "icmptype icmpcode dnsqueryclass dnsquerytype dnsresponsecode dnsopcode qtype qclass rcode opcode statuscode "
    "httpstatus mountnamespace"
)
_DATE: Final = re.compile(
    r"\s*(\d{4}[-/]\d{1,2}[-/]\d{1,2}|\d{1,2}[-/]\d{1,2}[-/]\d{2,4})([T ]\s*\d{1,2}:\d{2}.*)?\s*"
    r"|\s*\d{1,2}:\d{2}:\d{2}(\.\d+)?\s*"
)
_MAC: Final = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")
_EPOCH_SECONDS: Final = (4e8, 4.2e9)
"""1982 to 2103."""
_EPOCH_UNITS: Final = (1.0, 1e3, 1e6, 1e9)


@dataclass(frozen=True, slots=True)
class ColumnRole:
    """What a column is: its kind, how it is read, and for an ignored one the reason."""

    kind: RoleKind
    column_kind: ColumnKind
    reason: str = ""


def column_role(column: pl.Series, *, vocabulary_limit: int, must_use: bool = False) -> ColumnRole:
    """Return what a column is.

    Parameters
    ----------
    column
        All values of the column.
    vocabulary_limit
        Values that a category may have.
    must_use
        Whether somebody asked for the column as a feature: it is then a number or a category, whatever else it
        looks like, unless it holds times or nothing that can be one.
    """
    kind = column_kind(column)
    sample = _sample(column).drop_nulls()
    if column.dtype.is_float():
        sample = sample.drop_nans()
    if not _is_readable(column.dtype):
        return ColumnRole("ignored", "string", "type")
    name = plain_name(column.name)
    numeric = kind in ("integer", "float")
    if name in _LABELS and not must_use:
        return ColumnRole("ignored", kind, "label")
    if not len(sample) and _is_empty(column):
        asked: RoleKind = "numeric" if numeric or kind == "boolean" else "categorical"
        return ColumnRole(asked, kind) if must_use and kind != "datetime" else ColumnRole("ignored", kind, "empty")
    if _is_time(name, sample, kind, must_use=must_use):
        return ColumnRole("ignored", kind, "timestamp")
    if not must_use:
        if _is_address(name, sample, kind):
            return ColumnRole("ignored", kind, "address")
        if name in _CLIENT_PORTS:
            return ColumnRole("ignored", kind, "port")
        if name in _IDENTIFIERS or (kind == "integer" and _counts_rows(name, sample)):
            return ColumnRole("ignored", kind, "identifier")
    if kind == "boolean":
        return ColumnRole("numeric", kind)
    if name in _SERVICE_PORTS or (numeric and name in _NUMBERED_THINGS):
        return ColumnRole("categorical", kind)
    if numeric:
        return ColumnRole("numeric", kind)
    if _holds_numbers(column):
        return ColumnRole("numeric", "float")
    reason = "" if must_use else _no_category(sample.cast(pl.String), vocabulary_limit)
    return ColumnRole("ignored", kind, reason) if reason else ColumnRole("categorical", kind)


def plain_name(name: str) -> str:
    """Return a column name without case, blanks and punctuation."""
    return re.sub(r"[^0-9a-z]", "", name.casefold())


def column_kind(column: pl.Series) -> ColumnKind:
    """Return how the values of a column are read from text."""
    dtype = column.dtype
    if dtype.is_integer():
        return "integer"
    if dtype.is_float() or dtype.is_decimal():
        return "float"
    if dtype == pl.Boolean:
        return "boolean"
    if dtype in (pl.Date, pl.Datetime, pl.Time):
        return "datetime"
    return "string"


def _is_readable(dtype: pl.DataType) -> bool:
    text = dtype in (pl.String, pl.Categorical, pl.Enum)
    return text or dtype.is_numeric() or dtype in (pl.Boolean, pl.Null, pl.Date, pl.Datetime, pl.Time)


def _share(flags: pl.Series) -> float:
    """Return the share of true values."""
    return float(flags.sum()) / max(len(flags), 1)


def _sample(column: pl.Series) -> pl.Series:
    step = max(1, len(column) // SAMPLE_ROWS)
    return column.gather_every(step) if step > 1 else column


def _is_empty(column: pl.Series) -> bool:
    values = column.drop_nulls()
    return not len(values.drop_nans() if column.dtype.is_float() else values)


def _distinct_text(sample: pl.Series) -> list[str]:
    values = sample.cast(pl.String).unique(maintain_order=True)
    step = max(1, len(values) // PARSED_VALUES)
    return [str(value) for value in values.gather_every(step)]


def _is_address(name: str, sample: pl.Series, kind: ColumnKind) -> bool:
    named = _ADDRESS.fullmatch(name) is not None
    if kind == "integer":
        # an IPv4 address as an integer is large; a small number of that name is an index, and tells something
        return named and _share(sample.cast(pl.Float64) > 2.0**24) > 0.5
    if kind != "string":
        return False
    if named:
        return True
    values = [value for value in _distinct_text(sample) if value]
    return bool(values) and sum(map(_parses_as_address, values)) >= NEARLY_ALL * len(values)


def _parses_as_address(value: str) -> bool:
    if _MAC.fullmatch(value):
        return True
    if not ("." in value or ":" in value):
        return False
    try:
        ip_address(value.strip().split("%")[0].split("/")[0])
    except ValueError:
        return False
    return True


def _is_time(name: str, sample: pl.Series, kind: ColumnKind, *, must_use: bool) -> bool:
    if kind == "datetime":
        return True
    if kind == "string":
        values = [value for value in _distinct_text(sample) if value]
        return bool(values) and sum(_DATE.fullmatch(value) is not None for value in values) >= NEARLY_ALL * len(values)
    if kind == "boolean" or name not in _TIMES | _ALWAYS_TIMES:
        return False
    times = sample.cast(pl.Float64)
    low, high = _EPOCH_SECONDS
    if any(_share(times.is_between(low * unit, high * unit)) >= NEARLY_ALL for unit in _EPOCH_UNITS):
        return True
    never_goes_back = times.n_unique() > 0.5 * len(times) and times.is_sorted()
    return not must_use and (name in _ALWAYS_TIMES or never_goes_back)


def _counts_rows(name: str, sample: pl.Series) -> bool:
    """Return whether integers named like an identifier are different in every row."""
    return (name.endswith("id") or name.startswith("unnamed")) and sample.n_unique() == len(sample) > 1


def _holds_numbers(column: pl.Series) -> bool:
    """Return whether all values of a text column are numbers, as the encoder reads them."""
    text = column.cast(pl.String).str.strip_chars()
    text = text.filter(~text.str.to_lowercase().is_in(sorted(MISSING_TEXTS)))
    numbers = text.cast(pl.Float64, strict=False)
    failed = text.filter(numbers.is_null()).unique()
    return len(text) > 0 and len(failed) < 100 and all(map(_is_number, failed))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _no_category(sample: pl.Series, vocabulary_limit: int) -> str:
    """Return why text is no category: ``"identifier"`` or ``"text"``, and "" where it is one."""
    counts = sample.alias("value").value_counts(sort=True, name="rows")["rows"]
    rows, distinct = len(sample), len(counts)
    if sample.str.len_chars().sum() > LONGEST_CATEGORY * rows:
        return "text"
    if rows >= FEWEST_ROWS_FOR_IDENTIFIER and distinct > LARGEST_DISTINCT_SHARE * rows:
        has_blanks = sample.str.contains(r"\s").any()
        return "identifier" if distinct > NEARLY_ALL * rows and not has_blanks else "text"
    if counts.head(vocabulary_limit).sum() < SMALLEST_COVERAGE * rows:
        return "text"
    return ""
