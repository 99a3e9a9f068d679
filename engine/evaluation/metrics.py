"""How well scores separate anomalies from normal rows, and what a threshold makes of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import compress
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from netsieve.engine.errors import SchemaError
from netsieve.engine.evaluation.curves import RankedScores, checked_labels
from netsieve.engine.thresholds.calibration import Calibration, checked_scores
from netsieve.engine.thresholds.policy import Policy

FALSE_POSITIVE_RATES: Final = (1e-2, 1e-3, 1e-4)
"""Rates at which the recall is told."""
DEFAULT_ATTACK_SHARE: Final = 0.05
"""Share of attacks for the reweighted average precision: public sets hold up to 97 %, which flatters anything."""
UNNAMED_ATTACK: Final = "(unnamed)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Rows by truth and decision; an anomaly is the positive class."""

    tp: int
    fp: int
    tn: int
    fn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackRecall:
    """How many of one attack's rows were flagged."""

    rows: int
    flagged: int

    @property
    def recall(self) -> float:
        """Share of the rows that were flagged."""
        return self.flagged / self.rows


@dataclass(frozen=True, slots=True, kw_only=True)
class RealisedRate:
    """The rate that a policy asked for, beside the one that came about.

    Attributes
    ----------
    asked, realised
        Share of rows to be flagged, and flagged.
    lowest, highest
        Where the realised rate lies with 99 % probability if these rows are like the calibration's: beta-binomial,
        both samples counted. Records of another time or place need not be.
    rows
        Which rows the rates are of: ``"normal"``, or ``"all"`` for a calibration on unlabelled records.
    """

    asked: float
    realised: float
    lowest: float
    highest: float
    rows: str

    @property
    def within(self) -> bool:
        """Whether the realised rate lies in the interval."""
        return self.lowest <= self.realised <= self.highest


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Metrics of scores against labels. A metric that the data does not define is None.

    Attributes
    ----------
    rows, anomalies
        Rows evaluated, and anomalous ones among them.
    auroc, average_precision
        Of the ranking, whatever the threshold.
    average_precision_reweighted, attack_share
        Average precision with anomalies weighted to be ``attack_share`` of the rows.
    threshold, threshold_policy
        ``is_anomaly = score > threshold``, and where the threshold comes from (None: it was given).
    accuracy, precision, recall, f1, false_positive_rate, confusion
        Of the decisions.
    recall_at_fpr
        For each of the rates 0.01, 0.001 and 0.0001 the largest recall that any threshold reaches with a
        false-positive rate of at most that; None where there are fewer normal rows than one over the rate.
    attacks
        For each attack name its rows and those flagged; None where no names were given.
    realised_rate
        None where the threshold did not come from a policy that asks for a rate.
    """

    rows: int
    anomalies: int
    auroc: float | None
    average_precision: float | None
    average_precision_reweighted: float | None
    attack_share: float
    threshold: float
    threshold_policy: str | None
    accuracy: float
    precision: float | None
    recall: float | None
    f1: float | None
    false_positive_rate: float | None
    confusion: Confusion
    recall_at_fpr: dict[float, float | None]
    attacks: dict[str, AttackRecall] | None = None
    realised_rate: RealisedRate | None = None

    @property
    def normal_rows(self) -> int:
        """Rows that are not anomalous."""
        return self.rows - self.anomalies

    @property
    def flag_nothing_accuracy(self) -> float:
        """Accuracy of flagging no row: what an accuracy has to be compared with."""
        return self.normal_rows / self.rows

    @property
    def flag_everything_accuracy(self) -> float:
        """Accuracy (and precision) of flagging every row."""
        return self.anomalies / self.rows

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as plain data that JSON can hold."""
        content: dict[str, Any] = {
            "rows": self.rows,
            "anomalies": self.anomalies,
            "auroc": self.auroc,
            "average_precision": self.average_precision,
            "average_precision_reweighted": self.average_precision_reweighted,
            "attack_share": self.attack_share,
            "threshold": self.threshold,
            "threshold_policy": self.threshold_policy,
            "accuracy": self.accuracy,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "false_positive_rate": self.false_positive_rate,
            "confusion": {
                "tp": self.confusion.tp,
                "fp": self.confusion.fp,
                "tn": self.confusion.tn,
                "fn": self.confusion.fn,
            },
            "recall_at_fpr": {f"{rate:g}": recall for rate, recall in self.recall_at_fpr.items()},
            "baselines": {
                "flag_nothing": {"accuracy": self.flag_nothing_accuracy},
                "flag_everything": {"accuracy": self.flag_everything_accuracy},
            },
        }
        if self.attacks is not None:
            content["recall_by_attack"] = {name: attack.recall for name, attack in self.attacks.items()}
            content["rows_by_attack"] = {name: attack.rows for name, attack in self.attacks.items()}
        if (rate := self.realised_rate) is not None:
            content["realised_rate"] = {
                "asked": rate.asked,
                "realised": rate.realised,
                "lowest": rate.lowest,
                "highest": rate.highest,
                "within": rate.within,
                "rows": rate.rows,
            }
        return content

    def to_json(self) -> str:
        """Return the evaluation as JSON text without NaN."""
        return json.dumps(self.to_dict(), allow_nan=False, indent=2)


