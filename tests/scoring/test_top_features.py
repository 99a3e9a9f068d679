"""The features that make an anomaly one: of frames and single records, the same whatever the batches."""

import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import sequence_models
from explained import as_tuples, assert_named_alike, expected_of, odd_flow_frame, rounded
from export_cases import fitted_case
from flows import flow_frame, write_flow_model
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from model_files import UntrainedAutoencoder
from neighbour_models import write_neighbour_model
from polars.testing import assert_frame_equal, assert_series_equal

import naive
from netsieve.bench.datasets import load_set
from netsieve.bench.traffic import generate_traffic
from netsieve.engine.errors import ModelFileError
from netsieve.engine.features.stage import NeighbourStage
from netsieve.engine.scoring import scorer as scorer_module
from netsieve.engine.scoring import stream
from netsieve.engine.scoring.files import score_files
from netsieve.engine.scoring.folder import score_folder
from netsieve.engine.scoring.scorer import Scorer
from netsieve.engine.scoring.top_features import (
    TOP_FEATURES_TYPE,
    FeatureDeviation,
    TopFeatures,
    largest_deviations,
)
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.engine.training.job import train_detector
from netsieve.export.model import write_model

ROWS = 2000
FEATURES = ["Dport", "Proto", "Bytes", "Duration"]
THRESHOLDS = {"score:1": 1.0, "default": "score:1"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    write_flow_model(path)
    return path


@pytest.fixture(scope="module")
def scorer(model: Path) -> Scorer:
    return Scorer(model).with_threshold("percentile:95")


@pytest.fixture(scope="module")
def odd_flows() -> pl.DataFrame:
    return odd_flow_frame(ROWS)


errors = st.floats(-(2.0**20), 2.0**127, width=32)


@given(st.data())
def test_the_largest_deviations_are_those_of_the_definition(data):
    rows, features = data.draw(st.integers(0, 5)), data.draw(st.integers(1, 6))
    few = st.sampled_from([np.float32(0), np.float32(1), np.float32(2)])
    found = data.draw(arrays(np.float32, (rows, features), elements=st.one_of(few, errors)))
    sizes = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1e9))
    mean, deviation = (data.draw(arrays(np.float64, features, elements=sizes)) for _ in range(2))
    count = data.draw(st.integers(1, features))
    order, z = largest_deviations(found, mean, deviation, count)
    expected = naive.top_features(found, mean.tolist(), deviation.tolist(), count)
    assert order.shape == z.shape == (rows, count)
    got = [list(zip(*row, strict=True)) for row in zip(order.tolist(), z.tolist(), strict=True)]
    assert [[position for position, _ in row] for row in got] == [[position for position, _ in row] for row in expected]
    np.testing.assert_allclose(z.reshape(-1), [one for row in expected for _, one in row], rtol=1e-6)


def test_deviations_next_to_nothing_give_finite_z():
    errors = np.array([[3e38, 0.0, -3e38]], dtype=np.float32)
    order, z = largest_deviations(errors, np.zeros(3), np.full(3, 1e-300), 3)
    assert order.tolist() == [[0, 1, 2]]
    np.testing.assert_allclose(z, [[3e38, 0, -3e38]], rtol=1e-6)


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.7e308), (1.7e308, 0.0), (-1.7e308, 1.7e308)])
def test_huge_calibrated_errors_give_finite_z(mean, deviation):
    _, z = largest_deviations(np.ones((2, 3), np.float32), np.full(3, mean), np.full(3, deviation), 3)
    assert np.isfinite(z).all()


def test_errors_of_windows_are_added_up():
    steps = np.array([[[np.nan, np.nan], [1, 5], [2, 0]]], dtype=np.float32)
    order, z = largest_deviations(steps, np.array([1.0, 1.0]), np.array([2.0, 2.0]), 2)
    assert order.tolist() == [[1, 0]]
    assert z.tolist() == [[2.0, 1.0]]


@pytest.mark.parametrize("count", [1, 3, 9])
def test_a_frame_is_explained_by_the_definition(scorer, odd_flows, count):
    scored = scorer.score(odd_flows, top_features=count)
    assert_frame_equal(scored.drop("top_features"), scorer.score(odd_flows))
    assert scored["top_features"].dtype == TOP_FEATURES_TYPE
    expected = expected_of(scorer, odd_flows, min(count, len(FEATURES)))
    flags = scored["is_anomaly"].to_list()
    assert 20 < sum(flags) < ROWS / 2
    wanted = [entry if flag else None for entry, flag in zip(expected, flags, strict=True)]
    assert_named_alike(as_tuples(scored["top_features"]), wanted)
    if count == 3:
        shown = [one for entry in wanted if entry for one in entry]
        assert any(value is None for _, value, _, _ in shown)
        assert any(value == "sctp; (new)" for _, value, _, _ in shown)


