"""Four disjoint parts of the records: training, validation, calibration, test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.errors import TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitShares:
    """Shares of the normal records; what they leave over is the test part.

    Attributes
    ----------
    train
        Fits the preprocessing and the detector.
    validation
        Stops the training early, and scales the residuals.
    calibration
        Sets the thresholds, so it is large: a false-positive rate needs at least 1 / rate records, better ten times.
    """

    train: float = 0.6
    validation: float = 0.1
    calibration: float = 0.2

    def __post_init__(self) -> None:
        shares = (self.train, self.validation, self.calibration)
        if min(shares) <= 0 or sum(shares) > 1:
            raise TrainingError(f"split shares are {shares}; expected three shares above 0 with a sum of at most 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Row numbers of the four parts, int64, each ascending in the order of the records.

    Attributes
    ----------
    train, validation, calibration
        Normal records only, where labels tell.
    test
        The remaining normal records, and all others.
    by_time
        Whether the parts follow each other in time, else they were drawn at random.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    calibration: NDArray[np.int64]
    test: NDArray[np.int64]
    by_time: bool


def split_records(
    rows: int,
    *,
    normal: NDArray[np.bool_] | None = None,
    time: NDArray[Any] | None = None,
    shares: SplitShares | None = None,
    seed: int = 0,
) -> Splits:
    """Split records into four disjoint parts.

    Parameters
    ----------
    rows
        Number of records.
    normal
        bool ``[rows]``, which records are normal; None treats all alike. Records that are not go to the test part.
    time
        ``[rows]``, anything that sorts; NaN or NaT (time unknown) counts as earliest. With it the parts follow each
        other in time; equal times keep the order of the records. None draws the parts at random.
    shares
        Shares of the normal records.
    seed
        Of the random draw.

    Raises
    ------
    TrainingError
        There are too few normal records for three parts.
    """
    shares = shares or SplitShares()
    candidates = np.arange(rows) if normal is None else np.flatnonzero(normal)
    if time is not None:
        order = _ordered_in_time(candidates, time)
    else:
        order = np.random.default_rng(seed).permutation(candidates)
    ends = np.floor(np.cumsum([shares.train, shares.validation, shares.calibration]) * len(order) + 1e-9)
    train, validation, calibration, rest = np.split(order, ends.astype(np.int64))
    if min(len(train), len(validation), len(calibration)) == 0:
        kind = "records" if normal is None else "normal records"
        raise TrainingError(f"got {len(order)} {kind}, too few to split into training, validation and calibration")
    others = np.empty(0, dtype=np.int64) if normal is None else np.flatnonzero(~normal)
    return Splits(
        train=np.sort(train),
        validation=np.sort(validation),
        calibration=np.sort(calibration),
        test=np.sort(np.concatenate([rest, others])),
        by_time=time is not None,
    )


def _ordered_in_time(candidates: NDArray[np.int64], time: NDArray[Any]) -> NDArray[np.int64]:
    moments = time[candidates]
    unknown = np.isnat(moments) if moments.dtype.kind in "mM" else np.isnan(moments.astype(np.float64))
    known = np.flatnonzero(~unknown)
    ordered = known[np.argsort(moments[known], kind="stable")]
    return np.asarray(candidates[np.concatenate([np.flatnonzero(unknown), ordered])], dtype=np.int64)
