"""Quantiles of any number of float32 values in fixed memory, and the largest of them exactly.

The sketch counts values in buckets whose width is a fixed share of the value, as DDSketch does (Masson, Rim,
Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019). Its
buckets are read off the bits of the float: sign, exponent and the first 9 bits of the fraction. That is the
paper's logarithm interpolated linearly between powers of two: no logarithm is computed, results do not depend
on a mathematics library, and the array of all buckets that float32 can have is 2 MiB, so that nothing is ever
collapsed.

A sketch is its array of counts: two are merged by adding them.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from netsieve.kernels.jit import kernel

FRACTION_BITS: Final = 9
"""Bits of the float's fraction that choose the bucket."""
RELATIVE_ERROR: Final = 2.0 ** -(FRACTION_BITS + 1)
"""Largest error of a value in relation to its size, 0.1 %. Below 2**-126 it is 2**-136 in absolute terms."""
BUCKETS_PER_SIGN: Final = 1 << (8 + FRACTION_BITS)
BUCKET_COUNT: Final = 2 * BUCKETS_PER_SIGN

_SHIFT: Final = 23 - FRACTION_BITS
_MAGNITUDE_BITS: Final = 0x7FFFFFFF


def empty_sketch() -> NDArray[np.int64]:
    """Return the counts of a sketch of nothing, int64 ``[BUCKET_COUNT]``."""
    return np.zeros(BUCKET_COUNT, dtype=np.int64)


def update_sketch(values: NDArray[np.float32], counts: NDArray[np.int64]) -> None:
    """Count values into a sketch, in place.

    Parameters
    ----------
    values
        float32 ``[n]``, finite.
    counts
        int64 ``[BUCKET_COUNT]``.

    Raises
    ------
    ValueError
        A value is NaN or infinite, or an array is not of its shape and type; the sketch is then unchanged.
    """
    _check_counts(counts)
    _update_sketch(finite_float32(values).view(np.int32), counts)


@kernel()
def _update_sketch(bits: NDArray[np.int32], counts: NDArray[np.int64]) -> None:
    for i in range(bits.size):
        bucket = (bits[i] & _MAGNITUDE_BITS) >> _SHIFT
        if bits[i] >= 0:
            counts[BUCKETS_PER_SIGN + bucket] += 1
        else:
            counts[BUCKETS_PER_SIGN - 1 - bucket] += 1


def sketched_values(counts: NDArray[np.int64], positions: ArrayLike) -> NDArray[np.float64]:
    """Return the values at positions of the ascending order, each within :data:`RELATIVE_ERROR`.

    Parameters
    ----------
    counts
        int64 ``[BUCKET_COUNT]``, a sketch of at least one value.
    positions
        0-based, from 0 for the smallest to ``counts.sum() - 1`` for the largest value; between whole positions
        the value is interpolated linearly, so that the q-th quantile is at ``q * (counts.sum() - 1)``.

    Raises
    ------
    ValueError
        The sketch is empty, or a position lies outside of it.
    """
    _check_counts(counts)
    cumulative = np.cumsum(counts)
    last = int(cumulative[-1]) - 1
    asked = np.asarray(positions, dtype=np.float64)
    if last < 0:
        raise ValueError("the sketch is empty; update it with a value first")
    if asked.size and not ((asked >= 0) & (asked <= last)).all():
        raise ValueError(f"a position is outside of 0 to {last}")
    lower = np.floor(asked)
    low, high = (
        bucket_values(np.searchsorted(cumulative, rank, side="right")) for rank in (lower, np.minimum(lower + 1, last))
    )
    return np.asarray(low + (asked - lower) * (high - low), dtype=np.float64)


