"""Header lines in the middle of delimited text that name other columns than the first one did.

Logs are joined end to end, and a program may have written its columns in another order by then. What stands below such
a line cannot be read by the first header's columns, however well its cells may fit: it is rejected, up to the next
header line that names the same columns as the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from netsieve.engine.errors import SourceError
from netsieve.engine.sources.source import Block
from netsieve.kernels import _native

if TYPE_CHECKING:
    from numpy.typing import NDArray


FEWEST_NAMES: Final = 3
"""Fewer names of columns do not tell a header line from a record."""
LEAST_SHARE: Final = 0.5
"""Share of a line's fields that are names of columns, from which on it is a header line."""
LONGEST_HEADER: Final = 64 * 1024
"""A longer line is no header."""
LOOKED_AT_FIRST: Final = 4 * 1024
"""Most header lines end within so many bytes."""
MOST_CHANGES: Final = 1000
"""Changes of columns in a file, each of which ends a block; one with more is no log but what a mistake made of it."""
SKIPPED: Final = 0
OTHER_HEADER: Final = "under a header line in mid-file that names other columns than the first"


@dataclass(frozen=True, slots=True)
class OtherColumns:
    """Text of a block that stands below a header of other columns, uint8 ``[n]``."""

    text: NDArray[np.uint8]


class HeaderWatch:
    """Looks for header lines that name other columns, and parts blocks there.

    Parameters
    ----------
    names
        The first header's columns.
    delimiter
        One character.
    names_of
        Makes columns' names of a header line's fields.
    scan
        Counts the records of a text, and notes those that begin with a column's name.
    """

    def __init__(
        self,
        names: Sequence[str],
        delimiter: str,
        names_of: Callable[[list[str]], tuple[str, ...]],
        scan: Callable[[NDArray[np.uint8], bool], _native.RecordScan],
    ) -> None:
        self._names = tuple(names)
        # A record of numbers may well be made of names that are numbers, as Pandas gives them
        self._texts = frozenset(name for name in self._names if not _is_number(name))
        self._changes = 0
        self._delimiter = delimiter
        self._names_of = names_of
        self._scan = scan
        self._other = False

    def parts(self, block: Block, named: Sequence[int]) -> Iterator[Block]:
        """Yield the parts of a block, in order; the data of those below other columns is :class:`OtherColumns`.

        Parameters
        ----------
        block
            Whole records.
        named
            Offsets of those that begin with a column's name.

        Raises
        ------
        SourceError
            The columns change again and again.
        """
        whole, behind = block, 0  # of the parts that were given
        for at in named:
            other = self._names_others(whole.data, at)
            if other is None or other == self._other:
                continue
            self._changes += 1
            if self._changes > MOST_CHANGES:
                raise SourceError(
                    f"{block.source_file} has more than {MOST_CHANGES:,} header lines in mid-file that change the "
                    "columns; take them out, or write each order of columns into a file of its own"
                )
            found = self._scan(block.data[: at - behind], False)
            if found.end:
                skipped = _counts(found.blank, found.headers)
                yield self._marked(
                    replace(block, records=found.records, data=block.data[: found.end], skipped=skipped, bytes_read=0)
                )
            assert block.first_line is not None
            assert block.offset is not None
            left = (block.skipped.get(reason, 0) for reason in ("blank", "header"))
            block = replace(
                block,
                first_record=block.first_record + found.records,
                records=block.records - found.records,
                first_line=block.first_line + found.lines,
                offset=block.offset + found.end,
                data=block.data[found.end :],
                skipped=_counts(
                    *(count - gone for count, gone in zip(left, (found.blank, found.headers), strict=True))
                ),
            )
            behind, self._other = at, other
        yield self._marked(block)

    def _marked(self, block: Block) -> Block:
        return replace(block, data=OtherColumns(block.data)) if self._other else block

    def _names_others(self, text: NDArray[np.uint8], at: int) -> bool | None:
        """Whether a line is a header of other columns than the first; None where it is no header.

        One of fewer or more columns counts for none: the records below tell themselves, by their number of fields.
        """
        for longest in (LOOKED_AT_FIRST, LONGEST_HEADER):
            line, newline, _ = text[at : at + longest].tobytes().partition(b"\n")
            if newline:
                break
        fields = line.decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r").split(self._delimiter)
        names = self._names_of([field.strip().strip('"').strip() for field in fields])
        known = sum(name in self._texts for name in names)
        if len(names) != len(self._names) or known < max(FEWEST_NAMES, LEAST_SHARE * len(names)):
            return None
        return names != self._names


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _counts(blank: int, header: int) -> dict[str, int]:
    return {reason: count for reason, count in (("blank", blank), ("header", header)) if count}


def every_record(
    text: NDArray[np.uint8], delimiter: int, header: bytes, max_record: int, records: int
) -> NDArray[np.int64]:
    """Return the places of all records of a text, int64 ``[n, 8]``, as ``kernels._native.parse_records`` rejects them.

    Parameters as for that. A record is rejected for its number of fields by a table of one column or by one of two.
    """
    found = [
        _native.parse_records(text, delimiter, header, max_record, [SKIPPED] * columns, records).rejected
        for columns in (1, 2)
    ]
    places = np.concatenate(found)
    return places[np.unique(places[:, 0], return_index=True)[1]]


def given_names(names: Sequence[str], fields: list[str], label: str) -> tuple[str, ...]:
    """Return the names that were given for a file's columns.

    Raises
    ------
    SourceError
        One is there twice, or the first record has another number of fields.
    """
    if twice := _named_twice(names):
        raise SourceError(f"duplicate column name {twice}: the column names given are not unique")
    if len(names) != len(fields):
        raise SourceError(
            f"{label}: the first record has {len(fields)} fields, but {len(names)} column names were given"
        )
    return tuple(names)


def check_unique(names: Sequence[str], label: str) -> None:
    """Raise :class:`SourceError` where a header line names a column twice."""
    if twice := _named_twice(names):
        raise SourceError(
            f"duplicate column name {twice}: {label} has no header line with unique names (if it has none at all, "
            "give the column names)"
        )


def _named_twice(names: Sequence[str]) -> str:
    twice = [name for name, count in Counter(names).items() if count > 1]
    return ", ".join(map(repr, twice[:5])) + (f" and {len(twice) - 5} more" if len(twice) > 5 else "")
