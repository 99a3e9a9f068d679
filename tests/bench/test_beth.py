"""The BETH experiment, on the heads of the files that exist, and on small made-up ones."""

import csv
import gzip
import json

import numpy as np
import pytest

from netsieve.bench import beth

CALLS = "timestamp,processId,threadId,parentProcessId,userId,mountNamespace,processName,hostName,eventId,eventName,stackAddresses,argsNum,returnValue,args,sus,evil"  # fmt: skip  # noqa: E501


def calls(rows, seed, odd_share=0.1):
    """Return process calls, of which some are of containers, of odd events and of users."""
    rng = np.random.default_rng(seed)
    lines = [CALLS]
    for i in range(rows):
        odd = rng.random() < odd_share
        process, user = (9_000 + i, 1001) if odd else (int(rng.choice([1, 2, 300])), 0)
        event = int(rng.choice([59, 42, 1010])) if odd else int(rng.choice([257, 3, 5], p=[0.5, 0.4, 0.1]))
        returned = int(rng.choice([0, 3, -2]))
        lines.append(
            f"{i}.5,{process},{process},1,{user},4026531840,sshd,host,{event},x,[],{2 + odd},{returned},[],{int(odd)},0"
        )
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def beth_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("beth")
    (folder / "labelled_training_data.csv").write_text(calls(600, 0, 0.01))
    (folder / "labelled_validation_data.csv").write_text(calls(600, 1, 0.02))
    with gzip.open(folder / "labelled_testing_data.csv.gz", "wt") as file:
        file.write(calls(500, 2, 0.3))
    return folder


def test_beth_columns_are_encoded_as_by_the_paper(beth_folder):
    frame = beth.read_parts(beth_folder)["train"]
    with open(beth_folder / "labelled_training_data.csv") as file:
        rows = list(csv.DictReader(file))
    expected = [
        [
            0 if row["processId"] in ("0", "1", "2") else 1,
            0 if row["parentProcessId"] in ("0", "1", "2") else 1,
            0 if int(row["userId"]) < 1000 else 1,
            0 if row["mountNamespace"] == "4026531840" else 1,
            int(row["eventId"]),
            int(row["argsNum"]),
            0 if row["returnValue"] == "0" else 1 if int(row["returnValue"]) > 0 else 2,
        ]
        for row in rows
    ]
    np.testing.assert_array_equal(beth.paper_columns(frame), expected)


def test_the_papers_forest_is_scikit_learns_and_its_auroc_that_of_the_mean_of_their_answers(beth_folder):
    from sklearn.decomposition import PCA
    from sklearn.ensemble import IsolationForest
    from sklearn.metrics import roc_auc_score

    parts = beth.read_parts(beth_folder)
    train, test = (beth.paper_columns(parts[part]) for part in ("train", "test"))
    whitening = PCA(whiten=True).fit(train)
    answers, scores = [], []
    for seed in (1, 2, 3):
        forest = IsolationForest(contamination=0.05, random_state=seed).fit(whitening.transform(train))
        answers.append(forest.predict(whitening.transform(test)) == -1)
        scores.append(-forest.decision_function(whitening.transform(test)))
    is_attack = parts["test"]["sus"].to_numpy() > 0
    result = beth.measure_beth(beth_folder, contenders=["paper: isolation forest"], seeds=[1, 2, 3])
    found = result["contenders"]["paper: isolation forest"]
    expected = roc_auc_score(is_attack, np.mean(answers, axis=0))
    assert found["auroc_binary_predictions"] == pytest.approx(expected)
    assert found["auroc_binary_predictions_inverted"] == pytest.approx(1 - expected)
    single = [roc_auc_score(is_attack, one) for one in answers]
    assert found["auroc_binary_predictions_single"] == pytest.approx(np.mean(single))
    assert found["auroc_scores"] == pytest.approx(np.mean([roc_auc_score(is_attack, one) for one in scores]), abs=1e-6)
    assert found["auroc_scores"] > found["auroc_binary_predictions_single"]
    assert found["said_yes"] == pytest.approx(np.mean(answers))


