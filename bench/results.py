"""The page of detection quality: ``python -m netsieve.bench.results`` measures and writes docs/results.md.

What was measured is kept in benchmarks/ (quality, ensemble, neighbours, detectors, hybrid, sequences, ablation); the
page is made from these files, so that no figure on it is typed by hand. All but the ablation is measured unless a
part is asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from netsieve.bench.ablation import compare_variants
from netsieve.bench.aim_page import AIMS
from netsieve.bench.datasets import BY_FILE_SETS, SETS, LabelledSet, load_set
from netsieve.bench.detectors import LARGEST_SET, measure_detectors, measure_hybrid
from netsieve.bench.machine import describe_machine
from netsieve.bench.measurement import read_measurements, write_measurement
from netsieve.bench.neighbour_results import NEIGHBOUR_SETS, measure_neighbours
from netsieve.bench.quality import measure_ensemble, measure_set
from netsieve.bench.results_page import results_page
from netsieve.bench.sequence_results import SEQUENCE_SETS, measure_sequences

SEEDS: Final = (0, 1, 2)
ABLATION_SEEDS: Final = (0,)
QUICK_ROWS: Final = 5_000
QUALITY_FILE: Final = "quality.json"
ENSEMBLE_FILE: Final = "ensemble.json"
ABLATION_FILE: Final = "ablation.json"
NEIGHBOURS_FILE: Final = "neighbours.json"
DETECTORS_FILE: Final = "detectors.json"
HYBRID_FILE: Final = "hybrid.json"
SEQUENCES_FILE: Final = "sequences.json"


PARTS: Final = ("quality", "ensemble", "neighbours", "detectors", "hybrid", "sequences")
"""What is measured where nothing else is asked for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for and write the page."""
    parser = argparse.ArgumentParser(prog="python -m netsieve.bench.results", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the real data sets (default: $NETSIEVE_DATA)")
    parser.add_argument(
        "--sets", nargs="+", choices=(*SETS, *NEIGHBOUR_SETS, *SEQUENCE_SETS), metavar="SET", help="default: all"
    )
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="seeds of split and training")
    parser.add_argument("--quick", action="store_true", help=f"one seed, at most {QUICK_ROWS:,} records a set")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--quality", action="store_true", help="only measure the detector on the labelled tables")
    part.add_argument("--ensemble", action="store_true", help="only measure the ensemble on the same tables")
    part.add_argument("--neighbours", action="store_true", help="only measure what neighbour features add")
    part.add_argument("--detectors", action="store_true", help="only compare the detectors with each other and peers")
    part.add_argument("--hybrid", action="store_true", help="only measure what labels of some attacks add")
    part.add_argument("--sequences", action="store_true", help="only measure the detectors of sequences")
    part.add_argument("--ablation", action="store_true", help="only compare variants of the recipe")
    parser.add_argument("--page-only", action="store_true", help="only write the page from earlier measurements")
    parser.add_argument("--measurements", type=Path, default=Path("benchmarks"), help="default: %(default)s")
    parser.add_argument("--page", type=Path, default=Path("docs/results.md"), help="default: %(default)s")
    options = parser.parse_args(arguments)
    if not options.page_only:
        root = options.data or _default_data()
        if root is None or not (root / "README.md").is_file():
            print("netsieve: error: no real data found; name its folder with --data or NETSIEVE_DATA", file=sys.stderr)
            return 1
        _measure_parts(options, root)
    options.page.parent.mkdir(parents=True, exist_ok=True)
    options.page.write_text(results_page(read_measurements(options.measurements)), encoding="utf-8")
    print(f"{options.page} written")
    return 0


def _measure_parts(options: argparse.Namespace, root: Path) -> None:
    """Measure the parts that are asked for, each into its file."""
    seeds = options.seeds or (SEEDS[:1] if options.quick else SEEDS)
    wanted = options.sets or (*SETS, *NEIGHBOUR_SETS, *SEQUENCE_SETS)

    def load(name: str) -> LabelledSet:
        return load_set(name, root)

    if options.ablation:
        sets = [name for name in SETS if name in wanted and name not in BY_FILE_SETS]

        seeds = options.seeds or ABLATION_SEEDS
        _measure("ablation", options.measurements / ABLATION_FILE, sets, seeds, load, compare_variants)
        return
    largest = QUICK_ROWS if options.quick else None
    sets = [name for name in SETS if name in wanted]
    chosen = [part for part in PARTS if getattr(options, part)] or PARTS
    if "quality" in chosen:
        path = options.measurements / QUALITY_FILE
        _measure("quality", path, sets, seeds, load, partial(measure_set, largest=largest), largest_rows=largest)
    if "ensemble" in chosen:
        path, own = options.measurements / ENSEMBLE_FILE, [name for name in sets if name in AIMS]
        _measure("ensemble", path, own, seeds, load, partial(measure_ensemble, largest=largest), largest_rows=largest)
    if "neighbours" in chosen:
        _measure(
            "neighbours",
            options.measurements / NEIGHBOURS_FILE,
            [name for name in NEIGHBOUR_SETS if name in wanted],
            seeds,
            lambda name: name,
            lambda name, seed: measure_neighbours(name, root, seed, quick=options.quick),
            quick=options.quick,
        )
    tables = [name for name in sets if name not in BY_FILE_SETS]
    size = largest or LARGEST_SET
    if "detectors" in chosen:
        path = options.measurements / DETECTORS_FILE
        _measure("detectors", path, tables, seeds, load, partial(measure_detectors, largest=size), largest_rows=size)
    if "hybrid" in chosen:
        path = options.measurements / HYBRID_FILE
        _measure("hybrid", path, tables, seeds, load, partial(measure_hybrid, largest=size), largest_rows=size)
    if "sequences" in chosen:
        _measure(
            "sequences",
            options.measurements / SEQUENCES_FILE,
            [name for name in SEQUENCE_SETS if name in wanted],
            options.seeds or SEEDS[:1],
            lambda name: name,
            lambda name, seed: measure_sequences(name, root, seed, quick=options.quick),
            quick=options.quick,
        )


def _default_data() -> Path | None:
    named = os.environ.get("NETSIEVE_DATA")
    return Path(named) if named else Path("../shared/data")


def _measure(  # noqa: PLR0917
    benchmark: str,
    path: Path,
    sets: Sequence[str],
    seeds: Sequence[int],
    load: Callable[[str], Any],
    measure: Callable[[Any, int], Any],
    **settings: Any,
) -> None:
    """Measure every set with every seed, and write the measurement after each so that nothing is lost.

    Sets that are not measured now keep what an earlier measurement of the same kind found.
    """
    runs, files, before = _kept(path, {"benchmark": benchmark, "seeds": list(seeds), **settings}, sets)
    started = time.perf_counter()
    for name in sets:
        loaded = load(name)
        if isinstance(loaded, LabelledSet):
            files[name] = loaded.file
        for seed in seeds:
            set_started = time.perf_counter()
            runs.setdefault(name, []).append(measure(loaded, seed))
            print(f"{name}, seed {seed}: {time.perf_counter() - set_started:.1f} s", file=sys.stderr, flush=True)
        result = {
            "benchmark": benchmark,
            "machine": describe_machine(),
            "measured": datetime.now(UTC).isoformat(timespec="seconds"),
            "seeds": list(seeds),
            "seconds": before + time.perf_counter() - started,
            "files": files,
            "runs": runs,
            **settings,
        }
        write_measurement(path, result)


def _kept(
    path: Path, same: dict[str, Any], measured_now: Sequence[str]
) -> tuple[dict[str, list[Any]], dict[str, str], float]:
    """Return runs and files of the other sets, and the seconds it took, of an earlier measurement of the same kind."""
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if any(earlier.get(key) != value for key, value in same.items()):
        return {}, {}, 0.0
    runs = {name: found for name, found in earlier["runs"].items() if name not in measured_now}
    files = {name: file for name, file in earlier["files"].items() if name in runs}
    share = len(runs) / max(len(earlier["runs"]), 1)
    return runs, files, share * float(earlier["seconds"])


if __name__ == "__main__":
    sys.exit(main())
