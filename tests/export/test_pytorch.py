import json
import os

import numpy as np
import onnx
import pytest
from export_cases import KINDS, fitted_case, session

from netsieve.engine.errors import ExportError, ParityError
from netsieve.engine.features.preprocessing import prepare, prepared_columns
from netsieve.export import torch_module

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

SCHEMA, X = fitted_case(KINDS["mixed"], rows=2000)
Z = prepare(SCHEMA, X)
WIDTH = Z.shape[1]


class Rebuilds(nn.Module):
    def __init__(self, width=WIDTH):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Linear(width, 8), nn.BatchNorm1d(8), nn.LeakyReLU(), nn.Dropout(0.3), nn.Linear(8, width)
        )

    def forward(self, z):
        return self.layers(z)


class Scores(nn.Module):
    def __init__(self, width=WIDTH):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 8), nn.GELU(), nn.Linear(8, 3))

    def forward(self, z):
        return self.layers(z).square().sum(-1)


def in_double(module, z):
    with torch.no_grad():
        return module.double().eval()(torch.from_numpy(z)).numpy()


def run(path, x):
    return session(path.read_bytes()).run(None, {"x": x})


def test_a_reconstruction_is_scored_by_its_mean_squared_error(tmp_path, capfd):
    module = Rebuilds().train()
    report = torch_module(module, SCHEMA, tmp_path / "m.onnx", calibration_rows=X)
    assert report.largest_error < 1e-6
    assert module.training
    assert next(module.parameters()).dtype == torch.float32
    scores, errors = run(tmp_path / "m.onnx", X)
    squared = np.square(in_double(module, Z) - Z)
    np.testing.assert_allclose(scores, squared.mean(axis=1), rtol=1e-4)
    first = [column.feature == 0 for column in prepared_columns(SCHEMA)]
    np.testing.assert_allclose(errors[:, 0], squared[:, first].sum(axis=1) / WIDTH, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(errors.sum(axis=1), scores, rtol=1e-4)
    assert len(np.unique(scores)) > 1900
    # nothing printed, warned or logged by the exporter
    assert capfd.readouterr() == ("", "")


def test_a_score_is_taken_as_it_is(tmp_path):
    module = Scores()
    torch_module(module, SCHEMA, tmp_path / "m.onnx", calibration_rows=X, output="score", threshold="percentile:95")
    (scores,) = run(tmp_path / "m.onnx", X)
    np.testing.assert_allclose(scores, in_double(module, Z), rtol=1e-4)
    (single,) = run(tmp_path / "m.onnx", X[:1])
    np.testing.assert_allclose(single, scores[:1], rtol=1e-5)
    model = onnx.load(tmp_path / "m.onnx")
    metadata = {
        entry.key: json.loads(entry.value) for entry in model.metadata_props if entry.key != "netsieve.detector"
    }
    assert metadata["netsieve.thresholds"]["default"] == "percentile:95"
    assert metadata["netsieve.provenance"]["module"] == "Scores"
    assert len(model.metadata_props) == 6
    # the exporter's stack traces name the folders of this machine
    assert __file__.encode() not in (tmp_path / "m.onnx").read_bytes()
    assert {entry.domain for entry in model.opset_import} == {""}


def test_a_module_of_raw_records_gives_finite_scores_for_anything(tmp_path):
    schema, x = fitted_case(KINDS["plain"], rows=1200)
    torch_module(Rebuilds(2), schema, tmp_path / "m.onnx", calibration_rows=x, preprocess=False)
    scores = run(tmp_path / "m.onnx", np.array([[np.nan, 1], [3e38, -3e38], [np.inf, 0], [1, 1]], np.float32))[0]
    assert np.isfinite(scores).all()
    # what cannot be scored must not pass for normal
    assert (scores[:3] > 1e30).all()


def test_frames_are_encoded(tmp_path):
    pl = pytest.importorskip("polars")
    from netsieve.engine.features.inference import fit_schema, infer_schema

    frame = pl.DataFrame({"a": np.arange(200.0), "b": ["x", "y"] * 100})
    schema = fit_schema(infer_schema(frame), frame)
    module = Rebuilds(len(prepared_columns(schema)))
    path = tmp_path / "m.onnx"
    assert torch_module(module, schema, path, calibration_rows=frame, threshold="mean_std:3").rows > 200


class BatchCentred(Rebuilds):
    def forward(self, z):
        return self.layers(z) - z.mean(0)


class AlwaysDrops(Rebuilds):
    def forward(self, z):
        return nn.functional.dropout(self.layers(z), 0.5)


class Branches(Rebuilds):
    def forward(self, z):
        return self.layers(z) if bool(z.abs().sum() >= 0) else z * 2


class Single(Rebuilds):
    def forward(self, z):
        return self.layers(z.float())


class Pair(Rebuilds):
    def forward(self, z):
        return self.layers(z), z


@pytest.mark.parametrize(
    ("module", "options", "match"),
    [
        (Rebuilds(), {"output": "score"}, r'with output="score" it must return \[64\]'),
        (Scores(), {}, "it must return"),
        (Rebuilds(WIDTH + 1), {}, "fails on calibration rows"),
        (BatchCentred(), {}, "depends on the rows scored with it"),
        (AlwaysDrops(), {}, "another score when it is run again"),
        (Branches(), {}, "no branches on values"),
        (Single(), {}, "leave the number type to its input"),
        (Pair(), {}, "returns a tuple"),
        (Rebuilds(6), {"preprocess": False}, "calibration rows is no finite number"),
        (Rebuilds(), {"calibration_rows": X[:, :3]}, "calibration rows have shape"),
    ],
)
def test_modules_that_cannot_be_served_are_refused(tmp_path, module, options, match):
    with pytest.raises(ExportError, match=match) as caught:
        torch_module(module, SCHEMA, tmp_path / "m.onnx", **{"calibration_rows": X, **options})
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_failing_parity_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("netsieve.export.parity.RELATIVE_TOLERANCE", 1e-12)
    with pytest.raises(ParityError):
        torch_module(Rebuilds(), SCHEMA, tmp_path / "m.onnx", calibration_rows=X)
    assert os.listdir(tmp_path) == []
