"""Models with neighbour features: frames, records, files, states, and what does not fit."""

import io
import json
import sys
import threading
import warnings

import numpy as np
import polars as pl
import pytest
from neighbour_models import write_neighbour_model
from polars.testing import assert_frame_equal

from netsieve.bench.traffic import generate_traffic
from netsieve.engine.cli.main import main
from netsieve.engine.detectors import autoencoder_parameters
from netsieve.engine.errors import MissingColumnError, RejectLimitError, SchemaError, StateError
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.stage import NeighbourStage
from netsieve.engine.features.state import FeatureState
from netsieve.engine.scoring import stream
from netsieve.engine.scoring.files import score_files
from netsieve.engine.scoring.labelled import score_labelled_files
from netsieve.engine.scoring.scorer import Scorer
from netsieve.engine.training.job import train_detector
from netsieve.engine.training.neighbours import add_neighbours

ROWS = 3000


@pytest.fixture(scope="module")
def traffic() -> pl.DataFrame:
    return generate_traffic(ROWS, seed=4, hosts=60)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    write_neighbour_model(path)
    return path


@pytest.fixture(scope="module")
def scorer(model) -> Scorer:
    return Scorer(model)


@pytest.fixture(scope="module")
def expected(scorer, traffic):
    """Return the scores by the stage and the matrix alone."""
    frame = NeighbourStage(scorer.schema.neighbours).apply(traffic)
    return scorer.score_matrix(Encoder(scorer.schema).encode(frame))


def test_one_frame_pieces_and_single_records_score_alike(scorer, traffic, expected):
    state = scorer.new_state()
    assert np.array_equal(scorer.anomaly_scores(traffic, state=state), expected)
    state = scorer.new_state()
    pieces = [scorer.score(traffic[i : i + 700], state=state) for i in range(0, ROWS, 700)]
    np.testing.assert_allclose(pl.concat(pieces)["anomaly_score"], expected, rtol=1e-5)
    assert np.array_equal(scorer.anomaly_scores(traffic.lazy(), state=scorer.new_state()), expected)
    state = scorer.new_state()
    singles = [scorer.score_one(record, state=state).anomaly_score for record in traffic.head(50).iter_rows(named=True)]
    np.testing.assert_allclose(singles, expected[:50], rtol=1e-5)


def test_without_a_state_nothing_is_known_and_that_is_said_once(model, traffic, expected):
    scorer = Scorer(model)
    with pytest.warns(UserWarning, match="no state was given"):
        scores = scorer.anomaly_scores(traffic)
    assert np.array_equal(scores, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(scorer.anomaly_scores(traffic), expected)
    with pytest.raises(StateError, match=r"pass state=scorer.new_state\(\)"):
        scorer.score_one(traffic.row(0, named=True))


def test_what_is_missing_is_named(scorer, traffic):
    with pytest.raises(MissingColumnError, match="'SourceIP'"):
        scorer.score(traffic.drop("SourceIP"), state=scorer.new_state())
    record = traffic.row(0, named=True)
    del record["DestinationIP"]
    with pytest.raises(MissingColumnError, match="'DestinationIP'"):
        scorer.score_one(record, state=scorer.new_state())


def test_a_model_of_single_records_takes_no_state(tmp_path, traffic, scorer):
    from flows import flow_frame, write_flow_model

    write_flow_model(tmp_path / "plain.onnx")
    plain = Scorer(tmp_path / "plain.onnx")
    for call in (plain.score, plain.anomaly_scores):
        with pytest.raises(StateError, match="takes no state"):
            call(flow_frame(3), state=scorer.new_state())
    with pytest.raises(StateError, match="takes no state"):
        plain.score_one(flow_frame(1).row(0, named=True), state=scorer.new_state())
    flow_frame(3).write_csv(tmp_path / "flows.csv")
    with pytest.raises(StateError, match="takes no state"):
        score_files(plain, [str(tmp_path / "flows.csv")], str(tmp_path / "o.parquet"), state=str(tmp_path / "s"))
    assert {path.name for path in tmp_path.iterdir()} == {"plain.onnx", "flows.csv"}


@pytest.fixture
def file(tmp_path, traffic):
    path = tmp_path / "traffic.csv"
    traffic.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")
    return path


def scores_of(path):
    return pl.read_parquet(path)["anomaly_score"].to_numpy()


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("block_bytes", [3000, 1 << 21])
def test_files_score_like_frames_on_any_threads(scorer, file, tmp_path, expected, monkeypatch, threads, block_bytes):
    monkeypatch.setattr(stream, "BLOCK_BYTES", block_bytes)
    summary = score_files(scorer, [str(file)], str(tmp_path / "out.parquet"), threads=threads, keep="all")
    np.testing.assert_allclose(scores_of(tmp_path / "out.parquet"), expected, rtol=1e-5)
    assert summary.rows_scored == ROWS
    assert any("nothing is known of the hosts" in note for note in summary.notes)
    kept = pl.read_parquet(tmp_path / "out.parquet")
    assert kept.columns[13:-4] == list(scorer.schema.neighbours.columns)
    frame = NeighbourStage(scorer.schema.neighbours).apply(pl.read_csv(file))
    assert_frame_equal(kept.select(scorer.schema.neighbours.columns), frame.select(scorer.schema.neighbours.columns))
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("netsieve")]


