"""How fast log files are read: netsieve next to the other ways that people use, on the same file.

``python -m netsieve.bench.reading eve --json benchmarks/reading-eve.json``, and ``zeek`` or ``pcap`` likewise.

The readers and what each reads are in :mod:`netsieve.bench.readers_eve` and its neighbours. They take turns; each run
is a process of its own (see :mod:`netsieve.bench.readers`), and what it read is compared with what netsieve did.
A reader whose package is not installed is named as missing: ``pip install 'netsieve[bench]'`` has all of them.
"""

from __future__ import annotations

import argparse
import gzip
from math import isclose
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from netsieve.bench.interleave import ratios, spread
from netsieve.bench.machine import describe_machine
from netsieve.bench.measurement import timing_line, write_measurement
from netsieve.bench.readers import BLOCK_BY_BLOCK, FORMATS, OURS, Form, Task, run_reader, tasks_of

PARTS: Final = 4
"""Files of the form ``4 gzip files``."""
GZIP_LEVEL: Final = 6
ZSTANDARD_LEVEL: Final = 3
WARM_UP_RECORDS: Final = 2000
LARGEST_RELATIVE_DIFFERENCE: Final = 1e-9
"""Of sums of floats, which readers may add in another order."""

READING_NOTE: Final = """\
Each run is a process of its own, bound to as many cores as it has threads. A reader gives all records as one table with
the columns that netsieve gives, but for "block by block", which holds a block at a time as netsieve's own commands do;
record counts, missing values, distinct values and sums of columns agree with netsieve's in every run. MB are those
of the unpacked file. Readers that cannot use a second thread, or read a packed file, have no row there."""
Runs = dict[str, list[dict[str, Any]]]


