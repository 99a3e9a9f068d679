"""What the flows of each kind of campaign look like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netsieve.bench.traffic_campaigns import CODES, HEARTBEAT, Campaigns, Integers, schedule
from netsieve.bench.traffic_flows import REFUSAL_BYTES, SYN_BYTES, Flows, Volumes, client_ports, fail, transfer
from netsieve.bench.traffic_network import TCP, UDP, Network

COMMON_PORTS: Final = np.array(
    [21, 22, 23, 25, 53, 80, 110, 111, 135, 139, 143, 443, 445, 993, 995, 1433, 1723, 3306, 3389, 5432, 5900, 5985,
     8000, 8080, 8443, 9100], dtype=np.int32)  # fmt: skip
"""What a scanner looks at first."""


def draw_campaigns(
    rng: np.random.Generator, network: Network, campaigns: Campaigns, begin: float, end: float
) -> Flows | None:
    """Return the flows of ``campaigns`` in the window from ``begin`` to ``end`` (seconds), unsorted, or None."""
    time, which, ordinal = schedule(rng, campaigns, begin, end)
    if not len(time):
        return None
    flows = _SHAPES[campaigns.kind](rng, network, campaigns, which, ordinal)
    flows.time = time
    return flows


def _floats(values: NDArray[np.floating] | float, n: int) -> NDArray[np.float32]:
    return np.broadcast_to(np.asarray(values, dtype=np.float32), n)


def _around(rng: np.random.Generator, median: NDArray[np.float64] | float, sigma: float, n: int) -> NDArray[np.float32]:
    return (median * np.exp(sigma * rng.standard_normal(n))).astype(np.float32)


def _flows(
    kind: str,
    *,
    source: NDArray[np.int32],
    destination: NDArray[np.int32],
    source_port: NDArray[np.int32],
    destination_port: NDArray[np.int_] | NDArray[np.int32],
    protocol: NDArray[np.uint8],
    volumes: Volumes,
) -> Flows:
    n = len(source)
    return Flows(
        time=np.zeros(n, dtype=np.int64),
        source=source.astype(np.int32),
        destination=destination.astype(np.int32),
        source_port=source_port,
        destination_port=destination_port.astype(np.int32),
        protocol=protocol,
        bytes_sent=volumes.bytes_sent,
        bytes_received=volumes.bytes_received,
        packets_sent=volumes.packets_sent,
        packets_received=volumes.packets_received,
        duration=volumes.duration,
        attack=np.full(n, CODES[kind], dtype=np.uint8),
    )


def _carry(
    rng: np.random.Generator,
    protocol: NDArray[np.uint8],
    sent: NDArray[np.float32],
    received: NDArray[np.float32],
    *,
    segment: tuple[float, float] = (1400.0, 1448.0),
    round_trip: float = 0.03,
    rate: NDArray[np.float32] | float = 2e6,
    idle: NDArray[np.float32] | float = 0.0,
) -> Volumes:
    n = len(sent)
    return transfer(
        protocol, sent, received, segment_sent=_floats(segment[0], n), segment_received=_floats(segment[1], n),
        round_trip=_around(rng, round_trip, 0.6, n), rate=_floats(rate, n) * _around(rng, 1.0, 0.6, n),
        idle=_floats(idle, n),
    )  # fmt: skip


def _port_scan(
    rng: np.random.Generator, network: Network, campaigns: Campaigns, which: Integers, ordinal: Integers
) -> Flows:
    """Half walk the ports of one host, common ones first; half walk the hosts with one port. One in 14 is open."""
    n = len(which)
    walk = campaigns.offset[which] + ordinal
    vertical = campaigns.mode[which] < 0.5
    early = ordinal < len(COMMON_PORTS)
    # A stride coprime to the number of ports visits each once, in an order without visible steps.
    anywhere = 1 + (walk * 7919) % 65_535
    listed = COMMON_PORTS[np.where(vertical, ordinal, campaigns.offset[which]) % len(COMMON_PORTS)]
    port = np.where(vertical & ~early, anywhere, listed)
    destination = np.where(vertical, campaigns.destination[which], walk % network.inside)
    source = campaigns.source[which]
    destination = np.where(destination == source, network.roles["domain"][0], destination)
    protocol = np.full(n, TCP, dtype=np.uint8)
    volumes = _carry(
        rng, protocol, _around(rng, 60.0, 0.8, n), _around(rng, 180.0, 0.9, n), idle=_around(rng, 0.3, 1.0, n)
    )
    fail(rng, volumes, np.flatnonzero(rng.random(n) > 1 / 14), protocol)
    return _flows(
        "port_scan",
        source=source,
        destination=destination,
        source_port=client_ports(rng, network.linux[source]),
        destination_port=port,
        protocol=protocol,
        volumes=volumes,
    )


def _brute_force(
    rng: np.random.Generator, network: Network, campaigns: Campaigns, which: Integers, ordinal: Integers
) -> Flows:
    """Log-ins that fail: each a short, complete session of much the same size."""
    n = len(which)
    mode = campaigns.mode[which]
    service = np.digitize(mode, [0.5, 0.8, 0.9])  # SSH, RDP, FTP, SMB
    port = np.array([22, 3389, 21, 445])[service]
    sent = np.array([1900.0, 1700.0, 90.0, 1300.0])[service] * np.exp(0.15 * campaigns.level[which])
    received = np.array([2400.0, 1900.0, 240.0, 1100.0])[service] * np.exp(0.15 * campaigns.level[which])
    protocol = np.full(n, TCP, dtype=np.uint8)
    volumes = _carry(rng, protocol, _around(rng, sent, 0.12, n), _around(rng, received, 0.12, n), segment=(160, 400),
                     idle=_around(rng, 2.2, 0.4, n))  # fmt: skip
    # Servers start to turn the attacker away.
    fail(rng, volumes, np.flatnonzero(rng.random(n) < 0.06), protocol)
    source = campaigns.source[which]
    ports = client_ports(rng, network.linux[source])
    return _flows(
        "brute_force",
        source=source,
        destination=campaigns.destination[which],
        source_port=ports,
        destination_port=port,
        protocol=protocol,
        volumes=volumes,
    )


def _ddos(
    rng: np.random.Generator, network: Network, campaigns: Campaigns, which: Integers, ordinal: Integers
) -> Flows:
    """SYN floods, floods of web requests that look like visitors, and reflected UDP, each from many hosts."""
    n = len(which)
    outside = network.roles["external"]
    mode = campaigns.mode[which]
    flood, reflected = mode < 0.35, mode >= 0.7
    # A botnet of a few thousand, scattered over the outside.
    member = rng.integers(0, 3000, n)
    source = outside[(campaigns.offset[which] + member * 7919) % len(outside)]
    protocol = np.where(reflected, UDP, TCP).astype(np.uint8)
    sent = np.where(reflected, _around(rng, 12_000.0, 1.2, n), _around(rng, 420.0, 0.35, n)).astype(np.float32)
    received = np.where(reflected, 0.0, _around(rng, 2500.0, 1.2, n)).astype(np.float32)
    volumes = _carry(rng, protocol, sent, received, segment=(1200, 1448))
    synthetic = np.flatnonzero(flood)
    packets = rng.integers(1, 4, len(synthetic))
    # The victim answers a SYN while it can: SYN-ACK, sent again when no ACK comes.
    answers = np.where(rng.random(len(synthetic)) < 0.45, rng.integers(1, 3, len(synthetic)), 0)
    volumes.packets_sent[synthetic] = packets
    volumes.bytes_sent[synthetic] = packets * REFUSAL_BYTES
    volumes.packets_received[synthetic] = answers
    volumes.bytes_received[synthetic] = answers * SYN_BYTES
    volumes.duration[synthetic] = (packets + answers > 1) * rng.exponential(1.0, len(synthetic))
    reflectors = np.array([53, 123, 389, 1900])[(campaigns.offset[which] + member) % 4]
    source_port = np.where(reflected, reflectors, rng.integers(1024, 65_536, n)).astype(np.int32)
    port = np.where(reflected, rng.integers(1024, 65_536, n), np.where(mode < 0.6, 443, 80))
    return _flows(
        "ddos",
        source=source,
        destination=campaigns.destination[which],
        source_port=source_port,
        destination_port=port,
        protocol=protocol,
        volumes=volumes,
    )


def _beats(kind: str, odd_ports: float) -> Callable[..., Flows]:
    def shape(
        rng: np.random.Generator, network: Network, campaigns: Campaigns, which: Integers, ordinal: Integers
    ) -> Flows:
        """Small exchanges of nearly the same size, at a beat; each alone looks like ordinary web traffic."""
        n = len(which)
        level, offset = campaigns.level[which], campaigns.offset[which]
        odd = offset % 1000 < 1000 * odd_ports
        port = np.where(odd, np.array([8080, 8443, 4444])[offset % 3], np.where(offset % 4 < 3, 443, 80))
        protocol = np.full(n, TCP, dtype=np.uint8)
        sent = _around(rng, 650.0 * np.exp(0.5 * level), 0.06, n)
        received = _around(rng, 900.0 * np.exp(0.9 * level), 0.1, n)
        # Now and then there is something to fetch.
        received = np.where(rng.random(n) < 0.03, received * 40, received).astype(np.float32)
        volumes = _carry(rng, protocol, sent, received)
        source = campaigns.source[which]
        ports = client_ports(rng, network.linux[source])
        return _flows(
            kind,
            source=source,
            destination=campaigns.destination[which],
            source_port=ports,
            destination_port=port,
            protocol=protocol,
            volumes=volumes,
        )

    return shape


def _exfiltration(
    rng: np.random.Generator, network: Network, campaigns: Campaigns, which: Integers, ordinal: Integers
) -> Flows:
    """Send data out: in bulk, in small pieces, and in the names of DNS queries."""
    n = len(which)
    mode, level = campaigns.mode[which], campaigns.level[which]
    tunnel, bulk = mode >= 0.75, mode < 0.4
    sent = np.where(tunnel, 175.0, np.where(bulk, 2.5e7, 4e5) * np.exp(0.6 * level))
    received = np.where(tunnel, 150.0, np.where(bulk, 6000.0, 2500.0))
    protocol = np.where(tunnel, UDP, TCP).astype(np.uint8)
    volumes = _carry(rng, protocol, np.where(tunnel, _around(rng, sent, 0.15, n), _around(rng, sent, 0.9, n)),
                     _around(rng, received, 0.5, n), rate=1.5e6)  # fmt: skip
    port = np.where(tunnel, 53, np.where(campaigns.offset[which] % 5 < 4, 443, 22))
    source = campaigns.source[which]
    ports = client_ports(rng, network.linux[source])
    return _flows(
        "exfiltration",
        source=source,
        destination=campaigns.destination[which],
        source_port=ports,
        destination_port=port,
        protocol=protocol,
        volumes=volumes,
    )


def _lateral_movement(
    rng: np.random.Generator, network: Network, campaigns: Campaigns, which: Integers, ordinal: Integers
) -> Flows:
    """One office host tries others with administrators' protocols: refusals, log-ins, and tools copied over."""
    n = len(which)
    source = campaigns.source[which]
    destination = (campaigns.offset[which] + ordinal // 3 * 13) % network.inside
    destination = np.where(destination == source, network.roles["domain"][0], destination)
    port = rng.choice(np.array([445, 135, 3389, 5985, 22]), size=n, p=[0.45, 0.15, 0.15, 0.15, 0.1])
    luck = rng.random(n)
    copies = luck > 0.8
    protocol = np.full(n, TCP, dtype=np.uint8)
    sent = np.where(copies, _around(rng, 6e5, 1.0, n), _around(rng, 3500.0, 0.8, n)).astype(np.float32)
    volumes = _carry(rng, protocol, sent, _around(rng, 3000.0, 0.8, n), round_trip=6e-4, rate=2e7,
                     idle=np.where(luck > 0.55, _around(rng, 4.0, 1.0, n), 0).astype(np.float32))  # fmt: skip
    fail(rng, volumes, np.flatnonzero(luck < 0.3), protocol)
    ports = client_ports(rng, network.linux[source])
    return _flows(
        "lateral_movement",
        source=source,
        destination=destination,
        source_port=ports,
        destination_port=port,
        protocol=protocol,
        volumes=volumes,
    )


_SHAPES: Final[dict[str, Callable[..., Flows]]] = {
    "port_scan": _port_scan,
    "brute_force": _brute_force,
    "ddos": _ddos,
    "beaconing": _beats("beaconing", odd_ports=0.2),
    HEARTBEAT: _beats(HEARTBEAT, odd_ports=0.05),
    "exfiltration": _exfiltration,
    "lateral_movement": _lateral_movement,
}
