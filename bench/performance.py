"""The page of measurements: ``python -m netsieve.bench.performance`` writes docs/performance.md.

It puts together what the other benchmark modules wrote to benchmarks/*.json, so that no figure on the page is
typed by hand, and holds them against the project's aims.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from netsieve.bench import native, native_ensemble, native_forest
from netsieve.bench.event_job import LARGEST_RATIO, SCORE, job_ratios, job_table
from netsieve.bench.gpu import gpu_table
from netsieve.bench.measurement import read_measurements, timing_line
from netsieve.bench.memory import LARGEST_GROWTH, MEMORY_AIM_BYTES, memory_table
from netsieve.bench.neighbour_speed import speed_table
from netsieve.bench.pipelines import COMPARED, EXPERT, EXPERT_SCORES, OURS, STUDENT, pipelines_table
from netsieve.bench.reading import reader_rate, reader_ratio, reading_table
from netsieve.bench.scoring import NOTES, scoring_table
from netsieve.bench.stages import SCORE_STAGE, WRITE_STAGE, stages_table
from netsieve.bench.startup import SCORE as START_SCORE
from netsieve.bench.startup import SCORE_BY_ONNXRUNTIME as START_SCORE_BY_ONNXRUNTIME
from netsieve.bench.startup import startup_table

Measurements = dict[str, list[dict[str, Any]]]

LARGE_ROWS: Final = 10_000_000
SAME_RATE: Final = 0.95
"""Share of the rate at :data:`LARGE_ROWS` that counts as the same at more."""
PIPELINE_AIMS: Final = {
    1_000_000: {STUDENT: 60.0, EXPERT: 1.3},
    10_000_000: {EXPERT: 2.5, EXPERT_SCORES: 5.0},
}
"""How many times faster than each other pipeline, by rows."""
RECORD_AIM_SECONDS: Final = 60e-6
STARTUP_AIM_SECONDS: Final = {START_SCORE: 0.55, START_SCORE_BY_ONNXRUNTIME: 0.8}
READING_RATES: Final = {"eve.flow": ("Suricata events read", 0.6e6), "pcap.packets": ("packets of captures read", 2e6)}
"""Tasks, and lines or packets per second and core."""
READING_RATIOS: Final = {
    "eve.flow": ("Suricata events read", "polars", 6.0),
    "zeek.tsv": ("Zeek's conn log read", "polars", 3.0),
    "pcap.nfstream": ("flows of captures", "nfstream", 15.0),
}
"""Tasks, a peer, and how many times faster than it."""
NATIVE_AIMS: Final = {10: 3.0, 41: 2.5, 115: 2.0}
"""How many times faster than onnxruntime, by features."""
PEAK_WIDTHS: Final = (41, 115)
PEAK_AIM: Final = 0.75
NATIVE_RECORD_WIDTH: Final = 41
NATIVE_RECORD_AIM_SECONDS: Final = 20e-6
FOREST_AIMS: Final = {native_forest.SKLEARN: 15.0, native_forest.ONNXRUNTIME: 10.0}
ENSEMBLE_WIDTH: Final = 41
ENSEMBLE_AIM: Final = 0.4e6
"""Rows per second of the ensemble on one core, with 200 trees and 1,000 stored rows."""
NEIGHBOURS_AIM: Final = 0.5e6
"""Flows per second of the stateful features on one thread."""

TABLE_BEGIN: Final = "<!-- performance: made by netsieve.bench.performance -->"
TABLE_END: Final = "<!-- performance: end -->"

HEADER: Final = """\
# Performance

Every figure here was measured by a module of `netsieve.bench` and written to `benchmarks/`; this page is made
from those files by `python -m netsieve.bench.performance`. Contenders take turns within one run, so that a machine
whose speed drifts treats them alike: **compare ratios**, which are medians of the rounds, with the least and the
most in brackets, rather than absolute times of different tables. Peak memory is what the kernel counted for the
whole process.

