"""Count the instructions of kernels and readers under callgrind, and compare them with ``counts.json``.

``python cpp/instructions/run.py`` builds the driver, runs it and prints a table; ``--update`` writes ``counts.json``
anew. Exit status 1 where a count grew by more than :data:`TOLERANCE`, or a case is on one side only. Counts of another
compiler or library are shown, but fail nothing. Needs g++, cmake, simdjson and valgrind; of Python nothing but itself.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build" / "instructions"
RECORD = HERE / "counts.json"
TOLERANCE: Final = 0.01
"""Share by which a count may grow. Runs of one build do not differ; small changes elsewhere may move a few."""
FUNCTION: Final = "count_instructions"
"""The driver's function that each case is called from, and whose instructions are counted."""

Toolchain = Mapping[str, str]


@dataclass(frozen=True)
class Count:
    """Instructions of a case.

    ``unit`` says of what there were ``count`` in its input: rows, records, packets.
    """

    case: str
    variant: str
    unit: str
    count: int
    instructions: int

    @property
    def name(self) -> tuple[str, str]:
        """Case and variant."""
        return self.case, self.variant

    @property
    def each(self) -> float:
        """Instructions for each row, record or packet."""
        return self.instructions / self.count


@dataclass(frozen=True)
class Comparison:
    """A case as it was counted and as it is recorded; ``None`` where it is not."""

    counted: Count | None
    recorded: Count | None

    @property
    def count(self) -> Count:
        """The count, that of the record if there is none."""
        found = self.counted or self.recorded
        assert found is not None
        return found

    @property
    def change(self) -> float | None:
        """Share by which the instructions grew."""
        if self.counted is None or self.recorded is None:
            return None
        return self.counted.each / self.recorded.each - 1

    @property
    def fault(self) -> str | None:
        """What is wrong, as a line of text."""
        name = f"{self.count.case} ({self.count.variant})"
        if self.counted is None:
            return f"{name}: recorded, but not counted here"
        if self.recorded is None:
            return f"{name}: counted, but not recorded"
        if self.change is None or self.change <= TOLERANCE:
            return None
        return (
            f"{name}: {self.counted.each:,.1f} instructions a {self.counted.unit}, "
            f"where {self.recorded.each:,.1f} are recorded ({self.change:+.1%})"
        )


def compare(counted: Iterable[Count], recorded: Iterable[Count]) -> list[Comparison]:
    """Return the cases of both, those that were counted first."""
    before = {count.name: count for count in recorded}
    found = [Comparison(count, before.pop(count.name, None)) for count in counted]
    return found + [Comparison(None, count) for count in before.values()]


def differences(here: Toolchain, recorded: Toolchain) -> list[str]:
    """Return in words what counts depend on and is not the same."""
    return [
        f"{name} {here.get(name, 'unknown')} instead of {recorded.get(name, 'unknown')}"
        for name in sorted({*here, *recorded})
        if here.get(name) != recorded.get(name)
    ]


def table(comparisons: Sequence[Comparison]) -> str:
    """Return the comparisons as lines of text."""
    rows = [("case", "variant", "instructions per", "", "recorded", "change")]
    for found in comparisons:
        each = "not counted" if found.counted is None else f"{found.counted.each:,.1f}"
        recorded = "new" if found.recorded is None else f"{found.recorded.each:,.1f}"
        change = "" if found.change is None else f"{found.change:+.2%}"
        rows.append((found.count.case, found.count.variant, each, found.count.unit, recorded, change))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    to_the_left = (True, True, False, True, False, False)
    return "".join(
        "  ".join(
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(row, widths, to_the_left, strict=True)
        ).rstrip()
        + "\n"
        for row in rows
    )


def verdict(comparisons: Sequence[Comparison], different: Sequence[str]) -> tuple[int, str]:
    """Return the exit status, and what to say below the table."""
    if different:
        return 0, f"Not comparable with the recorded counts, and so only shown: {'; '.join(different)}.\n"
    faults = [found.fault for found in comparisons if found.fault]
    if not faults:
        fewer = sum(1 for found in comparisons if (found.change or 0) < -TOLERANCE)
        hint = f" {fewer} are lower by more: record them with --update.\n" if fewer else "\n"
        return 0, f"No count is more than {TOLERANCE:.0%} above the recorded one.{hint}"
    advice = "Make them cheaper again, or record them with cpp/instructions/run.py --update and say why.\n"
    return 1, "".join(f"{fault}\n" for fault in faults) + advice


