"""Campaigns: attacks, and the harmless clockwork that resembles them, planned and spread over the windows of time.

A campaign is planned once (who, whom, when, how many flows); a window then draws the flows of all campaigns of
one kind together. Flow number k of a campaign means the same wherever the window's edge falls, so that a scan
walks through its ports and a beacon keeps its beat across windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netsieve.bench.traffic_network import Network

NORMAL: Final = "none"
ATTACKS: Final = ("port_scan", "brute_force", "ddos", "beaconing", "exfiltration", "lateral_movement")
ATTACK_SHARES: Final = (0.26, 0.2, 0.28, 0.1, 0.06, 0.1)
"""How the attack flows are shared out: noisy attacks make many flows, quiet ones few."""
HEARTBEAT: Final = "heartbeat"
HEARTBEAT_SHARE: Final = 0.02
"""Share of normal flows that keep a beat like a beacon: update checks, agents, polling clients."""
STEADY: Final = ("beaconing", HEARTBEAT)
"""Kinds that keep a beat."""
CODES: Final = {NORMAL: 0, HEARTBEAT: 0} | {name: code for code, name in enumerate(ATTACKS, start=1)}

MICROSECONDS: Final = 1_000_000
DAY_SECONDS: Final = 86_400.0

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Campaigns:
    """Campaigns of one kind; every array has one entry a campaign.

    ``mode`` (uniform in 0 to 1) decides between the variants of a kind, ``level`` (standard normal) sets the
    campaign's own typical size, ``offset`` where its walk over ports or hosts begins.
    """

    kind: str
    start: NDArray[np.float64]
    seconds: NDArray[np.float64]
    flows: Integers
    source: NDArray[np.int32]
    destination: NDArray[np.int32]
    mode: NDArray[np.float64]
    level: NDArray[np.float64]
    offset: Integers


# Median and log deviation of the flows of a campaign, and of its length in seconds.
_SIZES: Final = {
    "port_scan": ((900, 0.9), (700, 1.0)),
    "brute_force": ((700, 0.9), (1500, 0.7)),
    "ddos": ((3500, 0.9), (400, 0.6)),
    "exfiltration": ((120, 0.8), (5000, 0.8)),
    "lateral_movement": ((150, 0.7), (6000, 0.7)),
}
_BEAT_SECONDS: Final = (60.0, 0.9, 10.0, 900.0)
"""Median, log deviation and limits of a beacon's period: a minute is the common default of such tools."""
GOLDEN_RATIO: Final = 0.618_033_988_75


def plan_campaigns(rng: np.random.Generator, network: Network, kind: str, rows: int, seconds: float) -> Campaigns:
    """Plan campaigns of ``kind`` with ``rows`` flows in all, within ``seconds``."""
    # No campaign makes over a sixth of the flows of its kind, so that its variants all occur.
    largest = min(max(rows // 6, 40), 30_000)
    if kind in STEADY:
        day = min(seconds, DAY_SECONDS)
        count = 4 + int(rows / min(largest, day / 4 / _BEAT_SECONDS[3]))
        period = rng.lognormal(np.log(_BEAT_SECONDS[0]), _BEAT_SECONDS[1], count).clip(*_BEAT_SECONDS[2:])
        flows = (rng.uniform(0.25, 1.0, count) * day / period).astype(np.int64).clip(1, largest)
    else:
        (median, spread), (typical, variation) = _SIZES[kind]
        count = 4 + rows // 40
        flows = rng.lognormal(np.log(median), spread, count).astype(np.int64).clip(40, largest)
        length = rng.lognormal(np.log(typical), variation, count).clip(max=0.95 * seconds)
    total = np.cumsum(flows)
    kept = int(np.searchsorted(total, rows)) + 1 if rows else 0
    flows = flows[:kept].copy()
    flows[-1:] -= total[kept - 1 : kept] - rows
    length = np.minimum(flows * period[:kept], 0.95 * seconds) if kind in STEADY else length[:kept]
    office = np.concatenate([network.roles["workstation"], network.roles["admin"]])
    outside = network.roles["external"]
    servers = np.concatenate([network.roles[role] for role in ("web", "mail", "file", "database", "domain", "dns")])
    inside = np.arange(network.inside, dtype=np.int32)
    # Successive campaigns of a kind spread over its variants (a low-discrepancy sequence).
    mode = np.asarray((rng.random() + GOLDEN_RATIO * np.arange(kept)) % 1.0, dtype=np.float64)
    outward = rng.random(kept)
    pools = {
        "port_scan": (np.where(outward < 0.5, rng.choice(office, kept), rng.choice(outside, kept)), inside),
        "brute_force": (np.where(outward < 0.3, rng.choice(office, kept), rng.choice(outside, kept)), servers),
        "ddos": (rng.choice(outside, kept), network.roles["web"]),
        "beaconing": (rng.choice(office, kept), outside),
        HEARTBEAT: (rng.choice(inside, kept), outside[: len(outside) // 20]),
        "exfiltration": (rng.choice(np.concatenate([office, servers]), kept), outside),
        "lateral_movement": (rng.choice(office, kept), inside),
    }
    source, targets = pools[kind]
    destination = rng.choice(targets, kept)
    # Nobody attacks himself.
    destination = np.where(destination == source, network.roles["domain"][0], destination)
    return Campaigns(
        kind=kind,
        start=rng.random(kept) * (seconds - length),
        seconds=length,
        flows=flows,
        source=source.astype(np.int32),
        destination=destination.astype(np.int32),
        mode=mode,
        level=rng.standard_normal(kept),
        offset=rng.integers(0, 1 << 30, kept),
    )


def schedule(
    rng: np.random.Generator, campaigns: Campaigns, begin: float, end: float
) -> tuple[Integers, Integers, Integers]:
    """Return the flows of ``campaigns`` within the window from ``begin`` to ``end`` (seconds).

    Flow k has the nominal place ``start + (k + 1/2) / flows * seconds``; it belongs to the window of that place
    and is moved about within it: a little for a beat, by up to a step for everything else.

    Returns
    -------
    time, which, ordinal
        Microseconds, campaign, and place in the campaign of each flow, int64.
    """
    step = campaigns.seconds / np.maximum(campaigns.flows, 1)
    first = np.ceil((begin - campaigns.start) / step - 0.5).clip(0, campaigns.flows).astype(np.int64)
    last = np.ceil((end - campaigns.start) / step - 0.5).clip(0, campaigns.flows).astype(np.int64)
    counts = last - first
    n = int(counts.sum())
    which = np.repeat(np.arange(len(counts)), counts)
    ordinal = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts) + first[which]
    # Jitter of a beat is up to 5 % or up to 25 % of the period; other campaigns lose their grid altogether.
    wobble = np.where(campaigns.mode < 0.6, 0.05, 0.25)[which] if campaigns.kind in STEADY else 1.0
    place = campaigns.start[which] + (ordinal + 0.5 + wobble * rng.uniform(-1, 1, n)) * step[which]
    # Folded back at the edges of the window and of the campaign.
    low = np.maximum(campaigns.start[which], begin)
    high = np.minimum(campaigns.start[which] + campaigns.seconds[which], end)
    place = np.where(place < low, 2 * low - place, place)
    place = np.where(place > high, 2 * high - place, place).clip(low, high)
    time = (place * MICROSECONDS).astype(np.int64)
    return np.minimum(time, int(end * MICROSECONDS) - 1), which, ordinal
