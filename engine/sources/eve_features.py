"""Columns that are computed from single Suricata events, and which columns of each event type are features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import polars as pl

from netsieve.engine.sources.eve_dns import QUERIES, QUERY_COUNT
from netsieve.kernels import _native

DIRECTION: Final = "network_direction"
"""Text column: outbound, inbound, internal or external (:mod:`netsieve.engine.sources.direction`)."""
DIRECTION_INPUTS: Final = ("src_ip", "dest_ip")


class Derived(NamedTuple):
    """A computed column.

    Attributes
    ----------
    inputs
        The columns it is computed from.
    compute
        How: an expression, or a kernel over the native columns, which takes less than a tenth of the time on blocks.
    """

    inputs: tuple[str, ...]
    compute: pl.Expr | Callable[..., _native.Column]


def _hour_of_day(time: str) -> Derived:
    return Derived((time,), _native.hour_of_day)


def _duration(start: str, end: str) -> Derived:
    return Derived((start, end), _native.elapsed_seconds)


def _share(part: str, rest: str) -> Derived:
    return Derived((part, rest), _native.share)


def _mean(total: str, count: str) -> Derived:
    return Derived((total, count), _native.mean)


def _characters(column: str) -> Derived:
    return Derived((column,), pl.col(column).str.len_chars().cast(pl.Int64))


def _occurrences(column: str, text: str, *, literal: bool = True) -> Derived:
    return Derived((column,), pl.col(column).str.count_matches(text, literal=literal).cast(pl.Int64))


def _labels(name: str) -> Derived:
    dots = pl.col(name).str.strip_chars_end(".").str.count_matches(".", literal=True)
    return Derived((name,), dots.cast(pl.Int64) + 1)


def _days(start: str, end: str) -> Derived:
    return Derived((start, end), (pl.col(end) - pl.col(start)).dt.total_days())


_OTHER: Final = {"hour_of_day": _hour_of_day("timestamp")}

DERIVED: Final[dict[str, dict[str, Derived]]] = {
    "flow": {
        "duration_seconds": _duration("flow.start", "flow.end"),
        "packets_toserver_share": _share("flow.pkts_toserver", "flow.pkts_toclient"),
        "bytes_toserver_share": _share("flow.bytes_toserver", "flow.bytes_toclient"),
        "mean_packet_bytes_toserver": _mean("flow.bytes_toserver", "flow.pkts_toserver"),
        "mean_packet_bytes_toclient": _mean("flow.bytes_toclient", "flow.pkts_toclient"),
        "hour_of_day": _hour_of_day("flow.start"),
    },
    "netflow": {
        "duration_seconds": _duration("netflow.start", "netflow.end"),
        "mean_packet_bytes": _mean("netflow.bytes", "netflow.pkts"),
        "hour_of_day": _hour_of_day("netflow.start"),
    },
    "dns": {
        "dns_name_length": _characters("dns.rrname"),
        "dns_name_labels": _labels("dns.rrname"),
        "dns_name_digits": _occurrences("dns.rrname", "[0-9]", literal=False),
        "dns_answer_count": _occurrences("dns.answers", '"rdata":'),
        "dns_query_count": Derived(("dns.rrname", QUERIES), QUERY_COUNT),
    }
    | _OTHER,
    "http": {
        "http_host_length": _characters("http.hostname"),
        "http_url_length": _characters("http.url"),
        "http_user_agent_length": _characters("http.http_user_agent"),
    }
    | _OTHER,
    "tls": {
        "tls_sni_length": _characters("tls.sni"),
        "tls_certificate_days": _days("tls.notbefore", "tls.notafter"),
    }
    | _OTHER,
}
"""By event type, behind the file's own columns; ``network_direction`` follows them. Hours are those of UTC. A share or
mean of nothing is missing."""


def derived_columns(event_type: str) -> dict[str, Derived]:
    """Return the computed columns of an event type, without :data:`DIRECTION`, which every type has."""
    return DERIVED.get(event_type, _OTHER)


def _ready(features: tuple[str, ...], columns: dict[str, dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"features": [*features, "hour_of_day", DIRECTION], "columns": columns or {}}


_CATEGORY: Final = {"kind": "categorical"}

READY_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "suricata.flow": _ready(
        (
            "proto",
            "app_proto",
            "dest_port",
            "icmp_type",
            "icmp_code",
            "flow.pkts_toserver",
            "flow.pkts_toclient",
            "flow.bytes_toserver",
            "flow.bytes_toclient",
            "flow.state",
            "tcp.tcp_flags_ts",
            "tcp.tcp_flags_tc",
            "tcp.state",
            "duration_seconds",
            "packets_toserver_share",
            "bytes_toserver_share",
            "mean_packet_bytes_toserver",
            "mean_packet_bytes_toclient",
        ),
        {"dest_port": _CATEGORY, "icmp_type": _CATEGORY, "icmp_code": _CATEGORY},
    ),
    "suricata.netflow": _ready(
        (
            "proto",
            "app_proto",
            "dest_port",
            "netflow.pkts",
            "netflow.bytes",
            "netflow.min_ttl",
            "netflow.max_ttl",
            "tcp.tcp_flags",
            "duration_seconds",
            "mean_packet_bytes",
        ),
        {"dest_port": _CATEGORY},
    ),
    "suricata.dns": _ready(
        (
            "proto",
            "dest_port",
            "dns.type",
            "dns.rrtype",
            "dns.rcode",
            "dns.aa",
            "dns.tc",
            "dns.rd",
            "dns.ra",
            "dns_name_length",
            "dns_name_labels",
            "dns_name_digits",
            "dns_answer_count",
        ),
        {"dest_port": _CATEGORY},
    ),
    "suricata.http": _ready(
        (
            "dest_port",
            "http.http_method",
            "http.protocol",
            "http.status",
            "http.http_content_type",
            "http.length",
            "http_host_length",
            "http_url_length",
            "http_user_agent_length",
        ),
        {"dest_port": _CATEGORY, "http.status": _CATEGORY},
    ),
    "suricata.tls": _ready(
        ("dest_port", "tls.version", "tls.session_resumed", "tls_sni_length", "tls_certificate_days"),
        {"dest_port": _CATEGORY},
    ),
}
"""Feature schemas by record type, in the form of :mod:`netsieve.engine.features.schema_file`. They name only columns
that every file is read for and computed ones, so that no file lacks one. All others are no features:
addresses, identifiers and client ports, ``flow.alerted``, which is what other rules thought of the flow, and
``flow.reason``, which is about the sensor."""
