"""Fair timing of alternatives on a machine whose speed drifts: they take turns, and ratios are taken round by round.

Absolute times of a shared machine move by half and more between runs. Two cases that ran within seconds of each
other share their conditions, so the median of the per-round ratios is what stays.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TypeVar

Measure = TypeVar("Measure")


def interleave(
    cases: Mapping[str, Callable[[], Measure]], *, rounds: int, warm_up: int = 1
) -> dict[str, list[Measure]]:
    """Run each case once a round, in turn, and return what each gave, round by round.

    Parameters
    ----------
    cases
        What to run, by name; each returns its own measure, for example :func:`seconds_of` some function.
    rounds
        Rounds that count.
    warm_up
        Rounds before them that do not: caches, lazy imports, clock frequencies.

    Notes
    -----
    Every other round runs backwards, so that no case always follows the same one.
    """
    measures: dict[str, list[Measure]] = {name: [] for name in cases}
    for turn in range(-warm_up, rounds):
        names = list(cases) if turn % 2 == 0 else list(cases)[::-1]
        for name in names:
            measure = cases[name]()
            if turn >= 0:
                measures[name].append(measure)
    return measures


def seconds_of(function: Callable[[], object]) -> float:
    """Return the seconds that one call takes, the garbage collector waiting."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start
    finally:
        gc.enable()


def ratios(numerator: Sequence[float], denominator: Sequence[float]) -> list[float]:
    """Return the ratios round by round. With times, ``ratios(peer, ours)`` says how many times faster ours is."""
    return [above / below for above, below in zip(numerator, denominator, strict=True)]


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Return median, least and largest."""
    return median(values), min(values), max(values)