def test_the_papers_seeds_and_settings_are_the_defaults():
    assert beth.SEEDS == (1, 2, 3, 4, 5)
    assert beth.OUTLIER_SHARE == 0.05
    assert sum(beth.PUBLISHED_ROWS.values()) == 1_141_078


def test_the_budgets_threshold_comes_from_normal_validation_records_that_did_not_stop_the_training(beth_folder):
    result = beth.measure_beth(beth_folder, contenders=["isolation_forest"], seeds=[1], budget=0.05)
    budget = result["contenders"]["isolation_forest"]["budget"]
    assert budget["false_positive_rate"] < 0.15
    assert budget["recall"] > 0.5
    few = beth.measure_beth(beth_folder, contenders=["isolation_forest"], seeds=[1], budget=0.001)
    assert few["contenders"]["isolation_forest"]["budget"] is None


def test_all_contenders_run_and_the_command_says_that_this_is_no_result(beth_folder, tmp_path, capsys):
    out = tmp_path / "beth.json"
    assert beth.main([str(beth_folder), "--quick", "--seeds", "1", "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "no result on BETH" in printed
    result = json.loads(out.read_text())
    assert set(result["contenders"]) == set(beth.CONTENDERS)
    assert (result["rows"], result["whole"]) == ({"train": 600, "validation": 600, "test": 500}, False)
    for name, found in result["contenders"].items():
        assert name in printed
        assert 0 <= found["auroc_scores"] <= 1
        assert 0 < found["said_yes"] < 1
    assert result["contenders"]["isolation_forest"]["auroc_scores"] > 0.9


def test_records_left_out_are_told(beth_folder, tmp_path, capsys):
    for name in beth.PARTS.values():
        (tmp_path / name).write_text(calls(50, 0))
    with open(tmp_path / "labelled_training_data.csv", "a") as file:
        file.write(
            "1.5,x,1,1,0,4026531840,sshd,host,3,x,[],2,0,[],0,0\n1.5,,1,1,0,4026531840,sshd,host,3,x,[],2,0,[],0,0\n"
        )
    assert beth.read_parts(tmp_path)["train"].height == 50
    assert "labelled_training_data.csv: 2 records that cannot be read, or lack a cell" in capsys.readouterr().err


@pytest.mark.real_data
def test_the_experiment_runs_on_the_heads_of_the_real_files(real_data):
    detectors = ["paper: robust covariance", "paper: one-class SVM", "isolation_forest", "dose"]
    result = beth.measure_beth(real_data / "beth_sample", contenders=detectors)
    assert result["rows"] == {"train": 100, "validation": 100, "test": 100}
    assert result["attacks"] == {"train": 100, "validation": 4, "test": 13}
    assert not result["whole"]
    assert all(found["auroc_scores"] is not None for found in result["contenders"].values())
    evil = beth.measure_beth(real_data / "beth_sample", contenders=detectors[-1:], label="evil", seeds=[1])
    assert evil["attacks"] == {"train": 0, "validation": 0, "test": 4}


def test_missing_files_of_beth_are_one_line(beth_folder, tmp_path, capsys):
    assert beth.main([str(tmp_path / "nowhere")]) == 1
    (tmp_path / "labelled_training_data.csv").write_text(calls(5, 0))
    assert beth.main([str(tmp_path)]) == 1
    (tmp_path / "labelled_validation_data.csv").write_text("a,b\n1,2\n")
    (tmp_path / "labelled_testing_data.csv").write_text(calls(5, 0))
    assert beth.main([str(tmp_path)]) == 1
    first, second, third = capsys.readouterr().err.splitlines()
    assert "nowhere' is no folder" in first
    assert "has no labelled_validation_data.csv, labelled_testing_data.csv" in second
    assert "labelled_validation_data.csv' gives no processIsSystem" in third
