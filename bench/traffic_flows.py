"""From payloads to flow records: packets, bytes and durations that agree with each other.

Random numbers are drawn for a whole window at once, over all services: a service is a row of parameters that
is gathered for each flow. That is what makes a million flows cost under a second.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.bench.traffic_network import CURVES, ICMP, SERVICES, TCP, UDP, Network, activity

Floats = NDArray[np.float32]

HEADER_BYTES: Final = np.array([52, 28, 28], dtype=np.int64)
"""IP and transport headers of TCP (with the timestamp option), UDP and ICMP."""
SYN_BYTES: Final = 60
REFUSAL_BYTES: Final = 40
LARGEST_PAYLOAD: Final = 4e10
"""Bytes. A Pareto tail with an exponent under 2 has no variance: something has to end it."""
LARGEST_RATE: Final = 1.2e9
"""Bytes a second, a little under 10 Gbit/s."""
TAIL_EXPONENT: Final = 1.2
"""Pareto exponent of large transfers; 1.0 to 1.3 in web traffic (Crovella and Bestavros, ToN 1997)."""
LARGEST_TAIL_FACTOR: Final = 1e4
SYN_RETRIES_SECONDS: Final = np.array([0.0, 1.0, 3.0])
"""When an unanswered SYN is sent again (RFC 6298: one second, doubling)."""


@dataclass(slots=True)
class Flows:
    """Columns of flow records; hosts by index into the network, time in microseconds since the first window."""

    time: NDArray[np.int64]
    source: NDArray[np.int32]
    destination: NDArray[np.int32]
    source_port: NDArray[np.int32]
    destination_port: NDArray[np.int32]
    protocol: NDArray[np.uint8]
    bytes_sent: NDArray[np.int64]
    bytes_received: NDArray[np.int64]
    packets_sent: NDArray[np.int64]
    packets_received: NDArray[np.int64]
    duration: NDArray[np.float64]
    attack: NDArray[np.uint8]

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def in_time_order(parts: list[Flows]) -> Flows:
    """Return the flows of all ``parts`` by time; equal times keep the order of the parts."""
    order = np.argsort(np.concatenate([part.time for part in parts]), kind="stable")
    return Flows(
        **{field.name: np.concatenate([getattr(part, field.name) for part in parts])[order] for field in fields(Flows)}
    )


@dataclass(slots=True)
class Volumes:
    """Bytes and packets of both directions, and seconds."""

    bytes_sent: NDArray[np.int64]
    bytes_received: NDArray[np.int64]
    packets_sent: NDArray[np.int64]
    packets_received: NDArray[np.int64]
    duration: NDArray[np.float64]


def transfer(
    protocol: NDArray[np.uint8],
    sent: Floats,
    received: Floats,
    *,
    segment_sent: Floats,
    segment_received: Floats,
    round_trip: Floats,
    rate: Floats,
    idle: Floats,
) -> Volumes:
    """Return what a flow meter counts when payloads ``sent`` and ``received`` (bytes) are carried.

    A direction has as many packets as full segments are needed. TCP adds three packets to open and close, and
    one acknowledgement for two data packets of the other side (RFC 1122, delayed acknowledgements). Bytes are
    payload plus headers, so ``28 * packets <= bytes <= 1500 * packets``. The duration is the round trips of
    the opening and of a slow start, the bytes over the rate, and the time a connection is kept open.
    """
    sent = np.minimum(sent, np.float32(LARGEST_PAYLOAD))
    received = np.minimum(received, np.float32(LARGEST_PAYLOAD))
    sent_bytes, received_bytes = sent.astype(np.int64), received.astype(np.int64)
    data_sent = np.ceil(sent_bytes / segment_sent).astype(np.int64)
    data_received = np.ceil(received_bytes / segment_received).astype(np.int64)
    tcp = (protocol == TCP).astype(np.int64)
    packets_sent = np.where(tcp, data_sent + data_received // 2 + 3, np.maximum(data_sent, 1))
    packets_received = np.where(tcp, data_received + data_sent // 2 + 2, data_received)
    header = HEADER_BYTES[protocol]
    bytes_sent = np.asarray(sent_bytes + packets_sent * header, dtype=np.int64)
    bytes_received = np.asarray(received_bytes + packets_received * header, dtype=np.int64)
    volume = (bytes_sent + bytes_received).astype(np.float32)
    trips = np.log2((packets_sent + packets_received).astype(np.float32)) * np.float32(0.5) + tcp
    seconds = round_trip * trips + volume / np.minimum(rate, np.float32(LARGEST_RATE)) + idle
    return Volumes(bytes_sent, bytes_received, packets_sent, packets_received, seconds.astype(np.float64))


def fail(rng: np.random.Generator, volumes: Volumes, rows: NDArray[np.intp], protocol: NDArray[np.uint8]) -> None:
    """Turn ``rows`` into flows without an answer or, half of the TCP ones, into refused ones, in place."""
    tcp = protocol[rows] == TCP
    silent = rng.random(len(rows)) < 0.5
    attempts = np.where(tcp & silent, rng.integers(1, 4, len(rows)), 1)
    refused = tcp & ~silent
    volumes.packets_received[rows] = refused
    volumes.bytes_received[rows] = refused * REFUSAL_BYTES
    volumes.packets_sent[rows] = np.where(tcp, attempts, volumes.packets_sent[rows])
    volumes.bytes_sent[rows] = np.where(tcp, attempts * SYN_BYTES, volumes.bytes_sent[rows])
    spent = np.where(volumes.packets_sent[rows] > 1, volumes.duration[rows], 0.0)
    answer = rng.lognormal(np.log(2e-3), 1.5, len(rows))
    waiting = SYN_RETRIES_SECONDS[attempts - 1] * rng.uniform(0.99, 1.03, len(rows))
    volumes.duration[rows] = np.where(refused, answer, np.where(tcp, waiting, spent))


def client_ports(rng: np.random.Generator, linux: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return ephemeral ports: 32,768 to 60,999 on Linux, IANA's 49,152 to 65,535 elsewhere (RFC 6335)."""
    draw = rng.random(len(linux), dtype=np.float32)
    width = np.where(linux, np.float32(28_232), np.float32(16_384))
    return np.where(linux, 32_768, 49_152).astype(np.int32) + (draw * width).astype(np.int32)