def test_the_same_whatever_the_batches(model, odd_flows):
    # to the last digit: which others are anomalies in a batch, or are asked for, does not show
    whole = Scorer(model, batch_size=2048).with_threshold(0.0).score(odd_flows, top_features=4)
    assert whole["is_anomaly"].all()
    small = Scorer(model, batch_size=64).with_threshold(0.0)
    assert_frame_equal(small.score(odd_flows, top_features=4), whole)
    lazy = small.score(odd_flows.lazy(), top_features=4)
    assert_frame_equal(lazy, whole)
    pieces = pl.concat([small.score(odd_flows[i : i + 77], top_features=4) for i in range(0, ROWS, 77)])
    assert_series_equal(pieces["top_features"], whole["top_features"])
    few = small.with_threshold(float(np.quantile(whole["anomaly_score"], 0.97))).score(odd_flows, top_features=4)
    flagged = few["is_anomaly"]
    assert_series_equal(few["top_features"].filter(flagged), whole["top_features"].filter(flagged))
    assert few["top_features"].filter(~flagged).is_null().all()


def test_a_single_record(scorer, odd_flows):
    expected = expected_of(scorer, odd_flows, 2)
    for row in range(0, ROWS, 97):
        one = scorer.score_one(odd_flows.row(row, named=True), top_features=2)
        assert all(isinstance(deviation, FeatureDeviation) for deviation in one.top_features)
        assert_named_alike([[tuple(deviation) for deviation in one.top_features]], [expected[row]])
    assert scorer.score_one(odd_flows.row(0, named=True)).top_features is None
    record = {"Dport": np.int64(80), "Proto": None, "Bytes": float("nan"), "Duration": "2.50"}
    values = {one.feature: one.value for one in scorer.score_one(record, top_features=4).top_features}
    assert values == {"Dport": "80", "Proto": None, "Bytes": None, "Duration": "2.50"}
    record = {"Dport": "443", "Proto": np.str_("icmp"), "Bytes": Decimal("7.0"), "Duration": np.float32(0.1)}
    values = {one.feature: one.value for one in scorer.score_one(record, top_features=4).top_features}
    assert values == {"Dport": "443", "Proto": "icmp", "Bytes": "7", "Duration": "0.1"}
    record = {"Dport": 2**70, "Proto": True, "Bytes": 10**15, "Duration": 0.1}
    values = {one.feature: one.value for one in scorer.score_one(record, top_features=4).top_features}
    assert values == {"Dport": str(2**70), "Proto": "true", "Bytes": str(10**15), "Duration": "0.1"}


numbers = st.one_of(
    st.none(), st.integers(-(2**62), 2**62), st.floats(), st.booleans(), st.sampled_from([" 7 ", "NA", "-", "1e5"])
)
categories = st.one_of(
    st.none(), st.integers(-(2**62), 2**62), st.booleans(), st.text(st.characters(codec="utf-8"), max_size=6)
)


@given(st.fixed_dictionaries({"Dport": categories, "Proto": categories, "Bytes": numbers, "Duration": numbers}))
def test_a_record_is_explained_as_a_frame_of_it(scorer, record):
    scorer = scorer.with_threshold(-1e30)
    one = scorer.score_one(record, top_features=4).top_features
    (entry,) = scorer.score(pl.DataFrame([record]), top_features=4)["top_features"]
    assert [tuple(named.values()) for named in entry] == [tuple(deviation) for deviation in one]
    assert [deviation.z for deviation in one] == sorted((deviation.z for deviation in one), reverse=True)
    assert np.isfinite([deviation.z for deviation in one]).all()
    values = {deviation.feature: deviation.value for deviation in one}
    assert values.keys() == record.keys()
    for name, value in record.items():
        if isinstance(value, str) and values[name] is not None:
            assert values[name] == value


def test_no_anomalies_and_no_records(scorer, odd_flows):
    high = scorer.with_threshold(1e30)
    assert high.score(odd_flows, top_features=3)["top_features"].to_list() == [None] * ROWS
    empty = scorer.score(odd_flows.clear(), top_features=3)
    assert empty.height == 0
    assert empty["top_features"].dtype == TOP_FEATURES_TYPE
    with pytest.raises(ValueError, match="top_features is 0"):
        scorer.score(odd_flows, top_features=0)


