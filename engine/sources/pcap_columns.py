"""Columns of packets and of flows, CICFlowMeter's names for them, and what of them is a feature."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

import polars as pl

from netsieve.engine.sources.direction import HomeNetworks
from netsieve.kernels import _native

TEXT: Final = 4
"""Code of ``kernels._native``."""


class CaptureColumn(NamedTuple):
    """A column of packets or flows: its name, its kind in ``kernels._native``, whether it holds times."""

    name: str
    kind: int
    is_time: bool


PACKET_COLUMNS: Final = tuple(CaptureColumn(*column) for column in _native.packet_columns())
FLOW_COLUMNS: Final = tuple(CaptureColumn(*column) for column in _native.flow_columns())

DIRECTION: Final = "network_direction"
DERIVED_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "hour_of_day": ("start_time",),
    DIRECTION: ("source_address", "destination_address"),
}
"""What stands behind the columns of flows, and the columns that it is computed from. Hours are those of UTC."""

_SIDES: Final = (("Fwd", "forward"), ("Bwd", "backward"))
_STATISTICS: Final = (("Mean", "mean"), ("Std", "std"), ("Max", "max"), ("Min", "min"))


def _cicflowmeter_names() -> dict[str, str]:
    names = {
        "Src IP": "source_address",
        "Src Port": "source_port",
        "Dst IP": "destination_address",
        "Dst Port": "destination_port",
        "Protocol": "protocol_number",
        "Timestamp": "start_time",
        "Flow Duration": "duration",
        "Total Fwd Packet": "forward_packets",
        "Total Bwd packets": "backward_packets",
        "Total Length of Fwd Packet": "forward_payload_bytes",
        "Total Length of Bwd Packet": "backward_payload_bytes",
    }
    for side, plain in _SIDES:
        for title, statistic in (("Max", "max"), ("Min", "min"), ("Mean", "mean"), ("Std", "std")):
            names[f"{side} Packet Length {title}"] = f"{plain}_payload_length_{statistic}"
    names |= {"Flow Bytes/s": "payload_bytes_per_second", "Flow Packets/s": "packets_per_second"}
    names |= {f"Flow IAT {title}": f"inter_arrival_{statistic}" for title, statistic in _STATISTICS}
    for side, plain in _SIDES:
        for title, statistic in (("Total", "total"), *_STATISTICS):
            names[f"{side} IAT {title}"] = f"{plain}_inter_arrival_{statistic}"
    for flag in ("PSH", "URG"):
        names |= {f"{side} {flag} Flags": f"{plain}_{flag.lower()}_flags" for side, plain in _SIDES}
    names |= {f"{side} Header Length": f"{plain}_header_bytes" for side, plain in _SIDES}
    names |= {f"{side} Packets/s": f"{plain}_packets_per_second" for side, plain in _SIDES}
    for title in ("Min", "Max", "Mean", "Std", "Variance"):
        names[f"Packet Length {title}"] = f"payload_length_{title.lower()}"
    for flag in ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "CWR", "ECE"):
        names[f"{flag} Flag Count"] = f"{flag.lower()}_flags"
    names |= {"Down/Up Ratio": "down_up_ratio", "Average Packet Size": "payload_length_mean"}
    names |= {f"{side} Segment Size Avg": f"{plain}_payload_length_mean" for side, plain in _SIDES}
    for side, plain in _SIDES:
        names[f"{side} Bytes/Bulk Avg"] = f"{plain}_bulk_bytes_mean"
        names[f"{side} Packet/Bulk Avg"] = f"{plain}_bulk_packets_mean"
        names[f"{side} Bulk Rate Avg"] = f"{plain}_bulk_bytes_per_second"
    for side, plain in _SIDES:
        names[f"Subflow {side} Packets"] = f"subflow_{plain}_packets"
        names[f"Subflow {side} Bytes"] = f"subflow_{plain}_payload_bytes"
    names |= {"FWD Init Win Bytes": "forward_initial_window", "Bwd Init Win Bytes": "backward_initial_window"}
    names |= {"Fwd Act Data Pkts": "forward_data_packets", "Fwd Seg Size Min": "forward_header_length_min"}
    for period in ("Active", "Idle"):
        names |= {f"{period} {title}": f"{period.lower()}_{statistic}" for title, statistic in _STATISTICS}
    return names


CICFLOWMETER_NAMES: Final[dict[str, str]] = _cicflowmeter_names()
"""CICFlowMeter's name of a column to ours, in its order. ``Flow ID`` is made of several; a few share one of ours."""
CICFLOWMETER_COLUMNS: Final = ("Flow ID", *CICFLOWMETER_NAMES)
"""All but ``Label``."""

_FLOW_ID_PARTS: Final = ("source_address", "destination_address", "source_port", "destination_port", "protocol_number")
_SECONDS: Final = frozenset(
    column.name
    for column in FLOW_COLUMNS
    if column.name == "duration" or "inter_arrival" in column.name or column.name.startswith(("active_", "idle_"))
)
"""Columns in seconds; CICFlowMeter has microseconds."""


