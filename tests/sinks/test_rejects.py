"""The rejects file: there only when there is something in it."""

import json
from dataclasses import dataclass
from pathlib import Path

from netsieve.engine.sinks.rejects import RejectsFile, rejects_path


@dataclass
class Rejected:
    source_file: str = "a.csv"
    record: int = 3
    line: int | None = 5
    offset: int | None = 99
    reason: str = "3 fields where 4 are expected"
    raw: str = "a,b\udcff,\u00fc"


def test_records_are_lines_of_json(tmp_path: Path) -> None:
    path = tmp_path / "r.ndjson"
    rejects = RejectsFile(str(path))
    rejects.write([Rejected(), Rejected(record=4, line=None, offset=None)])  # type: ignore[list-item]
    rejects.write([])
    assert not path.exists()
    rejects.commit()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert rejects.count == len(lines) == 2
    assert list(lines[0]) == ["file", "record", "line", "offset", "reason", "raw"]
    assert lines[0]["raw"] == Rejected().raw
    assert lines[1]["line"] is None


def test_no_rejects_no_file(tmp_path: Path) -> None:
    path = tmp_path / "out.csv.rejects.ndjson"
    path.write_text("of an earlier run")
    rejects = RejectsFile(str(path))
    rejects.write([])
    rejects.commit()
    assert list(tmp_path.iterdir()) == []


def test_no_rejects_leave_other_files_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("precious")
    RejectsFile(str(path)).commit()
    assert path.read_text() == "precious"


def test_abort_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "r.ndjson"
    path.write_text("of an earlier run")
    rejects = RejectsFile(str(path))
    rejects.write([Rejected()])  # type: ignore[list-item]
    rejects.abort()
    assert [p.read_text() for p in tmp_path.iterdir()] == ["of an earlier run"]


def test_default_name() -> None:
    assert rejects_path("out.parquet") == "out.parquet.rejects.ndjson"
    assert rejects_path("-") == "netsieve.rejects.ndjson"
    assert rejects_path("out.parquet", "bad.ndjson") == "bad.ndjson"
