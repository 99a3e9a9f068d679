"""Scoring in memory, one record at a time, and encoding: ours and each peer of :mod:`netsieve.bench.contenders`.

``python -m netsieve.bench.scoring --json benchmarks/scoring.json`` lets them take turns. What is compared is the time a
record, by family of models, since slow peers are given fewer records.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.bench.agreement import score_agreement
from netsieve.bench.contenders import CONTENDERS, OURS, RECORD_CONTENDERS, SLOW_ROWS, Contender, not_installed
from netsieve.bench.interleave import interleave, ratios, seconds_of, spread
from netsieve.bench.machine import describe_machine
from netsieve.bench.measurement import timing_line, write_measurement
from netsieve.bench.scoring_case import AUTOENCODER, FAMILIES, TREES, WIDTHS, Floats, ScoringCase
from netsieve.engine.features.encoding import Encoder

LATENCY_CALLS: Final = 2_000
ENCODING: Final = "netsieve, encoding alone"
NOT_INSTALLED: Final = "not installed"
NOTES: Final = f"""\
Contenders of a family score the same records by the same trained model: netsieve, onnxruntime and OpenVINO from one
model file, PyTorch by the network as a module, scikit-learn, skl2onnx and PyOD by the same {TREES} trees. isotree's
trees and PyOD's autoencoder are their own, of the same number and sizes. netsieve, onnxruntime, OpenVINO and PyTorch
take records as they come; the others are given prepared columns. What is compared is the time a record: slow
contenders score the first {SLOW_ROWS:,} records. Differences are relative to the score plus the median score."""
"""What the tables' readers should know."""


