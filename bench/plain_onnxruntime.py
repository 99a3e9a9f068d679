"""Plain onnxruntime, as a user writes it: what scoring is compared with. Imports nothing of netsieve."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
PLAIN_BATCH: Final = 4096
"""Rows a call: the best of 256 to 65,536 for the default detector."""


def onnxruntime_session(model: str | bytes, threads: int) -> Any:
    """Return a session of a model file, by path or content."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def batch_scores(session: Any, x: Floats, output: str = "score") -> Floats:
    """Return the scores of a matrix, float32 ``[n]``, :data:`PLAIN_BATCH` rows a call."""
    scores = np.empty(len(x), dtype=np.float32)
    for i in range(0, len(x), PLAIN_BATCH):
        scores[i : i + PLAIN_BATCH] = session.run([output], {"x": x[i : i + PLAIN_BATCH]})[0].reshape(-1)
    return scores
