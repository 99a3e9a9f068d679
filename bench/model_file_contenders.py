"""Ways to score a model file, of whatever family: :mod:`netsieve.bench.contenders` lists them.

Each takes a case and its model, does what is done once, and returns what is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np

from netsieve.bench.plain_onnxruntime import PLAIN_BATCH, batch_scores
from netsieve.bench.scoring_case import Floats, ScoringCase, ScoringModel

BATCH: Final = PLAIN_BATCH
"""Rows a request of OpenVINO, which is no faster with others."""

ScoreAll = Callable[[], Floats]


def netsieve_matrix(case: ScoringCase, model: ScoringModel) -> ScoreAll:
    """Score the raw matrix by our scorer."""
    scorer, x = model.scorer, case.x
    return lambda: scorer.score_matrix(x)


def netsieve_frame(case: ScoringCase, model: ScoringModel) -> ScoreAll:
    """Score the frame by our scorer."""
    scorer, frame = model.scorer, case.frame

    def score() -> Floats:
        scores: Floats = scorer.score(frame)["anomaly_score"].to_numpy()
        return scores

    return score


def onnxruntime_loop(case: ScoringCase, model: ScoringModel) -> ScoreAll:
    """Score the raw matrix by onnxruntime."""
    return session_loop(model.session, "score", case.x)


def session_loop(session: Any, output: str, x: Floats) -> ScoreAll:
    """Return the scoring of a matrix by an onnxruntime session, some rows a call."""
    return lambda: batch_scores(session, x, output)


def openvino_queue(case: ScoringCase, model: ScoringModel) -> ScoreAll:
    """Score the raw matrix by OpenVINO from our file, a stream a thread, in float32 as everybody does."""
    import openvino

    compiled, x = _openvino_model(model, streams=case.threads), case.x
    queue, output = openvino.AsyncInferQueue(compiled, case.threads), compiled.output("score")

    def score() -> Floats:
        scores = np.empty(len(x), dtype=np.float32)

        def keep(request: Any, start: int) -> None:
            scores[start : start + BATCH] = request.get_tensor(output).data

        queue.set_callback(keep)
        for i in range(0, len(x), BATCH):
            queue.start_async({"x": x[i : i + BATCH]}, i, share_inputs=True)
        queue.wait_all()
        return scores

    return score


def netsieve_record(case: ScoringCase, model: ScoringModel) -> Callable[[], float]:
    """Score the first record by our scorer."""
    scorer, record = model.scorer, case.frame.row(0, named=True)
    return lambda: float(scorer.score_one(record).anomaly_score)


def onnxruntime_record(case: ScoringCase, model: ScoringModel) -> Callable[[], float]:
    """Score it by onnxruntime."""
    session, record, names = model.session, case.frame.row(0, named=True), case.schema.feature_names

    def score() -> float:
        x = np.array([[record[name] for name in names]], dtype=np.float32)
        return float(session.run(["score"], {"x": x})[0][0])

    return score


def openvino_record(case: ScoringCase, model: ScoringModel) -> Callable[[], float]:
    """Score it by OpenVINO."""
    compiled, record, names = (
        _openvino_model(model, streams=1),
        case.frame.row(0, named=True),
        case.schema.feature_names,
    )
    request, output = compiled.create_infer_request(), compiled.output("score")

    def score() -> float:
        x = np.array([[record[name] for name in names]], dtype=np.float32)
        return float(request.infer({"x": x}, share_inputs=True, share_outputs=True)[output][0])

    return score


@cache
def _openvino_core() -> Any:
    """Return the one core, which keeps the threads of streams: alone, one may come to destroy, and await, itself."""
    import openvino

    return openvino.Core()


def _openvino_model(model: ScoringModel, *, streams: int) -> Any:
    # Without the hint, processors that can multiply in bfloat16 do, and the scores are no longer those of the model
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": model.threads, "NUM_STREAMS": streams}
    return _openvino_core().compile_model(str(model.path), "CPU", settings)