def typical_of(folder: Path, **changes) -> tuple[dict, str]:
    """Return typical values by feature, and the text, of a model whose calibration was changed by feature."""
    schema, x = fitted_case(("plain", "plain missing", "category3"))
    detector = UntrainedAutoencoder(schema, (4,), 0)
    calibration = Calibration.fit(detector.reference_score(x), x, detector.feature_error(x), schema)
    features = tuple(replace(entry, **changes.get(entry.name.split()[-1], {})) for entry in calibration.features)
    write_model(
        detector,
        folder / "model.onnx",
        schema=schema,
        calibration=replace(calibration, features=features),
        thresholds=THRESHOLDS,
        provenance={},
        parity_rows=x,
    )
    scorer = Scorer(folder / "model.onnx").with_threshold(-1e30)
    record = {"plain": 1.0, "plain missing": None, "category3": "v0"}
    top = scorer.score(pl.DataFrame([record]), top_features=3)["top_features"]
    one = scorer.score_one(record, top_features=3)
    assert [tuple(deviation.values()) for deviation in top[0]] == [tuple(deviation) for deviation in one.top_features]
    return {named.feature: named.typical for named in one.top_features}, TopFeatures(scorer, 3).in_text(top)[0]


def test_what_is_usual(tmp_path):
    quantiles = np.full(101, 2.5, np.float32)
    # the first two are missing and unknown; unknown values are many, and no one value
    known, _ = typical_of(tmp_path, plain={"quantiles": quantiles}, category3={"counts": np.array([3, 90, 1, 7, 0])})
    assert known["plain"] == "2.5"
    assert known["category3"] == "v1"
    missing, text = typical_of(tmp_path, missing={"missing_rate": 0.6}, category3={"counts": np.array([9, 0, 1, 7, 0])})
    assert missing["plain missing"] is missing["category3"] is None
    assert "plain missing missing (usually missing, z " in text
    assert "category3=v0 (usually missing, z " in text
    nothing = {"quantiles": None, "counts": None}
    untold, text = typical_of(tmp_path, plain=nothing, missing=nothing, category3=nothing)
    assert set(untold.values()) == {None}
    assert "category3=v0 (z " in text


def test_text_is_for_people(scorer):
    frame = flow_frame(1).with_columns(Bytes=pl.lit(10**9), Proto=pl.lit("icmp"), Duration=pl.lit(None, pl.Float64))
    scorer = scorer.with_threshold(0.0)
    top = scorer.score(frame, top_features=4)["top_features"]
    (text,) = TopFeatures(scorer, 4).in_text(top)
    z = {one["feature"]: one["z"] for one in top[0]}
    typical = {one["feature"]: one["typical"] for one in top[0]}
    entries = dict(entry.split("=" if "=" in entry else " ", 1) for entry in text.split("; "))
    assert list(entries) == list(z)
    assert entries["Bytes"] == f"1000000000 (typical {typical['Bytes']}, z {pl.Series([z['Bytes']]).round(1)[0]})"
    assert entries["Proto"].startswith(f"icmp (typical {typical['Proto']}, z ")
    assert entries["Duration"].startswith("missing (typical ")
    assert typical["Proto"] in {"tcp", "udp"}
    assert typical["Dport"] in {"53", "80", "443"}


def test_neighbour_features_are_named_too(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "BLOCK_BYTES", 20_000)
    write_neighbour_model(tmp_path / "model.onnx")
    scorer = Scorer(tmp_path / "model.onnx").with_threshold("percentile:90")
    traffic = generate_traffic(1500, seed=4, hosts=60)
    scored = scorer.score(traffic, state=scorer.new_state(), top_features=3)
    computed = NeighbourStage(scorer.schema.neighbours).apply(traffic)
    expected = expected_of(scorer, computed, 3)
    flags = scored["is_anomaly"].to_list()
    wanted = [entry if flag else None for entry, flag in zip(expected, flags, strict=True)]
    assert_named_alike(rounded(as_tuples(scored["top_features"])), rounded(wanted))
    named = {one[0] for entry in wanted if entry for one in entry}
    assert named & set(scorer.schema.neighbours.columns)
    state = scorer.new_state()
    for row in range(200):
        one = scorer.score_one(traffic.row(row, named=True), state=state, top_features=3)
        if flags[row]:
            assert [tuple(deviation)[:3] for deviation in one.top_features] == [
                entry[:3] for entry in as_tuples(scored["top_features"])[row]
            ]
    traffic.write_csv(tmp_path / "traffic.csv")
    score_files(scorer, [str(tmp_path / "traffic.csv")], str(tmp_path / "out.parquet"), top_features=3, threads=3)
    got = pl.read_parquet(tmp_path / "out.parquet")["top_features"]
    assert_named_alike(as_tuples(got), as_tuples(scored["top_features"]))
    # two files in a folder, the second of which is scored with what is known after the first
    names = [tmp_path / f"{part}.csv" for part in "ab"]
    for name, half in zip(names, (traffic[:800], traffic[800:]), strict=True):
        half.write_csv(name)
    score_folder(scorer, [str(name) for name in names], str(tmp_path / "parts"), top_features=3)
    parts = pl.concat([pl.read_parquet(tmp_path / "parts" / f"{name.name}.parquet") for name in names])
    assert_series_equal(parts["top_features"], got)


