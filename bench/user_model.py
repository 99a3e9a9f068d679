"""What ``netsieve bench`` measures: a model's speed and memory on the machine at hand, in about a minute.

In memory netsieve and plain onnxruntime take turns with the same file and the same records, on one thread and on all;
then whole ``netsieve score`` processes turn files into files. Each runs in a process of its own, whose peak memory the
kernel counts.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.bench.agreement import score_agreement
from netsieve.bench.drawn_records import drawn_frame, drawn_matrix
from netsieve.bench.interleave import interleave, ratios
from netsieve.bench.machine import describe_machine, machine_line
from netsieve.bench.process import ProcessFailedError, run_process
from netsieve.bench.traffic import COLUMNS, generate_traffic, write_traffic
from netsieve.bench.workload import NETSIEVE, SCORED_SEED, TRAINING_SEED
from netsieve.engine.errors import ModelFileError, TrainingError
from netsieve.engine.scoring.model_file import ModelFile

MATRIX_BYTES: Final = 32 * 2**20
LARGEST_MATRIX: Final = 131_072
"""Rows in memory, at most; fewer where they would take more than :data:`MATRIX_BYTES`."""
FILE_CELLS: Final = 20_000_000
FEWEST_FILE_ROWS: Final = 50_000
LARGEST_FILE: Final = 1_000_000
"""Rows of the files, which have some :data:`FILE_CELLS` features altogether."""
ROUNDS: Final = 3
PASS_SECONDS: Final = 1.0
TRAINING_ROWS: Final = 20_000
TRAINING_DRAWS: Final = 100_000
"""Of the model that is trained where none is named: enough for its speed, not for its quality."""
OURS: Final = "netsieve"
PLAIN: Final = "onnxruntime"
SUFFIXES: Final = (".csv", ".parquet")

Say = Callable[[str], object]


def write_default_model(path: Path) -> None:
    """Train the default detector on generated traffic, quickly.

    Raises
    ------
    TrainingError
        What training needs is not installed.
    """
    from netsieve.engine.training.job import train_detector

    try:
        train_detector(
            generate_traffic(TRAINING_ROWS, seed=TRAINING_SEED),
            label="IsAnomaly",
            normal="0",
            ignore=["Attack"],
            parameters={"max_draws": TRAINING_DRAWS},
            device="cpu",
            progress=False,
        ).export(path)
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"without MODEL one is trained first, and that needs the package {error.name!r}, which is not installed: "
            "name a model file, or pip install 'netsieve[cpu,train]'"
        ) from error


def measure_model(
    path: Path,
    folder: Path,
    *,
    threads: int,
    file_rows: int | None = None,
    rounds: int = ROUNDS,
    seconds: float = PASS_SECONDS,
    say: Say,
) -> dict[str, Any]:
    """Measure a model file, and return everything ready for JSON.

    Parameters
    ----------
    path
        The model file.
    folder
        Where matrices, files and outputs go; some hundred megabytes.
    threads
        Threads of the measures on more than one.
    file_rows
        Rows of the files; by default as many as the model's width allows in a minute.
    rounds
        Rounds in which all take turns.
    seconds
        Of each measure in memory, a round.
    say
        Takes a line of text where something begins.

    Raises
    ------
    ModelFileError
        The model cannot be scored with.
    """
    machine = describe_machine()
    model = ModelFile.read(path)
    say("drawing records")
    x = drawn_matrix(model, _matrix_rows(model))
    np.save(folder / "matrix.npy", x)
    say(f"scoring {len(x):,} records in memory, round by round")
    in_memory = _measure_memory(path, folder, threads=threads, rounds=rounds, seconds=seconds)
    rows = file_rows or int(np.clip(FILE_CELLS // model.n_features, FEWEST_FILE_ROWS, LARGEST_FILE))
    files, skipped = _measure_files(path, model, folder, rows, threads=threads, rounds=rounds, say=say)
    return {
        "benchmark": "model",
        "machine": machine,
        "threads": threads,
        "rounds": rounds,
        "model": {
            "file": str(path),
            "sha256": model.fingerprint,
            "bytes": len(model.data),
            "detector": model.detector,
            "record_type": model.schema.record_type,
            "row_shape": list(model.schema.row_shape),
        },
        "matrix_rows": len(x),
        "in_memory": in_memory,
        "file_rows": rows if files else 0,
        "files": files,
        "files_skipped": skipped,
    }


def _matrix_rows(model: ModelFile) -> int:
    rows = MATRIX_BYTES // (4 * math.prod(model.schema.row_shape))
    return int(np.clip(rows // 64 * 64, 64, LARGEST_MATRIX))


def _measure_memory(path: Path, folder: Path, *, threads: int, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Return a measure for each runtime and number of threads, with its agreement with plain onnxruntime."""
    cases = {
        (runtime, count): folder / f"{runtime}-{count}.npz"
        for count in dict.fromkeys((1, threads))
        for runtime in (OURS, PLAIN)
    }

    def run(case: tuple[str, int]) -> tuple[float, int, dict[str, Any]]:
        (runtime, count), out = case, cases[case]
        command = [sys.executable, "-m", "netsieve.bench.timed_scoring", runtime, str(path), str(folder / "matrix.npy")]
        try:
            cost = run_process([*command, str(out), "--threads", str(count), "--seconds", str(seconds)])
        except ProcessFailedError as error:
            raise ModelFileError(f"{path} cannot be scored with {runtime} ({_last_line(error)})") from error
        with np.load(out) as result:
            description = {key: result[key].item() for key in ("backend", "batch_size")}
            return median(result["seconds"].tolist()), cost.peak_rss_bytes, description

    measured = interleave(
        {f"{runtime} {count}": partial(run, (runtime, count)) for runtime, count in cases}, rounds=rounds, warm_up=0
    )
    reference = _scores(cases[PLAIN, 1])
    return [
        {
            "contender": runtime,
            "threads": count,
            **taken[-1][2],
            "seconds": [each for each, _, _ in taken],
            "peak_rss_bytes": max(peak for _, peak, _ in taken),
            "agreement": score_agreement(_scores(out), reference),
        }
        for ((runtime, count), out), taken in zip(cases.items(), measured.values(), strict=True)
    ]


