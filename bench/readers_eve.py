"""How fast Suricata's events are read into columns: netsieve next to other ways, on the same file and one thread.

``python -m netsieve.bench.readers_eve --json benchmarks/readers_eve.json``

Each reader gives the flow events of the file as a frame with the columns of
:mod:`netsieve.engine.sources.eve_columns`, its times parsed; netsieve checks every value, keeps rejects, and adds the
computed columns besides. Polars and DuckDB are given the schema, which is faster than having it inferred. Each runs in
a process of its own; the seconds are those of reading alone, not of imports.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

from netsieve.bench.eve_events import write_events
from netsieve.bench.interleave import interleave, ratios, spread
from netsieve.bench.machine import describe_machine
from netsieve.bench.measurement import timing_line, write_measurement
from netsieve.engine.sources.eve_columns import event_columns

EVENTS: Final = 400_000
OURS: Final = "netsieve"
WARM_UP_LINES: Final = 2000


def _flow_rows(path: str, loads: Callable[[bytes], Any]) -> Any:
    """Read line by line with a JSON parser, and collect the columns."""
    import polars as pl

    parts = [tuple(name.split(".")) for name in event_columns("flow")]
    columns: list[list[Any]] = [[] for _ in parts]
    with open(path, "rb") as file:
        for line in file:
            event = loads(line)
            if event.get("event_type") != "flow":
                continue
            for column, names in zip(columns, parts, strict=True):
                value = event
                for name in names:
                    value = value.get(name) if value is not None else None
                column.append(value)
    frame = pl.DataFrame(dict(zip(event_columns("flow"), columns, strict=True)), strict=False, infer_schema_length=None)
    times = [name for name, kind in event_columns("flow").items() if kind == "time"]
    return frame.with_columns(pl.col(times).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_zone="UTC"))


def read_json(path: str) -> Any:
    """Read with the standard library."""
    return _flow_rows(path, json.loads)


def read_orjson(path: str) -> Any:
    """Read with orjson."""
    import orjson

    return _flow_rows(path, orjson.loads)


def read_polars(path: str) -> Any:
    """Read with Polars, which is given the schema."""
    import polars as pl

    kinds = {"integer": pl.Int64, "float": pl.Float64, "boolean": pl.Boolean, "string": pl.String, "time": pl.String}
    schema: dict[str, Any] = {}
    for name, kind in event_columns("flow").items():
        section, _, member = name.rpartition(".")
        (schema.setdefault(section, {}) if section else schema)[member] = kinds[kind]
    schema = {name: pl.Struct(kind) if isinstance(kind, dict) else kind for name, kind in schema.items()}
    columns = [
        (pl.col(name.split(".")[0]).struct.field(name.split(".")[1]) if "." in name else pl.col(name)).alias(name)
        for name in event_columns("flow")
    ]
    times = [name for name, kind in event_columns("flow").items() if kind == "time"]
    events = pl.scan_ndjson(path, schema=schema, ignore_errors=True).filter(pl.col("event_type") == "flow")
    flows = events.select(columns)
    return flows.with_columns(pl.col(times).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_zone="UTC")).collect()


def read_duckdb(path: str) -> Any:
    """Read with DuckDB, which is given the schema."""
    import duckdb

    kinds = {"integer": "BIGINT", "float": "DOUBLE", "boolean": "BOOLEAN", "string": "VARCHAR", "time": "VARCHAR"}
    schema: dict[str, Any] = {}
    for name, column in event_columns("flow").items():
        section, _, member = name.rpartition(".")
        (schema.setdefault(section, {}) if section else schema)[member] = kinds[column]
    types = {}
    for name, kind in schema.items():
        members = kind.items() if isinstance(kind, dict) else ()
        types[name] = "STRUCT(" + ", ".join(f'"{member}" {of}' for member, of in members) + ")" if members else kind
    quoted = {name: '"' + name.replace(".", '"."') + '"' for name in event_columns("flow")}
    wanted = ", ".join(
        (f"strptime({quoted[name]}, '%Y-%m-%dT%H:%M:%S.%f%z')" if kind == "time" else quoted[name]) + f' AS "{name}"'
        for name, kind in event_columns("flow").items()
    )
    connection = duckdb.connect(config={"threads": 1})
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
    source = f"read_json('{path}', format='newline_delimited', ignore_errors=true, columns={{{columns}}})"
    return connection.sql(f"SELECT {wanted} FROM {source} WHERE event_type = 'flow'").to_arrow_table()


def read_netsieve(path: str) -> Any:
    """Read with netsieve: every column, the computed ones too, and the rejects."""
    import polars as pl

    from netsieve.engine.sources.reading import scan

    return pl.concat([block.frame for block in scan([path])])


READERS: Final[dict[str, Callable[[str], Any]]] = {
    OURS: read_netsieve,
    "json": read_json,
    "orjson": read_orjson,
    "polars": read_polars,
    "duckdb": read_duckdb,
}


def run_reader(name: str, path: str) -> dict[str, float]:
    """Read a file in this process, and return how long it took and what it needed."""
    with open(path, "rb") as file, NamedTemporaryFile(suffix=".json") as first:
        first.writelines(islice(file, WARM_UP_LINES))
        first.flush()
        READERS[name](first.name)  # imports, and what else is done once
    started, used = time.perf_counter(), time.process_time()
    table = READERS[name](path)
    return {
        "seconds": time.perf_counter() - started,
        "processor_seconds": time.process_time() - used,
        "rows": len(table),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _in_a_process(name: str, path: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "netsieve.bench.readers_eve", "--reader", name, str(path)]
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
    measured: dict[str, float] = json.loads(
        subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    )
    return measured


def measure_readers(path: Path, readers: Iterable[str], *, rounds: int) -> dict[str, Any]:
    """Run each reader ``rounds`` times, interleaved, and return what was measured, ready for JSON."""
    machine = describe_machine()
    lines = sum(1 for _ in path.open("rb"))
    runs = interleave({name: lambda name=name: _in_a_process(name, path) for name in readers}, rounds=rounds)  # type: ignore[misc]
    return {
        "benchmark": "readers_eve",
        "machine": machine,
        "threads": 1,
        "rounds": rounds,
        "lines": lines,
        "bytes": path.stat().st_size,
        "runs": runs,
    }


def readers_table(result: dict[str, Any]) -> str:
    """Return the result as a Markdown table."""
    lines = ["| reader | M lines/s | MB/s | peak MB | netsieve is faster by |", "| --- | --- | --- | --- | --- |"]
    times = {name: [run["processor_seconds"] for run in runs] for name, runs in result["runs"].items()}
    for name, seconds in times.items():
        speed = result["lines"] / spread(seconds)[0] / 1e6
        bytes_a_line = result["bytes"] / result["lines"]
        peak = max(run["peak_rss_bytes"] for run in result["runs"][name]) / 1e6
        faster, least, most = spread(ratios(seconds, times[OURS]))
        cells = [name, f"{speed:.3f}", f"{speed * bytes_a_line:.0f}", f"{peak:.0f}"]
        lines.append(f"| {' | '.join(cells)} | {faster:.1f}x ({least:.1f} to {most:.1f}) |")
    return "\n".join(lines)


def _prepared(source: Path | None, events: int, cache: Path) -> Path:
    path = cache / (f"eve-{events}.json" if source is None else f"{source.name}-{events}.json")
    if path.exists():
        return path
    if source is None:
        write_events(path, events)
        return path
    content = source.read_bytes()
    lines = (gzip.decompress(content) if source.suffix == ".gz" else content).splitlines(keepends=True)
    with path.open("wb") as file:
        for start in range(0, events, len(lines)):
            file.writelines(lines[: events - start])
    return path


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m netsieve.bench.readers_eve", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--file", type=Path, help="events to repeat (default: made up)")
    parser.add_argument("--events", type=int, default=EVENTS, help="lines to read (default: %(default)s)")
    parser.add_argument("--readers", nargs="+", default=list(READERS), choices=READERS, help="which readers to run")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=Path("build/bench"), help="where the file is kept")
    parser.add_argument("--json", type=Path, help="write everything measured here")
    parser.add_argument("--reader", nargs=2, metavar=("READER", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.reader:
        print(json.dumps(run_reader(*options.reader)))
        return
    options.cache.mkdir(parents=True, exist_ok=True)
    path = _prepared(options.file, options.events, options.cache)
    readers = dict.fromkeys([OURS, *options.readers])
    result = measure_readers(path, readers, rounds=options.rounds)
    print(f"{timing_line(result)}\n\n{readers_table(result)}")
    if options.json:
        write_measurement(options.json, result)


if __name__ == "__main__":
    main()