def test_two_jobs_with_a_state_file_score_like_one(scorer, traffic, tmp_path, expected):
    state = str(tmp_path / "hosts.state")
    found = []
    for number, part in enumerate((traffic[:1700], traffic[1700:])):
        part.write_parquet(tmp_path / "part.parquet")
        out = tmp_path / f"out{number}.parquet"
        summary = score_files(scorer, [str(tmp_path / "part.parquet")], str(out), state=state)
        assert any("does not exist yet" in note for note in summary.notes) == (number == 0)
        found.append(scores_of(out))
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1e-5)
    loaded = FeatureState.load(state, scorer.schema.neighbours)
    assert loaded.records == ROWS
    whole = scorer.new_state()
    scorer.score(traffic, state=whole)
    assert loaded.to_bytes() == whole.to_bytes()


def test_a_failed_job_leaves_the_state_as_it_was(scorer, file, tmp_path):
    state = tmp_path / "hosts.state"
    score_files(scorer, [str(file)], str(tmp_path / "out.parquet"), state=str(state))
    before = state.read_bytes()
    text = file.read_text().splitlines()
    broken = tmp_path / "broken.csv"
    broken.write_text("\n".join([*text[:500], *["ragged"] * 100]) + "\n")
    with pytest.raises(RejectLimitError):
        score_files(scorer, [str(broken)], str(tmp_path / "out2.parquet"), state=str(state))
    assert (tmp_path / "out2.parquet").exists()
    lacking = tmp_path / "lacking.csv"
    lacking.write_text("a,b\n1,2\n")
    with pytest.raises(MissingColumnError, match="SourceIP"):
        score_files(scorer, [str(lacking)], str(tmp_path / "out3.parquet"), state=str(state))
    assert state.read_bytes() == before
    state.write_bytes(b"something else")
    with pytest.raises(StateError, match="no state file"):
        score_files(scorer, [str(file)], str(tmp_path / "out4.parquet"), state=str(state))
    assert state.read_bytes() == b"something else"
    assert not list(tmp_path.glob(".*"))


def test_an_error_in_the_middle_ends_all_threads(scorer, file, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "BLOCK_BYTES", 3000)
    calls = []

    def fail(self, seen, state):
        calls.append(1)
        raise StateError("made up")

    monkeypatch.setattr(NeighbourStage, "update", fail)
    with pytest.raises(StateError, match="made up"):
        score_files(scorer, [str(file)], str(tmp_path / "out.parquet"), threads=3)
    assert calls == [1]
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("netsieve")]


def test_records_from_standard_input(scorer, file, tmp_path, expected, monkeypatch):
    class Piped:
        buffer = io.BytesIO(file.read_bytes())

    monkeypatch.setattr(sys, "stdin", Piped)
    score_files(scorer, ["-"], str(tmp_path / "out.parquet"), threads=2)
    np.testing.assert_allclose(scores_of(tmp_path / "out.parquet"), expected, rtol=1e-5)


def test_evaluation_sees_the_neighbours(scorer, file, expected):
    found = score_labelled_files(scorer, [str(file)], label="IsAnomaly", normal="0", state=scorer.new_state())
    np.testing.assert_allclose(found.scores, expected, rtol=1e-5)
    again = score_labelled_files(scorer, [str(file)], label="IsAnomaly", normal="0")
    assert np.array_equal(again.scores, found.scores)