`make bench` measures everything but a file of 100 M rows, which `make bench-large` does, `make bench-readers` what
reads files (`READERS_SIZE` and `EVENT_MEGABYTES` say how large), and `make performance` writes this page. What
netsieve is measured against comes with `pip install 'netsieve[bench,peers]'`; a peer that is not installed is named
where its figures would be. nfstream is part of that on Linux on x86-64 alone; on other machines build it as its own
documentation says. isotree comes as source, which takes five minutes to compile. Contenders of scoring in memory are
listed in [bench/contenders.py](../bench/contenders.py).
"""

NO_GPU: Final = """\
Figures of GPUs are still missing: no machine with one was at hand. `python bench/gpu.py` measures one
([how](gpu.md#measuring-a-card)); put the JSON that it writes into `benchmarks/`."""


@dataclass(frozen=True, slots=True)
class Aim:
    """One aim: what, how much, what was reached, and whether that is enough."""

    what: str
    aim: str
    reached: str
    met: bool


def aims(measurements: Measurements) -> Iterator[Aim]:
    """Yield each aim that the measurements speak to."""
    for result in measurements.get("pipelines", []):
        rows = result["rows"]
        at = f"{rows:,} rows of CSV, {result['threads']} threads"
        for peer, least in PIPELINE_AIMS.get(rows, {}).items():
            if times := result["ratios"].get(f"{peer} / {COMPARED[peer]}"):
                reached = median(times)
                name, _, what = peer.partition(", ")
                whose = f"the {name}'s pipeline{what and f' for {what}'}"
                yield Aim(f"faster than {whose}, {at}", f"{least:g}x", f"{reached:.2f}x", reached >= least)
        if OURS in result["cases"]:
            peak = result["cases"][OURS]["peak_rss_bytes"]
            met = peak < MEMORY_AIM_BYTES
            yield Aim(f"peak memory, {at}", f"{MEMORY_AIM_BYTES / 1e6:.0f} MB", f"{peak / 1e6:.0f} MB", met)
    yield from _rate_aims(measurements.get("pipelines", []))
    for result in measurements.get("memory", []):
        for name, measured in result["formats"].items():
            sizes = " to ".join(f"{run['rows']:,}" for run in measured["runs"])
            growth = measured["growth"]
            yield Aim(
                f"growth of the peak memory, {name}, {sizes} rows",
                f"{LARGEST_GROWTH - 1:.0%}",
                f"{growth - 1:+.0%}",
                growth <= LARGEST_GROWTH,
            )
    for result in measurements.get("scoring", []):
        # One record is scored by the calling thread, whatever the others are for
        for width, records in result["records"].items() if result["threads"] == 1 else ():
            seconds = median(next(iter(records.values()))["median_seconds"])
            met = seconds < RECORD_AIM_SECONDS
            yield Aim(
                f"one record, {width} features, median",
                f"{RECORD_AIM_SECONDS * 1e6:.0f} µs",
                f"{seconds * 1e6:.0f} µs",
                met,
            )
    for result in measurements.get("startup", []):
        for what, most in STARTUP_AIM_SECONDS.items():
            seconds = median(result["wall_seconds"][what])
            yield Aim(what, f"{most:g} s", f"{seconds:.2f} s", seconds < most)
    for result in measurements.get("native", []):
        yield from _native_aims(result)
    for result in measurements.get("native-forest", []):
        yield from _forest_aims(result)
    for result in measurements.get("native-ensemble", []):
        yield from _ensemble_aims(result)
    yield from _reading_aims(measurements)


def _native_aims(result: dict[str, Any]) -> Iterator[Aim]:
    """Yield the aims of the native autoencoder, by the best of the machine's instruction sets."""
    for case in result["cases"]:
        width, best = case["width"], next(iter(case["peak"]))
        least = NATIVE_AIMS.get(width)
        if least is not None:
            both = {"one thread": native.one_thread_ratios(case, best), "two threads": native.two_thread_ratios(case)}
            for threads, found in both.items():
                reached = median(found)
                what = f"native kernels faster than onnxruntime, {width} features, {threads}"
                yield Aim(what, f"{least:g}x", f"{reached:.2f}x", reached >= least)
        if width in PEAK_WIDTHS:
            share = median(native.peak_shares(result, case, best, case["network"][best]))
            what = f"network's share of what the core multiplies, {width} features"
            yield Aim(what, f"{PEAK_AIM:.0%}", f"{share:.0%}", share >= PEAK_AIM)
        if width == NATIVE_RECORD_WIDTH:
            seconds = case["record"][native.NATIVE]
            aim = f"{NATIVE_RECORD_AIM_SECONDS * 1e6:.0f} µs"
            met = seconds < NATIVE_RECORD_AIM_SECONDS
            yield Aim(f"one record natively, {width} features, median", aim, f"{seconds * 1e6:.1f} µs", met)


def _forest_aims(result: dict[str, Any]) -> Iterator[Aim]:
    """Yield the aims of the native forest, by the worst case of the best of the machine's instruction sets."""
    for peer, least in FOREST_AIMS.items():
        reached = min(native_forest.peer_ratio(case, peer) for case in result["cases"])
        what = f"native forest faster than {peer}, the least of {len(result['cases'])} cases, one thread"
        yield Aim(what, f"{least:g}x", f"{reached:.1f}x", reached >= least)


def _ensemble_aims(result: dict[str, Any]) -> Iterator[Aim]:
    """Yield the aims of the whole ensemble on one core, by the best of the machine's instruction sets."""
    for case in result["cases"]:
        if case["width"] == ENSEMBLE_WIDTH:
            ensemble = case["detectors"]["ensemble"]
            variants = (each for each in ensemble["microseconds"] if each != native_ensemble.ONNXRUNTIME)
            rate = native_ensemble.rows_per_second(ensemble, next(variants))
            what = f"the ensemble natively, {ENSEMBLE_WIDTH} features, {case['data']}"
            yield Aim(what, f"{ENSEMBLE_AIM / 1e6:g} M rows/s", f"{rate / 1e6:.2f} M rows/s", rate >= ENSEMBLE_AIM)


def _reading_aims(measurements: Measurements) -> Iterator[Aim]:
    """Yield the aims of reading logs, of the neighbour features, and of a whole job on a large file."""
    for tasks in (result["tasks"] for result in measurements.get("reading", [])):
        for name, (what, aim) in READING_RATES.items():
            if name in tasks:
                rate = reader_rate(tasks[name])
                yield Aim(f"{what} on one core", f"{aim / 1e6:g} M/s", f"{rate / 1e6:.2f} M/s", rate >= aim)
        for name, (what, peer, least) in READING_RATIOS.items():
            if name in tasks and (ratio := reader_ratio(tasks[name], peer)) is not None:
                yield Aim(f"{what} faster than {peer}, one core", f"{least:g}x", f"{ratio:.1f}x", ratio >= least)
    for result in measurements.get("neighbour speed", []):
        rate = result["speed"]["rows"] / median(result["speed"]["columns"]["usual"]["seconds"])
        yield Aim(
            "neighbour features, one thread",
            f"{NEIGHBOURS_AIM / 1e6:g} M flows/s",
            f"{rate / 1e6:.2f} M flows/s",
            rate >= NEIGHBOURS_AIM,
        )
    for result in measurements.get("event_job", []):
        for threads in result["threads"]:
            ratio = median(job_ratios(result, threads, SCORE))
            what = f"{result['bytes'] / 1e6:,.0f} MB of events scored to Parquet, against reading alone, "
            what += f"{threads} thread{'s' * (threads != '1')}"
            yield Aim(what, f"{LARGEST_RATIO:g}x", f"{ratio:.2f}x", ratio <= LARGEST_RATIO)


def performance_page(measurements: Measurements) -> str:
    """Return the page as Markdown."""
    parts = [HEADER, "## Aims\n", "| | aim | reached | |", "| --- | --- | --- | --- |"]
    parts += [f"| {a.what} | {a.aim} | {a.reached} | {'met' if a.met else '**not met**'} |" for a in aims(measurements)]
    sections = {
        "pipelines": ("Whole pipelines", pipelines_table),
        "stages": ("Where the time goes", stages_table),
        "memory": ("Memory", memory_table),
        "scoring": ("Scoring in memory", scoring_table),
        "native": ("Native kernels of the autoencoder", native.table),
        "native-forest": ("Native kernels of forests", native_forest.table),
        "native-ensemble": ("Native kernels of the ensemble and other detectors", native_ensemble.ensemble_table),
        "startup": ("Start-up", startup_table),
        "reading": ("Reading logs and captures", reading_table),
        "event_job": ("A large file of Suricata events", job_table),
        "neighbour speed": ("Neighbour features", speed_table),
        "gpu": ("On a GPU", gpu_table),
    }
    for name, (title, table) in sections.items():
        for i, result in enumerate(measurements.get(name, [])):
            parts += ["", f"## {title}\n"] if i == 0 else [""]
            if name == "scoring" and i == 0:
                parts += [f"{NOTES}\n"]
            parts += [f"`benchmarks/{result['file']}`: {timing_line(result)}.\n", table(result)]
            if name == "pipelines":
                parts += ["", _agreement_line(result)]
            if name == "stages":
                parts += ["", _stages_line(result)]
                parts += _floor_lines(result, measurements.get("pipelines", []))
    if "gpu" not in measurements:
        parts += ["", "## On a GPU\n", NO_GPU]
    parts += ["", "## Versions\n", *_version_lines(measurements)]
    return "\n".join(parts) + "\n"


def readme_table(measurements: Measurements) -> str:
    """Return what stands in the README as Markdown: netsieve beside each other way of doing the same."""
    lines = ["| | times as fast |", "| --- | --- |"]
    for result in measurements.get("native", []):
        for case in result["cases"]:
            ratio = median(native.one_thread_ratios(case, next(iter(case["peak"]))))
            lines.append(f"| autoencoder, {case['width']} features, one core, against onnxruntime | {ratio:.1f} |")
    for result in measurements.get("native-forest", []):
        for peer in FOREST_AIMS:
            least, most = (end(native_forest.peer_ratio(case, peer) for case in result["cases"]) for end in (min, max))
            lines.append(f"| isolation forest, one core, against {peer} | {least:.0f} to {most:.0f} |")
    for result in measurements.get("pipelines", []):
        for peer, ours in COMPARED.items():
            if times := result["ratios"].get(f"{peer} / {ours}"):
                others = {STUDENT: "pandas and PyTorch", EXPERT: "Polars and onnxruntime, all columns kept"}
                against = others.get(peer, "Polars and onnxruntime, scores alone")
                lines.append(
                    f"| CSV to scored Parquet, {result['rows']:,} rows, against {against} | {median(times):.1f} |"
                )
    for result in measurements.get("reading", []):
        for name, (what, peer, _) in READING_RATIOS.items():
            if name in result["tasks"] and (times_as_fast := reader_ratio(result["tasks"][name], peer)) is not None:
                lines.append(f"| {what}, one core, against {peer} | {times_as_fast:.1f} |")
    return "\n".join(lines)


def with_table(text: str, table: str) -> str:
    """Return the README with the table between its marks.

    Raises
    ------
    ValueError
        The marks are not there.
    """
    before, begin, rest = text.partition(TABLE_BEGIN)
    _, end, after = rest.partition(TABLE_END)
    if not begin or not end:
        raise ValueError(f"the text has no {TABLE_BEGIN} and {TABLE_END} to put the table between")
    return f"{before}{begin}\n{table}\n{end}{after}"


def _agreement_line(result: dict[str, Any]) -> str:
    agreements = [case["agreement"] for case in result["cases"].values()]
    worst = max(agreement["largest_difference"] for agreement in agreements)
    ranks = min(agreement["rank_correlation"] for agreement in agreements)
    return (
        f"All contenders ran the same network: their scores differ by at most {worst:.0e} of the score plus the "
        f"median score, with a rank correlation of at least {ranks:.6f}."
    )


def _stages_line(result: dict[str, Any]) -> str:
    middles = {stage: median(times) for stage, times in result["seconds"].items()}
    score, write = (middles[stage] / sum(middles.values()) for stage in (SCORE_STAGE, WRITE_STAGE))
    return (
        f"Encoding and the network take {score:.0%} and writing Parquet {write:.0%}. The expert's page writes with the "
        "same library, so that this part cannot be faster than there."
    )


def _rate_aims(pipelines: Sequence[dict[str, Any]]) -> Iterator[Aim]:
    """Yield whether files beyond all memory are scored as fast as large ones."""
    rates = {
        result["rows"]: result["rows"] / median(result["cases"][OURS]["wall_seconds"])
        for result in pipelines
        if OURS in result["cases"]
    }
    if max(rates, default=0) > LARGE_ROWS and LARGE_ROWS in rates:
        share = rates[max(rates)] / rates[LARGE_ROWS]
        what = f"rate at {max(rates):,} rows of CSV, of that at {LARGE_ROWS:,}"
        yield Aim(what, f"{SAME_RATE:.0%}", f"{share:.0%}", share >= SAME_RATE)


def _floor_lines(stages: dict[str, Any], pipelines: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield how much faster than the expert's pages a job could be of which only the network and writing took time."""
    seconds = {stage: median(stages["seconds"][stage]) / stages["rows"] for stage in (SCORE_STAGE, WRITE_STAGE)}
    floors = {EXPERT: sum(seconds.values()), EXPERT_SCORES: seconds[SCORE_STAGE]}
    whole = [result for result in pipelines if floors.keys() <= result["cases"].keys()]
    if not whole:
        return
    largest = max(whole, key=lambda result: result["rows"])
    expert = {name: median(largest["cases"][name]["cpu_seconds"]) / largest["rows"] for name in floors}
    least, least_of_scores = (expert[name] / floors[name] for name in floors)
    yield (
        f"\nIf all else were free, encoding, the network and writing would take {least:.1f} times less CPU time than "
        f"the expert's page does for {largest['rows']:,} rows; for scores only, encoding and the network "
        f"{least_of_scores:.1f} times less."
    )


def _version_lines(measurements: Measurements) -> list[str]:
    files: dict[str, list[str]] = {}
    for result in (result for results in measurements.values() for result in results):
        line = ", ".join(f"{package} {number}" for package, number in result["machine"]["versions"].items())
        files.setdefault(line, []).append(f"`{result['file']}`")
    return [f"{', '.join(names)}: {line}." for line, names in files.items()]


def main(arguments: list[str] | None = None) -> None:
    """Write the page, as the command line asks."""
    parser = argparse.ArgumentParser(
        prog="python -m netsieve.bench.performance", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--measurements", type=Path, default=Path("benchmarks"), help="folder (default: %(default)s)")
    parser.add_argument("--page", type=Path, default=Path("docs/performance.md"), help="file (default: %(default)s)")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="put the table of ratios into this file, too")
    options = parser.parse_args(arguments)
    measurements = read_measurements(options.measurements)
    if not measurements:
        parser.exit(
            1, f"{parser.prog}: no measurements in {options.measurements}; run the benchmarks with --json first\n"
        )
    options.page.parent.mkdir(parents=True, exist_ok=True)
    options.page.write_text(performance_page(measurements), encoding="utf-8")
    if options.readme is not None:
        text = options.readme.read_text(encoding="utf-8")
        options.readme.write_text(with_table(text, readme_table(measurements)), encoding="utf-8")


if __name__ == "__main__":
    main()
