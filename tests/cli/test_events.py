"""``netsieve score --model TYPE=MODEL``: several event types in one pass, and one line for what does not fit."""

import json
import signal

import polars as pl
import pytest
from eve_models import write_event_model, write_mixed_events
from interruptible_jobs import INTERRUPTED, interruptible_job

from netsieve.bench.eve_events import write_events
from netsieve.engine.cli.main import main

MODELS = ["--model", "flow=flow.onnx", "--model", "dns=dns.onnx"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_events(folder / "eve.json", 1500, seed=1)
    for event_type in ("flow", "dns"):
        write_event_model(folder / f"{event_type}.onnx", folder / "eve.json", event_type)
    return folder


@pytest.fixture
def folder(models, tmp_path, monkeypatch):
    for event_type in ("flow", "dns"):
        (tmp_path / f"{event_type}.onnx").write_bytes((models / f"{event_type}.onnx").read_bytes())
    write_mixed_events(tmp_path / "eve.json", 600)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def left_over(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")} - {"flow.onnx", "dns.onnx", "eve.json"}


def test_the_summary_counts_all_and_each_type(folder, capsys):
    assert (
        main(["score", *MODELS, "eve.json", "-o", "scored/", "--json-summary", "s.json", "--max-rejects", "0.1"]) == 0
    )
    shown = capsys.readouterr().out
    summary = json.loads((folder / "s.json").read_text())
    assert summary["rows_in"] == 606
    assert summary["rows_in"] == summary["rows_scored"] + summary["rows_rejected"] + summary["rows_skipped"]
    assert summary["rows_rejected"] == 5
    assert not {"threshold", "policy", "entities"} & set(summary)
    for event_type in ("flow", "dns"):
        found = summary["event_types"][event_type]
        assert found["output"] == f"scored/{event_type}.parquet"
        frame = pl.read_parquet(found["output"])
        assert (frame.height, frame["is_anomaly"].sum()) == (found["rows_scored"], found["anomalies"])
        assert f"of {event_type}" in shown
        assert f"{found['rows_scored']:,} scored, {found['anomalies']:,} anomalies" in shown
    assert left_over(folder) == {
        "s.json",
        "scored",
        "scored/flow.parquet",
        "scored/dns.parquet",
        "scored/events.rejects.ndjson",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        [*MODELS, "-o", "scored/", "eve.json"],
        ["eve.json", *MODELS, "-o", "scored/"],
        ["--model", "flow=flow.onnx", "eve.json", "-o", "scored/", "--model=dns=dns.onnx"],
        ["-o", "scored/", *MODELS, "eve.json", "more.json"],
        ["eve.json", *MODELS, "more.json", "-o", "scored/"],
    ],
)
def test_options_and_inputs_come_in_any_order(folder, arguments):
    write_events(folder / "more.json", 100)
    assert main(["score", *arguments, "--format", "csv", "--max-rejects", "0.1"]) == 0
    files = {name for name in ("eve.json", "more.json") if name in arguments}
    assert set(pl.read_csv("scored/flow.csv")["source_file"]) == files
    assert left_over(folder) >= {"scored/flow.csv", "scored/dns.csv"}


def test_each_model_may_have_its_threshold(folder):
    thresholds = ["--threshold", "percentile:90", "--threshold", "dns=mean_std:2"]
    arguments = [*MODELS, "eve.json", "-o", "scored/", *thresholds, "--max-rejects", "0.1", "--json-summary", "s.json"]
    assert main(["score", *arguments, "--fail-on-anomaly"]) == 3
    found = json.loads((folder / "s.json").read_text())["event_types"]
    assert {event_type: found[event_type]["policy"] for event_type in found} == {
        "flow": "percentile:90",
        "dns": "mean_std:2",
    }


def test_too_many_rejects_fail_the_job_and_leave_its_outputs(folder, capsys):
    assert main(["score", *MODELS, "eve.json", "-o", "scored/", "--max-rejects", "0.001"]) == 1
    error = capsys.readouterr().err
    assert "rejected, more than --max-rejects 0.001 allows" in error
    assert "scored/events.rejects.ndjson" in error
    assert left_over(folder) >= {"scored/flow.parquet", "scored/dns.parquet", "scored/events.rejects.ndjson"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["flow.onnx", *MODELS, "eve.json", "-o", "o/"],
            "'flow.onnx' is a model, but with --model all that stands alone",
        ),
        ([*MODELS, "eve.json", "-o", "-"], "needs a folder as output, not '-'"),
        ([*MODELS, "eve.json", "-o", "out.parquet"], "needs a folder as output, not 'out.parquet'"),
        ([*MODELS, "eve.json", "-o", "o/", "--resume"], "--resume goes on with a folder"),
        ([*MODELS, "eve.json", "-o", "o/", "--event-type", "dns"], "the models name the types to read"),
        ([*MODELS, "eve.json", "-o", "o/", "--most-flows", "9"], "most_flows: only flows of packet captures end by"),
        (
            ["flow.onnx", "eve.json", "-o", "o.csv", "--idle-timeout", "9"],
            "is of the format eve, and idle_timeout only of use",
        ),
        ([*MODELS, "eve.json", "-o", "o/", "--input-format", "csv"], "of the format csv, where several event types"),
        ([*MODELS, "eve.json", "-o", "o/", "--state", "hosts/"], "takes no state"),
        ([*MODELS, "eve.json", "-o", "o/", "--threshold", "tls=fpr:0.1"], "there is no model for 'tls'"),
        (["--model", "flow=dns.onnx", "eve.json", "-o", "o/"], "for records of type suricata.dns, but is named for"),
        (["--model", "flow=absent.onnx", "eve.json", "-o", "o/"], "absent.onnx"),
        ([*MODELS, "absent.json", "-o", "o/"], "there is no file 'absent.json'"),
        ([*MODELS, "-o", "o/"], "no input was given"),
        ([*MODELS, "eve.json", "-o", "o/", "--json-summary", "eve.json"], "is the input 'eve.json'"),
    ],
)
def test_what_does_not_fit_fails_in_one_line(folder, capsys, arguments, message):
    assert main(["score", *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("netsieve: error: ")
    assert message in line
    assert left_over(folder) == set()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "flow.onnx", "eve.json", "-o", "o/"], "'flow.onnx' is not of the form TYPE=MODEL"),
        (["--model", "flow=", "eve.json", "-o", "o/"], "'flow=' is not of the form TYPE=MODEL"),
        ([*MODELS, "--model", "dns=flow.onnx", "eve.json", "-o", "o/"], "there are two models for 'dns'"),
        (["flow.onnx", "-o", "o.parquet"], "required: DATA"),
    ],
)
def test_wrong_usage_is_told(folder, capsys, arguments, message):
    assert main(["score", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert left_over(folder) == set()


def test_an_interrupt_leaves_nothing(folder):
    text = (folder / "eve.json").read_bytes()

    def outputs_are_begun() -> bool:
        job.feed(text)
        return sum(name.endswith(".part") for name in left_over(folder)) >= 3  # both outputs and the rejects

    with interruptible_job(["score", *MODELS, "-", "-o", "scored/"]) as job:
        job.wait_until(outputs_are_begun)
        assert job.end(signal.SIGINT) == (130, INTERRUPTED)
    assert left_over(folder) == set()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["logs", "--json-summary", "logs/eve.json"], "is the input 'logs/eve.json'"),
        (["logs/*.json", "--json-summary", "logs/eve.json"], "is the input 'logs/eve.json'"),
        (["logs", "--json-summary", "dns.onnx"], "is the input 'dns.onnx'"),
        (["logs", "--json-summary", "o/flow.parquet"], "two outputs are the same file"),
        (["logs", "--json-summary", "o/events.rejects.ndjson"], "two outputs are the same file"),
        (["logs", "--json-summary", "s/dns.state", "--state", "s"], "two outputs are the same file"),
        (
            ["logs", "--json-summary", "o/dns.parquet.entities.csv", "--by-entity", "src_ip"],
            "two outputs are the same file",
        ),
        (["logs", "--rejects", "logs/eve.json"], "is the input 'logs/eve.json'"),
    ],
)
def test_nothing_is_written_over_an_input_or_output(folder, capsys, arguments, message):
    (folder / "logs").mkdir()
    (folder / "eve.json").rename(folder / "logs/eve.json")
    before = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(["score", *MODELS, *arguments, "-o", "o/"]) == 1
    assert message in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_folder_in_the_inputs_is_scored_again_with_its_summary(folder):
    arguments = ["score", *MODELS, ".", "-o", "o/", "--json-summary", "o/s.json", "--max-rejects", "0.5"]
    assert main(arguments) == 0
    first = json.loads((folder / "o/s.json").read_text())
    assert main(arguments) == 0
    assert json.loads((folder / "o/s.json").read_text())["rows_in"] == first["rows_in"]
