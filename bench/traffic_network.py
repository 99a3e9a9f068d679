"""The simulated network: hosts with roles, the services they use, and when they use them.

Everything here is fixed by ``network_seed`` and the number of hosts, so different days of traffic (different
``seed``) can come from the same network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

TCP, UDP, ICMP = 0, 1, 2
PROTOCOLS: Final = ("TCP", "UDP", "ICMP")

SMALLEST_NETWORK: Final = 50
"""Hosts below which some role would have nobody left to use it."""
EXTERNAL_HOSTS: Final = 20_000
"""Hosts outside. Their addresses are from 198.18.0.0/15, reserved for benchmarks (RFC 2544): no real host is named."""
ZIPF_EXPONENT: Final = 0.8
"""Popularity of outside hosts; web requests show 0.64 to 0.83 (Breslau et al., INFOCOM 1999)."""
ACTIVITY_SIGMA: Final = 0.8
"""Spread of the log activity of the hosts of one role: a few talk much, many little."""
LOOKUP_BITS_INSIDE: Final = 14
LOOKUP_BITS_OUTSIDE: Final = 17

Curve = Literal["work", "flat", "night", "public"]
CURVES: Final[tuple[Curve, ...]] = ("work", "flat", "night", "public")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One use of the network by one group of hosts.

    Attributes
    ----------
    ports
        First and last destination port.
    share
        Share of a weekday's flows, in per mille (the table need not add up to 1,000).
    curve
        When it is used: office hours, evenly, at night, or by the public.
    clients, servers
        Roles; ``"external"`` is the outside.
    sent, received
        Median and log deviation of the payload in bytes (log-normal).
    tail
        Share of flows whose larger direction is multiplied by a Pareto factor.
    segment
        Payload bytes of a typical full packet, sent and received.
    rate
        Median throughput in bytes a second and its log deviation.
    idle
        Share of flows kept open, and median seconds they idle.
    failing
        Share of flows that get no answer, or a refusal.
    correlation
        Of the log payloads of the two directions.
    """

    name: str
    protocol: int
    ports: tuple[int, int]
    share: float
    curve: Curve
    clients: tuple[str, ...]
    servers: tuple[str, ...]
    sent: tuple[float, float]
    received: tuple[float, float]
    tail: float = 0.0
    segment: tuple[int, int] = (1400, 1448)
    rate: tuple[float, float] = (2e6, 0.9)
    idle: tuple[float, float] = (0.0, 1.0)
    failing: float = 0.008
    correlation: float = 0.5


_OFFICE: Final = ("workstation", "admin")
_SERVERS: Final = ("web", "mail", "file", "database", "domain", "dns")
_INSIDE: Final = (*_OFFICE, *_SERVERS, "printer", "iot")
_LAN: Final = (3e7, 0.8)

