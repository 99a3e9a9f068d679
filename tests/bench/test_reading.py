"""Every reader of the benchmarks reads what netsieve reads, and one that reads something else is found out."""

import gzip
import json
from copy import deepcopy
from dataclasses import replace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from netsieve.bench import capture, event_job, reading
from netsieve.bench.measurement import read_measurements
from netsieve.bench.performance import aims, performance_page
from netsieve.bench.readers import FORMATS, OURS, Reader, column_sums, run_reader, tasks_of
from netsieve.bench.stages import STAGES

RECORDS = 300
TASKS = {name: task for file_format in FORMATS for name, task in tasks_of(file_format).items()}
PEERS = [(name, reader) for name, task in TASKS.items() for reader in task.readers if not reader.startswith(OURS)]


@pytest.fixture(autouse=True)
def _few_connections(monkeypatch):
    monkeypatch.setattr(capture, "INTERLEAVED", 10)


@pytest.fixture
def written(tmp_path):
    def write(task, form="plain"):
        path = tmp_path / f"file{task.suffix}"
        task.write(path, RECORDS)
        return reading.pack(path, form)

    return write


def _table(read):
    return read if isinstance(read, pl.DataFrame) else pl.DataFrame(read)


def _comparable(frame, columns):
    frame = frame.select(columns)
    times = [name for name in columns if isinstance(frame[name].dtype, pl.Datetime)]
    plain = [pl.col(name).cast(pl.Float64) for name in columns if frame[name].dtype.is_numeric()]
    return frame.with_columns(pl.col(times).dt.epoch("us"), *plain).sort(columns)


@pytest.mark.parametrize(("name", "reader"), PEERS)
def test_peers_read_what_netsieve_reads(name, reader, written):
    task = TASKS[name]
    if not task.readers[reader].installed():
        pytest.skip(f"{task.readers[reader].package} is not installed")
    paths = written(task)
    if reader == "nfstream":  # it starts processes, which pytest should not be a parent of
        runs = {who: [run_reader(name, who, 1, paths[0], paths)] for who in (OURS, reader)}
        assert runs[reader][0]["sums"]
        reading.check_agreement(runs)
        return
    files = [str(path) for path in paths]
    ours, theirs = (_table(task.readers[who].read(files, 1)) for who in (OURS, reader))
    assert theirs.height
    assert_frame_equal(_comparable(ours, task.checked), _comparable(theirs, task.checked))


@pytest.mark.parametrize("name", TASKS)
def test_every_form_holds_the_same_records(name, written):
    task = TASKS[name]
    runs = {}
    for form in task.forms:
        table = task.readers[OURS].read([str(path) for path in written(task, form)], 2)
        runs[form] = [{"records": len(table), "sums": column_sums(table, task.checked)}]
    assert runs["plain"][0]["records"] > 0
    reading.check_agreement({OURS: runs["plain"], **runs})


def test_several_files_are_parts_of_the_one(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"%d\n" % number for number in range(10)))
    parts = reading.pack(path, "4 gzip files")
    assert [len(gzip.decompress(part.read_bytes()).split()) for part in parts] == [3, 3, 3, 1]
    assert b"".join(gzip.decompress(part.read_bytes()) for part in parts) == path.read_bytes()


def test_a_reader_that_reads_something_else_is_named():
    frame = pl.DataFrame({"a": [1, 2, None], "b": ["x", "y", "y"]})
    run = {"records": 3, "sums": column_sums(frame, ["a", "b"])}
    assert run["sums"] == {"a": [1, 2, 3.0], "b": [0, 2, 3.0]}
    reading.check_agreement({OURS: [run], "peer": [run], "counting": [{"records": 3, "sums": None}]})
    with pytest.raises(RuntimeError, match="peer read 2 records where netsieve read 3"):
        reading.check_agreement({OURS: [run], "peer": [{**run, "records": 2}]})
    for changed in ({"a": [1, 3, None]}, {"a": [1, 2, 2]}, {"b": ["x", "y", "z"]}):
        other = column_sums(frame.with_columns(**{name: pl.Series(values) for name, values in changed.items()}), "ab")
        with pytest.raises(RuntimeError, match=f"column '{next(iter(changed))}'"):
            reading.check_agreement({OURS: [run], "peer": [{"records": 3, "sums": other}]})


