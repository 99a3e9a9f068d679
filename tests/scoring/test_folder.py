"""Many files into a folder of parts: totals as of one pass, what resumes, and what a killed run leaves."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from flows import flow_frame, write_flow_model

from netsieve.engine.errors import OutputError, RejectLimitError, UnreadFilesError
from netsieve.engine.scoring import stream
from netsieve.engine.scoring.files import score_files
from netsieve.engine.scoring.folder import score_folder
from netsieve.engine.scoring.manifest import InputFingerprint, part_names
from netsieve.engine.scoring.parts import PartsJob
from netsieve.engine.scoring.scorer import Scorer
from netsieve.engine.scoring.summary import ScoreSummary

COUNTS = ("rows_in", "rows_scored", "rows_rejected", "rows_skipped", "rows_written", "anomalies", "skipped")
BAD_RECORD = "10.0.0.1,10.0.0.2,1024,80,tcp,many,0.5,0,none\n"
SLOWED = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from netsieve.engine.scoring import parts

score_files = parts.score_files

def slow(*arguments, advance, **options):
    def late(records, read_bytes):
        time.sleep(0.15)
        advance(records, read_bytes)

    return score_files(*arguments, advance=late, **options)

parts.score_files = slow
from netsieve.engine.cli.main import main

sys.exit(main(sys.argv[1:]))
"""
"""The command line, slowed down so that it can be stopped in the middle on any machine."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    write_flow_model(path)
    return path


@pytest.fixture(scope="module")
def scorer(model: Path) -> Scorer:
    return Scorer(model)


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with files of different sizes, two of one name, a bad record and blank lines."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stream, "BLOCK_BYTES", 4000)
    for number, (name, rows) in enumerate({"a/x.csv": 300, "b/x.csv": 120, "c.csv": 700, "d/e/y.csv": 1}.items()):
        path = tmp_path / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        flow_frame(rows, seed=number).write_csv(path)
    with open(tmp_path / "logs/c.csv", "a") as file:
        file.write(f"\n{BAD_RECORD}\n")
    text = flow_frame(200, seed=9).write_csv().encode()
    (tmp_path / "logs/z.csv.gz").write_bytes(gzip.compress(text))
    return tmp_path / "logs"


def counts(summary: ScoreSummary) -> dict[str, Any]:
    return {name: getattr(summary, name) for name in COUNTS}


def read_manifest(folder: str = "out") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(folder) / "manifest.json").read_text())
    return content


def files_below(folder: str = "out") -> set[str]:
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}


@pytest.fixture
def scored_now(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return a count of the files that are scored from now on."""
    scored: Counter[str] = Counter()
    score = PartsJob._score

    def counted(job: PartsJob, task: Any, *arguments: Any) -> Any:
        scored[task.path] += 1
        return score(job, task, *arguments)

    monkeypatch.setattr(PartsJob, "_score", counted)
    return scored


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_parts_and_totals_equal_those_of_one_pass(scorer: Scorer, logs: Path, threads: int) -> None:
    whole = score_files(scorer, ["logs"], "whole.parquet", threads=2)
    summary = score_folder(scorer, ["logs"], "out", threads=threads)
    assert counts(summary) == counts(whole)
    assert (summary.files, summary.files_finished_before, summary.files_failed) == (5, 0, 0)
    assert summary.rows_rejected == 1
    assert summary.rows_skipped == 2
    assert files_below() == {
        "manifest.json",
        "a/x.csv.parquet",
        "b/x.csv.parquet",
        "c.csv.parquet",
        "c.csv.parquet.rejects.ndjson",
        "d/e/y.csv.parquet",
        "z.csv.gz.parquet",
    }
    parts = [pl.read_parquet(path) for path in sorted(Path("out").rglob("*.parquet"), key=str)]
    order = ["source_file", "row_index"]
    assert pl.concat(parts).sort(order).equals(pl.read_parquet("whole.parquet").sort(order))
    rejects = Path("out/c.csv.parquet.rejects.ndjson").read_text()
    assert rejects == Path("whole.parquet.rejects.ndjson").read_text()
    manifest = read_manifest()
    assert manifest["totals"] == {"files": 5, "failed": 0, **counts(whole)}
    assert manifest["model"]["fingerprint"] == scorer.model_file.fingerprint
    entry = next(part for part in manifest["parts"] if part["input"] == "logs/c.csv")
    assert entry["fingerprint"]["size"] == os.path.getsize("logs/c.csv")
    assert entry["counts"]["rows_in"] == 703


