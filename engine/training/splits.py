"""Four disjoint parts of the records: training, validation, calibration, test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.errors import TrainingError

SMALLEST_PART: Final = 0.5
"""Of its share: where drawing whole groups gives less for a part, groups are not drawn."""


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
        Whether the parts follow each other in time, or in the order of the records where they have no times.
    by_group
        Whether whole groups of records were drawn at random. Else, if not by time, records were.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    calibration: NDArray[np.int64]
    test: NDArray[np.int64]
    attacks_train: NDArray[np.int64]
    attacks_validation: NDArray[np.int64]
    by_time: bool
    by_group: bool = False


def split_records(
    rows: int,
    *,
    normal: NDArray[np.bool_] | None = None,
    time: NDArray[Any] | None = None,
    groups: NDArray[np.int64] | None = None,
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
    groups
        int64 ``[rows]``: records of which are drawn together where there is no time, so that no group of normal
        records, and none of the others, is in two parts. Where there are too few groups for that, of either, its parts
        follow each other in the order of the records.
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
    own_shares = (shares.train, shares.validation, shares.calibration)
    by_group = groups is not None and time is None
    parts = _by_group(candidates, own_shares, groups, seed) if by_group else None
    if parts is None and by_group:
        by_group, time = False, np.arange(rows)
    parts = parts or _cut(_ordered(candidates, time, seed), own_shares)
    train, validation, calibration, rest = parts
    if min(len(train), len(validation), len(calibration)) == 0:
        kind = "records" if normal is None else "normal records"
        raise TrainingError(f"got {len(candidates)} {kind}, too few to split into training, validation and calibration")
    others = np.empty(0, dtype=np.int64) if normal is None else np.flatnonzero(~normal)
    attack_shares = (shares.attacks_train, shares.attacks_validation)
    attack_parts = _by_group(others, attack_shares, groups, seed + 1) if by_group else None
    attack_time = np.arange(rows) if by_group else time
    attack_parts = attack_parts or _cut(_ordered(others, attack_time, seed + 1), attack_shares)
    attacks_train, attacks_validation, attacks_test = attack_parts
    return Splits(
        train=np.sort(train),
        validation=np.sort(validation),
        calibration=np.sort(calibration),
        test=np.sort(np.concatenate([rest, attacks_test])),
        attacks_train=np.sort(attacks_train),
        attacks_validation=np.sort(attacks_validation),
        by_time=time is not None,
        by_group=by_group,
    )


def _cut(order: NDArray[np.int64], shares: Sequence[float]) -> list[NDArray[np.int64]]:
    """Return the records cut by shares, and the rest."""
    return np.split(order, np.floor(np.cumsum(shares) * len(order) + 1e-9).astype(np.int64))


def _by_group(
    candidates: NDArray[np.int64], shares: Sequence[float], groups: NDArray[np.int64] | None, seed: int
) -> list[NDArray[np.int64]] | None:
    """Return whole groups of records drawn by shares, and the rest; None where there are too few groups for that."""
    if groups is None:
        return None
    names, own = np.unique(groups[candidates], return_inverse=True)
    drawn = np.random.default_rng(seed).permutation(len(names))[own]
    order = np.argsort(drawn, kind="stable")
    borders = np.concatenate([[0], np.cumsum(np.bincount(drawn, minlength=len(names)))]).astype(np.int64)
    ends = np.cumsum(shares) * len(order)
    nearest = borders[np.abs(borders[:, None] - ends).argmin(axis=0)]
    parts = np.split(candidates[order], nearest)
    sizes = [SMALLEST_PART * share * len(order) for share in shares]
    return None if any(len(part) < size for part, size in zip(parts, sizes, strict=False)) else parts


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
