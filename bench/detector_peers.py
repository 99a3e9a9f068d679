"""Detectors of PyOD and scikit-learn with their defaults, for comparing quality.

Each takes a matrix of training rows and one of test rows, float64, and gives test scores, higher for odder rows. None
may learn from the test rows; PyOD's ECOD and COPOD rank them among each other all the same, as they are written to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Peer = Callable[[Matrix, Matrix, int], Matrix]

LARGEST_KERNEL_SET: Final = 5_000
"""Rows that a kernel support vector machine is fitted on at most: its time grows with their square."""
CHUNK_ROWS: Final = 20_000


def _pyod(module: str, name: str, **parameters: Any) -> Peer:
    def fit_and_score(train: Matrix, test: Matrix, seed: int) -> Matrix:
        from importlib import import_module

        kind = getattr(import_module(f"pyod.models.{module}"), name)
        asked = {key: seed if value is SEED else value for key, value in parameters.items()}
        if name == "DeepSVDD":
            asked["n_features"] = train.shape[1]
        model = kind(**asked).fit(train)
        return np.asarray(model.decision_function(test), dtype=np.float64)

    return fit_and_score


def _scikit_learn(module: str, name: str, *, largest: int | None = None, **parameters: Any) -> Peer:
    def fit_and_score(train: Matrix, test: Matrix, seed: int) -> Matrix:
        from importlib import import_module

        from sklearn.preprocessing import StandardScaler

        kind = getattr(import_module(f"sklearn.{module}"), name)
        asked = {key: seed if value is SEED else value for key, value in parameters.items()}
        if largest is not None and len(train) > largest:
            train = train[np.random.default_rng(seed).choice(len(train), largest, replace=False)]
        scaler = StandardScaler().fit(train)
        model = kind(**asked).fit(scaler.transform(train))
        parts = [
            model.score_samples(scaler.transform(test[start : start + CHUNK_ROWS]))
            for start in range(0, len(test), CHUNK_ROWS)
        ]
        return -np.concatenate(parts)

    return fit_and_score


SEED: Final = object()
"""Stands for the seed of the run."""

PEERS: Final[Mapping[str, Peer]] = MappingProxyType(
    {
        "PyOD IForest": _pyod("iforest", "IForest", random_state=SEED),
        "PyOD ECOD": _pyod("ecod", "ECOD"),
        "PyOD COPOD": _pyod("copod", "COPOD"),
        "PyOD HBOS": _pyod("hbos", "HBOS"),
        "PyOD KNN": _pyod("knn", "KNN"),
        "PyOD PCA": _pyod("pca", "PCA", random_state=SEED),
        "PyOD AutoEncoder": _pyod("auto_encoder", "AutoEncoder", random_state=SEED, verbose=0),
        "PyOD DeepSVDD": _pyod("deep_svdd", "DeepSVDD", random_state=SEED, verbose=0),
        "scikit-learn IsolationForest": _scikit_learn("ensemble", "IsolationForest", random_state=SEED),
        "scikit-learn OneClassSVM": _scikit_learn("svm", "OneClassSVM", largest=LARGEST_KERNEL_SET),
        "scikit-learn LocalOutlierFactor": _scikit_learn("neighbors", "LocalOutlierFactor", novelty=True),
    }
)
"""By the name shown. scikit-learn's take standardised columns, PyOD's standardise where their defaults do."""


def available_peers() -> dict[str, Peer]:
    """Return the peers whose package is installed."""
    packages = {"PyOD": "pyod", "scikit-learn": "sklearn"}
    return {name: peer for name, peer in PEERS.items() if find_spec(packages[name.split()[0]])}