def read_record(text: str) -> tuple[Toolchain, list[Count]]:
    """Return what :func:`record_text` wrote."""
    content = json.loads(text)
    return content["toolchain"], [Count(**entry) for entry in content["counts"]]


def record_text(toolchain: Toolchain, counts: Iterable[Count]) -> str:
    """Return the record as JSON, a case a line."""
    entries: list[dict[str, Any]] = [vars(count) for count in counts]
    lines = ",\n".join(f"  {json.dumps(entry)}" for entry in entries)
    return f'{{\n "toolchain": {json.dumps(dict(toolchain))},\n "counts": [\n{lines}\n ]\n}}\n'


def read_driver(text: str, parts: Sequence[str]) -> tuple[Toolchain, list[Count]]:
    """Return what the driver printed, and callgrind wrote of each call of :data:`FUNCTION`."""
    head, *lines = text.splitlines()
    words = head.split("\t")
    if len(lines) != len(parts):
        raise ValueError(f"callgrind wrote {len(parts)} parts for {len(lines)} cases")
    counts = []
    for line, part in zip(lines, parts, strict=True):
        case, variant, unit, count = line.split("\t")
        total = re.search(r"^totals: (\d+)$", part, re.MULTILINE)
        if total is None or f"desc: Trigger: --dump-after={FUNCTION}\n" not in part:
            raise ValueError(f"callgrind did not count {case} ({variant})")
        counts.append(Count(case, variant, unit, int(count), int(total[1])))
    return dict(zip(words[::2], words[1::2], strict=True)), counts


def build_driver() -> Path:
    """Build the driver and return its path."""
    jobs = str(os.cpu_count() or 1)
    configure = ["cmake", "-S", str(HERE), "-B", str(BUILD), "-DCMAKE_BUILD_TYPE=Release"]
    for command in (configure, ["cmake", "--build", str(BUILD), "--target", "instructions", "-j", jobs]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{done.stdout}{done.stderr}The driver could not be built.")
    return BUILD / "instructions"


def run_driver(driver: Path, names: Sequence[str]) -> tuple[Toolchain, list[Count]]:
    """Run cases under callgrind, all without names, and return what counts depend on and the counts."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise SystemExit("There is no valgrind on this machine; install the package valgrind.")
    with TemporaryDirectory() as folder:
        out = Path(folder) / "part"
        options = [f"--toggle-collect={FUNCTION}", f"--dump-after={FUNCTION}", f"--callgrind-out-file={out}"]
        command = [valgrind, "--quiet", "--tool=callgrind", "--collect-atstart=no", *options, str(driver), *names]
        # The environment lies on the stack, and moves what lies behind it
        kept = {name: value for name, value in os.environ.items() if name == "VALGRIND_LIB"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=kept)
        if done.returncode:
            raise SystemExit(f"{done.stderr}The driver ended with status {done.returncode}.")
        paths = sorted(Path(folder).glob("part.*"), key=lambda path: int(path.suffix[1:]))
        toolchain, counts = read_driver(done.stdout, [path.read_text() for path in paths])
    version = subprocess.run([valgrind, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return {**toolchain, "valgrind": version.removeprefix("valgrind-")}, counts


def main() -> int:
    """Build, run, compare or record; return the exit status."""
    parser = argparse.ArgumentParser(description="Count the instructions of kernels and readers.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="names as the table has them; all unless named")
    parser.add_argument("--update", action="store_true", help="record the counts in counts.json")
    options = parser.parse_args()
    if options.update and options.cases:
        parser.error("--update records all cases; name none")
    toolchain, counts = run_driver(build_driver(), options.cases)
    before: Toolchain = {}
    recorded: list[Count] = []
    if RECORD.exists():
        before, recorded = read_record(RECORD.read_text())
    if options.cases:
        unknown = sorted({*options.cases} - {count.case for count in counts})
        if unknown:
            parser.error(f"no case named '{unknown[0]}'; the table of all cases has their names")
        recorded = [count for count in recorded if count.case in options.cases]
    comparisons = compare(counts, recorded)
    sys.stdout.write(table(comparisons) + "\n")
    if options.update:
        RECORD.write_text(record_text(toolchain, counts))
        sys.stdout.write(f"Recorded in {RECORD.name}.\n")
        return 0
    status, text = verdict(comparisons, differences(toolchain, before))
    sys.stdout.write(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
