"""How fast Zeek's connection logs are read, tab-separated and as JSON lines, next to Polars and pandas.

``POLARS_MAX_THREADS=1 python -m netsieve.bench.zeek_logs --json benchmarks/zeek_logs.json``
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import polars as pl

from netsieve.bench.interleave import interleave, ratios, seconds_of
from netsieve.bench.machine import describe_machine
from netsieve.bench.measurement import timing_line, write_measurement
from netsieve.engine.sources import ColumnRequest, open_source
from netsieve.engine.sources.zeek_fields import STANDARD_LOGS

CONN: Final = STANDARD_LOGS["conn"]
FEW_COLUMNS: Final = ("ts", "id.resp_p", "proto", "duration", "orig_bytes", "resp_bytes")
FIRST_TIME: Final = 1_713_484_800
POLARS_TYPES: Final = {
    "time": pl.Float64,
    "interval": pl.Float64,
    "count": pl.Int64,
    "port": pl.Int64,
}


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


def read_all(path: Path, columns: tuple[str, ...] | None, threads: int) -> int:
    """Read a log with this project's reader and return its records; ``columns`` None: the derived ones as well."""
    request = ColumnRequest(columns=columns)
    with closing(open_source(str(path), columns=request)) as source:
        if threads == 1:
            return sum(source.parse(block).frame.height for block in source.blocks())
        with ThreadPoolExecutor(threads) as pool:
            return sum(parsed.frame.height for parsed in pool.map(source.parse, source.blocks()))


def read_polars_tsv(path: Path) -> int:
    """Read the tab-separated log with Polars, which is told the types: times stay numbers, truth values text."""
    schema = {name: POLARS_TYPES.get(zeek_type, pl.String) for name, zeek_type in CONN.items()}
    return pl.read_csv(
        path, separator="\t", comment_prefix="#", has_header=False, schema=schema, null_values="-", quote_char=None
    ).height


def read_polars_json(path: Path) -> int:
    """Read the JSON lines with Polars, which is told the types."""
    types = POLARS_TYPES | {"bool": pl.Boolean}
    schema = {name: types.get(zeek_type, pl.String) for name, zeek_type in CONN.items()}
    return pl.read_ndjson(path, schema=schema).height


def read_pandas_tsv(path: Path) -> int:
    """Read the tab-separated log with pandas, which finds out the types."""
    pandas: Any = import_module("pandas")
    return len(pandas.read_csv(path, sep="\t", comment="#", header=None, names=list(CONN), na_values="-", quoting=3))


def measure(rows: int, rounds: int) -> dict[str, Any]:
    """Return seconds of each reader on the same generated log, and how many times longer than ours each takes."""
    with TemporaryDirectory() as folder:
        tsv, json_lines = Path(folder) / "conn.log", Path(folder) / "conn.json"
        cells = connections(rows)
        write_tsv(tsv, cells)
        write_json(json_lines, cells)
        del cells
        fields = tuple(CONN)
        cases: dict[str, Callable[[], int]] = {
            "netsieve": lambda: read_all(tsv, fields, 1),
            "netsieve, derived columns too": lambda: read_all(tsv, None, 1),
            "netsieve, 6 columns": lambda: read_all(tsv, FEW_COLUMNS, 1),
            "netsieve, 2 threads": lambda: read_all(tsv, fields, 2),
            "polars": lambda: read_polars_tsv(tsv),
            "netsieve JSON": lambda: read_all(json_lines, fields, 1),
            "polars JSON": lambda: read_polars_json(json_lines),
        }
        if find_spec("pandas"):
            cases["pandas"] = lambda: read_pandas_tsv(tsv)
        machine = describe_machine()
        for name, case in cases.items():
            read = case()
            if read != rows:
                raise RuntimeError(f"{name} read {read} of {rows} records")
        seconds = interleave({name: _timed(case) for name, case in cases.items()}, rounds=rounds)
        sizes = {"tsv": tsv.stat().st_size, "json": json_lines.stat().st_size}
    against = {name: "netsieve JSON" if "JSON" in name else "netsieve" for name in cases}
    return {
        "benchmark": "zeek_logs",
        "machine": machine,
        "rounds": rounds,
        "rows": rows,
        "bytes": sizes,
        "polars_threads": pl.thread_pool_size(),
        "seconds": seconds,
        "records_per_second": {name: rows / median(times) for name, times in seconds.items()},
        "times_as_long_as_ours": {
            name: median(ratios(times, seconds[against[name]])) for name, times in seconds.items()
        },
    }


def _timed(case: Callable[[], int]) -> Callable[[], float]:
    return lambda: seconds_of(case)


def zeek_table(result: dict[str, Any]) -> str:
    """Return the result as a Markdown table."""
    lines = ["| reader | M records/s | times as long as netsieve on the same form |", "| --- | --- | --- |"]
    for name, rate in result["records_per_second"].items():
        lines.append(f"| {name} | {rate / 1e6:.2f} | {result['times_as_long_as_ours'][name]:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print a table, and write the JSON file that is asked for."""
    parser = argparse.ArgumentParser(description="Time readers of Zeek's connection logs on the same generated log.")
    parser.add_argument("--rows", type=int, default=500_000, help="records of the log")
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the measurement is written")
    options = parser.parse_args()
    result = measure(options.rows, options.rounds)
    print(f"{timing_line(result)}; Polars threads: {result['polars_threads']}\n\n{zeek_table(result)}")
    if options.json:
        write_measurement(options.json, result)


if __name__ == "__main__":
    main()
