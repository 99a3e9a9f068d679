import json
from types import SimpleNamespace

import naive_neighbours as naive
import numpy as np
import polars as pl
import pytest
from flows import flow_frame, write_flow_model
from hypothesis import given, settings
from hypothesis import strategies as st

from netsieve.engine.cli.main import main
from netsieve.engine.errors import MissingColumnError, OutputError
from netsieve.engine.scoring import stream
from netsieve.engine.scoring.entities import EntityRanking
from netsieve.engine.scoring.files import score_files
from netsieve.engine.scoring.scorer import Scorer
from netsieve.engine.thresholds.calibration import Calibration


@pytest.fixture(scope="module")
def scorer(tmp_path_factory) -> Scorer:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    write_flow_model(path)
    return Scorer(path)


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return Calibration.fit(np.random.default_rng(0).lognormal(size=5000).astype(np.float32))


@pytest.mark.parametrize("n", [1, 7, 2000, 2001, 50_000])
def test_surprise_is_the_share_of_calibration_scores_that_are_no_lower(n):
    generator = np.random.default_rng(n)
    known = generator.lognormal(size=n).astype(np.float32)
    scores = np.concatenate([known[:500], generator.lognormal(size=500), [0.0, 1e30]]).astype(np.float32)
    expected = [np.log10((n + 1) / (np.count_nonzero(known >= score) + 1)) for score in scores]
    found = Calibration.fit(known).surprise(scores)
    # below the largest 2,000 by the quantiles, which are a thousandth apart
    np.testing.assert_allclose(found, expected, atol=1e-6 if n <= 2000 else 1e-3)
    assert found.min() >= 0
    assert found.dtype == np.float32


entities = st.lists(
    st.tuples(st.none() | st.sampled_from(["a", "b", "", "ü", "c" * 300]), st.floats(0, 50)), max_size=80
)


@given(entities, st.integers(1, 40))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_the_ranking_is_that_of_the_naive_twin_however_cut(calibration, rows, size):
    frame = pl.DataFrame(rows, schema={"host": pl.String, "score": pl.Float32}, orient="row")
    scores = frame["score"].to_numpy()
    flags = scores > 3
    found = EntityRanking(["host"], calibration)
    for at in range(0, frame.height, size):
        part = slice(at, at + size)
        found.add(found.records(frame[part], scores[part], flags[part]))
    names = [None if name is None else name[:256] for name in frame["host"]]
    expected = naive.ranking(
        names, scores.tolist(), calibration.surprise(scores).tolist(), flags.tolist(), calibration.n
    )
    table = found.frame()
    assert table.columns == ["host", "surprise", "records", "anomalies", "mean_score", "highest_score"]
    assert table.select("host", "records", "anomalies").rows() == [(row[0], row[2], row[3]) for row in expected]
    np.testing.assert_allclose(table["surprise"], [row[1] for row in expected], rtol=1e-6)
    np.testing.assert_allclose(table["highest_score"], [row[4] for row in expected])
    means = dict(
        frame.with_columns(name=pl.Series(names, dtype=pl.String))
        .group_by("name")
        .agg(pl.col("score").cast(pl.Float64).mean())
        .iter_rows()
    )
    np.testing.assert_allclose(table["mean_score"], [means[name] for name in table["host"]], rtol=1e-9)
    assert found.without == names.count(None)


def test_memory_is_bounded_and_what_had_to_go_is_told(calibration):
    found = EntityRanking(["host"], calibration, most=3)
    names = [*"abcd", *"abcd", "d"]
    scores = np.arange(1, 10, dtype=np.float32)
    found.add(found.records(pl.DataFrame({"host": names}), scores, scores > 0))
    table = found.frame().sort("host")
    assert table["host"].to_list() == ["b", "c", "d"]
    assert table["records"].to_list() == [1, 1, 2]
    assert table["highest_score"].to_list() == [6.0, 7.0, 9.0]
    assert found.forgotten == 5
    assert "5 entities of 'host' are not in the ranking: more than 3 were active" in found.notes()[0]


def test_a_few_bad_records_lead_over_many_normal_ones(calibration):
    found = EntityRanking(["host"], calibration)
    generator = np.random.default_rng(1)
    scores = np.concatenate([generator.lognormal(size=100_000), np.full(12, 40.0), [60.0]]).astype(np.float32)
    names = ["busy"] * 100_000 + ["bad"] * 12 + ["once"]
    found.add(found.records(pl.DataFrame({"host": names}), scores, scores > 20))
    assert found.frame()["host"].to_list() == ["bad", "once", "busy"]
    assert found.frame()["surprise"].to_list() == pytest.approx([29.3, 3.3, 0], abs=1)


def test_what_is_rare_counts_less_where_it_is_rare_among_the_entitys_own_records(calibration):
    found = EntityRanking(["host"], calibration)
    thousandth = np.float32(calibration.score_at_position(0.999 * calibration.n))
    normal = np.random.default_rng(2).lognormal(size=1000).clip(max=thousandth / 2)
    scores = np.concatenate([normal, [thousandth] * (1 + 1 + 10 + 3000)]).astype(np.float32)
    names = ["thousand"] * 1001 + ["one"] + ["ten"] * 10 + ["many"] * 3000
    found.add(found.records(pl.DataFrame({"host": names}), scores, scores > 20))
    table = found.frame()
    assert table["host"].to_list() == ["many", "ten", "one", "thousand"]
    one, thousand = table["surprise"][2], table["surprise"][3]
    assert thousand < 0.3
    assert one == pytest.approx(2.5, abs=0.3)
    assert table["surprise"][1] == pytest.approx(9 * one, rel=0.1)
    # 3,000 records of one kind count as 32 do
    assert table["surprise"][0] == pytest.approx(32 * 0.9 * one, rel=0.15)


