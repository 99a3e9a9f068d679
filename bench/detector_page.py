"""The sections of docs/results.md on all detectors, from the measurements of ``netsieve.bench.detectors``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from netsieve.bench.datasets import DEVELOPMENT_SETS
from netsieve.bench.detector_peers import PEERS
from netsieve.bench.detectors import BEST

MEASURES: Final = (
    ("AUROC", "auroc"),
    ("AP5", "average_precision_5"),
    ("AP", "average_precision"),
    ("recall at 1e-2", "recall_at_1e_2"),
    ("at 1e-3", "recall_at_1e_3"),
)
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
"""AUROC and AP5 aimed at, by set, from a scouting before."""
MEAN_AIM: Final = (0.95, 0.72)
DEFAULT: Final = "autoencoder"


def detector_sections(result: dict[str, Any]) -> Iterable[str]:
    """Yield the sections on detectors and peers."""
    runs = result["runs"]
    names = list(runs)
    yield "## Every detector\n"
    yield (
        "Same parts and measures as above, on the tables with labels of their own, of each at most "
        f"{result['largest_rows']:,} records drawn at random; {_seed_text(result)}, measured {result['measured'][:10]} "
        f"in {result['seconds'] / 60:.0f} minutes. netsieve's detectors have their defaults, the same for every set, "
        "and are scored by their exported graphs. PyOD's and scikit-learn's have theirs, on the columns of the raw "
        "forest above; scikit-learn's are given standardised columns. "
        f"{', '.join(DEVELOPMENT_SETS)} served to choose defaults, the others did not.\n"
    )
    yield from _mean_table(runs, names)
    yield ""
    yield from _failures(runs)
    yield from _aim_table(runs, names)
    yield ""
    yield from _paired_table(runs)
    yield ""


def hybrid_sections(result: dict[str, Any]) -> Iterable[str]:
    """Yield the section on labels of some attacks."""
    runs = {name: [run for run in found if run] for name, found in result["runs"].items()}
    runs = {name: found for name, found in runs.items() if found}
    yield "## Labels of some attacks\n"
    yield (
        "Every second kind of attack, by name, is hidden; of the others half of the records are labelled for training "
        "(kinds with fewer than 20 records are left out). *Seen* are other records of the kinds that were labelled, "
        f"*unseen* those of hidden kinds; the same normal records stand against both. "
        f"{_seed_text(result).capitalize()}; sets with four kinds or more.\n"
    )
    everyone = next((list(run["contenders"]) for found in runs.values() for run in found), [])
    heads = [f"{name}, {part}" for part in ("seen", "unseen") for name in everyone]
    for heading, measure in (("AUROC", "auroc"), ("AP5", "average_precision_5"), ("recall at 1e-2", "recall_at_1e_2")):
        yield f"| {heading} | {' | '.join(heads)} |"
        yield "| --- |" + " --- |" * len(heads)
        for name, found in runs.items():
            cells = [
                _mean([run["contenders"][detector][part][measure] for run in found])
                for part in ("seen", "unseen")
                for detector in everyone
            ]
            yield f"| {name} | {' | '.join(cells)} |"
        yield ""


def _seed_text(result: dict[str, Any]) -> str:
    seeds = result["seeds"]
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def _values(runs: dict[str, Any], names: Sequence[str], contender: str, key: str) -> list[float]:
    found = [
        run["contenders"][contender][key]
        for name in names
        for run in runs[name]
        if run["contenders"].get(contender, {}).get(key) is not None
    ]
    return [float(value) for value in found]


def _average(runs: dict[str, Any], names: Sequence[str], contender: str, key: str) -> float:
    return float(np.mean(_values(runs, names, contender, key)))


def _mean(values: Sequence[float | None]) -> str:
    present = [value for value in values if value is not None]
    return f"{np.mean(present):.3f}" if present else "-"


def _contenders(runs: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for found in runs.values() for run in found for name in run["contenders"]))


def _mean_table(runs: dict[str, Any], names: Sequence[str]) -> Iterable[str]:
    heads = [heading for heading, _ in MEASURES]
    yield f"| mean of {len(names)} sets | {' | '.join(heads)} | fit, s | rows/s, one thread |"
    yield "| --- |" + " --- |" * (len(MEASURES) + 2)
    everyone = _contenders(runs)
    whole = sum(len(found) for found in runs.values())
    ours = [name for name in everyone if name not in PEERS]
    for group in (ours, [name for name in everyone if name in PEERS]):
        complete = [name for name in group if len(_values(runs, names, name, "auroc")) == whole]
        for name in sorted(complete, key=lambda name: -_average(runs, names, name, "average_precision_5")):
            cells = [_mean(_values(runs, names, name, key)) for _, key in MEASURES]
            speed = _values(runs, names, name, "rows_per_second")
            fit = np.mean(_values(runs, names, name, "fit_seconds"))
            marked = f"**{name}**" if name in (DEFAULT, BEST) else name
            rate = f"{np.median(speed):,.0f}" if speed else ""
            yield f"| {marked} | {' | '.join(cells)} | {fit:.1f} | {rate} |"


def _failures(runs: dict[str, Any]) -> Iterable[str]:
    failed: dict[str, list[str]] = {}
    for set_name, found in runs.items():
        for run in found:
            for name, measured in run["contenders"].items():
                if "failed" in measured:
                    failed.setdefault(f"{name}: {measured['failed']}", []).append(set_name)
    for what, sets in failed.items():
        yield f"Left out of the table, {what} ({', '.join(sorted(set(sets)))}).\n"


def _aim_table(runs: dict[str, Any], names: Sequence[str]) -> Iterable[str]:
    yield "AUROC / AP5 by set, beside the best of PyOD's on that set and the aim from a scouting on these sets:\n"
    yield f"| set | {DEFAULT} | {BEST} | best of PyOD's, by AP5 | aim | {BEST} met it |"
    yield "| --- |" + " --- |" * 5
    keys = ("auroc", "average_precision_5")
    for name in [*names, None]:
        chosen = names if name is None else [name]
        pairs = {contender: [_values(runs, chosen, contender, key) for key in keys] for contender in (DEFAULT, BEST)}
        whole = sum(len(runs[each]) for each in chosen)
        rivals = [rival for rival in PEERS if rival.startswith("PyOD")]
        rivals = [rival for rival in rivals if len(_values(runs, chosen, rival, keys[1])) == whole]
        best = max(rivals, key=partial(_average, runs, chosen, key=keys[1]), default=None)
        shown = "-"
        if best is not None:
            rival_auroc, rival_precision = (np.mean(_values(runs, chosen, best, key)) for key in keys)
            shown = f"{rival_auroc:.3f} / {rival_precision:.3f} ({best.removeprefix('PyOD ')})"
        aim = MEAN_AIM if name is None else AIMS.get(name)
        met = "-"
        if aim is not None:
            reached = all(values and np.mean(values) >= goal for values, goal in zip(pairs[BEST], aim, strict=True))
            met = "yes" if reached else "**no**"
        ours = " | ".join(f"{_mean(auroc)} / {_mean(precision)}" for auroc, precision in pairs.values())
        goal = "-" if aim is None else f"{aim[0]:.2f} / {aim[1]:.2f}"
        yield f"| {'**mean**' if name is None else name} | {ours} | {shown} | {goal} | {met} |"


def _paired_table(runs: dict[str, Any]) -> Iterable[str]:
    found = [
        (name, run["against_best_peer"]) for name, some in runs.items() for run in some if run.get("against_best_peer")
    ]
    if not found:
        return
    yield (
        f"How far `{BEST}` is ahead of the PyOD detector that is best on the set (chosen by these very records), with "
        "95 % bootstrap intervals over the test records:\n"
    )
    yield "| set | AUROC | against | AP5 | against |"
    yield "| --- |" + " --- |" * 4
    for name, paired in found:
        cells = []
        for key in ("auroc", "average_precision_5"):
            one = paired[key]
            cells += [
                f"{one['difference']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})",
                one["peer"].removeprefix("PyOD "),
            ]
        yield f"| {name} | {' | '.join(cells)} |"
