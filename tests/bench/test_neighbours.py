import json

import numpy as np
import polars as pl
import pytest

from netsieve.bench import neighbour_speed, neighbours
from netsieve.bench.measurement import read_measurements
from netsieve.bench.performance import performance_page
from netsieve.engine.thresholds.calibration import Calibration


def test_recall_is_taken_at_the_budget_of_normal_records():
    attacks = ["ddos"] * 4 + list(neighbours.ATTACKS)
    frame = pl.DataFrame({"IsAnomaly": [0] * 100 + [1] * 10, "Attack": ["none"] * 100 + attacks})
    scores = np.concatenate([np.arange(100), [50.0, 98.5, 99.5, 200.0], np.full(6, 98.0)]).astype(np.float32)
    found = neighbours.recall_by_attack(frame, scores, 0.01)
    assert found == dict.fromkeys(neighbours.ATTACKS, 0.0) | {"ddos": 3 / 5}


def test_the_speed_is_of_all_columns_too(monkeypatch):
    monkeypatch.setattr(neighbour_speed, "SPEED_BATCH", 900)
    speed = neighbour_speed.stage_speed(2000, rounds=2)
    assert {name: taken["count"] for name, taken in speed["columns"].items()} == {"usual": 16, "all": 42}
    for taken in speed["columns"].values():
        assert len(taken["seconds"]) == 2
        for whole, ordered in zip(taken["seconds"], taken["ordered_seconds"], strict=True):
            assert whole > ordered > 0


@pytest.mark.slow
def test_the_speed_is_on_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(neighbour_speed, "JOB_TRAINING_ROWS", 5000)
    sizes = ["--speed-rows", "2000", "--job-rows", "3000", "--rounds", "1", "--cache", str(tmp_path)]
    neighbours.main(["--speed", *sizes, "--json", str(tmp_path / "out" / "neighbours.json")])
    result = json.loads((tmp_path / "out" / "neighbours.json").read_text())
    assert set(result["job"]["threads"]) == {"1", "2"}
    assert neighbour_speed.speed_table(result) in capsys.readouterr().out
    assert "| 2 | with neighbour features |" in performance_page(read_measurements(tmp_path / "out"))


def test_attackers_are_looked_for_at_the_head_of_the_ranking():
    names = [f"10.0.0.{host}" for host in range(100) for _ in range(5)]
    frame = pl.DataFrame({"SourceIP": names, "IsAnomaly": [int(name == "10.0.0.7") for name in names]})
    calm = np.random.default_rng(0).lognormal(size=500).astype(np.float32)
    calibration = Calibration.fit(np.random.default_rng(1).lognormal(size=2000).astype(np.float32))
    scores = np.where(frame["IsAnomaly"] == 1, np.float32(1000), calm).astype(np.float32)
    found = neighbours.rank_sources(frame, scores, calibration)
    assert found == {"average_precision": 1.0, "first": 1 / 20}
