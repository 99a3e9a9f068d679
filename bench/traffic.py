"""Generated network flows with known attacks: seeded, vectorised, in bounded memory.

``python -m netsieve.bench.traffic day.csv --rows 1000000 --seed 7 --attack-rate 0.02 --days 1``

Columns, in this order: ``Timestamp`` (datetime in microseconds, UTC: the **start** of the flow; ISO 8601 in
CSV), ``SourceIP``, ``DestinationIP``, ``SourcePort``, ``DestinationPort``, ``Protocol`` (TCP, UDP or ICMP; ICMP
has ports 0), ``BytesSent``, ``BytesReceived`` (with IP headers), ``PacketsSent``, ``PacketsReceived``,
``Duration`` (seconds), ``IsAnomaly`` (0 or 1) and ``Attack`` (the kind, or ``none``). Rows are sorted by time.

The model
---------
*Hosts* have roles (workstations, administrators, servers for web, DNS, mail, files, databases and the domain,
a monitor, printers, devices) and log-normal activity; hosts outside have Zipf popularity (Breslau et al.,
INFOCOM 1999), and a third of the flows outward go to the client's own favourites. *Services* are about 40 pairs
of client and server roles with protocol, port, share, and time of use: office hours, evenly, at night (backups,
updates), or the public's evenings; on Saturdays and Sundays the office is quiet. *Sizes* are log-normal with a
Pareto tail of exponent 1.2 (Crovella and Bestavros, IEEE/ACM Transactions on Networking, 1997; Downey, Computer
Communications, 2005), correlated between the directions. *Packets* follow from the bytes and the segment size
of the application, with TCP's opening, closing and delayed acknowledgements (RFC 1122). *Durations* are round
trips, bytes over a log-normal throughput, and idle time. About 1 % of flows get no answer or a refusal, with
TCP's retries (RFC 6298); client ports are Linux's or IANA's ephemeral range (RFC 6335).

Shares and medians of the services are plausible, not measured at one site: the traffic is meant for tests,
demonstrations and timing. A detection figure on it says that the parts work together, not how good a detector
is on a real network.

Attacks, and what shows them
----------------------------
=================  ================================================  ============================================
kind               one row shows                                     only neighbours show
=================  ================================================  ============================================
port_scan          refused or unanswered, often at a port that       the walk over ports or hosts; 1 % of normal
                   nothing uses; 7 % are open and answer             flows are refused or unanswered too
brute_force        little: a short session at SSH, RDP, FTP or SMB   the repetition, sizes that hardly vary
ddos               SYN floods and reflected UDP: half-open flows,    the number; floods of web requests are rows
                   large one-way datagrams at odd ports              like any visitor's
beaconing          almost nothing: small HTTPS or HTTP exchanges,    the beat (jitter 5 or 25 %), between the same
                   one campaign in five at an odd port               two hosts; harmless heartbeats have it too
exfiltration       far more sent than received; in bulk clearly,     how much leaves in all; that a host other than
                   in pieces like a cloud synchronisation            the DNS servers asks outside for long names
lateral_movement   SMB, RPC, RDP, WinRM or SSH with much sent, or    that workstations talk to each other, and one
                   refused                                           of them to many
=================  ================================================  ============================================

So a detector that sees single rows finds part of it, and features over neighbours have something to add.

Reproducibility
---------------
Time is cut into windows whose number depends on ``rows`` and ``days`` alone; each has its own random stream
(``SeedSequence(seed, spawn_key)``), so the flows of a seed do not depend on the size of the chunks they are
asked for in. ``network_seed`` and ``hosts`` fix the network: two seeds are two days of the same one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.bench.traffic_attacks import draw_campaigns
from netsieve.bench.traffic_campaigns import (
    ATTACK_SHARES,
    ATTACKS,
    DAY_SECONDS,
    HEARTBEAT,
    HEARTBEAT_SHARE,
    MICROSECONDS,
    NORMAL,
    Campaigns,
    plan_campaigns,
)
from netsieve.bench.traffic_flows import Flows, NormalTraffic, in_time_order
from netsieve.bench.traffic_network import PROTOCOLS, Network

COLUMNS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "Timestamp": pl.Datetime("us", "UTC"),
    "SourceIP": pl.String,
    "DestinationIP": pl.String,
    "SourcePort": pl.Int32,
    "DestinationPort": pl.Int32,
    "Protocol": pl.String,
    "BytesSent": pl.Int64,
    "BytesReceived": pl.Int64,
    "PacketsSent": pl.Int64,
    "PacketsReceived": pl.Int64,
    "Duration": pl.Float64,
    "IsAnomaly": pl.Int8,
    "Attack": pl.String,
}
"""Columns of generated traffic with their types."""

MONDAY: Final = datetime(2026, 3, 2, tzinfo=UTC)
"""Where generated time begins unless told: a Monday. Start on a Saturday for a weekend."""
TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%S%.6fZ"
WINDOW_ROWS: Final = 65_536
"""Flows that a window holds on average: small enough to stay in a core's cache, large enough for numpy."""
LEAST_WINDOWS_A_DAY: Final = 48
CHUNK_ROWS: Final = 262_144


