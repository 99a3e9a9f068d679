import builtins
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsieve.engine.errors import OutputError
from netsieve.engine.evaluation.charts import score_bins
from netsieve.engine.evaluation.curves import RankedScores
from netsieve.engine.evaluation.metrics import evaluate_scores
from netsieve.engine.evaluation.report import evaluation_report, write_report
from netsieve.engine.evaluation.table import percent_text
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.engine.thresholds.policy import Policy

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)> $\\frac{1}{0}$ \x00\u202e'
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects what a page holds, and fails on tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if name == "id":
                self.ids.append(str(value))
            elif name in ("src", "href", "xlink:href", "clip-path"):
                self.references.append(str(value))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def some_report(rows: int = 3000, **options: object) -> str:
    rng = np.random.default_rng(0)
    labels = np.arange(rows) < rows // 10
    scores = np.exp(rng.normal(size=rows) + 2 * labels)
    calibration = Calibration.fit(np.exp(rng.normal(size=2000)))
    policy = Policy("fpr", 0.01)
    evaluation = evaluate_scores(
        scores, labels, policy.threshold(calibration), [HOSTILE] * rows, policy=policy, calibration=calibration
    )
    return evaluation_report(evaluation, scores, labels, **options)


def test_the_report_is_one_well_formed_page_without_outside_resources():
    page = Page(some_report())
    assert page.tags.count("svg") == 3
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert len(page.ids) == len(set(page.ids))
    named = {re.sub(r"^(url\()?#|\)$", "", reference) for reference in page.references}
    assert named
    assert named <= set(page.ids)
    # names of XML vocabularies are no resources
    outside = set(re.findall(r"(?:https?:)?//[\w.]+[^\"\s<]*", some_report()))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in some_report()


def test_text_stays_text_and_tells_the_figures():
    text = Page(some_report(title="autoencoder on flows", data_files=["flows.csv"], provenance={"rows": 12345})).text
    for part in (
        "autoencoder on flows",
        "flows.csv",
        "12,345",
        "AUROC",
        "fpr:0.01",
        "false-positive rate",
        "threshold",
    ):
        assert part in text
    assert "inside" in text


def test_names_from_data_cannot_become_markup():
    text = some_report(
        title=HOSTILE, data_files=[HOSTILE], provenance={HOSTILE: HOSTILE, "versions": {HOSTILE: HOSTILE}}
    )
    page = Page(text)
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert "\x00" not in text
    assert "\u202e" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 8


def test_the_page_stays_small_however_many_rows():
    assert len(some_report(300_000)) < 1.15 * len(some_report(30_000)) < 200_000


def test_two_reports_of_the_same_data_are_equal():
    assert some_report() == some_report()


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("score", [2.5, 0.0, -1.0, 3e38])
def test_one_class_with_one_score_has_a_report(label, score):
    scores, labels = np.full(20, score), np.full(20, label)
    text = evaluation_report(evaluate_scores(scores, labels, 0.5), scores, labels)
    assert "no curves to draw" in Page(text).text


@given(
    st.lists(st.tuples(st.floats(width=32, allow_nan=False, allow_infinity=False), st.booleans()), min_size=1),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
)
@settings(deadline=None)
def test_score_bins_ascend_and_are_finite(rows, threshold):
    ranked = RankedScores.of([score for score, _ in rows], [label for _, label in rows])
    edges, logarithmic = score_bins(ranked, threshold)
    assert np.isfinite(edges).all()
    assert (np.diff(edges) > 0).all()
    assert not logarithmic or edges[0] > 0


def test_the_file_appears_whole_or_not_at_all(tmp_path: Path):
    scores, labels = np.arange(50.0), np.arange(50) > 25
    evaluation = evaluate_scores(scores, labels, 30)
    target = tmp_path / "report.html"
    write_report(evaluation, scores, labels, target)
    assert target.read_text(encoding="utf-8").endswith("</html>\n")
    with pytest.raises(OutputError, match="absent") as caught:
        write_report(evaluation, scores, labels, tmp_path / "absent" / "report.html")
    assert "\n" not in str(caught.value)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="folder"):
        write_report(evaluation, scores, labels, tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "report.html"]


def test_absent_matplotlib_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real_import = builtins.__import__

    def without_matplotlib(name, *rest, **options):
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return real_import(name, *rest, **options)

    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    evaluation = evaluate_scores([1.0, 2.0], [0, 1], 1.5)
    with pytest.raises(OutputError, match=r"netsieve\[train\]"):
        write_report(evaluation, [1.0, 2.0], [0, 1], tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0 %"),
        (1, "100 %"),
        (0.999999, ">99.99 %"),
        (0.5, "50.00 %"),
        (0.01, "1.00 %"),
        (0.001, "0.1 %"),
        (0.000123456, "0.0123 %"),
        (1e-7, "0.00001 %"),
    ],
)
def test_percentages(value, text):
    assert percent_text(value) == text
