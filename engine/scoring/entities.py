"""A ranking of entities (hosts, users, pairs) by the scores of their records.

A record's *surprise* is -log10 of the share of calibration records that score at least as high: 3 for a score that one
in a thousand reaches. An entity's surprise compares how many of its records reach a level of surprise with how many
calibration records do, as a logarithm of likelihood ratios, at the level where that is largest
(:func:`netsieve.kernels.ranking.compare_with_calibration`). Why not a sum, a mean, or the worst few records: a sum
ranks the busiest hosts first, since every normal record adds some 0.43 to it; a mean lets a host hide a hundred
anomalies among a million normal records; and of a million normal records the worst ten are rare too. Here a record
of a level that one in a thousand reaches counts nothing where it is one of a thousand, nearly 3 where it is the only
one, and ten of them ten times as much.

Sequences are another matter: where an entity is one sequence (a trace of system calls) and a score is the logarithm of
how unlikely an event is behind the ones before it, the mean tells how unlikely the sequence is, event by event, and
ranks it; the surprise would find the longest.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.engine.features.encoding import category_text
from netsieve.engine.sinks.atomic import STANDARD_OUTPUT, PendingFile, pending_file
from netsieve.kernels import _native

if TYPE_CHECKING:
    from netsieve.engine.scoring.scorer import Scorer
    from netsieve.engine.thresholds.calibration import Calibration

ENTITIES_SUFFIX: Final = ".entities.csv"
MOST_ENTITIES: Final = 1_000_000
"""Entities ranked at a time; one more takes the place of that whose last record is the longest ago. 250 bytes each."""
LONGEST_NAME: Final = 256
"""Characters of a name that are kept."""
SEPARATOR: Final = "\x1f"
"""Between the values of several columns: the ASCII unit separator."""
FIRST_ENTITIES: Final = 4096
MEASURES: Final = ("surprise", "records", "anomalies", "mean_score", "highest_score")
OF_SEQUENCES: Final = frozenset({"lstm_tokens"})
"""Detectors whose scores are logarithms of probabilities, with a mean that says something of a sequence."""


def entities_path(output: str) -> str:
    """Return where the ranking goes: beside the output (``netsieve.entities.csv`` for standard output)."""
    return f"netsieve{ENTITIES_SUFFIX}" if output == STANDARD_OUTPUT else f"{output}{ENTITIES_SUFFIX}"


@dataclass(frozen=True, slots=True)
class EntityRecords:
    """What the ranking takes of a block: names, fingerprints uint64 ``[n, 2]``, scores, surprises and flags."""

    names: pl.Series
    fingerprints: NDArray[np.uint64]
    scores: NDArray[np.float32]
    surprise: NDArray[np.float32]
    flags: NDArray[np.bool_]


class EntityRanking:
    """Ranks the values of one column, or pairs of values of several, by their records, in bounded memory.

    Parameters
    ----------
    columns
        The columns whose values are the entities.
    calibration
        What scores are compared with.
    by_mean
        Whether the mean score ranks, rather than the surprise.
    most
        Entities at a time.

    Attributes
    ----------
    without
        Records that lack a value there: they belong to no entity.
    """

    def __init__(
        self, columns: Sequence[str], calibration: Calibration, *, by_mean: bool = False, most: int = MOST_ENTITIES
    ) -> None:
        self.columns = tuple(columns)
        self._first = "mean_score" if by_mean else "surprise"
        self.without = 0
        self._calibration = calibration
        self._key = os.urandom(16)
        self._interner = _native.Interner(most, float("inf"))
        self._names: list[str] = []
        self._counts = np.zeros((0, 2), np.int64)
        self._levels = np.zeros((0, 0), np.uint32)
        self._sums = np.zeros(0)
        self._highest = np.zeros(0, np.float32)

    @classmethod
    def of(cls, scorer: Scorer, columns: Sequence[str]) -> EntityRanking:
        """Return the ranking of a model's records: by the mean of its scores where an entity is one sequence to it."""
        windows = scorer.schema.windows
        one_sequence = windows is not None and set(windows.entity) == set(columns)
        return cls(columns, scorer.calibration, by_mean=one_sequence and scorer.detector in OF_SEQUENCES)

    @property
    def forgotten(self) -> int:
        """Entities that had to make room for others."""
        return self._interner.evicted

    def records(self, frame: pl.DataFrame, scores: NDArray[np.float32], flags: NDArray[np.bool_]) -> EntityRecords:
        """Return what :meth:`add` takes; safe to call from any thread.

        Raises
        ------
        EncodeError
            A column holds times, lists, structures or bytes.
        """
        texts = [category_text(frame.get_column(name)).str.head(LONGEST_NAME) for name in self.columns]
        names = pl.select(pl.concat_str(texts, separator=SEPARATOR)).to_series() if len(texts) > 1 else texts[0]
        return EntityRecords(
            names, _native.fingerprints(names, self._key), scores, self._calibration.surprise(scores), flags
        )

    def add(self, records: EntityRecords) -> None:
        """Take the records of a block, in order of the blocks."""
        from netsieve.kernels.ranking import update_levels

        ids, elapsed, _ = self._interner.assign(records.fingerprints, np.zeros(len(records.names)))
        self._make_room()
        known = ids >= 0
        self.without += int(np.count_nonzero(~known))
        is_new = np.isnan(elapsed) & known
        for row in np.flatnonzero(is_new).tolist():
            self._names[ids[row]] = records.names[row]
        update_levels(
            ids,
            is_new,
            records.scores,
            records.surprise,
            records.flags,
            self._counts,
            self._sums,
            self._highest,
            self._levels,
        )

    def _make_room(self) -> None:
        from netsieve.kernels.ranking import LEVELS

        if self._interner.size <= len(self._names):
            return
        wanted = min(max(FIRST_ENTITIES, 1 << (self._interner.size - 1).bit_length()), self._interner.max_entities)
        counts, levels = np.zeros((wanted, 2), np.int64), np.zeros((wanted, LEVELS), np.uint32)
        sums, highest = np.zeros(wanted), np.full(wanted, -np.inf, np.float32)
        held = len(self._names)
        if held:
            counts[:held], levels[:held] = self._counts, self._levels
            sums[:held], highest[:held] = self._sums, self._highest
        self._counts, self._sums, self._highest, self._levels = counts, sums, highest, levels
        self._names += [""] * (wanted - held)

    def frame(self) -> pl.DataFrame:
        """Return the ranking, worst first: the columns' values, and :data:`MEASURES`.

        The columns keep their names, with ``input_`` before one that is one of the others'. Entities of equal surprise
        (or mean score, where that ranks) are ranked by the share of anomalies among their records, then by the number
        of these, by the highest score, and by name.
        """
        from netsieve.kernels.ranking import compare_with_calibration

        size = self._interner.size
        surprise = np.zeros(size)
        if size:
            compare_with_calibration(self._counts[:size], self._levels[:size], self._calibration.n, surprise)
        names = pl.Series(self._names[:size], dtype=pl.String)
        if len(self.columns) > 1:
            parts = names.str.split_exact(SEPARATOR, len(self.columns) - 1).struct.unnest().get_columns()
        else:
            parts = [names]
        headings = [f"input_{name}" if name in MEASURES else name for name in self.columns]
        table = pl.DataFrame(
            {
                **dict(zip(headings, parts, strict=True)),
                "surprise": surprise,
                "records": self._counts[:size, 0],
                "anomalies": self._counts[:size, 1],
                "mean_score": self._sums[:size] / self._counts[:size, 0],
                "highest_score": self._highest[:size],
            }
        )
        share = pl.col("anomalies") / pl.col("records")
        order = [self._first, share, "anomalies", "highest_score", *headings]
        return table.sort(order, descending=[True] * 4 + [False] * len(headings))

    def write(self, path: str) -> None:
        """Write the ranking as CSV, in one step."""
        self.pending(path).commit()

    def pending(self, path: str) -> PendingFile:
        """Return the ranking as a file of CSV that is complete but for its name."""
        return pending_file(path, self.frame().write_csv(float_precision=6).encode())

    def notes(self) -> list[str]:
        """Return what the reader of the ranking should know."""
        notes = []
        shown = " and ".join(map(repr, self.columns))
        if self.without:
            notes.append(f"{self.without:,} records have no {shown} and are not in the ranking of entities")
        if self.forgotten:
            notes.append(
                f"{self.forgotten:,} entities of {shown} are not in the ranking: more than "
                f"{self._interner.max_entities:,} were active, and those that were quiet the longest had to go"
            )
        return notes
