"""One contender of ``netsieve bench`` scoring a matrix in memory, in a process of its own.

``python -m netsieve.bench.timed_scoring RUNTIME MODEL MATRIX.npy RESULT.npz --threads N --seconds S``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from netsieve.bench.plain_onnxruntime import PLAIN_BATCH, Floats, batch_scores, onnxruntime_session

FEWEST_PASSES: Final = 2


def _netsieve(model: str, threads: int) -> tuple[Callable[[Floats], Floats], dict[str, Any]]:
    from netsieve.engine.scoring.scorer import Scorer

    scorer = Scorer(model, threads=threads)
    return scorer.score_matrix, {"backend": scorer.backend_description, "batch_size": scorer.batch_size}


def _onnxruntime(model: str, threads: int) -> tuple[Callable[[Floats], Floats], dict[str, Any]]:
    session = onnxruntime_session(model, threads)
    return partial(batch_scores, session), {"backend": "onnxruntime", "batch_size": PLAIN_BATCH}


RUNTIMES: Final = {"netsieve": _netsieve, "onnxruntime": _onnxruntime}


def timed_passes(score: Callable[[Floats], Floats], x: Floats, seconds: float) -> tuple[list[float], Floats]:
    """Score the matrix over and over for so many seconds; return the seconds of each pass, and the scores."""
    scores = score(x)  # warms up
    passes: list[float] = []
    end = time.perf_counter() + seconds
    while len(passes) < FEWEST_PASSES or time.perf_counter() < end:
        start = time.perf_counter()
        scores = score(x)
        passes.append(time.perf_counter() - start)
    return passes, scores


def main(arguments: list[str] | None = None) -> None:
    """Score, and write the times and scores."""
    parser = argparse.ArgumentParser(
        prog="python -m netsieve.bench.timed_scoring", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("runtime", choices=RUNTIMES)
    parser.add_argument("model", help="model file")
    parser.add_argument("matrix", type=Path, help="records as the raw matrix")
    parser.add_argument("result", type=Path, help="where the seconds of the passes and the scores go")
    parser.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=1.0, help="of all passes, at least (default: %(default)s)")
    options = parser.parse_args(arguments)
    score, description = RUNTIMES[options.runtime](options.model, options.threads)
    passes, scores = timed_passes(score, np.load(options.matrix), options.seconds)
    np.savez(options.result, seconds=passes, scores=scores, **description)


if __name__ == "__main__":
    main()
