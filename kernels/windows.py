"""The latest records of each one's entity: which those are, in order, and the windows made of them, in any order.

Entities are numbered by ``netsieve.kernels._native.Interner``, as for :mod:`netsieve.kernels.neighbours`. Of each one
the latest rows are kept in a ring. A block of records is taken in two steps:

- :func:`link_records` and :func:`keep_rows` go through it in order: each record is linked to the one before it of its
  entity, the kept rows that the block's windows reach back to are copied out, and its own rows are kept. That is one
  pass over the rows, however long the windows are.
- :func:`gather_windows` follows the links and copies whole windows, for any part of the block, in any thread, and into
  a buffer of the caller's. So windows of a whole block are never in memory at once.

Which rows a window has does not depend on how the records are cut into blocks.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from netsieve.kernels.jit import kernel

NONE: Final = -1
"""Link of a record that is the first of its entity."""

Ids = NDArray[np.int32]
Links = NDArray[np.int64]
Rows = NDArray[np.float32]


@kernel()
def link_records(  # noqa: PLR0917 (kernels are called by position)
    ids: Ids, elapsed: NDArray[np.float64], length: int, counts: Links, latest: Links, links: Links
) -> int:
    """Link each record to the one before it of its entity.

    Parameters
    ----------
    ids, elapsed
        int32 and float64 ``[n]``: the entity, -1 for none, and the seconds since its last record, NaN for one that is
        new or starts anew.
    length
        Records of a window.
    counts
        int64 ``[entities]``, records of each entity before this block.
    latest
        int64 ``[entities]``, zeros; it holds the number plus one of each entity's last record in the block then.
    links
        int64 ``[n]``, written: number of the record before. Those of earlier blocks are numbered from ``n`` on, the
        rows of an entity together, oldest first.

    Returns
    -------
    int
        Rows of earlier blocks that are linked to, directly or through others.
    """
    n = ids.size
    carried = 0
    for i in range(n):
        links[i] = NONE
        entity = ids[i]
        if entity < 0:
            continue
        if not np.isnan(elapsed[i]):
            if latest[entity] > 0:
                links[i] = latest[entity] - 1
            else:
                kept = min(counts[entity], length - 1)
                if kept > 0:
                    carried += kept
                    links[i] = n + carried - 1
        latest[entity] = i + 1
    return carried


@kernel()
def keep_rows(  # noqa: PLR0917
    ids: Ids,
    elapsed: NDArray[np.float64],
    x: Rows,
    links: Links,
    counts: Links,
    latest: Links,
    ring: Rows,
    carried: Rows,
    carried_links: Links,
) -> None:
    """Copy out the kept rows that a block is linked to, and keep its own.

    Parameters
    ----------
    ids, elapsed, links
        As for :func:`link_records`, which was called before.
    x
        float32 ``[n, f]``, the block's rows.
    counts
        int64 ``[entities]``, updated.
    latest
        int64 ``[entities]``, made zeros again.
    ring
        float32 ``[entities, length - 1, f]``, updated: the record with the number ``c`` of an entity is in the place
        ``c % (length - 1)``.
    carried
        float32 ``[m, f]``, written: the rows of earlier blocks, as they are linked to.
    carried_links
        int64 ``[m]``, written: their own links.
    """
    n = ids.size
    places = ring.shape[1]
    at = 0
    for i in range(n):
        entity = ids[i]
        if entity < 0:
            continue
        count = counts[entity]
        if np.isnan(elapsed[i]):
            count = 0
        elif links[i] >= n:
            kept = min(count, places)
            for k in range(kept):
                carried[at] = ring[entity, (count - kept + k) % places]
                carried_links[at] = NONE if k == 0 else n + at - 1
                at += 1
        ring[entity, count % places] = x[i]
        counts[entity] = count + 1
        latest[entity] = 0


@kernel()
def gather_windows(  # noqa: PLR0917
    x: Rows, links: Links, carried: Rows, carried_links: Links, rows: Links, out: Rows
) -> None:
    """Write the windows that end at some records of a block.

    Parameters
    ----------
    x, links, carried, carried_links
        As :func:`link_records` and :func:`keep_rows` left them.
    rows
        int64 ``[m]``, numbers of records of the block.
    out
        float32 ``[m, length, f]``: each record's row last, before it those of its entity in order, NaN before them.
    """
    n = links.size
    length = out.shape[1]
    for i in range(rows.size):
        at = rows[i]
        place = length - 1
        while place >= 0 and at != NONE:
            if at < n:
                out[i, place] = x[at]
                at = links[at]
            else:
                out[i, place] = carried[at - n]
                at = carried_links[at - n]
            place -= 1
        if place >= 0:
            out[i, : place + 1] = np.nan


def warmup() -> None:
    """Run each kernel once."""
    ids, elapsed = np.zeros(1, np.int32), np.zeros(1)
    x, number = np.zeros((1, 1), np.float32), np.zeros(1, np.int64)
    counts, latest, links = np.ones(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64)
    link_records(ids, elapsed, 2, counts, latest, links)
    carried, carried_links = np.zeros((1, 1), np.float32), np.zeros(1, np.int64)
    keep_rows(ids, elapsed, x, links, counts, latest, np.zeros((1, 1, 1), np.float32), carried, carried_links)
    gather_windows(x, links, carried, carried_links, number, np.zeros((1, 2, 1), np.float32))
