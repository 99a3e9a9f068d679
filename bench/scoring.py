"""Scoring in memory, one record at a time, and encoding: ours and each peer in one registry.

The registry drives the correctness test, the pytest-benchmark suites and the interleaved run
``python -m netsieve.bench.scoring --json benchmarks/scoring.json``. A contender whose answers are not those of the
reference is no contender; only the isolation forest, another model, is excused.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.bench.agreement import score_agreement
from netsieve.bench.interleave import interleave, ratios, seconds_of, spread
from netsieve.bench.machine import describe_machine
from netsieve.bench.measurement import timing_line, write_measurement
from netsieve.engine.detectors.autoencoder import Autoencoder
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.inference import fit_schema, infer_schema
from netsieve.engine.scoring.scorer import Scorer
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.export import write_model

WIDTHS: Final = (10, 41, 115)
"""Features: those of a plain flow, of KDD Cup, and of N-BaIoT."""
TRAINING_ROWS: Final = 6_000
BATCH: Final = 4096
"""Rows a call of onnxruntime: the best of 256 to 65,536."""
TORCH_BATCH: Final = 1024
LATENCY_CALLS: Final = 2_000

Floats = NDArray[np.float32]
ScoreAll = Callable[[], Floats]


class ScoringCase:
    """A trained model of ``width`` numeric features and ``rows`` records to score, in every form a contender wants.

    Parameters
    ----------
    width, rows
        Features and records.
    folder
        Where the model file is written.
    threads
        What each contender may use.
    """

    def __init__(self, width: int, rows: int, folder: Path, *, threads: int = 1) -> None:
        self.width, self.rows, self.threads = width, rows, threads
        rng = np.random.default_rng(width)
        latent = rng.standard_normal((TRAINING_ROWS + rows, 4))
        mixed = latent @ rng.standard_normal((4, width)) + 0.3 * rng.standard_normal((TRAINING_ROWS + rows, width))
        values = np.where(np.arange(width) % 2, np.exp(mixed), mixed).astype(np.float32)
        self.frame = pl.DataFrame(values[TRAINING_ROWS:], schema=[f"f{i:03}" for i in range(width)])
        training = pl.DataFrame(values[:TRAINING_ROWS], schema=self.frame.columns)
        self.schema = fit_schema(infer_schema(training), training)
        x = Encoder(self.schema).encode(training)
        self.detector = Autoencoder()
        self.detector.parameters = replace(self.detector.parameters, max_draws=40_000)
        self.detector.fit(self.schema, x[:4000], x[4000:5000], device="cpu")
        held_back = x[5000:]
        calibration = Calibration.fit(
            self.detector.score(held_back),
            held_back,
            self.detector.feature_error(held_back),
            self.schema,
            population="normal",
        )
        self.path = folder / f"width-{width}.onnx"
        write_model(
            self.detector,
            self.path,
            schema=self.schema,
            calibration=calibration,
            thresholds={"mean_std:3": calibration.mean + 3 * calibration.deviation, "default": "mean_std:3"},
            provenance={},
            parity_rows=held_back,
        )
        self.training_matrix = x

    @cached_property
    def x(self) -> Floats:
        """The records as the raw matrix, float32 ``[rows, width]``."""
        return Encoder(self.schema).encode(self.frame)

    @cached_property
    def reference(self) -> NDArray[np.float64]:
        """Scores of the first 20,000 records in float64 arithmetic."""
        return self.detector.reference_score(self.x[:20_000])

    @cached_property
    def scorer(self) -> Scorer:
        """Our scorer of the model file."""
        return Scorer(self.path, threads=self.threads)

    @cached_property
    def session(self) -> Any:
        """A plain onnxruntime session of the same file."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        return onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to score a case; ``prepare`` does what is done once and returns what is timed."""

    name: str
    prepare: Callable[[ScoringCase], ScoreAll]
    same_model: bool = True


def _ours_matrix(case: ScoringCase) -> ScoreAll:
    scorer, x = case.scorer, case.x
    return lambda: scorer.score_matrix(x)


def _ours_frame(case: ScoringCase) -> ScoreAll:
    scorer, frame = case.scorer, case.frame

    def score() -> Floats:
        scores: Floats = scorer.score(frame)["anomaly_score"].to_numpy()
        return scores

    return score


def _plain_onnxruntime(case: ScoringCase) -> ScoreAll:
    session, x = case.session, case.x

    def score() -> Floats:
        scores = np.empty(len(x), dtype=np.float32)
        for i in range(0, len(x), BATCH):
            scores[i : i + BATCH] = session.run(["score"], {"x": x[i : i + BATCH]})[0]
        return scores

    return score


def _torch_eager(case: ScoringCase) -> ScoreAll:
    import torch

    from netsieve.bench.torch_peer import prepared_autoencoder

    module, x = prepared_autoencoder(case.detector), torch.from_numpy(case.x)
    torch.set_num_threads(case.threads)

    def score() -> Floats:
        with torch.inference_mode():
            scores: Floats = torch.cat([module(rows) for rows in torch.split(x, TORCH_BATCH)]).numpy()
        return scores

    return score


