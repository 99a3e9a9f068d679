"""Zeek's own field types, and the fields of its standard logs, for files that do not name them (JSON, cut headers)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import PurePath
from typing import Final

_CONNECTION: Final = "ts:time uid:string id.orig_h:addr id.orig_p:port id.resp_h:addr id.resp_p:port"


def _fields(text: str) -> dict[str, str]:
    return dict(field.split(":") for field in text.split())


STANDARD_LOGS: Final[Mapping[str, Mapping[str, str]]] = {
    "conn": _fields(
        f"{_CONNECTION} proto:enum service:string duration:interval orig_bytes:count resp_bytes:count"
        " conn_state:string local_orig:bool local_resp:bool missed_bytes:count history:string orig_pkts:count"
        " orig_ip_bytes:count resp_pkts:count resp_ip_bytes:count tunnel_parents:set[string]"
    ),
    "dns": _fields(
        f"{_CONNECTION} proto:enum trans_id:count rtt:interval query:string qclass:count qclass_name:string"
        " qtype:count qtype_name:string rcode:count rcode_name:string AA:bool TC:bool RD:bool RA:bool Z:count"
        " answers:vector[string] TTLs:vector[interval] rejected:bool"
    ),
    "http": _fields(
        f"{_CONNECTION} trans_depth:count method:string host:string uri:string referrer:string version:string"
        " user_agent:string origin:string request_body_len:count response_body_len:count status_code:count"
        " status_msg:string info_code:count info_msg:string tags:set[enum] username:string password:string"
        " proxied:set[string] orig_fuids:vector[string] orig_filenames:vector[string] orig_mime_types:vector[string]"
        " resp_fuids:vector[string] resp_filenames:vector[string] resp_mime_types:vector[string]"
    ),
    "ssl": _fields(
        f"{_CONNECTION} version:string cipher:string curve:string server_name:string resumed:bool last_alert:string"
        " next_protocol:string established:bool ssl_history:string cert_chain_fps:vector[string]"
        " client_cert_chain_fps:vector[string] sni_matches_cert:bool validation_status:string"
    ),
    "x509": _fields(
        "ts:time fingerprint:string certificate.version:count certificate.serial:string certificate.subject:string"
        " certificate.issuer:string certificate.not_valid_before:time certificate.not_valid_after:time"
        " certificate.key_alg:string certificate.sig_alg:string certificate.key_type:string"
        " certificate.key_length:count certificate.exponent:string certificate.curve:string"
        " san.dns:vector[string] san.uri:vector[string] san.email:vector[string] san.ip:vector[addr]"
        " basic_constraints.ca:bool basic_constraints.path_len:count host_cert:bool client_cert:bool"
    ),
    "files": _fields(
        "ts:time fuid:string uid:string id.orig_h:addr id.orig_p:port id.resp_h:addr id.resp_p:port source:string"
        " depth:count analyzers:set[string] mime_type:string filename:string duration:interval local_orig:bool"
        " is_orig:bool seen_bytes:count total_bytes:count missing_bytes:count overflow_bytes:count timedout:bool"
        " parent_fuid:string md5:string sha1:string sha256:string extracted:string extracted_cutoff:bool"
        " extracted_size:count"
    ),
    "notice": _fields(
        f"{_CONNECTION} fuid:string file_mime_type:string file_desc:string proto:enum note:enum msg:string sub:string"
        " src:addr dst:addr p:port n:count peer_descr:string actions:set[enum] email_dest:set[string]"
        " suppress_for:interval remote_location.country_code:string remote_location.region:string"
        " remote_location.city:string remote_location.latitude:double remote_location.longitude:double"
    ),
    "weird": _fields(f"{_CONNECTION} name:string addl:string notice:bool peer:string source:string"),
    "rdp": _fields(
        f"{_CONNECTION} cookie:string result:string security_protocol:string client_channels:vector[string]"
        " keyboard_layout:string client_build:string client_name:string client_dig_product_id:string"
        " desktop_width:count desktop_height:count requested_color_depth:string cert_type:string cert_count:count"
        " cert_permanent:bool encryption_level:string encryption_method:string"
    ),
    "ssh": _fields(
        f"{_CONNECTION} version:count auth_success:bool auth_attempts:count direction:enum client:string"
        " server:string cipher_alg:string mac_alg:string compression_alg:string kex_alg:string host_key_alg:string"
        " host_key:string"
    ),
    "dhcp": _fields(
        "ts:time uids:set[string] client_addr:addr server_addr:addr mac:string host_name:string client_fqdn:string"
        " domain:string requested_addr:addr assigned_addr:addr lease_time:interval client_message:string"
        " server_message:string msg_types:vector[string] duration:interval"
    ),
    "quic": _fields(
        f"{_CONNECTION} version:string client_initial_dcid:string client_scid:string server_scid:string"
        " server_name:string client_protocol:string history:string"
    ),
}
"""Types of the fields of Zeek's standard logs, by log, in the order in which Zeek 6 writes them."""

