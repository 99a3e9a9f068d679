"""The native autoencoder against onnxruntime and against the machine: ratios, operations a second, share of the peak.

``python -m netsieve.bench.native`` writes ``benchmarks/native.json`` and prints the tables. The model files are trained
and exported as users' are, so that the preparation of records is part of every figure but those of the network.
Contenders take turns, and ratios are taken round by round: on one thread by processor time, on two by the clock.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.bench.agreement import score_agreement
from netsieve.bench.interleave import interleave, ratios, spread
from netsieve.bench.machine import describe_machine
from netsieve.bench.measurement import timing_line, write_measurement
from netsieve.bench.plain_onnxruntime import onnxruntime_session
from netsieve.bench.scoring import call_seconds
from netsieve.bench.scoring_case import AUTOENCODER, WIDTHS, ScoringCase
from netsieve.engine.scoring.model_file import ModelFile
from netsieve.engine.scoring.native import native_plan
from netsieve.engine.scoring.native_columns import RecognisedColumns
from netsieve.engine.scoring.native_cores import recognise_core
from netsieve.engine.scoring.recognition import RecognisedGraph
from netsieve.engine.scoring.scorer import Scorer
from netsieve.kernels._native import ScoringPlan, multiply_adds, preparation, scoring_variants

ROWS: Final = 100_000
BATCHES: Final = (512, 1024, 2048, 4096)
"""Rows a call of onnxruntime; the fastest counts."""
PEAK_ROUNDS: Final = 1_000_000
"""Rounds of :func:`netsieve.kernels._native.multiply_adds`, some 2 to 30 milliseconds."""
COPIED_NUMBERS: Final = 128 * 1024 * 1024
"""float32 numbers that are copied to measure the memory: 512 MiB, more than the caches of a processor hold."""
NATIVE: Final = "native"

Floats = NDArray[np.float32]
Run = Callable[[], object]


def operations_per_row(model: ModelFile) -> int:
    """Return the multiplications and additions of all dense layers of a model file for one record."""
    weights = (model.initializers[node.inputs[1]] for node in model.nodes if node.op_type == "Gemm")
    return sum(2 * weight.size for weight in weights)


def network_plan(model: ModelFile, variant: str) -> tuple[ScoringPlan, int]:
    """Return a plan of the model's network over columns that are prepared already, and the number of columns."""
    graph = RecognisedGraph(model)
    columns = RecognisedColumns(graph)
    core = recognise_core(graph, columns, variant)
    width = columns.width
    zeros, every = np.zeros(width, np.float32), np.arange(width, dtype=np.int32)
    as_it_is = preparation(
        variant, width, "prepared", every, zeros != 0, zeros, zeros + 1, zeros, every[:0], [], 1e30, 1e30
    )
    return ScoringPlan(variant, prepared=as_it_is, unscaled=None, kernels=list(core.kernels)), width


def onnxruntime_runs(
    case: ScoringCase, threads: int, batches: Sequence[int] = BATCHES
) -> dict[str, Callable[[], Floats]]:
    """Return ways to score with onnxruntime by name: sessions of one thread, shared by as many, and one of several."""
    session_of = partial(onnxruntime_session, str(case.model(AUTOENCODER).path))
    runs: dict[str, Callable[[], Floats]] = {}
    for batch in batches:
        runs[f"onnxruntime, batches of {batch}"] = partial(_batched, session_of(1), case.x, batch, threads)
        if threads > 1:
            name = f"onnxruntime, a session of {threads} threads, batches of {batch}"
            runs[name] = partial(_batched, session_of(threads), case.x, batch, 1)
    return runs


def _batched(session: Any, x: Floats, batch: int, threads: int) -> Floats:
    scores = np.empty(len(x), dtype=np.float32)

    def score(starts: Iterable[int]) -> None:
        for start in starts:
            scores[start : start + batch] = session.run(["score"], {"x": x[start : start + batch]})[0]

    starts = range(0, len(x), batch)
    if threads == 1:
        score(starts)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(score, [starts[i::threads] for i in range(threads)]))
    return scores


