"""Columns that are computed from a log's own, record by record, and which of all of them are features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

DIRECTION: Final = "network_direction"
"""Text column: outbound, inbound, internal or external (:mod:`netsieve.engine.sources.direction`)."""
DIRECTION_INPUTS: Final = {"id.orig_h": "local_orig", "id.resp_h": "local_resp"}
"""The ends of a connection, and the fields in which Zeek itself says whether they are inside, where a log has them."""

MICROSECONDS_PER_HOUR: Final = 3_600_000_000
MICROSECONDS_PER_DAY: Final = 24 * MICROSECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class DerivedColumn:
    """A derived column.

    Attributes
    ----------
    inputs
        Fields that it is computed from; without all of them there is no such column.
    expression
        Over the fields' values; None for :data:`DIRECTION`, which is no expression.
    """

    inputs: frozenset[str]
    expression: pl.Expr | None

    def fits(self, types: Mapping[str, pl.DataType]) -> bool:
        """Whether the column can be computed from fields of these types; a log may have them as it likes."""
        if self.expression is None:
            return all(types[name] == pl.String for name in self.inputs)
        if "ts" in self.inputs and not isinstance(types["ts"], pl.Datetime):
            return False
        try:
            pl.DataFrame(schema={name: types[name] for name in self.inputs}).select(self.expression)
        except pl.exceptions.PolarsError:
            return False
        return True


def derived_columns(path: str | None) -> dict[str, DerivedColumn]:
    """Return the derived columns of a log by name; a field of the file that has such a name is read in its place.

    - Of every log: ``hour_of_day`` (of ``ts``, UTC) and :data:`DIRECTION`. What is inside is told by the home networks
      where they are given, otherwise by Zeek's own ``local_orig`` and ``local_resp``, and where these are missing by
      the private networks.
    - ``conn``: ``orig_bytes_share`` and ``orig_packets_share``, what the originator sent of the payload bytes and of
      the packets of both ways (0 to 1, missing where there were none); ``mean_packet_bytes_orig`` and
      ``mean_packet_bytes_resp``, bytes of a packet with its headers (missing without packets).
    - ``dns``: ``dns_name_length``, ``dns_name_labels``, ``dns_name_digits`` of the query, ``dns_answer_count``.
    - ``http``: ``http_host_length``, ``http_uri_length``, ``http_user_agent_length`` in characters.
    - ``ssl``: ``ssl_server_name_length``.
    """
    columns = dict(_OF_LOGS.get(path or "", {}))
    # of the microseconds, which is several times as fast as taking the date apart
    columns["hour_of_day"] = _derived(pl.col("ts").to_physical() % MICROSECONDS_PER_DAY // MICROSECONDS_PER_HOUR)
    columns[DIRECTION] = DerivedColumn(frozenset(DIRECTION_INPUTS), None)
    return columns


def _derived(expression: pl.Expr) -> DerivedColumn:
    return DerivedColumn(frozenset(expression.meta.root_names()), expression)


def _share(part: str, rest: str) -> DerivedColumn:
    total = pl.col(part).cast(pl.Float64) + pl.col(rest).cast(pl.Float64)
    return _derived(pl.when(total > 0).then(pl.col(part) / total))


def _mean(total: str, count: str) -> DerivedColumn:
    return _derived(pl.when(pl.col(count) > 0).then(pl.col(total) / pl.col(count)))


def _characters(name: str) -> DerivedColumn:
    return _derived(pl.col(name).str.len_chars().cast(pl.Int64))


def _count(name: str, pattern: str, *, literal: bool) -> pl.Expr:
    return pl.col(name).str.count_matches(pattern, literal=literal).cast(pl.Int64)


_ANSWERS: Final = pl.when(pl.col("answers") != "").then(_count("answers", ",", literal=True) + 1).otherwise(0)
_LABELS: Final = pl.col("query").str.strip_chars_end(".").str.count_matches(".", literal=True).cast(pl.Int64) + 1

_OF_LOGS: Final[Mapping[str, Mapping[str, DerivedColumn]]] = {
    "conn": {
        "orig_bytes_share": _share("orig_bytes", "resp_bytes"),
        "orig_packets_share": _share("orig_pkts", "resp_pkts"),
        "mean_packet_bytes_orig": _mean("orig_ip_bytes", "orig_pkts"),
        "mean_packet_bytes_resp": _mean("resp_ip_bytes", "resp_pkts"),
    },
    "dns": {
        "dns_name_length": _characters("query"),
        "dns_name_labels": _derived(_LABELS),
        "dns_name_digits": _derived(_count("query", "[0-9]", literal=False)),
        "dns_answer_count": _derived(_ANSWERS),
    },
    "http": {
        "http_host_length": _characters("host"),
        "http_uri_length": _characters("uri"),
        "http_user_agent_length": _characters("user_agent"),
    },
    "ssl": {"ssl_server_name_length": _characters("server_name")},
}


def _ready(numbers: str, categories: str) -> dict[str, Any]:
    """Return the declaration of a log whose features are these columns, and the derived ones of every log."""
    categorical = [*categories.split(), DIRECTION]
    return {
        "features": [*numbers.split(), "hour_of_day", *categorical],
        "columns": {name: {"kind": "categorical"} for name in categorical},
    }


READY_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "zeek.conn": _ready(
        "duration orig_bytes resp_bytes missed_bytes orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes orig_bytes_share"
        " orig_packets_share mean_packet_bytes_orig mean_packet_bytes_resp",
        "id.resp_p proto service conn_state history",
    ),
    "zeek.dns": _ready(
        "rtt dns_name_length dns_name_labels dns_name_digits dns_answer_count AA TC RD RA Z rejected",
        "id.resp_p proto qclass qtype rcode",
    ),
    "zeek.http": _ready(
        "trans_depth request_body_len response_body_len http_host_length http_uri_length http_user_agent_length",
        "id.resp_p method version status_code resp_mime_types",
    ),
    "zeek.ssl": _ready(
        "resumed established ssl_server_name_length",
        "id.resp_p version cipher curve next_protocol validation_status",
    ),
}
"""Feature schemas by record type, in the form of :mod:`netsieve.engine.features.schema_file`. What is not named there
is no feature. Addresses, client ports, identifiers, times and names are not; nor are ``local_orig`` and ``local_resp``,
since ``network_direction`` says the same. A log that was written with fewer fields lacks some of these columns; what is
declared of a column that a file lacks is meant to be left out.
"""