def derive_columns(frame: pl.DataFrame, names: Collection[str], home: HomeNetworks) -> pl.DataFrame:
    """Return flows with those of :data:`DERIVED_COLUMNS` that are named; they have the columns that takes."""
    if "hour_of_day" in names:
        frame = frame.with_columns(pl.col("start_time").dt.hour().cast(pl.Int64).alias("hour_of_day"))
    if DIRECTION in names:
        ends = (frame.get_column(name) for name in DERIVED_COLUMNS[DIRECTION])
        frame = frame.with_columns(home.directions(*ends).alias(DIRECTION))
    return frame


def cicflowmeter_sources(names: Iterable[str]) -> frozenset[str]:
    """Return the columns that columns of CICFlowMeter's names are made of."""
    parts = (_FLOW_ID_PARTS if name == "Flow ID" else (CICFLOWMETER_NAMES[name],) for name in names)
    return frozenset(part for made_of in parts for part in made_of)


def cicflowmeter_frame(frame: pl.DataFrame, names: Sequence[str] = CICFLOWMETER_COLUMNS) -> pl.DataFrame:
    """Return flows under CICFlowMeter's names, in microseconds, with 0 for what is missing.

    Parameters
    ----------
    frame
        Flows with the columns of :func:`cicflowmeter_sources`.
    names
        CICFlowMeter's names of the columns wanted.
    """
    return frame.select(_cicflowmeter_column(name) for name in names)


def _cicflowmeter_column(name: str) -> pl.Expr:
    if name == "Flow ID":
        return pl.concat_str([pl.col(part).fill_null(0) for part in _FLOW_ID_PARTS], separator="-").alias(name)
    source = CICFLOWMETER_NAMES[name]
    if source in ("source_address", "destination_address", "start_time"):
        return pl.col(source).alias(name)
    value = pl.col(source).fill_null(0)
    if source in _SECONDS:
        value = value * 1e6
    return (value.round().cast(pl.Int64) if source == "duration" else value).alias(name)


_FLOW_CATEGORIES: Final = (
    "destination_port",
    "ip_version",
    "protocol",
    "tcp_state",
    "icmp_type",
    "icmp_code",
    DIRECTION,
)
_FLOW_IGNORED: Final = (
    "start_time",
    "end_time",
    "source_mac",
    "destination_mac",
    "vlan_id",
    "source_address",
    "source_port",
    "destination_address",
    "protocol_number",  # told by protocol
    "end_reason",  # says more of the capture than of the traffic
    # told by others, nearly or altogether
    "packets",
    "bytes",
    "payload_length_variance",
    "forward_inter_arrival_total",
    "backward_inter_arrival_total",
    "forward_packets_per_second",
    "backward_packets_per_second",
    "forward_header_bytes",
    "backward_header_bytes",
    "subflow_forward_packets",
    "subflow_forward_payload_bytes",
    "subflow_backward_packets",
    "subflow_backward_payload_bytes",
)
_PACKET_CATEGORIES: Final = (
    "ethertype",
    "ip_version",
    "destination_port",
    "protocol",
    "type_of_service",
    "tcp_flags",
    "icmp_type",
    "icmp_code",
)
_PACKET_NUMBERS: Final = (
    "length",
    "ip_header_length",
    "ttl",
    "fragment_offset",
    "more_fragments",
    "tcp_window",
    "transport_header_length",
    "payload_length",
)
_CICFLOWMETER_IGNORED: Final = ("Flow ID", "Src IP", "Src Port", "Dst IP", "Timestamp")


def _ready_schema(
    record_type: str, columns: Iterable[str], *, ignored: Iterable[str], categories: Iterable[str]
) -> dict[str, Any]:
    unused = frozenset(ignored)
    return {
        "record_type": record_type,
        "features": [name for name in columns if name not in unused],
        "columns": {name: {"kind": "categorical"} for name in categories},
    }


READY_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "pcap.flow": _ready_schema(
        "pcap.flow",
        [*(column.name for column in FLOW_COLUMNS), *DERIVED_COLUMNS],
        ignored=_FLOW_IGNORED,
        categories=_FLOW_CATEGORIES,
    ),
    "pcap.packet": _ready_schema(
        "pcap.packet",
        (column.name for column in PACKET_COLUMNS if column.name in {*_PACKET_CATEGORIES, *_PACKET_NUMBERS}),
        ignored=(),
        categories=_PACKET_CATEGORIES,
    ),
    "pcap.cicflowmeter": _ready_schema(
        "pcap.cicflowmeter",
        CICFLOWMETER_COLUMNS,
        ignored=_CICFLOWMETER_IGNORED,
        categories=("Dst Port", "Protocol"),
    ),
}
"""What of each record type is a feature, as the content of a schema file."""