def measure_native(
    *, widths: Sequence[int] = WIDTHS, rows: int = ROWS, rounds: int, variants: Sequence[str] | None = None
) -> dict[str, Any]:
    """Measure at each width on one thread and on two, and return it ready for JSON."""
    machine, cases = describe_machine(), []
    with TemporaryDirectory() as folder:
        for width in widths:
            case = ScoringCase(width, rows, Path(folder))
            cases.append(measure_case(case, rounds=rounds, variants=variants or scoring_variants()))
    return {"benchmark": "native", "machine": machine, "rounds": rounds, "rows": rows, "cases": cases}


def measure_case(case: ScoringCase, *, rounds: int, variants: Sequence[str]) -> dict[str, Any]:
    """Return the measures of one model.

    Keys: ``width``; ``columns`` that the network takes; ``operations`` a row; ``agreement`` of each variant with
    float64; ``one_thread`` (processor seconds of each contender, round by round), ``network`` (those of the network
    alone, by variant), ``peak`` (operations a second by variant, round by round), ``memory`` (bytes a second that a
    core copies, round by round), ``two_threads`` (seconds), and ``record`` (median seconds of one record from a dict,
    by backend).
    """
    trained = case.model(AUTOENCODER)
    model = ModelFile.read(trained.path)
    plans = {variant: native_plan(model, variant) for variant in variants}
    runs: dict[str, Run] = {f"{NATIVE}, {variant}": partial(plan.score, case.x) for variant, plan in plans.items()}
    runs |= onnxruntime_runs(case, 1)
    timers: dict[str, Callable[[], float]] = {name: partial(_thread_seconds, run) for name, run in runs.items()}
    for variant in variants:
        plan, columns = network_plan(model, variant)
        z = plans[variant].columns(case.x, "prepared")
        timers[f"network, {variant}"] = partial(_thread_seconds, partial(plan.score, z))
        timers[f"peak, {variant}"] = partial(_operations_per_second, variant)
    timers["memory"] = _copy_timer()
    measured = interleave(timers, rounds=rounds)
    scorer = Scorer(model, backend="native", threads=2)
    both: dict[str, Run] = {NATIVE: partial(scorer.score_matrix, case.x), **onnxruntime_runs(case, 2)}
    return {
        "width": case.width,
        "columns": columns,
        "operations": operations_per_row(model),
        "agreement": {
            variant: score_agreement(plan.score(case.x[: len(trained.reference)]), trained.reference)
            for variant, plan in plans.items()
        },
        "one_thread": {name: measured[name] for name in runs},
        "network": {variant: measured[f"network, {variant}"] for variant in variants},
        "peak": {variant: measured[f"peak, {variant}"] for variant in variants},
        "memory": measured["memory"],
        "two_threads": interleave({name: partial(_seconds, run) for name, run in both.items()}, rounds=rounds),
        "record": {backend: _record_seconds(case, backend) for backend in (NATIVE, "onnxruntime")},
    }


def _record_seconds(case: ScoringCase, backend: Any) -> float:
    scorer, record = Scorer(case.model(AUTOENCODER).path, backend=backend, threads=1), case.frame.row(0, named=True)
    return float(np.median(call_seconds(lambda: scorer.score_one(record))))


def _thread_seconds(run: Run) -> float:
    start = time.thread_time()
    run()
    return time.thread_time() - start


