import multiprocessing
from dataclasses import replace
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest
from flows import flow_frame

from netsieve.engine.cli.main import main
from netsieve.engine.detectors.parameters import Range
from netsieve.engine.errors import TrainingError
from netsieve.engine.scoring.model_file import ModelFile
from netsieve.engine.training.data import prepare_data
from netsieve.engine.training.splits import SplitShares
from netsieve.engine.training.tuning import (
    TuningPlan,
    finished,
    open_study,
    run_trials,
    tune_detector,
    tuning_fingerprint,
)

LABELS = {"label": "Label", "normal": "0", "ignore": ["Attack"]}
BRIEF = {"max_draws": 2_000}


def plan(folder, **changes):
    data = prepare_data(flow_frame(800), **LABELS, shares=SplitShares(attacks_validation=0.3))
    values = {"detector": "pca", "study": str(folder / "study"), "trials": 3, "sampler": "tpe", "parameters": {}}
    return TuningPlan(**{"data": data, "fingerprint": "a", **values, **changes})


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_the_best_trial_is_trained_again(tmp_path, sampler):
    searched = plan(tmp_path, sampler=sampler)
    model, found = tune_detector(searched, progress=False)
    study = open_study(searched)
    assert found["trials"] == finished(study) == 3
    assert found["objective"] == "average_precision"
    assert found["value"] == max(trial.value for trial in study.trials)
    assert {name: getattr(model.parameters, name) for name in found["parameters"]} == found["parameters"]


def test_a_study_is_gone_on_with(tmp_path):
    tune_detector(plan(tmp_path, trials=2), progress=False)
    again = plan(tmp_path, trials=4)
    # a trial that was interrupted
    open_study(again).ask()
    _, found = tune_detector(again, progress=False)
    assert found["trials"] == 4
    run_trials(again, progress=False)
    assert finished(open_study(again)) == 4


def test_a_study_of_something_else_is_refused(tmp_path):
    first = plan(tmp_path, trials=1)
    tune_detector(first, progress=False)
    with pytest.raises(TrainingError, match="another data"):
        tune_detector(replace(first, fingerprint="b"), progress=False)
    with pytest.raises(TrainingError, match="another detector"):
        tune_detector(replace(first, detector="autoencoder"), progress=False)
    with pytest.raises(TrainingError, match="another fixed parameters"):
        tune_detector(replace(first, parameters={"latent_distance": True}), progress=False)
    with pytest.raises(TrainingError, match="another seed"):
        tune_detector(replace(first, seed=1), progress=False)


def test_the_fingerprint_tells_all_that_trials_are_judged_by(tmp_path):
    data = plan(tmp_path).data
    parts = {name: getattr(data, name) for name in ("train", "validation", "attacks_validation")}
    changed = [replace(data, **{name: rows[:-1]}) for name, rows in parts.items()]
    changed.append(replace(data, attacks_train=data.validation[:1]))
    changed.append(replace(data, schema=replace(data.schema, features=data.schema.features[:-1])))
    prints = [tuning_fingerprint(each) for each in (data, *changed)]
    assert len(set(prints)) == len(prints)
    assert tuning_fingerprint(plan(tmp_path).data) == prints[0]


def test_an_interrupt_leaves_no_process_behind(tmp_path, monkeypatch):
    join, calls = SpawnProcess.join, []

    def interrupted(process, timeout=None):
        calls.append(process)
        if len(calls) == 1:
            raise KeyboardInterrupt
        join(process, timeout)

    monkeypatch.setattr(SpawnProcess, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune_detector(plan(tmp_path, trials=100_000), jobs=2, progress=False)
    left = multiprocessing.active_children()
    for process in left:
        process.kill()
    assert not left


def test_what_is_wrong_with_fixed_parameters_shows_before_any_trial(tmp_path):
    with pytest.raises(TrainingError, match="no parameter 'depth'"):
        tune_detector(plan(tmp_path, parameters={"depth": 1}), progress=False)
    assert not (tmp_path / "study").exists()


def test_without_labels_the_held_out_loss_is_the_objective(tmp_path):
    data = prepare_data(flow_frame(500).drop("Label", "Attack"))
    searched = plan(tmp_path, data=data, detector="autoencoder", parameters=BRIEF, trials=2)
    assert "aggregation" not in searched.space
    assert "divergence_weight" not in plan(tmp_path, data=data, detector="variational").space
    assert "divergence_weight" in plan(tmp_path, detector="variational").space
    model, found = tune_detector(searched, progress=False)
    assert found["objective"] == "validation_loss"
    assert model.summary["validation_loss"] == pytest.approx(found["value"])
    with pytest.raises(TrainingError, match="tuning it needs labels"):
        tune_detector(plan(tmp_path, data=data, study=str(tmp_path / "other")), progress=False)


def test_trials_run_side_by_side(tmp_path):
    _, found = tune_detector(plan(tmp_path, trials=4), jobs=2, progress=False)
    assert found["trials"] >= 4


def test_what_is_fixed_is_not_tried(tmp_path):
    searched = plan(tmp_path, parameters={"variance": 0.8})
    assert set(searched.space) == {"latent_distance"}
    with pytest.raises(TrainingError, match="nothing to tune"):
        tune_detector(plan(tmp_path, parameters={"variance": 0.8, "latent_distance": True}), progress=False)
    with pytest.raises(TrainingError, match="expected tpe, random, grid"):
        plan(tmp_path, sampler="guess")


def test_grids_are_even_on_their_scale():
    assert Range(low=1, high=100, logarithmic=True).grid(3) == pytest.approx((1, 10, 100))
    assert Range(low=0.0, high=1.0).grid(3) == (0.0, 0.5, 1.0)
    assert Range(low=2, high=4, whole=True).grid(5) == (2, 3, 4)


def test_the_command_writes_the_best_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flow_frame(800).write_csv("flows.csv")
    labels = ["--label", "Label", "--normal", "0", "--ignore", "Attack"]
    command = ["tune", "flows.csv", "-o", "m.onnx", "--detector", "pca", "--trials", "3", *labels]
    assert main(command) == 0
    shown = capsys.readouterr()
    assert "best of 3 trials: average_precision" in shown.out
    assert shown.err.count("of 3 trials") == 3
    assert ModelFile.read("m.onnx").provenance["tuning"]["trials"] == 3
    assert ModelFile.read("m.onnx").provenance["device"] == "auto"
    assert Path("m.onnx.study").is_file()
    # all trials are there: nothing is left to search
    assert main(command) == 0
    assert "of 3 trials," not in capsys.readouterr().err
    assert main(["tune", "flows.csv", "-o", "models/", "--detector", "pca", *labels]) == 1
    assert "give --study FILE" in capsys.readouterr().err


def test_a_policy_that_needs_labels_is_refused_before_any_trial(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flow_frame(500).drop("Label", "Attack").write_csv("flows.csv")
    arguments = ["--detector", "autoencoder", "--trials", "1", "--threshold", "f1", "--parameter", "max_draws=2000"]
    assert main(["tune", "flows.csv", "-o", "m.onnx", *arguments]) == 1
    shown = capsys.readouterr().err
    assert "f1 needs labels" in shown
    assert "of 1 trials" not in shown


@pytest.mark.parametrize("command", ["tune", "train"])
def test_wrong_parameters_are_refused_before_data_is_read(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    Path("flows.csv").write_text("no,records\n")
    assert main([command, "flows.csv", "-o", "m.onnx", "--parameter", "learning_rate=abc"]) == 1
    assert "learning_rate is 'abc'; expected a number" in capsys.readouterr().err
