"""The benchmark commands run, print their tables and write measurements that the page can be made of."""

import json

import pytest

from netsieve.bench import demo, event_job, memory, pipelines, stages, startup
from netsieve.bench.measurement import read_measurements
from netsieve.bench.performance import performance_page

pytestmark = pytest.mark.slow


def test_commands_write_what_the_page_reads(workload, tmp_path, capsys):
    cache, out = str(workload.model.parent), tmp_path / "benchmarks"
    shared = ["--cache", cache, "--json"]
    pipelines.main(["--rows", "3000", "--rounds", "1", *shared, str(out / "pipelines.json")])
    startup.main(["--rounds", "1", *shared, str(out / "startup.json")])
    stages.main(["--rows", "3000", "--rounds", "1", *shared, str(out / "stages.json")])
    memory.main(["--rows", "3000", "6000", *shared, str(out / "memory.json")])
    printed = capsys.readouterr().out
    result = json.loads((out / "pipelines.json").read_text())
    assert set(result["ratios"]) == {
        "student / netsieve",
        "expert / netsieve",
        "expert, scores only / netsieve, scores only",
    }
    assert pipelines.pipelines_table(result) in printed
    page = performance_page(read_measurements(out))
    for title in ("Whole pipelines", "Where the time goes", "Memory", "Start-up"):
        assert f"## {title}" in page


def test_a_large_event_file_is_scored_and_read(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(event_job, "TRAINING_EVENTS", 5000)
    out = tmp_path / "event-job.json"
    event_job.main(["--megabytes", "2", "--rounds", "1", "--cache", str(tmp_path), "--json", str(out)])
    result = json.loads(out.read_text())
    assert 1.9e6 < result["bytes"] < 2.1e6
    for threads in ("1", "2"):
        costs = result["threads"][threads]
        # Scoring is a larger process than reading
        assert costs[event_job.SCORE][0]["peak_rss_bytes"] > costs[event_job.READ][0]["peak_rss_bytes"]
    assert set(result["stage_seconds"]) == set(stages.STAGES)
    assert event_job.job_table(result) in capsys.readouterr().out


def test_demonstration(tmp_path, capfd):
    demo.main(["--folder", str(tmp_path / "demo"), "--rows", "20000", "--training-rows", "20000"])
    printed = capfd.readouterr().out
    assert "$ netsieve score" in printed
    assert "AUROC" in printed
    assert (tmp_path / "demo" / "report.html").stat().st_size > 10_000
