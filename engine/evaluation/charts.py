"""The report's charts as inline SVG, drawn by matplotlib.

Colours are drawn as placeholders and replaced by CSS variables, so that one page serves light, dark and paper.
Text stays text. Nothing that came from data is written into a chart: matplotlib would read ``$`` as mathematics.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.errors import OutputError
from netsieve.engine.evaluation.curves import RankedScores
from netsieve.engine.evaluation.metrics import Evaluation

INK, MUTED, GRID, NORMAL, ANOMALY, MARK = (f"#0{i}0{i}0{i}" for i in range(1, 7))
_VARIABLES: Final = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    NORMAL: "--normal",
    ANOMALY: "--anomaly",
    MARK: "--mark",
}
LegendLine = tuple[str, str, Literal["-", "--", ":", "o"]]
"""Name, colour, and line style or marker."""
SCORE_BINS: Final = 90
RATE_AXIS: Final = (1e-6, 1e-2)
"""Between these lies the left end of the logarithmic axis of false-positive rates, at half a normal row."""
LOGARITHMIC_SPAN: Final = 10.0
"""Scores above zero whose largest is this many times the smallest have a logarithmic axis."""


def load_matplotlib() -> Any:
    """Return matplotlib, which only reports need.

    Raises
    ------
    OutputError
        It is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise OutputError(
            "the HTML report draws its charts with matplotlib, which is not installed; "
            "install netsieve[train], or leave out --report"
        ) from None
    return matplotlib


def roc_chart(ranked: RankedScores, evaluation: Evaluation) -> str:
    """Return the ROC curve over the whole range and, beside it, over the logarithm of the false-positive rate."""
    with _style("roc"):
        figure = _figure(10.4, 4.0)
        whole, low = figure.subplots(1, 2, gridspec_kw={"wspace": 0.05})
        recall, fall_out = _curve(ranked)
        lowest = min(max(0.5 / ranked.normal.size, RATE_AXIS[0]), RATE_AXIS[1])
        for axes, floor in ((whole, 0.0), (low, lowest)):
            axes.plot(np.maximum(fall_out, floor), recall, color=ANOMALY, linewidth=1.8, solid_joinstyle="round")
            chance = np.geomspace(lowest, 1, 100) if floor else np.array([0.0, 1.0])
            axes.plot(chance, chance, color=MUTED, linewidth=1, dashes=(3, 3))
            if evaluation.false_positive_rate is not None and evaluation.recall is not None:
                _mark(axes, max(evaluation.false_positive_rate, floor), evaluation.recall)
            _percent_axis(axes.yaxis)
            _percent_axis(axes.xaxis)
            axes.set_ylim(-0.015, 1.015)
            axes.set_ylabel("recall (true-positive rate)")
        whole.set_xlim(-0.015, 1.015)
        whole.set_xlabel("false-positive rate")
        low.set_xscale("log")
        low.set_xlim(lowest, 1)
        low.set_xlabel("false-positive rate, logarithmic")
        low.minorticks_off()
        _percent_axis(low.xaxis)
        _legend(whole, [("detector", ANOMALY, "-"), ("chance", MUTED, ":"), ("threshold", MARK, "o")], "lower right")
        return _svg(figure, "roc")


def precision_recall_chart(ranked: RankedScores, evaluation: Evaluation) -> str:
    """Return the precision-recall curve, as the rows are and with attacks reweighted."""
    with _style("precision"):
        figure = _figure(5.1, 4.6)
        axes = figure.subplots()
        recall, fall_out = _curve(ranked)
        # at recall 0 and no alarm precision is not defined: the curve starts with the first alarm
        recall, fall_out = recall[1:], fall_out[1:]
        share = evaluation.attack_share
        axes.plot(recall, ranked.precision(recall, fall_out, share), color=NORMAL, linewidth=1.5, dashes=(5, 2))
        axes.plot(recall, ranked.precision(recall, fall_out), color=ANOMALY, linewidth=1.8)
        if evaluation.recall is not None and evaluation.precision is not None:
            _mark(axes, evaluation.recall, evaluation.precision)
        for axis in (axes.xaxis, axes.yaxis):
            _percent_axis(axis)
        axes.set_xlim(-0.015, 1.015)
        axes.set_ylim(-0.015, 1.015)
        axes.set_xlabel("recall")
        axes.set_ylabel("precision")
        lines: list[LegendLine] = [
            (f"as evaluated, {100 * evaluation.flag_everything_accuracy:.3g} % attacks", ANOMALY, "-"),
            (f"at {100 * share:.3g} % attacks", NORMAL, "--"),
            ("threshold", MARK, "o"),
        ]
        _legend(axes, lines, "best")
        return _svg(figure, "precision")


