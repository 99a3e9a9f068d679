"""Windows of training data: whose record follows whose, parts without leaks, and the whole way to a model file."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from sequence_cases import SEQUENCE_NAMES
from sequence_models import all_windows, known_detector

from netsieve.bench.traffic import generate_traffic
from netsieve.engine.cli.main import main
from netsieve.engine.errors import SchemaError, TrainingError
from netsieve.engine.features.layouts import declare_windows
from netsieve.engine.features.windows import Windows
from netsieve.engine.scoring.scorer import Scorer
from netsieve.engine.training import windows as windows_module
from netsieve.engine.training.data import prepare_data
from netsieve.engine.training.job import train_detector
from netsieve.engine.training.neighbours import add_neighbours
from netsieve.engine.training.splits import SplitShares, split_records
from netsieve.engine.training.windows import affordable, linked_records

PARTS = ("train", "validation", "calibration", "test", "attacks_train", "attacks_validation")


@pytest.fixture
def detector(monkeypatch):
    """Make a detector of windows known, and return its name."""
    known_detector(monkeypatch)
    return "mean_difference"


def traces(count: int = 40, length: int = 30, attacks: int = 8) -> pl.DataFrame:
    """Return records of processes in turn, each with its number and place; the last processes are attacks."""
    process = np.tile(np.arange(count), length)
    place = np.repeat(np.arange(length), count)
    generator = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "process": [f"p{i}" for i in process],
            "number": process.astype(float),
            "place": place.astype(float),
            "value": generator.normal(size=len(process)),
            "label": np.where(process >= count - attacks, "attack", "ok"),
        }
    )


def test_without_times_whole_entities_are_drawn_and_no_window_leaves_its_part():
    frame = traces()
    data = prepare_data(
        frame, label="label", normal="ok", features=["number", "place", "value"], windows=Windows(entity=("process",))
    )
    assert (data.splits.by_time, data.splits.by_group, data.time_column) == (False, True, None)
    assert data.schema.windows.entity == ("process",)
    owners = {}
    for name in PARTS:
        x, rows = getattr(data, name), getattr(data.splits, name)
        assert x.shape == (len(rows), 10, 3)
        np.testing.assert_array_equal(x[:, -1, 0], frame["number"].gather(rows))
        owners[name] = set(x[:, -1, 0].tolist())
        # Every record of a window is of the same process, the places follow each other, and none is left out
        own = np.where(np.isnan(x[:, :, 0]), x[:, -1:, 0], x[:, :, 0])
        assert (own == own[:, -1:]).all()
        steps = np.diff(x[:, :, 1], axis=1)
        assert (steps[~np.isnan(steps)] == 1).all()
        np.testing.assert_array_equal((~np.isnan(x[:, :, 1])).sum(axis=1), np.minimum(x[:, -1, 1] + 1, 10))
    drawn = [owners[name] for name in ("train", "validation", "calibration", "test")]
    assert sum(map(len, drawn)) == len(set.union(*drawn)) == 40
    assert [len(part) for part in drawn[:3]] == [19, 3, 7]
    assert owners["test"] >= set(range(32, 40))


def test_supervised_parts_of_attacks_are_drawn_by_entity_too():
    shares = SplitShares(attacks_train=0.5, attacks_validation=0.25)
    data = prepare_data(
        traces(), label="label", normal="ok", features=["number"], windows=Windows(entity=("process",)), shares=shares
    )
    owners = [set(getattr(data, name)[:, -1, 0].tolist()) for name in ("attacks_train", "attacks_validation")]
    assert [len(part) for part in owners] == [4, 2]
    assert not owners[0] & owners[1]
    assert not (owners[0] | owners[1]) & set(data.test[:, -1, 0].tolist())


def timed(rows: int = 2000) -> pl.DataFrame:
    """Return records of four hosts, a second apart; every 50th is an attack."""
    generator = np.random.default_rng(1)
    second = np.arange(rows)
    return pl.DataFrame(
        {
            "Timestamp": [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=int(s)) for s in second],
            "SourceIP": [f"10.0.0.{i}" for i in generator.integers(0, 4, rows)],
            "DestinationIP": ["10.0.1.1"] * rows,
            "second": second.astype(float),
            "label": np.where(second % 50 == 49, "scan", "ok"),
        }
    )


@pytest.mark.parametrize("shuffled", [False, True])
def test_parts_by_time_begin_anew_and_normal_windows_hold_no_attack(shuffled):
    frame = timed()
    frame = frame[np.random.default_rng(2).permutation(frame.height)] if shuffled else frame
    windows = declare_windows(frame, length=6)
    assert (windows.entity, windows.time) == (("SourceIP",), "Timestamp")
    data = prepare_data(frame, label="label", normal="ok", features=["second"], windows=windows)
    assert data.splits.by_time
    assert any("no order of time" in note for note in data.notes) == shuffled
    host = dict(zip(timed()["second"], timed()["SourceIP"], strict=True))
    for name in ("train", "validation", "calibration"):
        x, rows = getattr(data, name)[..., 0], getattr(data.splits, name)
        own = set(frame["second"].gather(rows).to_list())
        for window in x[::7]:
            held = window[~np.isnan(window)]
            assert set(held.tolist()) <= own
            assert len({host[second] for second in held}) == 1
            assert not (held % 50 == 49).any()
            assert (np.diff(held) > 0).all()
    tested = data.test[..., 0]
    assert not np.isnan(tested).any()  # with all that was before, in whatever part
    held = tested.ravel()
    assert (held % 50 == 49).any()
    assert held.min() < 1000


def test_two_hosts_without_times_are_split_in_the_order_of_the_records():
    frame = timed().drop("Timestamp").with_columns(SourceIP=pl.col("SourceIP").str.replace("[23]$", "1"))
    data = prepare_data(frame, features=["second"], windows=Windows(entity=("SourceIP",), length=4))
    assert (data.splits.by_time, data.splits.by_group, data.time_column) == (True, False, None)
    assert data.splits.train.max() < data.splits.validation.min()


def test_records_without_an_entity_are_alone():
    frame = pl.DataFrame({"h": ["a", None, "a", None], "v": [1.0, 2.0, 3.0, 4.0]})
    linked = linked_records(frame, Windows(entity=("h",)))
    assert linked.links.tolist() == [-1, -1, 0, -1]
    assert len(set(linked.entities.tolist())) == 3


def test_groups_are_never_in_two_parts_whatever_their_sizes():
    generator = np.random.default_rng(0)
    for seed in range(20):
        groups = np.sort(generator.integers(0, 60, 1000) ** 2 // 40)
        splits = split_records(1000, groups=groups, seed=seed)
        parts = [set(groups[part].tolist()) for part in (splits.train, splits.validation, splits.calibration)]
        parts.append(set(groups[splits.test].tolist()))
        assert splits.by_group
        assert sum(map(len, parts)) == len(set(groups.tolist()))
        assert len(np.concatenate([splits.train, splits.validation, splits.calibration, splits.test])) == 1000


def test_attacks_of_one_group_are_cut_in_the_order_of_the_records():
    groups = np.repeat(np.arange(50), 20)
    normal = groups < 49
    splits = split_records(1000, normal=normal, groups=groups, shares=SplitShares(attacks_train=0.5))
    assert splits.by_group
    assert splits.attacks_train.tolist() == list(range(980, 990))
    assert splits.test[-10:].tolist() == list(range(990, 1000))
    # with none asked for all of them test
    assert split_records(1000, normal=normal, groups=groups).test[-20:].tolist() == list(range(980, 1000))


def test_parts_and_states_are_bounded_by_memory(monkeypatch):
    monkeypatch.setattr(windows_module, "LARGEST_PART_BYTES", 4 * 10 * 100)
    data = prepare_data(traces(), features=["value"], windows=Windows(entity=("process",)))
    assert len(data.train) == len(data.splits.train) == 100
    # windows hold the records that no window was drawn of, too
    assert np.isnan(data.train).any(axis=(1, 2)).mean() < 0.6
    assert affordable(Windows(entity=("a",), length=1000), 100).entities == 671


def test_what_is_declared_of_a_frame():
    frame = generate_traffic(500)
    windows = declare_windows(frame)
    assert (windows.entity, windows.length, windows.time, windows.duration) == (
        ("SourceIP",),
        10,
        "Timestamp",
        "Duration",
    )
    assert windows.key != "0" * 32
    neighbours = add_neighbours(frame).declaration
    assert declare_windows(frame, neighbours=neighbours).entity == (neighbours.source,)
    calls = pl.DataFrame({"hostName": ["a", "a"], "processId": [1, 2], "timestamp": [0.5, 1.0], "eventId": [3, 4]})
    known = declare_windows(calls, record_type="beth.process")
    assert (known.entity, known.time) == (("hostName", "processId"), "timestamp")
    assert declare_windows(frame, entity=["DestinationIP", "Protocol"]).entity == ("DestinationIP", "Protocol")
    with pytest.raises(SchemaError, match=r"no column 'SourceIp'.*did you mean 'SourceIP'"):
        declare_windows(frame, entity=["SourceIp"])
    with pytest.raises(SchemaError, match="name it with --entity COL"):
        declare_windows(traces())
    with pytest.raises(SchemaError, match="a whole number from 2"):
        declare_windows(frame, length=1)


def test_a_trained_detector_of_windows_scores_what_it_was_trained_on(detector, tmp_path):
    frame = generate_traffic(4000, seed=7, hosts=60)
    options = {"label": "IsAnomaly", "normal": "0", "ignore": ["Attack"], "progress": False}
    options["threshold"] = "percentile:95"
    result = train_detector(frame, detector=detector, window=7, **options)
    assert result.schema.row_shape == (7, len(result.schema.features))
    assert result.calibration.probe_rows.shape[1:] == result.schema.row_shape
    assert result.evaluation is not None
    path = result.export(tmp_path / "m.onnx")
    scorer = Scorer(path)
    scored = scorer.score(frame, state=scorer.new_state())
    # what is tested on has the windows that scoring gives it
    data = prepare_data(
        frame, **{k: options[k] for k in ("label", "normal", "ignore")}, windows=declare_windows(frame, length=7)
    )
    np.testing.assert_allclose(
        scored["anomaly_score"].to_numpy()[data.splits.test], scorer.score_matrix(data.test), rtol=1e-5
    )
    with_neighbours = train_detector(frame, detector=detector, neighbours=True, **options)
    assert [entry["kernel"] for entry in with_neighbours.schema.stateful] == ["neighbours", "windows"]
    scorer = Scorer(with_neighbours.export(tmp_path / "n.onnx"))
    assert scorer.score(frame, state=scorer.new_state()).height == 4000


def test_windows_of_a_detector_of_single_records_are_refused():
    with pytest.raises(TrainingError, match="pca takes single records and has no windows"):
        train_detector(traces(), detector="pca", entity=["process"])
    with pytest.raises(TrainingError, match="pca takes single records"):
        train_detector(traces(), detector="pca", window=5)


def test_the_command_trains_and_the_model_scores(detector, tmp_path, capsys):
    data, model = str(tmp_path / "t.csv"), str(tmp_path / "m.onnx")
    frame = traces()
    frame.write_csv(data)
    arguments = ["train", data, "-o", model, "--detector", detector, "--label", "label", "--normal", "ok"]
    assert main([*arguments, "--entity", "process", "--window", "5"]) == 0
    printed = capsys.readouterr().out
    assert "windows of 5 records by process" in printed
    assert "(split by entity)" in printed
    assert main(["score", model, data, "-o", str(tmp_path / "o.parquet"), "--state", str(tmp_path / "s")]) == 0
    assert pl.read_parquet(tmp_path / "o.parquet").height == frame.height
    capsys.readouterr()
    assert main(arguments) == 1
    assert "name it with --entity COL" in capsys.readouterr().err
    assert main([*arguments, "--entity", "proces"]) == 1
    assert "proces" in capsys.readouterr().err
    assert main([*arguments, "--entity", "process", "--window", "1"]) == 2


@pytest.mark.parametrize("name", SEQUENCE_NAMES)
def test_every_detector_of_windows_goes_from_a_frame_to_scored_files(name, tmp_path):
    frame = traces(count=75, length=20, attacks=15).with_columns(
        call=pl.format("call{}", pl.col("value").round(0).clip(-2, 2).cast(pl.Int64))
    )
    features = ["call"] if name == "lstm_tokens" else ["value", "call"]
    result = train_detector(
        frame,
        detector=name,
        entity=["process"],
        window=4,
        features=features,
        label="label",
        normal="ok",
        threshold="percentile:95",
        parameters={"max_draws": 4000},
        device="cpu",
        progress=False,
    )
    assert result.schema.row_shape == (4, len(features))
    scorer = Scorer(result.export(tmp_path / "m.onnx"))
    reference = result.detector.score(all_windows(result.schema, frame))
    assert len(np.unique(reference)) > 50
    state = scorer.new_state()
    pieces = [scorer.anomaly_scores(frame[start : start + 500], state=state) for start in range(0, frame.height, 500)]
    tolerance = 1e-5 * (np.abs(reference) + scorer.calibration.median)
    assert (np.abs(np.concatenate(pieces) - reference) <= tolerance).all()
    frame.write_csv(tmp_path / "t.csv")
    scorer.score_file(str(tmp_path / "t.csv"), str(tmp_path / "o.parquet"), state=str(tmp_path / "s"))
    scored = pl.read_parquet(tmp_path / "o.parquet")["anomaly_score"].to_numpy()
    assert (np.abs(scored - reference) <= tolerance).all()
    assert (tmp_path / "s").read_bytes() == state.to_bytes()
    error = result.detector.feature_error(all_windows(result.schema, frame[:20]))
    assert scorer.model_file.has_feature_error == (error is not None)
    if error is not None:
        assert error.shape == (20, 4, len(features))