def _measure_files(
    path: Path, model: ModelFile, folder: Path, rows: int, *, threads: int, rounds: int, say: Say
) -> tuple[dict[str, Any], str | None]:
    """Return wall seconds, processor seconds and peak memory of whole processes by suffix, or why there are none."""
    generated = set(model.schema.input_columns) <= set(COLUMNS)
    stateful = model.schema.neighbours is not None or model.schema.windows is not None
    if stateful and not generated:
        return {}, "records that depend on those before them can be generated for models of generated traffic alone"
    say(f"writing files of {rows:,} records")
    inputs = {suffix: folder / f"records{suffix}" for suffix in SUFFIXES}
    if generated:
        for file in inputs.values():
            write_traffic(file, rows, seed=SCORED_SEED)
    else:
        frame = drawn_frame(model.schema, drawn_matrix(model, rows, seed=SCORED_SEED))
        frame.write_csv(inputs[".csv"])
        frame.write_parquet(inputs[".parquet"])
    say("scoring the files, round by round")
    commands = {
        suffix: [*NETSIEVE, "score", str(path), str(file), "-o", str(folder / "scored.parquet"), "--threads",
                 str(threads)]
        for suffix, file in inputs.items()
    }  # fmt: skip
    try:
        costs = interleave(
            {suffix: partial(run_process, command) for suffix, command in commands.items()}, rounds=rounds, warm_up=0
        )
    except ProcessFailedError as error:
        return {}, _last_line(error)
    measured = {
        suffix: {
            "input_bytes": inputs[suffix].stat().st_size,
            "wall_seconds": [cost.wall_seconds for cost in taken],
            "cpu_seconds": [cost.cpu_seconds for cost in taken],
            "peak_rss_bytes": max(cost.peak_rss_bytes for cost in taken),
        }
        for suffix, taken in costs.items()
    }
    return measured, None


def _scores(path: Path) -> NDArray[np.float32]:
    with np.load(path) as result:
        scores: NDArray[np.float32] = result["scores"]
        return scores


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]


def heading_rows(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what was measured, and where, as names and values."""
    model, machine = result["model"], result["machine"]
    shape = " x ".join(map(str, model["row_shape"]))
    yield "machine", machine_line(machine)
    used = ("netsieve", "onnxruntime", "onnxruntime-gpu", "numpy", "polars", "pyarrow")
    yield "versions", ", ".join(f"{name} {machine['versions'][name]}" for name in used if name in machine["versions"])
    yield "model", f"{model['file']}: {model['detector']}, {shape} features"
    yield "load", f"{machine['load']} processes at the start" + (", so that times are long" * (machine["load"] > 0.5))


def speed_rows(result: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the table: a heading, then a row for each measure; rates and ratios are medians of the rounds."""
    yield "", "threads", "rows a batch", "rows/s", "least", "most", "x onnxruntime", "peak MB"
    plain = {each["threads"]: each["seconds"] for each in result["in_memory"] if each["contender"] == PLAIN}
    for measured in result["in_memory"]:
        ours = measured["contender"] == OURS
        threads, seconds = measured["threads"], measured["seconds"]
        yield (
            f"in memory, netsieve: {measured['backend']}" if ours else "in memory, plain onnxruntime",
            str(threads),
            f"{measured['batch_size']:,}",
            *_rates(result["matrix_rows"], seconds),
            f"{median(ratios(plain[threads], seconds)):.2f}" if ours else "",
            f"{measured['peak_rss_bytes'] / 1e6:,.0f}",
        )
    for suffix, measured in result["files"].items():
        yield (
            f"whole process, {result['file_rows']:,} rows, {suffix[1:]} to parquet",
            str(result["threads"]),
            "",
            *_rates(result["file_rows"], measured["wall_seconds"]),
            "",
            f"{measured['peak_rss_bytes'] / 1e6:,.0f}",
        )


def closing_lines(result: dict[str, Any]) -> Iterator[str]:
    """Yield how far the scores agree, and what was not measured."""
    difference = max(measured["agreement"]["largest_difference"] for measured in result["in_memory"])
    yield (
        f"scores differ from plain onnxruntime's by at most {difference:.0e} of the score plus the median score"
        if difference
        else "all scores are those of plain onnxruntime, to the last digit"
    )
    if result["files_skipped"]:
        yield f"files were not scored: {result['files_skipped']}"


def _rates(rows: int, seconds: list[float]) -> tuple[str, str, str]:
    return f"{rows / median(seconds):,.0f}", f"{rows / max(seconds):,.0f}", f"{rows / min(seconds):,.0f}"