def test_sequences_are_ranked_by_their_mean_score(calibration):
    scores = np.array([*[3.0] * 500, 6.0, 5.0], np.float32)
    frame = pl.DataFrame({"trace": ["long"] * 501 + ["short"]})
    for by_mean, expected in ((True, ["short", "long"]), (False, ["long", "short"])):
        found = EntityRanking(["trace"], calibration, by_mean=by_mean)
        found.add(found.records(frame, scores, scores > 20))
        assert found.frame()["trace"].to_list() == expected


@pytest.mark.parametrize(
    ("detector", "entity", "columns", "by_mean"),
    [
        ("lstm_tokens", ("trace",), ["trace"], True),
        ("lstm_tokens", ("host", "pid"), ["pid", "host"], True),
        ("lstm_tokens", ("host", "pid"), ["host"], False),
        ("lstm_autoencoder", ("trace",), ["trace"], False),
        ("autoencoder", None, ["trace"], False),
    ],
)
def test_an_entity_that_is_one_sequence_to_the_model_is_ranked_by_the_mean(
    calibration, detector, entity, columns, by_mean
):
    windows = None if entity is None else SimpleNamespace(entity=entity)
    model = SimpleNamespace(schema=SimpleNamespace(windows=windows), calibration=calibration, detector=detector)
    scores = np.array([*[3.0] * 500, 6.0, 5.0], np.float32)
    frame = pl.DataFrame(dict.fromkeys(columns, ["long"] * 501 + ["short"]))
    found = EntityRanking.of(model, columns)
    found.add(found.records(frame, scores, scores > 20))
    assert found.frame()[columns[0]].to_list() == (["short", "long"] if by_mean else ["long", "short"])


def test_numbers_are_entities_too_and_clashing_names_are_kept_apart(calibration):
    found = EntityRanking(["records"], calibration)
    frame = pl.DataFrame({"records": [443.0, 80.0, None]})
    found.add(found.records(frame, np.ones(3, np.float32), np.ones(3, bool)))
    assert found.frame()["input_records"].to_list() == ["443", "80"]


def test_pairs_of_columns(calibration):
    found = EntityRanking(["from", "to"], calibration)
    frame = pl.DataFrame({"from": ["a", "a", "b", None], "to": [1, 1, None, 2]})
    found.add(found.records(frame, np.ones(4, np.float32), np.ones(4, bool)))
    table = found.frame()
    assert table.select("from", "to", "records").rows() == [("a", "1", 2)]
    assert found.notes() == ["2 records have no 'from' and 'to' and are not in the ranking of entities"]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("keep", [None, "none", "Label"])
def test_files_are_ranked_beside_the_output(scorer, tmp_path, monkeypatch, threads, keep):
    monkeypatch.setattr(stream, "BLOCK_BYTES", 4000)
    frame = flow_frame(2000)
    frame.write_csv(tmp_path / "flows.csv")
    summary = score_files(
        scorer,
        [str(tmp_path / "flows.csv")],
        str(tmp_path / "out.csv"),
        keep=keep,
        only_anomalies=True,
        threads=threads,
        by_entity="SrcAddr",
    )
    assert summary.entities == str(tmp_path / "out.csv.entities.csv")
    table = pl.read_csv(summary.entities)
    scored = scorer.score(frame)
    surprise = scorer.calibration.surprise(scored["anomaly_score"].to_numpy()).tolist()
    columns = frame["SrcAddr"].to_list(), scored["anomaly_score"].to_list(), surprise, scored["is_anomaly"].to_list()
    expected = naive.ranking(*columns, scorer.calibration.n)
    assert table["SrcAddr"].to_list() == [row[0] for row in expected]
    assert table["records"].to_list() == [row[2] for row in expected]
    assert table["records"].sum() == 2000
    assert table["anomalies"].sum() == summary.anomalies
    written = pl.read_csv(tmp_path / "out.csv")
    assert ("SrcAddr" in written.columns) == (keep is None)


def test_what_cannot_be_ranked(scorer, tmp_path):
    frame = flow_frame(50)
    frame.write_csv(tmp_path / "flows.csv")
    options = {"by_entity": "Host"}
    with pytest.raises(MissingColumnError, match="'Host'"):
        score_files(scorer, [str(tmp_path / "flows.csv")], str(tmp_path / "out.csv"), **options)
    clash = tmp_path / "out.csv.entities.csv"
    frame.write_csv(clash)
    with pytest.raises(OutputError, match="is the input"):
        score_files(scorer, [str(clash)], str(tmp_path / "out.csv"), by_entity="SrcAddr")
    assert {path.name for path in tmp_path.iterdir()} == {"flows.csv", "out.csv.entities.csv"}


def test_the_command_line_says_where_the_ranking_is(scorer, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    write_flow_model(tmp_path / "m.onnx")
    flow_frame(100).write_csv("flows.csv")
    arguments = ["score", "m.onnx", "flows.csv", "--by-entity", "DstAddr,Proto", "--json-summary", "sum.json"]
    assert main([*arguments, "-o", "out.parquet"]) == 0
    assert "ranked in out.parquet.entities.csv" in capfd.readouterr().out
    assert json.loads((tmp_path / "sum.json").read_text())["entities"] == "out.parquet.entities.csv"
    assert main([*arguments, "-o", "-"]) == 0
    assert pl.read_csv("netsieve.entities.csv").height == 100
