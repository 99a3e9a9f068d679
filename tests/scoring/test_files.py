"""The file scoring job: what comes out, in which order, what is counted, and what is never left behind."""

import gzip
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import zstandard
from flows import flow_frame, write_flow_model

from netsieve.engine.errors import (
    EncodeError,
    MissingColumnError,
    NetsieveError,
    OutputError,
    RejectLimitError,
    SourceError,
)
from netsieve.engine.scoring import stream
from netsieve.engine.scoring.files import score_files
from netsieve.engine.scoring.scorer import Scorer
from netsieve.engine.sinks.parquet import ParquetSink
from netsieve.engine.training.job import train_detector

ROWS = 3000
IDENTIFYING = ["SrcAddr", "DstAddr", "Sport", "Label", "Attack"]
ADDED = ["source_file", "row_index", "anomaly_score", "is_anomaly"]


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    write_flow_model(path)
    return Scorer(path)


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    path = tmp_path / "flows.csv"
    flow_frame(ROWS).write_csv(path)
    return path


@pytest.fixture
def tiny_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BLOCK_BYTES", 2000)


def score(scorer: Scorer, inputs: Sequence[Path | str] | Path, output: Path, **options: Any) -> pl.DataFrame:
    paths = [inputs] if isinstance(inputs, Path) else inputs
    summary = score_files(scorer, [str(path) for path in paths], str(output), **options)
    assert summary.rows_in == summary.rows_scored + summary.rows_rejected + summary.rows_skipped
    frame = pl.read_parquet(output)
    assert frame.height == summary.rows_written
    return frame


def own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("netsieve")]


def left_over(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_scores_are_those_of_the_frame(scorer: Scorer, flows: Path, tmp_path: Path) -> None:
    out = score(scorer, flows, tmp_path / "out.parquet")
    expected = scorer.score(flow_frame(ROWS))
    assert out.columns == [*IDENTIFYING, *ADDED]
    assert out.select(expected.columns).equals(expected)
    assert out["row_index"].to_list() == list(range(ROWS))
    assert set(out["source_file"]) == {str(flows)}
    assert out.select(IDENTIFYING).equals(flow_frame(ROWS).select(IDENTIFYING))
    assert 0 < out["is_anomaly"].sum() < ROWS


@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("suffix", ["parquet", "csv", "ndjson"])
def test_order_is_kept_with_many_threads_and_tiny_blocks(
    scorer: Scorer, flows: Path, tmp_path: Path, threads: int, suffix: str
) -> None:
    out = tmp_path / f"out.{suffix}"
    summary = score_files(scorer, [str(flows)] * 1, str(out), threads=threads)
    read = {"parquet": pl.read_parquet, "csv": pl.read_csv, "ndjson": pl.read_ndjson}[suffix]
    frame = read(out)
    assert summary.rows_scored == ROWS
    assert frame["row_index"].to_list() == list(range(ROWS))
    np.testing.assert_allclose(frame["anomaly_score"], scorer.anomaly_scores(flow_frame(ROWS)), rtol=1e-5)
    assert own_threads() == []


@pytest.mark.usefixtures("tiny_blocks")
def test_files_stay_in_order_and_are_numbered_each(scorer: Scorer, tmp_path: Path) -> None:
    names = []
    for i, rows in enumerate((100, 1, 250)):
        names.append(tmp_path / f"part{i}.csv")
        flow_frame(rows, seed=i).write_csv(names[-1])
    out = score(scorer, names, tmp_path / "out.parquet", threads=4)
    assert out["source_file"].to_list() == [
        str(n) for n, rows in zip(names, (100, 1, 250), strict=True) for _ in range(rows)
    ]
    assert out["row_index"].to_list() == [*range(100), 0, *range(250)]


def test_every_compression_and_format_gives_the_same(scorer: Scorer, flows: Path, tmp_path: Path) -> None:
    text = flows.read_bytes()
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text))
    (tmp_path / "a.csv.zst").write_bytes(zstandard.compress(text))
    flow_frame(ROWS).write_parquet(tmp_path / "a.parquet")
    expected = score(scorer, flows, tmp_path / "0").drop("source_file")
    for i, name in enumerate(("a.csv.gz", "a.csv.zst", "a.parquet"), 1):
        assert score(scorer, tmp_path / name, tmp_path / str(i)).drop("source_file").equals(expected), name


