"""Which scored records are written: anomalies, those above a score, or the highest ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

SPARE_RECORDS: Final = 65_536
"""Candidates gathered beyond the wanted number before they are thinned out: thinning then costs next to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What is written: everything, unless something is set; several wishes must all be met.

    Attributes
    ----------
    only_anomalies
        Only records above the threshold.
    min_score
        Only records with at least this score.
    top
        Of those, only so many with the highest scores.
    """

    only_anomalies: bool = False
    min_score: float | None = None
    top: int | None = None

    def rows(self, scores: NDArray[np.float32], flags: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
        """Return which records of a block meet the wishes but for ``top``; None for all."""
        rows = flags if self.only_anomalies else None
        if self.min_score is not None:
            # In double precision: the score asked for need not be a float32 number
            high = scores.astype(np.float64) >= self.min_score
            rows = high if rows is None else rows & high
        return rows


class BestRecords:
    """The records with the highest scores of a stream of blocks; equal scores rank in order of input.

    Parameters
    ----------
    count
        How many are kept.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._frames: list[pl.DataFrame] = []
        self._gathered = 0
        self._floor = -np.inf

    def candidates(self, scores: NDArray[np.float32], rows: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        """Return which records of a block may be among the best; safe to call from any thread.

        Parameters
        ----------
        scores
            float32 ``[n]``.
        rows
            bool ``[n]``, records to choose from; None for all.
        """
        # Records seen before this block hold the floor, and win where scores are equal
        chosen = scores > self._floor
        if rows is not None:
            chosen &= rows
        if np.count_nonzero(chosen) > self._count:
            among = np.flatnonzero(chosen)
            order = np.argsort(-scores[among], kind="stable")[: self._count]
            chosen = np.zeros(len(scores), dtype=bool)
            chosen[among[order]] = True
        return chosen

    def add(self, frame: pl.DataFrame) -> None:
        """Take a block's candidates, in order of the blocks."""
        self._frames.append(frame)
        self._gathered += frame.height
        if self._gathered > self._count + SPARE_RECORDS:
            self._thin_out()

    def frame(self) -> pl.DataFrame | None:
        """Return the best records, highest score first; None where no block was added."""
        if not self._frames:
            return None
        self._thin_out()
        return self._frames[0]

    def _thin_out(self) -> None:
        gathered = pl.concat(self._frames)
        best = gathered.sort("anomaly_score", descending=True, maintain_order=True).head(self._count)
        self._frames = [best]
        self._gathered = best.height
        if best.height == self._count:
            self._floor = float(best["anomaly_score"][-1])