def score_chart(ranked: RankedScores, threshold: float) -> str:
    """Return the distribution of the scores of each class over shared bins, with the threshold drawn in.

    Scores above zero that span a decade have a logarithmic axis. Else the axis is linear from the 0.1st to the
    99.9th percentile, and the bins at its ends hold what lies beyond.
    """
    with _style("scores"):
        figure = _figure(10.4, 3.5)
        axes = figure.subplots()
        edges, logarithmic = score_bins(ranked, threshold)
        lines: list[LegendLine] = []
        for values, color, name in (
            (ranked.normal, NORMAL, "normal rows"),
            (ranked.anomalous, ANOMALY, "anomalous rows"),
        ):
            if values.size:
                inside = np.clip(values.astype(np.float64), edges[0], edges[-1])
                share = np.histogram(inside, edges)[0] / values.size
                axes.stairs(share, edges, fill=True, color=color, alpha=0.28, linewidth=0)
                axes.stairs(share, edges, color=color, linewidth=1.4)
                lines.append((name, color, "-"))
        if edges[0] <= threshold <= edges[-1]:
            lines.append(("threshold", MARK, "-"))
            axes.axvline(threshold, color=MARK, linewidth=1.6)
            right = (np.searchsorted(edges, threshold) / len(edges)) < 0.8
            axes.annotate(
                f"threshold {threshold:.4g}",
                (threshold, 1),
                xycoords=("data", "axes fraction"),
                xytext=(5 if right else -5, -4),
                textcoords="offset points",
                ha="left" if right else "right",
                va="top",
                color=MARK,
            )
        if logarithmic:
            from matplotlib.ticker import FuncFormatter

            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(
                FuncFormatter(lambda value, _: f"{value:,.0f}" if 1 <= value < 1e7 else f"{value:g}")
            )
            axes.minorticks_off()
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(bottom=0)
        _percent_axis(axes.yaxis)
        axes.set_xlabel("anomaly score, logarithmic" if logarithmic else "anomaly score")
        axes.set_ylabel("share of the class in a bin")
        _legend(axes, lines, "best")
        return _svg(figure, "scores")


def score_bins(ranked: RankedScores, threshold: float) -> tuple[NDArray[np.float64], bool]:
    """Return the ascending bin edges of the score chart, and whether they are spaced logarithmically."""
    parts = [values for values in (ranked.normal, ranked.anomalous) if values.size]
    lowest = float(min(values[0] for values in parts))
    highest = max(float(max(values[-1] for values in parts)), threshold)
    if lowest > 0 and highest >= LOGARITHMIC_SPAN * lowest:
        low, high = np.log10(lowest), np.log10(highest)
        margin = 0.02 * (high - low)
        return np.logspace(low - margin, high + margin, SCORE_BINS + 1), True
    low = min(float(values[int(0.001 * (values.size - 1))]) for values in parts)
    high = max(float(values[int(0.999 * (values.size - 1))]) for values in parts)
    if low <= threshold <= highest:
        high = max(high, threshold)
    margin = max(0.02 * (high - low), 1e-6 * max(abs(low), abs(high)), 1e-12)
    return np.linspace(low - margin, high + margin, SCORE_BINS + 1), False


def _curve(ranked: RankedScores) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    recall, fall_out = ranked.rates_from(ranked.thinned_cuts())
    return np.concatenate(([0.0], recall)), np.concatenate(([0.0], fall_out))


def _style(name: str) -> Any:
    """Return the context in which a chart is made and written: axes take their style when they are made."""
    return load_matplotlib().rc_context(
        {
            "font.size": 9.5,
            "axes.edgecolor": MUTED,
            "axes.facecolor": "none",
            "axes.labelcolor": MUTED,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": 0.8,
            "figure.facecolor": "none",
            "grid.color": GRID,
            "grid.linewidth": 0.8,
            "legend.frameon": False,
            "legend.labelcolor": INK,
            "text.color": INK,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "xtick.major.size": 3,
            "ytick.major.size": 0,
            "svg.fonttype": "none",
            # makes ids agree between two runs
            "svg.hashsalt": f"netsieve-{name}",
        }
    )


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _percent_axis(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{np.format_float_positional(100 * value, 4, fractional=False, trim='-')} %")
    )


def _mark(axes: Any, x: float, y: float) -> None:
    axes.plot([x], [y], marker="o", markersize=7, color=MARK, markeredgewidth=0, clip_on=False, zorder=5)


def _legend(axes: Any, lines: Sequence[LegendLine], place: str) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=color, label=name, linewidth=1.8, marker="o", linestyle="")
        if style == "o"
        else Line2D([], [], color=color, label=name, linewidth=1.8, linestyle=style)
        for name, color, style in lines
    ]
    axes.legend(handles=handles, loc=place)


def _svg(figure: Any, name: str) -> str:
    """Return the figure as an SVG element that scales with the page and names no outside resource."""
    target = io.StringIO()
    figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = target.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    # charts share a page: ids are told apart by the chart's name
    text = re.sub(r' id="', f' id="{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r'xlink:href="#', f'xlink:href="#{name}-', text)
    text = re.sub(r"font-family: [^;\"]*", "font-family: var(--font)", text)
    for placeholder, variable in _VARIABLES.items():
        text = text.replace(placeholder, f"var({variable})")
    return text.strip()