def test_folders_and_patterns(scorer: Scorer, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    flow_frame(5).write_csv(tmp_path / "in" / "b.csv")
    flow_frame(7).write_csv(tmp_path / "in" / "deep" / "a.csv")
    assert score(scorer, tmp_path / "in", tmp_path / "out").height == 12
    assert score(scorer, [str(tmp_path / "in" / "*.csv")], tmp_path / "out").height == 5


@pytest.mark.parametrize(
    ("keep", "columns"),
    [
        ("none", []),
        ("all", flow_frame(1).columns),
        ("Proto,SrcAddr", ["Proto", "SrcAddr"]),
        (["Bytes"], ["Bytes"]),
    ],
)
def test_kept_columns(scorer: Scorer, flows: Path, tmp_path: Path, keep: Any, columns: list[str]) -> None:
    out = score(scorer, flows, tmp_path / "out", keep=keep)
    assert out.columns == [*columns, *ADDED]
    assert out.select(columns).equals(flow_frame(ROWS).select(columns))


def test_a_kept_column_that_is_not_there(scorer: Scorer, flows: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingColumnError, match=r"'Nope'.*--keep"):
        score_files(scorer, [str(flows)], str(tmp_path / "out"), keep="SrcAddr,Nope")
    assert left_over(tmp_path) == {"flows.csv"}


def test_columns_the_model_does_not_know_are_kept_as_text(scorer: Scorer, tmp_path: Path) -> None:
    frame = flow_frame(20).with_columns(code=pl.Series([f"{i:03}" if i < 19 else "x" for i in range(20)]))
    frame.write_csv(tmp_path / "in.csv")
    out = score(scorer, tmp_path / "in.csv", tmp_path / "out", keep="all")
    assert out["code"].to_list() == frame["code"].to_list()


def test_a_scored_file_can_be_scored_again(scorer: Scorer, flows: Path, tmp_path: Path) -> None:
    first = tmp_path / "first.parquet"
    once = score(scorer, flows, first, keep="all")
    summary = score_files(scorer, [str(first)], str(tmp_path / "again"), keep="all")
    again = pl.read_parquet(tmp_path / "again")
    assert again.columns == [*flow_frame(1).columns, *(f"input_{name}" for name in ADDED), *ADDED]
    assert again["anomaly_score"].equals(once["anomaly_score"])
    assert any("input_row_index" in note for note in summary.notes)
    with pytest.raises(OutputError, match=r"input_.* twice"):
        score_files(scorer, [str(tmp_path / "again")], str(tmp_path / "no"), keep="all")
    assert not (tmp_path / "no").exists()


def test_the_first_file_decides_the_columns(scorer: Scorer, tmp_path: Path) -> None:
    flow_frame(5).write_csv(tmp_path / "a.csv")
    flow_frame(5).drop("Sport").with_columns(more=1).write_csv(tmp_path / "b.csv")
    out = score(scorer, [tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "out", keep="all")
    assert out["Sport"].null_count() == 5
    assert "more" not in out.columns
    assert out["anomaly_score"].head(5).equals(out["anomaly_score"].tail(5))


def test_a_column_whose_type_does_not_fit_the_first_file(scorer: Scorer, tmp_path: Path) -> None:
    flow_frame(5).write_parquet(tmp_path / "a.parquet")
    flow_frame(5).with_columns(Attack=pl.lit([1, 2])).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(OutputError, match="'Attack' is List"):
        score_files(scorer, [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")], str(tmp_path / "out"))
    assert left_over(tmp_path) == {"a.parquet", "b.parquet"}


@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("threads", [1, 4])
def test_selections_equal_filtering_everything(scorer: Scorer, flows: Path, tmp_path: Path, threads: int) -> None:
    full = score(scorer, flows, tmp_path / "full")
    middle = float(full["anomaly_score"].median())  # type: ignore[arg-type]
    ranked = full.sort("anomaly_score", descending=True, maintain_order=True)
    cases: list[tuple[dict[str, Any], pl.DataFrame]] = [
        ({"only_anomalies": True}, full.filter("is_anomaly")),
        ({"min_score": middle}, full.filter(pl.col("anomaly_score").cast(pl.Float64) >= middle)),
        ({"top": 17}, ranked.head(17)),
        ({"top": ROWS * 2}, ranked),
        ({"top": 5, "only_anomalies": True}, ranked.filter("is_anomaly").head(5)),
        ({"only_anomalies": True, "min_score": 1e30}, full.clear()),
    ]
    for number, (options, expected) in enumerate(cases):
        out = score(scorer, flows, tmp_path / str(number), threads=threads, **options)
        assert out.equals(expected), options


def test_equal_scores_rank_in_order_of_input(scorer: Scorer, tmp_path: Path) -> None:
    pl.concat([flow_frame(10)] * 30).write_csv(tmp_path / "in.csv")
    out = score(scorer, tmp_path / "in.csv", tmp_path / "out", top=45)
    full = score(scorer, tmp_path / "in.csv", tmp_path / "full")
    assert out.equals(full.sort("anomaly_score", descending=True, maintain_order=True).head(45))


@pytest.mark.usefixtures("tiny_blocks")
def test_rejects_and_skipped_lines_are_counted_and_located(scorer: Scorer, flows: Path, tmp_path: Path) -> None:
    lines = flows.read_text().splitlines()
    bad = {
        10: "only,three,fields",
        700: lines[700].replace(",tcp,", ",tcp,x").replace(",udp,", ",udp,x"),
        2999: '"open',
    }
    for line, text in bad.items():
        lines[line] = text
    lines.insert(50, "")
    lines.insert(1500, lines[0])
    flows.write_text("\n".join(lines) + "\n")
    out = tmp_path / "out.parquet"
    summary = score_files(scorer, [str(flows)], str(out), threads=3)
    assert summary.skipped == {"blank": 1, "header": 1}
    assert (summary.rows_in, summary.rows_rejected, summary.rows_skipped) == (ROWS + 2, len(summary_rejects(out)), 2)
    rejects = summary_rejects(out)
    assert [r["record"] for r in rejects][:2] == [9, 699]
    text = flows.read_bytes()
    for reject in rejects:
        assert reject["file"] == str(flows)
        assert text[reject["offset"] :].decode().startswith(reject["raw"].rstrip("\n")[:20])
        assert text[: reject["offset"]].count(b"\n") == reject["line"] - 1
    scored = pl.read_parquet(out)["row_index"].to_list()
    assert sorted([*scored, *(r["record"] for r in rejects)]) == list(range(ROWS))


def summary_rejects(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(f"{out}.rejects.ndjson").read_text().splitlines()]


def test_without_rejects_there_is_no_rejects_file(scorer: Scorer, flows: Path, tmp_path: Path) -> None:
    score(scorer, flows, tmp_path / "out.parquet")
    assert left_over(tmp_path) == {"flows.csv", "out.parquet"}


def test_too_many_rejects_keep_the_output_and_raise(scorer: Scorer, flows: Path, tmp_path: Path) -> None:
    lines = flows.read_text().splitlines()
    lines[1:101] = ["bad"] * 100
    flows.write_text("\n".join(lines))
    out = tmp_path / "out"
    with pytest.raises(RejectLimitError, match=r"100 of 3,000 records \(3\.33%\) were rejected") as caught:
        score_files(scorer, [str(flows)], str(out))
    assert caught.value.summary.rows_scored == ROWS - 100 == pl.read_parquet(out).height
    assert caught.value.summary.output == str(out)
    assert score_files(scorer, [str(flows)], str(out), max_rejects=0.04).rows_rejected == 100


def test_nothing_scored_writes_no_output_but_the_rejects(scorer: Scorer, flows: Path, tmp_path: Path) -> None:
    flows.write_text(flows.read_text().splitlines()[0] + "\nbad\nbad\n")
    with pytest.raises(RejectLimitError, match="none of the 2 records") as caught:
        score_files(scorer, [str(flows)], str(tmp_path / "out"), rejects=str(tmp_path / "bad.ndjson"))
    assert caught.value.summary.output is None
    assert left_over(tmp_path) == {"flows.csv", "bad.ndjson"}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_no_records_at_all_give_an_empty_output(scorer: Scorer, tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"in.{suffix}"
    empty = flow_frame(10).clear()
    _ = empty.write_csv(source) if suffix == "csv" else empty.write_parquet(source)
    with pytest.raises(RejectLimitError, match="no records"):
        score_files(scorer, [str(source)], str(tmp_path / "out.parquet"))
    out = pl.read_parquet(tmp_path / "out.parquet")
    assert out.columns == [*IDENTIFYING, *ADDED]
    assert out.height == 0


def test_missing_columns_are_named(scorer: Scorer, tmp_path: Path) -> None:
    flow_frame(5).write_csv(tmp_path / "a.csv")
    flow_frame(5).drop("Bytes", "Proto").write_csv(tmp_path / "b.csv")
    with pytest.raises(MissingColumnError, match=r"b.csv' lacks 2 columns.*'Bytes'") as caught:
        score_files(scorer, [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")], str(tmp_path / "out"))
    assert "'Proto'" in str(caught.value)
    assert left_over(tmp_path) == {"a.csv", "b.csv"}


def test_a_reordered_file_scores_the_same(scorer: Scorer, flows: Path, tmp_path: Path) -> None:
    expected = score(scorer, flows, tmp_path / "0")
    flow_frame(ROWS).select(reversed(flow_frame(1).columns)).with_columns(more=1).write_csv(flows)
    again = score(scorer, flows, tmp_path / "1")
    assert again.select(expected.columns).equals(expected)


def test_extreme_numbers_and_unknown_categories_are_scored(scorer: Scorer, tmp_path: Path) -> None:
    header = ",".join(flow_frame(1).columns)
    lines = [header, "a,b,1,80,tcp,1e308,inf,0,none", "a,b,1,80,quic,-5,nan,0,none", "a,b,,,,,,,"]
    (tmp_path / "in.csv").write_text("\n".join(lines))
    out = score(scorer, tmp_path / "in.csv", tmp_path / "out", max_rejects=1.0)
    assert out["anomaly_score"].is_finite().all()
    assert out.height >= 2


def test_a_truncated_gzip_leaves_nothing(scorer: Scorer, flows: Path, tmp_path: Path) -> None:
    packed = gzip.compress(flows.read_bytes())
    flows.unlink()
    (tmp_path / "a.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(SourceError, match="truncated"):
        score_files(scorer, [str(tmp_path / "a.csv.gz")], str(tmp_path / "out"))
    assert left_over(tmp_path) == {"a.csv.gz"}


def test_an_output_that_is_an_input(scorer: Scorer, flows: Path, tmp_path: Path) -> None:
    before = flows.read_bytes()
    (tmp_path / "link").symlink_to(flows)
    for options in ({"output": str(flows)}, {"output": str(tmp_path / "link")}):
        with pytest.raises(OutputError, match="is the input"):
            score_files(scorer, [str(flows)], format="parquet", **options)
    with pytest.raises(OutputError, match="is the input"):
        score_files(scorer, [str(flows)], str(tmp_path / "out"), rejects=str(flows))
    assert flows.read_bytes() == before


@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt(), OutputError("disk")])
def test_whatever_fails_in_a_worker_leaves_nothing(
    scorer: Scorer, flows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, error: BaseException
) -> None:
    calls = iter(range(10**9))
    original = Scorer.computed_scores

    def fail_at_last(self: Scorer, *arguments: Any, **options: Any) -> Any:
        if next(calls) == 20:
            raise error
        return original(self, *arguments, **options)

    monkeypatch.setattr(Scorer, "computed_scores", fail_at_last)
    for suffix in ("parquet", "csv"):
        with pytest.raises(type(error)):
            score_files(scorer, [str(flows)], str(tmp_path / f"out.{suffix}"), threads=threads)
        calls = iter(range(10**9))
    assert left_over(tmp_path) == {"flows.csv"}
    assert own_threads() == []


@pytest.mark.usefixtures("tiny_blocks")
def test_a_writer_that_fails_leaves_nothing(
    scorer: Scorer, flows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: ParquetSink) -> Any:
        yield next(original(self))
        raise OSError(28, "No space left on device")

    original = ParquetSink._taken
    monkeypatch.setattr(ParquetSink, "_taken", fail)
    with pytest.raises(OutputError, match="no space is left"):
        score_files(scorer, [str(flows)], str(tmp_path / "out.parquet"), threads=3)
    assert left_over(tmp_path) == {"flows.csv"}


def test_cells_that_cannot_be_encoded_reject_their_records(
    scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sources convert text themselves; should a cell get through, its record alone is lost."""
    flow_frame(300).write_parquet(tmp_path / "in.parquet")
    original = Scorer.computed_scores

    def refuse_some(self: Scorer, frame: pl.DataFrame, **options: Any) -> Any:
        if frame["Sport"].is_in(unwelcome).any():
            raise EncodeError("column 'Bytes' has text")
        return original(self, frame, **options)

    unwelcome = flow_frame(300)["Sport"].gather([0, 151, 299]).to_list()
    monkeypatch.setattr(Scorer, "computed_scores", refuse_some)
    out = tmp_path / "out.parquet"
    summary = score_files(scorer, [str(tmp_path / "in.parquet")], str(out), max_rejects=0.1)
    assert [r["record"] for r in summary_rejects(out)] == [0, 151, 299]
    assert summary.rows_scored == 297
    assert not {0, 151, 299} & set(pl.read_parquet(out)["row_index"])


def test_a_column_of_a_wrong_type_is_one_error(scorer: Scorer, tmp_path: Path) -> None:
    flow_frame(30).with_columns(Bytes=pl.lit([1.0])).write_parquet(tmp_path / "in.parquet")
    with pytest.raises(NetsieveError, match=r"in.parquet.*'Bytes' is List"):
        score_files(scorer, [str(tmp_path / "in.parquet")], str(tmp_path / "out"))
    assert left_over(tmp_path) == {"in.parquet"}


def test_summary_has_the_promised_keys(scorer: Scorer, flows: Path, tmp_path: Path) -> None:
    summary = score_files(scorer, [str(flows)], str(tmp_path / "out")).to_dict()
    promised = {"rows_in", "rows_scored", "rows_rejected", "rows_skipped", "anomalies", "seconds", "rows_per_second"}
    assert {*promised, "peak_rss_bytes"} <= set(summary)
    assert summary["anomalies"] == pl.read_parquet(tmp_path / "out")["is_anomaly"].sum()
    assert summary["peak_rss_bytes"] > 10_000_000
    json.dumps(summary)


def test_progress_is_shown_on_request(
    scorer: Scorer, flows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    score_files(scorer, [str(flows)], str(tmp_path / "out"))
    assert capsys.readouterr() == ("", "")
    score_files(scorer, [str(flows)], str(tmp_path / "out"), progress=True)
    shown = capsys.readouterr()
    assert "scoring" in shown.err
    assert shown.out == ""


def test_a_number_that_was_whole_in_training_may_have_a_fraction(tmp_path):
    frame = pl.DataFrame({"n0": [i * 7 % 50 for i in range(300)], "n1": [i * 13 % 90 / 7 for i in range(300)]})
    result = train_detector(frame, parameters={"max_draws": 2_000}, device="cpu", progress=False)
    scorer = Scorer(result.export(tmp_path / "model.onnx"))
    (tmp_path / "in.csv").write_text("n0,n1\n3,1.0\n3.5,1.0\n4,1.0\n")
    summary = score_files(scorer, [str(tmp_path / "in.csv")], str(tmp_path / "out.csv"))
    assert (summary.rows_scored, summary.rows_rejected) == (3, 0)
    scores = pl.read_csv(tmp_path / "out.csv")["anomaly_score"].to_list()
    assert scores[1] == pytest.approx(scorer.score_one({"n0": 3.5, "n1": 1.0}).anomaly_score)
    # Kept, the column stays one of integers, and the record that does not fit is told
    kept = score_files(scorer, [str(tmp_path / "in.csv")], str(tmp_path / "kept.csv"), keep="all", max_rejects=1)
    assert (kept.rows_scored, kept.rows_rejected) == (2, 1)
