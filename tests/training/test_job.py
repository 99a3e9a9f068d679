import json
from datetime import UTC, datetime, timedelta

import numpy as np
import onnxruntime
import polars as pl
import pytest

from netsieve.engine.detectors.autoencoder import Autoencoder
from netsieve.engine.errors import NetsieveError, TrainingError
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.training import data
from netsieve.engine.training.job import TrainingResult, train_detector
from netsieve.engine.training.splits import SplitShares

QUICK = {"max_draws": 20_000, "learning_rate": 0.003, "noise": None, "aggregation": "sum"}


def flows(rows: int = 3000, attacks: int = 100, seed: int = 0) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    size = generator.lognormal(6, 1, rows)
    attack = np.arange(rows) >= rows - attacks
    frame = pl.DataFrame(
        {
            "Timestamp": [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=int(s)) for s in range(rows)],
            "SourceIP": [f"10.0.0.{i % 250}" for i in range(rows)],
            "bytes": np.where(attack, size * 300, size),
            "packets": np.round(size / 100) + 1,
            "duration": generator.exponential(2, rows),
            "proto": generator.choice(["tcp", "udp"], rows, p=[0.8, 0.2]),
            "label": np.where(attack, "scan", "ok"),
        }
    )
    return frame[generator.permutation(rows)]


def train(frame: pl.DataFrame, **changes) -> TrainingResult:
    arguments = {"parameters": QUICK, "device": "cpu", "progress": False, "threshold": "percentile:95"}
    return train_detector(frame, **{**arguments, **changes})


@pytest.fixture(scope="module")
def result() -> TrainingResult:
    return train(flows(), label="label", normal="ok")


def test_attacks_are_tested_on_and_found(result: TrainingResult) -> None:
    frame = flows()
    normal = frame["label"] == "ok"
    for part in (result.splits.train, result.splits.validation, result.splits.calibration):
        assert normal.gather(part).all()
    assert (~normal).sum() == (~normal.gather(result.splits.test)).sum() == 100
    assert result.evaluation.auroc > 0.95
    assert result.provenance["metrics"]["auroc"] == result.evaluation.auroc
    assert result.calibration.population == "normal"
    assert set(result.schema.feature_names) == {"bytes", "packets", "duration", "proto"}


def test_parts_follow_each_other_in_time(result: TrainingResult) -> None:
    time = flows()["Timestamp"]
    assert result.provenance["split"] == "time"
    assert result.provenance["time_column"] == "Timestamp"
    assert time.gather(result.splits.train).max() < time.gather(result.splits.validation).min()
    assert time.gather(result.splits.validation).max() < time.gather(result.splits.calibration).min()


def test_the_schema_is_fitted_on_training_rows_only() -> None:
    frame = flows(attacks=0).sort("Timestamp")
    later = frame.with_columns(proto=pl.when(pl.int_range(pl.len()) >= 2000).then(pl.lit("gre")).otherwise("proto"))
    result = train(later)
    assert "gre" not in {f.name: f for f in result.schema.features}["proto"].vocabulary


def test_provenance_is_json_and_complete(result: TrainingResult) -> None:
    provenance = json.loads(json.dumps(result.provenance, allow_nan=False))
    rows = provenance["rows"]
    assert rows["train"] + rows["validation"] + rows["calibration"] + rows["test"] == rows["read"] == 3000
    assert rows["test_attacks"] == 100
    assert datetime.fromisoformat(provenance["created"]).utcoffset() == timedelta(0)
    assert provenance["parameters"]["max_draws"] == 20_000
    assert {"netsieve", "torch", "numpy"} <= set(provenance["versions"])
    assert len(provenance["data_fingerprint"]) == 64


def test_same_seed_gives_the_same_model_and_other_data_another_fingerprint(result: TrainingResult) -> None:
    again = train(flows(), label="label", normal="ok")
    x = Encoder(result.schema).encode(flows()[:200])
    np.testing.assert_array_equal(again.detector.score(x), result.detector.score(x))
    assert again.thresholds == result.thresholds
    assert again.provenance["data_fingerprint"] == result.provenance["data_fingerprint"]
    other = train(flows(seed=1), label="label", normal="ok")
    assert other.provenance["data_fingerprint"] != result.provenance["data_fingerprint"]


def test_thresholds_hold_the_asked_one_and_those_that_the_calibration_supports(result: TrainingResult) -> None:
    assert result.thresholds["default"] == "percentile:95"
    assert result.thresholds["percentile:95"] < result.thresholds["fpr:0.01"]
    assert "mean_std:3" in result.thresholds
    assert "fpr:0.0001" not in result.thresholds


def test_f1_is_chosen_on_one_half_of_the_test_part_and_evaluated_on_the_other() -> None:
    result = train(flows(), label="label", normal="ok", threshold="f1")
    assert result.thresholds["default"] == "f1"
    assert result.evaluation.f1 > 0.8
    rows = result.provenance["rows"]
    assert rows["test_chose_threshold"] + result.evaluation.rows == rows["test"]
    assert abs(rows["test_chose_threshold"] - result.evaluation.rows) <= 2


def test_f1_is_refused_without_labels() -> None:
    with pytest.raises(TrainingError, match="f1 needs labels"):
        train(flows(), threshold="f1")


