"""``netsieve bench``: records drawn for any model, and the figures of a model on this machine."""

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from eve_models import write_event_model, write_mixed_events
from model_files import UntrainedAutoencoder, write_small_model
from neighbour_models import write_neighbour_model

from netsieve.bench import timed_scoring, user_model
from netsieve.bench.drawn_records import NEVER_SEEN, drawn_frame, drawn_matrix
from netsieve.bench.traffic import COLUMNS
from netsieve.engine.cli.main import main
from netsieve.engine.errors import ModelFileError
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.inference import fit_schema, infer_schema
from netsieve.engine.features.schema import MISSING_CODE, UNKNOWN_CODE
from netsieve.engine.scoring.model_file import ModelFile
from netsieve.engine.scoring.scorer import Scorer
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.export.model import write_model

ROWS = 400


def write_mixed_model(path, *, calibrated=True):
    """Write a model with a column of every kind, and return the frame it was made of."""
    random = np.random.default_rng(3)
    rows = 2000
    frame = pl.DataFrame(
        {
            "size": np.exp(random.normal(8, 3, rows)).astype(np.int64),
            "seconds": np.where(random.random(rows) < 0.2, np.nan, random.gamma(2.0, size=rows)),
            "odd": random.random(rows) < 0.3,
            "protocol": random.choice(["tcp", "udp", "icmp"], rows),
            "port": random.choice([22, 53, 443], rows),
        }
    ).with_columns(pl.col("seconds").fill_nan(None), pl.when(pl.col("port") != 22).then("protocol").alias("protocol"))
    overrides = {"columns": {"port": {"kind": "categorical"}}}
    schema = fit_schema(infer_schema(frame, overrides=overrides), frame)
    x = Encoder(schema).encode(frame)
    detector = UntrainedAutoencoder(schema, (8, 4, 8), 0)
    scores = detector.reference_score(x).astype(np.float32)
    calibration = Calibration.fit(scores, x, schema=schema) if calibrated else Calibration.fit(scores)
    thresholds = {"percentile:95": float(np.float32(np.quantile(scores, 0.95))), "default": "percentile:95"}
    write_model(
        detector, path, schema=schema, calibration=calibration, thresholds=thresholds, provenance={}, parity_rows=x
    )
    return frame


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    write_small_model(path)
    return path


def test_drawn_records_look_like_those_of_the_calibration(tmp_path):
    frame = write_mixed_model(tmp_path / "m.onnx")
    model = ModelFile.read(tmp_path / "m.onnx")
    x = drawn_matrix(model, 5000, seed=1)
    drawn = drawn_frame(model.schema, x)
    assert drawn.schema == {
        name: {pl.Float64: pl.Float32}.get(kind, kind) for name, kind in frame.select(drawn.columns).schema.items()
    }
    np.testing.assert_array_equal(Encoder(model.schema).encode(drawn), x)
    assert drawn["size"].median() == pytest.approx(frame["size"].median(), rel=0.2)
    assert drawn["size"].max() <= frame["size"].max() * 1.001
    for name in ("seconds", "protocol"):
        share = frame[name].null_count() / len(frame)
        assert drawn[name].null_count() / len(drawn) == pytest.approx(share, abs=0.03)
    assert set(drawn["port"].unique()) == {22, 53, 443}
    assert (drawn_matrix(model, 5000, seed=1) == x)[~np.isnan(x)].all()
    assert (drawn_matrix(model, 5000, seed=2) != x).any()


def test_records_can_be_drawn_without_a_calibration_of_the_features(tmp_path):
    write_mixed_model(tmp_path / "m.onnx", calibrated=False)
    model = ModelFile.read(tmp_path / "m.onnx")
    assert not model.calibration.features
    x = drawn_matrix(model, 3000)
    drawn = drawn_frame(model.schema, x)
    port = model.schema.feature_names.index("port")
    encoded = Encoder(model.schema).encode(drawn)
    np.testing.assert_array_equal(encoded[:, port], np.where(x[:, port] == UNKNOWN_CODE, MISSING_CODE, x[:, port]))
    others = np.arange(len(model.schema.features)) != port
    np.testing.assert_array_equal(encoded[:, others], x[:, others])
    assert len(np.unique(x[:, model.schema.feature_names.index("size")])) > 1000
    assert np.isfinite(Scorer(model).score_matrix(x)).all()


