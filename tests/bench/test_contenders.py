"""Every contender of the in-memory benchmarks gives the reference's answers: one registry for tests and timing."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import netsieve.bench
from netsieve.bench import scoring
from netsieve.bench.agreement import LARGEST_DIFFERENCE, score_agreement
from netsieve.bench.contenders import CONTENDERS, OURS, RECORD_CONTENDERS, not_installed
from netsieve.bench.scoring import ENCODING, call_seconds, measure_scoring, scoring_table
from netsieve.bench.scoring_case import AUTOENCODER, FAMILIES, FOREST, WIDTHS, ScoringCase

ROWS = 3_000
SLOW_TO_PREPARE = ("torch compiled", "skl2onnx and onnxruntime")
"""They compile or convert for ten seconds and more."""
QUICK = [contender for contender in CONTENDERS if contender.name not in SLOW_TO_PREPARE]
LEAST_CORRELATION = {"isotree": 0.9, "PyOD AutoEncoder": 0.3}
"""Of the scores of a peer's own model with those of ours."""


@pytest.fixture(scope="module", params=WIDTHS)
def case(request, tmp_path_factory) -> ScoringCase:
    return ScoringCase(request.param, ROWS, tmp_path_factory.mktemp("models"))


def check_contender(contender, case):
    if contender.missing is not None:
        pytest.skip(f"{contender.missing} is not installed")
    scores = contender.start(case)()
    assert scores.shape == (ROWS,)
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) > ROWS // 2
    agreement = score_agreement(scores, case.model(contender.family).reference)
    if contender.same_model:
        assert agreement["largest_difference"] < LARGEST_DIFFERENCE
        assert agreement["rank_correlation"] > 0.9999
    else:
        assert agreement["rank_correlation"] > LEAST_CORRELATION[contender.name]


@pytest.mark.parametrize("contender", QUICK, ids=lambda contender: contender.name)
def test_contenders_agree(case, contender):
    check_contender(contender, case)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW_TO_PREPARE)
def test_contenders_that_are_slow_to_prepare_agree(name, tmp_path):
    (contender,) = (contender for contender in CONTENDERS if contender.name == name)
    check_contender(contender, ScoringCase(10, ROWS, tmp_path, threads=2))


@pytest.mark.parametrize("contender", RECORD_CONTENDERS, ids=lambda contender: contender.name)
def test_record_contenders_agree(case, contender):
    if contender.missing is not None:
        pytest.skip(f"{contender.missing} is not installed")
    expected = case.model(contender.family).reference[0]
    assert contender.start(case)() == pytest.approx(expected, rel=1e-4)


def test_registry_names_every_contender_once_and_ours_first_in_its_family():
    names = [contender.name for contender in (*CONTENDERS, *RECORD_CONTENDERS)]
    assert len(set(names)) == len(names)
    for family in FAMILIES:
        first, *peers = (contender.name for contender in CONTENDERS if contender.family == family)
        assert first == OURS[family]
        assert len(peers) >= 5
    assert {contender.name for contender in CONTENDERS if not contender.same_model} == set(LEAST_CORRELATION)


def test_peers_of_the_forest_have_its_trees(case):
    assert len(case.model(FOREST).detector.core.trees.root) == 100
    assert {each.name for each in CONTENDERS if each.family == FOREST and each.same_model} >= {
        "scikit-learn IsolationForest", "skl2onnx and onnxruntime", "PyOD IForest",
    }  # fmt: skip


def test_a_contender_is_given_no_more_records_than_it_can_bear(case):
    contender = replace(CONTENDERS[0], most_rows=100)
    assert contender.rows(case) == 100
    scores = contender.start(case)()
    assert len(scores) == 100
    np.testing.assert_array_equal(scores, CONTENDERS[0].start(case)()[:100])


def test_calls_are_timed_one_by_one():
    calls = []
    seconds = call_seconds(lambda: calls.append(1), calls=50)
    assert len(calls) == 55
    assert seconds.shape == (50,)
    assert (seconds >= 0).all()


def test_measurement_and_table(tmp_path, monkeypatch):
    absent = replace(CONTENDERS[1], name="another scorer", package="netsieve_is_not_called_so")
    few = replace(CONTENDERS[1], name="few records", most_rows=50)
    chosen = [*QUICK, absent, few]
    monkeypatch.setattr(scoring, "not_installed", lambda: {**not_installed(), absent.name: absent.missing})
    monkeypatch.setattr(scoring, "call_seconds", lambda run: np.array([run()]))
    result = measure_scoring(widths=(10,), rows=500, rounds=1, threads=1, folder=tmp_path, contenders=chosen)
    measured = result["widths"]["10"]
    assert measured["rows"][few.name] == 50
    for name in measured["seconds"]:
        family = AUTOENCODER if name == ENCODING else result["contenders"][name]["family"]
        ours, rows = measured["seconds"][OURS[family]], measured["rows"][name]
        expected = np.divide(measured["seconds"][name], rows) / np.divide(ours, 500)
        np.testing.assert_allclose(measured["ratios"][name], expected)
    autoencoders, forests, records = scoring_table(result).split("\n\n")
    assert f"| {ENCODING} | 10 |" in autoencoders
    for contender in chosen:
        text = autoencoders if contender.family == AUTOENCODER else forests
        rest = " not installed |" if contender.missing else ""
        assert f"| {contender.name} | 10 |{rest}" in text
    assert f"| {OURS[FOREST]} | 10 |" in forests
    assert "another model" in autoencoders or "PyOD AutoEncoder" in result["not_installed"]
    for contender in RECORD_CONTENDERS:
        assert f"| {contender.name} | 10 |" in records


def test_suites_are_collected_only_when_asked_for():
    suites = Path(netsieve.bench.__file__).resolve().parent / "suites"
    assert suites.is_dir()

    def collected(*arguments: str) -> str:
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=suites).stdout

    listed = collected(str(suites))
    for name in ("bench_scoring.py", "bench_records.py", "bench_encoding.py", "bench_startup.py"):
        assert name in listed
    one = collected(str(suites / "bench_encoding.py"))
    assert one.count("test_encoding_flows") == 1