def bucket_values(buckets: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return the middle of each bucket; the two buckets at zero give zero."""
    signed = np.asarray(buckets, dtype=np.int64) - BUCKETS_PER_SIGN
    magnitude = np.where(signed < 0, -1 - signed, signed)
    exponent, fraction = magnitude >> FRACTION_BITS, magnitude & ((1 << FRACTION_BITS) - 1)
    # exponent 0 is that of the subnormal numbers, which have no leading one
    normal = np.where(exponent > 0, 1.0, 0.0)
    middle = np.ldexp(normal + (fraction + 0.5) / (1 << FRACTION_BITS), np.maximum(exponent, 1) - 127)
    return np.where(signed < 0, -1.0, 1.0) * np.where(magnitude == 0, 0.0, middle)


def update_largest(values: NDArray[np.float32], heap: NDArray[np.float32], filled: int) -> int:
    """Keep the largest of all values seen in ``heap``, in place; return how many of its places are filled.

    Two of them are merged by updating one with the filled part of the other.

    Parameters
    ----------
    values
        float32 ``[n]``, finite.
    heap
        float32 ``[k]``; the first ``filled`` are the values kept, in heap order: the smallest comes first.
    filled
        What the last call returned, 0 at first.

    Raises
    ------
    ValueError
        A value is NaN or infinite, or an array is not of its shape and type; nothing is then changed.
    """
    if heap.dtype != np.float32 or heap.ndim != 1 or not heap.size or not heap.flags.c_contiguous:
        raise ValueError(f"heap is {heap.dtype} {list(heap.shape)}; contiguous float32 [k], k > 0, is expected")
    if not 0 <= filled <= heap.size:
        raise ValueError(f"filled is {filled}; 0 to {heap.size} is expected")
    return int(_update_largest(finite_float32(values), heap, filled))


@kernel()
def _update_largest(values: NDArray[np.float32], heap: NDArray[np.float32], filled: int) -> int:
    for i in range(values.size):
        value = values[i]
        if filled < heap.size:
            # from the new leaf up, until the parent is no larger
            place = filled
            filled += 1
            while place > 0 and heap[(place - 1) // 2] > value:
                heap[place] = heap[(place - 1) // 2]
                place = (place - 1) // 2
            heap[place] = value
        elif value > heap[0]:
            # the smallest leaves; from the root down, until no child is smaller
            place = 0
            while 2 * place + 1 < filled:
                child = 2 * place + 1
                if child + 1 < filled and heap[child + 1] < heap[child]:
                    child += 1
                if heap[child] >= value:
                    break
                heap[place] = heap[child]
                place = child
            heap[place] = value
    return filled


def finite_float32(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the values, contiguous.

    Raises
    ------
    ValueError
        They are not float32 ``[n]``, or one is NaN or infinite.
    """
    if values.dtype != np.float32 or values.ndim != 1:
        raise ValueError(f"values are {values.dtype} {list(values.shape)}; float32 [n] is expected")
    values = np.ascontiguousarray(values)
    position = int(_first_not_finite(values))
    if position >= 0:
        raise ValueError(f"value {values[position]} at position {position} is not finite")
    return values


@kernel()
def _first_not_finite(values: NDArray[np.float32]) -> int:
    # a block is counted without a branch, which vectorises, and searched only when something is wrong in it
    for start in range(0, values.size, 1024):
        stop = min(start + 1024, values.size)
        wrong = 0
        for i in range(start, stop):
            wrong += not np.isfinite(values[i])
        if wrong:
            for i in range(start, stop):
                if not np.isfinite(values[i]):
                    return i
    return -1


def _check_counts(counts: NDArray[np.int64]) -> None:
    if counts.dtype != np.int64 or counts.shape != (BUCKET_COUNT,):
        raise ValueError(f"counts are {counts.dtype} {list(counts.shape)}; int64 [{BUCKET_COUNT}] is expected")


def warmup() -> None:
    """Run each kernel once."""
    few = np.array([1, 2, 3], dtype=np.float32)
    update_sketch(few, empty_sketch())
    update_largest(few, np.zeros(2, dtype=np.float32), 0)
