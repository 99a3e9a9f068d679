"""Threshold policies: from a calibration and a stated wish to the score above which a record is an anomaly.

A policy is written ``name:value`` (``fpr:0.001``), or like a call (``fpr(0.001)``):

- ``fpr:RATE``: at most this share of records like the calibration's is expected to be flagged. The threshold
  is the ``floor(RATE * (n + 1))``-th largest calibration score, as in split conformal prediction (Vovk,
  Gammerman, Shafer, "Algorithmic Learning in a Random World", 2005): for exchangeable scores the expected
  share above it is at most RATE, whatever their distribution, ties included.
- ``contamination:RATE``: flags the ``floor(RATE * n)`` largest calibration scores (fewer where scores tie).
- ``percentile:Q``: the Q-th percentile of the calibration scores, linearly interpolated as NumPy does.
- ``mean_std:K``: mean plus K deviations of the calibration scores.
- ``f1``: the threshold with the best F1 on labelled records; a calibration alone cannot give it.
- ``score:T``: the score T itself, for a threshold that was found elsewhere.

Every threshold is a float32 number, since scores are: ``score > threshold`` then means the same whether it is
compared in single or in double precision.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from typing import Final, Literal, cast, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from netsieve.engine.errors import ThresholdError
from netsieve.engine.thresholds.calibration import Calibration, checked_scores

PolicyName = Literal["mean_std", "percentile", "fpr", "contamination", "f1", "score"]

WELL_SUPPORTED_ROWS: Final = 10
"""Calibration rows above the threshold below which the realised rate scatters so widely that one is warned."""
ROUNDING_SLACK: Final = 1e-9
"""Added before rounding down, since 0.29 * 100 is 28.999999999999996."""
LARGE_CALIBRATION: Final = 10_000
"""Rows from which the default policy asks for one false alarm in a thousand."""
SMALL_CALIBRATION: Final = 100
"""Rows below which the default policy extrapolates from mean and deviation."""

_LARGEST_FLOAT32: Final = float(np.finfo(np.float32).max)
_TEXT = re.compile(r"\s*(?P<name>\w+)\s*(?:[:=]\s*(?P<plain>[^\s()]+)|\(\s*(?P<called>[^\s()]*)\s*\))?\s*")
_EXAMPLES: Final[dict[str, str]] = {
    "mean_std": "mean_std:3",
    "percentile": "percentile:95",
    "fpr": "fpr:0.001",
    "contamination": "contamination:0.01",
    "f1": "f1",
    "score": "score:1.25",
}


class ThresholdWarning(UserWarning):
    """A threshold rests on few calibration rows: the share of records that it flags is uncertain."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A threshold policy; ``str(policy)`` is its text form, which :func:`parse_policy` reads back.

    Raises
    ------
    ThresholdError
        The value is missing, or outside of what the policy takes.
    """

    name: PolicyName
    value: float | None = None

    def __post_init__(self) -> None:
        example = _EXAMPLES.get(self.name)
        if example is None:
            raise ThresholdError(
                f"threshold policy {self.name!r} is not known; write one of {', '.join(_EXAMPLES.values())}"
            )
        if self.name == "f1":
            if self.value is not None:
                raise ThresholdError(f"threshold policy f1 takes no value, got {self.value:g}; write f1")
            return
        if self.value is None:
            raise ThresholdError(f"threshold policy {self.name} needs a value; write for example {example}")
        low, high = {"percentile": (0.0, 100.0), "fpr": (0.0, 1.0), "contamination": (0.0, 1.0)}.get(
            self.name, (-math.inf, math.inf)
        )
        if not low < self.value < high:
            asked = f"between {low:g} and {high:g}, both excluded" if high < math.inf else "finite"
            raise ThresholdError(f"{self.name} must be {asked}, got {self.value:g}; write for example {example}")
        if self.name == "score" and abs(self.value) > _LARGEST_FLOAT32:
            raise ThresholdError(f"score {self.value:g} is beyond what a float32 score can be")

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}:{repr(float(self.value)).removesuffix('.0')}"

    @property
    def needs_labels(self) -> bool:
        """Whether the policy is computed from labelled records and not from a calibration."""
        return self.name == "f1"

    @property
    def asked_rate(self) -> float | None:
        """Share of records like the calibration's that the policy asks to be flagged; None where it asks for none."""
        if self.value is None or self.name in ("mean_std", "score"):
            return None
        return 1 - self.value / 100 if self.name == "percentile" else self.value

    def threshold(self, calibration: Calibration) -> float:
        """Return the threshold, a float32 number: ``is_anomaly = anomaly_score > threshold``.

        Raises
        ------
        ThresholdError
            The policy needs labels, or asks for a rate below ``1 / calibration.n``.

        Warns
        -----
        ThresholdWarning
            The policy asks for a rate below ``10 / calibration.n``.
        """
        if self.name == "f1":
            raise ThresholdError(
                "threshold policy f1 needs labelled records and the model file holds a calibration only; "
                "run `netsieve evaluate` with --label, or use a policy like fpr:0.001"
            )
        assert self.value is not None
        if self.name == "score":
            threshold = self.value
        elif self.name == "mean_std":
            threshold = calibration.mean + self.value * calibration.deviation
        else:
            self.check_support(calibration.n)
            threshold = calibration.score_at_position(calibration.n - self.rank(calibration.n))
        return float(np.float32(np.clip(threshold, -_LARGEST_FLOAT32, _LARGEST_FLOAT32)))

    def rank(self, n: int) -> float:
        """Return which of the ``n`` calibration scores is the threshold, counted from 1 for the largest.

        Parameters
        ----------
        n
            Calibration rows.

        Returns
        -------
        float
            A whole number but for ``percentile``, which interpolates.

        Raises
        ------
        ThresholdError
            The policy does not ask for a rate.
        """
        rate = self.asked_rate
        if rate is None:
            raise ThresholdError(f"threshold policy {self} asks for no rate, so it has no rank among the scores")
        if self.name == "fpr":
            return float(min(math.floor(rate * (n + 1) + ROUNDING_SLACK), n))
        if self.name == "contamination":
            return float(min(math.floor(rate * n + ROUNDING_SLACK) + 1, n))
        return 1 + rate * (n - 1)

    def realised_rate_interval(
        self, n_calibration: int, n_test: int, confidence: float = 0.99
    ) -> tuple[float, float] | None:
        """Return the interval of :func:`realised_rate_interval` for this policy; None where it asks for no rate."""
        if self.asked_rate is None:
            return None
        rank = self.rank(n_calibration)
        low = _flagged_interval(max(math.floor(rank), 1), n_calibration, n_test, confidence)[0]
        high = _flagged_interval(min(math.ceil(rank), n_calibration), n_calibration, n_test, confidence)[1]
        return low / n_test, high / n_test

    def check_support(self, n: int) -> None:
        """Raise or warn, as :meth:`threshold` would with ``n`` calibration rows."""
        rate = self.asked_rate
        if rate is None or self.name == "f1":
            return
        if rate * n < 1 - ROUNDING_SLACK:
            raise ThresholdError(
                f"{self} asks for a rate of {rate:.3g}, and {n:,} calibration rows can show none below {1 / n:.3g}: "
                f"at least {_rows_needed(rate, 1):,} are needed; calibrate on more rows or ask for a higher rate"
            )
        if rate * n < WELL_SUPPORTED_ROWS - ROUNDING_SLACK:
            warnings.warn(
                f"{self} rests on about {rate * n:.0f} of {n:,} calibration rows: the realised rate may be several "
                f"times the asked one; {_rows_needed(rate, WELL_SUPPORTED_ROWS):,} rows would settle it",
                ThresholdWarning,
                stacklevel=3,
            )