def call_seconds(function: Callable[[], object], calls: int = LATENCY_CALLS) -> NDArray[np.float64]:
    """Return the seconds of each of ``calls`` calls after a tenth as many for warming up."""
    from time import perf_counter_ns

    for _ in range(calls // 10):
        function()
    ticks = np.empty(calls + 1, dtype=np.int64)
    for i in range(calls):
        ticks[i] = perf_counter_ns()
        function()
    ticks[calls] = perf_counter_ns()
    return np.diff(ticks) / 1e9


def measure_scoring(
    *,
    widths: tuple[int, ...] = WIDTHS,
    rows: int,
    rounds: int,
    threads: int,
    folder: Path,
    contenders: Sequence[Contender[Floats]] = CONTENDERS,
) -> dict[str, Any]:
    """Measure contenders at each width, interleaved, and return it ready for JSON.

    Keys beside those of every measurement: ``contenders`` (the ``family`` and ``same_model`` of each by name),
    ``not_installed`` (the package that a contender lacks, by name), ``widths`` and ``records``. Of a width: ``rows``
    and ``seconds`` of each contender that ran, round by round; ``ratios`` of its time a record to that of ours in its
    family; its ``agreement`` with the family's float64 reference.
    """
    listed = {each.name: {"family": each.family, "same_model": each.same_model} for each in contenders}
    # No contender, but a part of scoring a frame
    listed[ENCODING] = {"family": AUTOENCODER, "same_model": True}
    result: dict[str, Any] = {
        "benchmark": "scoring", "machine": describe_machine(), "rows": rows, "rounds": rounds, "threads": threads,
        "contenders": listed, "not_installed": not_installed(), "widths": {}, "records": {},
    }  # fmt: skip
    for width in widths:
        case = ScoringCase(width, rows, folder, threads=threads)
        result["widths"][str(width)] = _measure_matrices(case, rounds, _installed(contenders))
        result["records"][str(width)] = _measure_records(case, rounds)
    return result


def _installed(contenders: Iterable[Contender[Any]]) -> list[Contender[Any]]:
    return [contender for contender in contenders if contender.missing is None]


def _measure_matrices(case: ScoringCase, rounds: int, contenders: Sequence[Contender[Floats]]) -> dict[str, Any]:
    runs: dict[str, Callable[[], object]] = {}
    agreement = {}
    for contender in contenders:
        score = runs[contender.name] = contender.start(case)
        reference = case.model(contender.family).reference[: contender.rows(case)]
        agreement[contender.name] = score_agreement(score()[: len(reference)], reference)
    runs[ENCODING] = partial(Encoder(case.schema).encode, case.frame)
    rows = {contender.name: contender.rows(case) for contender in contenders} | {ENCODING: case.rows}
    measured = interleave({name: partial(seconds_of, run) for name, run in runs.items()}, rounds=rounds)
    per_record = {name: [seconds / rows[name] for seconds in times] for name, times in measured.items()}
    ours = {contender.name: OURS[contender.family] for contender in contenders} | {ENCODING: OURS[AUTOENCODER]}
    return {
        "rows": rows,
        "seconds": measured,
        "agreement": agreement,
        "ratios": {name: ratios(times, per_record[ours[name]]) for name, times in per_record.items()},
    }


def _measure_records(case: ScoringCase, rounds: int) -> dict[str, Any]:
    runs = {contender.name: contender.start(case) for contender in _installed(RECORD_CONTENDERS)}
    samples = interleave({name: partial(call_seconds, run) for name, run in runs.items()}, rounds=rounds)
    return {
        name: {
            "median_seconds": [float(np.median(calls)) for calls in rounds_of],
            "p99_seconds": [float(np.quantile(calls, 0.99)) for calls in rounds_of],
        }
        for name, rounds_of in samples.items()
    }


def scoring_table(result: dict[str, Any]) -> str:
    """Return the result as Markdown: whole matrices, a table a family, then single records."""
    lines: list[str] = []
    for family in FAMILIES:
        names = [name for name, each in result["contenders"].items() if each["family"] == family]
        if not names:
            continue
        header = [
            family,
            "features",
            "M rows/s",
            "times slower than netsieve",
            "largest difference",
            "rank correlation",
        ]
        lines += [_row(header), _row(["---"] * len(header))]
        lines += [_row(_cells(result, width, name)) for width in result["widths"] for name in names]
        lines.append("")
    lines += [_row(["one record", "features", "median µs", "99 % within µs"]), _row(["---"] * 4)]
    for width, records in result["records"].items():
        for name in [*records, *(each.name for each in RECORD_CONTENDERS if each.name in result["not_installed"])]:
            if name in result["not_installed"]:
                lines.append(_row([name, width, NOT_INSTALLED, ""]))
            else:
                parts = (records[name][key] for key in ("median_seconds", "p99_seconds"))
                lines.append(_row([name, width, *(f"{spread(part)[0] * 1e6:.0f}" for part in parts)]))
    return "\n".join(lines)


def _cells(result: dict[str, Any], width: str, name: str) -> list[str]:
    """Return a contender's row of a family's table."""
    if name in result["not_installed"]:
        return [name, width, NOT_INSTALLED, "", "", ""]
    measured = result["widths"][width]
    rate = measured["rows"][name] / spread(measured["seconds"][name])[0]
    cells = [name, width, f"{rate / 1e6:.2f}", _times(measured["ratios"][name])]
    agreement = measured["agreement"].get(name)
    if agreement is None:
        return [*cells, "", ""]
    if result["contenders"][name]["same_model"]:
        return [*cells, f"{agreement['largest_difference']:.0e}", f"{agreement['rank_correlation']:.6f}"]
    return [*cells, "another model", f"{agreement['rank_correlation']:.2f}"]


def _times(values: list[float]) -> str:
    middle, low, high = spread(values)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m netsieve.bench.scoring", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--rows", type=int, default=500_000, help="records a width (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of every contender (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write everything measured here")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        result = measure_scoring(rows=options.rows, rounds=options.rounds, threads=options.threads, folder=Path(folder))
    print(f"{timing_line(result)}\n\n{NOTES}\n\n{scoring_table(result)}")
    if options.json:
        write_measurement(options.json, result)


if __name__ == "__main__":
    main()