def test_what_is_measured_is_shown(tmp_path, monkeypatch, capsys):
    task = TASKS["pcap.cut"]
    absent = Reader(task.readers[OURS].read, "no-such-package-of-readers")
    monkeypatch.setitem(tasks_of("pcap"), "pcap.cut", replace(task, readers={**task.readers, "absent": absent}))
    json_file = tmp_path / "reading-pcap.json"
    given = ["pcap", "--tasks", "pcap.cut", "--size", "0.0002", "--rounds", "1", "--cache", str(tmp_path)]
    reading.main([*given, "--json", str(json_file)])
    measured = json.loads(json_file.read_text())["tasks"]["pcap.cut"]
    assert [(file["form"], file["threads"]) for file in measured["files"]] == [("plain", 1), ("plain", 2)]
    for file in measured["files"]:
        assert set(file["runs"]) == {OURS, "netsieve, block by block"}
        for run in (run for runs in file["runs"].values() for run in runs):
            assert run["records"] == measured["records"]
            assert run["seconds"] > 0
            assert 30e6 < run["peak_rss_bytes"] < 1e9
    printed = capsys.readouterr().out
    assert "Not installed, and so not measured: absent (`pip install no-such-package-of-readers`)." in printed
    assert printed.count("| netsieve, block by block |") == 2


def _reading(name, times):
    runs = {
        reader: [{"seconds": s, "processor_seconds": s, "records": 100, "peak_rss_bytes": 1} for s in seconds]
        for reader, seconds in times.items()
    }
    files = [{"form": "plain", "threads": 1, "bytes": 9, "file_bytes": 9, "runs": runs}]
    return {name: {"title": name, "unit": "lines", "records": 1_000_000, "missing": {}, "files": files}}


def test_aims_of_reading_are_judged(tmp_path, monkeypatch):
    machine = {"processor": "p", "instruction_sets": [], "cores": 2, "memory_bytes": 2**30, "system": "s",
               "python": "3", "versions": {}, "load": 0.0}  # fmt: skip
    result = {"benchmark": "reading", "machine": machine, "rounds": 2}
    result["tasks"] = _reading("eve.flow", {OURS: [1.0, 1.0], "polars": [5.0]}) | _reading(
        "zeek.tsv", {OURS: [2.0, 2.0], "polars": [8.0, 8.0]}
    )
    costs = {
        event_job.READ: [{"wall_seconds": 2.0, "cpu_seconds": 2.0, "peak_rss_bytes": 1}],
        event_job.SCORE: [{"wall_seconds": 4.0, "cpu_seconds": 4.0, "peak_rss_bytes": 1}],
    }
    job = {"benchmark": "event_job", "machine": machine, "records": 5, "bytes": 10**9, "threads": {"1": costs}}
    job |= {"stage_records": 5, "stage_seconds": {stage: [1.0] for stage in STAGES}}
    speed = {"rows": 10**6, "columns": {"usual": {"count": 16, "seconds": [1.0, 3.0], "ordered_seconds": [1.0]}}}
    neighbours = {"benchmark": "neighbour speed", "machine": machine, "speed": speed}
    for measured in (result, job, neighbours):
        (tmp_path / f"{measured['benchmark']}.json").write_text(json.dumps(measured))
    measurements = read_measurements(tmp_path)
    judged = {aim.what: (aim.reached, aim.met) for aim in aims(measurements)}
    assert judged == {
        "Suricata events read on one core": ("1.00 M/s", True),
        "Suricata events read faster than polars, one core": ("5.0x", False),
        "Zeek's conn log read faster than polars, one core": ("4.0x", True),
        "neighbour features, one thread": ("0.50 M flows/s", True),
        "1,000 MB of events scored to Parquet, against reading alone, 1 thread": ("2.00x", False),
    }
    page = performance_page(measurements)
    for title in ("Reading logs and captures", "A large file of Suricata events", "Neighbour features"):
        assert f"## {title}" in page
    slower = deepcopy(measurements)
    slower["reading"][0]["tasks"]["eve.flow"]["files"][0]["runs"][OURS] = [{"seconds": 2.0}, {"seconds": 2.0}]
    assert not next(aims(slower)).met
