"""The benchmark of the native ensemble, on a small case."""

import json

import numpy as np
import pytest

from netsieve.bench import native_ensemble
from netsieve.kernels._native import scoring_variants

SMALL = {
    "CASES": (("correlated", 6),),
    "TRAINING_ROWS": 600,
    "PEER_ROWS": 256,
    "NATIVE_ROWS": 512,
    "ONNX_BATCH": 128,
    "ALONE": ("kmeans", "dose"),
    "PARAMETERS": {
        "autoencoder": {"max_draws": 1000},
        "isolation_forest": {"trees": 8},
        "nearest": {"stored_rows": 50},
        "kmeans": {"clusters": 5, "restarts": 1},
    },
}


def test_measures_and_writes(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("NETSIEVE_DATA", raising=False)
    for name, value in SMALL.items():
        monkeypatch.setattr(native_ensemble, name, value)
    path = tmp_path / "native-ensemble.json"
    native_ensemble.main(["--rounds", "2", "--json", str(path)])
    result = json.loads(path.read_text())
    assert result["benchmark"] == "native-ensemble"
    detectors = result["cases"][0]["detectors"]
    assert list(detectors) == ["autoencoder", "isolation_forest", "nearest", "kmeans", "dose", "ensemble"]
    for measured in detectors.values():
        assert set(measured["microseconds"]) == {"onnxruntime", *scoring_variants()}
        assert all(len(times) == 2 for times in measured["microseconds"].values())
        assert max(measured["error"].values()) < 1e-5
    assert "| correlated | 6 (6) | ensemble |" in capsys.readouterr().out


def test_a_contender_that_scores_otherwise_is_told(monkeypatch):
    for name, value in SMALL.items():
        monkeypatch.setattr(native_ensemble, name, value)
    case = native_ensemble.EnsembleCase("independent", 4)
    monkeypatch.setattr(case, "onnxruntime", lambda name: lambda: np.ones(256, np.float32))
    with pytest.raises(ValueError, match="onnxruntime is off by"):
        native_ensemble.measure_case(case, rounds=1)