def test_a_finished_folder_resumes_without_work(scorer: Scorer, logs: Path, scored_now: Counter[str]) -> None:
    first = score_folder(scorer, ["logs"], "out")
    written = {path: os.stat(f"out/{path}").st_mtime_ns for path in files_below() if path != "manifest.json"}
    scored_now.clear()
    again = score_folder(scorer, ["logs"], "out", resume=True)
    assert not scored_now
    assert counts(again) == counts(first)
    assert again.files_finished_before == 5
    assert {path: os.stat(f"out/{path}").st_mtime_ns for path in written} == written


def test_a_folder_of_an_earlier_run_is_not_written_over(scorer: Scorer, logs: Path) -> None:
    score_folder(scorer, ["logs"], "out")
    with pytest.raises(OutputError, match="holds the parts of an earlier run; add --resume"):
        score_folder(scorer, ["logs"], "out")


def _change_middle(path: Path) -> None:
    status = path.stat()
    text = bytearray(path.read_bytes())
    text[text.index(b"tcp")] = ord("T")
    path.write_bytes(text)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda path: path.write_text(path.read_text() + path.read_text().splitlines()[1]), id="longer"),
        pytest.param(lambda path: os.utime(path, ns=(1, 1)), id="touched"),
        pytest.param(_change_middle, id="same-size-and-time"),
    ],
)
def test_a_changed_input_is_scored_again(scorer: Scorer, logs: Path, scored_now: Counter[str], change: Any) -> None:
    score_folder(scorer, ["logs"], "out")
    scored_now.clear()
    change(logs / "a/x.csv")
    again = score_folder(scorer, ["logs"], "out", resume=True)
    assert scored_now == {"logs/a/x.csv": 1}
    assert again.rows_in == score_files(scorer, ["logs"], "whole.parquet").rows_in
    assert pl.read_parquet("out/a/x.csv.parquet").equals(
        pl.read_parquet("whole.parquet").filter(pl.col("source_file") == "logs/a/x.csv")
    )


def test_another_model_or_option_scores_all_again(
    scorer: Scorer, logs: Path, scored_now: Counter[str], tmp_path: Path
) -> None:
    score_folder(scorer, ["logs"], "out")
    scored_now.clear()
    score_folder(scorer, ["logs"], "out", resume=True, keep="none")
    assert len(scored_now) == 5
    score_folder(scorer.with_threshold("mean_std:3"), ["logs"], "out", resume=True, keep="none")
    assert set(scored_now.values()) == {2}
    data = scorer.model_file.data
    (tmp_path / "other.onnx").write_bytes(data.replace(b"2026-01-01T00:00:00", b"2026-01-02T00:00:00"))
    score_folder(Scorer("other.onnx").with_threshold("mean_std:3"), ["logs"], "out", resume=True, keep="none")
    assert set(scored_now.values()) == {3}


def test_lost_and_cut_parts_are_made_again(scorer: Scorer, logs: Path, scored_now: Counter[str]) -> None:
    score_folder(scorer, ["logs"], "out")
    scored_now.clear()
    os.unlink("out/a/x.csv.parquet")
    os.truncate("out/b/x.csv.parquet", 100)
    os.unlink("out/c.csv.parquet.rejects.ndjson")
    score_folder(scorer, ["logs"], "out", resume=True)
    assert set(scored_now) == {"logs/a/x.csv", "logs/b/x.csv", "logs/c.csv"}
    assert pl.read_parquet("out/b/x.csv.parquet").height == 120


def test_new_inputs_join_and_names_stay(scorer: Scorer, logs: Path, scored_now: Counter[str]) -> None:
    score_folder(scorer, ["logs/a"], "out")
    assert "x.csv.parquet" in files_below()
    summary = score_folder(scorer, ["logs/a", "logs/b"], "out", resume=True)
    assert set(scored_now.values()) == {1}
    assert {"x.csv.parquet", "b/x.csv.parquet"} <= files_below()
    assert summary.files == 2
    summary = score_folder(scorer, ["logs/b"], "out", resume=True)
    assert (summary.files, summary.rows_in) == (1, 120)
    assert "1 more parts" in summary.notes[0]
    assert read_manifest()["totals"]["rows_in"] == 420