QUICK = {"hidden_layers": (8, 4), "max_draws": 2000}


def test_training_computes_the_columns_and_declares_them(tmp_path):
    frame = generate_traffic(3000, seed=6, hosts=60)
    overrides = {"neighbours": {"windows": [300], "columns": ["pair_elapsed", "source_ports_300s"]}}
    options = {"label": "IsAnomaly", "normal": "0", "ignore": ["Attack"]}
    options |= {"parameters": QUICK, "progress": False, "threshold": "fpr:0.05"}
    result = train_detector(frame, schema_overrides=overrides, **options)
    declared = result.schema.neighbours
    assert declared.columns == ("pair_elapsed", "source_ports_300s")
    assert {"pair_elapsed", "source_ports_300s", "BytesSent"} <= set(result.schema.feature_names)
    assert declared.duration is None  # generated traffic is in the order of its starts
    again = train_detector(frame, neighbours=True, features=["BytesSent"], schema_overrides=overrides, **options)
    assert set(again.schema.feature_names) == {"BytesSent", "pair_elapsed", "source_ports_300s"}
    assert "SourceIP" in again.schema.input_columns
    path = result.export(tmp_path / "model.onnx")
    assert Scorer(path).schema.neighbours == declared
    more = train_detector(frame, initial_weights=path.with_suffix(".safetensors"), **options)
    assert more.schema == result.schema
    with pytest.raises(SchemaError, match="name them under"):
        train_detector(frame.drop("SourceIP"), neighbours=True, **options)


def test_a_frame_in_no_order_is_taken_in_the_order_of_time():
    frame = generate_traffic(1000, seed=6, hosts=60)
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=1)
    found = add_neighbours(shuffled)
    assert "in no order of time" in found.notes[0]
    by_end = frame.sort(pl.col("Timestamp") + pl.duration(microseconds=(pl.col("Duration") * 1e6).round()))
    expected = NeighbourStage(found.declaration).apply(by_end)
    columns = ["Timestamp", "SourceIP", "SourcePort", "pair_elapsed", "source_flows_3600s"]
    keys = columns[:3]
    assert found.frame.select(shuffled.columns).equals(shuffled)
    assert_frame_equal(found.frame.select(columns).sort(keys), expected.select(columns).sort(keys), rel_tol=1e-5)


def test_the_command_line_from_training_to_evaluation(tmp_path, capsys, monkeypatch):
    original = autoencoder_parameters.AutoencoderParameters.from_dict
    quick = staticmethod(lambda values: original({"max_draws": 2000, **values}))
    monkeypatch.setattr(autoencoder_parameters.AutoencoderParameters, "from_dict", quick)
    monkeypatch.chdir(tmp_path)
    generate_traffic(3000, seed=7, hosts=60).write_parquet("day.parquet")
    labels = ["--label", "IsAnomaly", "--normal", "0"]
    assert main(["train", "day.parquet", "-o", "m.onnx", *labels, "--ignore", "Attack", "--neighbours"]) == 0
    assert "columns computed of the records around each" in capsys.readouterr().out
    assert main(["inspect", "m.onnx"]) == 0
    assert "of neighbouring records: 16 features computed of SourceIP" in capsys.readouterr().out
    score = ["score", "m.onnx", "day.parquet", "-o", "out.csv", "--state", "s.state", "--json-summary", "sum.json"]
    assert main(score) == 0
    assert (tmp_path / "s.state").exists()
    assert main(score) == 0
    assert main(["score", "m.onnx", "day.parquet", "-o", "out.csv", "--state", "m.onnx"]) == 1
    assert main(["score", "m.onnx", "day.parquet", "-o", "out.csv", "--state", "day.parquet"]) == 1
    assert json.loads((tmp_path / "sum.json").read_text())["rows_scored"] == 3000
    capsys.readouterr()
    assert main(["evaluate", "m.onnx", "day.parquet", *labels]) == 0
    assert "nothing is known of the hosts" in capsys.readouterr().err
    assert main(["evaluate", "m.onnx", "day.parquet", *labels, "--state", "s.state"]) == 0
    assert "nothing is known" not in capsys.readouterr().err
    assert main(["evaluate", "m.onnx", "day.parquet", *labels, "--state", "none.state"]) == 1
    assert "cannot read the state file 'none.state'" in capsys.readouterr().err