def test_files_of_drawn_records_are_scored_without_a_reject(tmp_path):
    events, path = tmp_path / "eve.json", tmp_path / "flow.onnx"
    write_mixed_events(events, 2000)
    write_event_model(path, events, "flow")
    model = ModelFile.read(path)
    x = drawn_matrix(model, ROWS)
    drawn = drawn_frame(model.schema, x)
    drawn.write_csv(tmp_path / "drawn.csv")
    drawn.write_parquet(tmp_path / "drawn.parquet")
    scorer = Scorer(model)
    for suffix in ("csv", "parquet"):
        out = tmp_path / f"scored-{suffix}.parquet"
        summary = scorer.score_file(str(tmp_path / f"drawn.{suffix}"), str(out))
        assert (summary.rows_scored, summary.rows_rejected) == (ROWS, 0)
    texts = drawn.select(pl.col(pl.String)).to_series(0)
    assert texts.is_in([NEVER_SEEN]).sum() < ROWS


@pytest.fixture(scope="module")
def measured(small, tmp_path_factory):
    return user_model.measure_model(
        small,
        tmp_path_factory.mktemp("bench"),
        threads=2,
        rounds=1,
        seconds=0.01,
        file_rows=ROWS,
        say=lambda _: None,
    )


def test_everything_is_measured(small, measured):
    assert json.loads(json.dumps(measured)) == measured
    assert [(each["contender"], each["threads"]) for each in measured["in_memory"]] == [
        *(("netsieve", 1), ("onnxruntime", 1)),
        *(("netsieve", 2), ("onnxruntime", 2)),
    ]
    for each in measured["in_memory"]:
        assert min(each["seconds"]) > 0
        assert each["peak_rss_bytes"] > 20e6
        assert each["agreement"]["largest_difference"] < 2e-5
    assert measured["in_memory"][0]["batch_size"] == Scorer(small).batch_size
    assert set(measured["files"]) == {".csv", ".parquet"}
    assert measured["files_skipped"] is None
    heading = dict(user_model.heading_rows(measured))
    assert heading["model"] == f"{small}: autoencoder, 4 features"
    table = list(user_model.speed_rows(measured))
    assert [len(row) for row in table] == [8] * 7
    assert f"whole process, {ROWS} rows, csv to parquet" in table[5][0]
    assert len(list(user_model.closing_lines(measured))) == 1


def test_rates_are_medians_and_ratios_are_taken_round_by_round(measured):
    in_memory = [
        {**each, "seconds": [1.0, 2.0, 4.0] if each["contender"] == "netsieve" else [3.0, 5.0, 4.0]}
        for each in measured["in_memory"]
    ]
    table = list(user_model.speed_rows({**measured, "matrix_rows": 100, "in_memory": in_memory}))
    assert table[1][3:7] == ("50", "25", "100", "2.50")
    assert table[2][3:7] == ("25", "20", "33", "")


def files_of(path, folder, rows=ROWS):
    model = ModelFile.read(path)
    return user_model._measure_files(path, model, folder, rows, threads=1, rounds=1, say=lambda _: None)


def test_models_of_generated_traffic_are_given_traffic(tmp_path):
    path = tmp_path / "m.onnx"
    write_neighbour_model(path)
    files, skipped = files_of(path, tmp_path)
    assert (set(files), skipped) == ({".csv", ".parquet"}, None)
    assert pl.read_parquet(tmp_path / "records.parquet")["SourceIP"].n_unique() > 10


