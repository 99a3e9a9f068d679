import gzip
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from netsieve.bench.machine import describe_machine
from netsieve.bench.results_page import results_page
from netsieve.bench.sequence_results import NOTICED, TRACES, host_days, measure_days, measure_traces, noticed_ranks


def traces(rng: np.random.Generator, count: int, group: str) -> pl.DataFrame:
    """Return traces that repeat a song of calls, attacks the same calls in any order."""
    song = np.array([6, 120, 45, 45, 3, 252])
    calls = []
    for _ in range(count):
        trace = np.tile(song, int(rng.integers(5, 9)))
        if group == "Attack":
            rng.shuffle(trace)
        elif rng.random() < 0.3:
            trace[rng.integers(len(trace))] = 3
        calls.append(trace.astype(np.uint16).tolist())
    return pl.DataFrame(
        {"group": f"{group}_Data_Master", "syscalls": calls}, schema_overrides={"syscalls": pl.List(pl.UInt16)}
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict:
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    frame = pl.concat([traces(rng, 60, "Training"), traces(rng, 60, "Validation"), traces(rng, 20, "Attack")])
    (root / TRACES).parent.mkdir()
    frame.write_parquet(root / TRACES)
    return measure_traces(root, 0, units=16, max_draws=20_000, window=6, learning_rate=0.01)


def test_traces_of_calls_in_another_order_are_found(measured: dict) -> None:
    assert measured["mean"]["auroc"] > 0.95
    assert measured["unseen_runs"]["auroc"] > 0.95
    assert 0 <= measured["mean"]["at_0.05"]["false_positive_rate"] < 0.3
    assert measured["mean"]["at_0.05"]["recall"] > 0.8
    assert 0 < measured["largest_difference"] < 1e-5


def made_days(root: Path) -> None:
    """Write the flows of addresses of which each has one wild day, the noticed one."""
    rng = np.random.default_rng(0)
    rows = []
    for day in range(92):
        moment = date(2006, 7, 1) + timedelta(days=day)
        for address in range(10):
            wild = NOTICED.get(address) == moment
            rows += [(moment, address, network, int(rng.poisson(50)) * (200 if wild else 1)) for network in range(3)]
    frame = pl.DataFrame(rows, schema=["date", "l_ipn", "r_asn", "f"], orient="row")
    (root / "cs448b").mkdir()
    content = frame.write_csv().encode()
    (root / "cs448b" / "cs448b_ipasn.csv.gz").write_bytes(gzip.compress(content))


def test_wild_days_come_first(tmp_path: Path) -> None:
    made_days(tmp_path)
    days = host_days(tmp_path)
    assert days.height == 920
    assert days["flows"].abs().median() < 0.2
    found = measure_days(tmp_path, 0, max_draws=5_000)
    assert found["days"] == 790
    assert sorted(found["best_rank"].values()) == [1, 2, 3, 4, 5]


def test_the_place_of_a_noticed_day_is_the_best_around_it() -> None:
    rows = [(noticed + timedelta(days=offset), a) for a, noticed in NOTICED.items() for offset in (-3, -2, 0, 1, 2)]
    days = pl.DataFrame(rows, schema=["date", "l_ipn"], orient="row")
    scores = np.arange(25.0)[::-1]
    assert noticed_ranks(days, scores) == {"1": 2, "5": 7, "4": 12, "3": 17, "6": 22}
    assert noticed_ranks(days, scores[::-1])["6"] == 2


def test_the_page_tells_what_was_measured(measured: dict, tmp_path: Path) -> None:
    made_days(tmp_path)
    result = {
        "benchmark": "sequences", "machine": describe_machine(), "measured": "2026-01-02T03:04:05+00:00", "seeds": [0],
        "runs": {"adfa_ld": [measured], "cs448b": [measure_days(tmp_path, 0, max_draws=2_000)]},
    }  # fmt: skip
    page = results_page({"sequences": [result]})
    assert f"{measured['median']['auroc']:.3f}" in page
    assert "| 4, 09-18 | " in page
    two = results_page({"sequences": [{**result, "quick": True, "runs": {"adfa_ld": [measured, measured]}}]})
    assert "± 0.000" in two
    assert "A trial run" in two
    assert "cs448b" not in two
