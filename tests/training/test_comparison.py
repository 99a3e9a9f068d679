import numpy as np
import pytest
from flows import flow_frame

from netsieve.engine.errors import TrainingError
from netsieve.engine.training.comparison import compare_detectors
from netsieve.engine.training.data import prepare_data
from netsieve.engine.training.job import train_detector
from netsieve.engine.training.splits import SplitShares

LABELS = {"label": "Label", "normal": "0", "ignore": ["Attack"]}
PARAMETERS = {"autoencoder": {"max_draws": 20_000}}


def labelled(**shares):
    return prepare_data(flow_frame(3000), **LABELS, shares=SplitShares(**shares))


def test_parts_of_attacks_are_disjoint_and_hold_attacks_only():
    frame = flow_frame(3000)
    data = labelled(attacks_train=0.5, attacks_validation=0.2)
    attack = frame["Label"].to_numpy() == 1
    splits = data.splits
    parts = [splits.train, splits.validation, splits.calibration, splits.test]
    attacks = [splits.attacks_train, splits.attacks_validation]
    assert all(attack[part].all() for part in attacks)
    assert not any(attack[part].any() for part in parts[:3])
    rows = np.concatenate(parts + attacks)
    assert len(np.unique(rows)) == len(rows) == frame.height
    assert [len(part) / attack.sum() for part in attacks] == pytest.approx([0.5, 0.2], abs=0.01)


def test_the_best_on_validation_records_is_kept():
    data = labelled(attacks_validation=0.3)
    model, scores = compare_detectors(data, ("pca", "autoencoder"), parameters=PARAMETERS, device="cpu")
    assert [score.average_precision for score in scores] == sorted(
        (score.average_precision for score in scores), reverse=True
    )
    assert {score.detector for score in scores} == {"pca", "autoencoder"}
    assert model.name == scores[0].detector
    assert scores[0].auroc > 0.8


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(TrainingError, match="0 attacks to choose with"):
        compare_detectors(labelled(), ("pca",))
    with pytest.raises(TrainingError, match="autoencoder_deep takes other data"):
        compare_detectors(labelled(attacks_validation=0.3), ("autoencoder_deep",))
    with pytest.raises(TrainingError, match="name one to set parameters"):
        train_detector(flow_frame(500), detector="auto", parameters={"max_draws": 5}, **LABELS)


def test_auto_without_labels_is_the_default():
    result = train_detector(
        flow_frame(3000).drop("Label", "Attack"),
        detector="auto",
        parameters={"max_draws": 2000},
        device="cpu",
        threshold="percentile:95",
    )
    assert result.detector.name == "autoencoder"
    assert result.provenance["compared"] == []


def test_supervised_detectors_learn_from_half_of_the_attacks(tmp_path):
    frame = flow_frame(3000)
    options = {"parameters": {"max_draws": 20_000}, "device": "cpu", "progress": False, "threshold": "percentile:95"}
    result = train_detector(frame, detector="classifier", **LABELS, **options)
    attacks = int((frame["Label"] == 1).sum())
    assert result.provenance["rows"]["attacks_train"] == attacks // 2
    assert result.provenance["rows"]["test_attacks"] == attacks - attacks // 2
    assert result.evaluation.auroc > 0.8
    result.export(tmp_path / "classifier.onnx")
    with pytest.raises(TrainingError, match="learns from labelled attacks"):
        train_detector(frame.drop("Label"), detector="classifier")
