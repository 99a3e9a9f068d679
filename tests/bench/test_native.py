"""The benchmark of native kernels: its parts, on a small case."""

import json

import numpy as np
import pytest

from netsieve.bench import native
from netsieve.bench.scoring_case import AUTOENCODER, ScoringCase
from netsieve.engine.scoring.model_file import ModelFile
from netsieve.kernels._native import scoring_variants


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return ScoringCase(10, 3000, tmp_path_factory.mktemp("case"))


def test_contenders_score_alike(case):
    expected = case.model(AUTOENCODER).reference
    for threads in (1, 2):
        for run in native.onnxruntime_runs(case, threads, batches=(1024,)).values():
            np.testing.assert_allclose(run(), expected, rtol=1e-4)


def test_the_network_alone_scores_as_the_whole_plan(case):
    model = ModelFile.read(case.model(AUTOENCODER).path)
    for variant in scoring_variants():
        whole = native.native_plan(model, variant)
        network, columns = native.network_plan(model, variant)
        z = whole.columns(case.x, "prepared")
        assert z.shape == (3000, columns)
        np.testing.assert_array_equal(network.score(z), whole.score(case.x))


def test_operations_are_two_a_weight(case):
    core = case.model(AUTOENCODER).detector.core
    weights = sum(layer.weight.size for layer in (*core.encoder, *core.decoder))
    weights += 0 if core.latent_whitening is None else core.latent_whitening.size
    assert native.operations_per_row(ModelFile.read(case.model(AUTOENCODER).path)) == 2 * weights


def test_measures_and_writes(case, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(native, "ScoringCase", lambda *_: case)
    monkeypatch.setattr(native, "WIDTHS", (10,))
    monkeypatch.setattr(native, "PEAK_ROUNDS", 1000)
    monkeypatch.setattr(native, "call_seconds", lambda run: np.array([run().anomaly_score]))
    measure = native.measure_native
    monkeypatch.setattr(native, "measure_native", lambda **options: measure(widths=(10,), **options))
    native.main(["--rows", "3000", "--rounds", "1", "--json", str(tmp_path / "native.json")])
    result = json.loads((tmp_path / "native.json").read_text())
    assert result["benchmark"] == "native"
    assert set(result["cases"][0]["peak"]) == set(scoring_variants())
    assert all(found["largest_difference"] < 1e-5 for found in result["cases"][0]["agreement"].values())
    assert "| 10 | portable |" in capsys.readouterr().out
