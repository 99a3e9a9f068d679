"""The evaluation as one self-contained HTML file: no script, no font, no image from elsewhere.

Names of attacks, files and models come from data that an attacker may have written. Every one is escaped, set
apart in ``<bdi>`` so that it cannot turn the text around it, and the page forbids itself to load anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from numpy.typing import ArrayLike

from netsieve.engine.evaluation.charts import precision_recall_chart, roc_chart, score_chart
from netsieve.engine.evaluation.curves import RankedScores
from netsieve.engine.evaluation.metrics import Evaluation, RealisedRate
from netsieve.engine.evaluation.style import STYLE
from netsieve.engine.evaluation.table import number_text, percent_text, printable
from netsieve.engine.sinks.atomic import write_atomically

LONGEST_NAME: Final = 200
"""Characters of a name from data that are shown."""


def write_report(
    evaluation: Evaluation,
    scores: ArrayLike,
    labels: ArrayLike,
    path: str | os.PathLike[str],
    *,
    title: str = "Evaluation",
    provenance: Mapping[str, object] | None = None,
    data_files: Sequence[str] = (),
) -> None:
    """Write the report; it appears under its name only when it is complete.

    Parameters
    ----------
    evaluation
        Of these scores and labels.
    scores, labels
        ``[n]`` each, as given to :func:`netsieve.engine.evaluation.metrics.evaluate_scores`.
    path
        HTML file to write.
    title
        Heading of the page.
    provenance
        What there is to say about the model, in the order shown: detector, fingerprint, rows, versions.
    data_files
        Files that the evaluated rows came from.

    Raises
    ------
    OutputError
        matplotlib is not installed, or the file cannot be written.
    """
    text = evaluation_report(evaluation, scores, labels, title=title, provenance=provenance, data_files=data_files)
    write_atomically(os.fspath(path), text.encode())


def evaluation_report(
    evaluation: Evaluation,
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    title: str = "Evaluation",
    provenance: Mapping[str, object] | None = None,
    data_files: Sequence[str] = (),
) -> str:
    """Return the report as HTML text; parameters are those of :func:`write_report`."""
    e = evaluation
    ranked = RankedScores.of(scores, labels)
    sections = [_header(e, title), _tiles(e), _threshold(e)]
    if ranked.both_classes:
        sections.append(_card(_chart("ROC curve", roc_chart(ranked, e))))
        sections.append(
            '<div class="pair">'
            + _card(_chart("Precision and recall", precision_recall_chart(ranked, e)))
            + _card("<h2>Recall at a budget of false alarms</h2>" + _budgets(e) + _baselines(e))
            + "</div>"
        )
    else:
        missing = "anomalous" if ranked.normal.size else "normal"
        sections.append(_card(f"<p>These rows hold no {missing} ones, so there are no curves to draw.</p>"))
    sections.append(_card(_chart("Scores of both classes", score_chart(ranked, e.threshold))))
    sections.append(_card("<h2>Decisions at the threshold</h2>" + _confusion(e)))
    if e.attacks:
        sections.append(_card("<h2>Recall by attack</h2>" + _attacks(e)))
    sections.append(_provenance(provenance or {}, data_files))
    sections.append(_notes(e))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(printable(title, LONGEST_NAME))} – netsieve</title>\n<style>{STYLE}</style>\n</head>\n"
        "<body>\n<main>\n" + "\n".join(part for part in sections if part) + "\n</main>\n</body>\n</html>\n"
    )


def _name(value: object) -> str:
    """Return text that came from data, safe to stand in the page."""
    return f"<bdi>{escape(printable(str(value), LONGEST_NAME))}</bdi>"


def _card(content: str) -> str:
    return f'<section class="card">{content}</section>'


def _chart(heading: str, svg: str) -> str:
    return f'<h2>{heading}</h2><figure class="chart">{svg}</figure>'


def _header(e: Evaluation, title: str) -> str:
    return (
        f'<header><p class="brand">netsieve <span>evaluation</span></p><h1>{_name(title)}</h1>'
        f"<p>{e.rows:,} rows: {e.normal_rows:,} normal, {e.anomalies:,} anomalous "
        f"({percent_text(e.flag_everything_accuracy)})</p></header>"
    )


def _tiles(e: Evaluation) -> str:
    ranking = [
        ("AUROC", number_text(e.auroc), "ranking of all rows; chance is 0.5"),
        (
            "Average precision",
            number_text(e.average_precision_reweighted),
            f"with attacks reweighted to {100 * e.attack_share:g} % of the rows; chance is {e.attack_share:g}",
        ),
        (
            "Average precision, as is",
            number_text(e.average_precision),
            f"with {percent_text(e.flag_everything_accuracy)} attacks, which is also chance",
        ),
    ]
    decisions = [
        ("Recall", percent_text(e.recall), "of anomalous rows flagged"),
        ("False-positive rate", percent_text(e.false_positive_rate), "of normal rows flagged"),
        ("Precision", percent_text(e.precision), "of flagged rows anomalous"),
    ]
    tiles = "".join(
        f'<div class="tile {kind}"><h3>{name}</h3><p class="figure">{value}</p><p>{note}</p></div>'
        for kind, group in (("ranking", ranking), ("decision", decisions))
        for name, value, note in group
    )
    return f'<section class="tiles">{tiles}</section>'


def _threshold(e: Evaluation) -> str:
    source = f" from <code>{escape(e.threshold_policy)}</code>" if e.threshold_policy else ", as given"
    text = f"<h2>Threshold</h2><p>A row is flagged when its score is above <b>{e.threshold:.6g}</b>{source}.</p>"
    if e.realised_rate is not None:
        text += _rate_strip(e.realised_rate)
    if e.threshold_policy == "f1":
        text += '<p class="warning">It was chosen on these very rows, so the figures at it are optimistic.</p>'
    return _card(text)


def _rate_strip(rate: RealisedRate) -> str:
    """Return the asked and the realised rate on a line with the interval between them."""
    end = 1.18 * max(rate.highest, rate.realised, rate.asked)

    def place(value: float) -> str:
        return f"{100 * value / end:.2f}%"

    width = f"{100 * (rate.highest - rate.lowest) / end:.2f}%"
    interval = f"the interval from {percent_text(rate.lowest)} to {percent_text(rate.highest)}"
    if rate.within:
        verdict = f'<span class="good">inside</span> {interval} that 99 % of samples of these sizes fall in'
    else:
        reason = "these rows are not like those that the threshold was calibrated on"
        if rate.realised < rate.lowest:
            reason += ", or many scores tie at it"
        verdict = f'<span class="bad">outside</span> {interval}: {reason}'
    return (
        f"<p>Asked: {percent_text(rate.asked)} of {rate.rows} rows. Realised: <b>{percent_text(rate.realised)}</b>, "
        f"{verdict}.</p>"
        '<div class="strip" aria-hidden="true"><div class="rail"></div>'
        f'<div class="interval" style="left:{place(rate.lowest)};width:{width}"></div>'
        f'<div class="tick asked" style="left:{place(rate.asked)}"><i></i><span>asked</span></div>'
        f'<div class="tick realised" style="left:{place(rate.realised)}"><i></i><span>realised</span></div></div>'
    )


def _bar(share: float) -> str:
    return f'<div class="bar"><span style="width:{100 * share:.2f}%"></span></div>'


def _budgets(e: Evaluation) -> str:
    rows = []
    for rate, recall in e.recall_at_fpr.items():
        cells = (
            f'<td class="muted" colspan="2">needs {1 / rate:,.0f} normal rows</td>'
            if recall is None
            else f'<td class="number">{percent_text(recall)}</td><td class="wide">{_bar(recall)}</td>'
        )
        rows.append(f'<tr><th scope="row">1 in {1 / rate:,.0f}</th>{cells}</tr>')
    return (
        "<p>The largest share of anomalous rows that any threshold finds while it flags no more of the normal ones.</p>"
        '<table><thead><tr><th>normal rows flagged</th><th class="number">recall</th><th></th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _baselines(e: Evaluation) -> str:
    lines: Iterable[tuple[str, float]] = (
        ("this threshold", e.accuracy),
        ("flag nothing", e.flag_nothing_accuracy),
        ("flag everything", e.flag_everything_accuracy),
    )
    rows = "".join(
        f'<tr><th scope="row">{name}</th><td class="number">{percent_text(value)}</td>'
        f'<td class="wide">{_bar(value)}</td></tr>'
        for name, value in lines
    )
    return (
        '<h2 class="second">Accuracy, and what it is worth</h2>'
        '<table><thead><tr><th></th><th class="number">accuracy</th><th></th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _confusion(e: Evaluation) -> str:
    def cell(count: int, whole: int, kind: str, word: str) -> str:
        share = count / whole if whole else None
        strength = 8 + 62 * (share or 0.0)
        return (
            f'<td class="{kind}" style="--strength:{strength:.0f}%"><b>{count:,}</b>'
            f"<span>{percent_text(share)} · {word}</span></td>"
        )

    c = e.confusion
    return (
        '<table class="confusion"><thead><tr><th></th><th>flagged</th><th>not flagged</th><th class="number">rows</th>'
        '</tr></thead><tbody><tr><th scope="row">anomalous</th>'
        + cell(c.tp, e.anomalies, "right", "found")
        + cell(c.fn, e.anomalies, "wrong", "missed")
        + f'<td class="number">{e.anomalies:,}</td></tr><tr><th scope="row">normal</th>'
        + cell(c.fp, e.normal_rows, "wrong", "false alarms")
        + cell(c.tn, e.normal_rows, "right", "left alone")
        + f'<td class="number">{e.normal_rows:,}</td></tr></tbody></table>'
        f"<p>Precision {percent_text(e.precision)}, recall {percent_text(e.recall)}, F1 {number_text(e.f1)}.</p>"
    )


def _attacks(e: Evaluation) -> str:
    assert e.attacks is not None
    rows = "".join(
        f'<tr><th scope="row">{_name(name)}</th><td class="number">{attack.rows:,}</td>'
        f'<td class="number">{attack.flagged:,}</td><td class="number">{percent_text(attack.recall)}</td>'
        f'<td class="wide">{_bar(attack.recall)}</td></tr>'
        for name, attack in e.attacks.items()
    )
    return (
        '<table class="attacks"><thead><tr><th>attack</th><th class="number">rows</th><th class="number">flagged</th>'
        f'<th class="number">recall</th><th></th></tr></thead><tbody>{rows}</tbody></table>'
    )


def _provenance(provenance: Mapping[str, object], data_files: Sequence[str]) -> str:
    parts = []
    if provenance:
        rows = "".join(f"<dt>{_name(key)}</dt><dd>{_value(value)}</dd>" for key, value in provenance.items())
        parts.append(_card(f"<h2>Model</h2><dl>{rows}</dl>"))
    if data_files:
        files = "".join(f"<li>{_name(file)}</li>" for file in data_files)
        parts.append(_card(f'<h2>Data</h2><ul class="files">{files}</ul>'))
    return f'<div class="pair">{"".join(parts)}</div>' if parts else ""


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_name(key)} {_name(part)}" for key, part in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else _name(value)


def _notes(e: Evaluation) -> str:
    return (
        "<footer><h2>How to read this</h2><p>AUROC is the probability that an anomalous row scores above a normal one. "
        "Average precision sums the precision at each gain in recall; since it grows with the share of attacks, it is "
        f"also told with attacks weighted to {100 * e.attack_share:g} % of the rows. The threshold changes neither. "
        "Recall at a budget is the best that any threshold reaches on these rows; a threshold set beforehand comes "
        "out lower or higher. Curves are drawn through at most 900 of their points, all of which lie on them."
        "</p></footer>"
    )
