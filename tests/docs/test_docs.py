"""The documentation holds together: links lead somewhere, and what it shows is accepted."""

import re
import shlex
import tomllib
from pathlib import Path

import polars as pl
import pytest

from netsieve.engine.cli.main import argument_parser
from netsieve.engine.features.layouts import declare_neighbours
from netsieve.engine.features.neighbours import COLUMN_ROLES
from netsieve.engine.features.schema_file import schema_declaration
from netsieve.engine.sources.eve_columns import EVENT, SECTIONS
from netsieve.engine.sources.eve_features import DERIVED
from netsieve.engine.thresholds.policy import parse_policy

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def code_blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        linked = page if not path else page.parent / path
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


def test_the_schema_file_of_the_guide_is_accepted():
    (text,) = code_blocks(ROOT / "docs/schema.md", "toml")
    declaration = schema_declaration(tomllib.loads(text))
    assert set(declaration.columns) == {"DestinationPort", "BytesSent"}


def test_the_neighbours_section_of_the_guide_is_accepted():
    (text,) = code_blocks(ROOT / "docs/neighbours.md", "toml")
    section = schema_declaration(tomllib.loads(text)).neighbours
    roles = {key: value for key, value in section.items() if key in COLUMN_ROLES}
    assert set(roles) == set(COLUMN_ROLES)
    frame = pl.DataFrame({name: [1.0] for name in roles.values()})
    assert declare_neighbours(frame, section=section).columns == tuple(section["columns"])


def test_the_policies_of_the_guide_are_accepted():
    table = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs/thresholds.md").read_text(), re.MULTILINE)
    assert {parse_policy(text).name for text in table} == {
        "fpr",
        "contamination",
        "percentile",
        "mean_std",
        "score",
        "f1",
    }


def test_the_commands_of_the_readme_are_accepted():
    blocks = "\n".join(code_blocks(ROOT / "README.md", "sh"))
    commands = [shlex.split(line, comments=True) for line in blocks.splitlines() if line.startswith("netsieve ")]
    assert len(commands) >= 4
    for _, *arguments in commands:
        assert argument_parser().parse_args(arguments).command == arguments[0]


def test_the_columns_of_the_suricata_guide_are_those_that_are_read():
    page = (ROOT / "docs/suricata.md").read_text()
    (common,) = re.findall(r"Those of all events:\n\n(.*?)\n\n", page, re.DOTALL)
    assert re.findall(r"`([^`]+)`", common) == list(EVENT)
    rows = [row.split("|")[1:4] for row in page.splitlines() if row.startswith("| `")]
    tables = {kind.strip(" `"): re.findall(r"`([^`]+)`", columns) for kind, columns, _ in rows}
    computed = {kind.strip(" `"): re.findall(r"`([^`]+)`", columns) for kind, _, columns in rows if columns.strip()}
    assert {kind: tables[kind] for kind in SECTIONS} == {kind: list(columns) for kind, columns in SECTIONS.items()}
    assert {kind: [*computed[kind], "hour_of_day"] for kind in DERIVED} == {
        kind: list(columns) for kind, columns in DERIVED.items()
    }
