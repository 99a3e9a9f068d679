import json

import numpy as np
import polars as pl
import pytest

from netsieve.bench import neighbour_results, results
from netsieve.bench.machine import describe_machine
from netsieve.bench.neighbour_results import (
    BEACON,
    BEACON_WAYS,
    NEIGHBOUR_SETS,
    measure_neighbours,
    measures,
    pair_regularity,
)
from netsieve.bench.neighbour_sets import ATTACK, BEACON_DAYS, KIND, LOG_SETS, POSITION, beacon_files, read_beacon_day
from netsieve.bench.results_page import results_page


def test_measures_are_told_where_the_normal_records_can_show_them():
    scores = np.concatenate([np.arange(200), [500.0] * 10, [150.5] * 10, [199.5]]).astype(np.float32)
    kinds = pl.Series([None] * 200 + ["a"] * 10 + ["b"] * 10 + ["rare"])
    found = measures(scores, np.arange(221) >= 200, kinds)
    assert found["recall_at_1e_2"] == pytest.approx(11 / 21)
    assert found["recall_at_1e_3"] is None
    assert found["kinds"].keys() == {"a", "b"}
    assert (found["kinds"]["a"]["auroc"], found["kinds"]["a"]["recall_at_1e_2"]) == (1.0, 1.0)
    assert found["kinds"]["b"] == {"records": 10, "auroc": pytest.approx(151 / 200), "recall_at_1e_2": 0.0}


def made(auroc: float, *, long: bool = True) -> dict:
    kind = {"records": 50, "auroc": auroc, "recall_at_1e_2": 0.5}
    return {
        "auroc": auroc,
        "average_precision": 0.5,
        "average_precision_5": 0.25,
        "recall_at_1e_2": 0.125,
        "recall_at_1e_3": 0.0625 if long else None,
        "kinds": {"scan": kind, "flood": kind},
    }


def test_the_page_tells_where_the_features_help_and_where_they_harm():
    rows = {
        "train": 1000,
        "train_hours": 2.0,
        "test_hours": 1.0,
        "test_normal": 900,
        "test_attacks": 100,
        "windows": [60.0],
    }
    ranks = {
        "train_left_out": 0,
        "day_1": {"rank": 4, "records_auroc": 0.5},
        "day_2": {"rank": 7, "records_auroc": 0.5},
    }
    beacon = {"test": 5000, "pairs": 600, "rank_by_records": 3}
    beacon["regularity"] = {
        "pair_gap_mean": 270.0,
        "pair_gap_variation": 0.125,
        "pair_size_variation": 0.0,
        "frequent_pairs": 35,
        "as_regular": 2,
    }
    beacon["ways"] = {way: {"with": ranks} for way in BEACON_WAYS}
    runs = {
        "iot23_34_1": [{**rows, "without": made(0.75), "with": made(0.875)}] * 2,
        "pcap_flows": [{**rows, "without": made(0.75), "with": made(0.5, long=False)}],
        BEACON: [beacon, beacon],
    }
    result = {
        "benchmark": "neighbours", "machine": describe_machine(), "measured": "2026-01-02T03:04:05+00:00",
        "seeds": [0, 1], "seconds": 60.0, "quick": False, "file": "neighbours.json", "runs": runs,
    }  # fmt: skip
    page = results_page({"neighbours": [result]})
    assert "| iot23_34_1 | 1,000 in 2 h | 60 | 900, 100 | without | 0.750 ± 0.000 |" in page
    assert "| with | 0.500 | 0.250 | 0.500 | 0.125 |  |" in page
    assert "AUROC is better with them on iot23_34_1 (+0.12); worse on pcap_flows (-0.25)." in page
    assert "AP5 is better with them on none; worse on none." in page
    assert "| pcap_flows, scan | 50 | 0.750 | 0.500 | 0.500 | 0.500 |" in page
    assert "| unlabelled | with | 4, 4 | 7, 7 | 0.500 ± 0.000 |" in page
    assert "of 35 pairs with at least 20 flows a day 2 have gaps more regular" in page
    assert "by the number of its flows alone the beacon's is number 3" in page


def test_one_part_can_be_measured_alone(tmp_path, monkeypatch):
    (tmp_path / "README.md").write_text("data")
    asked = []

    def measured(name, root, seed, *, quick):
        asked.append((name, root, seed, quick))
        rows = {"train": 10, "train_hours": 2.0, "test_hours": 1.0, "test_normal": 9, "test_attacks": 1, "windows": []}
        return {**rows, "without": made(0.5), "with": made(0.5)}

    monkeypatch.setattr(results, "measure_neighbours", measured)
    arguments = ["--neighbours", "--data", str(tmp_path), "--measurements", str(tmp_path / "m"), "--quick"]
    assert results.main([*arguments, "--sets", "pcap_flows", "--page", str(tmp_path / "page.md")]) == 0
    assert asked == [("pcap_flows", tmp_path, 0, True)]
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["neighbours.json"]
    written = json.loads((tmp_path / "m/neighbours.json").read_text())
    assert (written["quick"], written["runs"].keys()) == (True, {"pcap_flows"})
    assert "A trial run" in (tmp_path / "page.md").read_text()
    assert set(NEIGHBOUR_SETS) == {*LOG_SETS, BEACON}


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "records", "attacks"),
    [
        ("iot23_34_1", 23_145, 21_222),
        ("argus_slips_test5", 6_724, 6_277),
        ("argus_207_1", 33_399, 23_602),
        ("argus_slips_test2", 16_548, 6_751),
        ("suricata_slips_test6", 3_512, 366),
        ("pcap_flows", 3_335, 2_640),
    ],
)
def test_sets_have_the_labels_that_their_notes_tell(real_data, name, records, attacks):
    log_set = LOG_SETS[name](real_data)
    frame = log_set.frame
    assert (frame.height, frame[ATTACK].sum()) == (records, attacks)
    assert frame[KIND].count() == attacks
    assert not {"label", "detailed-label", "Label", "flow.alerted"} & set(frame.columns)
    features = log_set.overrides.get("features", [])
    assert features
    assert not {ATTACK, KIND, POSITION} & set(features)


@pytest.mark.real_data
def test_the_beacons_flows_are_known(real_data):
    days = [read_beacon_day(real_data, day).frame for day in BEACON_DAYS]
    assert [(day.height, day[ATTACK].sum()) for day in days] == [(31_367, 318), (39_073, 316)]
    regular = pair_regularity(days)
    assert regular["pair_gap_mean"] == pytest.approx(270, abs=10)
    assert regular["as_regular"] < regular["frequent_pairs"] / 10
    assert all((real_data / file).is_file() for day in BEACON_DAYS for file in beacon_files(day))


@pytest.mark.real_data
def test_a_set_is_measured_without_and_with(real_data, monkeypatch):
    monkeypatch.setattr(neighbour_results, "QUICK_DRAWS", 2560)
    found = measure_neighbours("argus_slips_test5", real_data, 0, quick=True)
    assert json.loads(json.dumps(found)) == found
    assert (found["train"], found["calibration"], found["test_normal"], found["test_attacks"]) == (178, 45, 224, 6277)
    assert {"source_ports_300s", "pair_gap_variation"} <= set(found["computed"])
    assert found["windows"] == [60, 300]
    assert 0 < found["test_hours"] < found["train_hours"] < 0.2
    assert found["without"]["auroc"] != found["with"]["auroc"]
