"""Outputs: order, content, and that nothing half-written is ever left."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from netsieve.engine.errors import OutputError
from netsieve.engine.sinks.atomic import PendingFile, check_distinct, output_error, write_atomically
from netsieve.engine.sinks.sink import OUTPUT_FORMATS, OutputFormat, Sink, open_sink, output_format

FRAME = pl.DataFrame(
    {
        "text": ["plain", "", 'quote " comma , line\nbreak', None, "ünï"],
        "number": [1.5, None, -2.0, 1e300, 0.1],
        "row_index": pl.Series([0, 1, 2, 3, 4], dtype=pl.Int64),
        "is_anomaly": [True, False, None, True, False],
    }
)


def read(path: Path, form: OutputFormat, schema: pl.Schema) -> pl.DataFrame:
    if form == "parquet":
        return pl.read_parquet(path)
    if form == "csv":
        return pl.read_csv(path, schema=schema)
    return pl.read_ndjson(path, schema=schema)


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_all(sink: Sink, frames: list[pl.DataFrame]) -> None:
    for frame in frames:
        sink.write(sink.prepare(frame))


@pytest.mark.parametrize("form", OUTPUT_FORMATS)
def test_round_trip_keeps_values_and_order(tmp_path: Path, form: OutputFormat) -> None:
    path = tmp_path / "out"
    frames = [FRAME.with_columns(pl.col("row_index") + 5 * i) for i in range(200)]
    sink = open_sink(str(path), form, FRAME.schema)
    write_all(sink, frames)
    assert left_over(tmp_path) != ["out"]
    sink.commit()
    assert left_over(tmp_path) == ["out"]
    assert read(path, form, FRAME.schema).equals(pl.concat(frames))


@pytest.mark.parametrize("form", OUTPUT_FORMATS)
def test_without_frames_the_output_is_valid_and_empty(tmp_path: Path, form: OutputFormat) -> None:
    path = tmp_path / "out"
    open_sink(str(path), form, FRAME.schema).commit()
    if form == "ndjson":
        assert path.read_bytes() == b""
    else:
        assert read(path, form, FRAME.schema).equals(FRAME.clear())


@pytest.mark.parametrize("form", OUTPUT_FORMATS)
def test_abort_leaves_the_old_file_and_nothing_else(tmp_path: Path, form: OutputFormat) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    sink = open_sink(str(path), form, FRAME.schema)
    write_all(sink, [FRAME] * 3)
    sink.abort()
    assert left_over(tmp_path) == ["out"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("form", OUTPUT_FORMATS)
def test_no_space_left_is_one_line(form: OutputFormat) -> None:
    big = pl.DataFrame({"a": range(300_000)})

    def run() -> None:
        sink = open_sink("/dev/full", form, big.schema)
        try:
            for _ in range(20):
                sink.write(sink.prepare(big))
            sink.commit()
        finally:
            sink.abort()

    with pytest.raises(OutputError, match="no space is left") as caught:
        run()
    assert "\n" not in str(caught.value)


def test_parquet_holds_many_tiny_frames_in_few_row_groups(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "out.parquet"
    sink = open_sink(str(path), "parquet", FRAME.schema)
    write_all(sink, [FRAME] * 500)
    sink.commit()
    content = parquet.ParquetFile(path).metadata
    assert (content.num_rows, content.num_row_groups) == (2500, 1)
    assert content.row_group(0).column(0).compression == "ZSTD"


@pytest.mark.parametrize(
    ("form", "column"),
    [("csv", [[1]]), ("csv", [{"a": 1}]), ("csv", [b"x"]), ("ndjson", [b"x"])],
)
def test_columns_that_text_cannot_hold_are_refused(tmp_path: Path, form: OutputFormat, column: list[Any]) -> None:
    schema = pl.DataFrame({"good": [1], "bad": column}).schema
    with pytest.raises(OutputError, match=r"'bad'.*--keep"):
        open_sink(str(tmp_path / "out"), form, schema)
    assert left_over(tmp_path) == []


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    frame = pl.DataFrame({"a": [float("nan"), float("inf"), 1.0]})
    sink = open_sink(str(path), "ndjson", frame.schema)
    write_all(sink, [frame])
    sink.commit()
    assert [json.loads(line)["a"] for line in path.read_text().splitlines()] == [None, None, 1.0]


@pytest.mark.parametrize(
    ("path", "asked", "expected"),
    [
        ("a.parquet", None, "parquet"),
        ("a.CSV", None, "csv"),
        ("a.jsonl", None, "ndjson"),
        ("a", None, "parquet"),
        ("-", None, "csv"),
        ("-", "ndjson", "ndjson"),
        ("a.csv", "parquet", "parquet"),
        ("/dev/null", None, "parquet"),
    ],
)
def test_format_by_name(path: str, asked: str | None, expected: str) -> None:
    assert output_format(path, asked) == expected


def test_a_name_that_tells_no_format_is_refused() -> None:
    with pytest.raises(OutputError, match=r"does not tell its format.*--format"):
        output_format("scores.xlsx")
    with pytest.raises(OutputError, match=r"not compressed as a whole"):
        output_format("scores.csv.gz", "csv")
    with pytest.raises(OutputError, match="no output format 'xml'"):
        output_format("a.parquet", "xml")


def test_a_folder_is_no_output(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="it is a folder"):
        PendingFile(str(tmp_path))


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist; make it first"):
        PendingFile(str(tmp_path / "absent" / "out"))


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is not a folder"):
        PendingFile(str(tmp_path / "file" / "out"))


def test_no_permission_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any, **_options: Any) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError, match="no permission"):
        PendingFile(str(tmp_path / "out"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_write_protected_file_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    path.chmod(0o444)
    with pytest.raises(OutputError, match="no permission"):
        PendingFile(str(path))


def test_a_failed_rename_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    pending = PendingFile(str(tmp_path / "out"))
    pending.write(b"x")
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OutputError, match="no space is left"):
        pending.commit()
    assert left_over(tmp_path) == []


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "out").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "out")
    write_atomically(str(tmp_path / "link"), b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "out").read_bytes() == b"new"


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_atomically(str(tmp_path / "out"), b"x")
    finally:
        os.umask(old)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o640


def test_an_output_is_never_an_input(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("a\n1\n")
    os.link(source, tmp_path / "hard.csv")
    (tmp_path / "soft.csv").symlink_to(source)
    for name in ("in.csv", "hard.csv", "soft.csv", "../" + tmp_path.name + "/in.csv"):
        with pytest.raises(OutputError, match="is the input"):
            check_distinct([str(tmp_path / name)], [str(source)])
    check_distinct([str(tmp_path / "other.csv"), "-", "/dev/null"], [str(source), "-", "/dev/null"])


def test_two_outputs_are_not_the_same_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="two outputs"):
        check_distinct([str(tmp_path / "a"), str(tmp_path / "." / "a")], [])


def test_numbers_of_errors_are_found_in_a_librarys_text() -> None:
    error = output_error("x", RuntimeError("underlying IO error: No space left on device (os error 28)"))
    assert "no space is left" in str(error)
    assert str(output_error("x", RuntimeError("odd\nthing"))) == "cannot write 'x': odd thing"
