"""Slow, obvious twin of the windows: whole histories in dictionaries, and no arrays."""

import math


def windows(ids, elapsed, rows, length):
    """Return each record's window: the latest rows of its entity and itself, NaN rows before the first."""
    history = {}
    out = []
    padding = [math.nan] * (len(rows[0]) if len(rows) else 0)
    for entity, since, row in zip(ids, elapsed, rows, strict=True):
        if entity < 0:
            own = [row]
        else:
            if math.isnan(since):
                history[entity] = []
            own = history.setdefault(entity, [])
            own.append(row)
        latest = list(own[-length:])
        out.append([padding] * (length - len(latest)) + latest)
    return out
