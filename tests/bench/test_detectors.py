import numpy as np
import polars as pl
import pytest

from netsieve.bench.aim_page import combination_section
from netsieve.bench.combinations import measure_combinations
from netsieve.bench.datasets import LabelledSet
from netsieve.bench.detector_page import detector_sections, hybrid_sections
from netsieve.bench.detector_peers import PEERS, available_peers
from netsieve.bench.detectors import measure_detectors, measure_hybrid, unsupervised_detectors
from netsieve.engine.detectors import ensemble

PEER = "scikit-learn IsolationForest"
COMMON = {"measured": "2026-01-02T03:04:05+00:00", "seconds": 60.0, "largest_rows": 1500, "seeds": [0]}


def labelled_set() -> LabelledSet:
    generator = np.random.default_rng(0)
    rows, attacks = 1500, 300
    factor = generator.standard_normal(rows)
    kind = np.where(np.arange(rows) < rows - attacks, "none", np.array(["a", "b", "c", "d"])[np.arange(rows) % 4])
    frame = pl.DataFrame(
        {
            "x": factor + (kind == "a") * 4,
            "y": factor * np.where(kind == "b", -2.0, 1.0),
            "z": generator.standard_normal(rows) + np.isin(kind, ["c", "d"]) * 5,
            "label": np.where(kind == "none", "ok", "attack"),
            "kind": kind,
        }
    )
    return LabelledSet(
        name="made", file="made.csv", frame=frame, label="label", normal="ok", attack="kind", ignore=("kind",)
    )


@pytest.fixture
def quick(monkeypatch):
    original = ensemble.EnsembleParameters.__dataclass_fields__["members"].default
    assert "isolation_forest" in original
    monkeypatch.setattr("netsieve.bench.detectors.BEST", "hbos")


def test_detectors_and_peers_are_measured_on_the_same_records(quick):
    measured = measure_detectors(
        labelled_set(), 0, detectors=("pca", "hbos", "autoencoder_deep"), peers=(PEER, "PyOD HBOS")
    )
    assert measured["rows"]["attacks"] == 300
    for name in ("pca", "hbos", PEER):
        assert measured["contenders"][name]["auroc"] > 0.7
        assert measured["contenders"][name]["fit_seconds"] > 0
    page = "\n".join(detector_sections({**COMMON, "runs": {"made": [measured]}}))
    assert "| hbos |" in page
    if "PyOD HBOS" in available_peers():
        paired = measured["ahead_of"]["PyOD HBOS"]["auroc"]
        contenders = measured["contenders"]
        assert paired["difference"] == contenders["hbos"]["auroc"] - contenders["PyOD HBOS"]["auroc"]
        assert 0 < paired["deviation"] < 0.1
        assert "| PyOD HBOS | 1 |" in page
        assert "(HBOS)" in page
    else:
        assert "PyOD HBOS: not installed" in page


def test_a_peer_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr("netsieve.bench.detectors.available_peers", dict)
    measured = measure_detectors(labelled_set(), 0, detectors=("pca",), peers=("PyOD KNN",))
    assert measured["contenders"]["PyOD KNN"] == {"failed": "not installed"}
    assert measured["ahead_of"] == {}
    page = "\n".join(detector_sections({**COMMON, "runs": {"made": [measured]}}))
    assert "Left out of the table, PyOD KNN: not installed (made)." in page


def test_every_installed_peer_gives_higher_scores_to_odd_rows():
    generator = np.random.default_rng(0)
    train = generator.standard_normal((400, 3))
    test = np.concatenate([generator.standard_normal((200, 3)), generator.standard_normal((20, 3)) + 8])
    installed = available_peers()
    assert {name for name in PEERS if name.startswith("scikit-learn")} <= set(installed)
    for name, peer in installed.items():
        if "AutoEncoder" in name or "SVDD" in name:
            continue  # they need minutes
        scores = peer(train, test, 0)
        assert np.median(scores[200:]) > np.quantile(scores[:200], 0.9), name


def test_half_of_the_kinds_of_attack_are_hidden():
    measured = measure_hybrid(labelled_set(), 0, detectors=("boosted trees", "classifier"))
    assert measured["kinds_seen"] == ["a", "c"]
    assert measured["kinds_unseen"] == ["b", "d"]
    assert measured["rows"] == {"attacks_train": 75, "unseen": 150}
    assert measured["contenders"]["classifier"]["seen"]["auroc"] > 0.9
    page = "\n".join(hybrid_sections({**COMMON, "runs": {"made": [measured], "few": [None]}}))
    assert "| made |" in page
    assert "few" not in page.split("Every second kind")[1].split("\n\n")[1]


def test_detectors_that_learn_from_attacks_or_windows_stand_elsewhere():
    assert not {"classifier", "hybrid", "lstm_autoencoder"} & set(unsupervised_detectors())
    assert {"autoencoder", "ensemble", "nearest"} <= set(unsupervised_detectors())


def test_every_way_to_combine_is_measured_on_the_same_members(monkeypatch):
    quick = {"autoencoder": {"max_draws": 2_000}, "isolation_forest": {"trees": 20}}
    monkeypatch.setattr(
        "netsieve.bench.combinations.EnsembleParameters", lambda: ensemble.EnsembleParameters(member_parameters=quick)
    )
    found = measure_combinations(labelled_set(), 0)
    assert [len(entry["members"]) for entry in found] == [1] * 3 + [2] * 6 + [3] * 3
    assert len({(tuple(entry["members"]), entry["combination"]) for entry in found}) == 12
    assert all(entry["auroc"] > 0.5 for entry in found)
    page = "\n".join(combination_section({"seeds": [0], "runs": {"made": [found]}}))
    assert "| autoencoder, isolation_forest, nearest | median |" in page


def test_means_are_over_sets_and_seeds_and_spreads_over_seeds():
    """Means over the two sets are 0.7 and 0.9 for the seeds: 0.8 with a deviation of 0.1 times the root of two."""
    measures = ("auroc", "average_precision_5", "average_precision", "recall_at_1e_2", "recall_at_1e_3")

    def run(value):
        return {"contenders": {"pca": {**dict.fromkeys(measures, value), "fit_seconds": 1.0}}, "ahead_of": {}}

    runs = {"one": [run(0.6), run(0.9)], "two": [run(0.8), run(0.9)]}
    assert f"| pca |{' 0.800 ± 0.141 |' * 5} 1.0 |  |" in "\n".join(detector_sections({**COMMON, "runs": runs}))