def evaluate_scores(
    scores: ArrayLike,
    labels: ArrayLike,
    threshold: float,
    attacks: Iterable[str | None] | None = None,
    attack_share: float = DEFAULT_ATTACK_SHARE,
    *,
    policy: Policy | None = None,
    calibration: Calibration | None = None,
) -> Evaluation:
    """Return the metrics of scores against labels.

    Parameters
    ----------
    scores
        ``[n]``, finite; taken as float32.
    labels
        ``[n]``, true or 1 for an anomaly.
    threshold
        ``is_anomaly = score > threshold``.
    attacks
        ``[n]`` attack names; those of normal rows are not looked at, a missing one counts as ``(unnamed)``.
    attack_share
        Share of anomalies for the reweighted average precision, between 0 and 1.
    policy, calibration
        Where the threshold comes from. With both, the rate asked for is told beside the realised one.

    Raises
    ------
    ThresholdError
        There are no scores, or one is not finite.
    SchemaError
        Labels or attacks do not fit the scores, or ``attack_share`` is no share.
    """
    values = checked_scores(scores)
    truth = checked_labels(labels, len(values))
    if not 0 < attack_share < 1:
        raise SchemaError(f"attack_share is {attack_share:g}; a share between 0 and 1 is expected")
    flagged = values.astype(np.float64) > threshold
    ranked = RankedScores.of(values, truth)
    anomalies, normal = ranked.anomalous.size, ranked.normal.size
    tp = int(np.count_nonzero(flagged & truth))
    fp = int(np.count_nonzero(flagged)) - tp
    confusion = Confusion(tp=tp, fp=fp, tn=normal - fp, fn=anomalies - tp)
    return Evaluation(
        rows=len(values),
        anomalies=anomalies,
        auroc=ranked.auroc(),
        average_precision=ranked.average_precision(),
        average_precision_reweighted=ranked.average_precision(attack_share),
        attack_share=attack_share,
        threshold=float(threshold),
        threshold_policy=None if policy is None else str(policy),
        accuracy=(tp + confusion.tn) / len(values),
        precision=_ratio(tp, tp + fp),
        recall=_ratio(tp, anomalies),
        f1=_ratio(2 * tp, 2 * tp + fp + confusion.fn),
        false_positive_rate=_ratio(fp, normal),
        confusion=confusion,
        recall_at_fpr={rate: ranked.recall_at(rate) for rate in FALSE_POSITIVE_RATES},
        attacks=None if attacks is None else _recall_by_attack(attacks, truth.tolist(), flagged.tolist()),
        realised_rate=_realised_rate(policy, calibration, confusion),
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _recall_by_attack(attacks: Iterable[str | None], truth: list[bool], flagged: list[bool]) -> dict[str, AttackRecall]:
    names = list(attacks)
    if len(names) != len(truth):
        raise SchemaError(f"there are {len(names)} attack names and {len(truth)} rows; one name per row is expected")
    rows = Counter(compress(names, truth))
    hits = Counter(compress(names, map(bool.__and__, truth, flagged)))
    found: dict[str, AttackRecall] = {}
    for name, count in rows.items():
        # a missing name is None, NaN (in pandas' columns) or blank
        text = name.strip() if isinstance(name, str) else ""
        text = text or UNNAMED_ATTACK
        earlier = found.get(text, AttackRecall(rows=0, flagged=0))
        found[text] = AttackRecall(rows=earlier.rows + count, flagged=earlier.flagged + hits[name])
    return dict(sorted(found.items(), key=lambda item: (-item[1].rows, item[0])))


def _realised_rate(policy: Policy | None, calibration: Calibration | None, confusion: Confusion) -> RealisedRate | None:
    if policy is None or calibration is None or policy.asked_rate is None:
        return None
    of_normal = calibration.population == "normal"
    rows = confusion.fp + confusion.tn + (0 if of_normal else confusion.tp + confusion.fn)
    if not rows:
        return None
    interval = policy.realised_rate_interval(calibration.n, rows)
    assert interval is not None
    flagged = confusion.fp + (0 if of_normal else confusion.tp)
    return RealisedRate(
        asked=policy.asked_rate,
        realised=flagged / rows,
        lowest=interval[0],
        highest=interval[1],
        rows="normal" if of_normal else "all",
    )
