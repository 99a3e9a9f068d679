"""The sections of the page of detection quality that tell what detectors of sequences find."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from netsieve.bench.machine import machine_line
from netsieve.bench.sequence_results import NOTICED, RATES

INTRODUCTION: Final = """\
## Sequences

Measured by `python -m netsieve.bench.results --sequences`; scores are those of the exported graph. Figures are mean ±
standard deviation over the seeds where there are several.
"""
TRACES: Final = """\
### System calls: ADFA-LD

A `lstm_tokens` over the calls of a trace learns from four of five of the training traces; the fifth stops the training,
and by its loss the length of the training was chosen. A trace is an anomaly by the median or the mean of its calls'
scores. Half of the validation traces set the threshold, the other half and all attacks test; the last figure of each
rate is the share of false positives where the held-out training traces set it. Beside it the share of a trace's runs of
six calls that no training trace holds (Forrest et al. 1996, as STIDE).
"""
DAYS: Final = """\
### Days of local addresses: cs448b

A `lstm_predictor` predicts an address's day (flows, remote networks, the largest of them, new ones; logarithms, against
the median of its four weeks before) from the 13 before it. It learns from all days, without labels. The set's own page
names dates on which somebody noticed a machine; told is the best place among all days of a day from two before to one
after. There are five such dates: a place says little on its own.
"""
SCORES: Final = {
    "median": "median of the calls' scores",
    "mean": "mean of the calls' scores",
    "unseen_runs": "share of unseen runs of six",
}


def sequence_sections(result: dict[str, Any]) -> Iterable[str]:
    """Yield the sections of one measurement."""
    yield INTRODUCTION
    trial = " **A trial run: trained for a moment only.**" if result.get("quick") else ""
    seeds = ", ".join(map(str, result["seeds"]))
    yield f"Measured {result['measured'][:10]}, seeds {seeds}, on {machine_line(result['machine'])}.{trial}\n"
    runs = result["runs"]
    if "adfa_ld" in runs:
        yield TRACES
        yield from _trace_table(runs["adfa_ld"])
    if "cs448b" in runs:
        yield DAYS
        yield from _day_table(runs["cs448b"])


def _trace_table(repeats: Sequence[dict[str, Any]]) -> Iterable[str]:
    asked = [f"asked {rate:.0%}: false positives, recall, false positives otherwise" for rate in RATES]
    yield "| score of a trace | AUROC | against all validation traces | " + " | ".join(asked) + " |"
    yield "| --- | --- | --- |" + " --- |" * len(RATES)
    for name, title in SCORES.items():
        cells = [_figure(run[name][measure] for run in repeats) for measure in ("auroc", "auroc_all_validation")]
        for rate in RATES:
            at_rate = [run[name][f"at_{rate}"] for run in repeats]
            measures = ("false_positive_rate", "recall", "false_positive_rate_calibrated_on_training")
            cells.append(", ".join(_figure(found[measure] for found in at_rate) for measure in measures))
        yield f"| {title} | " + " | ".join(cells) + " |"
    windows = sorted({run["window"] for run in repeats})
    loss = _figure(run["training"]["validation_loss"] for run in repeats)
    minutes = np.mean([run["fit_seconds"] for run in repeats]) / 60
    speed = np.mean([run["calls_per_second"] for run in repeats])
    difference = max(run["largest_difference"] for run in repeats)
    yield (
        f"\nWindows of {', '.join(map(str, windows))} calls, {repeats[0]['parameters']['units']} units; held-out loss "
        f"{loss} nats a call; trained in {minutes:.0f} minutes, {speed:,.0f} calls scored a second on one thread. "
        f"The graph's scores are within {difference:.0e} of the float64 reference (over it and its median).\n"
    )


def _day_table(repeats: Sequence[dict[str, Any]]) -> Iterable[str]:
    yield f"| address, noticed | place of {repeats[0]['days']} by lstm_predictor | by flows alone |"
    yield "| --- | --- | --- |"
    for address, noticed in NOTICED.items():
        places = [
            ", ".join(str(place) for place in dict.fromkeys(run[kind][str(address)] for run in repeats))
            for kind in ("best_rank", "best_rank_by_flows")
        ]
        yield f"| {address}, {noticed:%m-%d} | " + " | ".join(places) + " |"
    yield ""


def _figure(values: Iterable[float]) -> str:
    array = np.array(list(values))
    spread = f" ± {array.std():.3f}" if len(array) > 1 else ""
    return f"{array.mean():.3f}{spread}"