SERVICES: Final[tuple[Service, ...]] = (
    Service(name="https", protocol=TCP, ports=(443, 443), share=270, curve="work", clients=_OFFICE,
            servers=("external",), sent=(1100, 0.9), received=(6500, 1.6), tail=0.03, idle=(0.45, 12)),
    Service(name="quic", protocol=UDP, ports=(443, 443), share=70, curve="work", clients=_OFFICE,
            servers=("external",), sent=(2300, 0.8), received=(9000, 1.7), tail=0.04, segment=(1200, 1250),
            idle=(0.5, 15)),
    Service(name="http", protocol=TCP, ports=(80, 80), share=35, curve="work", clients=(*_OFFICE, "iot"),
            servers=("external",), sent=(420, 0.6), received=(3500, 1.7), tail=0.03, idle=(0.2, 5)),
    Service(name="web proxy", protocol=TCP, ports=(8080, 8080), share=8, curve="work", clients=_OFFICE,
            servers=("web",), sent=(600, 0.8), received=(5000, 1.5), tail=0.02, rate=_LAN, idle=(0.3, 8)),
    Service(name="cloud synchronisation", protocol=TCP, ports=(443, 443), share=9, curve="work", clients=_OFFICE,
            servers=("external",), sent=(60_000, 2.0), received=(5000, 0.9), tail=0.05, rate=(1.5e6, 0.8),
            idle=(0.3, 20)),
    Service(name="dns", protocol=UDP, ports=(53, 53), share=190, curve="work", clients=_INSIDE, servers=("dns",),
            sent=(42, 0.25), received=(130, 0.5), segment=(512, 1232), rate=(1e6, 0.5), failing=0.004),
    Service(name="dns recursion", protocol=UDP, ports=(53, 53), share=55, curve="work", clients=("dns",),
            servers=("external",), sent=(46, 0.25), received=(180, 0.6), segment=(512, 1232), rate=(1e6, 0.5),
            failing=0.02),
    Service(name="dns over tcp", protocol=TCP, ports=(53, 53), share=1, curve="work", clients=("dns",),
            servers=("external",), sent=(60, 0.3), received=(1900, 0.5)),
    Service(name="time", protocol=UDP, ports=(123, 123), share=14, curve="flat", clients=_INSIDE,
            servers=("domain", "external"), sent=(48, 0.0), received=(48, 0.0), segment=(512, 512), failing=0.02),
    Service(name="file share", protocol=TCP, ports=(445, 445), share=46, curve="work", clients=_OFFICE,
            servers=("file", "domain"), sent=(6000, 1.5), received=(14_000, 2.1), tail=0.04, rate=_LAN, idle=(0.4, 45)),
    Service(name="directory", protocol=TCP, ports=(389, 389), share=18, curve="work",
            clients=(*_OFFICE, "web", "mail", "file"), servers=("domain",), sent=(900, 0.6), received=(2800, 0.9),
            rate=_LAN, idle=(0.3, 20)),
    Service(name="kerberos", protocol=TCP, ports=(88, 88), share=26, curve="work", clients=(*_OFFICE, *_SERVERS),
            servers=("domain",), sent=(1500, 0.25), received=(1600, 0.25), rate=_LAN),
    Service(name="rpc mapper", protocol=TCP, ports=(135, 135), share=7, curve="work", clients=(*_OFFICE, "file"),
            servers=("domain", "file"), sent=(350, 0.4), received=(300, 0.4), rate=_LAN, idle=(0.3, 10)),
    Service(name="rpc", protocol=TCP, ports=(49_664, 49_720), share=7, curve="work", clients=(*_OFFICE, "file"),
            servers=("domain", "file"), sent=(1600, 0.9), received=(1500, 1.0), rate=_LAN, idle=(0.5, 30)),
    Service(name="mail boxes", protocol=TCP, ports=(993, 993), share=20, curve="work", clients=_OFFICE,
            servers=("mail",), sent=(1300, 0.7), received=(7000, 1.8), tail=0.03, rate=_LAN, idle=(0.5, 100)),
    Service(name="mail submission", protocol=TCP, ports=(587, 587), share=4, curve="work", clients=_OFFICE,
            servers=("mail",), sent=(9000, 1.9), received=(900, 0.3), tail=0.03, rate=_LAN),
    Service(name="mail out", protocol=TCP, ports=(25, 25), share=6, curve="work", clients=("mail",),
            servers=("external",), sent=(12_000, 1.8), received=(500, 0.3), tail=0.03, failing=0.05),
    Service(name="mail in", protocol=TCP, ports=(25, 25), share=9, curve="public", clients=("external",),
            servers=("mail",), sent=(11_000, 1.7), received=(600, 0.4), tail=0.02),
    Service(name="public web", protocol=TCP, ports=(443, 443), share=70, curve="public", clients=("external",),
            servers=("web",), sent=(900, 0.8), received=(9000, 1.6), tail=0.03, idle=(0.4, 10)),
    Service(name="public web, plain", protocol=TCP, ports=(80, 80), share=16, curve="public", clients=("external",),
            servers=("web",), sent=(350, 0.6), received=(1500, 1.6), tail=0.01, failing=0.02),
    Service(name="postgresql", protocol=TCP, ports=(5432, 5432), share=32, curve="public", clients=("web", "mail"),
            servers=("database",), sent=(1500, 1.2), received=(7000, 1.8), tail=0.02, segment=(500, 1448), rate=_LAN,
            idle=(0.3, 20)),
    Service(name="sql server", protocol=TCP, ports=(1433, 1433), share=11, curve="work", clients=("web", *_OFFICE),
            servers=("database",), sent=(1300, 1.1), received=(6000, 1.7), tail=0.02, segment=(500, 1448), rate=_LAN,
            idle=(0.3, 25)),
    Service(name="secure shell", protocol=TCP, ports=(22, 22), share=5, curve="work", clients=("admin", "web"),
            servers=_SERVERS, sent=(5500, 1.3), received=(9000, 1.6), tail=0.03, segment=(160, 400),
            rate=(3e5, 1.4), idle=(0.6, 90)),
    Service(name="secure shell outward", protocol=TCP, ports=(22, 22), share=1.5, curve="work", clients=_OFFICE,
            servers=("external",), sent=(5000, 1.5), received=(9000, 1.8), tail=0.05, segment=(300, 900),
            rate=(5e5, 1.2), idle=(0.5, 40)),
    Service(name="remote desktop", protocol=TCP, ports=(3389, 3389), share=2.5, curve="work", clients=("admin",),
            servers=_SERVERS, sent=(90_000, 1.7), received=(900_000, 1.9), segment=(250, 1200), rate=(1e5, 0.9),
            idle=(0.4, 200), failing=0.02),
    Service(name="remote management", protocol=TCP, ports=(5985, 5985), share=4, curve="work", clients=("admin",),
            servers=_SERVERS, sent=(4000, 1.2), received=(7000, 1.4), rate=_LAN, idle=(0.4, 15)),
    Service(name="file transfer", protocol=TCP, ports=(21, 21), share=1, curve="work", clients=_OFFICE,
            servers=("file", "external"), sent=(350, 0.5), received=(900, 0.6), segment=(60, 120), idle=(0.7, 20)),
    Service(name="printing", protocol=TCP, ports=(9100, 9100), share=4, curve="work", clients=_OFFICE,
            servers=("printer",), sent=(250_000, 1.5), received=(150, 0.4), tail=0.02, rate=(3e6, 0.7)),
    Service(name="printer status", protocol=UDP, ports=(161, 161), share=14, curve="flat",
            clients=("monitor", "admin"), servers=("printer", *_SERVERS), sent=(110, 0.4), received=(140, 0.5),
            failing=0.03),
    Service(name="voice", protocol=UDP, ports=(16_384, 16_447), share=6, curve="work", clients=_OFFICE,
            servers=("external",), sent=(900_000, 1.2), received=(900_000, 1.2), segment=(172, 172),
            rate=(17_000, 0.05), failing=0.001, correlation=0.98),
    Service(name="video conference", protocol=UDP, ports=(3478, 3479), share=7, curve="work", clients=_OFFICE,
            servers=("external",), sent=(3e6, 1.6), received=(9e6, 1.6), segment=(1050, 1100), rate=(2e5, 0.5),
            failing=0.001, correlation=0.8),
    Service(name="telemetry", protocol=TCP, ports=(8883, 8883), share=14, curve="flat", clients=("iot",),
            servers=("external",), sent=(500, 0.7), received=(250, 0.5), idle=(0.8, 60)),
    Service(name="device cloud", protocol=TCP, ports=(443, 443), share=16, curve="flat", clients=("iot", "printer"),
            servers=("external",), sent=(900, 0.6), received=(3800, 0.7), idle=(0.3, 20)),
    Service(name="reachability", protocol=ICMP, ports=(0, 0), share=15, curve="flat", clients=("monitor", "admin"),
            servers=(*_SERVERS, "printer", "iot"), sent=(56, 0.02), received=(56, 0.02), segment=(56, 56),
            failing=0.02, correlation=1.0),
    Service(name="reachability outward", protocol=ICMP, ports=(0, 0), share=3, curve="work", clients=(*_OFFICE, "iot"),
            servers=("external",), sent=(180, 0.7), received=(180, 0.7), segment=(56, 56), failing=0.05,
            correlation=1.0),
    Service(name="health checks", protocol=TCP, ports=(80, 80), share=12, curve="flat", clients=("monitor",),
            servers=_SERVERS, sent=(160, 0.2), received=(350, 0.3), rate=_LAN, failing=0.05),
    Service(name="peer to peer and games", protocol=UDP, ports=(1024, 65_535), share=2, curve="work",
            clients=("workstation",), servers=("external",), sent=(700, 1.5), received=(900, 1.8), tail=0.04,
            segment=(900, 1100), failing=0.06),
    Service(name="odd applications", protocol=TCP, ports=(1024, 65_535), share=2, curve="work", clients=_OFFICE,
            servers=("external", *_SERVERS), sent=(900, 1.2), received=(2500, 1.6), tail=0.03, failing=0.06,
            idle=(0.3, 30)),
    Service(name="backup", protocol=TCP, ports=(10_000, 10_000), share=2, curve="night", clients=_SERVERS,
            servers=("file",), sent=(6e7, 1.6), received=(40_000, 0.8), tail=0.05, rate=(6e7, 0.5)),
    Service(name="software updates", protocol=TCP, ports=(80, 80), share=5, curve="night",
            clients=("workstation", *_SERVERS), servers=("external",), sent=(900, 0.5), received=(400_000, 2.2),
            tail=0.05, rate=(6e6, 0.7)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class HostPick:
    """Draws hosts of some roles by their weight: ``table[random & mask]``, one entry a quantile."""

    table: NDArray[np.int32]

    @property
    def mask(self) -> int:
        """Bits of the random number that choose the entry."""
        return len(self.table) - 1


class Network:
    """Hosts of one simulated site and of its outside, by index.

    Parameters
    ----------
    hosts
        Hosts inside, at least :data:`SMALLEST_NETWORK`.
    network_seed
        Fixes addresses, activity of each host and popularity of the outside.

    Attributes
    ----------
    addresses
        Address of each host, inside first.
    roles
        Indices of the hosts of each role.
    linux
        Whether each host takes its client ports from Linux's range instead of IANA's.
    """

    def __init__(self, hosts: int, network_seed: int) -> None:
        if hosts < SMALLEST_NETWORK:
            raise ValueError(f"got {hosts} hosts, expected at least {SMALLEST_NETWORK}, so that each role has some")
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(network_seed, spawn_key=(0,))))
        counts = {
            "web": max(2, hosts // 50),
            "dns": max(2, hosts // 200),
            "mail": max(1, hosts // 300),
            "file": max(2, hosts // 100),
            "database": max(2, hosts // 100),
            "domain": max(2, hosts // 250),
            "monitor": 1,
            "admin": max(2, hosts // 100),
            "printer": max(2, hosts // 25),
            "iot": max(3, hosts // 10),
        }
        counts["workstation"] = hosts - sum(counts.values())
        self.roles: dict[str, NDArray[np.int32]] = {}
        self.inside = hosts
        addresses: list[str] = []
        for subnet, (role, count) in enumerate(counts.items(), start=1):
            first = len(addresses)
            self.roles[role] = np.arange(first, first + count, dtype=np.int32)
            # A /12 a role: room for a million hosts, and the role can be read from the address.
            addresses += [f"10.{subnet * 16 + n // 62_500}.{n // 250 % 250}.{n % 250 + 2}" for n in range(count)]
        self.roles["external"] = np.arange(hosts, hosts + EXTERNAL_HOSTS, dtype=np.int32)
        outside = rng.choice(2 << 16, size=EXTERNAL_HOSTS, replace=False)
        addresses += [f"198.{18 + n // 65_536}.{n // 256 % 256}.{n % 256}" for n in outside.tolist()]
        self.addresses = pl.Series("address", addresses, dtype=pl.String)
        self.linux = rng.random(len(addresses)) < 0.3
        self._weights = rng.lognormal(0.0, ACTIVITY_SIGMA, len(addresses))
        self._weights[hosts:] = np.arange(1, EXTERNAL_HOSTS + 1) ** -ZIPF_EXPONENT

    def pick(self, roles: tuple[str, ...]) -> HostPick:
        """Return what draws a host of one of ``roles``. Each role has the same share, except for office hosts."""
        members = np.concatenate([self.roles[role] for role in roles])
        weights = np.concatenate([self._role_weights(role) for role in roles])
        bits = LOOKUP_BITS_OUTSIDE if "external" in roles else LOOKUP_BITS_INSIDE
        bits = max(bits, int(np.ceil(np.log2(4 * len(members)))) if "external" not in roles else bits)
        quantiles = (np.arange(1 << bits) + 0.5) / (1 << bits)
        edges = np.cumsum(weights / weights.sum())
        return HostPick(members[np.minimum(np.searchsorted(edges, quantiles), len(members) - 1)].astype(np.int32))

    def _role_weights(self, role: str) -> NDArray[np.float64]:
        weights = self._weights[self.roles[role]]
        # Office hosts and devices count by head; the few servers and the outside together count as a role.
        return weights if role in {"workstation", "admin", "iot"} else weights * (20.0 / weights.sum())


def activity(curve: Curve, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the relative load of ``curve`` at ``seconds`` after a Monday's midnight; its weekday mean is about 1."""
    hour = seconds / 3600.0 % 24.0
    weekend = seconds / 86_400.0 % 7.0 >= 5.0

    def bump(centre: float, width: float) -> NDArray[np.float64]:
        distance = np.abs(hour - centre)
        return np.exp(-0.5 * np.square(np.minimum(distance, 24.0 - distance) / width))

    if curve == "work":
        return np.where(weekend, 0.15 + 0.2 * bump(15.0, 4.0), 0.15 + 2.4 * bump(10.4, 1.5) + 2.2 * bump(14.8, 1.7))
    if curve == "night":
        return 0.02 + 6.5 * bump(2.0, 1.4)
    if curve == "public":
        return 0.3 + 0.5 * bump(12.0, 4.0) + 1.4 * bump(20.0, 3.0)
    return np.ones_like(hour)
