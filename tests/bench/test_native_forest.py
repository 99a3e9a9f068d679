"""The benchmark of forests: its parts, on a small case."""

import json

import numpy as np
import pytest

from netsieve.bench import native_forest
from netsieve.kernels._native import scoring_variants


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(native_forest, "TRAINING_ROWS", 600)
    monkeypatch.setattr(native_forest, "PEER_ROWS", 512)
    monkeypatch.setattr(native_forest, "NATIVE_ROWS", 1024)
    monkeypatch.setattr(native_forest, "ONNX_BATCH", 256)


@pytest.mark.parametrize("logarithmic", [False, True])
def test_contenders_score_alike(logarithmic):
    case = native_forest.ForestCase(5, 10, logarithmic=logarithmic)
    runs = [case.sklearn(), case.onnxruntime(), *(case.native(variant, 512) for variant in scoring_variants())]
    for run in runs:
        np.testing.assert_allclose(run(), case.reference, rtol=1e-5)


def test_measures_and_writes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(native_forest, "DATA", {"heavy-tailed": False})
    monkeypatch.setattr(native_forest, "WIDTHS", (4,))
    monkeypatch.setattr(native_forest, "TREES", (5,))
    path = tmp_path / "forest.json"
    monkeypatch.setattr("sys.argv", ["native_forest", "--rounds", "2", "--json", str(path)])
    native_forest.main()
    result = json.loads(path.read_text())
    (case,) = result["cases"]
    assert case["nanoseconds"].keys() == {"scikit-learn", "onnxruntime", *scoring_variants()}
    assert all(len(rounds) == 2 and min(rounds) > 0 for rounds in case["nanoseconds"].values())
    assert max(case["error"].values()) < 1e-5
    assert f"{scoring_variants()[0]} / scikit-learn" in capsys.readouterr().out
