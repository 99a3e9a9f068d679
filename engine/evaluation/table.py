"""The evaluation as a short text table for a terminal."""

from __future__ import annotations

import numpy as np

from netsieve.engine.evaluation.metrics import Evaluation

WIDEST_NAME = 32
"""Attack names are cut to this many characters."""


def number_text(value: float | None, digits: int = 4) -> str:
    """Return a metric as text; an undefined one is a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def percent_text(value: float | None) -> str:
    """Return a share as a percentage: two decimals from 1 % on, three significant digits below."""
    if value is None:
        return "–"
    percent = 100 * value
    if percent in (0, 100):
        return f"{percent:.0f} %"
    if percent < 1 - 1e-9:
        return f"{np.format_float_positional(percent, precision=3, fractional=False, trim='-')} %"
    text = f"{percent:.2f}"
    # 99.9996 must not read as all of them
    return ">99.99 %" if text == "100.00" else f"{text} %"


def printable(text: str, width: int | None = None) -> str:
    """Return text that came from data without control characters, cut to a width."""
    clean = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return clean if width is None or len(clean) <= width else clean[: width - 1] + "…"


def evaluation_table(evaluation: Evaluation) -> str:
    """Return the table that ``netsieve evaluate`` prints, without a final newline."""
    e = evaluation
    share = percent_text(e.flag_everything_accuracy)
    lines = [
        ("rows", f"{e.rows:,} ({e.normal_rows:,} normal, {e.anomalies:,} anomalous: {share})"),
        ("AUROC", number_text(e.auroc)),
        (
            "average precision",
            f"{number_text(e.average_precision)} ({number_text(e.average_precision_reweighted)} with attacks "
            f"reweighted to {100 * e.attack_share:g} % of the rows)",
        ),
    ]
    for budget, recall in e.recall_at_fpr.items():
        undefined = f"– (fewer than {1 / budget:,.0f} normal rows)" if e.anomalies else "–"
        lines.append((f"recall at FPR {budget:g}", undefined if recall is None else number_text(recall)))
    lines += [
        ("threshold", f"{e.threshold:.6g}" + (f" from {e.threshold_policy}" if e.threshold_policy else "")),
        ("  precision", number_text(e.precision)),
        ("  recall", number_text(e.recall)),
        ("  F1", number_text(e.f1)),
        ("  false positives", f"{percent_text(e.false_positive_rate)} of normal rows"),
    ]
    if (rate := e.realised_rate) is not None:
        verdict = "inside" if rate.within else "OUTSIDE"
        lines.append(
            (
                "  rate asked",
                f"{percent_text(rate.asked)} of {rate.rows} rows, realised {percent_text(rate.realised)}, {verdict} "
                f"{percent_text(rate.lowest)} to {percent_text(rate.highest)} (99 % interval)",
            )
        )
    lines += [
        (
            "  accuracy",
            f"{number_text(e.accuracy)} (flag nothing: {number_text(e.flag_nothing_accuracy)}, "
            f"flag everything: {number_text(e.flag_everything_accuracy)})",
        ),
        ("  flagged anomalies", f"{e.confusion.tp:,} of {e.anomalies:,}"),
        ("  flagged normal rows", f"{e.confusion.fp:,} of {e.normal_rows:,}"),
    ]
    width = max(len(name) for name, _ in lines) + 2
    text = [f"{name:<{width}}{value}" for name, value in lines]
    if e.attacks:
        names = {name: printable(name, WIDEST_NAME) for name in e.attacks}
        width = max(6, *map(len, names.values())) + 2
        text += ["", f"{'attack':<{width}}{'rows':>12}{'flagged':>12}{'recall':>10}"]
        text += [
            f"{names[name]:<{width}}{attack.rows:>12,}{attack.flagged:>12,}{attack.recall:>10.4f}"
            for name, attack in e.attacks.items()
        ]
    return "\n".join(text)
