"""Models of windows: frames, matrices, records, files, states, and what does not fit."""

import gzip
import json
import warnings
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import sequence_models
from sequence_models import all_windows, known_detector, write_window_model

from netsieve.bench.traffic import generate_traffic
from netsieve.engine.cli.main import main
from netsieve.engine.errors import (
    EncodeError,
    ExportError,
    MissingColumnError,
    ModelFileError,
    SchemaError,
    StateError,
)
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.stage import NeighbourStage
from netsieve.engine.features.state import FeatureState
from netsieve.engine.features.window_stage import WindowStage
from netsieve.engine.features.windows import Windows
from netsieve.engine.scoring import scorer as scorer_module
from netsieve.engine.scoring import stream
from netsieve.engine.scoring.files import score_files
from netsieve.engine.scoring.labelled import score_labelled_files
from netsieve.engine.scoring.model_file import ModelFile
from netsieve.engine.scoring.scorer import Scorer
from netsieve.engine.training.neighbours import add_neighbours
from netsieve.export.model import write_model

ROWS = 3000
OPTIONS = {"label": "IsAnomaly", "ignore": ["Attack"]}


@pytest.fixture(scope="module")
def traffic() -> pl.DataFrame:
    return generate_traffic(ROWS, seed=4, hosts=60)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "windows.onnx"
    with pytest.MonkeyPatch.context() as monkeypatch:
        known_detector(monkeypatch)
        write_window_model(path, generate_traffic(2000, seed=5, hosts=60), **OPTIONS)
    return path


@pytest.fixture(scope="module")
def scorer(model) -> Scorer:
    return Scorer(model)


@pytest.fixture(scope="module")
def expected(scorer, traffic):
    """Return the scores by the windows and the matrix alone."""
    return scorer.score_matrix(all_windows(scorer.schema, traffic))


def test_the_matrix_scores_are_those_of_the_detector(model, scorer, traffic, expected):
    x = all_windows(scorer.schema, traffic)
    core = sequence_models.MeanDifference(scorer.model_file.initializers["weight"], 5)
    np.testing.assert_allclose(expected, core.score(x), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scorer.feature_error(x[:10]), core.row_errors(x[:10]), rtol=1e-3, atol=1e-3)
    assert len(np.unique(expected)) > ROWS / 2
    for wrong in (x[:, -1], x[:, 1:], x[..., 1:], x[0], np.float32(3)):
        with pytest.raises(SchemaError, match=r"where \[n, 5, \d+\] is expected"):
            scorer.score_matrix(wrong)


def test_one_frame_pieces_and_single_records_score_alike(scorer, traffic, expected, monkeypatch):
    state = scorer.new_state()
    assert np.array_equal(scorer.anomaly_scores(traffic, state=state), expected)
    assert state.records == ROWS
    monkeypatch.setattr(scorer_module, "WINDOW_ROWS", 640)
    monkeypatch.setattr(scorer_module, "THREADED_ROWS", 100)
    sliced = scorer.new_state()
    assert np.array_equal(scorer.anomaly_scores(traffic, state=sliced, threads=2), expected)
    assert sliced.to_bytes() == state.to_bytes()
    state = scorer.new_state()
    pieces = [scorer.score(traffic[i : i + 701], state=state) for i in range(0, ROWS, 701)]
    np.testing.assert_allclose(pl.concat(pieces)["anomaly_score"], expected, rtol=1e-5)
    assert np.array_equal(scorer.anomaly_scores(traffic.lazy(), state=scorer.new_state()), expected)
    state = scorer.new_state()
    singles = [
        scorer.score_one(record, state=state).anomaly_score for record in traffic.head(100).iter_rows(named=True)
    ]
    np.testing.assert_allclose(singles, expected[:100], rtol=1e-5)


