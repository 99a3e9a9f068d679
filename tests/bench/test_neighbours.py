import json

import numpy as np
import polars as pl

from netsieve.bench import neighbours


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
