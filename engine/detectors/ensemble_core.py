"""Several detectors' scores as one: each taken to its surprise on normal records, then combined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import BASE_SCORE, Core, View, side
from netsieve.engine.detectors.tail_rank import TailRank

Combination = Literal["mean", "max", "median"]


@dataclass(frozen=True, slots=True)
class EnsembleCore:
    """Cores, the rank function of each, and how their surprises become one score: added to 1.

    Attributes
    ----------
    members, ranks
        As many of each, at least one.
    combination
        ``"mean"``, ``"max"`` or ``"median"``.
    """

    view: ClassVar[View] = "both"

    members: tuple[Core, ...]
    ranks: tuple[TailRank, ...]
    combination: Combination = "mean"

    def score(self, columns: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores in float64, ``[n]``."""
        surprises = np.stack(
            [
                rank.surprise(member.score(side(member.view, columns)))
                for member, rank in zip(self.members, self.ranks, strict=True)
            ]
        )
        if self.combination == "max":
            combined = surprises.max(axis=0)
        elif self.combination == "median":
            combined = np.median(surprises, axis=0)
        else:
            combined = surprises.mean(axis=0)
        return np.asarray(BASE_SCORE + combined, dtype=np.float64)
