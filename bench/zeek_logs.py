"""Zeek's connection logs, made up, tab-separated and as JSON lines, for measuring readers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from netsieve.engine.sources.zeek_fields import STANDARD_LOGS

CONN: Final = STANDARD_LOGS["conn"]
FIRST_TIME: Final = 1_713_484_800


def connections(rows: int, seed: int = 0) -> dict[str, list[str]]:
    """Return columns of cells as Zeek writes them into ``conn.log``, the same for the same seed."""
    random = np.random.default_rng(seed)
    letters = np.array(list("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))
    unset = random.random(rows) < 0.3

    def some(values: list[str]) -> list[str]:
        return [values[choice] for choice in random.integers(0, len(values), rows).tolist()]

    def numbers(scale: float) -> list[str]:
        return [str(int(n)) for n in random.lognormal(scale, 2, rows)]

    def or_unset(cells: list[str]) -> list[str]:
        return ["-" if gone else cell for cell, gone in zip(cells, unset, strict=True)]

    times = FIRST_TIME + np.cumsum(random.exponential(0.01, rows))
    cells = {
        "ts": [f"{time:.6f}" for time in times],
        "uid": ["C" + "".join(word) for word in letters[random.integers(0, len(letters), (rows, 17))]],
        "id.orig_h": [".".join(map(str, octets)) for octets in random.integers(1, 255, (rows, 4)).tolist()],
        "id.orig_p": random.integers(1024, 65536, rows).astype(str).tolist(),
        "id.resp_h": [f"192.168.{net}.{host}" for net, host in random.integers(1, 255, (rows, 2)).tolist()],
        "id.resp_p": some(["80", "443", "22", "53", "8080", "3389"]),
        "proto": some(["tcp", "tcp", "tcp", "udp", "icmp"]),
        "service": some(["-", "-", "-", "http", "ssl", "dns", "ssh"]),
        "duration": or_unset([f"{seconds:.6f}" for seconds in random.lognormal(0, 3, rows)]),
        "orig_bytes": or_unset(numbers(5)),
        "resp_bytes": or_unset(numbers(6)),
        "conn_state": some(["SF", "S0", "REJ", "RSTO", "OTH"]),
        "local_orig": some(["F", "F", "T"]),
        "local_resp": some(["T"]),
        "missed_bytes": some(["0"]),
        "history": some(["ShADadFf", "S", "Sr", "ShADadR", "Dd", "^fA"]),
        "orig_pkts": numbers(1),
        "orig_ip_bytes": numbers(6),
        "resp_pkts": numbers(1),
        "resp_ip_bytes": numbers(6),
        "tunnel_parents": some(["-"]),
    }
    assert list(cells) == list(CONN)
    return cells


def write_tsv(path: Path, cells: dict[str, list[str]]) -> None:
    """Write the tab-separated log."""
    header = [
        "#separator \\x09",
        "#set_separator\t,",
        "#empty_field\t(empty)",
        "#unset_field\t-",
        "#path\tconn",
        "\t".join(["#fields", *CONN]),
        "\t".join(["#types", *CONN.values()]),
    ]
    with path.open("w") as file:
        file.writelines(line + "\n" for line in header)
        file.writelines("\t".join(row) + "\n" for row in zip(*cells.values(), strict=True))


def write_json(path: Path, cells: dict[str, list[str]]) -> None:
    """Write the same records as JSON lines, as Zeek does: without the fields that are unset."""
    readers: dict[str, Callable[[str], Any]] = {
        "time": float,
        "interval": float,
        "count": int,
        "port": int,
        "bool": lambda cell: cell == "T",
    }
    with path.open("w") as file:
        for row in zip(*cells.values(), strict=True):
            record = {
                name: readers.get(zeek_type, str)(cell)
                for (name, zeek_type), cell in zip(CONN.items(), row, strict=True)
                if cell != "-"
            }
            file.write(json.dumps(record, separators=(",", ":")) + "\n")
