"""How fast packet captures are read, as packets and as flows, next to other readers that are installed.

``python -m netsieve.bench.capture --json benchmarks/capture.json``
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from struct import pack
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, Final

import numpy as np

from netsieve.bench.interleave import interleave, seconds_of
from netsieve.bench.machine import describe_machine
from netsieve.bench.measurement import timing_line, write_measurement
from netsieve.engine.sources import ColumnRequest, ReadOptions, open_source

SYN, ACK, PSH, FIN = 2, 16, 8, 1
CONVERSATION: Final = (
    (1, SYN, 0),
    (-1, SYN | ACK, 0),
    (1, ACK, 0),
    (1, ACK | PSH, 180),
    *((-1, ACK, 1400),) * 8,
    *((1, ACK, 0),) * 4,
    (1, ACK | FIN, 0),
    (-1, ACK | FIN, 0),
    (1, ACK, 0),
)
"""Direction, flags and payload bytes of the packets of a TCP connection."""
INTERLEAVED: Final = 2000
"""Connections that run at the same time."""
FEW_COLUMNS: Final = ("time", "source_address", "destination_address", "destination_port", "protocol", "length")
TWIN: Final = Path("tests/naive_pcap.py").resolve()
"""Read by the benchmark where it is run from the repository."""
SNAP_LENGTH: Final = 96
SMALL_PACKETS: Final = 20_000
"""Packets that readers in plain Python get."""


def write_capture(path: Path, packets: int, *, snap_length: int = 65535) -> int:
    """Write a pcap file of TCP connections, each of other ends, and return how many packets it has.

    The file is the same for the same arguments; ``snap_length``: bytes that are kept of a packet.
    """
    repeats = -(-packets // (INTERLEAVED * len(CONVERSATION)))
    parts, times, clients, ports = [], [], [], []
    at = 0
    for number, (direction, flags, payload) in enumerate(CONVERSATION):
        for connection in range(INTERLEAVED):
            data = _packet(direction, flags, payload)
            time = number * INTERLEAVED + connection  # a packet each microsecond
            kept = data[:snap_length]
            parts.append(pack("<IIII", 1_600_000_000, time, len(kept), len(data)) + kept)
            times.append(at)
            clients.append(at + 16 + (26 if direction > 0 else 30))
            ports.append((at + 16 + (34 if direction > 0 else 36), connection))
            at += len(parts[-1])
    template = np.frombuffer(b"".join(parts), np.uint8).copy()
    port_places = np.array([place for place, _ in ports])
    port_numbers = np.array([1024 + connection for _, connection in ports])
    template[port_places], template[port_places + 1] = port_numbers >> 8, port_numbers & 255
    with path.open("wb") as file:
        file.write(pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, snap_length, 1))
        for repeat in range(repeats):
            seconds = np.frombuffer(pack("<I", 1_600_000_000 + repeat), np.uint8)
            for byte in range(4):
                template[np.array(times) + byte] = seconds[byte]
                template[np.array(clients) + byte] = (10, repeat >> 16, repeat >> 8 & 255, repeat & 255)[byte]
            file.write(template.tobytes())
    return repeats * INTERLEAVED * len(CONVERSATION)


def _packet(direction: int, flags: int, payload: int) -> bytes:
    addresses, ports = (bytes(4), b"\xc6\x33\x64\x07"), (0, 443)
    if direction < 0:
        addresses, ports = addresses[::-1], ports[::-1]
    tcp = pack(">HHIIBBHHH", *ports, 1, 1, 5 << 4, flags, 65535, 0, 0) + bytes(payload)
    ip = pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0) + b"".join(addresses)
    return bytes.fromhex("020000000002020000000001") + b"\x08\x00" + ip + tcp


def read_capture(path: Path, event_type: str, *, columns: tuple[str, ...] | None = None, threads: int = 1) -> int:
    """Read a capture, and return its records."""
    source = open_source(str(path), columns=ColumnRequest(columns), options=ReadOptions(event_type=event_type))
    with closing(source):
        if threads == 1:
            return sum(len(source.parse(block).record) for block in source.blocks())
        with ThreadPoolExecutor(threads) as pool:
            return sum(len(parsed.record) for parsed in pool.map(source.parse, source.blocks()))


def _twin(flows: bool) -> Callable[[Path], object]:
    spec = importlib.util.spec_from_file_location("naive_pcap", TWIN)
    assert spec is not None
    assert spec.loader is not None
    twin = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(twin)

    def read(path: Path) -> object:
        rows = [twin.packet_row(packet) for packet in twin.read_capture(path.read_bytes())[0]]
        assembled = twin.Flows()
        for row in rows if flows else []:
            assembled.add(row)
        assembled.finish()
        return assembled

    return read


def _dpkt(path: Path) -> object:
    dpkt: Any = import_module("dpkt")

    with path.open("rb") as file:
        return [(time, dpkt.ethernet.Ethernet(data)) for time, data in dpkt.pcap.Reader(file)]


def _scapy(path: Path) -> object:
    scapy: Any = import_module("scapy.utils")
    return scapy.rdpcap(str(path))


def _nfstream(path: Path) -> object:
    nfstream: Any = import_module("nfstream")
    return list(nfstream.NFStreamer(source=str(path), statistical_analysis=True, n_dissections=0, n_meters=1))


def peers() -> dict[str, tuple[Callable[[Path], object], str]]:
    """Return the other readers that are here: what reads a file, and what it gives."""
    found: dict[str, tuple[Callable[[Path], object], str]] = {}
    if TWIN.is_file():
        found["naive twin, packets"] = (_twin(flows=False), "packet")
        found["naive twin, flows"] = (_twin(flows=True), "flow")
    for name, read, event_type in (
        ("dpkt", _dpkt, "packet"),
        ("scapy", _scapy, "packet"),
        ("nfstream", _nfstream, "flow"),
    ):
        if importlib.util.find_spec(name) is not None:
            found[name] = (read, event_type)
    return found


def measure_captures(*, packets: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Read captures in every way, interleaved, and return the times, ready for JSON."""
    machine = describe_machine()
    large, cut, small, packed = (folder / name for name in ("large.pcap", "cut.pcap", "small.pcap", "large.pcap.gz"))
    packets = write_capture(large, packets)
    write_capture(cut, packets, snap_length=SNAP_LENGTH)
    small_packets = write_capture(small, SMALL_PACKETS)
    packed.write_bytes(gzip.compress(large.read_bytes(), 1))
    cases: dict[str, tuple[Callable[[], object], Path, int]] = {}
    for event_type in ("packet", "flow"):
        for what, path, threads in (
            ("all columns", large, 1),
            ("all columns, 2 threads", large, 2),
            ("all columns, gzip", packed, 1),
            (f"all columns, packets cut to {SNAP_LENGTH} bytes", cut, 1),
        ):
            cases[f"{event_type}s, {what}"] = (partial(read_capture, path, event_type, threads=threads), path, packets)
    six = partial(read_capture, large, "packet", columns=FEW_COLUMNS)
    cases["packets, six columns"] = (six, large, packets)
    for name, (read, _) in peers().items():
        cases[name] = (partial(read, small), small, small_packets)
    times = interleave({name: partial(_times, run) for name, (run, _, _) in cases.items()}, rounds=rounds)
    return {
        "benchmark": "capture",
        "machine": machine,
        "rounds": rounds,
        "packets_per_flow": len(CONVERSATION),
        "packets": {name: count for name, (_, _, count) in cases.items()},
        # as the readers see them, decompressed
        "bytes": {name: (large if path == packed else path).stat().st_size for name, (_, path, _) in cases.items()},
        "seconds": {name: [wall for wall, _ in taken] for name, taken in times.items()},
        "processor_seconds": {name: [processor for _, processor in taken] for name, taken in times.items()},
    }


