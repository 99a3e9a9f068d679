import json

import numpy as np
import polars as pl
import pytest

from netsieve.bench.aim_page import AIMS, aim_sections
from netsieve.bench.datasets import BY_FILE_SETS, DEVELOPMENT_SETS, MAIN_SETS, SETS, LabelledSet, load_set
from netsieve.bench.machine import describe_machine
from netsieve.bench.quality import (
    CONTENDERS,
    ENSEMBLE,
    FOREST_RAW,
    NETSIEVE,
    measure_ensemble,
    measure_set,
    raw_columns,
)
from netsieve.bench.results import _measure, main
from netsieve.bench.results_page import results_page
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.inference import fit_schema, infer_schema


def labelled_set() -> LabelledSet:
    generator = np.random.default_rng(0)
    factor = generator.standard_normal((1200, 2))
    frame = pl.DataFrame(
        {
            "a": factor[:, 0],
            "b": factor[:, 0] * 2 + 0.1 * generator.standard_normal(1200),
            "c": factor[:, 1],
            "service": np.where(factor[:, 1] > 0, "dns", "http"),
            "kind": np.where(np.arange(1200) < 1100, "normal", "attack"),
        }
    )
    attack = pl.col("kind") == "attack"
    frame = frame.with_columns(b=pl.when(attack).then(-pl.col("b")).otherwise("b"))
    return LabelledSet(name="made", file="made.csv", frame=frame, label="kind", normal="normal")


@pytest.fixture(scope="module")
def measured() -> dict:
    return measure_set(labelled_set(), seed=0)


def test_a_set_is_measured_through_the_exported_model_beside_the_forests(measured: dict) -> None:
    assert set(measured["contenders"]) == set(CONTENDERS)
    assert measured["rows"]["test_attacks"] == 100
    assert measured["rows"]["test"] == 650
    assert measured["contenders"][NETSIEVE]["auroc"] > 0.85
    for measures in measured["contenders"].values():
        assert all(0 <= value <= 1 for value in measures.values())
    rate = measured["thresholds"]["fpr:0.01"]
    assert rate["asked"] == 0.01
    assert rate["low"] <= rate["high"]


def test_raw_columns_are_numbers_and_one_hot_categories() -> None:
    frame = pl.DataFrame({"n": [1.5, None, 3.0], "s": ["x", "y", "x"]})
    schema = fit_schema(infer_schema(frame), frame)
    columns = raw_columns(schema, Encoder(schema).encode(frame))
    np.testing.assert_array_equal(columns, [[1.5, 0, 0, 1, 0], [0, 0, 0, 0, 1], [3, 0, 0, 1, 0]])


def test_the_page_tells_means_aims_and_which_set_is_worst(measured: dict) -> None:
    worse = {**measured, "contenders": {**measured["contenders"], NETSIEVE: measured["contenders"][FOREST_RAW]}}
    quality = {
        "benchmark": "quality", "machine": describe_machine(), "measured": "2026-01-02T03:04:05+00:00", "seeds": [0, 1],
        "seconds": 60.0, "largest_rows": None, "file": "quality.json",
        "runs": {"nsl_kdd": [measured, measured], "kddcup99": [worse, worse]},
    }  # fmt: skip
    variant = {"network": "default", "score": "sum", "average_precision_5": 0.5, "recall_at_1e_2": 0}
    runs = {"nsl_kdd": [[{**variant, "auroc": 0.75}]], "adbench_cardio": [[{**variant, "auroc": 0.875}]]}
    ablation = {**quality, "benchmark": "ablation", "runs": runs}
    page = results_page({"quality": [quality], "ablation": [ablation]})
    assert "Measured 2026-01-02" in page
    assert f"| nsl_kdd | {measured['contenders'][NETSIEVE]['auroc']:.3f} ± 0.000 |" in page
    assert "+0.000 (kddcup99) | met" in page
    assert "| default | sum | 0.875 | 0.500 | 0.000 | 0.750 | 0.500 | 0.000 |" in page
    assert "Development sets" not in page.split("## What was compared")[0]
    assert results_page({}).startswith("# Detection quality")


def test_the_ensemble_is_measured_on_the_same_records(measured: dict) -> None:
    found = measure_ensemble(labelled_set(), seed=0)
    assert found["rows"] == {name: measured["rows"][name] for name in ("test", "test_attacks")}
    assert found["contenders"][ENSEMBLE]["auroc"] > 0.85


def quality_run(contender: str, precision: float) -> dict:
    return {"contenders": {contender: {"auroc": 0.96, "average_precision_5": precision}}}


def test_aims_are_compared_with_the_mean_over_the_seeds() -> None:
    autoencoder = {"seeds": [0, 1], "runs": {n: [quality_run(NETSIEVE, p) for p in (0.5, 0.7)] for n in AIMS}}
    ensemble = {"seeds": [0, 1], "runs": {n: [quality_run(ENSEMBLE, p) for p in (0.7, 0.8)] for n in AIMS}}
    page = "\n".join(aim_sections(ensemble, autoencoder))
    assert "| unsw_nb15 | 0.960 / 0.600 | 0.960 / 0.750 | 0.88 / 0.65 | **no** (AP5 -0.050) | yes |" in page
    assert "| **mean of 13** | 0.960 / 0.600 | 0.960 / 0.750 | 0.95 / 0.72 | **no** (AP5 -0.120) | yes |" in page
    some = {**ensemble, "runs": {"nsl_kdd": ensemble["runs"]["nsl_kdd"]}}
    assert "**mean of" not in "\n".join(aim_sections(some, autoencoder))
    assert not list(aim_sections({**ensemble, "seeds": [0]}, autoencoder))


def test_without_data_it_says_so_and_writes_nothing(tmp_path, capsys) -> None:
    page = tmp_path / "results.md"
    assert main(["--data", str(tmp_path / "absent"), "--page", str(page)]) == 1
    assert "--data" in capsys.readouterr().err
    assert not page.exists()


def test_every_set_has_one_role() -> None:
    assert sorted((*MAIN_SETS, *DEVELOPMENT_SETS, *BY_FILE_SETS)) == sorted(SETS)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "rows", "normal"),
    [
        ("unsw_nb15", 61_749, 27_751),
        ("cicids2017_improved", 43_419, 5_000),
        ("nsl_kdd", 25_192, 13_449),
        ("adbench_shuttle", 49_097, 45_586),
        ("iot23_34_1", 23_145, 1_923),
        ("iot23_mixed", 16_791, 8_439),
        ("argus_207_1", 33_399, 9_797),
    ],
)
def test_sets_have_the_rows_that_their_notes_tell(real_data, name: str, rows: int, normal: int) -> None:
    labelled = load_set(name, real_data)
    assert labelled.frame.height == rows
    assert (labelled.frame[labelled.label].cast(pl.String) == labelled.normal).sum() == normal


def test_sets_that_are_measured_alone_take_their_place_among_the_others(tmp_path) -> None:
    path = tmp_path / "made.json"

    def measure(sets: list[str], figure: int, seeds: tuple[int, ...] = (0, 1)) -> dict:
        _measure("made", path, sets, seeds, lambda name: name, lambda name, seed: (name, seed, figure))
        return json.loads(path.read_text(encoding="utf-8"))["runs"]

    measure(["a", "b"], 1)
    assert measure(["b", "c"], 2) == {"a": [["a", 0, 1], ["a", 1, 1]], **{n: [[n, 0, 2], [n, 1, 2]] for n in "bc"}}
    # with other seeds it is another measurement
    assert measure(["c"], 3, (0,)) == {"c": [["c", 0, 3]]}
