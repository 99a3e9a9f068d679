"""Suricata events of several types in one file, made up, for measuring readers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

EVENT_TYPES: Final = {"flow": 0.70, "dns": 0.14, "alert": 0.10, "http": 0.04, "tls": 0.02}
"""Share of each event type: about that of the real ``slips_test6`` file."""
FIRST_TIME: Final = datetime(2021, 6, 6, 14, 0, tzinfo=UTC)
DISTINCT_EVENTS: Final = 50_000
"""Events that are made; a longer file repeats them."""


def write_events(path: Path, events: int, *, seed: int = 0) -> None:
    """Write so many events, one a line."""
    distinct = max(1, min(events, DISTINCT_EVENTS))
    lines = [json.dumps(event, separators=(",", ":")) + "\n" for event in islice(_events(seed), distinct)]
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, events, distinct):
            file.writelines(lines[: events - start])


def _events(seed: int) -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(seed)
    time = FIRST_TIME
    while True:
        time += timedelta(microseconds=int(random.integers(10, 100_000)))
        kind = str(random.choice(list(EVENT_TYPES), p=list(EVENT_TYPES.values())))
        tcp = kind in ("http", "tls") or (kind != "dns" and random.random() < 0.6)
        event = {
            "timestamp": _text(time),
            "flow_id": int(random.integers(1, 2**51)),
            "in_iface": "eth0",
            "event_type": kind,
            "src_ip": f"192.168.{random.integers(4)}.{random.integers(1, 255)}",
            "src_port": int(random.integers(1024, 65536)),
            "dest_ip": ".".join(map(str, random.integers(1, 255, 4))),
            "dest_port": int(random.choice([53, 80, 443, 22, 445])),
            "proto": "TCP" if tcp else "UDP",
        }
        yield event | _section(kind, tcp, time, random) | {"host": "sensor-1"}


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%f+0000")


def _section(kind: str, tcp: bool, time: datetime, random: np.random.Generator) -> dict[str, Any]:
    packets = [int(number) for number in random.geometric(0.1, 2)]
    counters = {
        "pkts_toserver": packets[0],
        "pkts_toclient": packets[1] - 1,
        "bytes_toserver": packets[0] * int(random.integers(60, 1500)),
        "bytes_toclient": (packets[1] - 1) * int(random.integers(60, 1500)),
        "start": _text(time - timedelta(microseconds=int(random.integers(1, 10**8)))),
    }
    name = f"host{random.integers(1000)}.example.org"
    if kind == "flow":
        ended = {"end": _text(time), "age": int(random.integers(100)), "state": "closed", "reason": "timeout"}
        flags = {"tcp_flags": "1b", "tcp_flags_ts": "1b", "tcp_flags_tc": "1b", "syn": True, "fin": True, "psh": True}
        connection = {"tcp": flags | {"ack": True, "state": "closed"}} if tcp else {}
        return {"app_proto": "tls" if tcp else "dns", "flow": counters | ended | {"alerted": False}} | connection
    if kind == "dns":
        answers = [{"rrname": name, "rrtype": "A", "ttl": 60, "rdata": "10.1.2.3"}]
        answer = {"version": 2, "type": "answer", "id": 7, "flags": "8180", "qr": True, "rd": True, "ra": True}
        return {"dns": answer | {"rrname": name, "rrtype": "A", "rcode": "NOERROR", "answers": answers}}
    if kind == "alert":
        rule = {"action": "allowed", "gid": 1, "signature_id": 2403388, "rev": 66418}
        text = {"signature": "ET CINS Active Threat Intelligence group 89", "category": "Misc Attack", "severity": 2}
        return {"alert": rule | text | {"metadata": {"tag": ["CINS"]}}, "flow": counters}
    if kind == "http":
        request = {"hostname": name, "url": f"/page/{random.integers(1000)}", "http_user_agent": "Mozilla/5.0 (X11)"}
        return {
            "tx_id": 0,
            "http": request | {"http_method": "GET", "protocol": "HTTP/1.1", "status": 200, "length": 9},
        }
    return {"tls": {"sni": name, "version": "TLS 1.2", "subject": f"CN={name}", "issuerdn": "C=US, O=Authority"}}
