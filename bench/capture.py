"""Packet captures of whole TCP connections, made up, for measuring readers."""

from __future__ import annotations

from pathlib import Path
from struct import pack
from typing import Final

import numpy as np

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
