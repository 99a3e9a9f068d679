"""Isolation forests by the native kernels, by scikit-learn and by onnxruntime: the same trees, on one thread.

``python -m netsieve.bench.native_forest`` writes ``benchmarks/native-forest.json`` and prints the table. Times are
processor time of the thread, the contenders taking turns; ratios are taken round by round.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.bench.interleave import interleave, ratios, spread
from netsieve.bench.machine import describe_machine
from netsieve.bench.measurement import timing_line, write_measurement
from netsieve.bench.plain_onnxruntime import onnxruntime_session
from netsieve.engine.detectors.core import prepared_float32
from netsieve.engine.detectors.sklearn_trees import isolation_trees, prepared_splits
from netsieve.engine.detectors.tree_ensemble import TreeScore
from netsieve.engine.features.preprocessing import fit_preprocessing
from netsieve.engine.features.schema import FeatureSchema, NumericFeature
from netsieve.engine.features.unscaled import unscaled_columns
from netsieve.export.cores import core_model
from netsieve.kernels import _native

WIDTHS: Final = (10, 41, 115)
"""Features: those of a plain flow, of KDD Cup, and of N-BaIoT."""
TREES: Final = (100, 300)
DATA: Final = {"heavy-tailed": False, "logarithmic": True}
"""Whether the trees are grown on the signed logarithm of the values: even splits make more leaves."""
TRAINING_ROWS: Final = 50_000
PEER_ROWS: Final = 16_384
"""Rows that scikit-learn and onnxruntime score."""
NATIVE_ROWS: Final = 8 * PEER_ROWS
ONNX_BATCH: Final = 4096
SKLEARN: Final = "scikit-learn"
ONNXRUNTIME: Final = "onnxruntime"

Floats = NDArray[np.float32]


class ForestCase:
    """A forest of scikit-learn, in every form that a contender wants.

    Parameters
    ----------
    width
        Features, all numbers.
    trees
        Trees, each grown on 256 rows.
    logarithmic
        Whether values are compared by their signed logarithm.
    """

    def __init__(self, width: int, trees: int, *, logarithmic: bool) -> None:
        from sklearn.ensemble import IsolationForest

        rows = TRAINING_ROWS + NATIVE_ROWS
        rng = np.random.default_rng(width)
        values = rng.standard_normal((rows, width)) * rng.uniform(0.3, 1.5, width) + rng.uniform(0, 8, width)
        x = np.exp(values).astype(np.float32)
        x[::100] *= rng.uniform(5, 50, (len(x[::100]), 1)).astype(np.float32)
        features = (NumericFeature(name=f"feature_{i}", signed_log=logarithmic) for i in range(width))
        self.schema = fit_preprocessing(FeatureSchema(features=tuple(features)), x[:TRAINING_ROWS])
        self.x = np.ascontiguousarray(x[TRAINING_ROWS:])
        forest = IsolationForest(n_estimators=trees, max_samples=256, random_state=0, n_jobs=1)
        self.forest = forest.fit(prepared_float32(self.schema, x[:TRAINING_ROWS]))
        self.core = TreeScore(isolation_trees(self.forest, *prepared_splits(self.schema)), "exponential")

    @cached_property
    def model(self) -> bytes:
        """The graph of the forest, as export writes it."""
        model: bytes = core_model(self.core, self.schema).SerializeToString()
        return model

    @cached_property
    def reference(self) -> NDArray[np.float64]:
        """Scores of the peers' rows in float64 arithmetic."""
        return self.core.score(unscaled_columns(self.schema, self.x[:PEER_ROWS]))

    @property
    def mean_leaves(self) -> float:
        """Leaves of a tree."""
        return float((self.core.trees.column < 0).sum() / len(self.core.trees.root))

    def sklearn(self) -> Callable[[], Floats]:
        """Return scikit-learn's scoring of the peers' rows, which it is given prepared."""
        z = prepared_float32(self.schema, self.x[:PEER_ROWS])
        return lambda: -self.forest.score_samples(z)

    def onnxruntime(self) -> Callable[[], Floats]:
        """Return onnxruntime's scoring of the peers' rows, as they come."""
        session = onnxruntime_session(self.model, 1)
        batches = np.split(self.x[:PEER_ROWS], PEER_ROWS // ONNX_BATCH)
        return lambda: np.concatenate([session.run(["score"], {"x": batch})[0] for batch in batches])

    def native(self, variant: str, rows: int | None = None) -> Callable[[], Floats]:
        """Return the native scoring of the first or all rows as they come, by the kernels of one instruction set."""
        trees, width = self.core.trees, len(self.schema.features)
        zero, every = np.zeros(width, np.float32), np.arange(width, dtype=np.int32)
        numbers = _native.preparation(
            variant, width, "unscaled", every, zero != 0, zero, zero + 1, zero, every[:0], [], 1.0, 1.0
        )
        kernel = _native.forest(
            variant,
            "unscaled",
            width,
            trees.root,
            trees.column,
            trees.threshold,
            trees.left,
            trees.right,
            trees.missing_left,
            trees.value,
            trees.target,
            trees.targets,
            "exponential",
        )
        plan = _native.ScoringPlan(variant, prepared=None, unscaled=numbers, kernels=[kernel])
        return partial(plan.score, self.x[:rows])


def measure_forests(*, rounds: int) -> dict[str, Any]:
    """Measure all contenders in each case, interleaved, and return it ready for JSON."""
    cases = []
    machine = describe_machine()
    for data, logarithmic in DATA.items():
        for width in WIDTHS:
            for count in TREES:
                case = ForestCase(width, count, logarithmic=logarithmic)
                named = {"data": data, "width": width, "trees": count, "mean_leaves": round(case.mean_leaves, 1)}
                cases.append({**named, **measure_case(case, rounds=rounds)})
    return {"benchmark": "native-forest", "machine": machine, "rounds": rounds, "threads": 1, "cases": cases}


def measure_case(case: ForestCase, *, rounds: int) -> dict[str, Any]:
    """Return the nanoseconds a row and tree of each contender, round by round, and how far it is from the reference.

    The keys are ``nanoseconds`` and ``error``, the largest relative difference, by contender; natively it is the
    instruction set.
    """
    runs = {SKLEARN: case.sklearn(), ONNXRUNTIME: case.onnxruntime()}
    runs |= {variant: case.native(variant) for variant in _native.scoring_variants()}
    error = {name: float(np.abs(run()[:PEER_ROWS] / case.reference - 1).max()) for name, run in runs.items()}
    work = {name: (NATIVE_ROWS if name not in (SKLEARN, ONNXRUNTIME) else PEER_ROWS) for name in runs}
    trees = len(case.core.trees.root)
    timers = {name: partial(_nanoseconds, run, work[name] * trees) for name, run in runs.items()}
    return {"nanoseconds": interleave(timers, rounds=rounds), "error": error}


def _nanoseconds(run: Callable[[], object], work: int) -> float:
    start = time.thread_time_ns()
    run()
    return (time.thread_time_ns() - start) / work


def table(result: dict[str, Any]) -> str:
    """Return the measurement as Markdown: rows a second, and how many times faster than the peers."""
    variants = [name for name in result["cases"][0]["nanoseconds"] if name not in (SKLEARN, ONNXRUNTIME)]
    header = ["data", "features", "trees", "leaves", *variants, f"{variants[0]} / {SKLEARN}"]
    header += [f"{variant} / {ONNXRUNTIME}" for variant in variants]
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    for case in result["cases"]:
        seconds = case["nanoseconds"]
        cells = [case["data"], *(str(case[key]) for key in ("width", "trees", "mean_leaves"))]
        cells += [f"{1e3 / (spread(seconds[name])[0] * case['trees']):.2f} M rows/s" for name in variants]
        cells.append(_times(seconds, SKLEARN, variants[0]))
        cells += [_times(seconds, ONNXRUNTIME, variant) for variant in variants]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def peer_ratio(case: dict[str, Any], peer: str) -> float:
    """Return how many times faster than a peer the best of the machine's instruction sets is, the median of rounds."""
    seconds = case["nanoseconds"]
    best = next(name for name in seconds if name not in (SKLEARN, ONNXRUNTIME))
    return spread(ratios(seconds[peer], seconds[best]))[0]


def _times(seconds: dict[str, list[float]], peer: str, ours: str) -> str:
    middle, low, high = spread(ratios(seconds[peer], seconds[ours]))
    return f"{middle:.1f}x ({low:.1f} to {high:.1f})"


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/native-forest.json"))
    arguments = parser.parse_args()
    result = measure_forests(rounds=arguments.rounds)
    write_measurement(arguments.json, result)
    print(timing_line(result))
    print(table(result))


if __name__ == "__main__":
    main()
