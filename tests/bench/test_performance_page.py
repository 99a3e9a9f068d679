"""The page is made of the measurements alone, and says which aims were missed."""

from pathlib import Path

import pytest

from netsieve.bench.machine import describe_machine
from netsieve.bench.measurement import read_measurements, write_measurement
from netsieve.bench.performance import (
    TABLE_BEGIN,
    TABLE_END,
    _floor_lines,
    _rate_aims,
    aims,
    main,
    performance_page,
    readme_table,
    with_table,
)
from netsieve.bench.stages import IMPORTS, STAGES
from netsieve.bench.startup import SCORE, SCORE_BY_ONNXRUNTIME


def _case(wall, peak):
    agreement = {"rows": 9, "largest_difference": 2e-6, "mean_difference": 1e-7, "rank_correlation": 0.9999999}
    return {
        "wall_seconds": wall,
        "cpu_seconds": wall,
        "peak_rss_bytes": peak,
        "output_bytes": 9,
        "agreement": agreement,
    }


@pytest.fixture
def folder(tmp_path):
    machine = describe_machine()
    pipelines = {
        "benchmark": "pipelines", "machine": machine, "rows": 1_000_000, "input_bytes": 9, "rounds": 2, "threads": 2,
        "cases": {
            "student": _case([30.0, 31.0], 746_000_000),
            "expert": _case([2.0, 2.2], 340_000_000),
            "netsieve": _case([1.0, 2.0], 300_000_000),
        },
        "ratios": {"student / netsieve": [70.0, 70.5], "expert / netsieve": [1.1, 1.2]},
    }  # fmt: skip
    runs = [{"rows": rows, "input_bytes": 9, "wall_seconds": 2.0, "peak_rss_bytes": rows} for rows in (100, 130)]
    formats = {"csv": {"runs": runs, "growth": 1.3}}
    scoring = {
        "benchmark": "scoring", "machine": machine, "rows": 1000, "rounds": 2, "threads": 1,
        "contenders": {name: {"family": family, "same_model": True} for name, family in (
            ("netsieve, matrix", "autoencoder"), ("netsieve forest", "isolation forest"),
            ("a forest of others", "isolation forest"), ("an absent one", "isolation forest"))},
        "not_installed": {"an absent one": "absent", "one more, one record": "absent"},
        "widths": {"10": {
            "rows": {"netsieve, matrix": 1000, "netsieve forest": 1000, "a forest of others": 100},
            "seconds": {name: [0.1, 0.1] for name in ("netsieve, matrix", "netsieve forest", "a forest of others")},
            "ratios": {"netsieve, matrix": [1.0], "netsieve forest": [1.0], "a forest of others": [9.5, 10.5]},
            "agreement": {"netsieve, matrix": {"largest_difference": 1e-6, "rank_correlation": 1.0}}}},
        "records": {"10": {"netsieve, one record": {"median_seconds": [40e-6, 42e-6], "p99_seconds": [9e-5, 9e-5]}}},
    }  # fmt: skip
    stages = {"benchmark": "stages", "machine": machine, "rows": 1000, "rounds": 2, "threads": 1,
              "seconds": {stage: [0.5, 0.6] for stage in (IMPORTS, *STAGES)}}  # fmt: skip
    startup = {
        "benchmark": "startup",
        "machine": machine,
        "rounds": 1,
        "wall_seconds": {"python": [0.1], SCORE: [0.5], SCORE_BY_ONNXRUNTIME: [0.9]},
    }
    write_measurement(tmp_path / "pipelines-1M.json", pipelines)
    write_measurement(
        tmp_path / "memory.json", {"benchmark": "memory", "machine": machine, "threads": 2, "formats": formats}
    )
    write_measurement(tmp_path / "scoring.json", scoring)
    write_measurement(tmp_path / "stages.json", stages)
    write_measurement(tmp_path / "startup.json", startup)
    return tmp_path


def test_aims_are_judged(folder):
    met = {aim.what.split(",")[0]: aim.met for aim in aims(read_measurements(folder))}
    assert met == {
        "faster than the student's pipeline": True,
        "faster than the expert's pipeline": False,
        "peak memory": False,
        "growth of the peak memory": False,
        "one record": True,
        "netsieve score": False,
    }
    started = [
        (aim.aim, aim.reached, aim.met) for aim in aims(read_measurements(folder)) if "netsieve score" in aim.what
    ]
    assert started == [("0.55 s", "0.50 s", True), ("0.8 s", "0.90 s", False)]


def test_the_page_says_how_fast_a_job_could_be(folder):
    """10 s of the expert's for 100 rows, and 0.55 s of each stage for 1,000."""
    result = {"rows": 100, "cases": {name: {"cpu_seconds": [10.0]} for name in ("expert", "expert, scores only")}}
    measurements = read_measurements(folder)
    (line,) = _floor_lines(measurements["stages"][0], [result])
    assert "take 90.9 times less CPU time than the expert's page does for 100 rows" in line
    assert "encoding and the network 181.8 times less" in line
    assert not list(_floor_lines(measurements["stages"][0], []))


