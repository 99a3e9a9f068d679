"""Folders scored by a model that knows the records before: in order of time, and resumed from a saved state."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from neighbour_models import write_neighbour_model

from netsieve.bench.traffic import generate_traffic
from netsieve.engine.errors import UnreadFilesError
from netsieve.engine.scoring import ordered_parts, stream
from netsieve.engine.scoring.files import score_files
from netsieve.engine.scoring.folder import score_folder
from netsieve.engine.scoring.manifest import Manifest
from netsieve.engine.scoring.ordered_parts import OrderedPartsJob
from netsieve.engine.scoring.scorer import Scorer
from netsieve.engine.scoring.summary import ScoreSummary
from netsieve.engine.sources.source import ReadOptions

FILES = 4
ROWS = 1500


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    write_neighbour_model(path)
    return Scorer(path)


@pytest.fixture(scope="module")
def texts() -> list[bytes]:
    """Return CSV files in order of time."""
    frame = generate_traffic(FILES * ROWS, seed=4, hosts=60)
    ended = frame["Timestamp"] + pl.duration(microseconds=(frame["Duration"] * 1e6).round())
    frame = frame[pl.select(ended).to_series().arg_sort()]
    return [frame[start : start + ROWS].write_csv().encode() for start in range(0, FILES * ROWS, ROWS)]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: list[bytes]) -> list[str]:
    """Return files in order of time, which is that of their names backwards; of different sizes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stream, "BLOCK_BYTES", 20_000)
    Path("logs").mkdir()
    names = [f"logs/{'dcba'[number]}.csv.gz" for number in range(FILES)]
    for number, (name, text) in enumerate(zip(names, texts, strict=True)):
        Path(name).write_bytes(gzip.compress(text, number))
    return names


def run(scorer: Scorer, files: Sequence[str], *, resume: bool = False) -> ScoreSummary:
    return score_folder(scorer, files, "out", resume=resume, keep="none", threads=2)


def check_scores(scorer: Scorer, files: Sequence[str]) -> None:
    """Check the parts against one pass over the files, and that one state is left, which is its state."""
    score_files(scorer, files, "whole.parquet", keep="none", threads=1, state="whole.state")
    whole = pl.read_parquet("whole.parquet")
    parts = pl.concat(pl.read_parquet(f"out/{Path(name).name}.parquet") for name in files)
    assert whole.equals(parts)
    last = Path(f"out/{Path(files[-1]).name}.parquet.state")
    assert list(Path("out").rglob("*.state")) == [last]
    assert last.read_bytes() == Path("whole.state").read_bytes()
    Path("whole.state").unlink()


def test_files_are_scored_in_order_of_time_as_in_one_pass(scorer: Scorer, files: list[str]) -> None:
    summary = run(scorer, sorted(files))
    assert summary.rows_scored == FILES * ROWS
    check_scores(scorer, files)
    again = run(scorer, files, resume=True)
    assert again.files_finished_before == FILES
    alone = score_files(scorer, files[1:2], "alone.parquet", keep="none")
    assert alone.rows_scored == ROWS
    paths = ("alone.parquet", f"out/{Path(files[1]).name}.parquet")
    scores = [pl.read_parquet(path)["anomaly_score"] for path in paths]
    assert not np.array_equal(*scores)  # what was known of the hosts makes a difference


def test_later_files_go_on_from_the_state_that_was_saved(scorer: Scorer, files: list[str]) -> None:
    run(scorer, files[:2])
    summary = run(scorer, ["logs"], resume=True)
    assert (summary.files, summary.files_finished_before) == (FILES, 2)
    check_scores(scorer, files)


