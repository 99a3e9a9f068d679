"""The ensemble, its members and other detectors natively and by onnxruntime: the same model files, on one thread.

``python -m netsieve.bench.native_ensemble`` writes ``benchmarks/native-ensemble.json`` and prints the table. Times are
processor time of the thread, the contenders taking turns; ratios are taken round by round. How many stored rows must be
compared in full depends on the data: beside correlated columns, as those of traffic are, there are independent ones,
which are the hardest, and the real flows of KDD Cup 99 where ``--data`` or ``NETSIEVE_DATA`` names their folder.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.bench.datasets import load_set
from netsieve.bench.interleave import interleave, ratios, spread
from netsieve.bench.machine import describe_machine
from netsieve.bench.measurement import timing_line, write_measurement
from netsieve.engine.detectors.core import view_columns
from netsieve.engine.detectors.ensemble_core import EnsembleCore
from netsieve.engine.detectors.registry import detector_class, detector_parameters
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.inference import fit_schema, infer_schema
from netsieve.engine.scoring.backend import OnnxRuntimeBackend
from netsieve.engine.scoring.model_file import ModelFile
from netsieve.engine.scoring.native import native_plan
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.export.cores import core_model
from netsieve.export.metadata import add_metadata
from netsieve.kernels._native import scoring_variants

CASES: Final = (
    ("correlated", 10),
    ("correlated", 41),
    ("correlated", 115),
    ("independent", 41),
)
"""Generated data and features: those of a plain flow, of KDD Cup, and of N-BaIoT."""
REAL_SET: Final = "kddcup99"
"""41 features, 7 of them categories."""
LATENT: Final = 4
"""Numbers that correlated columns are made of."""
TRAINING_ROWS: Final = 10_000
PEER_ROWS: Final = 8_192
"""Rows that onnxruntime scores."""
NATIVE_ROWS: Final = 4 * PEER_ROWS
ONNX_BATCH: Final = 2_048
STORED_ROWS: Final = 1_000
TREES: Final = 200
MOST_DRAWS: Final = 60_000
"""The autoencoder is trained no better than its speed needs."""
MEMBERS: Final = ("autoencoder", "isolation_forest", "nearest")
ALONE: Final = ("kmeans", "pca", "elliptic_envelope", "gaussian_mixture", "one_class_svm", "dose")
"""Detectors outside the ensemble that have native kernels too, but for other forests and networks."""
PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "autoencoder": {"max_draws": MOST_DRAWS},
    "isolation_forest": {"trees": TREES},
    "nearest": {"stored_rows": STORED_ROWS},
    "kmeans": {"restarts": 1},
}
ONNXRUNTIME: Final = "onnxruntime"
TOLERANCE: Final = 1e-5

Floats = NDArray[np.float32]


class EnsembleCase:
    """An ensemble trained on some data, its members as models of their own, and records to score.

    Parameters
    ----------
    data
        ``"correlated"``, ``"independent"``, or the name of a labelled set.
    width
        Features of generated data.
    root
        Folder of the labelled sets.
    """

    def __init__(self, data: str, width: int, root: Path | None = None) -> None:
        if root is None:
            frame = _generated(data, width)
            training = frame[:TRAINING_ROWS]
            frame = frame[TRAINING_ROWS:]
        else:
            labelled = load_set(data, root)
            frame = labelled.frame.sample(TRAINING_ROWS + NATIVE_ROWS, seed=0)
            is_normal = frame[labelled.label].cast(pl.String) == labelled.normal
            told = [name for name in (labelled.label, labelled.attack, labelled.time, *labelled.ignore) if name]
            frame = frame.drop(told, strict=False)
            training = frame[:TRAINING_ROWS].filter(is_normal[:TRAINING_ROWS])
            frame = frame[TRAINING_ROWS:]
        self.data = data
        self.schema = fit_schema(infer_schema(training), training)
        self.x = np.ascontiguousarray(Encoder(self.schema).encode(frame))
        encoded = Encoder(self.schema).encode(training)
        cut = 4 * len(encoded) // 5
        self.models = {}
        self.references = {}
        for name in (*MEMBERS, *ALONE, "ensemble"):
            options = {"members": MEMBERS, "member_parameters": {key: PARAMETERS[key] for key in MEMBERS}}
            parameters = detector_parameters(name, options if name == "ensemble" else PARAMETERS.get(name, {}))
            detector = detector_class(name)(parameters).fit(self.schema, encoded[:cut], encoded[cut:], device="cpu")
            assert detector.core is not None
            if isinstance(detector.core, EnsembleCore):
                self.columns = view_columns("prepared", self.schema, encoded[:1]).shape[1]
            self.models[name] = self._model(name, detector, encoded[cut:])
            self.references[name] = detector.reference_score(self.x[:PEER_ROWS])

    def _model(self, name: str, detector: Any, held_back: Floats) -> ModelFile:
        calibration = Calibration.fit(detector.reference_score(held_back), held_back, None, self.schema)
        model = core_model(detector.core, self.schema)
        add_metadata(
            model,
            detector=name,
            schema=self.schema,
            calibration=calibration,
            thresholds={"percentile:95": calibration.mean, "default": "percentile:95"},
            provenance={},
        )
        return ModelFile(model.SerializeToString(), name)

    def onnxruntime(self, name: str) -> Callable[[], Floats]:
        """Return onnxruntime's scoring of the peers' rows."""
        backend = OnnxRuntimeBackend(self.models[name])
        batches = np.split(self.x[:PEER_ROWS], PEER_ROWS // ONNX_BATCH)
        return lambda: np.concatenate([backend.score(batch) for batch in batches])

    def native(self, name: str, variant: str) -> Callable[[], Floats]:
        """Return the native scoring by the kernels of one instruction set."""
        plan = native_plan(self.models[name], variant)
        return lambda: np.asarray(plan.score(self.x), dtype=np.float32)


def _generated(data: str, width: int) -> pl.DataFrame:
    rng = np.random.default_rng(width)
    rows = TRAINING_ROWS + NATIVE_ROWS
    values = rng.standard_normal((rows, width))
    if data == "correlated":
        values = rng.standard_normal((rows, LATENT)) @ rng.standard_normal((LATENT, width)) + 0.3 * values
    heavy = np.where(np.arange(width) % 2, np.exp(values), values).astype(np.float32)
    return pl.DataFrame(heavy, schema=[f"f{i:03}" for i in range(width)])


def measure_case(case: EnsembleCase, *, rounds: int) -> dict[str, Any]:
    """Return for each detector the microseconds a row of each contender, round by round, and its largest error.

    The error is relative to reference and median score. Natively a contender is an instruction set.
    """
    measured: dict[str, Any] = {}
    for name in case.models:
        runs = {ONNXRUNTIME: case.onnxruntime(name)}
        runs |= {variant: case.native(name, variant) for variant in scoring_variants()}
        reference = case.references[name]
        allowed = np.abs(reference) + np.abs(np.median(reference))
        errors = {}
        for contender, run in runs.items():
            errors[contender] = float((np.abs(run()[:PEER_ROWS] - reference) / allowed).max())
            if errors[contender] > TOLERANCE:
                raise ValueError(f"{contender} is off by {errors[contender]:.1e} on {case.data}, {name}")
        seconds = interleave({contender: _timer(run) for contender, run in runs.items()}, rounds=rounds)
        rows = {contender: PEER_ROWS if contender == ONNXRUNTIME else NATIVE_ROWS for contender in runs}
        measured[name] = {
            "microseconds": {key: [1e6 * each / rows[key] for each in times] for key, times in seconds.items()},
            "error": errors,
        }
    return {"data": case.data, "width": len(case.schema.features), "columns": case.columns, "detectors": measured}


def measure_ensembles(*, rounds: int, root: Path | None = None) -> dict[str, Any]:
    """Measure all contenders in each case, interleaved, and return it ready for JSON."""
    machine = describe_machine()
    cases = [measure_case(EnsembleCase(data, width), rounds=rounds) for data, width in CASES]
    if root is not None:
        cases.append(measure_case(EnsembleCase(REAL_SET, 0, root), rounds=rounds))
    return {
        "benchmark": "native-ensemble",
        "machine": machine,
        "rounds": rounds,
        "threads": 1,
        "stored_rows": STORED_ROWS,
        "trees": TREES,
        "cases": cases,
    }


def rows_per_second(measured: dict[str, Any], contender: str) -> float:
    """Return the median rate of a contender at one detector of one case."""
    return 1e6 / spread(measured["microseconds"][contender])[0]


def ensemble_table(result: dict[str, Any]) -> str:
    """Return the result as a Markdown table: million rows a second, and how many times that of onnxruntime."""
    variants = [each for each in result["cases"][0]["detectors"]["ensemble"]["microseconds"] if each != ONNXRUNTIME]
    titles = ["data", "features (columns)", "detector", ONNXRUNTIME, *variants, "largest error"]
    lines = [f"| {' | '.join(titles)} |", "| --- " * len(titles) + "|"]
    for case in result["cases"]:
        for name, measured in case["detectors"].items():
            times = measured["microseconds"]
            cells = [case["data"], f"{case['width']} ({case['columns']})", name]
            cells.append(f"{rows_per_second(measured, ONNXRUNTIME) / 1e6:.2f}")
            for variant in variants:
                faster = spread(ratios(times[ONNXRUNTIME], times[variant]))[0]
                cells.append(f"{rows_per_second(measured, variant) / 1e6:.2f} ({faster:.1f}x)")
            cells.append(f"{max(measured['error'][variant] for variant in variants):.0e}")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _timer(run: Callable[[], object]) -> Callable[[], float]:
    def seconds() -> float:
        start = time.thread_time()
        run()
        return time.thread_time() - start

    return seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m netsieve.bench.native_ensemble", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, help="folder of the real data sets (default: $NETSIEVE_DATA)")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/native-ensemble.json"))
    options = parser.parse_args(arguments)
    named = os.environ.get("NETSIEVE_DATA")
    root = options.data or (Path(named) if named else None)
    result = measure_ensembles(rounds=options.rounds, root=root)
    print(f"{timing_line(result)}\n\n{ensemble_table(result)}")
    write_measurement(options.json, result)


if __name__ == "__main__":
    main()
