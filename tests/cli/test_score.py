"""``netsieve score``: options, exit codes, and one line for each kind of bad input."""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path

import polars as pl
import pytest
from flows import flow_frame, write_flow_model
from interruptible_jobs import INTERRUPTED, interruptible_job

from netsieve.engine.cli.main import main

ROWS = 500
COMMAND = [sys.executable, "-c", "from netsieve.engine.cli.main import run; run()"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    write_flow_model(path)
    return str(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    flow_frame(ROWS).write_csv("flows.csv")
    return tmp_path


def left_over(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("netsieve: error: ")]
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    return lines[0]


def test_writes_the_scores_and_the_summary(model: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", model, "flows.csv", "-o", "out.parquet", "--json-summary", "s.json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "500 from 1 file" in captured.out
    summary = json.loads(Path("s.json").read_text())
    assert summary["rows_in"] == summary["rows_scored"] == ROWS == pl.read_parquet("out.parquet").height
    assert left_over(folder) == {"flows.csv", "out.parquet", "s.json"}


def test_backends_are_chosen_and_told(
    model: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETSIEVE_CPU", "portable")
    written = {}
    for backend, told in {
        "auto": "native (portable)",
        "native": "native (portable)",
        "onnxruntime": "onnxruntime",
    }.items():
        arguments = ["-o", f"{backend}.parquet", "--backend", backend, "--json-summary", "s.json"]
        assert main(["score", model, "flows.csv", *arguments]) == 0
        assert f"scored by    {told}\n" in capsys.readouterr().out
        assert json.loads(Path("s.json").read_text())["backend"] == told
        written[backend] = pl.read_parquet(f"{backend}.parquet")["anomaly_score"].to_numpy()
    assert (written["auto"] == written["native"]).all()
    assert written["native"] == pytest.approx(written["onnxruntime"], rel=1e-4)
    monkeypatch.setenv("NETSIEVE_CPU", "mmx")
    assert main(["score", model, "flows.csv", "-o", "out.parquet"]) == 1
    assert "NETSIEVE_CPU is 'mmx'" in one_line(capsys)


def test_options_reach_the_job(model: str, folder: Path) -> None:
    arguments = ["--keep", "Proto,Sport", "--threads", "2", "--batch-size", "64", "--top", "9", "--min-score", "0"]
    assert main(["score", model, "flows.csv", "-o", "out.csv", *arguments, "--only-anomalies"]) == 0
    out = pl.read_csv("out.csv")
    assert out.columns[:2] == ["Proto", "Sport"]
    assert out.height <= 9
    assert out["is_anomaly"].all()
    assert main(["score", model, "flows.csv", "-o", "plain", "--format", "ndjson", "--threshold", "score:-1"]) == 0
    assert pl.read_ndjson("plain")["is_anomaly"].all()


def test_anomalies_can_set_the_exit_code(model: str, folder: Path) -> None:
    arguments = ["score", model, "flows.csv", "-o", "out.csv", "--fail-on-anomaly", "--threshold"]
    assert main([*arguments, "score:-1"]) == 3
    assert main([*arguments, "score:1e30"]) == 0


def test_data_own_standard_output(model: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["score", model, "flows.csv", "-o", "-"]) == 0
    captured = capfd.readouterr()
    assert captured.out.count("\n") == ROWS + 1
    assert pl.read_csv(captured.out.encode()).height == ROWS
    assert "records in" in captured.err
    assert left_over(folder) == {"flows.csv"}


def test_reads_standard_input(model: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(gzip.compress(Path("flows.csv").read_bytes()))))
    assert main(["score", model, "-", "-o", "out.parquet"]) == 0
    out = pl.read_parquet("out.parquet")
    assert out.height == ROWS
    assert set(out["source_file"]) == {"-"}


def test_names_for_files_without_a_header(model: str, folder: Path) -> None:
    flow_frame(ROWS).write_csv("bare.csv", include_header=False)
    Path("names").write_text("\n".join(flow_frame(1).columns) + "\n")
    assert main(["score", model, "bare.csv", "-o", "out.parquet", "--columns", "names"]) == 0
    assert pl.read_parquet("out.parquet").height == ROWS


def make_ragged() -> None:
    lines = Path("flows.csv").read_text().splitlines()
    lines[5] += ",more"
    lines[6] = "fewer"
    Path("bad.csv").write_text("\n".join(lines))


def make_text_for_number() -> None:
    lines = Path("flows.csv").read_text().splitlines()
    lines[5:7] = ["a,b,1,80,tcp,many,1.0,0,none", "a,b,1,80,tcp,1,long,0,none"]
    Path("bad.csv").write_text("\n".join(lines))


def make_invalid_utf8() -> None:
    lines = Path("flows.csv").read_bytes().splitlines()
    lines[5] = b"a,b,1,80,t\xffcp,1,1.0,0,none"
    lines[9] = b"a,\xc3(,1,80,tcp,1,1.0,0,none"
    Path("bad.csv").write_bytes(b"\n".join(lines))


@pytest.mark.parametrize("make", [make_ragged, make_text_for_number, make_invalid_utf8])
def test_bad_records_are_rejected_and_located(
    model: str, folder: Path, capsys: pytest.CaptureFixture[str], make: Callable[[], None]
) -> None:
    make()
    assert main(["score", model, "bad.csv", "-o", "out.parquet", "--max-rejects", "0.01"]) == 0
    assert pl.read_parquet("out.parquet").height == ROWS - 2
    assert "see out.parquet.rejects.ndjson" in capsys.readouterr().out
    rejects = [json.loads(line) for line in Path("out.parquet.rejects.ndjson").read_text().splitlines()]
    assert len(rejects) == 2
    assert all(r["line"] == r["record"] + 2 and r["reason"] for r in rejects)
    assert main(["score", model, "bad.csv", "-o", "out.parquet", "--max-rejects", "0.001", "--rejects", "r"]) == 1
    assert "2 of 500 records" in one_line(capsys)
    assert left_over(folder) == {"flows.csv", "bad.csv", "out.parquet", "out.parquet.rejects.ndjson", "r"}


def test_quotes_and_newlines_within_fields(model: str, folder: Path) -> None:
    frame = flow_frame(ROWS).with_columns(Attack=pl.lit('two "lines"\nand, a comma'))
    frame.write_csv("in.csv")
    assert main(["score", model, "in.csv", "-o", "out.parquet"]) == 0
    assert pl.read_parquet("out.parquet")["Attack"].equals(frame["Attack"])


def make_empty() -> str:
    Path("bad.csv").write_bytes(b"")
    return "empty"


def make_utf16() -> str:
    Path("bad.csv").write_bytes(Path("flows.csv").read_text().encode("utf-16"))
    return "UTF-16"


def make_duplicate_columns() -> str:
    Path("bad.csv").write_text("Bytes,Bytes,Proto,Dport,Duration\n1,2,tcp,80,1.0\n")
    return "'Bytes'"


def make_missing_columns() -> str:
    flow_frame(ROWS).drop("Bytes").write_csv("bad.csv")
    return "lacks 1 column that the model needs: 'Bytes'"


def make_truncated_gzip() -> str:
    Path("bad.csv").write_bytes(gzip.compress(Path("flows.csv").read_bytes())[:-2000])
    return "truncated"


def make_wrong_file() -> str:
    Path("bad.csv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 50)
    return "PNG"


def make_damaged_parquet() -> str:
    flow_frame(ROWS).write_parquet("bad.csv")
    content = Path("bad.csv").read_bytes()
    Path("bad.csv").write_bytes(content[:-50])
    return "Parquet"


def make_nothing() -> str:
    return "there is no file 'bad.csv'"


def make_empty_folder() -> str:
    Path("bad.csv").mkdir()
    return "folder"


@pytest.mark.parametrize(
    "make",
    [
        make_empty,
        make_utf16,
        make_duplicate_columns,
        make_missing_columns,
        make_truncated_gzip,
        make_wrong_file,
        make_damaged_parquet,
        make_nothing,
        make_empty_folder,
    ],
)
def test_bad_inputs_are_one_line_and_leave_nothing(
    model: str, folder: Path, capsys: pytest.CaptureFixture[str], make: Callable[[], str]
) -> None:
    expected = make()
    before = left_over(folder)
    assert main(["score", model, "bad.csv", "-o", "out.parquet"]) == 1
    assert expected in one_line(capsys)
    assert left_over(folder) == before


def test_a_header_alone(model: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("in.csv").write_text(",".join(flow_frame(1).columns) + "\n")
    assert main(["score", model, "in.csv", "-o", "out.parquet"]) == 1
    assert "no records" in one_line(capsys)
    assert pl.read_parquet("out.parquet").height == 0


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("flows.csv", "is the input"),
        ("link.csv", "is the input"),
        ("absent/out.parquet", "does not exist"),
        ("/dev/full", "no space is left"),
        ("out.xlsx", "does not tell its format"),
    ],
)
def test_bad_outputs_are_one_line_and_leave_nothing(
    model: str, folder: Path, capsys: pytest.CaptureFixture[str], output: str, expected: str
) -> None:
    Path("folder").mkdir()
    Path("link.csv").hardlink_to("flows.csv")
    before, content = left_over(folder), Path("flows.csv").read_bytes()
    assert main(["score", model, "flows.csv", "-o", output]) == 1
    assert expected in one_line(capsys)
    assert left_over(folder) == before
    assert Path("flows.csv").read_bytes() == content


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_no_permission(
    model: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    original = os.open

    def refuse(path: str, flags: int, *arguments: int) -> int:
        if flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied")
        return original(path, flags, *arguments)

    monkeypatch.setattr("netsieve.engine.sinks.atomic.os.open", refuse)
    assert main(["score", model, "flows.csv", "-o", f"out.{suffix}"]) == 1
    assert "no permission" in one_line(capsys)


def test_a_model_that_is_none(model: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in ("flows.csv", "absent.onnx", "."):
        assert main(["score", path, "flows.csv", "-o", "out.parquet"]) == 1
        one_line(capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["score"],
        ["score", "m", "d"],
        ["score", "m", "d", "-o", "o", "--top", "0"],
        ["score", "m", "d", "-o", "o", "--max-rejects", "2"],
        ["score", "m", "d", "-o", "o", "--min-score", "nan"],
        ["score", "m", "d", "-o", "o", "--format", "xml"],
        ["nonsense"],
    ],
)
def test_wrong_usage_is_one_line_and_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("netsieve: error: ")
    assert error.count("\n") == 1


def test_a_wrong_policy(model: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", model, "flows.csv", "-o", "out.parquet", "--threshold", "nonsense"]) == 1
    assert "nonsense" in one_line(capsys)
    assert left_over(folder) == {"flows.csv"}


def test_a_policy_with_little_support_is_warned_of(
    model: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", model, "flows.csv", "-o", "out.parquet", "--threshold", "fpr:0.001"]) == 0
    assert capsys.readouterr().err.startswith("netsieve: warning: fpr:0.001 rests on")


def test_debug_shows_the_traceback(model: str, folder: Path) -> None:
    with pytest.raises(Exception, match="no file"):
        main(["score", model, "absent.csv", "-o", "out.parquet", "--debug"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_an_interrupt_leaves_nothing(model: str, folder: Path, number: signal.Signals, suffix: str) -> None:
    header, records = Path("flows.csv").read_bytes().split(b"\n", 1)
    with interruptible_job(["score", model, "-", "-o", f"out.{suffix}"]) as job:
        job.feed(header + b"\n" + 900 * records)
        job.wait_until(lambda: any(name.endswith(".part") for name in left_over(folder)))
        assert job.end(number) == (130, INTERRUPTED)
    assert left_over(folder) == {"flows.csv"}


def test_a_reader_that_goes_away(model: str, folder: Path) -> None:
    flow_frame(20_000).write_csv("big.csv")
    command = " ".join([*(f"'{part}'" for part in COMMAND), f"score {model} big.csv -o -"])
    script = f"set -o pipefail; {command} | head -c 100 > first"
    job = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert job.returncode == 1
    assert job.stderr.count("\n") == 1
    assert "closed it" in job.stderr


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(model: str, folder: Path) -> None:
    peaks = []
    for copies in (4, 24):
        pl.concat([flow_frame(250_000)] * copies).write_csv("big.csv")
        arguments = ["score", model, "big.csv", "-o", "out.parquet", "--keep", "all", "--json-summary", "s.json"]
        subprocess.run([*COMMAND, *arguments], check=True, capture_output=True, timeout=300)
        peaks.append(json.loads(Path("s.json").read_text())["peak_rss_bytes"])
    assert peaks[1] < 1.2 * peaks[0]