def test_export_writes_a_model_and_weights_beside_it(result: TrainingResult, tmp_path) -> None:
    model = result.export(tmp_path / "model.onnx")
    assert model == tmp_path / "model.onnx"
    x = Encoder(result.schema).encode(flows()[:100])
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(["score"], {"x": x})[0], result.detector.score(x), rtol=1e-4, atol=1e-4)
    restored = Autoencoder.load_weights(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(restored.score(x), result.detector.score(x))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.onnx", "model.safetensors"]


def test_a_folder_names_the_model_by_detector_and_time(result: TrainingResult, tmp_path) -> None:
    moment = datetime.fromisoformat(result.provenance["created"])
    for folder in (f"{tmp_path}/new/", tmp_path):
        model = result.export(folder)
        assert model.name == f"autoencoder-{moment:%Y%m%dT%H%M%SZ}.onnx"
        assert model.is_file()


def test_training_goes_on_from_earlier_weights(result: TrainingResult, tmp_path) -> None:
    result.export(tmp_path / "model.onnx")
    onward = train(
        flows(seed=2),
        label="label",
        normal="ok",
        parameters={"max_draws": 256, "learning_rate": 1e-9},
        initial_weights=tmp_path / "model.safetensors",
    )
    assert onward.schema == result.schema
    assert onward.provenance["continued_from"] == "model.safetensors"
    first, second = result.detector.network.encoder[0], onward.detector.network.encoder[0]
    np.testing.assert_allclose(second.weight, first.weight, atol=1e-6)


def test_unlabelled_records_train_and_give_no_metrics() -> None:
    result = train(flows().drop("label", "Timestamp"))
    assert result.calibration.population == "unlabelled"
    assert result.evaluation is None
    assert result.provenance["metrics"] is None
    assert result.provenance["split"] == "random"


def test_records_without_a_label_are_used_nowhere() -> None:
    frame = flows().with_columns(label=pl.when(pl.int_range(pl.len()) < 500).then(None).otherwise("label"))
    result = train(frame, label="label", normal="ok")
    parts = [result.splits.train, result.splits.validation, result.splits.calibration, result.splits.test]
    assert np.concatenate(parts).min() == 500
    assert result.provenance["rows"]["without_label"] == 500


def test_parts_larger_than_needed_are_drawn_from_at_random(monkeypatch) -> None:
    monkeypatch.setattr(data, "LARGEST_PART", 250)
    result = train(flows().drop("Timestamp"), label="label", normal="ok")
    parts = [result.splits.train, result.splits.validation, result.splits.calibration, result.splits.test]
    assert [len(part) for part in parts] == [250, 250, 250, 250]
    assert len(np.unique(np.concatenate(parts))) == 1000
    assert result.splits.train[-1] > 2000
    assert result.provenance["rows"]["train"] == 250


def test_only_normal_records_leave_nothing_to_evaluate() -> None:
    result = train(flows(attacks=0), label="label", normal="ok")
    assert result.evaluation is None
    assert result.provenance["rows"]["test_attacks"] == 0


def test_a_test_part_of_attacks_only_is_not_evaluated() -> None:
    shares = SplitShares(train=0.6, validation=0.2, calibration=0.2)
    assert train(flows(), label="label", normal="ok", shares=shares).evaluation is None


def test_all_missing_constant_and_infinite_columns_are_survived() -> None:
    frame = flows().with_columns(
        nothing=pl.lit(None, dtype=pl.Float64),
        constant=pl.lit(3.0),
        wild=pl.when(pl.int_range(pl.len()) % 7 == 0).then(float("inf")).otherwise("duration"),
    )
    result = train(frame, label="label", normal="ok")
    assert np.isfinite(result.calibration.largest).all()


@pytest.mark.parametrize("rows", [0, 1, 3, 10, 30])
def test_too_few_records_are_refused_in_one_line(rows: int) -> None:
    with pytest.raises(NetsieveError, match=r"^[^\n]+$"):
        train_detector(flows(rows, attacks=0), parameters=QUICK, device="cpu", progress=False)


def test_sixty_records_train() -> None:
    result = train_detector(flows(60, attacks=0), parameters=QUICK, device="cpu", progress=False)
    assert result.thresholds["default"] == "mean_std:3"
    assert np.isfinite(result.thresholds["mean_std:3"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label": "Label", "normal": "ok"}, "Label"),
        ({"label": "label", "normal": "BENIGN"}, r"'ok' \(2900\)"),
        ({"label": "label"}, "go together"),
        ({"normal": "ok"}, "go together"),
        ({"detector": "oracle"}, "oracle"),
        ({"parameters": {"depth": 3}}, "depth"),
        ({"threshold": "often"}, "often"),
        ({"time_column": "when"}, "when"),
        ({"initial_weights": "absent.safetensors"}, r"absent\.safetensors"),
        ({"device": "tpu"}, "tpu"),
        ({"ignore": ["bytes", "packets", "duration", "proto", "label"]}, "feature"),
    ],
)
def test_wrong_requests_are_named(arguments, message) -> None:
    with pytest.raises(NetsieveError, match=message):
        train(flows(), **arguments)