def _times(run: Callable[[], object]) -> tuple[float, float]:
    """Return seconds by the clock and of the processor: the latter say more on a machine with company."""
    begun = process_time()
    wall = seconds_of(run)
    return wall, process_time() - begun


def capture_table(result: dict[str, Any]) -> str:
    """Return the result as a Markdown table."""
    lines = [
        "| reader | M packets/s | M packets per processor second | thousand flows/s | MB/s |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, walls in result["seconds"].items():
        packets, wall = result["packets"][name], median(walls)
        rate = packets / median(result["processor_seconds"][name]) / 1e6
        flows = (
            f"{packets / result['packets_per_flow'] / wall / 1e3:.1f}" if "flow" in name or name == "nfstream" else ""
        )
        size = result["bytes"][name] / wall / 1e6
        lines.append(f"| {name} | {packets / wall / 1e6:.3f} | {rate:.3f} | {flows} | {size:.0f} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m netsieve.bench.capture", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--packets", type=int, default=1_000_000, help="packets of the capture (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=Path("build/bench"), help="where the captures are written")
    parser.add_argument("--json", type=Path, help="write everything measured here")
    options = parser.parse_args(arguments)
    options.cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=options.cache) as folder:
        result = measure_captures(packets=options.packets, rounds=options.rounds, folder=Path(folder))
    print(f"{timing_line(result)}\n\n{capture_table(result)}")
    if options.json:
        write_measurement(options.json, result)


if __name__ == "__main__":
    main()
