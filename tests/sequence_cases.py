"""Windows of records of every kind of column, and sequence detectors trained on them for a moment."""

import numpy as np
from export_cases import fitted_case

from netsieve.bench.sequence_windows import windows_of
from netsieve.engine.detectors.registry import DETECTORS, detector_class, detector_parameters

WINDOW = 5
ENTITIES = 7
SEQUENCE_NAMES = tuple(name for name, entry in DETECTORS.items() if entry.sequence)
QUICK = {name: {"max_draws": 6_000 if name == "lstm_classifier" else 2_000} for name in SEQUENCE_NAMES}
"""Training takes a moment. The log-odds of a network that has learned nothing are 0 but for rounding."""


def naive_windows(x, entity, window):
    """Return the windows that end at each record, the slow and obvious way."""
    windows = np.full((len(x), window, x.shape[1]), np.nan, dtype=np.float32)
    for row in range(len(x)):
        past = [earlier for earlier in range(row + 1) if entity[earlier] == entity[row]][-window:]
        windows[row, window - len(past) :] = x[past]
    return windows


def windowed_case(kinds, rows=600, seed=0, window=WINDOW):
    """Return a fitted schema and windows of its records, which belong to a few entities in turn."""
    schema, x = fitted_case(kinds, rows=rows, seed=seed)
    return schema, windows_of(x, np.arange(rows) % ENTITIES, window)


def turned(windows):
    """Return whole windows of other records, in the reverse order and larger."""
    other = np.where(windows > 100, windows * 3, windows)[:, ::-1]
    return other[~np.isnan(windows).all(axis=2).any(axis=1)].astype(np.float32)


def trained(name, kinds, seed=0, window=WINDOW, **parameters):
    """Return a detector trained for a moment, its schema and all windows, of which the last 200 are new to it."""
    schema, x = windowed_case(kinds, window=window)
    attacks = {"x_attacks": turned(x[:100])} if DETECTORS[name].supervised else {}
    detector = detector_class(name)(detector_parameters(name, QUICK[name] | parameters))
    return detector.fit(schema, x[:400], x[400:500], seed=seed, device="cpu", **attacks), schema, x