@pytest.mark.parametrize("stop_at", [0, 1, 2])
def test_a_run_that_is_stopped_at_its_worst_resumes(
    scorer: Scorer, files: list[str], monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    done: list[str | None] = []
    forget = OrderedPartsJob._forget

    def stopped(job: OrderedPartsJob, path: str | None) -> None:
        if len(done) == stop_at:  # the state is there, and the manifest does not know
            raise KeyboardInterrupt
        done.append(path)
        forget(job, path)

    with monkeypatch.context() as patch:
        patch.setattr(OrderedPartsJob, "_forget", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(scorer, files)
    summary = run(scorer, files, resume=True)
    assert summary.rows_scored == FILES * ROWS
    check_scores(scorer, files)


@pytest.mark.parametrize("change", ["between", "changed", "state lost", "state damaged"])
def test_what_no_longer_follows_is_scored_again(scorer: Scorer, files: list[str], change: str) -> None:
    first = [files[0], *files[2:]] if change == "between" else files[:3]
    run(scorer, first)
    state = Path(f"out/{Path(first[-1]).name}.parquet.state")
    if change == "changed":
        Path(files[1]).write_bytes(gzip.compress(gzip.decompress(Path(files[1]).read_bytes()) + b"\n", 9))
    elif change == "state lost":
        state.unlink()
    elif change == "state damaged":
        state.write_bytes(state.read_bytes()[:-100])
    summary = run(scorer, files, resume=True)
    assert summary.files_finished_before == 0
    check_scores(scorer, files)


def test_a_file_that_cannot_be_read_holds_up_those_behind_it(
    scorer: Scorer, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netsieve.engine.sources.csv.LONGEST_HEADER", 10_000)  # so that its beginning can be read
    whole = Path(files[1]).read_bytes()
    Path(files[1]).write_bytes(whole[:-3000])
    with pytest.raises(UnreadFilesError, match=r"3 of 4 files could not be scored.*--resume") as failure:
        run(scorer, files)
    assert failure.value.summary is not None
    assert failure.value.summary.files_failed == 3
    errors = [Manifest.read("out").entries[path].error for path in files]
    assert errors[0] is None
    assert "is a truncated gzip file" in str(errors[1])
    assert errors[2] == f"{files[2]!r} is not scored: it follows {files[1]!r}, which could not be"
    Path(files[1]).write_bytes(whole)
    summary = run(scorer, files, resume=True)
    assert summary.files_finished_before == 1
    check_scores(scorer, files)


def test_the_state_written_just_now_is_kept_where_the_part_is_gone(scorer: Scorer, files: list[str]) -> None:
    run(scorer, files[:2])
    header = gzip.decompress(Path(files[1]).read_bytes()).split(b"\n", 1)[0]
    Path(files[1]).write_bytes(gzip.compress(header + b"\nragged,record\n"))
    summary = score_folder(scorer, files[:2], "out", resume=True, keep="none", max_rejects=0.5)
    assert summary.rows_rejected == 1
    entry = Manifest.read("out").entries[files[1]]
    assert entry.part is None
    assert Path(f"out/{entry.rejects}").is_file()
    assert Path(f"out/{entry.state}").is_file()
    assert run(scorer, files[:1], resume=True).files_finished_before == 1


def test_inputs_that_are_gone_hold_up_nothing(scorer: Scorer, files: list[str]) -> None:
    run(scorer, files[:3])
    Path(files[0]).rename("away")
    summary = run(scorer, files[1:], resume=True)
    assert (summary.files, summary.files_finished_before) == (3, 2)
    Path("away").rename(files[0])
    check_scores(scorer, files)
    # without its part nothing is known of what came before: all that is there is scored as if it came first
    Path(files[0]).unlink()
    Path(f"out/{Path(files[0]).name}.parquet").unlink()
    assert run(scorer, files[1:], resume=True).files_finished_before == 0
    check_scores(scorer, files[1:])


def test_the_time_of_an_input_is_looked_for_once(
    scorer: Scorer, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[str] = []
    first_time = ordered_parts.first_time

    def counted(scorer: Scorer, path: str, reading: ReadOptions) -> float:
        looked_at.append(path)
        return first_time(scorer, path, reading)

    monkeypatch.setattr(ordered_parts, "first_time", counted)
    run(scorer, files[:3])
    run(scorer, files, resume=True)
    assert sorted(looked_at) == sorted(files)
    Path(files[3]).write_bytes(gzip.compress(gzip.decompress(Path(files[3]).read_bytes()), 9) + gzip.compress(b"\n"))
    run(scorer, files, resume=True)
    assert sorted(looked_at) == sorted([*files, files[3]])
    check_scores(scorer, files)
