"""``netsieve train``: from files to a model that scores, and what goes wrong on the way."""

import re
from pathlib import Path

import polars as pl
import pytest
from flows import flow_frame

from netsieve.engine.cli.main import main
from netsieve.engine.detectors import autoencoder_parameters
from netsieve.engine.scoring.model_file import ModelFile


@pytest.fixture(autouse=True)
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    original = autoencoder_parameters.AutoencoderParameters.from_dict

    def brief(values: dict[str, object]) -> autoencoder_parameters.AutoencoderParameters:
        return original({"max_draws": 4000, **values})

    monkeypatch.setattr(autoencoder_parameters.AutoencoderParameters, "from_dict", brief)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    flow_frame(3000).write_csv("flows.csv")
    return tmp_path


def test_trains_with_labels_and_scores(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = ["--label", "Label", "--normal", "0", "--ignore", "Attack"]
    options = ["--threshold", "fpr:0.02", "--batch-size", "64", "--device", "cpu", "--seed", "3"]
    assert main(["train", "flows.csv", "-o", "m.onnx", *labels, *options]) == 0
    text = capsys.readouterr().out
    for expected in ("3,000 records of 9 columns", "Bytes", "address: SrcAddr", "fpr:0.02", "AUROC", "m.onnx"):
        assert expected in text
    model = ModelFile.read("m.onnx")
    assert model.default_policy == "fpr:0.02"
    assert model.provenance["parameters"]["batch_size"] == 64
    assert model.provenance["seed"] == 3
    assert Path("m.safetensors").is_file()
    assert main(["score", "m.onnx", "flows.csv", "-o", "out.parquet"]) == 0
    assert pl.read_parquet("out.parquet").height == 3000


def test_a_folder_names_the_model_by_detector_and_time(folder: Path) -> None:
    assert main(["train", "flows.csv", "-o", "models/", "--features", "Bytes", "Duration"]) == 0
    names = [path.name for path in Path("models").glob("*.onnx")]
    assert len(names) == 1
    assert re.fullmatch(r"autoencoder-\d{8}T\d{6}Z\.onnx", names[0])
    model = ModelFile.read(Path("models") / names[0])
    assert {"Bytes", "Duration"} <= set(model.schema.feature_names)


def test_a_schema_file_and_given_names(folder: Path) -> None:
    flow_frame(3000).write_csv("bare.csv", include_header=False)
    Path("names").write_text("\n".join(flow_frame(1).columns))
    Path("schema.toml").write_text('ignore = ["Attack", "Label"]\n[columns.Dport]\nkind = "numeric"\n')
    arguments = ["--columns", "names", "--schema", "schema.toml"]
    assert main(["train", "bare.csv", "-o", "m.onnx", *arguments]) == 0
    schema = ModelFile.read("m.onnx").schema
    assert "Dport" in [feature.name for _, feature in schema.numeric]
    assert not {"Attack", "Label"} & set(schema.feature_names)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["absent.csv"], "absent.csv"),
        (["flows.csv", "--label", "Label"], "go together"),
        (["flows.csv", "--label", "Nope", "--normal", "0"], "Nope"),
        (["flows.csv", "--label", "Label", "--normal", "fine"], "'fine'"),
        (["flows.csv", "--detector", "magic"], "magic"),
        (["flows.csv", "--schema", "absent.toml"], "absent.toml"),
        (["flows.csv", "--features", "Nope"], "Nope"),
        (["flows.csv", "--columns", "absent"], "absent"),
        (["header.csv"], "records"),
    ],
)
def test_what_goes_wrong_is_one_line_and_leaves_no_model(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    flow_frame(1).clear().write_csv("header.csv")
    assert main(["train", *arguments, "-o", "m.onnx"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("netsieve: error: ")
    assert expected in error
    assert error.count("\n") == 1
    assert not Path("m.onnx").exists()
