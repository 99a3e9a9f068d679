"""``netsieve evaluate``: the metrics are those of the scores, and what is left out is said."""

import json
from pathlib import Path

import polars as pl
import pytest
from flows import flow_frame, write_flow_model

from netsieve.engine.cli.main import main
from netsieve.engine.evaluation.metrics import evaluate_scores
from netsieve.engine.scoring import stream
from netsieve.engine.scoring.scorer import Scorer

ROWS = 2000
LABELS = ["--label", "Label", "--normal", "0"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    write_flow_model(path)
    return str(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    flow_frame(ROWS).write_csv("flows.csv")
    monkeypatch.setattr(stream, "BLOCK_BYTES", 5000)
    return tmp_path


def test_metrics_are_those_of_the_scores(model: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--attack", "Attack", "--json", "e.json", "--report", "r.html"]
    assert main(["evaluate", model, "flows.csv", *LABELS, *arguments]) == 0
    assert "AUROC" in capsys.readouterr().out
    found = json.loads(Path("e.json").read_text())
    frame, scorer = flow_frame(ROWS), Scorer(model)
    expected = evaluate_scores(
        scorer.anomaly_scores(frame), frame["Label"].to_numpy(), scorer.threshold, frame["Attack"].to_list()
    ).to_dict()
    assert {key: found[key] for key in expected if key != "threshold_policy"} == {
        key: value for key, value in expected.items() if key != "threshold_policy"
    }
    assert set(found["recall_by_attack"]) == {"scan", "flood"}
    promised = {"rows", "auroc", "average_precision", "threshold", "accuracy", "precision", "recall", "f1"}
    assert promised | {"false_positive_rate", "confusion", "recall_at_fpr"} <= set(found)
    assert set(found["confusion"]) == {"tp", "fp", "tn", "fn"}
    assert "<html" in Path("r.html").read_text()


def test_json_on_standard_output_is_alone_there(model: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", model, "flows.csv", *LABELS, "--json", "-"]) == 0
    captured = capfd.readouterr()
    assert json.loads(captured.out)["rows"] == ROWS
    assert "AUROC" in captured.err


def test_the_best_f1_is_said_to_be_chosen_here(model: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", model, "flows.csv", *LABELS, "--json", "own"]) == 0
    assert main(["evaluate", model, "flows.csv", *LABELS, "--json", "best", "--threshold", "f1"]) == 0
    assert "chosen on the records it is evaluated on" in capsys.readouterr().err
    own, best = (json.loads(Path(name).read_text()) for name in ("own", "best"))
    assert best["f1"] >= (own["f1"] or 0)
    assert best["threshold_policy"] == "f1"


def test_records_without_a_label_or_sense_are_left_out(
    model: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = Path("flows.csv").read_text().splitlines()
    header = lines[0].split(",")
    lines[3] = ",".join(
        "" if name == "Label" else value for name, value in zip(header, lines[3].split(","), strict=True)
    )
    lines[9] = "no record"
    Path("flows.csv").write_text("\n".join(lines))
    assert main(["evaluate", model, "flows.csv", *LABELS, "--json", "e.json"]) == 0
    error = capsys.readouterr().err
    assert "1 records without a label" in error
    assert "1 records could not be read, the first: flows.csv, record 8" in error
    assert json.loads(Path("e.json").read_text())["rows"] == ROWS - 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["flows.csv", "--label", "Nope", "--normal", "0"], "'Nope'"),
        (["flows.csv", "--label", "Label", "--normal", "benign"], "'0' (1,7"),
        (["flows.csv", *LABELS, "--attack", "Nope"], "'Nope'"),
        (["header.csv", *LABELS], "no records"),
        (["unlabelled.csv", *LABELS], "has a label"),
        (["flows.csv", *LABELS, "--json", "flows.csv"], "is the input"),
    ],
)
def test_what_goes_wrong_is_one_line(
    model: str, folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    flow_frame(1).clear().write_csv("header.csv")
    flow_frame(9).with_columns(Label=pl.lit(None)).write_csv("unlabelled.csv")
    assert main(["evaluate", model, *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("netsieve: error: ")
    assert expected in error
    assert error.count("\n") == 1
