"""Readers of packet captures: netsieve, and what else gives packets or flows.

Packets: dpkt and scapy give the columns that are checked; netsieve all of its. Flows: nfstream computes statistics of
each flow as netsieve does, and no application names. The captures are of whole TCP connections.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from netsieve.bench.capture import write_capture
from netsieve.bench.readers import (
    BLOCK_BY_BLOCK,
    OURS,
    PLAIN_AND_GZIP,
    Reader,
    Task,
    count_records,
    open_bytes,
    read_frame,
)

PACKETS: Final = 1_000_000
PACKETS_FOR_FLOWS: Final = 200_000
"""For the comparison with nfstream."""
PACKETS_FOR_PYTHON: Final = 38_000
"""For readers in plain Python."""
SNAP_LENGTH: Final = 96
FEW_COLUMNS: Final = ("time", "source_address", "destination_address", "destination_port", "protocol", "length")
PACKET_COLUMNS: Final = (
    "time",
    "source_address",
    "source_port",
    "destination_address",
    "destination_port",
    "length",
    "payload_length",
)
NFSTREAM_NAMES: Final = {
    "src_ip": "source_address",
    "src_port": "source_port",
    "dst_port": "destination_port",
    "bidirectional_packets": "packets",
    "src2dst_bytes": "forward_bytes",
    "dst2src_bytes": "backward_bytes",
    "bidirectional_syn_packets": "syn_flags",
    "bidirectional_ack_packets": "ack_flags",
}


def _packet_frame(columns: Sequence[Sequence[Any]]) -> Any:
    import polars as pl

    frame = pl.DataFrame(dict(zip(PACKET_COLUMNS, columns, strict=True)))
    return frame.with_columns((pl.col("time") * 1e6).round().cast(pl.Int64).cast(pl.Datetime("us", "UTC")))


def read_dpkt(paths: Sequence[str], threads: int) -> Any:
    """Read packets with dpkt."""
    from socket import AF_INET, inet_ntop

    dpkt = import_module("dpkt")
    columns: list[list[Any]] = [[] for _ in PACKET_COLUMNS]
    for path in paths:
        with open_bytes(path) as file:
            for time, data in dpkt.pcap.Reader(file):
                ip = dpkt.ethernet.Ethernet(data).data
                tcp = ip.data
                addresses = inet_ntop(AF_INET, ip.src), inet_ntop(AF_INET, ip.dst)
                row = (time, addresses[0], tcp.sport, addresses[1], tcp.dport, len(data), len(tcp.data))
                for column, value in zip(columns, row, strict=True):
                    column.append(value)
    return _packet_frame(columns)


def read_scapy(paths: Sequence[str], threads: int) -> Any:
    """Read packets with scapy."""
    inet: Any = import_module("scapy.layers.inet")
    import_module("scapy.layers.l2")
    reader: Any = import_module("scapy.utils").PcapReader
    columns: list[list[Any]] = [[] for _ in PACKET_COLUMNS]
    for path in paths:
        with reader(path) as packets:
            for packet in packets:
                ip, tcp = packet[inet.IP], packet[inet.TCP]
                row = (float(packet.time), ip.src, tcp.sport, ip.dst, tcp.dport, len(packet), len(tcp.payload))
                for column, value in zip(columns, row, strict=True):
                    column.append(value)
    return _packet_frame(columns)


def read_nfstream(paths: Sequence[str], threads: int) -> Any:
    """Read flows with nfstream, which has a process of its own for each thread, besides the one that collects."""
    streamer: Any = import_module("nfstream").NFStreamer
    options = {"statistical_analysis": True, "n_dissections": 0, "n_meters": threads}
    return streamer(source=paths[0], **options).to_pandas().rename(columns=NFSTREAM_NAMES)


def _write_cut(path: Path, packets: int) -> int:
    return write_capture(path, packets, snap_length=SNAP_LENGTH)


def _ours(event_type: str) -> dict[str, Reader]:
    return {
        OURS: Reader(partial(read_frame, event_type=event_type)),
        BLOCK_BY_BLOCK: Reader(partial(count_records, event_type=event_type)),
    }


_SIX = Reader(partial(count_records, event_type="packet", columns=FEW_COLUMNS), forms=("plain",), threads=(1,))
_PACKETS = "Packets of a capture"
_FLOWS = "Flows of a capture, 19 packets each"

TASKS: Final = {
    "pcap.packets": Task(
        title=_PACKETS,
        records=PACKETS,
        unit="packets",
        write=write_capture,
        suffix=".pcap",
        readers={**_ours("packet"), "netsieve, six columns": _SIX},
        checked=(),
    ),
    "pcap.cut": Task(
        title=f"{_PACKETS}, each cut to {SNAP_LENGTH} bytes",
        records=PACKETS,
        unit="packets",
        write=_write_cut,
        suffix=".pcap",
        readers=_ours("packet"),
        checked=(),
        forms=("plain",),
    ),
    "pcap.python": Task(
        title=f"{_PACKETS}, next to readers in Python",
        records=PACKETS_FOR_PYTHON,
        unit="packets",
        write=write_capture,
        suffix=".pcap",
        readers={
            **_ours("packet"),
            "dpkt": Reader(read_dpkt, "dpkt", threads=(1,)),
            "scapy": Reader(read_scapy, "scapy", forms=("plain",), threads=(1,), most_rounds=2),
        },
        checked=PACKET_COLUMNS,
        forms=PLAIN_AND_GZIP,
        threads=(1,),
    ),
    "pcap.flows": Task(
        title=_FLOWS,
        records=PACKETS,
        unit="packets",
        write=write_capture,
        suffix=".pcap",
        readers=_ours("flow"),
        checked=(),
    ),
    "pcap.nfstream": Task(
        title=f"{_FLOWS}, next to nfstream",
        records=PACKETS_FOR_FLOWS,
        unit="packets",
        write=write_capture,
        suffix=".pcap",
        readers={**_ours("flow"), "nfstream": Reader(read_nfstream, "nfstream", forms=("plain",), most_rounds=2)},
        checked=tuple(NFSTREAM_NAMES.values()),
        forms=("plain",),
    ),
}