class NormalTraffic:
    """Draws the normal flows of a window for one network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        tables: list[NDArray[np.int32]] = []
        known: dict[tuple[str, ...], tuple[int, int]] = {}
        for roles in (roles for service in SERVICES for roles in (service.clients, service.servers)):
            if roles not in known:
                pick = network.pick(roles)
                known[roles] = sum(map(len, tables)), pick.mask
                tables.append(pick.table)
        self._hosts = np.concatenate(tables)
        self._client = np.array([known[service.clients] for service in SERVICES], dtype=np.int64)
        self._server = np.array([known[service.servers] for service in SERVICES], dtype=np.int64)
        self._shares = np.array([service.share for service in SERVICES])
        self._curve = np.array([CURVES.index(service.curve) for service in SERVICES])

        def numbers(values: list[float]) -> Floats:
            return np.array(values, dtype=np.float32)

        self._protocol = np.array([service.protocol for service in SERVICES], dtype=np.uint8)
        self._port = np.array([service.ports for service in SERVICES], dtype=np.int32)
        self._sent = numbers([float(np.log(service.sent[0])) for service in SERVICES])
        self._sent_spread = numbers([service.sent[1] for service in SERVICES])
        self._received = numbers([float(np.log(service.received[0])) for service in SERVICES])
        self._received_spread = numbers([service.received[1] for service in SERVICES])
        self._tail = numbers([service.tail for service in SERVICES])
        self._uploads = np.array([service.sent[0] > service.received[0] for service in SERVICES])
        self._segment_sent = numbers([service.segment[0] for service in SERVICES])
        self._segment_received = numbers([service.segment[1] for service in SERVICES])
        self._rate = numbers([float(np.log(service.rate[0])) for service in SERVICES])
        self._rate_spread = numbers([service.rate[1] for service in SERVICES])
        self._idle_share = numbers([service.idle[0] for service in SERVICES])
        self._idle = numbers([float(np.log(service.idle[1])) for service in SERVICES])
        self._correlation = numbers([service.correlation for service in SERVICES])
        self._independence = np.sqrt(1 - np.square(self._correlation))
        self._failing = numbers([service.failing for service in SERVICES])
        outside = ["external" in service.clients + service.servers for service in SERVICES]
        self._round_trip = numbers([float(np.log(0.03 if far else 0.0006)) for far in outside])
        self._personal = np.array([service.servers == ("external",) for service in SERVICES])

    def load(self, week_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the expected flows of each service at the given times of the week, ``[times, services]``."""
        curves = np.stack([activity(curve, week_seconds) for curve in CURVES], axis=1)
        return np.asarray(curves[:, self._curve] * self._shares, dtype=np.float64)

    def draw(self, rng: np.random.Generator, time: NDArray[np.int64], shares: NDArray[np.float64]) -> Flows:
        """Return one flow for each of ``time``, of services drawn by ``shares``."""
        n = len(time)
        service = np.repeat(np.arange(len(SERVICES)), rng.multinomial(n, shares / shares.sum()))
        rng.shuffle(service)
        network, protocol = self._network, self._protocol[service]
        source = self._draw_hosts(rng, self._client[service])
        destination = self._draw_hosts(rng, self._server[service])
        self._visit_favourites(rng, service, source, destination)
        # No meter sees a host talk to itself; the monitor, which serves nothing, calls in its place.
        source[source == destination] = network.roles["monitor"][0]

        common, other, speed, distance = rng.standard_normal((4, n), dtype=np.float32)
        sent = np.exp(self._sent[service] + self._sent_spread[service] * common)
        other = self._correlation[service] * common + self._independence[service] * other
        received = np.exp(self._received[service] + self._received_spread[service] * other)
        luck = rng.random((3, n), dtype=np.float32)
        large = np.flatnonzero(luck[0] < self._tail[service])
        factor = np.minimum(
            (1 - rng.random(len(large), dtype=np.float32)) ** np.float32(-1 / TAIL_EXPONENT),
            np.float32(LARGEST_TAIL_FACTOR),
        )
        uploads = self._uploads[service[large]]
        sent[large] *= np.where(uploads, factor, 1)
        received[large] *= np.where(uploads, 1, factor)
        idles = np.flatnonzero(luck[1] < self._idle_share[service])
        idle = np.zeros(n, dtype=np.float32)
        idle[idles] = np.exp(self._idle[service[idles]] + rng.standard_normal(len(idles), dtype=np.float32))
        filled = 1 - np.float32(0.3) * rng.random(n, dtype=np.float32)
        volumes = transfer(
            protocol,
            sent,
            received,
            segment_sent=np.where(protocol == ICMP, 56, self._segment_sent[service] * filled),
            segment_received=np.where(protocol == ICMP, 56, self._segment_received[service] * filled),
            round_trip=np.exp(self._round_trip[service] + np.float32(0.6) * distance),
            rate=np.exp(self._rate[service] + self._rate_spread[service] * speed),
            idle=idle,
        )
        fail(rng, volumes, np.flatnonzero(luck[2] < self._failing[service]), protocol)

        first, last = self._port[service].T
        ports = first + (rng.random(n) * (last - first + 1)).astype(np.int32)
        source_ports = client_ports(rng, network.linux[source])
        source_ports[protocol == ICMP] = 0
        # A time server answers another from its own service port.
        same = (ports == 123) & (protocol == UDP) & network.linux[source]
        source_ports[same] = 123
        return Flows(
            time=time,
            source=source,
            destination=destination,
            source_port=source_ports,
            destination_port=ports,
            protocol=protocol,
            bytes_sent=volumes.bytes_sent,
            bytes_received=volumes.bytes_received,
            packets_sent=volumes.packets_sent,
            packets_received=volumes.packets_received,
            duration=volumes.duration,
            attack=np.zeros(n, dtype=np.uint8),
        )

    def _draw_hosts(self, rng: np.random.Generator, where: NDArray[np.int64]) -> NDArray[np.int32]:
        draw = rng.integers(0, 1 << 32, len(where), dtype=np.uint32)
        return self._hosts[where[:, 0] + (draw & where[:, 1])]

    def _visit_favourites(
        self,
        rng: np.random.Generator,
        service: NDArray[np.int64],
        source: NDArray[np.int32],
        destination: NDArray[np.int32],
    ) -> None:
        """Send a third of the flows outward to one of 40 hosts that this client often visits, in place."""
        rows = np.flatnonzero(self._personal[service] & (rng.random(len(service), dtype=np.float32) < 1 / 3))
        outside = self._network.roles["external"]
        favourite = (rng.random(len(rows), dtype=np.float32) ** 2 * 40).astype(np.int64)
        destination[rows] = outside[(source[rows].astype(np.int64) * 7919 + favourite * 104_729) % len(outside)]
