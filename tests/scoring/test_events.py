"""Several event types scored in one pass: what comes out is what a job for each type gives, and nothing is lost."""

import errno
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from eve_models import read_output, write_event_model, write_mixed_events
from polars.testing import assert_frame_equal

import netsieve
from netsieve.bench.eve_events import write_events
from netsieve.engine.errors import (
    MissingColumnError,
    OutputError,
    RejectLimitError,
    SchemaError,
    SourceError,
    StateError,
)
from netsieve.engine.scoring import stream
from netsieve.engine.scoring.events import score_events
from netsieve.engine.scoring.files import score_files
from netsieve.engine.scoring.scorer import Scorer
from netsieve.engine.sinks.atomic import PendingFile
from netsieve.engine.sinks.parquet import ParquetSink
from netsieve.engine.sources.source import ReadOptions

EVENTS = 600
TYPES = ("flow", "dns")
SLIPS = "suricata/slips_test6-malicious.suricata.json.gz"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Write models of flows and DNS, and of flows with neighbour features."""
    folder = tmp_path_factory.mktemp("models")
    write_events(folder / "eve.json", 1500, seed=1)
    for event_type in TYPES:
        write_event_model(folder / f"{event_type}.onnx", folder / "eve.json", event_type)
    write_event_model(folder / "neighbours.onnx", folder / "eve.json", "flow", neighbours=True)
    return folder


@pytest.fixture(scope="module")
def scorers(models):
    return {event_type: Scorer(models / f"{event_type}.onnx") for event_type in TYPES}


@pytest.fixture(scope="module")
def stateful(models, scorers):
    return {"flow": Scorer(models / "neighbours.onnx"), "dns": scorers["dns"]}


@pytest.fixture
def events(tmp_path):
    path = tmp_path / "eve.json"
    write_mixed_events(path, EVENTS)
    return path


def left_over(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def rejects_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("block_bytes", [20_000, 2 << 20])
@pytest.mark.parametrize(("threads", "form"), [(1, "parquet"), (3, "parquet"), (2, "csv"), (2, "ndjson")])
def test_one_pass_gives_what_a_job_for_each_type_gives(
    scorers, events, tmp_path, monkeypatch, block_bytes, threads, form
):
    monkeypatch.setattr(stream, "EVENT_BLOCK_BYTES", block_bytes)
    scorers = {"flow": scorers["flow"].with_threshold("percentile:95"), "dns": scorers["dns"]}
    out = tmp_path / "scored"
    options = {"by_entity": "src_ip", "max_rejects": 0.1}
    summary = score_events(scorers, str(events), str(out), format=form, threads=threads, **options)
    rejects = {}
    for event_type, scorer in scorers.items():
        alone = tmp_path / f"alone.{form}"
        expected = score_files(
            scorer, [str(events)], str(alone), threads=1, reading=ReadOptions(event_type=event_type), **options
        )
        assert_frame_equal(read_output(out / f"{event_type}.{form}"), read_output(alone))
        ranked = out / f"{event_type}.{form}.entities.csv"
        assert ranked.read_text() == Path(f"{alone}.entities.csv").read_text()
        rejects.update({entry["record"]: entry for entry in rejects_of(Path(f"{alone}.rejects.ndjson"))})
        found = summary.event_types[event_type]
        assert (found.rows_scored, found.rows_written) == (expected.rows_scored, expected.rows_written)
        assert (found.anomalies, found.threshold) == (expected.anomalies, expected.threshold)
        assert 0 < found.anomalies < found.rows_scored
        assert (found.policy, found.output, found.entities) == (
            expected.policy,
            str(out / f"{event_type}.{form}"),
            str(ranked),
        )
    assert rejects_of(out / "events.rejects.ndjson") == [entry for _, entry in sorted(rejects.items())]
    assert summary.rows_rejected == len(rejects) == 5
    assert summary.rows_in == EVENTS + 6
    assert summary.rows_in == summary.rows_scored + summary.rows_rejected + summary.rows_skipped
    assert summary.rows_scored == sum(found.rows_scored for found in summary.event_types.values())
    assert summary.anomalies == sum(found.anomalies for found in summary.event_types.values())
    assert set(summary.skipped) == {"blank", "event type alert", "event type http", "event type tls"}
    assert left_over(out) == {
        "events.rejects.ndjson",
        *(f"{event_type}.{form}{suffix}" for event_type in TYPES for suffix in ("", ".entities.csv")),
    }


def test_several_files_are_scored_in_order(scorers, tmp_path):
    for number in range(3):
        write_events(tmp_path / f"{number}.json", 200, seed=number)
    (tmp_path / "1.json.gz").write_bytes(gzip.compress((tmp_path / "1.json").read_bytes()))
    (tmp_path / "1.json").unlink()
    out = tmp_path / "scored"
    # the second time the folder holds outputs that are no inputs
    for _ in range(2):
        summary = score_events(scorers, [str(tmp_path)], str(out), format="ndjson", threads=2)
        assert (summary.files, summary.rows_in) == (3, 600)
    for event_type, found in summary.event_types.items():
        frame = read_output(out / f"{event_type}.ndjson")
        assert frame.height == found.rows_scored
        assert frame["source_file"].unique(maintain_order=True).to_list() == [
            str(tmp_path / name) for name in ("0.json", "1.json.gz", "2.json")
        ]


def test_each_output_holds_the_records_asked_for(scorers, events, tmp_path):
    summary = score_events(scorers, str(events), str(tmp_path / "top"), top=7, keep="src_ip")
    assert {found.rows_written for found in summary.event_types.values()} == {7}
    for event_type in TYPES:
        frame = read_output(tmp_path / f"top/{event_type}.parquet")
        assert frame.columns == ["src_ip", "source_file", "row_index", "anomaly_score", "is_anomaly"]
        assert frame["anomaly_score"].is_sorted(descending=True)
    summary = score_events(scorers, str(events), str(tmp_path / "anomalies"), only_anomalies=True)
    assert [found.rows_written for found in summary.event_types.values()] == [
        found.anomalies for found in summary.event_types.values()
    ]


def test_a_type_that_does_not_occur_has_an_empty_output(scorers, tmp_path):
    path = tmp_path / "dns.json"
    write_events(tmp_path / "all.json", 500)
    lines = (tmp_path / "all.json").read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if '"event_type":"dns"' in line))
    summary = score_events(scorers, str(path), str(tmp_path / "scored"))
    assert summary.event_types["flow"].rows_scored == 0
    assert summary.notes == [
        f"no event of type flow could be scored; {str(tmp_path / 'scored/flow.parquet')!r} is empty"
    ]
    assert read_output(tmp_path / "scored/flow.parquet").height == 0
    assert read_output(tmp_path / "scored/dns.parquet").height == summary.rows_scored > 0


@pytest.mark.parametrize("block_bytes", [20_000, 2 << 20])
def test_each_model_with_neighbours_has_its_state(stateful, tmp_path, monkeypatch, block_bytes):
    monkeypatch.setattr(stream, "EVENT_BLOCK_BYTES", block_bytes)
    write_events(tmp_path / "eve.json", 600, seed=3)
    text = (tmp_path / "eve.json").read_text().splitlines(keepends=True)
    for name, part in (("a.json", text[:250]), ("b.json", text[250:])):
        (tmp_path / name).write_text("".join(part))
    reading = ReadOptions(event_type="flow")
    alone = score_files(
        stateful["flow"], [str(tmp_path / "eve.json")], str(tmp_path / "alone.parquet"), reading=reading, threads=1
    )
    expected = read_output(tmp_path / "alone.parquet")["anomaly_score"]
    state = tmp_path / "hosts"
    scores = []
    for name in ("a.json", "b.json"):
        summary = score_events(stateful, str(tmp_path / name), str(tmp_path / "out"), state=str(state), threads=3)
        scores += read_output(tmp_path / "out/flow.parquet")["anomaly_score"].to_list()
        assert left_over(state) == {"flow.state"}
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    assert len(scores) == alone.rows_scored
    assert summary.event_types["dns"].rows_scored > 0
    memory = {"flow": stateful["flow"].new_state()}
    whole = score_events(stateful, str(tmp_path / "eve.json"), str(tmp_path / "out"), state=memory, threads=2)
    np.testing.assert_allclose(read_output(tmp_path / "out/flow.parquet")["anomaly_score"], expected, rtol=1e-5)
    again = score_events(stateful, str(tmp_path / "eve.json"), str(tmp_path / "again"), state=memory, threads=2)
    assert again.event_types["flow"].rows_scored == whole.event_types["flow"].rows_scored
    assert not read_output(tmp_path / "again/flow.parquet")["anomaly_score"].equals(expected)
    assert whole.notes == []
    unknown = score_events(stateful, str(tmp_path / "eve.json"), str(tmp_path / "out"))
    assert any("nothing is known of the hosts" in note for note in unknown.notes)


def test_a_state_that_does_not_fit_is_refused(scorers, stateful, events, tmp_path):
    out = str(tmp_path / "out")
    with pytest.raises(StateError, match="takes no state"):
        score_events(scorers, str(events), out, state=str(tmp_path / "hosts"))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file' is a file; name a folder, where each model has a state file"):
        score_events(stateful, str(events), out, state=str(tmp_path / "file"))
    with pytest.raises(SchemaError, match="a state for 'tls', but no model"):
        score_events(stateful, str(events), out, state={"tls": stateful["flow"].new_state()})
    assert left_over(tmp_path) == {"eve.json", "file"}


def test_a_model_of_other_records_is_refused(scorers, events, tmp_path):
    with pytest.raises(SchemaError, match=r"dns.onnx' is for records of type suricata.dns, but is named for suricata"):
        score_events({"flow": scorers["dns"]}, str(events), str(tmp_path / "out"))
    with pytest.raises(SchemaError, match=r"'../flow' is no event type"):
        score_events({"../flow": scorers["flow"]}, str(events), str(tmp_path / "out"))
    with pytest.raises(SchemaError, match="no model was given"):
        score_events({}, str(events), str(tmp_path / "out"))
    assert left_over(tmp_path) == {"eve.json"}


def test_options_that_do_not_fit_are_refused(scorers, events, tmp_path):
    (tmp_path / "file").write_text("")
    csv = tmp_path / "flows.csv"
    csv.write_text("a,b\n1,2\n")
    out = str(tmp_path / "out")
    for arguments, options, error, message in (
        ((str(events), "-"), {}, OutputError, "name a folder in place of '-'"),
        ((str(events), str(tmp_path / "file")), {}, OutputError, "is a file, where a folder"),
        ((str(events), out), {"reading": ReadOptions(event_type="tls")}, SourceError, "the models name the types"),
        ((str(events), out), {"reading": ReadOptions(names=["a"])}, SourceError, "names of columns"),
        ((str(events), out), {"rejects": str(events)}, OutputError, "is the input"),
        ((str(events), str(tmp_path)), {}, OutputError, "all inputs lie in the output folder"),
        ((str(csv), out), {}, SourceError, "is of the format csv, where several event types"),
        ((str(events), out), {"by_entity": "host_name"}, MissingColumnError, "events of type flow: the file lacks 1"),
        ((str(events), out), {"keep": "host_name"}, MissingColumnError, "that --keep asks for"),
    ):
        with pytest.raises(error, match=message):
            score_events(scorers, *arguments, **options)
    assert left_over(tmp_path) == {"eve.json", "file", "flows.csv"}
    assert not (tmp_path / "out").exists()


def test_a_failure_leaves_nothing(scorers, events, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "EVENT_BLOCK_BYTES", 20_000)
    broken = tmp_path / "broken.json.gz"
    broken.write_bytes(gzip.compress(events.read_bytes())[:-2000])
    out = tmp_path / "out"
    with pytest.raises(SourceError, match=r"broken.json.gz"):
        score_events(scorers, [str(events), str(broken)], str(out), threads=2)
    assert not out.exists()

    def fail(_sink, _prepared):
        raise KeyboardInterrupt

    monkeypatch.setattr(ParquetSink, "write", fail)
    with pytest.raises(KeyboardInterrupt):
        score_events(scorers, str(events), str(out), threads=2)
    assert not out.exists()
    assert left_over(tmp_path) == {"eve.json", "broken.json.gz"}


@pytest.mark.parametrize("failing", ["dns.parquet", "dns.parquet.entities.csv", "flow.state"])
def test_one_file_that_cannot_be_written_leaves_no_other(stateful, events, tmp_path, monkeypatch, failing):
    complete = PendingFile.complete

    def fail(pending):
        if pending.path.endswith(failing):
            pending.abort()
            raise OutputError(f"cannot write {pending.path!r}: no space is left on its device")
        complete(pending)

    monkeypatch.setattr(PendingFile, "complete", fail)
    out, state = tmp_path / "out", tmp_path / "state"
    with pytest.raises(OutputError, match="no space is left"):
        score_events(stateful, str(events), str(out), max_rejects=1, state=str(state), by_entity="src_ip")
    assert left_over(tmp_path) == {"eve.json"}


def test_a_file_that_cannot_get_its_name_leaves_no_other(scorers, events, tmp_path, monkeypatch):
    replace = os.replace

    def fail(source, target):
        if target.endswith("dns.parquet"):
            raise OSError(errno.ENOSPC, "no space")
        replace(source, target)

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OutputError, match="no space is left"):
        score_events(scorers, str(events), str(tmp_path / "out"), max_rejects=1)
    assert left_over(tmp_path) == {"eve.json"}


def test_events_of_which_none_can_be_read_have_no_output(scorers, tmp_path):
    path = tmp_path / "eve.json"
    path.write_text('{"event_type":"flow","dest_port":"x"}\n' * 20)
    with pytest.raises(RejectLimitError, match="none of the 20 records could be read") as raised:
        score_events(scorers, str(path), str(tmp_path / "out"))
    assert left_over(tmp_path / "out") == {"events.rejects.ndjson"}
    assert (raised.value.summary.rows_rejected, raised.value.summary.output) == (20, None)
    path.write_text('{"event_type":"flow","dest_port":"x"}\n{"event_type":"dns"}\n')
    with pytest.raises(RejectLimitError, match="more than --max-rejects"):
        score_events(scorers, str(path), str(tmp_path / "out"))
    assert left_over(tmp_path / "out") == {"events.rejects.ndjson", "flow.parquet", "dns.parquet"}


def test_the_real_events_are_scored_in_one_pass(real_data, tmp_path):
    path = real_data / SLIPS
    for event_type in ("flow", "dns", "http"):
        write_event_model(tmp_path / f"{event_type}.onnx", path, event_type)
    scorers = {event_type: Scorer(tmp_path / f"{event_type}.onnx") for event_type in ("flow", "dns", "http")}
    summary = netsieve.score_events(scorers, str(path), str(tmp_path / "out"), threads=2)
    counts = {event_type: found.rows_scored for event_type, found in summary.event_types.items()}
    assert counts == {"flow": 3512, "dns": 680, "http": 56}
    assert (summary.rows_in, summary.rows_rejected) == (5000, 0)
    assert summary.rows_skipped == 5000 - sum(counts.values())
    for event_type, scorer in scorers.items():
        score_files(scorer, [str(path)], str(tmp_path / "alone.parquet"))
        assert_frame_equal(read_output(tmp_path / f"out/{event_type}.parquet"), read_output(tmp_path / "alone.parquet"))
