"""The page of detection quality as Markdown, from the measurements of ``netsieve.bench.results``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from netsieve.bench.ablation import LARGEST_TEST, LARGEST_TRAIN
from netsieve.bench.aim_page import aim_sections, combination_section
from netsieve.bench.datasets import BY_FILE_SETS, DEVELOPMENT_SETS, MAIN_SETS
from netsieve.bench.detector_page import detector_sections, hybrid_sections
from netsieve.bench.machine import machine_line
from netsieve.bench.measurement import mean_and_spread
from netsieve.bench.neighbour_page import neighbour_sections
from netsieve.bench.quality import FOREST_PREPARED, FOREST_RAW, FOREST_TREES, NETSIEVE
from netsieve.bench.sequence_page import sequence_sections

AUROC_AIM: Final = 0.03
AP5_AIM: Final = 0.10
LARGEST_LOSS: Final = 0.01

COMPARED: Final = (
    ("AUROC", "auroc", NETSIEVE),
    ("forest raw", "auroc", FOREST_RAW),
    ("forest prepared", "auroc", FOREST_PREPARED),
    ("AP5", "average_precision_5", NETSIEVE),
    ("forest raw", "average_precision_5", FOREST_RAW),
    ("forest prepared", "average_precision_5", FOREST_PREPARED),
    ("AP", "average_precision", NETSIEVE),
    ("forest raw", "average_precision", FOREST_RAW),
    ("recall", "recall_at_1e_2", NETSIEVE),
    ("forest raw", "recall_at_1e_2", FOREST_RAW),
)
"""Columns of the tables: heading, measure, contender."""

HEADER: Final = """\
# Detection quality

Every figure here was measured by `python -m netsieve.bench.results` on real public data and written to `benchmarks/`;
this page is made from those files by the same command (`--page-only` makes it again, `--quick` tries it out).

BETH and N-BaIoT are not among the sets: of their files only heads were at hand. Whoever has them can run
[their experiments](experiments.md). Nor is zeek_ctu_sme11_remcos: 47 of its 766 flows are benign, of which 17 would be
left to train on and 5 to calibrate with.
"""
PROTOCOL: Final = f"""\
## Protocol

- Of the normal records 36 % train, 4 % validate (early stopping, residual scales), 10 % calibrate, 50 % test. All
  attacks are tested on and never seen before. Where the set has usable times the parts follow each other in time,
  else they are drawn at random; the seed sets that draw, the network's start and the order of its batches.
- netsieve runs its whole product path with its defaults and one recipe for all sets: columns inferred, trained,
  exported, and the exported model file scored by `netsieve.Scorer`. Columns made from the label are named to be
  ignored; addresses, identifiers, time stamps and client ports are left out by inference.
- The isolation forest is scikit-learn's, {FOREST_TREES} trees, otherwise its defaults, fitted on the same 40 %
  (training and validation) and the same columns: *raw* takes numbers as they are (0 for missing) and categories
  one-hot; *prepared* takes netsieve's prepared columns.
- **AP5** is average precision with the attacks weighted to be 5 % of the records. The sets' own shares of attacks, up
  to 97 %, make plain average precision (AP) look good for anything. *Recall* is at a false-positive rate of 1e-2.
