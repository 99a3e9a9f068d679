"""``netsieve.scan``: frames in order, the same on any number of threads, and nothing lost."""

import gzip
import io
import sys
import threading

import polars as pl
import pytest

import netsieve
from netsieve.engine.errors import SourceError
from netsieve.engine.scoring.manifest import InputFingerprint, PartEntry
from netsieve.engine.scoring.summary import ScoreSummary


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    for name, first in (("a", 0), ("b", 1000)):
        lines = [f"{i},{i / 2},t{i % 3}" for i in range(first, first + 500)]
        lines[100] = "bad,1,x"
        lines.insert(200, "")
        (tmp_path / f"logs/{name}.csv.gz").write_bytes(gzip.compress(("n,half,text\n" + "\n".join(lines)).encode()))
    return tmp_path


KINDS = {"n": "integer", "half": "float", "text": "string"}


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_frames_come_in_order_with_their_origin(folder, threads):
    frames = netsieve.scan("logs", threads=threads, kinds=KINDS, block_bytes=300)
    found = list(frames)
    assert len(found) > 20
    assert len({tuple(frame.schema.items()) for frame in found}) == 1
    frame = pl.concat(found)
    assert frame.columns == ["n", "half", "text", "source_file", "row_index"]
    expected = [n for first in (0, 1000) for n in range(first, first + 500) if n - first != 100]
    assert frame["n"].to_list() == expected
    assert (frame["n"] % 1000).equals(frame["row_index"].alias("n"))
    assert frame["source_file"].unique(maintain_order=True).to_list() == ["logs/a.csv.gz", "logs/b.csv.gz"]
    assert (frames.rows, frames.rejected, dict(frames.skipped)) == (998, 2, {"blank": 2})
    assert [(reject.source_file, reject.record) for reject in frames.rejects] == [
        ("logs/a.csv.gz", 100),
        ("logs/b.csv.gz", 100),
    ]


def test_counts_follow_the_frames(folder):
    with netsieve.scan("logs", threads=1, kinds=KINDS, block_bytes=300) as frames:
        first = next(frames)
        assert frames.rows == first.height < 998
    assert list(frames) == []
    assert threading.active_count() == 1 or not any("netsieve-worker" in t.name for t in threading.enumerate())


def test_a_scan_left_early_stops_its_threads(folder):
    frames = netsieve.scan("logs", threads=3, kinds=KINDS, block_bytes=300)
    next(frames)
    frames.close()
    assert not any("netsieve-worker" in thread.name and thread.is_alive() for thread in threading.enumerate())


def test_only_the_columns_asked_for_are_read(folder):
    frame = pl.concat(netsieve.scan(["logs/a.csv.gz"], columns=["text", "absent"]))
    assert frame.columns == ["text", "source_file", "row_index"]
    assert frame.height == 500
    nothing = pl.concat(netsieve.scan("logs/a.csv.gz", columns=[]))
    assert (nothing.columns, nothing.height) == (["source_file", "row_index"], 500)


def test_columns_named_like_the_added_are_renamed(tmp_path):
    path = tmp_path / "scored.csv"
    path.write_text("source_file,x\nold,1\n")
    assert next(netsieve.scan(path)).columns == ["input_source_file", "x", "source_file", "row_index"]


def test_standard_input_is_read(monkeypatch):
    class Standard:
        buffer = io.BytesIO(b"a,b\n1,2\n3,4\n")

    monkeypatch.setattr(sys, "stdin", Standard)
    (frame,) = netsieve.scan("-", threads=2)
    assert frame.rows() == [(1, 2, "-", 0), (3, 4, "-", 1)]


def test_options_reach_the_sources(tmp_path):
    path = tmp_path / "flows"
    path.write_text("StartTime,Dur,Proto,SrcAddr,DstAddr,State\n2019/04/04 16:23:00,1,tcp,a,b,CON\n")
    assert next(netsieve.scan(path)).schema["StartTime"] == pl.Datetime("us", "UTC")
    assert next(netsieve.scan(path, input_format="csv")).schema["StartTime"] == pl.String
    assert netsieve.scan(path, names=list("uvwxyz"), input_format="csv").__next__().columns[:2] == ["u", "v"]
    with pytest.raises(SourceError, match="input format 'parque' is not known"):
        next(netsieve.scan(path, input_format="parque"))


def test_a_file_that_cannot_be_read_is_an_error(folder):
    (folder / "logs/c.csv.gz").write_bytes(gzip.compress(b"n,half,text\n" + b"1,2,x\n" * 9000)[:-20])
    with pytest.raises(SourceError, match="truncated"):
        list(netsieve.scan("logs", threads=2))
    with pytest.raises(SourceError, match="there is no file"):
        netsieve.scan("absent.csv")
    with pytest.raises(ValueError, match="threads is -1"):
        netsieve.scan("logs", threads=-1)


def test_the_reasons_for_skipping_are_bounded_over_all_blocks(tmp_path):
    path = tmp_path / "eve.json"
    path.write_text("".join(f'{{"timestamp": "2024-01-01T00:00:00Z", "event_type": "t{i}"}}\n' for i in range(500)))
    frames = netsieve.scan(path, event_type="flow", input_format="eve", block_bytes=1000)
    assert not list(frames)
    assert len(frames.skipped) == 65
    assert frames.skipped["(other)"] == 500 - 64
    summary = ScoreSummary()
    for part in ({f"reason {i}": 2 for i in range(60)}, {f"reason {i}": 3 for i in range(40, 100)}):
        entry = PartEntry(
            input="x", fingerprint=InputFingerprint.of(str(path)), model="", options="", counts={"skipped": part}
        )
        entry.add_to(summary)
    assert (len(summary.skipped), sum(summary.skipped.values())) == (65, 300)
    assert summary.skipped["(other)"] == 36 * 3
