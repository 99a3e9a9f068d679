"""A file of flows scored as a whole process: netsieve against what a student and an expert write.

``python -m netsieve.bench.pipelines --rows 1000000 --rounds 5 --json benchmarks/pipelines-1M.json``

The contenders take turns. Each reads the same CSV file, runs the same network and writes its scores: the student
as CSV, as students do, the expert and netsieve as Parquet with zstd, once with all columns and once with the
scores alone. Times are from the start of the process to its end, so imports and loading count.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from netsieve.bench.agreement import LARGEST_DIFFERENCE, read_scores, score_agreement
from netsieve.bench.interleave import interleave, ratios, spread
from netsieve.bench.machine import describe_machine
from netsieve.bench.measurement import timing_line, write_measurement
from netsieve.bench.process import ProcessCost, run_process
from netsieve.bench.workload import Workload, prepare_workload, score_command

OURS: Final = "netsieve"
OURS_SCORES: Final = "netsieve, scores only"
STUDENT: Final = "student"
EXPERT: Final = "expert"
EXPERT_SCORES: Final = "expert, scores only"
COMPARED: Final = {STUDENT: OURS, EXPERT: OURS, EXPERT_SCORES: OURS_SCORES}
"""Each peer with the contender of ours that writes the same columns."""


def contenders(workload: Workload, folder: Path, threads: int) -> dict[str, tuple[list[str], Path]]:
    """Return the command line of each contender and the file it writes."""
    pages = Path(__file__).parent
    flows, peer = str(workload.flows), str(workload.peer)
    student, expert, expert_scores, ours, ours_scores = (
        folder / name for name in ("student.csv", "expert.parquet", "expert-scores.parquet", "netsieve.parquet",
                                   "netsieve-scores.parquet")
    )  # fmt: skip
    page = [sys.executable, str(pages / "expert_pipeline.py"), flows, peer]
    return {
        STUDENT: ([sys.executable, str(pages / "student_pipeline.py"), flows, peer, str(student)], student),
        EXPERT: ([*page, str(expert), str(threads), "all"], expert),
        EXPERT_SCORES: ([*page, str(expert_scores), str(threads), "scores"], expert_scores),
        OURS: (score_command(workload.model, workload.flows, ours, keep="all", threads=threads), ours),
        OURS_SCORES: (
            score_command(workload.model, workload.flows, ours_scores, keep="none", threads=threads),
            ours_scores,
        ),
    }


def measure_pipelines(
    rows: int, *, rounds: int, threads: int, names: list[str], cache: Path, folder: Path
) -> dict[str, Any]:
    """Run the contenders ``names`` interleaved and return everything measured, ready for JSON.

    Raises
    ------
    ProcessFailedError
        A contender failed.
    """
    machine = describe_machine()
    chosen = {n: c for n, c in contenders(prepare_workload(cache, rows), folder, threads).items() if n in names}

    def runner(command: list[str], out: Path) -> Callable[[], ProcessCost]:
        def run() -> ProcessCost:
            out.unlink(missing_ok=True)
            # The student's libraries choose their own threads: all cores.
            return run_process(command)

        return run

    costs = interleave({name: runner(*case) for name, case in chosen.items()}, rounds=rounds, warm_up=1)
    walls = {name: [cost.wall_seconds for cost in measured] for name, measured in costs.items()}
    reference = read_scores(chosen[OURS][1] if OURS in chosen else next(iter(chosen.values()))[1])
    return {
        "benchmark": "pipelines",
        "machine": machine,
        "rows": rows,
        "input_bytes": (cache / f"flows-{rows}.csv").stat().st_size,
        "rounds": rounds,
        "threads": threads,
        "cases": {
            name: {
                "wall_seconds": walls[name],
                "cpu_seconds": [cost.cpu_seconds for cost in measured],
                "peak_rss_bytes": max(cost.peak_rss_bytes for cost in measured),
                "output_bytes": chosen[name][1].stat().st_size,
                "agreement": score_agreement(read_scores(chosen[name][1]), reference),
            }
            for name, measured in costs.items()
        },
        "ratios": {
            f"{peer} / {ours}": ratios(walls[peer], walls[ours])
            for peer, ours in COMPARED.items()
            if peer in walls and ours in walls
        },
    }


def pipelines_table(result: dict[str, Any]) -> str:
    """Return the result as a Markdown table."""
    lines = [
        f"| contender, {result['rows']:,} rows of CSV | wall s, median (least to most) | CPU s | peak MB | rows/s "
        "| times slower than netsieve |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, case in result["cases"].items():
        middle, least, most = spread(case["wall_seconds"])
        times = result["ratios"].get(f"{name} / {COMPARED.get(name)}")
        compared = "" if times is None else "{:.2f} ({:.2f} to {:.2f})".format(*spread(times))
        lines.append(
            f"| {name} | {middle:.2f} ({least:.2f} to {most:.2f}) | {median(case['cpu_seconds']):.2f} "
            f"| {case['peak_rss_bytes'] / 1e6:,.0f} | {result['rows'] / middle:,.0f} | {compared} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, write the JSON; exit 1 if the contenders' scores differ."""
    parser = argparse.ArgumentParser(
        prog="python -m netsieve.bench.pipelines", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="flows to score (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of netsieve and the expert (default: %(default)s)")
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        choices=[*COMPARED, OURS_SCORES],
        help="leave a contender out, for example the student at 10 M rows; may be repeated",
    )
    parser.add_argument("--cache", type=Path, default=Path("build/bench"), help="where data and model are kept")
    parser.add_argument("--json", type=Path, help="write everything measured here")
    options = parser.parse_args(arguments)
    names = [name for name in (STUDENT, EXPERT, EXPERT_SCORES, OURS, OURS_SCORES) if name not in options.without]
    options.cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=options.cache) as folder:
        result = measure_pipelines(
            options.rows,
            rounds=options.rounds,
            threads=options.threads,
            names=names,
            cache=options.cache,
            folder=Path(folder),
        )
    print(f"{timing_line(result)}\n\n{pipelines_table(result)}")
    if options.json:
        write_measurement(options.json, result)
    worst = max(case["agreement"]["largest_difference"] for case in result["cases"].values())
    print(f"\nlargest difference between the scores: {worst:.1e}")
    if worst > LARGEST_DIFFERENCE:
        sys.exit(
            f"the contenders' scores differ by {worst:.1e}, more than {LARGEST_DIFFERENCE:.0e}: no fair comparison"
        )


if __name__ == "__main__":
    main()