OTHER_FIELDS: Final[Mapping[str, str]] = _fields(
    "_node_name:string community_id:string orig_l2_addr:string resp_l2_addr:string vlan:int inner_vlan:int"
    " ip_proto:count cert_chain_fuids:vector[string] client_cert_chain_fuids:vector[string] subject:string"
    " issuer:string client_subject:string client_issuer:string ja3:string ja3s:string tx_hosts:set[addr]"
    " rx_hosts:set[addr] conn_uids:set[string] label:string detailed-label:string detailedlabel:string"
)
"""Types of fields that other versions of Zeek, and common packages, add to the standard logs."""

_MARKS: Final[Mapping[str, frozenset[str]]] = {
    "conn": frozenset({"conn_state"}),
    "dns": frozenset({"trans_id", "qtype_name", "rcode_name"}),
    "http": frozenset({"trans_depth", "status_code", "user_agent"}),
    "rdp": frozenset({"security_protocol", "cert_permanent"}),
    "ssl": frozenset({"resumed", "ssl_history", "cipher", "server_name"}),
    "x509": frozenset({"certificate.serial", "certificate.version"}),
    "files": frozenset({"fuid", "seen_bytes", "tx_hosts"}),
    "notice": frozenset({"note"}),
    "ssh": frozenset({"auth_attempts", "auth_success", "host_key"}),
    "weird": frozenset({"addl", "peer"}),
    "dhcp": frozenset({"msg_types", "assigned_addr"}),
}
"""Fields of which one tells a log; the order matters where logs share some."""

_NUMBERS: Final = frozenset({"interval", "double"})
_INTEGERS: Final = frozenset({"count", "int", "port"})

SKIPPED: Final = 0
INTEGER: Final = 1
NUMBER: Final = 2
BOOLEAN: Final = 3
TEXT: Final = 4
TIME: Final = 5
LIST: Final = 6
NUMBER_LIST: Final = 7
"""Codes of ``kernels._native.parse_zeek``."""


def field_code(zeek_type: str) -> int:
    """Return how a field of a Zeek type is read, as a code of ``kernels._native.parse_zeek``; unknown ones as text."""
    if zeek_type == "time":
        return TIME
    if zeek_type in _NUMBERS:
        return NUMBER
    if zeek_type in _INTEGERS:
        return INTEGER
    if zeek_type == "bool":
        return BOOLEAN
    container = re.fullmatch(r"(?:set|vector|table)\[(.*)\]", zeek_type)
    if container is None:
        return TEXT
    return NUMBER_LIST if container[1] in _NUMBERS or container[1] == "time" else LIST


def known_type(path: str | None, field: str) -> str | None:
    """Return the Zeek type that a field of a log usually has; None where that is not known."""
    types = STANDARD_LOGS.get(path or "", {})
    return (
        types.get(field)
        or OTHER_FIELDS.get(field)
        or next((log[field] for log in STANDARD_LOGS.values() if field in log), None)
    )


def log_of_name(name: str) -> str | None:
    """Return the standard log that a file's name speaks of, like ``"conn"`` for ``conn.00:00-01:00.log.gz``."""
    return next((word for word in _words(name) if word in STANDARD_LOGS), None)


def is_log_name(name: str) -> bool:
    """Whether a file is named like one of Zeek's standard logs."""
    words = _words(name)
    return "log" in words and "csv" not in words and not STANDARD_LOGS.keys().isdisjoint(words)


def log_of_fields(fields: Collection[str]) -> str | None:
    """Return the standard log that has such fields; None where they do not tell."""
    return next((path for path, marks in _MARKS.items() if not marks.isdisjoint(fields)), None)


def _words(name: str) -> list[str]:
    return re.split(r"[^a-z0-9]+", PurePath(name).name.lower())
