"""The features that make an anomaly one, in files: every format and every way of scoring."""

import json
from pathlib import Path

import polars as pl
import pytest
from eve_models import write_event_model, write_mixed_events
from explained import as_tuples, assert_named_alike, odd_flow_frame
from export_cases import fitted_case
from flows import flow_frame, write_flow_model
from polars.testing import assert_frame_equal, assert_series_equal

from netsieve.engine.cli.main import main
from netsieve.engine.detectors.isolation_forest import IsolationForest, IsolationForestParameters
from netsieve.engine.detectors.registry import DETECTORS
from netsieve.engine.errors import ModelFileError, NetsieveError
from netsieve.engine.scoring import stream
from netsieve.engine.scoring.events import score_events
from netsieve.engine.scoring.files import score_files
from netsieve.engine.scoring.folder import score_folder
from netsieve.engine.scoring.scorer import Scorer
from netsieve.engine.scoring.top_features import (
    TOP_FEATURES_TYPE,
    TopFeatures,
)
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.export.model import write_model

ROWS = 2000
THRESHOLDS = {"score:1": 1.0, "default": "score:1"}
READERS = {"parquet": pl.read_parquet, "csv": pl.read_csv, "ndjson": pl.read_ndjson}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    write_flow_model(path)
    return path


@pytest.fixture(scope="module")
def scorer(model: Path) -> Scorer:
    return Scorer(model).with_threshold("percentile:95")


@pytest.fixture(scope="module")
def odd_flows() -> pl.DataFrame:
    return odd_flow_frame(ROWS)


def flows_file(tmp_path, frame) -> Path:
    path = tmp_path / "flows.csv"
    frame.write_csv(path)
    return path


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize(("threads", "block_bytes"), [(1, 2_000_000), (3, 3_000)])
def test_files_hold_what_frames_do(scorer, odd_flows, tmp_path, monkeypatch, suffix, threads, block_bytes):
    monkeypatch.setattr(stream, "BLOCK_BYTES", block_bytes)
    flows = flows_file(tmp_path, odd_flows)
    plain, named = tmp_path / f"plain.{suffix}", tmp_path / f"named.{suffix}"
    score_files(scorer, [str(flows)], str(plain), threads=threads)
    summary = score_files(scorer, [str(flows)], str(named), threads=threads, top_features=2)
    assert summary.rows_written == ROWS
    got = READERS[suffix](named)
    assert got.columns[-1] == "top_features"
    assert_frame_equal(got.drop("top_features"), READERS[suffix](plain))
    expected = scorer.score(odd_flows, top_features=2)["top_features"]
    if suffix == "csv":
        assert_series_equal(got["top_features"], TopFeatures(scorer, 2).in_text(expected))
        return
    got = got["top_features"].cast(TOP_FEATURES_TYPE)
    assert_named_alike(as_tuples(got), as_tuples(expected))
    if suffix == "parquet":
        assert_series_equal(got, expected)
    else:
        line = json.loads(named.read_text().splitlines()[got.is_not_null().arg_max()])
        assert set(line["top_features"][0]) == {"feature", "value", "typical", "z"}


@pytest.mark.parametrize("wish", [{"only_anomalies": True}, {"top": 40}, {"min_score": 0.0}])
@pytest.mark.parametrize("threads", [1, 4])
def test_all_records_of_a_selection_are_explained(scorer, odd_flows, tmp_path, monkeypatch, wish, threads):
    monkeypatch.setattr(stream, "BLOCK_BYTES", 3_000)
    flows = flows_file(tmp_path, odd_flows)
    outputs = [tmp_path / name for name in ("plain.parquet", "named.parquet", "named.csv")]
    strict = scorer.with_threshold("mean_std:3")
    for output in outputs:
        top_features = None if output.name == "plain.parquet" else 3
        score_files(strict, [str(flows)], str(output), threads=threads, top_features=top_features, **wish)
    plain, named, text = (READERS[output.suffix[1:]](output) for output in outputs)
    assert_frame_equal(named.drop("top_features"), plain)
    assert not named["top_features"].is_null().any()
    everything = scorer.with_threshold(-1e30).score(odd_flows, top_features=3)["top_features"]
    assert_series_equal(named["top_features"], everything.gather(named["row_index"]))
    assert text["top_features"].to_list() == TopFeatures(scorer, 3).in_text(named["top_features"]).to_list()


def test_an_input_column_of_that_name_is_kept_beside(scorer, tmp_path):
    frame = flow_frame(300).with_columns(top_features=pl.lit("mine"))
    flows = flows_file(tmp_path, frame)
    options = {"keep": "top_features", "only_anomalies": True}
    score_files(scorer, [str(flows)], str(tmp_path / "out.parquet"), top_features=1, **options)
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert set(out["input_top_features"]) == {"mine"}
    assert out["top_features"].dtype == TOP_FEATURES_TYPE
    score_files(scorer, [str(flows)], str(tmp_path / "plain.parquet"), **options)
    assert set(pl.read_parquet(tmp_path / "plain.parquet")["top_features"]) == {"mine"}


