"""Windows of a frame to train on: whose record follows whose, and the windows of each part of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.engine.detectors.registry import detector_entry
from netsieve.engine.errors import TrainingError
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.layouts import declare_windows
from netsieve.engine.features.neighbours import Neighbours
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.features.schema_file import schema_declaration
from netsieve.engine.features.window_stage import RecordWindows, WindowStage
from netsieve.engine.features.windows import DEFAULT_LENGTH, WindowLayout, Windows
from netsieve.engine.training.neighbours import LARGEST_DISORDER, disorder
from netsieve.engine.training.splits import Splits

LARGEST_TABLE: Final = 2**28
"""Bytes of the rows that a state keeps: of longer windows of more features it knows fewer entities."""
LARGEST_PART_BYTES: Final = 2**29
"""Bytes of the windows of a part; records beyond are left out, drawn at random."""
ORDER_SECONDS: Final = 60.0
"""A record that is earlier than the one before by more is out of order: exporters are late by less."""
CONTEXT: Final[Mapping[str, tuple[str, ...]]] = {
    "train": ("train",),
    "validation": ("validation",),
    "calibration": ("calibration",),
    "attacks_train": ("train", "attacks_train"),
    "attacks_validation": ("validation", "attacks_validation"),
}
"""Parts whose records the windows of a part may hold. The test part's hold all records, as scoring does."""


def detector_windows(
    detector: str,
    frame: pl.DataFrame,
    *,
    entity: Sequence[str] = (),
    window: int | None = None,
    neighbours: bool | Neighbours = False,
    schema_overrides: Mapping[str, Any] | None = None,
) -> Windows | None:
    """Return the windows that a detector takes of a frame; None where it takes single records.

    Parameters
    ----------
    detector
        A name of the registry.
    frame, entity, window, neighbours, schema_overrides
        As for :func:`netsieve.engine.training.job.train_detector`.

    Raises
    ------
    TrainingError
        Windows are described for a detector of single records.
    SchemaError
        The columns that are needed are not known or not there.
    """
    if not detector_entry(detector).sequence:
        if entity or window is not None:
            raise TrainingError(
                f"{detector} takes single records and has no windows; leave entity and window out, or choose another "
                "detector"
            )
        return None
    return declare_windows(
        frame,
        entity=entity,
        length=DEFAULT_LENGTH if window is None else window,
        record_type=schema_declaration(schema_overrides or {}).settings.get("record_type", "record"),
        neighbours=neighbours if isinstance(neighbours, Neighbours) else None,
    )


@dataclass(frozen=True, slots=True)
class LinkedRecords:
    """Records of a frame with the one before of the same entity.

    Attributes
    ----------
    links
        int64 ``[n]``, row of the record before of the entity, -1 for its first and where it starts anew.
    entities
        int64 ``[n]``, number of the entity; a record without one has a number of its own.
    notes
        What the reader should know.
    """

    links: NDArray[np.int64]
    entities: NDArray[np.int64]
    notes: tuple[str, ...]


def linked_records(frame: pl.DataFrame, windows: Windows) -> LinkedRecords:
    """Return which record of a frame follows which, as in scoring with nothing known at the first one.

    Records that are in no order of time are taken in that order.

    Raises
    ------
    MissingColumnError, EncodeError
        The frame lacks columns, or one is of a type that cannot be what it is declared to be.
    """
    from netsieve.kernels._native import Interner
    from netsieve.kernels.windows import link_records

    seen = WindowStage(WindowLayout(windows=windows, n_features=0, encoding="")).prepare(frame)
    notes: tuple[str, ...] = ()
    n, order = frame.height, np.arange(frame.height)
    times = _filled(seen.end_time)
    if disorder(seen.end_time, ORDER_SECONDS) > LARGEST_DISORDER:
        order = np.argsort(times, kind="stable")
        notes = (
            "the records are in no order of time and were taken in that order for the windows; sort files that are to "
            "be scored",
        )
    ids, elapsed, _ = Interner(windows.entities, windows.expiry).assign(
        np.ascontiguousarray(seen.keys[order]), np.ascontiguousarray(times[order])
    )
    ordered_links = np.empty(n, dtype=np.int64)
    nothing = np.zeros(windows.entities, dtype=np.int64)
    link_records(ids, elapsed, windows.length, nothing, nothing.copy(), ordered_links)
    links = np.empty(n, dtype=np.int64)
    links[order] = np.where(ordered_links < 0, -1, order[ordered_links])
    names, entities = np.unique(seen.keys[:, 0], return_inverse=True)
    alone = (seen.keys == 0).all(axis=1)
    entities[alone] = len(names) + np.arange(np.count_nonzero(alone))
    return LinkedRecords(links, entities.astype(np.int64), notes)


def _filled(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return times with the one before for those that are not known, 0 where there is none."""
    before = np.maximum.accumulate(np.where(np.isnan(times), -1, np.arange(len(times))))
    return np.where(before < 0, 0.0, times[before])


def affordable(windows: Windows, n_features: int) -> Windows:
    """Return the windows of so many features, of no more entities than memory is meant for."""
    row = 4 * n_features * (windows.length - 1)
    return replace(windows, entities=max(1, min(windows.entities, LARGEST_TABLE // row)))


def largest_part(windows: Windows, n_features: int) -> int:
    """Return the records of a part whose windows are held in memory."""
    return max(LARGEST_PART_BYTES // (4 * n_features * windows.length), 1)


def part_of_records(splits: Splits, rows: int) -> dict[str, NDArray[np.bool_]]:
    """Return which of the frame's records are in each part, bool ``[rows]``."""
    masks = {}
    for name in (*CONTEXT, "test"):
        masks[name] = np.zeros(rows, dtype=bool)
        masks[name][getattr(splits, name)] = True
    return masks


def part_windows(
    frame: pl.DataFrame,
    schema: FeatureSchema,
    linked: LinkedRecords,
    splits: Splits,
    members: Mapping[str, NDArray[np.bool_]],
) -> dict[str, NDArray[np.float32]]:
    """Return the windows of each part, float32 ``[m, length, n_features]``.

    A window begins anew behind a record of another part: so no part sees records of another, and normal records none
    of an attack.

    Parameters
    ----------
    frame
        All records.
    schema
        Fitted, with windows.
    linked
        Which record follows which.
    splits
        Rows of the parts' windows.
    members
        All records of each part (:func:`part_of_records`), those that no window was drawn of among them.
    """
    declared = schema.windows
    assert declared is not None
    x = Encoder(schema).encode(frame)
    no_rows, no_links = np.empty((0, x.shape[1]), dtype=np.float32), np.empty(0, dtype=np.int64)
    parts = {}
    for name in (*CONTEXT, "test"):
        links = linked.links
        if name in CONTEXT:
            allowed = np.logical_or.reduce([members[part] for part in CONTEXT[name]])
            links = np.where((links >= 0) & allowed[links], links, -1)
        windows = RecordWindows(declared.length, x, links, no_rows, no_links)
        parts[name] = windows.windows(getattr(splits, name))
    return parts
