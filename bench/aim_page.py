"""The section of docs/results.md on the ensemble and on what was aimed at, from the measurements of both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np

from netsieve.bench.quality import ENSEMBLE, NETSIEVE

AIMS: Final = {
    "adbench_http": (0.99, 0.95),
    "adbench_shuttle": (0.99, 0.97),
    "adbench_mammography": (0.87, 0.40),
    "adbench_thyroid": (0.98, 0.84),
    "adbench_cardio": (0.94, 0.64),
    "adbench_campaign": (0.75, 0.17),
    "kddcup99": (0.99, 0.94),
    "nsl_kdd": (0.98, 0.85),
    "unsw_nb15": (0.88, 0.65),
    "cicids2017_improved": (0.97, 0.61),
    "iot23_34_1": (0.99, 0.92),
    "iot23_mixed": (0.99, 0.86),
    "argus_slips_test5": (0.96, 0.51),
}
"""AUROC and AP5 aimed at, by set, from a scouting on these sets before."""
MEAN_AIM: Final = (0.95, 0.72)
MEASURES: Final = ("auroc", "average_precision_5")


def aim_sections(result: dict[str, Any], autoencoder: dict[str, Any]) -> Iterable[str]:
    """Yield the ensemble beside the single autoencoder and the aims.

    Parameters
    ----------
    result
        What was measured of the ensemble.
    autoencoder
        What was measured of the autoencoder; only what was measured with the same seeds is shown.
    """
    if result["seeds"] != autoencoder["seeds"] or result.get("largest_rows") != autoencoder.get("largest_rows"):
        return
    runs = {
        name: [
            {"contenders": {**one["contenders"], **other["contenders"]}}
            for one, other in zip(found, autoencoder["runs"][name], strict=True)
        ]
        for name, found in result["runs"].items()
        if name in autoencoder["runs"]
    }
    names = [name for name in AIMS if name in runs]
    if not names:
        return
    yield "## The ensemble, and what was aimed at\n"
    yield (
        "AUROC / AP5 of the default of `netsieve train`, a single autoencoder, and of `--detector ensemble`: an "
        "autoencoder, an isolation forest and the nearest of stored rows, combined by the mean of their calibrated "
        "tail ranks. Same records, splits and seeds as above, both scored by their exported files; the aims come from "
        "a scouting on these very sets, whose best recipe they follow.\n"
    )
    yield "| set | autoencoder | ensemble | aim | autoencoder met it | ensemble met it |"
    yield "| --- |" + " --- |" * 5
    for name in names:
        yield _row(name, [name], runs, AIMS[name])
    if len(names) == len(AIMS):
        yield _row(f"**mean of {len(names)}**", names, runs, MEAN_AIM)
    yield ""


def _row(title: str, names: Sequence[str], runs: dict[str, Any], aim: tuple[float, float]) -> str:
    pairs = [[_mean(runs, names, contender, measure) for measure in MEASURES] for contender in (NETSIEVE, ENSEMBLE)]
    shown = [" / ".join(f"{value:.3f}" for value in pair) for pair in pairs]
    met = [_verdict(pair, aim) for pair in pairs]
    return f"| {title} | {' | '.join(shown)} | {aim[0]:.2f} / {aim[1]:.2f} | {' | '.join(met)} |"


def _verdict(reached: Sequence[float], aim: Sequence[float]) -> str:
    missed = [
        f"{heading} {value - goal:+.3f}"
        for heading, value, goal in zip(("AUROC", "AP5"), reached, aim, strict=True)
        if value < goal
    ]
    return f"**no** ({', '.join(missed)})" if missed else "yes"


def _mean(runs: dict[str, Any], names: Sequence[str], contender: str, measure: str) -> float:
    """Return the mean over sets of the mean over seeds."""
    return float(np.mean([np.mean([run["contenders"][contender][measure] for run in runs[name]]) for name in names]))