- Several sets are samples (see the data's own notes): a result here is no result on the published whole. Figures are
  mean ± standard deviation over the seeds; differences below 0.02 on one set are noise.
"""


def results_page(measurements: dict[str, list[dict[str, Any]]]) -> str:
    """Return the page; sections without a measurement are left out."""
    parts = [HEADER]
    for result in measurements.get("quality", []):
        parts += [_provenance(result), PROTOCOL, *_quality_sections(result)]
        for ensemble in measurements.get("ensemble", []):
            parts += aim_sections(ensemble, result)
    for result in measurements.get("detectors", []):
        parts += detector_sections(result)
    for result in measurements.get("hybrid", []):
        parts += hybrid_sections(result)
    for result in measurements.get("neighbours", []):
        parts += neighbour_sections(result)
    for result in measurements.get("sequences", []):
        parts += sequence_sections(result)
    for result in measurements.get("ablation", []):
        parts += _ablation_section(result)
    for result in measurements.get("combinations", []):
        parts += combination_section(result)
    return "\n".join(parts).rstrip() + "\n"


def _provenance(result: dict[str, Any]) -> str:
    seeds = ", ".join(map(str, result["seeds"]))
    versions = ", ".join(f"{name} {number}" for name, number in result["machine"]["versions"].items())
    cut = f" **A trial run on at most {result['largest_rows']:,} records a set.**" if result.get("largest_rows") else ""
    return (
        f"Measured {result['measured'][:10]} in {result['seconds'] / 60:.0f} minutes, seeds {seeds}, on "
        f"{machine_line(result['machine'])}; {versions}.{cut}\n"
    )


def _quality_sections(result: dict[str, Any]) -> Iterable[str]:
    runs = result["runs"]
    for title, names in (
        ("Main sets", MAIN_SETS),
        ("Development sets", DEVELOPMENT_SETS),
        ("Labelled by file", BY_FILE_SETS),
    ):
        present = [name for name in names if name in runs]
        if not present:
            continue
        yield f"## {title}\n"
        if names is DEVELOPMENT_SETS:
            yield "The default recipe was chosen on these (see *What was compared*), so they are no proof of it.\n"
        if names is BY_FILE_SETS:
            yield (
                "The comma-separated argus files have no labels of their own. Trained on the first half of a normal "
                "host's flows (CTU-Normal-7), every flow of a capture of an infected host counts as an attack, "
                "although not every one is: a weak label.\n"
            )
        yield from _comparison_table(runs, present)
        yield ""
        behind = _sets_behind(runs, present)
        if behind:
            yield f"The raw forest is ahead by more than {LARGEST_LOSS:g} on {', '.join(behind)}.\n"
        if names is MAIN_SETS:
            yield from _aims(runs, present)
    yield from _threshold_table(runs)


def _comparison_table(runs: dict[str, Any], names: Sequence[str]) -> Iterable[str]:
    yield f"| set | {' | '.join(heading for heading, _, _ in COMPARED)} |"
    yield "| --- |" + " --- |" * len(COMPARED)
    for name in names:
        cells = [mean_and_spread(_values(runs[name], contender, measure)) for _, measure, contender in COMPARED]
        yield f"| {name} | {' | '.join(cells)} |"
    if len(names) > 1:
        means = [f"**{_set_mean(runs, names, contender, measure):.3f}**" for _, measure, contender in COMPARED]
        yield f"| **mean** | {' | '.join(means)} |"


def _sets_behind(runs: dict[str, Any], names: Sequence[str]) -> list[str]:
    found = []
    for name in names:
        for heading, measure in (("AUROC", "auroc"), ("AP5", "average_precision_5")):
            gain = _set_mean(runs, [name], NETSIEVE, measure) - _set_mean(runs, [name], FOREST_RAW, measure)
            if gain < -LARGEST_LOSS:
                found.append(f"{name} ({heading} {gain:+.3f})")
    return found


def _aims(runs: dict[str, Any], names: Sequence[str]) -> Iterable[str]:
    def gain(measure: str, sets: Sequence[str]) -> float:
        return _set_mean(runs, sets, NETSIEVE, measure) - _set_mean(runs, sets, FOREST_RAW, measure)

    rows = []
    for heading, measure, aim in (("AUROC", "auroc", AUROC_AIM), ("AP5", "average_precision_5", AP5_AIM)):
        rows.append((f"mean {heading} above the raw forest's", aim, gain(measure, names), ""))
        reached, where = min((gain(measure, [name]), name) for name in names)
        rows.append((f"{heading} of the worst set against it", -LARGEST_LOSS, reached, f" ({where})"))
    yield "| | aim, at least | reached | |"
    yield "| --- | --- | --- | --- |"
    for what, aim, reached, where in rows:
        met = "met" if reached >= aim else "**not met**"
        yield f"| {what} | {aim:+.2f} | {reached:+.3f}{where} | {met} |"
    yield ""


def _threshold_table(runs: dict[str, Any]) -> Iterable[str]:
    lines = []
    for name, repeats in runs.items():
        for policy in repeats[0]["thresholds"]:
            rates = [run["thresholds"][policy] for run in repeats if policy in run["thresholds"]]
            inside = sum(rate["low"] <= rate["realised"] <= rate["high"] for rate in rates)
            realised = ", ".join(f"{rate['realised']:.4f}" for rate in rates)
            lines.append(
                f"| {name} | {repeats[0]['split']} | `{policy}` | {rates[0]['calibration_rows']:,} | {realised} | "
                f"{rates[0]['low']:.4f} to {rates[0]['high']:.4f} | {inside} of {len(rates)} |"
            )
    if lines:
        yield "## Thresholds asked and realised\n"
        yield (
            "The false-positive rate asked for, and the one on the normal test records of each seed. The interval "
            "holds 99 % of realised rates where calibration and test records are exchangeable; a split by time makes "
            "no such promise.\n"
        )
        yield "| set | split | asked | calibration rows | realised | interval | inside |"
        yield "| --- | --- | --- | --- | --- | --- | --- |"
        yield from lines
        yield ""


def _ablation_section(result: dict[str, Any]) -> Iterable[str]:
    runs = result["runs"]
    development = [name for name in DEVELOPMENT_SETS if name in runs]
    main = [name for name in MAIN_SETS if name in runs]
    first = next(iter(runs.values()))[0]
    variants = [(entry["network"], entry["score"]) for entry in first]

    def mean(names: Sequence[str], variant: tuple[str, str], measure: str) -> float:
        values = [
            entry[measure]
            for name in names
            for run in runs[name]
            for entry in run
            if (entry["network"], entry["score"]) == variant
        ]
        return float(np.mean(values)) if values else float("nan")

    yield "## What was compared\n"
    yield (
        f"Networks that differ from one reference in one respect each, scored in several ways; seeds "
        f"{', '.join(map(str, result['seeds']))}, at most {LARGEST_TRAIN:,} training rows and {LARGEST_TEST:,} normal "
        "and as many attack rows a set; sorted by the sum of AUROC and AP5 on the development sets. The reference was "
        "the recipe of an earlier study on these very sets.\n\n"
        "The choice: among variants with denoising and on the development sets alone, the latent distance, the signed "
        "logarithm, the rarity columns and longer training each gain, and the default is within 0.02, which is noise, "
        "of the best of all variants. Reasons that need no labels decide among those: without denoising residuals "
        "shrink towards float32's resolution, which costs the exported graph its agreement with the reference; and a "
        "mean of logarithms cannot be ruled by one column. The main sets have no part in that rule, but they were in "
        "view: nsl_kdd's spread between seeds is what prompted the search for a steadier score, so the main means are "
        "a little optimistic.\n"
    )
    yield "| network | score | development AUROC | AP5 | recall | main AUROC | AP5 | recall |"
    yield "| --- |" + " --- |" * 7
    rows = []
    for variant in variants:
        cells = [
            mean(names, variant, measure)
            for names in (development, main)
            for measure in ("auroc", "average_precision_5", "recall_at_1e_2")
        ]
        rows.append((variant, cells))
    for variant, cells in sorted(rows, key=lambda row: -(row[1][0] + row[1][1])):
        yield f"| {variant[0]} | {variant[1]} | {' | '.join(f'{cell:.3f}' for cell in cells)} |"
    yield ""


def _values(repeats: Sequence[dict[str, Any]], contender: str, measure: str) -> list[float]:
    return [float(run["contenders"][contender][measure]) for run in repeats]


def _set_mean(runs: dict[str, Any], names: Sequence[str], contender: str, measure: str) -> float:
    return float(np.mean([np.mean(_values(runs[name], contender, measure)) for name in names]))
