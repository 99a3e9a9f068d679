"""cpp/instructions: what its runner makes of counts, and the record of them."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "cpp" / "instructions"
run = runpy.run_path(str(FOLDER / "run.py"))
Count, compare, verdict = run["Count"], run["compare"], run["verdict"]
PART = "version: 1\ncmd: instructions\ndesc: Trigger: --dump-after=count_instructions\n\nevents: Ir\n\ntotals: {0}\n"


def count(instructions, case="forest", variant="avx2", rows=100):
    return Count(case, variant, "row", rows, instructions)


def test_growth_beyond_the_tolerance_is_a_fault():
    before = [count(10_000)]
    for instructions, status in ((9_000, 0), (10_000, 0), (10_099, 0), (10_101, 1), (20_000, 1)):
        assert verdict(compare([count(instructions)], before), [])[0] == status
    text = verdict(compare([count(15_000)], before), [])[1]
    assert "forest (avx2): 150.0 instructions a row, where 100.0 are recorded (+50.0%)" in text
    assert "--update" in text


def test_counts_are_compared_for_each_row():
    (found,) = compare([count(30_000, rows=300)], [count(10_000)])
    assert found.change == 0
    assert found.fault is None


def test_variants_are_compared_apart():
    both = [count(100), count(400, variant="portable")]
    found = compare(reversed(both), both)
    assert [one.change for one in found] == [0, 0]
    assert [one.count.variant for one in found] == ["portable", "avx2"]


def test_a_case_that_is_only_counted_or_only_recorded_is_a_fault():
    found = compare([count(100, "new")], [count(100, "old")])
    status, text = verdict(found, [])
    assert status == 1
    assert "new (avx2): counted, but not recorded" in text
    assert "old (avx2): recorded, but not counted here" in text
    assert [one.change for one in found] == [None, None]


def test_lower_counts_are_told():
    assert "1 are lower" in verdict(compare([count(50)], [count(100)]), [])[1]
    assert "lower" not in verdict(compare([count(100)], [count(100)]), [])[1]


def test_counts_of_another_compiler_fail_nothing():
    here, there = {"compiler": "GNU 14.1.0", "processor": "x86_64"}, {"compiler": "GNU 12.2.0", "processor": "x86_64"}
    different = run["differences"](here, there)
    assert different == ["compiler GNU 14.1.0 instead of GNU 12.2.0"]
    status, text = verdict(compare([count(500)], [count(100)]), different)
    assert status == 0
    assert text.startswith("Not comparable")
    assert "GNU 14.1.0 instead of GNU 12.2.0" in text
    assert run["differences"](here, dict(here)) == []
    assert run["differences"](here, {}) != []


def test_the_table_has_a_line_for_each_case():
    found = compare([count(12_345), count(100, "new")], [count(10_000), count(100, "old")])
    head, forest, new, old = run["table"](found).splitlines()
    assert head.split() == ["case", "variant", "instructions", "per", "recorded", "change"]
    assert forest.split() == ["forest", "avx2", "123.5", "row", "100.0", "+23.45%"]
    assert new.split() == ["new", "avx2", "1.0", "row", "new"]
    assert old.split() == ["old", "avx2", "not", "counted", "row", "1.0"]


def test_a_record_is_read_as_it_was_written():
    toolchain, counts = {"compiler": "GNU 12.2.0"}, [count(1), count(2, variant="portable")]
    assert run["read_record"](run["record_text"](toolchain, counts)) == (toolchain, counts)


def test_parts_belong_to_the_cases_in_their_order():
    printed = "compiler\tGNU 12.2.0\tC library\t2.36\nforest\tavx2\trow\t10\nscan\tbaseline\trecord\t20\n"
    toolchain, counts = run["read_driver"](printed, [PART.format(123), PART.format(456)])
    assert toolchain == {"compiler": "GNU 12.2.0", "C library": "2.36"}
    assert counts == [Count("forest", "avx2", "row", 10, 123), Count("scan", "baseline", "record", 20, 456)]
    with pytest.raises(ValueError, match="1 parts for 2 cases"):
        run["read_driver"](printed, [PART.format(123)])
    for wrong in ("events: Ir\n", PART.format(1).replace("count_instructions", "end")):
        with pytest.raises(ValueError, match=r"did not count scan \(baseline\)"):
            run["read_driver"](printed, [PART.format(123), wrong])


@pytest.fixture
def runner(tmp_path, monkeypatch):
    """Return a function that runs main on counts, with a record of its own."""
    module = run["main"].__globals__
    monkeypatch.setitem(module, "RECORD", tmp_path / "counts.json")
    monkeypatch.setitem(module, "build_driver", lambda: None)

    def main(counts, *arguments, compiler="GNU 12.2.0"):
        def run_driver(_driver, names):
            return {"compiler": compiler}, [one for one in counts if not names or one.case in names]

        monkeypatch.setitem(module, "run_driver", run_driver)
        monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
        return run["main"]()

    return main


def test_update_records_what_later_runs_are_compared_with(runner, capsys):
    counts = [count(100), count(50, "scan")]
    assert runner(counts) == 0
    assert "Not comparable" in capsys.readouterr().out
    assert runner(counts, "--update") == 0
    assert runner(counts) == 0
    more = [count(150), count(50, "scan")]
    assert runner(more) == 1
    assert runner(more, "scan") == 0
    assert runner(more, "forest") == 1
    assert runner(more, compiler="GNU 14.1.0") == 0
    assert runner(more, "--update") == 0
    assert runner(more) == 0
    for wrong, message in ((("frest",), "no case named 'frest'"), (("forest", "--update"), "records all cases")):
        with pytest.raises(SystemExit, match="2"):
            runner(more, *wrong)
        assert message in capsys.readouterr().err


def test_the_record_guards_both_variants_of_each_kernel():
    text = (FOLDER / "counts.json").read_text()
    toolchain, counts = run["read_record"](text)
    assert run["record_text"](toolchain, counts) == text
    assert set(toolchain) == {"compiler", "processor", "C library", "simdjson", "valgrind"}
    assert len({one.name for one in counts}) == len(counts)
    assert all(one.instructions > one.count for one in counts)
    cases = {variant: {one.case for one in counts if one.variant == variant} for variant in ("avx2", "portable")}
    assert cases["avx2"] == cases["portable"]
    instructions = {one.name: one.each for one in counts}
    for case in cases["avx2"]:  # vectors are twice as wide; one tree after the other is walked through without
        assert instructions[case, "avx2"] < 1.05 * instructions[case, "portable"]


@pytest.mark.slow
@pytest.mark.skipif(not all(map(shutil.which, ("valgrind", "cmake"))), reason="valgrind or cmake is not installed")
def test_the_driver_counts_the_same_each_time():
    driver = run["build_driver"]()
    names = ["tail ranks, mean of 3", "CSV, columns"]
    toolchain, counts = run["run_driver"](driver, names)
    expected = [(names[0], "avx2"), (names[0], "portable"), (names[1], "baseline")]
    assert [one.name for one in counts] == expected[0 if "AVX2" in toolchain["processor"] else 1 :]
    assert run["run_driver"](driver, names) == (toolchain, counts)
    recorded = json.loads((FOLDER / "counts.json").read_text())
    assert set(recorded["toolchain"]) == set(toolchain)