def parse_policy(text: str) -> Policy:
    """Return the policy that ``text`` names, like ``fpr:0.001``, ``fpr(0.001)`` or ``f1``.

    Raises
    ------
    ThresholdError
        The text names no policy, or its value is not a number that the policy takes.
    """
    match = _TEXT.fullmatch(text)
    if match is None or match["name"] not in get_args(PolicyName):
        raise ThresholdError(f"threshold policy {text!r} is not known; write one of {', '.join(_EXAMPLES.values())}")
    name = cast(PolicyName, match["name"])
    value_text = match["plain"] or match["called"]
    if not value_text:
        return Policy(name)
    try:
        value = float(value_text)
    except ValueError:
        raise ThresholdError(
            f"threshold policy {text!r}: {value_text!r} is no number; write for example {_EXAMPLES[name]}"
        ) from None
    return Policy(name, value)


def default_policy(calibration: Calibration) -> Policy:
    """Return the policy of a model for which nobody named one.

    ``fpr:0.001`` from 10,000 calibration rows on, ``fpr:0.01`` from 100 on. Fewer rows cannot show such rates,
    and ``mean_std:3`` extrapolates beyond them.
    """
    if calibration.n >= LARGE_CALIBRATION:
        return Policy("fpr", 0.001)
    return Policy("fpr", 0.01) if calibration.n >= SMALL_CALIBRATION else Policy("mean_std", 3)


