"""What the time of ``netsieve score`` goes to, stage by stage, on one thread.

``python -m netsieve.bench.stages --rows 1000000 --json benchmarks/stages.json`` runs the stages of a scoring job
one after the other over the same blocks, in one thread and with libraries kept to one thread, and times each. A
job runs them on several threads at once, so that its wall time is less than their sum.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from netsieve.bench.machine import describe_machine
from netsieve.bench.measurement import timing_line, write_measurement
from netsieve.bench.process import run_process
from netsieve.bench.workload import prepare_workload
from netsieve.engine.cli.arguments import import_polars

IMPORTS: Final = "start Python, import the libraries, load the model"
SCORE_STAGE: Final = "encode and score"
WRITE_STAGE: Final = "compress and write"
STAGES: Final = ("cut the file into blocks", "parse", SCORE_STAGE, "add columns", WRITE_STAGE)


class StageClock:
    """Adds up the seconds of each stage: :meth:`lap` gives the time since the last lap to a stage."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Give the time since the last lap to ``stage``."""
        now = time.perf_counter()
        self.seconds[stage] += now - self._last
        self._last = now


def time_stages(model: Path, records: Path, out: Path, *, keep: str | None = "all") -> dict[str, float]:
    """Score a file to Parquet stage by stage, and return the seconds of each; all its records are held in memory.

    Parameters
    ----------
    model, records, out
        Files.
    keep
        Columns of the output, as in :func:`netsieve.engine.scoring.files.score_files`.
    """
    import polars as pl

    from netsieve.engine.scoring.output_columns import Keep
    from netsieve.engine.scoring.scorer import Scorer
    from netsieve.engine.sinks.sink import open_sink
    from netsieve.engine.sources import open_source

    scorer = Scorer(model, threads=1)
    kept = Keep.parse(keep, scorer.schema)
    cut, parse, score, add, write = STAGES
    frames = []
    clock = StageClock()
    source = open_source(str(records), columns=kept.request(scorer.schema))
    for block in source.blocks():
        clock.lap(cut)
        parsed = source.parse(block)
        clock.lap(parse)
        scores = scorer.computed_scores(parsed.frame, threads=1)
        clock.lap(score)
        frames.append(
            parsed.frame.select(kept.columns_of(parsed.frame.columns, str(records))).with_columns(
                pl.lit(parsed.source_file).alias("source_file"),
                pl.Series("row_index", parsed.record, dtype=pl.Int64),
                pl.Series("anomaly_score", scores),
                pl.Series("is_anomaly", scores > scorer.threshold),
            )
        )
        clock.lap(add)
    source.close()
    clock.lap(cut)
    # Sinks write in threads of their own, so that this stage can only be timed with nothing beside it.
    sink = open_sink(str(out), "parquet", frames[0].schema)
    for frame in frames:
        sink.write(sink.prepare(frame))
    sink.commit()
    clock.lap(write)
    return clock.seconds


def measure_stages(rows: int, *, rounds: int, cache: Path, folder: Path) -> dict[str, Any]:
    """Time the stages ``rounds`` times after one to warm up, and return the times, ready for JSON."""
    machine = describe_machine()
    workload = prepare_workload(cache, rows)
    imports = "import sys; from netsieve.engine.scoring import files, scorer; scorer.Scorer(sys.argv[1], threads=1)"
    start = [sys.executable, "-c", imports, str(workload.model)]
    out = folder / "scored.parquet"
    passes = [time_stages(workload.model, workload.flows, out) for _ in range(rounds + 1)][1:]
    seconds = {stage: [measured[stage] for measured in passes] for stage in STAGES}
    seconds = {IMPORTS: [run_process(start).wall_seconds for _ in range(rounds + 1)][1:], **seconds}
    return {"benchmark": "stages", "machine": machine, "rows": rows, "rounds": rounds, "threads": 1, "seconds": seconds}


def stages_table(result: dict[str, Any]) -> str:
    """Return the result as a Markdown table."""
    middles = {stage: median(times) for stage, times in result["seconds"].items()}
    total = sum(middles.values())
    lines = [f"| stage, {result['rows']:,} rows of CSV, all columns to Parquet, one thread | s | share |",
             "| --- | --- | --- |"]  # fmt: skip
    lines += [f"| {stage} | {seconds:.3f} | {seconds / total:.0%} |" for stage, seconds in middles.items()]
    return "\n".join([*lines, f"| together | {total:.3f} | |"])


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m netsieve.bench.stages", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="flows to score (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=Path("build/bench"), help="where data and model are kept")
    parser.add_argument("--json", type=Path, help="write everything measured here")
    options = parser.parse_args(arguments)
    import_polars(1)
    options.cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=options.cache) as folder:
        result = measure_stages(options.rows, rounds=options.rounds, cache=options.cache, folder=Path(folder))
    print(f"{timing_line(result)}\n\n{stages_table(result)}")
    if options.json:
        write_measurement(options.json, result)


if __name__ == "__main__":
    main()