def generate_traffic(
    rows: int,
    *,
    seed: int = 0,
    attack_rate: float = 0.02,
    hosts: int = 1000,
    start: datetime = MONDAY,
    days: int = 1,
    network_seed: int = 0,
) -> pl.DataFrame:
    """Return exactly ``rows`` flows with the columns of :data:`COLUMNS`, by time.

    Parameters
    ----------
    rows
        Flows over the whole time, however long that is.
    seed
        Fixes what happens. Different seeds are different days of the same network.
    attack_rate
        Share of the flows that belong to attacks; met to the row. Each kind is present from about 20 attack
        flows on.
    hosts
        Hosts inside, at least 50.
    start
        Time of the first possible flow; its weekday decides when the weekend is.
    days
        Length of the time covered.
    network_seed
        Fixes the network.

    Raises
    ------
    ValueError
        An argument is out of range.
    """
    chunks = traffic_chunks(
        rows,
        seed=seed,
        attack_rate=attack_rate,
        hosts=hosts,
        start=start,
        days=days,
        network_seed=network_seed,
        chunk_rows=max(rows, 1),
    )
    return next(chunks, pl.DataFrame(schema=COLUMNS))


def traffic_chunks(
    rows: int,
    *,
    seed: int = 0,
    attack_rate: float = 0.02,
    hosts: int = 1000,
    start: datetime = MONDAY,
    days: int = 1,
    network_seed: int = 0,
    chunk_rows: int = CHUNK_ROWS,
) -> Iterator[pl.DataFrame]:
    """Yield the frame of :func:`generate_traffic` in pieces of ``chunk_rows``, the last one shorter.

    Memory is that of one chunk and one window, however many rows there are.

    Raises
    ------
    ValueError
        An argument is out of range.
    """
    if rows < 0 or chunk_rows < 1 or days < 1:
        raise ValueError(f"got rows={rows}, chunk_rows={chunk_rows}, days={days}; expected 0, 1 and 1 at least")
    if not 0 <= attack_rate <= 1:
        raise ValueError(f"got attack_rate={attack_rate}, expected a share from 0 to 1")
    if start.tzinfo is None:
        raise ValueError(f"got start={start} without a time zone; give it one, for example tzinfo=UTC")
    network = Network(hosts, network_seed)
    pending: list[pl.DataFrame] = []
    height = 0
    for flows in _windows(network, rows=rows, seed=seed, attack_rate=attack_rate, start=start, days=days):
        pending.append(_frame(flows, network, start))
        height += pending[-1].height
        while height >= chunk_rows:
            joined = pl.concat(pending, rechunk=True)
            yield joined.head(chunk_rows)
            pending = [joined.slice(chunk_rows)]
            height = pending[0].height
    if height:
        yield pl.concat(pending, rechunk=True)


def write_traffic(
    path: str | Path,
    rows: int,
    *,
    seed: int = 0,
    attack_rate: float = 0.02,
    hosts: int = 1000,
    start: datetime = MONDAY,
    days: int = 1,
    network_seed: int = 0,
) -> None:
    """Write generated traffic to ``path``, chunk by chunk: ``.csv``, ``.csv.gz`` or ``.parquet`` (zstd).

    The parameters are those of :func:`generate_traffic`. The file appears under its name only when complete.

    Raises
    ------
    ValueError
        The suffix is none of these, or an argument is out of range.
    """
    path = Path(path)
    chunks = traffic_chunks(
        rows, seed=seed, attack_rate=attack_rate, hosts=hosts, start=start, days=days, network_seed=network_seed
    )
    if path.name.endswith((".csv", ".csv.gz")):
        write = _write_csv
    elif path.suffix == ".parquet":
        write = _write_parquet
    else:
        raise ValueError(f"got the file name {path.name}; expected one that ends in .csv, .csv.gz or .parquet")
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(beside, path.name.endswith(".gz"), chunks)
        beside.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()