def test_without_a_state_nothing_is_known_and_that_is_said_once(model, traffic, expected):
    scorer = Scorer(model)
    with pytest.warns(UserWarning, match="has windows of several records and no state was given"):
        assert np.array_equal(scorer.anomaly_scores(traffic), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scorer.anomaly_scores(traffic[:10])
    with pytest.raises(StateError, match=r"has windows of several records, which one record alone does not have"):
        scorer.score_one(traffic.row(0, named=True))


def test_what_is_missing_or_no_number_is_named_before_anything_is_remembered(scorer, traffic):
    state = scorer.new_state()
    with pytest.raises(MissingColumnError, match="'SourceIP'"):
        scorer.score(traffic.drop("SourceIP"), state=state)
    record = traffic.row(0, named=True)
    del record["SourceIP"]
    with pytest.raises(MissingColumnError, match="'SourceIP'"):
        scorer.score_one(record, state=state)
    broken = traffic.with_columns(BytesSent=pl.lit("many"))
    with pytest.raises(EncodeError, match="'BytesSent' has text"):
        scorer.score(broken, state=state)
    with pytest.raises(EncodeError, match="'BytesSent' is 'many'"):
        scorer.score_one(broken.row(0, named=True), state=state)
    assert state.to_bytes() == scorer.new_state().to_bytes()


def test_a_state_goes_through_a_file(scorer, traffic, expected, tmp_path):
    state = scorer.new_state()
    scorer.score(traffic[:1000], state=state)
    state.save(tmp_path / "hosts.state")
    again = scorer.load_state(tmp_path / "hosts.state")
    found = scorer.anomaly_scores(traffic[1000:], state=again)
    np.testing.assert_allclose(found, expected[1000:], rtol=1e-5)
    with pytest.raises(StateError, match="belongs to another model"):
        FeatureState.load(tmp_path / "hosts.state", add_neighbours(traffic[:100]).declaration)


@pytest.mark.parametrize("threads", [1, 3])
def test_files_score_as_frames_in_any_blocks_and_over_runs(scorer, traffic, expected, tmp_path, monkeypatch, threads):
    monkeypatch.setattr(stream, "BLOCK_BYTES", 7000)
    first, second = tmp_path / "1.csv", tmp_path / "2.csv.gz"
    traffic[:1300].write_csv(first)
    second.write_bytes(gzip.compress(traffic[1300:].write_csv().encode()))
    together = tmp_path / "all.parquet"
    summary = score_files(
        scorer, [str(first), str(second)], str(together), threads=threads, state=str(tmp_path / "all")
    )
    scored = pl.read_parquet(together)
    np.testing.assert_allclose(scored["anomaly_score"], expected, rtol=1e-5)
    assert scored["SourceIP"].to_list() == traffic["SourceIP"].to_list()
    assert scored["row_index"].to_list() == [*range(1300), *range(ROWS - 1300)]
    assert "does not exist yet" in summary.notes[0]
    for path in (first, second):
        score_files(scorer, [str(path)], f"{path}.parquet", threads=threads, state=str(tmp_path / "kept"))
    parts = pl.concat([pl.read_parquet(f"{path}.parquet") for path in (first, second)])
    np.testing.assert_allclose(parts["anomaly_score"], expected, rtol=1e-5)
    assert (tmp_path / "kept").read_bytes() == (tmp_path / "all").read_bytes()


def test_records_that_cannot_be_encoded_are_rejected_and_in_no_window(scorer, traffic, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "BLOCK_BYTES", 5000)
    bad = [3, 700, 701]
    text = traffic.with_columns(pl.col("Duration").cast(pl.String)).with_row_index()
    text = text.with_columns(Duration=pl.when(pl.col("index").is_in(bad)).then(pl.lit("long")).otherwise("Duration"))
    frame = text.drop("index")
    path = tmp_path / "frame.parquet"
    frame.write_parquet(path, row_group_size=500)
    score_files(scorer, [str(path)], str(tmp_path / "out.parquet"), max_rejects=0.1)
    scored = pl.read_parquet(tmp_path / "out.parquet")
    good = [i for i in range(ROWS) if i not in bad]
    assert scored["row_index"].to_list() == good
    found = scorer.score_matrix(all_windows(scorer.schema, traffic[good]))
    np.testing.assert_allclose(scored["anomaly_score"], found, rtol=1e-5)
    rejects = [json.loads(line) for line in (tmp_path / "out.parquet.rejects.ndjson").read_text().splitlines()]
    assert [reject["record"] for reject in rejects] == bad


def test_labelled_files_take_the_windows_too(scorer, traffic, expected, tmp_path, capsys):
    traffic.write_csv(tmp_path / "t.csv")
    found = score_labelled_files(scorer, [str(tmp_path / "t.csv")], label="IsAnomaly", normal="0")
    np.testing.assert_allclose(found.scores, expected, rtol=1e-5)
    arguments = ["evaluate", scorer.model_file.name, str(tmp_path / "t.csv"), "--label", "IsAnomaly", "--normal", "0"]
    assert main(arguments) == 0
    assert "windows of several records and nothing is known" in capsys.readouterr().err


def test_neighbour_features_and_windows_together(tmp_path, traffic, monkeypatch):
    known_detector(monkeypatch)
    computed = add_neighbours(generate_traffic(2000, seed=5, hosts=60))
    windows = Windows(entity=("SourceIP", "DestinationIP"), length=3, time="Timestamp", duration="Duration")
    path = tmp_path / "both.onnx"
    write_window_model(path, computed.frame, windows, computed.declaration, **OPTIONS)
    scorer = Scorer(path)
    assert scorer.depends_on == "neighbour features and windows of several records"
    frame = NeighbourStage(scorer.schema.neighbours).apply(traffic)
    stage, state = WindowStage(scorer.schema.window_layout), FeatureState(None, scorer.schema.window_layout)
    x = stage.update(stage.prepare(frame), Encoder(scorer.schema).encode(frame), state).windows()
    expected = scorer.score_matrix(x)
    state = scorer.new_state()
    assert np.array_equal(scorer.anomaly_scores(traffic, state=state), expected)
    other = scorer.new_state()
    singles = [scorer.score_one(record, state=other).anomaly_score for record in traffic.head(60).iter_rows(named=True)]
    np.testing.assert_allclose(singles, expected[:60], rtol=1e-5)
    monkeypatch.setattr(stream, "BLOCK_BYTES", 9000)
    traffic.write_csv(tmp_path / "t.csv")
    score_files(scorer, [str(tmp_path / "t.csv")], str(tmp_path / "o.parquet"), state=str(tmp_path / "s"), threads=3)
    np.testing.assert_allclose(pl.read_parquet(tmp_path / "o.parquet")["anomaly_score"], expected, rtol=1e-5)
    assert (tmp_path / "s").read_bytes() == state.to_bytes()


def test_inspect_shows_the_windows(model, capsys):
    assert main(["inspect", str(model)]) == 0
    shown = capsys.readouterr().out
    assert "the latest 5 of each SourceIP, this record the last; expiry 86400 s by Timestamp" in shown
    assert main(["inspect", str(model), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert np.shape(content["calibration"]["probe_rows"])[:2] == (64, 5)


def test_a_model_whose_input_is_of_another_rank_is_refused(model):
    import onnx

    whole = onnx.load(model)
    del whole.graph.input[0].type.tensor_type.shape.dim[1]
    with pytest.raises(ModelFileError, match=r"where \['n', 5, \d+\] is expected"):
        ModelFile(whole.SerializeToString())
    flat = onnx.load(model)
    for entry in flat.metadata_props:
        if entry.key == "netsieve.schema":
            entry.value = json.dumps({**json.loads(entry.value), "stateful": []})
    with pytest.raises(ModelFileError, match=r"'x' has the shape .* where \['n', \d+\] is expected"):
        ModelFile(flat.SerializeToString())


def test_a_detector_of_other_windows_than_the_schemas_is_not_exported(tmp_path, scorer, traffic, monkeypatch):
    known_detector(monkeypatch)
    detector = sequence_models.MeanDifferenceDetector()
    x = all_windows(scorer.schema, traffic)
    detector.fit(scorer.schema, x, x)
    detector.core = replace(detector.core, window=6)
    arguments = {"thresholds": {"default": "x", "x": 1.0}, "provenance": {}, "parity_rows": x[:50]}
    with pytest.raises(ExportError, match=r"takes \[6, 7\] for a record, and the schema's windows are \[5, 7\]"):
        write_model(detector, tmp_path / "m", schema=scorer.schema, calibration=scorer.calibration, **arguments)
    assert not (tmp_path / "m").exists()


def test_calibrations_of_windows_come_back(scorer):
    calibration = scorer.calibration
    again = type(calibration).from_json(calibration.to_json())
    np.testing.assert_array_equal(again.probe_rows, calibration.probe_rows)
    assert calibration.probe_rows.shape == (64, *scorer.schema.row_shape)
    assert np.isnan(calibration.probe_rows).all(axis=2).any()
    assert all(feature.error_mean >= 0 for feature in calibration.features)


def test_an_empty_frame_has_no_scores(scorer, traffic):
    assert scorer.score(traffic.clear(), state=scorer.new_state()).height == 0