def test_page_shows_every_measurement(folder):
    page = performance_page(read_measurements(folder))
    for text in ("70.25x", "1.15x", "300 MB", "+30%", "41 µs", "0.90 s", "**not met**", "`benchmarks/memory.json`",
                 "differ by at most 2e-06", "polars ", "| a forest of others | 10 | 0.00 | 10.00 (9.50 to 10.50) |",
                 "| an absent one | 10 | not installed |"):  # fmt: skip
        assert text in page, text
    assert not any(line.startswith("|") and line.count("|") < 3 for line in page.splitlines())


def test_native_kernels_are_judged_by_their_best_variant(folder):
    seconds = {"native, avx2": [0.1, 0.1], "native, portable": [0.4, 0.4], "onnxruntime, batches of 64": [0.24, 0.26]}
    case = {
        "width": 41, "columns": 41, "operations": 10_000, "agreement": {}, "one_thread": seconds,
        "network": {"avx2": [0.08, 0.08], "portable": [0.3, 0.3]}, "peak": {"avx2": [1.5e8] * 2, "portable": [1e8] * 2},
        "memory": [1.68e6, 1.68e6],
        "two_threads": {"native": [0.1, 0.1], "onnxruntime, batches of 64": [0.2, 0.2]},
        "record": {"native": 14e-6, "onnxruntime": 30e-6},
    }  # fmt: skip
    result = {"benchmark": "native", "machine": describe_machine(), "rounds": 2, "rows": 1000, "cases": [case]}
    write_measurement(folder / "native.json", result)
    measurements = read_measurements(folder)
    met = {aim.what: (aim.reached, aim.met) for aim in aims(measurements) if "41 features" in aim.what}
    assert met == {
        "native kernels faster than onnxruntime, 41 features, one thread": ("2.50x", True),
        "native kernels faster than onnxruntime, 41 features, two threads": ("2.00x", False),
        "network's share of what the core multiplies, 41 features": ("83%", True),
        "one record natively, 41 features, median": ("14.0 µs", True),
    }
    page = performance_page(measurements)
    assert "| 41 | portable | 0.00 |" in page
    # 1.5e8 operations a second are 15,000 rows/s of 10,000, and 1.68e6 bytes 10,000 of 42 numbers
    assert "is 0.01 M rows/s, bound by memory; 100% of it is reached" in page


def test_page_is_written(folder, tmp_path, capsys):
    page = tmp_path / "docs" / "performance.md"
    main(["--measurements", str(folder), "--page", str(page)])
    assert page.read_text().startswith("# Performance")
    with pytest.raises(SystemExit, match="1"):
        main(["--measurements", str(tmp_path / "none"), "--page", str(page)])
    assert "no measurements" in capsys.readouterr().err


def test_the_native_ensemble_is_judged_by_its_best_variant(folder):
    measured = {"microseconds": {"onnxruntime": [12.0, 14.0], "avx2": [1.9, 2.1], "portable": [6, 6]},
                "error": {"onnxruntime": 1e-6, "avx2": 2e-7, "portable": 3e-7}}  # fmt: skip
    cases = [
        {"data": "correlated", "width": width, "columns": width, "detectors": {"ensemble": measured}}
        for width in (10, 41)
    ]
    result = {"benchmark": "native-ensemble", "machine": describe_machine(), "rounds": 2, "threads": 1, "cases": cases}
    write_measurement(folder / "native-ensemble.json", result)
    page = performance_page(read_measurements(folder))
    assert "| the ensemble natively, 41 features, correlated | 0.4 M rows/s | 0.50 M rows/s | met |" in page
    assert "the ensemble natively, 10 features" not in page
    assert "| correlated | 41 (41) | ensemble | 0.08 | 0.50 (6.5x) | 0.17 (2.2x) | 3e-07 |" in page


def test_the_table_of_the_readme_is_put_between_its_marks(folder, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{TABLE_BEGIN}\nold\n{TABLE_END}\nafter\n")
    main(["--measurements", str(folder), "--page", str(tmp_path / "page.md"), "--readme", str(readme)])
    text = readme.read_text()
    assert text.startswith(f"before\n{TABLE_BEGIN}\n| | times as fast |")
    assert "| CSV to scored Parquet, 1,000,000 rows, against pandas and PyTorch | 70.2 |" in text
    assert text.endswith(f"{TABLE_END}\nafter\n")
    assert "old" not in text
    with pytest.raises(ValueError, match="no <!-- performance"):
        with_table("no marks", "")


ROOT = Path(__file__).parents[2]


def test_the_page_is_the_one_of_the_committed_measurements():
    measurements = read_measurements(ROOT / "benchmarks")
    assert (ROOT / "docs" / "performance.md").read_text() == performance_page(measurements)
    readme = (ROOT / "README.md").read_text()
    assert readme == with_table(readme, readme_table(measurements))


def test_files_beyond_memory_are_judged_by_the_rate():
    def result(rows, seconds):
        return {"rows": rows, "cases": {"netsieve": {"wall_seconds": [seconds]}}}

    (aim,) = _rate_aims([result(1_000_000, 1.0), result(100_000_000, 55.0), result(10_000_000, 5.0)])
    assert (aim.reached, aim.met) == ("91%", False)
    assert next(_rate_aims([result(100_000_000, 50.0), result(10_000_000, 5.0)])).met
    assert not list(_rate_aims([result(1_000_000, 1.0), result(10_000_000, 5.0)]))