def pack(plain: Path, form: Form) -> list[Path]:
    """Write a file of lines in another form beside it, and return where."""
    if form == "plain":
        return [plain]
    content = plain.read_bytes()
    if form == "zst":
        import zstandard

        path = plain.with_name(f"{plain.name}.zst")
        path.write_bytes(zstandard.compress(content, ZSTANDARD_LEVEL))
        return [path]
    if form == "gzip":
        path = plain.with_name(f"{plain.name}.gz")
        path.write_bytes(gzip.compress(content, GZIP_LEVEL))
        return [path]
    paths = [plain.with_name(f"part-{part}-{plain.name}.gz") for part in range(PARTS)]
    lines = content.splitlines(keepends=True)
    size = -(-len(lines) // PARTS)
    for part, path in enumerate(paths):
        path.write_bytes(gzip.compress(b"".join(lines[part * size : (part + 1) * size]), GZIP_LEVEL))
    return paths


def measure_task(name: str, task: Task, *, rounds: int, records: int, folder: Path) -> dict[str, Any]:
    """Read the task's file in each form with each reader, in turn; return what was measured, ready for JSON.

    Raises
    ------
    RuntimeError
        A reader failed, or read something else than ours did.
    """
    plain, few = folder / f"{name}{task.suffix}", folder / f"{name}-few{task.suffix}"
    records = task.write(plain, records)
    task.write(few, WARM_UP_RECORDS)
    files = []
    for form in task.forms:
        paths, warm_up = pack(plain, form), pack(few, form)[0]
        for threads in task.threads:
            able = [
                reader
                for reader, how in task.readers.items()
                if form in how.forms and threads in how.threads and how.installed()
            ]
            runs: Runs = {reader: [] for reader in able}
            for turn in range(rounds):
                for reader in able if turn % 2 == 0 else able[::-1]:
                    if turn < task.readers[reader].most_rounds:
                        runs[reader].append(run_reader(name, reader, threads, warm_up, paths))
            check_agreement(runs)
            sizes = {"bytes": plain.stat().st_size, "file_bytes": sum(path.stat().st_size for path in paths)}
            files.append({"form": form, "threads": threads, **sizes, "runs": _measures(runs)})
        if form != "plain":
            for path in paths:
                path.unlink()
    missing = {reader: how.package for reader, how in task.readers.items() if not how.installed()}
    return {"title": task.title, "unit": task.unit, "records": records, "missing": missing, "files": files}


def check_agreement(runs: Runs) -> None:
    """Compare what each run read with the first of ours.

    Raises
    ------
    RuntimeError
        Another number of records, or another sum of a column.
    """
    ours = runs[OURS][0]
    for reader, run in ((reader, run) for reader, of_reader in runs.items() for run in of_reader):
        if run["records"] != ours["records"]:
            raise RuntimeError(f"{reader} read {run['records']} records where {OURS} read {ours['records']}")
        for column, sums in (run["sums"] or {}).items():
            expected = ours["sums"][column]
            if not all(
                isclose(*pair, rel_tol=LARGEST_RELATIVE_DIFFERENCE) for pair in zip(sums, expected, strict=True)
            ):
                raise RuntimeError(
                    f"column {column!r}: missing, distinct and sum are {sums} with {reader}, {expected} with {OURS}"
                )


def _measures(runs: Runs) -> Runs:
    return {
        reader: [{key: value for key, value in run.items() if key != "sums"} for run in of_reader]
        for reader, of_reader in runs.items()
    }


def _one_core(task: dict[str, Any]) -> Runs:
    """Return the runs with the plain file and one thread."""
    runs: Runs = next(file["runs"] for file in task["files"] if (file["form"], file["threads"]) == ("plain", 1))
    return runs


def reader_rate(task: dict[str, Any]) -> float:
    """Return how many lines, records or packets per second netsieve read of the plain file on one core.

    All columns, block by block where that was measured: what its own commands do.
    """
    runs = _one_core(task)
    return float(task["records"] / median(run["seconds"] for run in runs.get(BLOCK_BY_BLOCK, runs[OURS])))


def reader_ratio(task: dict[str, Any], peer: str) -> float | None:
    """Return how many times as long as netsieve a peer took there; None if it was not measured."""
    runs = _one_core(task)
    if peer not in runs:
        return None
    theirs, ours = ([run["seconds"] for run in runs[name]] for name in (peer, OURS))
    return median(ratios(theirs, ours[: len(theirs)]))


def reading_table(result: dict[str, Any]) -> str:
    """Return the tables of all tasks as Markdown."""
    return "\n\n".join([READING_NOTE, *(_task_table(task) for task in result["tasks"].values())])


def _task_table(task: dict[str, Any]) -> str:
    unit = task["unit"]
    sizes = {file["form"]: file["file_bytes"] / 1e6 for file in task["files"]}
    lines = [
        f"**{task['title']}**: {task['records']:,} {unit}; "
        + ", ".join(f"{form} {size:,.1f} MB" for form, size in sizes.items())
        + ".",
        "",
        f"| file | threads | reader | M {unit}/s | M {unit} per CPU s | MB/s | peak MB | times as long as netsieve "
        "| times the CPU s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for file in task["files"]:
        ours = file["runs"][OURS]
        for reader, runs in file["runs"].items():
            walls, used = ([run[key] for run in runs] for key in ("seconds", "processor_seconds"))
            rate = task["records"] / 1e6
            peak = max(run["peak_rss_bytes"] for run in runs) / 1e6
            cells = [file["form"], str(file["threads"]), reader, f"{rate / median(walls):.3f}"]
            cells += [f"{rate / median(used):.3f}", f"{file['bytes'] / median(walls) / 1e6:.0f}", f"{peak:.0f}"]
            for key, times in (("seconds", walls), ("processor_seconds", used)):
                middle, least, most = spread(ratios(times, [run[key] for run in ours[: len(times)]]))
                cells.append("" if reader == OURS else f"{middle:.2f} ({least:.2f} to {most:.2f})")
            lines.append(f"| {' | '.join(cells)} |")
    if task["missing"]:
        named = ", ".join(f"{reader} (`pip install {package}`)" for reader, package in task["missing"].items())
        lines += ["", f"Not installed, and so not measured: {named}."]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m netsieve.bench.reading", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("format", choices=FORMATS, help="what is read")
    parser.add_argument("--size", type=float, default=1.0, help="times the usual number of records")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: %(default)s)")
    parser.add_argument("--tasks", nargs="+", help="some of the format's tasks (default: all)")
    parser.add_argument("--cache", type=Path, default=Path("build/bench"), help="where the files are written")
    parser.add_argument("--json", type=Path, help="write everything measured here")
    options = parser.parse_args(arguments)
    options.cache.mkdir(parents=True, exist_ok=True)
    tasks = tasks_of(options.format)
    if unknown := set(options.tasks or ()) - set(tasks):
        parser.error(f"no tasks {', '.join(sorted(unknown))}; there are {', '.join(tasks)}")
    result: dict[str, Any] = {"benchmark": "reading", "machine": describe_machine(), "rounds": options.rounds}
    result["tasks"] = {}
    for name in options.tasks or tasks:
        records = max(1, int(tasks[name].records * options.size))
        with TemporaryDirectory(dir=options.cache) as folder:
            result["tasks"][name] = measure_task(
                name, tasks[name], rounds=options.rounds, records=records, folder=Path(folder)
            )
    print(f"{timing_line(result)}\n\n{reading_table(result)}")
    if options.json:
        write_measurement(options.json, result)


if __name__ == "__main__":
    main()