def _seconds(run: Run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _operations_per_second(variant: str) -> float:
    start = time.thread_time()
    operations: float = multiply_adds(variant, PEAK_ROUNDS)
    return operations / (time.thread_time() - start)


def _copy_timer() -> Callable[[], float]:
    """Return what measures the bytes a second that a core reads and writes, each counted once."""
    # Written, so that each page has memory of its own
    source, target = np.ones(COPIED_NUMBERS, np.float32), np.ones(COPIED_NUMBERS, np.float32)

    def bytes_per_second() -> float:
        return 2 * source.nbytes / _thread_seconds(lambda: np.copyto(target, source))

    return bytes_per_second


def roofline(case: Mapping[str, Any], variant: str) -> tuple[float, str]:
    """Return the rows a second that a core could score at most, and what bounds them: ``arithmetic`` or ``memory``.

    A row's features are read and its score is written, float32 each (Williams, Waterman and Patterson, "Roofline",
    Communications of the ACM 52, 2009).
    """
    bounds = {
        "arithmetic": median(case["peak"][variant]) / case["operations"],
        "memory": median(case["memory"]) / (4 * (case["width"] + 1)),
    }
    bound = min(bounds, key=bounds.__getitem__)
    return bounds[bound], bound


def one_thread_ratios(case: Mapping[str, Any], variant: str) -> list[float]:
    """Return how many times faster than onnxruntime the kernels are on one thread, round by round."""
    return ratios(fastest_of_onnxruntime(case["one_thread"]), case["one_thread"][f"{NATIVE}, {variant}"])


def two_thread_ratios(case: Mapping[str, Any]) -> list[float]:
    """Return how many times faster than onnxruntime the native scorer is on two threads, round by round."""
    return ratios(fastest_of_onnxruntime(case["two_threads"]), case["two_threads"][NATIVE])


def peak_shares(
    result: Mapping[str, Any], case: Mapping[str, Any], variant: str, seconds: Sequence[float]
) -> list[float]:
    """Return the share that ``seconds`` of all rows are of what the core multiplies at all, round by round."""
    work = result["rows"] * case["operations"]
    return [work / taken / peak for taken, peak in zip(seconds, case["peak"][variant], strict=True)]


def table(result: dict[str, Any]) -> str:
    """Return the measurement as Markdown: speed, ratios to the fastest of onnxruntime, and shares of the peak."""
    header = ["features", "kernels", "M rows/s", "GFLOP/s", "share of the peak", "network alone", "x onnxruntime"]
    lines = [f"| {' | '.join([*header, 'x on two threads'])} |", f"|{'---|' * (len(header) + 1)}"]
    for case in result["cases"]:
        for number, (variant, peak) in enumerate(case["peak"].items()):
            seconds = case["one_thread"][f"{NATIVE}, {variant}"]
            cells = [
                f"{case['width']}",
                variant,
                f"{result['rows'] / median(seconds) / 1e6:.2f}",
                f"{result['rows'] * case['operations'] / median(seconds) / 1e9:.0f} of {median(peak) / 1e9:.0f}",
                f"{median(peak_shares(result, case, variant, seconds)):.0%}",
                f"{median(peak_shares(result, case, variant, case['network'][variant])):.0%}",
                _times(one_thread_ratios(case, variant)),
                _times(two_thread_ratios(case)) if number == 0 else "",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for case in result["cases"]:
        variant = next(iter(case["peak"]))
        most, bound = roofline(case, variant)
        reached = result["rows"] / median(case["one_thread"][f"{NATIVE}, {variant}"])
        lines.append(
            f"The roofline of {case['width']} features ({variant}, one core that copies "
            f"{median(case['memory']) / 1e9:.1f} GB/s) is {most / 1e6:.2f} M rows/s, bound by {bound}; "
            f"{reached / most:.0%} of it is reached."
        )
    lines.append("")
    for case in result["cases"]:
        native, other = (case["record"][backend] * 1e6 for backend in (NATIVE, "onnxruntime"))
        lines.append(f"One record of {case['width']} features: {native:.1f} µs, onnxruntime {other:.1f} µs.")
    return "\n".join(lines)


def fastest_of_onnxruntime(seconds: Mapping[str, list[float]]) -> list[float]:
    """Return the seconds of the onnxruntime contender with the least median."""
    return min((times for name, times in seconds.items() if name.startswith("onnxruntime")), key=median)


def _times(values: list[float]) -> str:
    middle, low, high = spread(values)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/native.json"))
    options = parser.parse_args(arguments)
    result = measure_native(rows=options.rows, rounds=options.rounds)
    write_measurement(options.json, result)
    print(timing_line(result))
    print(table(result))


if __name__ == "__main__":
    main()
