"""List the detectors that ``netsieve train --detector`` knows, and which of them tell a record's top features."""

from __future__ import annotations

import argparse

from netsieve.engine.cli.table import text_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments: it has none."""


def run(_options: argparse.Namespace) -> int:
    """Print the table."""
    from netsieve.engine.detectors.registry import DETECTORS

    rows = [
        (entry.name, "top features" if entry.explains else "", entry.description, entry.good_for)
        for entry in DETECTORS.values()
    ]
    print(text_table(rows))
    return 0