def test_part_names_are_never_given_twice() -> None:
    known = {"logs/a/x.csv": "x.csv.parquet"}
    names = part_names(["logs/b/x.csv", "logs/a/x.csv"], ".parquet", {})
    assert names == {"logs/b/x.csv": "b/x.csv.parquet", "logs/a/x.csv": "a/x.csv.parquet"}
    assert part_names(["logs/b/x.csv"], ".parquet", known) == {"logs/b/x.csv": "x.csv-2.parquet"}
    assert part_names(["logs/a/x.csv"], ".csv", known) == {"logs/a/x.csv": "x.csv.csv"}


def test_one_damaged_file_does_not_stop_the_others(scorer: Scorer, logs: Path, scored_now: Counter[str]) -> None:
    whole = gzip.compress(flow_frame(5000).write_csv().encode())
    (logs / "z.csv.gz").write_bytes(whole[: len(whole) // 2])
    (logs / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UnreadFilesError, match="2 of 6 files could not be scored, the first: ") as caught:
        score_folder(scorer, ["logs"], "out")
    assert caught.value.summary.files_failed == 2
    assert caught.value.summary.rows_scored == 300 + 120 + 700 + 1
    errors = {part["input"]: part["error"] for part in read_manifest()["parts"] if part["error"]}
    assert "truncated gzip file" in errors["logs/z.csv.gz"]
    assert "lacks 4 columns that the model needs" in errors["logs/other.csv"]
    assert not any("z.csv.gz" in name or "other" in name for name in files_below())
    scored_now.clear()
    (logs / "z.csv.gz").write_bytes(whole)
    os.unlink(logs / "other.csv")
    assert score_folder(scorer, ["logs"], "out", resume=True).rows_scored == 300 + 120 + 700 + 1 + 5000
    assert set(scored_now) == {"logs/z.csv.gz"}


def test_rejects_count_over_all_files(scorer: Scorer, logs: Path) -> None:
    header = (logs / "c.csv").read_text().splitlines()[0]
    (logs / "bad.csv").write_text(f"{header}\n{BAD_RECORD}")
    summary = score_folder(scorer, ["logs"], "out")
    assert summary.rows_rejected == 2
    assert "bad.csv.parquet" not in files_below()
    assert "bad.csv.parquet.rejects.ndjson" in files_below()
    assert score_folder(scorer, ["logs"], "out", resume=True).files_finished_before == 6
    with pytest.raises(RejectLimitError, match=r"more than --max-rejects 0\.001 allows"):
        score_folder(scorer, ["logs"], "out", resume=True, max_rejects=0.001)


def test_rejects_written_just_now_are_kept_where_the_part_is_gone(scorer: Scorer, logs: Path) -> None:
    score_folder(scorer, ["logs"], "out")
    path = logs / "d/e/y.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n" + BAD_RECORD)
    with pytest.raises(RejectLimitError):
        score_folder(scorer, ["logs"], "out", resume=True, max_rejects=0.0)
    assert "d/e/y.csv.parquet" not in files_below()
    assert "many" in Path("out/d/e/y.csv.parquet.rejects.ndjson").read_text()
    again = score_folder(scorer, ["logs"], "out", resume=True)
    assert again.files_finished_before == 5


def test_inputs_in_the_output_folder_are_left_out(scorer: Scorer, logs: Path) -> None:
    first = score_folder(scorer, ["logs"], "logs/scored", keep="all")
    again = score_folder(scorer, ["logs"], "logs/scored", keep="all", resume=True)
    assert counts(first) == counts(again)
    with pytest.raises(OutputError, match="all inputs lie in the output folder"):
        score_folder(scorer, ["logs/scored"], "logs/scored", resume=True)


def test_what_cannot_be_resumed_is_refused(scorer: Scorer, logs: Path) -> None:
    with pytest.raises(OutputError, match="standard input"):
        score_folder(scorer, ["-"], "out")
    Path("out").mkdir()
    for content in ("{", '{"version": 99, "parts": []}', '{"version": 1, "parts": [{"input": "x"}]}'):
        Path("out/manifest.json").write_text(content)
        with pytest.raises(OutputError, match="is no manifest that this netsieve can go on with"):
            score_folder(scorer, ["logs"], "out", resume=True)


def test_parts_outside_the_folder_are_refused(scorer: Scorer, logs: Path) -> None:
    score_folder(scorer, ["logs"], "out")
    path = Path("out/manifest.json")
    path.write_text(path.read_text().replace('"a/x.csv.parquet"', '"../x.csv.parquet"'))
    with pytest.raises(OutputError, match="lies outside the folder"):
        score_folder(scorer, ["logs"], "out", resume=True)


def test_two_runs_at_once_are_refused(model: Path, logs: Path, scorer: Scorer) -> None:
    holder = (
        "import fcntl, os, sys, time; os.makedirs('out'); d = os.open('out', os.O_RDONLY); "
        "fcntl.flock(d, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match="another netsieve is writing to 'out'"):
            score_folder(scorer, ["logs"], "out")
    finally:
        process.communicate()
    assert score_folder(scorer, ["logs"], "out").files == 5


def test_a_full_disk_stops_the_job(scorer: Scorer, logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from netsieve.engine.scoring import parts

    def full(*arguments: Any, **options: Any) -> None:
        raise OutputError("cannot write: no space left") from OSError(28, "No space left on device")

    monkeypatch.setattr(parts, "score_files", full)
    with pytest.raises(OutputError, match="no space left"):
        score_folder(scorer, ["logs"], "out", threads=2)
    assert read_manifest()["parts"] == []


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_parts_have_the_format_asked_for(scorer: Scorer, logs: Path, form: Any) -> None:
    score_folder(scorer, ["logs/a"], "out", format=form)
    assert f"x.csv.{form}" in files_below()


def test_a_killed_run_resumes(model: Path, scorer: Scorer, logs: Path) -> None:
    for number in range(12):
        flow_frame(400, seed=20 + number).write_csv(logs / f"day{number:02}.csv")
    command = [sys.executable, "-c", SLOWED, "score", str(model), "logs", "-o", "out/", "--threads", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if Path("out/manifest.json").exists() and len(read_manifest()["parts"]) >= 3:
                break
            time.sleep(0.02)
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    finished = {part["input"] for part in read_manifest()["parts"]}
    assert 3 <= len(finished) < 17
    for part in read_manifest()["parts"]:
        assert pl.read_parquet(f"out/{part['part']}").height == part["counts"]["rows_written"]
    summary = score_folder(scorer, ["logs"], "out", resume=True)
    assert summary.files_finished_before == len(finished)
    assert counts(summary) == counts(score_files(scorer, ["logs"], "whole.parquet"))
    assert not [name for name in files_below() if name.endswith(".part")]
    assert len(files_below()) == 17 + 2  # parts, rejects, manifest


def test_an_interrupt_keeps_what_is_finished(model: Path, logs: Path, scorer: Scorer) -> None:
    for number in range(12):
        flow_frame(400, seed=20 + number).write_csv(logs / f"day{number:02}.csv")
    command = [sys.executable, "-c", SLOWED, "score", str(model), "logs", "-o", "out/", "--threads", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if Path("out/manifest.json").exists() and len(read_manifest()["parts"]) >= 2:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    finished = len(read_manifest()["parts"])
    assert 2 <= finished < 17
    assert not [name for name in files_below() if name.endswith(".part")]
    assert score_folder(scorer, ["logs"], "out", resume=True).files_finished_before == finished


def test_fingerprints_tell_files_apart(tmp_path: Path) -> None:
    path = tmp_path / "x"
    seen = set()
    for content in (
        b"",
        b"a",
        b"b",
        b"a" * 65_536,
        b"a" * 65_537,
        b"a" * 131_072,
        b"a" * 131_073,
        b"a" * 131_072 + b"b",
    ):
        path.write_bytes(content)
        seen.add(InputFingerprint.of(str(path)).ends + str(len(content)))
    assert len(seen) == 8
