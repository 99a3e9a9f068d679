"""The seeds of cpp/fuzz: what seeds.py writes, and read without losing a record."""

import json
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from netsieve.engine.errors import SourceError
from netsieve.engine.sources import ReadOptions
from netsieve.engine.sources.reading import scan

FUZZ = Path(__file__).resolve().parents[2] / "cpp" / "fuzz"
SEEDS = FUZZ / "seeds"
BLOCK = 64
# file name, options, and bytes that only the fuzz targets read, in front of the text
FORMATS = {
    "records": ("seed.csv", {"input_format": "csv"}, 2),
    "zeek": ("conn.log", {"input_format": "zeek"}, 2),
    "json_lines": ("seed.ndjson", {"input_format": "ndjson"}, 1),
    "pcap": ("seed.pcap", {"input_format": "pcap"}, 1),
}


def test_the_page_shows_the_results_of_the_last_run():
    run = runpy.run_path(str(FUZZ / "run.py"))
    record = json.loads((FUZZ / "results.json").read_text())
    assert run["results_section"](record) in (FUZZ / "README.md").read_text()
    assert {result["target"] for result in record["results"]} == {path.name for path in SEEDS.iterdir()}


def folder_content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_seeds_are_those_that_the_script_writes(tmp_path):
    subprocess.run([sys.executable, FUZZ / "seeds.py", tmp_path], check=True)
    assert folder_content(tmp_path) == folder_content(SEEDS)
    assert set(FORMATS) < {path.name for path in SEEDS.iterdir()}


def read(path, block_bytes, **options):
    """Return the numbers of the records taken and rejected, the latter with their places, and counts of others."""
    rows, rejects, skipped = [], [], Counter()
    for block in scan([str(path)], options=ReadOptions(**options), block_bytes=block_bytes):
        assert block.frame.height == len(block.record)
        rows += [int(number) for number in block.record]
        rejects += [(reject.record, reject.offset, reject.reason) for reject in block.rejects]
        skipped.update(block.skipped)
    return rows, rejects, skipped


@pytest.mark.parametrize("target", FORMATS)
def test_no_record_of_a_seed_is_lost_wherever_blocks_end(target, tmp_path):
    name, options, behind = FORMATS[target]
    taken = rejected = 0
    for seed in sorted((SEEDS / target).iterdir()):
        path = tmp_path / name
        path.write_bytes(seed.read_bytes()[behind:])
        try:
            rows, rejects, skipped = read(path, 1 << 20, **options)
        except SourceError:  # nothing in it can be read
            with pytest.raises(SourceError):
                read(path, BLOCK, **options)
            continue
        numbers = [*rows, *(number for number, *_ in rejects if number is not None)]
        assert len(set(numbers)) == len(numbers), seed.name
        parts = read(path, BLOCK, **options)
        if target == "records":  # the kinds of the columns are those of the first block
            numbers_of_parts = sorted([*parts[0], *(number for number, *_ in parts[1])])
            assert (numbers_of_parts, parts[2]) == (sorted(numbers), skipped), seed.name
        else:
            assert parts == (rows, rejects, skipped), seed.name
        taken += len(rows)
        rejected += len(rejects)
    assert taken > 20
    assert rejected > 3


@pytest.mark.slow
def test_seeds_pass_the_sanitizers():
    subprocess.run(["make", "-C", FUZZ], check=True, capture_output=True)
    for target in SEEDS.iterdir():
        program = FUZZ.parents[1] / "build" / "fuzz" / f"fuzz_{target.name}"
        done = subprocess.run(
            [program, *sorted(target.iterdir())], check=False, capture_output=True, text=True, cwd=program.parent
        )
        assert done.returncode == 0, done.stderr
        assert f'"executions": {len(list(target.iterdir()))}' in done.stdout


@pytest.mark.slow
def test_the_driver_is_led_by_coverage_to_a_fault_and_keeps_its_input(tmp_path):
    subprocess.run(["make", "-C", FUZZ], check=True, capture_output=True)
    (tmp_path / "target.cpp").write_text(
        """
        #include <cstddef>
        #include <cstdint>
        #include <cstdlib>
        extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
            if (size < 40) return 0;
            if (data[10] == 'f')
                if (data[20] == 'l')
                    if (data[30] == 'o')
                        if (data[39] == 'w') std::abort();
            return 0;
        }
        """
    )
    driver = [FUZZ.parents[1] / "build" / "fuzz" / "driver" / f"{name}.o" for name in ("driver", "coverage", "mutator")]
    command = ["g++", "-fsanitize=address", "-fsanitize-coverage=trace-pc", "-o", tmp_path / "fuzz"]
    subprocess.run([*command, tmp_path / "target.cpp", *driver], check=True)
    seeds, out = tmp_path / "seeds", tmp_path / "out"
    seeds.mkdir()
    (seeds / "blank").write_bytes(bytes(60))
    (tmp_path / "tokens").write_text("")
    words = [tmp_path / "fuzz", "--fuzz", "60", "1", tmp_path / "tokens", seeds, out]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert '"faults": 1' in done.stdout
    (fault,) = out.glob("fault-*")
    content = fault.read_bytes()
    assert bytes(content[at] for at in (10, 20, 30, 39)) == b"flow"
    assert subprocess.run([tmp_path / "fuzz", fault], check=False, capture_output=True, cwd=out).returncode == 1