def test_windows_are_explained_by_their_errors_together(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "BLOCK_BYTES", 20_000)
    monkeypatch.setattr(scorer_module, "WINDOW_ROWS", 500)
    sequence_models.known_detector(monkeypatch)
    options = {"label": "IsAnomaly", "ignore": ["Attack"]}
    detector = sequence_models.write_window_model(
        tmp_path / "model.onnx", generate_traffic(1500, seed=5, hosts=60), **options
    )
    scorer = Scorer(tmp_path / "model.onnx").with_threshold("percentile:90")
    traffic = generate_traffic(1500, seed=4, hosts=60)
    scored = scorer.score(traffic, state=scorer.new_state(), top_features=3)
    windows = sequence_models.all_windows(scorer.schema, traffic)
    summed = detector.feature_error(windows).sum(axis=1)
    calibrated = scorer.calibration.features
    means, deviations = ([getattr(e, n) for e in calibrated] for n in ("error_mean", "error_deviation"))
    names = scorer.schema.feature_names
    records = traffic.rows(named=True)
    for row, order in enumerate(naive.top_features(summed, means, deviations, 3)):
        entry = scored["top_features"][row]
        if not scored["is_anomaly"][row]:
            assert entry is None
            continue
        np.testing.assert_allclose([one["z"] for one in entry], [z for _, z in order], rtol=1e-3, atol=1e-4)
        for one in entry:
            own = records[row][one["feature"]]
            assert one["value"] == (str(own) if isinstance(own, str) else naive.shown_value(own))
            assert one["feature"] in names
    state = scorer.new_state()
    for row in range(100):
        one = scorer.score_one(records[row], state=state, top_features=3)
        if scored["is_anomaly"][row]:
            assert [named.value for named in one.top_features] == [
                named["value"] for named in scored["top_features"][row]
            ]
    traffic.write_csv(tmp_path / "traffic.csv")
    score_files(scorer, [str(tmp_path / "traffic.csv")], str(tmp_path / "out.parquet"), top_features=3, threads=3)
    got = pl.read_parquet(tmp_path / "out.parquet")["top_features"]
    assert_named_alike(as_tuples(got), as_tuples(scored["top_features"]))


@pytest.mark.parametrize("kept", [(), "values"])
def test_a_calibration_without_errors_is_refused(tmp_path, kept):
    schema, x = fitted_case(("plain a", "plain b"), rows=300)
    detector = UntrainedAutoencoder(schema, (4,), 0)
    calibration = Calibration.fit(detector.reference_score(x), x, None, schema)
    if kept == ():
        calibration = replace(calibration, features=())
    path = tmp_path / "model.onnx"
    write_model(
        detector, path, schema=schema, calibration=calibration, thresholds=THRESHOLDS, provenance={}, parity_rows=x
    )
    with pytest.raises(ModelFileError, match="how large the features' errors usually are"):
        Scorer(path).with_threshold(0.0).score(pl.DataFrame({"plain a": [1.0], "plain b": [1.0]}), top_features=1)


def test_floods_of_real_data_are_told_by_their_errors_of_connection(real_data, tmp_path):
    # a SYN flood: connections that are never answered, flag S0, among others with SYN errors
    kdd = load_set("nsl_kdd", real_data)
    normal = kdd.frame.filter(pl.col("class") == "normal").drop("class", "difficulty")
    train_detector(normal, detector="ecod").export(tmp_path / "model.onnx")
    scorer = Scorer(tmp_path / "model.onnx").with_threshold("percentile:99")
    floods = kdd.frame.filter((pl.col("class") == "neptune") & (pl.col("flag") == "S0")).head(500)
    scored = scorer.score(floods, top_features=5).filter(pl.col("is_anomaly"))
    assert scored.height > 400
    signs = {"serror_rate", "srv_serror_rate", "dst_host_serror_rate", "dst_host_srv_serror_rate", "flag"}
    found = [len(signs & {one["feature"] for one in entry}) for entry in scored["top_features"]]
    assert np.mean(np.array(found) >= 2) > 0.9


def test_math_is_finite_for_any_record(scorer):
    frame = flow_frame(6).with_columns(Bytes=pl.Series([1e200, -1e200, 0.0, math.inf, -math.inf, math.nan]))
    scored = scorer.with_threshold(-1e30).score(frame, top_features=4)
    assert scored["top_features"].list.eval(pl.element().struct.field("z").is_finite()).list.all().all()
    assert scored["top_features"].list.len().to_list() == [4] * 6
    values = [{one["feature"]: one["value"] for one in entry}["Bytes"] for entry in scored["top_features"]]
    assert values == ["1e+200", "-1e+200", "0", "inf", "-inf", None]
