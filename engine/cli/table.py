"""Plain text tables for people."""

from __future__ import annotations

from collections.abc import Sequence


def printable_lines(text: str) -> str:
    """Return text that came from data without the control characters that a terminal would obey."""
    return "".join(
        character if character == "\n" or character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def text_table(rows: Sequence[Sequence[str]], *, numbers: bool = False) -> str:
    """Return rows as aligned text.

    Parameters
    ----------
    rows
        Cells; every row has as many.
    numbers
        Whether all columns but the first are aligned to the right.
    """
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if numbers and i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return printable_lines("\n".join(lines))
