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
    attacks_train, attacks_validation
        Shares of the other records that supervised detectors learn from, and that choices between detectors or
        parameters are made with. None by default: then all of them test. Where parts follow each other in time, these
        are the first ones among the attacks, which may be later than the first normal records that test: attacks often
        come only after the records that normal ones are learned from, and none would be left to learn from.
    """

    train: float = 0.6
    validation: float = 0.1
    calibration: float = 0.2
    attacks_train: float = 0.0
    attacks_validation: float = 0.0

    def __post_init__(self) -> None:
        shares = (self.train, self.validation, self.calibration)
        if min(shares) <= 0 or sum(shares) > 1:
            raise TrainingError(f"split shares are {shares}; expected three shares above 0 with a sum of at most 1")
        attacks = (self.attacks_train, self.attacks_validation)
        if min(attacks) < 0 or sum(attacks) > 1:
            raise TrainingError(f"shares of attacks are {attacks}; expected shares from 0 with a sum of at most 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Row numbers of the four parts, int64, each ascending in the order of the records.

    Attributes
    ----------
    train, validation, calibration
        Normal records only, where labels tell.
    test
        The remaining normal records and the remaining others.
    attacks_train, attacks_validation
        Others that train and that choices are made with.
    by_time
        Whether the parts follow each other in time, else they were drawn at random.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    calibration: NDArray[np.int64]
    test: NDArray[np.int64]
    attacks_train: NDArray[np.int64]
    attacks_validation: NDArray[np.int64]
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
        bool ``[rows]``, which records are normal; None treats all alike. Of those that are not, the shares asked for
        train and validate, and the others test.
    time
        ``[rows]``, anything that sorts; NaN or NaT (time unknown) counts as earliest. With it the parts follow each
        other in time, normal records among themselves and attacks among themselves; equal times keep the order of the
        records. None draws the parts at random.
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
    order = _ordered(candidates, time, seed)
    ends = np.floor(np.cumsum([shares.train, shares.validation, shares.calibration]) * len(order) + 1e-9)
    train, validation, calibration, rest = np.split(order, ends.astype(np.int64))
    if min(len(train), len(validation), len(calibration)) == 0:
        kind = "records" if normal is None else "normal records"
        raise TrainingError(f"got {len(order)} {kind}, too few to split into training, validation and calibration")
    others = _ordered(np.empty(0, dtype=np.int64) if normal is None else np.flatnonzero(~normal), time, seed + 1)
    ends = np.floor(np.cumsum([shares.attacks_train, shares.attacks_validation]) * len(others) + 1e-9)
    attacks_train, attacks_validation, attacks_test = np.split(others, ends.astype(np.int64))
    return Splits(
        train=np.sort(train),
        validation=np.sort(validation),
        calibration=np.sort(calibration),
        test=np.sort(np.concatenate([rest, attacks_test])),
        attacks_train=np.sort(attacks_train),
        attacks_validation=np.sort(attacks_validation),
        by_time=time is not None,
    )


def _ordered(candidates: NDArray[np.int64], time: NDArray[Any] | None, seed: int) -> NDArray[np.int64]:
    if time is not None:
        return _ordered_in_time(candidates, time)
    return np.random.default_rng(seed).permutation(candidates)


def _ordered_in_time(candidates: NDArray[np.int64], time: NDArray[Any]) -> NDArray[np.int64]:
    moments = time[candidates]
    unknown = np.isnat(moments) if moments.dtype.kind in "mM" else np.isnan(moments.astype(np.float64))
    known = np.flatnonzero(~unknown)
    ordered = known[np.argsort(moments[known], kind="stable")]
    return np.asarray(candidates[np.concatenate([np.flatnonzero(unknown), ordered])], dtype=np.int64)
