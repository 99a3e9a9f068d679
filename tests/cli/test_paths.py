"""No command writes over anything that it reads, whatever its arguments are called."""

from pathlib import Path

import pytest
from flows import flow_frame, write_flow_model

from netsieve.engine.cli.main import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    flow_frame(200).write_csv("flows.csv")
    Path("names.txt").write_text("\n".join(flow_frame(1).columns))
    Path("n.txt").write_bytes(Path("names.txt").read_bytes())
    write_flow_model(Path("model.onnx"))
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "model.onnx", "flows.csv", "-o", "model.onnx", "--format", "parquet"],
        ["score", "model.onnx", "flows.csv", "-o", "o.csv", "--rejects", "model.onnx"],
        ["score", "model.onnx", "flows.csv", "-o", "o.csv", "--rejects", "flows.csv"],
        ["score", "model.onnx", "flows.csv", "-o", "o.csv", "--json-summary", "flows.csv"],
        ["score", "model.onnx", "flows.csv", "-o", "o.csv", "--json-summary", "o.csv.rejects.ndjson"],
        ["score", "model.onnx", "flows.csv", "-o", "names.txt", "--format", "csv", "--columns", "names.txt"],
        ["score", "model.onnx", "flows.csv", "-o", "o/", "--json-summary", "flows.csv"],
        ["score", "model.onnx", "flows.csv", "-o", "o/", "--json-summary", "o/flows.csv.parquet"],
        ["score", "model.onnx", "flows.csv", "-o", "o/", "--json-summary", "o/manifest.json"],
        ["train", "flows.csv", "-o", "flows.csv"],
        ["train", "flows.csv", "-o", "model.onnx", "--schema", "model.onnx"],
        ["train", "flows.csv", "-o", "weights.safetensors"],
        ["evaluate", "model.onnx", "flows.csv", "--label", "Label", "--normal", "0", "--json", "model.onnx"],
        ["evaluate", "model.onnx", "flows.csv", "--label=Label", "--normal=0", "--columns=n.txt", "--json", "n.txt"],
    ],
    ids=lambda arguments: " ".join(arguments[1:]),
)
def test_inputs_are_left_as_they_are(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    before = contents(folder)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("netsieve: error: ")
    assert error.count("\n") == 1
    assert contents(folder) == before


def test_a_rejects_file_that_was_asked_for_is_written_even_if_it_is_empty(folder: Path) -> None:
    assert main(["score", "model.onnx", "flows.csv", "-o", "o.csv", "--rejects", "r.ndjson"]) == 0
    assert Path("r.ndjson").read_bytes() == b""


def test_training_refuses_what_it_cannot_write_before_it_trains(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netsieve.engine.training.job.train_detector", None)
    Path("file").touch()
    assert main(["train", "flows.csv", "-o", "file/model.onnx"]) == 1
    assert "cannot write" in capsys.readouterr().err
    assert main(["train", "flows.csv", "-o", "m.onnx", "--threshold", "often"]) == 1
    assert main(["train", "flows.csv", "-o", "m.onnx", "--detector", "oracle"]) == 1


def test_training_and_evaluation_have_a_limit_of_rejects(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Path("flows.csv").open("a") as file:
        file.write("ragged,line\n" * 20)
    assert main(["train", "flows.csv", "-o", "m.onnx"]) == 1
    assert "20 of 220 records could not be read, more than --max-rejects 0.01" in capsys.readouterr().err
    evaluate = ["evaluate", "model.onnx", "flows.csv", "--label", "Label", "--normal", "0", "--json", "e.json"]
    assert main(evaluate) == 1
    assert not Path("e.json").exists()
    assert main([*evaluate, "--max-rejects", "0.5"]) == 0
    assert '"rows_rejected": 20' in Path("e.json").read_text()
