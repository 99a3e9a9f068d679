"""The sections of the page of detection quality that tell what neighbour features add."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from netsieve.bench.machine import machine_line
from netsieve.bench.measurement import mean_and_spread
from netsieve.bench.neighbour_results import BEACON, BEACON_WAYS, FREQUENT, VARIANTS

MEASURES: Final = (
    ("AUROC", "auroc"),
    ("AP5", "average_precision_5"),
    ("AP", "average_precision"),
    ("recall at 1e-2", "recall_at_1e_2"),
    ("at 1e-3", "recall_at_1e_3"),
)
LEAST_CHANGE: Final = 0.02
"""Differences below are noise, and so are those below the deviation over seeds."""
LONGEST_HOURS: Final = 1000.0
"""Captures that lie further apart are of different times."""
INTRODUCTION: Final = """\
## Neighbour features on real traffic

The same model without and with [the features of the records around](neighbours.md) (`--neighbours`), measured by
`python -m netsieve.bench.results --neighbours`.

- The files are read by netsieve's own sources, and the features are those of the ready schema of their record type;
  nothing is chosen by set. The neighbour features of every record are computed of all records before it, attacks too,
  in the order of the file, and the exported model file scores all in that order with the hosts' state going along.
  suricata_slips_test6 is in no order of time and is sorted for this, as training asks for.
- Of the normal records the first 36 % train, the next 4 % validate and 10 % calibrate; the last 50 % and all attacks
  are tested on. Attacks never train, with two exceptions, where the labels are used for nothing but the measures:
  suricata_slips_test6 is trained on the first half of all its flows and tested on the last, and the beacon's set says
  what trained.
- Recall is told at rates that the normal test records can show (at 1e-3 from 1,000 on). Figures are mean ± standard
  deviation over seeds of the training; differences below 0.02, or below that deviation, are noise.
"""
NOTES: Final = """\
Where the labels come from: IoT-23's and slips_test5's are in the files. argus_207_1 and argus_slips_test2 take every
flow of an infected host for an attack and the flows of another, normal host (CTU-Normal-7) for normal; pcap_flows takes
four harmless captures of different networks (their first halves train) and four malicious ones. There a capture is told
from another as much as an attack from normal traffic, and the first records of every capture have no neighbours yet.

