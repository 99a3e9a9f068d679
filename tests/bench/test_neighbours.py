import json

import numpy as np
import polars as pl

from netsieve.bench import neighbours
from netsieve.engine.thresholds.calibration import Calibration


def test_recall_is_taken_at_the_budget_of_normal_records():
    attacks = ["ddos"] * 4 + list(neighbours.ATTACKS)
    frame = pl.DataFrame({"IsAnomaly": [0] * 100 + [1] * 10, "Attack": ["none"] * 100 + attacks})
    scores = np.concatenate([np.arange(100), [50.0, 98.5, 99.5, 200.0], np.full(6, 98.0)]).astype(np.float32)
    found = neighbours.recall_by_attack(frame, scores, 0.01)
    assert found == dict.fromkeys(neighbours.ATTACKS, 0.0) | {"ddos": 3 / 5}


def test_the_speed_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(neighbours, "SPEED_ROWS", 2000)
    monkeypatch.setattr(neighbours, "SPEED_BATCH", 900)
    monkeypatch.setattr(neighbours, "ROUNDS", 1)
    neighbours.main(["--speed", "--json", str(tmp_path / "out.json")])
    speed = json.loads((tmp_path / "out.json").read_text())["speed"]
    assert speed["ordered_flows_per_second"] > speed["flows_per_second"] > 0
    assert "flows/s on one thread" in capsys.readouterr().out


def test_attackers_are_looked_for_at_the_head_of_the_ranking():
    names = [f"10.0.0.{host}" for host in range(100) for _ in range(5)]
    frame = pl.DataFrame({"SourceIP": names, "IsAnomaly": [int(name == "10.0.0.7") for name in names]})
    calm = np.random.default_rng(0).lognormal(size=500).astype(np.float32)
    calibration = Calibration.fit(np.random.default_rng(1).lognormal(size=2000).astype(np.float32))
    scores = np.where(frame["IsAnomaly"] == 1, np.float32(1000), calm).astype(np.float32)
    found = neighbours.rank_sources(frame, scores, calibration)
    assert found == {"average_precision": 1.0, "first": 1 / 20}