def test_an_input_without_records(scorer, tmp_path):
    flows = flows_file(tmp_path, flow_frame(1).clear())
    for suffix, kind in (("parquet", TOP_FEATURES_TYPE), ("csv", pl.String())):
        with pytest.raises(NetsieveError, match="no records"):
            score_files(scorer, [str(flows)], str(tmp_path / f"out.{suffix}"), top_features=1)
        assert READERS[suffix](tmp_path / f"out.{suffix}").schema["top_features"] == kind


def test_folders_and_resume(scorer, odd_flows, tmp_path):
    logs, out = tmp_path / "logs", tmp_path / "out"
    logs.mkdir()
    for part in range(3):
        odd_flows[part * 600 : (part + 1) * 600].write_csv(logs / f"{part}.csv")
    score_folder(scorer, [str(logs)], str(out), top_features=2)
    for part in range(3):
        got = pl.read_parquet(out / f"{part}.csv.parquet")["top_features"]
        expected = scorer.score(odd_flows[part * 600 : (part + 1) * 600], top_features=2)["top_features"]
        assert_series_equal(got, expected)
    assert score_folder(scorer, [str(logs)], str(out), top_features=2, resume=True).files_finished_before == 3
    assert score_folder(scorer, [str(logs)], str(out), top_features=3, resume=True).files_finished_before == 0


def test_several_event_types(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "EVENT_BLOCK_BYTES", 20_000)
    events = tmp_path / "eve.json"
    write_mixed_events(events, 600)
    scorers = {}
    for event_type, neighbours in (("flow", True), ("dns", False)):
        write_event_model(tmp_path / f"{event_type}.onnx", events, event_type, neighbours=neighbours)
        scorers[event_type] = Scorer(tmp_path / f"{event_type}.onnx")
    score_events(scorers, [str(events)], str(tmp_path / "together"), top_features=2, threads=3, max_rejects=1.0)
    for event_type, scorer in scorers.items():
        together = pl.read_parquet(tmp_path / "together" / f"{event_type}.parquet")
        alone = tmp_path / f"{event_type}.parquet"
        score_files(scorer, [str(events)], str(alone), top_features=2, max_rejects=1.0)
        assert_frame_equal(together, pl.read_parquet(alone))
        assert together["top_features"].is_not_null().to_list() == together["is_anomaly"].to_list()
        assert together["is_anomaly"].any()


@pytest.fixture(scope="module")
def forest(tmp_path_factory) -> Path:
    schema, x = fitted_case(("plain a", "plain b"), rows=300)
    detector = IsolationForest(IsolationForestParameters(trees=5)).fit(schema, x[:200], x[200:], device="cpu")
    path = tmp_path_factory.mktemp("forest") / "forest.onnx"
    calibration = Calibration.fit(detector.score(x[200:]), x[200:], None, schema)
    write_model(
        detector,
        path,
        schema=schema,
        calibration=calibration,
        thresholds=THRESHOLDS,
        provenance={},
        parity_rows=x[200:],
    )
    return path


def test_a_model_without_feature_errors_is_refused_before_anything_is_written(forest, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pl.DataFrame({"plain a": [1.0, 2.0], "plain b": [3.0, 4.0]}).write_csv("in.csv")
    for output in ("out.parquet", "out/"):
        assert main(["score", str(forest), "in.csv", "-o", output, "--top-features", "3"]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"netsieve: error: {forest} has no top features: the score of its detector, isolation_forest, " in line
        offered = line.partition("train one of ")[2].split(", ")
        assert offered == [name for name, entry in DETECTORS.items() if entry.explains]
        assert not list(Path().glob("out*"))
    with pytest.raises(ModelFileError, match="no top features"):
        Scorer(forest).score_one({"plain a": 1.0, "plain b": 2.0}, top_features=1)
    assert main(["score", str(forest), "in.csv", "-o", "out", "--top-features", "0"]) == 2


def test_the_command_line(model, odd_flows, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    flows = flows_file(tmp_path, odd_flows)
    arguments = [
        "score",
        str(model),
        flows.name,
        "-o",
        "-",
        "--keep",
        "none",
        "--only-anomalies",
        "--top-features",
        "2",
    ]
    assert main([*arguments, "--threshold", "percentile:99"]) == 0
    out = pl.read_csv(capfd.readouterr().out.encode())
    assert out.height > 5
    assert out["top_features"].str.contains(r"^\w+[= ].+ \(typical .+, z .+\); \w+[= ].+ \(typical .+, z .+\)$").all()
    assert main(["detectors"]) == 0
    listed = {line.split()[0]: "top features" in line for line in capfd.readouterr().out.splitlines()}
    assert listed == {name: entry.explains for name, entry in DETECTORS.items()}
