"""The sections of docs/results.md on all detectors, from the measurements of ``netsieve.bench.detectors``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from netsieve.bench.datasets import DEVELOPMENT_SETS
from netsieve.bench.detector_peers import PEERS
from netsieve.bench.detectors import BEST, PAIR_MEASURES, RESAMPLES

MEASURES: Final = (
    ("AUROC", "auroc"),
    ("AP5", "average_precision_5"),
    ("AP", "average_precision"),
    ("recall at 1e-2", "recall_at_1e_2"),
    ("at 1e-3", "recall_at_1e_3"),
)
DEFAULT: Final = "autoencoder"
INTERVAL: Final = 1.96
"""Deviations to either side that hold 95 % of a normal distribution."""


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
    yield "Means over the sets and seeds ± the standard deviation of that over the seeds.\n"
    yield from _mean_table(runs, names)
    yield ""
    yield from _failures(runs)
    yield from _set_table(runs, names)
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


def _mean_and_spread(runs: dict[str, Any], names: Sequence[str], contender: str, key: str) -> str:
    """Return the mean over sets, and its standard deviation over seeds where there are several."""
    seeds = min(len(runs[name]) for name in names)
    by_seed = [_values({name: [runs[name][seed]] for name in names}, names, contender, key) for seed in range(seeds)]
    means = [np.mean(values) for values in by_seed if values]
    mean = _mean(_values(runs, names, contender, key))
    return mean if len(means) < 2 else f"{mean} ± {np.std(means, ddof=1):.3f}"


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
            cells = [_mean_and_spread(runs, names, name, key) for _, key in MEASURES]
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


def _set_table(runs: dict[str, Any], names: Sequence[str]) -> Iterable[str]:
    yield "AUROC / AP5 by set, beside the best of PyOD's detectors on that set:\n"
    yield f"| set | {DEFAULT} | {BEST} | best of PyOD's, by AP5 |"
    yield "| --- |" + " --- |" * 3
    keys = ("auroc", "average_precision_5")
    for name in [*names, None]:
        chosen = names if name is None else [name]
        whole = sum(len(runs[each]) for each in chosen)
        rivals = [rival for rival in PEERS if rival.startswith("PyOD")]
        rivals = [rival for rival in rivals if len(_values(runs, chosen, rival, keys[1])) == whole]
        best = max(rivals, key=partial(_average, runs, chosen, key=keys[1]), default=None)
        shown = "-"
        if best is not None:
            rival_auroc, rival_precision = (np.mean(_values(runs, chosen, best, key)) for key in keys)
            shown = f"{rival_auroc:.3f} / {rival_precision:.3f} ({best.removeprefix('PyOD ')})"
        ours = " | ".join(
            " / ".join(_mean(_values(runs, chosen, contender, key)) for key in keys) for contender in (DEFAULT, BEST)
        )
        yield f"| {'**mean**' if name is None else name} | {ours} | {shown} |"


def _paired_table(runs: dict[str, Any]) -> Iterable[str]:
    """Yield how far the best recipe is ahead of each PyOD detector, and on how many sets surely.

    The resamples of one set are independent of those of another, so that the variances of the sets' differences add
    up. Seeds share test records: their deviations do not average out, and the mean of them is taken.
    """
    rivals = list(dict.fromkeys(name for found in runs.values() for run in found for name in run["ahead_of"]))
    if not rivals:
        return
    yield (
        f"How far `{BEST}` is ahead of each PyOD detector, scored on the same records: the mean over sets and seeds "
        f"with its 95 % interval, from {RESAMPLES} paired bootstrap resamples of each set's test records, and on how "
        "many sets that interval lies above and below 0. The interval is of these sets' records, not of other sets:\n"
    )
    yield "| against | sets | AUROC | ahead, behind | AP5 | ahead, behind |"
    yield "| --- |" + " --- |" * 5
    for rival in rivals:
        sets = [found for found in runs.values() if all(rival in run["ahead_of"] for run in found)]
        cells = []
        for measure in PAIR_MEASURES:
            pairs = [[run["ahead_of"][rival][measure] for run in found] for found in sets]
            difference = np.array([np.mean([pair["difference"] for pair in found]) for found in pairs])
            reach = INTERVAL * np.array([np.mean([pair["deviation"] for pair in found]) for found in pairs])
            mean, around = difference.mean(), np.sqrt(np.square(reach).sum()) / len(sets)
            ahead, behind = np.count_nonzero(difference > reach), np.count_nonzero(difference < -reach)
            cells += [f"{mean:+.3f} ({mean - around:+.3f} to {mean + around:+.3f})", f"{ahead}, {behind}"]
        yield f"| {rival} | {len(sets)} | {' | '.join(cells)} |"
