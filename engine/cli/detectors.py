"""List the detectors that ``netsieve train --detector`` knows."""

from __future__ import annotations

import argparse

from netsieve.engine.cli.table import text_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments: it has none."""


def run(_options: argparse.Namespace) -> int:
    """Print the table."""
    from netsieve.engine.detectors.registry import DETECTORS

    print(text_table([(entry.name, entry.description, entry.good_for) for entry in DETECTORS.values()]))
    return 0
