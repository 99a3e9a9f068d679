"""The N-BaIoT experiment, on small made-up files in both layouts."""

import csv
import gzip
import json

import numpy as np
import pytest

from netsieve.bench import n_baiot, n_baiot_files
from netsieve.bench.experiments import auroc, policy_threshold, rates, table
from netsieve.engine.errors import SourceError
from netsieve.engine.sources.n_baiot import STATISTICS


def packets(rows, seed, *, attack=False):
    """Return made-up packets: a few large columns that say nothing, and small ones that go together in benign ones."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(rows, 1))
    x = factor * np.linspace(0.5, 2, 115) + 0.1 * rng.normal(size=(rows, 115))
    if attack:
        x[:, 20:60] *= -1
    large = [i for i, name in enumerate(STATISTICS) if name.endswith(("variance", "radius"))]
    x[:, large] = rng.lognormal(10, 2, (rows, len(large)))
    return "\n".join([",".join(STATISTICS), *(",".join(f"{cell:.6g}" for cell in row) for row in x)]) + "\n"


@pytest.fixture(scope="module")
def n_baiot_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("n_baiot")
    for device in n_baiot_files.DEVICES[:2]:
        (folder / device / "gafgyt_attacks").mkdir(parents=True)
        (folder / device / "mirai_attacks").mkdir()
        (folder / device / "benign_traffic.csv").write_text(packets(1200, 0))
        (folder / device / "gafgyt_attacks/combo.csv").write_text(packets(400, 1, attack=True))
        with gzip.open(folder / device / "mirai_attacks/syn.csv.gz", "wt") as file:
            file.write(packets(300, 2, attack=True))
    return folder


def test_devices_are_found_in_both_layouts(n_baiot_folder, tmp_path):
    found = n_baiot_files.find_devices(n_baiot_folder)
    assert tuple(found) == n_baiot_files.DEVICES[:2]
    assert list(found["Danmini_Doorbell"].attacks) == ["gafgyt.combo", "mirai.syn"]
    for name in ("3.benign.csv", "3.gafgyt.junk.csv", "3.mirai.ack.csv.gz", "9.benign.csv.zst", "9.mirai.scan.csv"):
        (tmp_path / name).touch()
    (tmp_path / "data_summary.csv").touch()
    flat = n_baiot_files.find_devices(tmp_path)
    assert tuple(flat) == ("Ennio_Doorbell", "SimpleHome_XCS7_1003_WHT_Security_Camera")
    assert flat["Ennio_Doorbell"].benign == tmp_path / "3.benign.csv"
    assert set(flat["Ennio_Doorbell"].attacks) == {"gafgyt.junk", "mirai.ack"}


def test_benign_packets_keep_their_order_in_thirds(n_baiot_folder):
    path = n_baiot_folder / "Danmini_Doorbell/benign_traffic.csv"
    parts = n_baiot_files.benign_parts(path)
    assert [part.height for part in parts] == [400, 200, 200, 400]
    with open(path) as file:
        first_cells = [float(row["MI_dir_L5_weight"]) for row in csv.DictReader(file)]
    np.testing.assert_array_equal(np.concatenate([part["MI_dir_L5_weight"] for part in parts]), first_cells)
    assert [part.height for part in n_baiot_files.benign_parts(path, 300)] == [100, 50, 50, 100]


def test_packets_left_out_are_told(tmp_path, capsys):
    (tmp_path / "1.benign.csv").write_text(packets(150, 0) + "1,2,3\n")
    assert sum(part.height for part in n_baiot_files.benign_parts(tmp_path / "1.benign.csv")) == 150
    assert "1.benign.csv: 1 packets that cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("size", [1, 2, 3, 7, 40])
def test_windows_are_judged_by_their_majority(size):
    flagged = np.random.default_rng(0).random(40) < 0.4
    expected = [sum(flagged[i : i + size]) > size / 2 for i in range(40 - size + 1)]
    np.testing.assert_array_equal(n_baiot.window_majority(flagged, size), expected)


def test_the_smallest_quiet_window_is_found():
    flagged = np.array([0, 1, 0, 0, 1, 1, 0, 0, 0, 1], dtype=bool)
    quiet = [size for size in range(1, 11) if not n_baiot.window_majority(flagged, size).any()]
    assert n_baiot.smallest_quiet_window(flagged) == quiet[0] == 4
    assert n_baiot.smallest_quiet_window(np.zeros(5, dtype=bool)) == 1
    assert n_baiot.smallest_quiet_window(np.ones(5, dtype=bool)) is None


def test_flagging_everything_is_right_about_the_attacks_share():
    is_attack = np.arange(100) >= 11
    found = rates(np.ones(100, dtype=bool), is_attack)
    assert found == {"accuracy": 0.89, "recall": 1.0, "false_positive_rate": 1.0}
    assert rates(np.ones(3, dtype=bool), np.ones(3, dtype=bool))["false_positive_rate"] is None
    assert auroc(np.ones(100), is_attack) == 0.5
    assert auroc(np.ones(3), np.ones(3, dtype=bool)) is None
    assert policy_threshold("fpr:0.01", np.arange(50)) is None
    assert policy_threshold("mean_std:1", np.array([1.0, 3.0])) == 3.0


def test_scaling_is_what_repairs_the_unscaled_network(n_baiot_folder, tmp_path, capsys):
    out = tmp_path / "n_baiot.json"
    assert n_baiot.main([str(n_baiot_folder), "--quick", "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "no result on N-BaIoT" in printed
    assert "Mean of the devices" in printed
    result = json.loads(out.read_text())
    assert (result["rows"], result["whole"]) == (2 * 1900, False)
    found = result["devices"]["Danmini_Doorbell"]
    assert found["rows"]["test_attacks"] == {"gafgyt.combo": 400, "mirai.syn": 300}
    assert found["accuracy_of_flagging_everything"] == pytest.approx(700 / 1100)
    failed, repaired = (found["contenders"][name] for name in ("autoencoder_deep, unscaled", "autoencoder"))
    assert failed["auroc"] < 0.65
    assert repaired["auroc"] > 0.95
    assert failed["mean_and_deviation"]["accuracy"] < found["accuracy_of_flagging_everything"]
    assert repaired["mean_and_deviation"]["accuracy"] > found["accuracy_of_flagging_everything"] + 0.1
    by_attack = repaired["mean_and_deviation"]["recall_by_attack"]
    assert repaired["mean_and_deviation"]["recall"] == pytest.approx(
        (400 * by_attack["gafgyt.combo"] + 300 * by_attack["mirai.syn"]) / 700
    )
    assert repaired["window"]["recall"] > 0.9
    assert repaired["false_positive_budget"]["false_positive_rate"] < 0.1


def test_missing_files_of_n_baiot_are_one_line(n_baiot_folder, tmp_path, capsys):
    assert n_baiot.main([str(tmp_path / "nowhere")]) == 1
    assert n_baiot.main([str(tmp_path)]) == 1
    (tmp_path / "1.benign.csv").write_text(packets(20, 0))
    assert n_baiot.main([str(tmp_path)]) == 1
    (tmp_path / "1.mirai.syn.csv").write_text(packets(20, 0))
    assert n_baiot.main([str(tmp_path)]) == 1
    (tmp_path / "1.benign.csv").write_text("a,b\n1,2\n")
    assert n_baiot.main([str(tmp_path)]) == 1
    assert n_baiot.main([str(n_baiot_folder), "--devices", "Ennio_Doorbell"]) == 1
    lines = capsys.readouterr().err.splitlines()
    expected = ("is no folder", "has no files of N-BaIoT", "has no attacks of Danmini_Doorbell", "has 20 packets",
                "has no column 'MI_dir_L5_weight'", "has no benign traffic of Ennio_Doorbell")  # fmt: skip
    assert len(lines) == len(expected)
    assert all(text in line for text, line in zip(expected, lines, strict=True))
    (tmp_path / "1.benign.csv").write_text("MI_dir_L5_weight\n1\n")
    with pytest.raises(SourceError, match="has no column 'MI_dir_L5_mean'"):
        n_baiot_files.benign_parts(tmp_path / "1.benign.csv")


def test_tables_have_their_columns_below_each_other():
    assert table([("a", "bb"), ("cccc", "d")]) == "a     bb\ncccc  d"