def _isolation_forest(case: ScoringCase) -> ScoreAll:
    from sklearn.ensemble import IsolationForest

    forest, x = IsolationForest(random_state=0, n_jobs=case.threads).fit(case.training_matrix), case.x
    return lambda: -forest.score_samples(x)


OURS: Final = "netsieve, matrix"
CONTENDERS: Final = (
    Contender(OURS, _ours_matrix),
    Contender("netsieve, frame", _ours_frame),
    Contender("onnxruntime loop", _plain_onnxruntime),
    Contender("torch eager", _torch_eager),
    Contender("scikit-learn IsolationForest", _isolation_forest, same_model=False),
)
"""Ours and the peers over a whole matrix or frame."""


def _ours_record(case: ScoringCase) -> Callable[[], float]:
    scorer, record = case.scorer, case.frame.row(0, named=True)
    return lambda: float(scorer.score_one(record).anomaly_score)


def _onnxruntime_record(case: ScoringCase) -> Callable[[], float]:
    session, record = case.session, case.frame.row(0, named=True)
    names = case.schema.feature_names

    def score() -> float:
        x = np.array([[record[name] for name in names]], dtype=np.float32)
        return float(session.run(["score"], {"x": x})[0][0])

    return score


def _torch_record(case: ScoringCase) -> Callable[[], float]:
    import torch

    from netsieve.bench.torch_peer import prepared_autoencoder

    module, record, names = (
        prepared_autoencoder(case.detector),
        case.frame.row(0, named=True),
        case.schema.feature_names,
    )

    def score() -> float:
        with torch.inference_mode():
            return float(module(torch.tensor([[record[name] for name in names]], dtype=torch.float32))[0])

    return score


RECORD_CONTENDERS: Final[dict[str, Callable[[ScoringCase], Callable[[], float]]]] = {
    "netsieve, one record": _ours_record,
    "onnxruntime, one record": _onnxruntime_record,
    "torch eager, one record": _torch_record,
}
"""Ours and the peers for one record, from a dict to a float."""


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
    *, widths: tuple[int, ...] = WIDTHS, rows: int, rounds: int, threads: int, folder: Path
) -> dict[str, Any]:
    """Measure all contenders at each width, interleaved, and return it ready for JSON."""
    result: dict[str, Any] = {
        "benchmark": "scoring", "machine": describe_machine(), "rows": rows, "rounds": rounds, "threads": threads,
        "widths": {}, "records": {},
    }  # fmt: skip
    for width in widths:
        case = ScoringCase(width, rows, folder, threads=threads)
        runs = {contender.name: contender.prepare(case) for contender in CONTENDERS}
        agreement = {
            contender.name: score_agreement(runs[contender.name]()[: len(case.reference)], case.reference)
            for contender in CONTENDERS
            if contender.same_model
        }
        encoder = Encoder(case.schema)
        runs["netsieve, encoding alone"] = partial(encoder.encode, case.frame)
        measured = interleave({name: _timer(run) for name, run in runs.items()}, rounds=rounds)
        result["widths"][str(width)] = {
            "seconds": measured,
            "agreement": agreement,
            "ratios": {name: ratios(times, measured[OURS]) for name, times in measured.items()},
        }
        result["records"][str(width)] = _measure_records(case, rounds)
    return result


def _measure_records(case: ScoringCase, rounds: int) -> dict[str, Any]:
    runs = {name: prepare(case) for name, prepare in RECORD_CONTENDERS.items()}
    samples = interleave({name: _sampler(run) for name, run in runs.items()}, rounds=rounds)
    return {
        name: {
            "median_seconds": [float(np.median(calls)) for calls in rounds_of],
            "p99_seconds": [float(np.quantile(calls, 0.99)) for calls in rounds_of],
        }
        for name, rounds_of in samples.items()
    }


def _timer(run: Callable[[], object]) -> Callable[[], float]:
    return lambda: seconds_of(run)


def _sampler(run: Callable[[], object]) -> Callable[[], NDArray[np.float64]]:
    return lambda: call_seconds(run)


def scoring_table(result: dict[str, Any]) -> str:
    """Return the result as two Markdown tables: whole matrices, then single records."""
    lines = ["| features | contender | M rows/s | times slower than netsieve | largest difference |",
             "| --- | --- | --- | --- | --- |"]  # fmt: skip
    for width, measured in result["widths"].items():
        for name, times in measured["seconds"].items():
            difference = measured["agreement"].get(name, {}).get("largest_difference")
            lines.append(
                f"| {width} | {name} | {result['rows'] / spread(times)[0] / 1e6:.2f} "
                f"| {spread(measured['ratios'][name])[0]:.2f} | {'' if difference is None else f'{difference:.0e}'} |"
            )
    lines += ["", "| features | one record | median µs | 99 % within µs |", "| --- | --- | --- | --- |"]
    for width, records in result["records"].items():
        for name, measured in records.items():
            middle, most = (spread(measured[key])[0] * 1e6 for key in ("median_seconds", "p99_seconds"))
            lines.append(f"| {width} | {name} | {middle:.0f} | {most:.0f} |")
    return "\n".join(lines)


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
    print(f"{timing_line(result)}\n\n{scoring_table(result)}")
    if options.json:
        write_measurement(options.json, result)


if __name__ == "__main__":
    main()