The windows are those that the hours of training can fill ([why](neighbours.md#how-long-to-train)); counts over an hour,
which in a capture of minutes only grow, are not taken. On argus_207_1 and argus_slips_test2 that is not what does the
harm, which stays: most of their normal flows are ICMP probes of one host by another, so that training knows one host's
counts, from its first flow on. An infected host that begins anew has counts like these, and the plain columns that tell
the two captures apart are a smaller part of the score.

suricata_slips_test6 takes flows that an alert of the same file names by `flow_id`: most of these alerts are for
the reputation of an address, which no column of a flow can show, so no aim is set.
"""
BEACON_NOTES: Final = """\
One pair of hosts is a beacon: an HTTP request every 200 to 350 seconds for two days, among the scans that reach a host
on the internet. Trained on the first day; both days' files are scored as `netsieve score --state FILE --by-entity
id.orig_h,id.resp_h` does (without neighbour features there is no state), and this is where the pair stands in
`OUT.entities.csv`, for each seed.
"""
BEACON_WHY: Final = """\
Two things kept a beacon low. This set brought them up, and neither remedy uses its label: what is to choose in the
first was chosen on generated traffic, and there is nothing to choose in the second.

- *The ranking* took an entity's ten worst records. The beacon has 300 records that are odd alike, and ten of them say
  no more than ten of any other's; of busy harmless hosts the ten worst are rare by their number alone. Entities are
  now ranked by a [likelihood ratio](neighbours.md#ranking-hosts) that counts their records.
- *Training without labels* took the beacon for normal: it has 1 % of the records, more than nearly all other pairs. Of
  each pair no more records train now than leave half of them all (with `--neighbours`, where the hosts are known).
  The last row is without that.
"""


def neighbour_sections(result: dict[str, Any]) -> Iterable[str]:
    """Yield the paragraphs of a measurement of ``netsieve.bench.results --neighbours``."""
    runs = result["runs"]
    yield INTRODUCTION
    seeds = ", ".join(map(str, result["seeds"]))
    trial = " **A trial run: trained for a moment only.**" if result.get("quick") else ""
    yield (
        f"Measured {result['measured'][:10]} in {result['seconds'] / 60:.0f} minutes, seeds {seeds} (the first of "
        f"them alone where no deviation is told), on {machine_line(result['machine'])}.{trial}\n"
    )
    names = [name for name in runs if name != BEACON]
    if names:
        yield from _measures_table(runs, names)
        yield from _verdict(runs, names)
        yield NOTES
        yield from _kinds_table(runs, names)
    if BEACON in runs:
        yield from _beacon(runs[BEACON])


def _measures_table(runs: dict[str, Any], names: Sequence[str]) -> Iterable[str]:
    headings = " | ".join(heading for heading, _ in MEASURES)
    yield f"| set | normal trained on | windows, s | normal, attacks tested | | {headings} |"
    yield "| --- | --- | --- | --- | --- |" + " --- |" * len(MEASURES)
    for name in names:
        first = runs[name][0]
        hours = f" in {first['train_hours']:.2g} h" if first["train_hours"] < LONGEST_HOURS else ""
        windows = ", ".join(f"{window:.0f}" for window in first["windows"]) or "none"
        rows = f"{first['train']:,}{hours} | {windows} | {first['test_normal']:,}, {first['test_attacks']:,}"
        for variant in VARIANTS:
            cells = [mean_and_spread([run[variant][measure] for run in runs[name]]) for _, measure in MEASURES]
            yield f"| {f'{name} | {rows}' if variant == VARIANTS[0] else ' | | | '} | {variant} | {' | '.join(cells)} |"
    yield ""


def _verdict(runs: dict[str, Any], names: Sequence[str]) -> Iterable[str]:
    def changes(measure: str, sign: int) -> list[str]:
        found = []
        for name in names:
            values = [[run[variant][measure] for run in runs[name]] for variant in VARIANTS]
            change = float(np.mean(values[1]) - np.mean(values[0]))
            if sign * change >= max(LEAST_CHANGE, *(float(np.std(seen)) for seen in values)):
                found.append(f"{name} ({change:+.2f})")
        return found

    for heading, measure in (("AUROC", "auroc"), ("AP5", "average_precision_5")):
        better, worse = (", ".join(changes(measure, sign)) or "none" for sign in (1, -1))
        yield f"{heading} is better with them on {better}; worse on {worse}.\n"


def _kinds_table(runs: dict[str, Any], names: Sequence[str]) -> Iterable[str]:
    yield "| set, kind of attack | records | AUROC without | with | recall at 1e-2 without | with |"
    yield "| --- |" + " --- |" * 5
    for name in names:
        kinds = runs[name][0][VARIANTS[0]]["kinds"]
        if len(kinds) < 2:
            continue
        for kind, first in kinds.items():
            cells = [
                mean_and_spread([run[variant]["kinds"][kind][measure] for run in runs[name]])
                for measure in ("auroc", "recall_at_1e_2")
                for variant in VARIANTS
            ]
            yield f"| {name}, {kind} | {first['records']:,} | {' | '.join(cells)} |"
    yield ""


def _beacon(repeats: Sequence[dict[str, Any]]) -> Iterable[str]:
    first = repeats[0]
    yield "### The beacon's rank\n"
    yield BEACON_NOTES
    yield (
        f"The second day has {first['test']:,} flows of {first['pairs']:,} pairs; by the number of its flows alone the "
        f"beacon's is number {first['rank_by_records']}.\n"
    )
    yield "| trained on the first day | | rank on the first day | on the second | AUROC of its flows on the second |"
    yield "| --- | --- | --- | --- | --- |"
    for way in BEACON_WAYS:
        for variant in VARIANTS:
            if variant not in first["ways"][way]:
                continue
            found = [run["ways"][way][variant] for run in repeats]
            ranks = [", ".join(str(entry[day]["rank"]) for entry in found) for day in ("day_1", "day_2")]
            auroc = mean_and_spread([entry["day_2"]["records_auroc"] for entry in found])
            yield f"| {way} | {variant} | {' | '.join(ranks)} | {auroc} |"
    yield ""
    yield BEACON_WHY
    regular = first["regularity"]
    yield (
        "The neighbour features themselves are not what finds it: trained on benign flows, the plain columns rank it\n"
        f"as high. It keeps its beat (gaps of {regular['pair_gap_mean']:.0f} s with a variation of "
        f"{regular['pair_gap_variation']:.2f},\nsizes with one of {regular['pair_size_variation']:.4f}), but so do "
        f"others here: of {regular['frequent_pairs']} pairs with at least {FREQUENT} flows a day "
        f"{regular['as_regular']} have gaps more regular still.\n"
    )
