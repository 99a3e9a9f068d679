"""Scoring a large file of mixed Suricata events to Parquet, next to reading it alone: whole processes.

``python -m netsieve.bench.event_job --megabytes 1000 --json benchmarks/event-job.json`` generates the file, trains on
another one, and lets ``netsieve score`` take turns with :func:`netsieve.scan`, which reads all columns, or those
that the job needs, and keeps nothing. Then a part of the file is scored stage by stage, to see where the time goes.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from netsieve.bench.eve_events import write_events
from netsieve.bench.interleave import interleave, ratios, spread
from netsieve.bench.machine import describe_machine
from netsieve.bench.measurement import timing_line, write_measurement
from netsieve.bench.process import run_process
from netsieve.bench.stages import STAGES, time_stages
from netsieve.bench.workload import NETSIEVE
from netsieve.engine.cli.arguments import import_polars

LARGEST_RATIO: Final = 1.5
"""Aim: the job takes at most so many times as long as reading alone."""
STAGE_BYTES: Final = 200_000_000
"""Of the file that is scored stage by stage, which is held in memory."""
TRAINING_EVENTS: Final = 50_000
TRAINING_SEED: Final = 1
SAMPLE_EVENTS: Final = 10_000
SCORE: Final = "score to Parquet"
SCORE_ALONE: Final = "score to Parquet, scores alone"
READ: Final = "read alone"
READ_COLUMNS: Final = "read alone, the job's columns"
READER: Final = """\
import sys, netsieve
columns = sys.argv[3:] or None
for frame in netsieve.scan(sys.argv[1], columns=columns, threads=int(sys.argv[2])):
    pass
"""


def make_file(path: Path, size: int) -> int:
    """Write events of about ``size`` bytes, and return how many."""
    write_events(path, SAMPLE_EVENTS)
    events = max(1, round(size / path.stat().st_size * SAMPLE_EVENTS))
    write_events(path, events)
    return events


def train_model(folder: Path) -> Path:
    """Train the ready schema's detector on other events, and return the model."""
    training, model = folder / "training.json", folder / "model.onnx"
    write_events(training, TRAINING_EVENTS, seed=TRAINING_SEED)
    run_process([*NETSIEVE, "train", str(training), "-o", str(model), "--seed", "0", "--device", "cpu"])
    training.unlink()
    return model


def job_columns(model: Path) -> list[str]:
    """Return the columns that scoring with the model reads: its features, and those kept in the output."""
    from netsieve.engine.scoring.model_file import ModelFile
    from netsieve.engine.scoring.output_columns import Keep

    schema = ModelFile.read(model).schema
    return list(Keep.parse(None, schema).request(schema).columns or ())


def measure_job(*, size: int, rounds: int, threads: list[int], folder: Path) -> dict[str, Any]:
    """Generate, train, then score and read in turn; return the costs of the processes, ready for JSON.

    Raises
    ------
    ProcessFailedError
        A process failed.
    """
    machine = describe_machine()
    model, events, scored = train_model(folder), folder / "eve.json", folder / "scored.parquet"
    records = make_file(events, size)
    result: dict[str, Any] = {"benchmark": "event_job", "machine": machine, "rounds": rounds, "records": records}
    result |= {"bytes": events.stat().st_size, "threads": {}}
    for count in threads:
        score = [*NETSIEVE, "score", str(model), str(events), "-o", str(scored), "--threads", str(count)]
        read = [sys.executable, "-c", READER, str(events), str(count)]
        commands = {
            READ: read,
            READ_COLUMNS: [*read, *job_columns(model)],
            SCORE: score,
            SCORE_ALONE: [*score, "--keep", "none"],
        }
        environment = {"POLARS_MAX_THREADS": str(count)}
        cases = {name: partial(run_process, command, environment=environment) for name, command in commands.items()}
        costs = interleave(cases, rounds=rounds, warm_up=0)
        result["threads"][str(count)] = {name: [asdict(cost) for cost in of_case] for name, of_case in costs.items()}
    part = folder / "part.json"
    result["stage_records"] = make_file(part, min(size, STAGE_BYTES))
    passes = [time_stages(model, part, scored, keep=None) for _ in range(rounds + 1)][1:]
    result["stage_seconds"] = {stage: [seconds[stage] for seconds in passes] for stage in STAGES}
    return result


def job_ratios(result: dict[str, Any], threads: str, case: str, alone: str = READ) -> list[float]:
    """Return how many times as long as reading alone a case took, round by round."""
    times = [[cost["wall_seconds"] for cost in result["threads"][threads][name]] for name in (case, alone)]
    return ratios(*times)


def job_table(result: dict[str, Any]) -> str:
    """Return the result as a Markdown table."""
    lines = [
        f"{result['records']:,} events, {result['bytes'] / 1e6:,.0f} MB, of which the flows are read.",
        "",
        "| threads | process | wall s | CPU s | M events/s | MB/s | peak MB | times as long as reading alone |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for threads, costs in result["threads"].items():
        for name, of_case in costs.items():
            wall, used = (median(cost[key] for cost in of_case) for key in ("wall_seconds", "cpu_seconds"))
            peak = max(cost["peak_rss_bytes"] for cost in of_case) / 1e6
            middle, least, most = spread(job_ratios(result, threads, name))
            cells = [threads, name, f"{wall:.2f}", f"{used:.2f}", f"{result['records'] / wall / 1e6:.3f}"]
            cells += [f"{result['bytes'] / wall / 1e6:.0f}", f"{peak:.0f}"]
            cells.append("" if name == READ else f"{middle:.2f} ({least:.2f} to {most:.2f})")
            lines.append(f"| {' | '.join(cells)} |")
    middles = {stage: median(times) for stage, times in result["stage_seconds"].items()}
    lines += [
        "",
        f"| stage, {result['stage_records']:,} events, one thread, libraries loaded | s | share |",
        "| --- | --- | --- |",
        *(f"| {stage} | {seconds:.3f} | {seconds / sum(middles.values()):.0%} |" for stage, seconds in middles.items()),
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m netsieve.bench.event_job", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--megabytes", type=float, default=1000, help="of the file (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: %(default)s)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of netsieve (default: 1 2)")
    parser.add_argument("--cache", type=Path, default=Path("build/bench"), help="where the files are written")
    parser.add_argument("--json", type=Path, help="write everything measured here")
    options = parser.parse_args(arguments)
    import_polars(1)
    options.cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=options.cache) as folder:
        result = measure_job(
            size=int(options.megabytes * 1e6), rounds=options.rounds, threads=options.threads, folder=Path(folder)
        )
    print(f"{timing_line(result)}\n\n{job_table(result)}")
    if options.json:
        write_measurement(options.json, result)


if __name__ == "__main__":
    main()