def test_files_that_cannot_be_made_or_scored_are_left_out_with_the_reason(small, measured, tmp_path, monkeypatch):
    events, path = tmp_path / "eve.json", tmp_path / "flow.onnx"
    write_mixed_events(events, 2000)
    write_event_model(path, events, "flow", neighbours=True)
    files, skipped = files_of(path, tmp_path)
    assert not files
    assert "generated traffic alone" in skipped
    monkeypatch.setattr(user_model, "NETSIEVE", [sys.executable, "-c", "import sys; sys.exit('it is broken')"])
    assert files_of(small, tmp_path) == ({}, "it is broken")
    without = {**measured, "files": {}, "files_skipped": "it is broken"}
    assert list(user_model.closing_lines(without))[-1] == "files were not scored: it is broken"
    assert len(list(user_model.speed_rows(without))) == 5


def test_a_model_that_cannot_be_scored_with_is_an_error_of_one_line(small, tmp_path):
    np.save(tmp_path / "matrix.npy", np.zeros((64, 3), np.float32))
    with pytest.raises(ModelFileError, match=r"small.onnx cannot be scored with netsieve \(.*shape") as caught:
        user_model._measure_memory(small, tmp_path, threads=1, rounds=1, seconds=0.0)
    assert "\n" not in str(caught.value)


def test_passes_go_on_for_the_seconds_asked_for():
    calls = []
    passes, scores = timed_scoring.timed_passes(lambda x: calls.append(1) or x[:, 0], np.zeros((5, 2), np.float32), 0.0)
    assert (len(passes), len(calls), len(scores)) == (2, 3, 5)
    passes, _ = timed_scoring.timed_passes(lambda x: x[:, 0], np.zeros((5, 2), np.float32), 0.01)
    assert len(passes) > 10


@pytest.fixture
def asked(measured, monkeypatch):
    """Return what the command asks to be measured, without measuring it."""
    calls = []

    def measure(path, folder, **options):
        assert folder.is_dir()
        calls.append((ModelFile.read(path), options))
        return json.loads(json.dumps(measured))

    monkeypatch.setattr(user_model, "measure_model", measure)
    return calls


def test_the_command_prints_a_table_and_json(small, measured, asked, tmp_path, capfd):
    out = tmp_path / "bench.json"
    assert main(["bench", str(small), "--rows", "300", "--threads", "3", "--json", str(out)]) == 0
    printed = capfd.readouterr()
    assert json.loads(out.read_text()) == measured
    assert "in memory, plain onnxruntime" in printed.out
    (model, options), *_ = asked
    assert (model.name, options["file_rows"], options["threads"]) == (str(small), 300, 3)
    options["say"]("drawing records")
    assert capfd.readouterr().err == "netsieve: drawing records\n"
    assert main(["bench", str(small), "--json", "-"]) == 0
    printed = capfd.readouterr()
    assert json.loads(printed.out) == measured
    assert "in memory, plain onnxruntime" in printed.err


def test_the_command_refuses_what_cannot_be(small, tmp_path, capfd):
    before = small.read_bytes()
    assert main(["bench", str(small), "--json", str(small)]) == 1
    assert small.read_bytes() == before
    assert main(["bench", str(tmp_path / "none.onnx")]) == 1
    assert "none.onnx does not exist" in capfd.readouterr().err


def test_without_a_model_one_is_trained(asked, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(user_model, "TRAINING_ROWS", 6000)
    monkeypatch.setattr(user_model, "TRAINING_DRAWS", 10_000)
    assert main(["bench", "--json", str(tmp_path / "b.json")]) == 0
    assert "trained on generated traffic: autoencoder" in capsys.readouterr().out
    assert json.loads((tmp_path / "b.json").read_text())["model"]["file"] == "trained on generated traffic"
    ((model, _),) = asked
    assert set(model.schema.input_columns) < set(COLUMNS)


def test_without_a_model_and_without_torch_one_line_says_what_to_do():
    script = (
        "import sys; sys.modules['torch'] = None\nfrom netsieve.engine.cli.main import main\nsys.exit(main(['bench']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("netsieve: error: without MODEL one is trained first, and that needs the package 'torch'")
    assert last.endswith("name a model file, or pip install 'netsieve[cpu,train]'")
