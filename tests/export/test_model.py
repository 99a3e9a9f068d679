import errno
import json
import os

import numpy as np
import onnx
import pytest
from export_cases import AGGREGATIONS, KINDS, UntrainedDetector, calibrated, fitted_case

from netsieve.engine.errors import ExportError, OutputError, ParityError
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.export import write_model

PROVENANCE = {"created": "2026-11-22T10:30:00+00:00", "rows": 3}


def case(kinds="mixed", aggregation="sum"):
    schema, x = fitted_case(KINDS[kinds], rows=1500)
    detector = UntrainedDetector(schema, aggregation)
    calibration, thresholds = calibrated(detector, x[:1000])
    return detector, {
        "schema": schema,
        "calibration": calibration,
        "thresholds": thresholds,
        "provenance": PROVENANCE,
        "parity_rows": x[1000:],
    }


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_model_is_written_whole(tmp_path, aggregation):
    detector, options = case(aggregation=aggregation)
    report = write_model(detector, tmp_path / "model.onnx", **options)
    assert report.rows > 500
    assert report.largest_error < 1e-6
    assert os.listdir(tmp_path) == ["model.onnx"]
    model = onnx.load(tmp_path / "model.onnx")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["netsieve.format"] == "1"
    assert metadata["netsieve.detector"] == "autoencoder"
    assert FeatureSchema.from_json(metadata["netsieve.schema"]) == options["schema"]
    assert Calibration.from_json(metadata["netsieve.calibration"]).to_json() == options["calibration"].to_json()
    assert json.loads(metadata["netsieve.thresholds"]) == options["thresholds"]
    assert json.loads(metadata["netsieve.provenance"]) == PROVENANCE


def test_the_same_detector_gives_the_same_bytes(tmp_path):
    detector, options = case()
    write_model(detector, tmp_path / "a.onnx", **options)
    write_model(detector, tmp_path / "b.onnx", **options)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_failing_parity_stops_the_export_and_keeps_the_file_that_was_there(tmp_path):
    detector, options = case()
    detector.reference_score = lambda x: np.ones(len(x))
    with pytest.raises(ParityError):
        write_model(detector, tmp_path / "new.onnx", **options)
    assert os.listdir(tmp_path) == []
    (tmp_path / "old.onnx").write_bytes(b"old")
    with pytest.raises(ParityError):
        write_model(detector, tmp_path / "old.onnx", **options)
    assert os.listdir(tmp_path) == ["old.onnx"]
    assert (tmp_path / "old.onnx").read_bytes() == b"old"


def test_a_calibration_of_another_detector_is_refused(tmp_path):
    detector, options = case()
    other = UntrainedDetector(options["schema"], seed=5)
    options["calibration"], options["thresholds"] = calibrated(other, options["parity_rows"])
    with pytest.raises(ParityError, match="probe row"):
        write_model(detector, tmp_path / "model.onnx", **options)
    assert os.listdir(tmp_path) == []


def test_what_does_not_fit_is_refused(tmp_path):
    detector, options = case()
    path = tmp_path / "model.onnx"

    def refuses(match, detector=detector, **changes):
        with pytest.raises(ExportError, match=match):
            write_model(detector, path, **{**options, **changes})

    unfitted = FeatureSchema(features=options["schema"].features)
    refuses("not fitted", schema=unfitted)
    refuses("no features", schema=FeatureSchema(features=(), fitted=True))
    refuses("another schema", schema=case("plain")[1]["schema"])
    refuses("parity rows have shape", parity_rows=options["parity_rows"][:, :2])
    refuses("parity rows have shape", parity_rows=options["parity_rows"][:0])
    refuses("default threshold is 'fpr:0.1'", thresholds={"fpr:0.01": 1.0, "default": "fpr:0.1"})
    refuses("default threshold is None", thresholds={"fpr:0.01": 1.0})
    refuses("thresholds cannot be written", thresholds={"a": float("nan"), "default": "a"})
    refuses("provenance cannot be written", provenance={"a": object()})
    stranger = UntrainedDetector(options["schema"])
    stranger.core = object()
    refuses("object cannot be exported; expected one of DenseAutoencoder", detector=stranger)
    untrained = UntrainedDetector(options["schema"])
    untrained.core = None
    refuses("not trained", detector=untrained)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    detector, options = case()

    def no_space(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OutputError, match="space"):
        write_model(detector, tmp_path / "model.onnx", **options)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path):
    detector, options = case()
    with pytest.raises(OutputError, match="does not exist"):
        write_model(detector, tmp_path / "no" / "model.onnx", **options)
