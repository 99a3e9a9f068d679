"""Windows of records per entity, in plain NumPy, for measurements that need no stream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def windows_of(
    x: NDArray[np.float32], entity: NDArray[np.int64], window: int, records: NDArray[np.int64] | None = None
) -> NDArray[np.float32]:
    """Return the window that ends at each record, float32 ``[m, window, n_features]``, NaN where nothing came before.

    Parameters
    ----------
    x
        float32 ``[n, n_features]``, encoded records in order of time.
    entity
        int64 ``[n]``, whose record each is.
    window
        Records in a window.
    records
        int64 ``[m]``, of which records; None: of all.
    """
    order = np.argsort(entity, kind="stable")
    place = np.empty(len(x), dtype=np.int64)
    place[order] = np.arange(len(x))
    grouped = entity[order]
    first = np.flatnonzero(np.append(True, grouped[1:] != grouped[:-1])) if len(x) else np.empty(0, np.int64)
    number = np.arange(len(x)) - np.repeat(first, np.diff(np.append(first, len(x))))
    wanted = place if records is None else place[records]
    back = np.arange(window - 1, -1, -1)
    windows: NDArray[np.float32] = x[order[np.maximum(wanted[:, None] - back, 0)]]
    windows[back > number[wanted][:, None]] = np.nan
    return windows
