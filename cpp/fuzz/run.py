"""Run the fuzz targets and print what came of it; ``make fuzz`` builds them first.

``python cpp/fuzz/run.py --seconds 600 --record`` also writes ``results.json`` and the table of ``README.md``.
Exit status 1 after a fault; its input is left in ``build/fuzz/out/TARGET``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build" / "fuzz"
README = HERE / "README.md"
RESULTS = HERE / "results.json"
TARGETS = ("records", "json_lines", "zeek", "comma_lists", "pcap", "interner")
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"


def run_target(target: str, seconds: float, random_seed: int) -> dict[str, Any]:
    """Run a target and return what it did: seconds, executions, edges, inputs kept, faults."""
    out = BUILD / "out" / target
    out.mkdir(parents=True, exist_ok=True)
    places = [HERE / "dictionaries" / f"{target}.txt", HERE / "seeds" / target, out]
    command = [BUILD / f"fuzz_{target}", "--fuzz", str(seconds), str(random_seed), *places]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    result = {"target": target, **(json.loads(lines[-1]) if lines else {})}
    if done.returncode:
        sys.stderr.write(f"{target} ended with status {done.returncode}\n{done.stderr}")
        result["faults"] = 1
    return result


def table(results: list[dict[str, Any]]) -> str:
    """Return results as a Markdown table."""
    lines = [
        "| target | seconds | executions | edges | inputs kept | faults |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        cells = [f"{result.get(name, 0):,.0f}" for name in ("seconds", "executions", "edges", "inputs", "faults")]
        lines.append(" | ".join([f"| `{result['target']}`", *cells]) + " |")
    return "\n".join(lines) + "\n"


def results_section(record: dict[str, Any]) -> str:
    """Return what the page says of a recorded run."""
    return f"Last run: {record['date']}, {record['compiler']}.\n\n{table(record['results'])}"


def write_record(results: list[dict[str, Any]]) -> None:
    """Write the results and the page's table."""
    compiler = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    record = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "compiler": compiler, "results": results}
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(before + BEGIN + "\n" + results_section(record) + "\n" + END + after)


def main() -> int:
    """Run the targets asked for; return the exit status."""
    parser = argparse.ArgumentParser(description="Run the fuzz targets.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all unless named")
    parser.add_argument("--seconds", type=float, default=600, help="for each target")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time")
    parser.add_argument("--random-seed", type=int, default=int(datetime.now(UTC).timestamp()))
    parser.add_argument("--record", action="store_true", help="write results.json and the table of README.md")
    options = parser.parse_args()
    targets = options.targets or TARGETS
    unknown = sorted(set(targets) - set(TARGETS))
    if unknown:
        parser.error(f"no target named {', '.join(unknown)}; expected some of {', '.join(TARGETS)}")
    with ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda target: run_target(target, options.seconds, options.random_seed), targets))
    sys.stdout.write(table(results))
    if options.record:
        write_record(results)
    return 1 if any(result.get("faults", 1) for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