def _windows(
    network: Network, *, rows: int, seed: int, attack_rate: float, start: datetime, days: int
) -> Iterator[Flows]:
    """Yield the flows of each window of time, sorted."""

    def stream(*key: int) -> np.random.Generator:
        return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=key)))

    seconds = days * DAY_SECONDS
    windows = max(LEAST_WINDOWS_A_DAY * days, -(-rows // WINDOW_ROWS))
    edges = np.linspace(0.0, seconds, windows + 1)
    normal = NormalTraffic(network)
    monday = start.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=start.weekday())
    load = normal.load((start - monday).total_seconds() + edges)
    expected = (load[1:] + load[:-1]).sum(axis=1)

    attacks = round(rows * attack_rate)
    heartbeats = round((rows - attacks) * HEARTBEAT_SHARE)
    campaigns = [
        plan_campaigns(stream(1, kind), network, name, count, seconds)
        for kind, (name, count) in enumerate(
            [*zip(ATTACKS, _apportion(attacks), strict=True), (HEARTBEAT, heartbeats)], start=1
        )
    ]
    counts = stream(2).multinomial(rows - attacks - heartbeats, expected / expected.sum())
    for window, count in enumerate(counts.tolist()):
        rng = stream(3, window)
        begin, end = float(edges[window]), float(edges[window + 1])
        first, last = load[window : window + 2].sum(axis=1).tolist()
        time = _times(rng, count, begin, end, (last - first) / (last + first))
        parts = [normal.draw(rng, time, load[window] + load[window + 1]), *_drawn(rng, network, campaigns, begin, end)]
        yield in_time_order(parts)


def _drawn(
    rng: np.random.Generator, network: Network, campaigns: list[Campaigns], begin: float, end: float
) -> Iterator[Flows]:
    for kind in campaigns:
        flows = draw_campaigns(rng, network, kind, begin, end)
        if flows is not None:
            yield flows


def _apportion(attacks: int) -> list[int]:
    """Share ``attacks`` flows out by :data:`ATTACK_SHARES`, largest remainders first."""
    exact = np.array(ATTACK_SHARES) * attacks
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: attacks - int(counts.sum())]] += 1
    return [int(count) for count in counts]


def _times(rng: np.random.Generator, count: int, begin: float, end: float, slope: float) -> NDArray[np.int64]:
    """Draw sorted times whose density runs straight from ``1 - slope`` to ``1 + slope`` over the window."""
    draw = np.sort(rng.random(count))
    # Inverse of F(x) = (1 - s) x + s x^2, written so that s = 0 needs no case of its own.
    place = 2 * draw / (1 - slope + np.sqrt(np.square(1 - slope) + 4 * slope * draw))
    time = ((begin + place * (end - begin)) * MICROSECONDS).astype(np.int64)
    return np.asarray(np.minimum(time, int(end * MICROSECONDS) - 1), dtype=np.int64)


def _frame(flows: Flows, network: Network, start: datetime) -> pl.DataFrame:
    epoch = round(start.timestamp() * MICROSECONDS)
    protocols = pl.Series(PROTOCOLS, dtype=pl.String)
    kinds = pl.Series([NORMAL, *ATTACKS], dtype=pl.String)
    data: dict[str, Any] = {
        "Timestamp": pl.Series(flows.time + epoch).cast(COLUMNS["Timestamp"]),
        "SourceIP": network.addresses.gather(flows.source),
        "DestinationIP": network.addresses.gather(flows.destination),
        "SourcePort": flows.source_port,
        "DestinationPort": flows.destination_port,
        "Protocol": protocols.gather(flows.protocol),
        "BytesSent": flows.bytes_sent,
        "BytesReceived": flows.bytes_received,
        "PacketsSent": flows.packets_sent,
        "PacketsReceived": flows.packets_received,
        "Duration": np.round(flows.duration, 6),
        "IsAnomaly": (flows.attack > 0).astype(np.int8),
        "Attack": kinds.gather(flows.attack),
    }
    return pl.DataFrame(data)


def _write_csv(path: Path, compress: bool, chunks: Iterator[pl.DataFrame]) -> None:
    import gzip

    with contextlib.ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(path.open("wb"))
        if compress:
            file = cast("IO[bytes]", stack.enter_context(gzip.GzipFile("", "wb", 4, file)))
        file.write((",".join(COLUMNS) + "\n").encode())
        for chunk in chunks:
            chunk.write_csv(file, include_header=False, datetime_format=TIME_FORMAT)


def _write_parquet(path: Path, compress: bool, chunks: Iterator[pl.DataFrame]) -> None:
    import pyarrow.parquet as pq

    schema = pl.DataFrame(schema=COLUMNS).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for chunk in chunks:
            file.write_table(chunk.to_arrow(compat_level=pl.CompatLevel.oldest()))


def main(arguments: list[str] | None = None) -> None:
    """Write a file of generated traffic, as the command line asks."""
    parser = argparse.ArgumentParser(
        prog="python -m netsieve.bench.traffic", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("path", type=Path, metavar="OUT", help="file to write: .csv, .csv.gz or .parquet")
    parser.add_argument("--rows", type=int, default=1_000_000, help="flows to write (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="which day this is (default: %(default)s)")
    parser.add_argument("--attack-rate", type=float, default=0.02, help="share of attack flows (default: %(default)s)")
    parser.add_argument("--days", type=int, default=1, help="days covered (default: %(default)s)")
    parser.add_argument("--hosts", type=int, default=1000, help="hosts inside (default: %(default)s)")
    parser.add_argument("--start", default=MONDAY.date().isoformat(), help="first day (default: %(default)s, a Monday)")
    parser.add_argument("--network-seed", type=int, default=0, help="which network this is (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        start = datetime.fromisoformat(options.start).replace(tzinfo=UTC)
        write_traffic(
            options.path,
            options.rows,
            seed=options.seed,
            attack_rate=options.attack_rate,
            hosts=options.hosts,
            start=start,
            days=options.days,
            network_seed=options.network_seed,
        )
    except (ValueError, OSError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
