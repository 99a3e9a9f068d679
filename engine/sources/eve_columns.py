"""Columns of Suricata's events (EVE): what every file is read for, whether it has it or not.

The names are the members of an event with dots between them, as Suricata's manual calls them. Times are read as such.
The kinds do not depend on the file. Members of a file's first events that are not listed follow behind these.
"""

from __future__ import annotations

from typing import Final, Literal

Kind = Literal["integer", "float", "boolean", "string", "time"]

EVENT: Final[dict[str, Kind]] = {
    "timestamp": "time",
    "flow_id": "integer",
    "in_iface": "string",
    "event_type": "string",
    "src_ip": "string",
    "src_port": "integer",
    "dest_ip": "string",
    "dest_port": "integer",
    "proto": "string",
    "icmp_type": "integer",
    "icmp_code": "integer",
    "app_proto": "string",
    "vlan": "string",
    "community_id": "string",
    "host": "string",
}
"""Of every event."""

FLOW_SECTION: Final[dict[str, Kind]] = {
    "flow.pkts_toserver": "integer",
    "flow.pkts_toclient": "integer",
    "flow.bytes_toserver": "integer",
    "flow.bytes_toclient": "integer",
    "flow.start": "time",
}

SECTIONS: Final[dict[str, dict[str, Kind]]] = {
    "flow": {
        **FLOW_SECTION,
        "flow.end": "time",
        "flow.age": "integer",
        "flow.state": "string",
        "flow.reason": "string",
        "flow.alerted": "boolean",
        "tcp.tcp_flags": "string",
        "tcp.tcp_flags_ts": "string",
        "tcp.tcp_flags_tc": "string",
        "tcp.syn": "boolean",
        "tcp.fin": "boolean",
        "tcp.rst": "boolean",
        "tcp.psh": "boolean",
        "tcp.ack": "boolean",
        "tcp.urg": "boolean",
        "tcp.ecn": "boolean",
        "tcp.cwr": "boolean",
        "tcp.state": "string",
    },
    "netflow": {
        "netflow.pkts": "integer",
        "netflow.bytes": "integer",
        "netflow.start": "time",
        "netflow.end": "time",
        "netflow.age": "integer",
        "netflow.min_ttl": "integer",
        "netflow.max_ttl": "integer",
        "tcp.tcp_flags": "string",
    },
    "alert": {
        **FLOW_SECTION,
        "alert.action": "string",
        "alert.gid": "integer",
        "alert.signature_id": "integer",
        "alert.rev": "integer",
        "alert.signature": "string",
        "alert.category": "string",
        "alert.severity": "integer",
        "tx_id": "integer",
    },
    "dns": {
        "dns.type": "string",
        "dns.id": "integer",
        "dns.tx_id": "integer",
        "dns.flags": "string",
        "dns.qr": "boolean",
        "dns.aa": "boolean",
        "dns.tc": "boolean",
        "dns.rd": "boolean",
        "dns.ra": "boolean",
        "dns.rrname": "string",
        "dns.rrtype": "string",
        "dns.rcode": "string",
        "dns.ttl": "integer",
        "dns.rdata": "string",
        "dns.answers": "string",
        "dns.queries": "string",
    },
    "http": {
        "http.hostname": "string",
        "http.http_port": "integer",
        "http.url": "string",
        "http.http_user_agent": "string",
        "http.http_content_type": "string",
        "http.http_refer": "string",
        "http.http_method": "string",
        "http.protocol": "string",
        "http.status": "integer",
        "http.redirect": "string",
        "http.length": "integer",
        "tx_id": "integer",
    },
    "tls": {
        "tls.sni": "string",
        "tls.version": "string",
        "tls.subject": "string",
        "tls.issuerdn": "string",
        "tls.serial": "string",
        "tls.fingerprint": "string",
        "tls.notbefore": "time",
        "tls.notafter": "time",
        "tls.session_resumed": "boolean",
        "tls.ja3.hash": "string",
        "tls.ja3s.hash": "string",
        "tls.ja4": "string",
    },
    "fileinfo": {
        "fileinfo.filename": "string",
        "fileinfo.magic": "string",
        "fileinfo.gaps": "boolean",
        "fileinfo.state": "string",
        "fileinfo.md5": "string",
        "fileinfo.sha1": "string",
        "fileinfo.sha256": "string",
        "fileinfo.stored": "boolean",
        "fileinfo.size": "integer",
        "fileinfo.tx_id": "integer",
        "http.hostname": "string",
        "http.url": "string",
        "http.http_content_type": "string",
        "http.http_method": "string",
        "http.status": "integer",
        "http.length": "integer",
    },
    "anomaly": {
        "anomaly.type": "string",
        "anomaly.event": "string",
        "anomaly.layer": "string",
        "anomaly.app_proto": "string",
    },
    "stats": {"stats.uptime": "integer"},
}
"""By event type. ``flow.start`` and the like are in UTC."""

END_TIMES: Final[dict[str, str]] = {"flow": "flow.end", "netflow": "netflow.end"}
"""Column that says when a record ended; where it is missing, and of other events, that is their ``timestamp``."""


def event_columns(event_type: str) -> dict[str, Kind]:
    """Return the columns that every file is read for, of an event type; of one not listed those of every event."""
    return EVENT | SECTIONS.get(event_type, {})
