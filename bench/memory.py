"""Whether the memory of ``netsieve score`` stays the same however large the file is.

``python -m netsieve.bench.memory --json benchmarks/memory.json`` scores files of 2 M and 20 M flows, as CSV and as
Parquet of equal row groups, and ends with 1 if the peak of the larger is more than 20 % above the smaller's.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from netsieve.bench.machine import describe_machine
from netsieve.bench.measurement import timing_line, write_measurement
from netsieve.bench.process import run_process
from netsieve.bench.workload import prepare_workload, score_command

LARGEST_GROWTH: Final = 1.2
MEMORY_AIM_BYTES: Final = 250_000_000


def measure_memory(rows: list[int], *, suffixes: list[str], threads: int, cache: Path, folder: Path) -> dict[str, Any]:
    """Score a file of each size and format once and return the peaks, ready for JSON.

    Raises
    ------
    ProcessFailedError
        A run failed.
    """
    formats: dict[str, Any] = {}
    machine = describe_machine()
    for suffix in suffixes:
        runs = []
        for count in rows:
            workload = prepare_workload(cache, count, suffix=suffix)
            out = folder / "scored.parquet"
            cost = run_process(score_command(workload.model, workload.flows, out, keep="all", threads=threads))
            out.unlink()
            runs.append(
                {
                    "rows": count,
                    "input_bytes": workload.flows.stat().st_size,
                    "wall_seconds": cost.wall_seconds,
                    "peak_rss_bytes": cost.peak_rss_bytes,
                }
            )
        peaks = [run["peak_rss_bytes"] for run in runs]
        formats[suffix.removeprefix(".")] = {"runs": runs, "growth": peaks[-1] / peaks[0]}
    return {"benchmark": "memory", "machine": machine, "threads": threads, "formats": formats}


def memory_table(result: dict[str, Any]) -> str:
    """Return the result as a Markdown table."""
    lines = ["| input | rows | file MB | peak MB | wall s | growth |", "| --- | --- | --- | --- | --- | --- |"]
    for name, measured in result["formats"].items():
        for i, run in enumerate(measured["runs"]):
            growth = f"{measured['growth']:.2f}" if i == len(measured["runs"]) - 1 else ""
            lines.append(
                f"| {name} | {run['rows']:,} | {run['input_bytes'] / 1e6:,.0f} | {run['peak_rss_bytes'] / 1e6:,.0f} "
                f"| {run['wall_seconds']:.1f} | {growth} |"
            )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, write the JSON; exit 1 if memory grows with the file."""
    parser = argparse.ArgumentParser(prog="python -m netsieve.bench.memory", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000_000, 20_000_000], help="sizes, rising")
    parser.add_argument("--formats", nargs="+", default=["csv", "parquet"], choices=["csv", "csv.gz", "parquet"])
    parser.add_argument("--threads", type=int, default=2, help="of netsieve (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=Path("build/bench"), help="where data and model are kept")
    parser.add_argument("--json", type=Path, help="write everything measured here")
    options = parser.parse_args(arguments)
    options.cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=options.cache) as folder:
        result = measure_memory(
            options.rows,
            suffixes=[f".{name}" for name in options.formats],
            threads=options.threads,
            cache=options.cache,
            folder=Path(folder),
        )
    print(f"{timing_line(result)}\n\n{memory_table(result)}")
    if options.json:
        write_measurement(options.json, result)
    growing = [name for name, measured in result["formats"].items() if measured["growth"] > LARGEST_GROWTH]
    if growing:
        sys.exit(f"memory grows with the file by more than {LARGEST_GROWTH - 1:.0%}: {', '.join(growing)}")


if __name__ == "__main__":
    main()