def best_f1_threshold(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the threshold with the largest F1 on labelled records; among equals the highest, for fewest alarms.

    Parameters
    ----------
    scores
        ``[n]``, finite; taken as float32.
    labels
        ``[n]``, true (or 1) for an anomaly.

    Returns
    -------
    float
        A float32 number halfway between the lowest flagged and the highest unflagged score.

    Raises
    ------
    ThresholdError
        There is no anomaly among the labels, or shapes or scores are unfit.

    Notes
    -----
    F1 at this threshold is optimistic on the records it was chosen on.
    """
    values = checked_scores(scores)
    truth = np.asarray(labels, dtype=bool)
    if truth.shape != values.shape:
        raise ThresholdError(f"labels have shape {list(truth.shape)} and scores {list(values.shape)}; one per row each")
    if not truth.any():
        raise ThresholdError("threshold policy f1 needs labelled anomalies, and the records hold none")
    order = np.argsort(-values, kind="stable")
    descending = values[order]
    # only the last of tied scores is a cut that a threshold can make
    cuts = np.append(np.flatnonzero(np.diff(descending)), len(values) - 1)
    hits = np.cumsum(truth[order])[cuts]
    f1 = 2 * hits / (cuts + 1 + hits[-1])
    cut = int(cuts[np.argmax(f1)])
    flagged = descending[cut]
    if cut == len(values) - 1:
        return float(np.nextafter(flagged, np.float32(-np.inf)))
    unflagged = descending[cut + 1]
    halfway = np.float32((float(flagged) + float(unflagged)) / 2)
    return float(halfway if halfway < flagged else unflagged)


def realised_rate_interval(
    n_calibration: int, n_test: int, rate: float, confidence: float = 0.99
) -> tuple[float, float]:
    """Return the interval that holds the share of flagged test rows under the policy ``fpr:rate``.

    The threshold is itself an estimate. If calibration and test scores are exchangeable and do not tie, the
    number of test rows above the rank ``j = floor(rate * (n_calibration + 1))`` calibration score is
    beta-binomial with parameters ``n_test``, ``j`` and ``n_calibration + 1 - j`` (Wilks, "Determination of
    sample sizes for setting tolerance limits", 1941).

    Parameters
    ----------
    n_calibration, n_test
        Rows that the threshold was taken from, and rows that it is applied to.
    rate
        Asked false-positive rate, at least ``1 / n_calibration``.
    confidence
        Probability that the realised rate lies inside; what is left is shared evenly by both sides.

    Returns
    -------
    tuple of float
        Lowest and highest realised rate. Where scores tie at the threshold fewer rows are flagged, and only
        the highest holds.

    Raises
    ------
    ThresholdError
        The rate is not one that so many calibration rows can show, or there are no test rows.
    """
    interval = Policy("fpr", rate).realised_rate_interval(n_calibration, n_test, confidence)
    assert interval is not None
    return interval


def _flagged_interval(rank: int, n_calibration: int, n_test: int, confidence: float) -> tuple[int, int]:
    """Return the central interval of the number of test rows above the ``rank``-th largest calibration score."""
    if not 1 <= rank <= n_calibration or n_test < 1 or not 0 < confidence < 1:
        raise ThresholdError(
            f"no interval for rank {rank} of {n_calibration} calibration rows, {n_test} test rows and "
            f"confidence {confidence:g}; the rank must be a calibration row, and there must be a test row"
        )
    first, mass = _beta_binomial_mass(n_test, rank, n_calibration + 1 - rank)
    cumulative = np.cumsum(mass)
    tail = (1 - confidence) / 2
    low, high = np.searchsorted(cumulative, (tail, 1 - tail))
    return first + int(low), first + min(int(high), len(mass) - 1)


def _beta_binomial_mass(trials: int, a: int, b: int) -> tuple[int, NDArray[np.float64]]:
    """Return the first count and the probabilities from there on, without the negligible far tails.

    Ratios of neighbouring probabilities need no gamma functions, which NumPy does not have.
    """
    mean = trials * a / (a + b)
    deviation = math.sqrt(mean * b / (a + b) * (a + b + trials) / (a + b + 1))
    # the widest tail is exponential (a = 1), and exp(-30) is far below any confidence asked for
    first = max(0, math.floor(mean - 30 * deviation - 30))
    last = min(trials, math.ceil(mean + 30 * deviation + 30))
    count = np.arange(first, last, dtype=np.float64)
    ratio = np.log(trials - count) - np.log1p(count) + np.log(count + a) - np.log(trials - count - 1 + b)
    logarithm = np.concatenate(([0.0], np.cumsum(ratio)))
    mass = np.exp(logarithm - logarithm.max())
    return first, mass / mass.sum()


def _rows_needed(rate: float, rows_above: int) -> int:
    return math.ceil(rows_above / rate - ROUNDING_SLACK * rows_above / rate)
