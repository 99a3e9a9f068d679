"""Peers that score an isolation forest of as many trees as ours: :mod:`netsieve.bench.contenders` lists them.

All but isotree have the trees that ours has: scikit-learn grows the same from the same rows and seed. They are given
prepared columns. Each takes a case and its model, does what is done once, and returns what is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from netsieve.bench.model_file_contenders import session_loop
from netsieve.bench.plain_onnxruntime import onnxruntime_session
from netsieve.bench.scoring_case import (
    TREE_SAMPLES,
    TREES,
    Floats,
    ScoringCase,
    ScoringModel,
)

ScoreAll = Callable[[], Floats]


def _grown(case: ScoringCase) -> Any:
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(n_estimators=TREES, max_samples=TREE_SAMPLES, random_state=0, n_jobs=case.threads)
    return forest.fit(case.prepared_training)


def scikit_learn(case: ScoringCase, model: ScoringModel) -> ScoreAll:
    """Score by scikit-learn."""
    forest, z = _grown(case), case.prepared
    return lambda: np.asarray(-forest.score_samples(z), dtype=np.float32)


def skl2onnx_graph(case: ScoringCase, model: ScoringModel) -> ScoreAll:
    """Score by onnxruntime, from the graph that skl2onnx makes of scikit-learn's forest."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    z = case.prepared
    graph = to_onnx(
        _grown(case),
        initial_types=[("x", FloatTensorType([None, z.shape[1]]))],
        options={"score_samples": True},
        target_opset={"": 18, "ai.onnx.ml": 3},
    )
    score = session_loop(onnxruntime_session(graph.SerializeToString(), case.threads), "score_samples", z)
    return lambda: -score()


def pyod_forest(case: ScoringCase, model: ScoringModel) -> ScoreAll:
    """Score by PyOD, which adds an offset to the scores of scikit-learn's forest; it is taken off again."""
    from pyod.models.iforest import IForest

    peer = IForest(n_estimators=TREES, max_samples=TREE_SAMPLES, random_state=0, n_jobs=case.threads)
    peer.fit(case.prepared_training)
    offset, z = peer.detector_.offset_, case.prepared
    return lambda: np.asarray(peer.decision_function(z) - offset, dtype=np.float32)


def isotree_forest(case: ScoringCase, model: ScoringModel) -> ScoreAll:
    """Score by isotree, whose trees are its own, grown as those of the paper are."""
    from isotree import IsolationForest

    peer = IsolationForest(
        ndim=1,
        ntrees=TREES,
        sample_size=TREE_SAMPLES,
        missing_action="fail",
        standardize_data=False,
        random_seed=0,
        nthreads=case.threads,
    ).fit(case.prepared_training)
    z = case.prepared
    return lambda: np.asarray(peer.predict(z), dtype=np.float32)
