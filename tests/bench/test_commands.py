"""The benchmark commands run, print their tables and write measurements that the page can be made of."""

import json

import pytest

from netsieve.bench import demo, memory, pipelines, stages, startup
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


def test_demonstration(tmp_path, capfd):
    demo.main(["--folder", str(tmp_path / "demo"), "--rows", "20000", "--training-rows", "20000"])
    printed = capfd.readouterr().out
    assert "$ netsieve score" in printed
    assert "AUROC" in printed
    assert (tmp_path / "demo" / "report.html").stat().st_size > 10_000
