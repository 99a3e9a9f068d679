"""The measuring tools: interleaving, processes, machine block, agreement."""

import json
import sys

import numpy as np
import pytest

from netsieve.bench.agreement import score_agreement
from netsieve.bench.interleave import interleave, ratios, seconds_of, spread
from netsieve.bench.machine import describe_machine, machine_line
from netsieve.bench.measurement import read_measurements, write_measurement
from netsieve.bench.process import ProcessFailedError, run_process


def test_cases_take_turns_and_change_their_order():
    order = []

    def case(name):
        def run():
            order.append(name)
            return len(order)

        return run

    measures = interleave({"a": case("a"), "b": case("b")}, rounds=2, warm_up=1)
    assert order == ["b", "a", "a", "b", "b", "a"]
    assert measures == {"a": [3, 6], "b": [4, 5]}


def test_ratios_are_taken_round_by_round():
    assert ratios([4.0, 9.0], [2.0, 3.0]) == [2.0, 3.0]
    assert spread([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0], [1.0, 2.0])


def test_seconds_are_those_of_the_call():
    assert 0 <= seconds_of(lambda: None) < 1


def test_process_costs_are_those_of_the_child():
    # The test process is larger than this by far; what it holds must not be counted.
    small = run_process([sys.executable, "-S", "-c", "pass"])
    assert 0 < small.wall_seconds < 30
    assert 2e6 < small.peak_rss_bytes < 30e6
    large = run_process([sys.executable, "-S", "-c", "x = bytearray(200_000_000); sum(range(1_000_000))"])
    assert 200e6 < large.peak_rss_bytes < 260e6
    assert large.cpu_seconds > small.cpu_seconds


def test_process_gets_its_environment_and_its_output_is_kept_back(capfd):
    run_process(
        [
            sys.executable,
            "-c",
            "import os; print(os.environ['NETSIEVE_TEST']); assert os.environ['NETSIEVE_TEST'] == '1'",
        ],
        environment={"NETSIEVE_TEST": "1"},
    )
    assert capfd.readouterr().out == ""


def test_failing_process_is_named_with_what_it_said():
    with pytest.raises(ProcessFailedError, match="no good"):
        run_process([sys.executable, "-c", "import sys; sys.exit('no good')"])


def test_machine_is_plain_data():
    machine = describe_machine()
    assert json.loads(json.dumps(machine)) == machine
    assert machine["cores"] >= 1
    assert machine["memory_bytes"] > 1e8
    assert "numpy" in machine["versions"]
    assert str(machine["cores"]) in machine_line(machine)


def test_measurements_are_read_back_by_benchmark(tmp_path):
    write_measurement(tmp_path / "new" / "b.json", {"benchmark": "memory", "machine": {}, "rows": 2})
    write_measurement(tmp_path / "new" / "a.json", {"benchmark": "memory", "machine": {}, "rows": 1})
    (tmp_path / "new" / "other.json").write_text("[1, 2]")
    read = read_measurements(tmp_path / "new")
    assert [result["rows"] for result in read["memory"]] == [1, 2]
    assert read["memory"][0]["file"] == "a.json"


def test_agreement_sees_a_single_wrong_score():
    rng = np.random.default_rng(0)
    scores = rng.lognormal(size=1000)
    same = score_agreement(scores, scores)
    assert same == {"rows": 1000, "largest_difference": 0.0, "mean_difference": 0.0, "rank_correlation": 1.0}
    wrong = scores.copy()
    wrong[17] *= 1.1
    assert score_agreement(wrong, scores)["largest_difference"] > 1e-3
    assert score_agreement(rng.permutation(scores), scores)["rank_correlation"] < 0.2
    with pytest.raises(ValueError, match="same rows"):
        score_agreement(scores[:10], scores)
