"""Records to train on without labels, so that no pair of hosts makes itself normal by the number of its records.

Records of one pair are no independent evidence of what is usual: a beacon has a percent of a day's records, and is
still one pair among thousands. Without labels it trains the detector too; what bounds its part is a bound on the
records of a pair. The bound is the smallest that leaves half of the records, so that there is nothing to choose, and
data of few pairs stays large enough to train on.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

LEAST_SHARE: Final = 0.5
"""Of the records are kept, at least."""


def balanced_rows(pairs: NDArray[np.uint64], seed: int) -> NDArray[np.int64]:
    """Return the rows to train on: of each pair no more than the bound, drawn at random.

    Parameters
    ----------
    pairs
        uint64 ``[n, 2]``, fingerprints of the records' pairs; zeros for none, and such records all stay.
    seed
        Of the draw.

    Returns
    -------
    int64 ``[m]``
        Ascending.
    """
    known = np.flatnonzero(pairs.any(axis=1))
    _, pair, counts = np.unique(pairs[known, 0], return_inverse=True, return_counts=True)
    bound = largest_count(counts, int(np.ceil(LEAST_SHARE * len(known))))
    drawn = np.lexsort((np.random.default_rng(seed).random(len(known)), pair))
    place = np.arange(len(known)) - np.repeat(np.cumsum(counts) - counts, counts)
    without = np.flatnonzero(~pairs.any(axis=1))
    return np.sort(np.concatenate([known[drawn[place < bound]], without]))


def largest_count(counts: NDArray[np.int64], least: int) -> int:
    """Return the smallest bound with which at least ``least`` remain of groups of so many."""
    low, high = 0, int(counts.max(initial=0))
    while low < high:
        middle = (low + high) // 2
        if int(np.minimum(counts, middle).sum()) >= least:
            high = middle
        else:
            low = middle + 1
    return low
