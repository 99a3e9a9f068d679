"""Neighbour features of a frame to train on, and the schema that holds their declaration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.engine.features.clock import LARGEST_TIME, end_times
from netsieve.engine.features.layouts import ALL, declare_neighbours
from netsieve.engine.features.neighbours import Neighbours
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.features.schema_file import schema_declaration
from netsieve.engine.features.stage import NeighbourStage
from netsieve.engine.features.state import FeatureState
from netsieve.engine.training.splits import SplitShares

LARGEST_DISORDER: Final = 0.05
"""A frame with a larger share of records out of order (:func:`disorder`) is put in order."""
SHORT_WINDOW: Final = 60.0
LONG_WINDOWS: Final = (3600.0, 1800.0, 900.0, 300.0)
"""Seconds; the first that the training fills is taken beside the short one, which is taken whatever it fills: on
generated captures of some minutes it did no harm."""
LARGEST_UNFILLED_SHARE: Final = 1 / 3
"""Of the records that train, those with a shorter time behind them than a window that is taken: over a steady stream a
window is at most a third of the time. Counts grow until a window is full, and a model that trained on the growth finds
odd whatever follows."""


@dataclass(frozen=True, slots=True)
class NeighbourFrame:
    """A frame with its neighbour features.

    Attributes
    ----------
    frame
        The records as they were, with the computed columns.
    declaration
        How those were computed.
    notes
        What the reader should know: windows that training does not fill, late records, records without a time,
        entities that had to go.
    """

    frame: pl.DataFrame
    declaration: Neighbours
    notes: tuple[str, ...]


def add_neighbours(
    frame: pl.DataFrame,
    *,
    record_type: str = "record",
    overrides: Mapping[str, Any] | None = None,
    normal: NDArray[np.bool_] | None = None,
    train_share: float | None = None,
) -> NeighbourFrame:
    """Return a frame to train on with its neighbour features, computed in the order of its records.

    The clock is the records' end, or their start where the records are rather in the order of that. Where they are in
    no order of time at all they are taken in that order. Windows that are not declared are those that the records that
    train can fill (:data:`LARGEST_UNFILLED_SHARE`): a minute, and the longest of :data:`LONG_WINDOWS`.

    Parameters
    ----------
    frame
        All records of some time, not a sample: others would lack their neighbours.
    record_type
        What they are (:data:`netsieve.engine.features.layouts.LAYOUTS`); the overrides' goes before it.
    overrides
        Content of a schema file; its ``[neighbours]`` section.
    normal
        bool ``[n]``, the records of which the earliest train; None: all.
    train_share
        Their share of these; None takes that of :class:`~netsieve.engine.training.splits.SplitShares`.

    Raises
    ------
    SchemaError
        The columns that are needed are not known or not there.
    """
    declared = schema_declaration(overrides or {})
    record_type = declared.settings.get("record_type", record_type)
    section = declared.neighbours or {}
    declaration = declare_neighbours(frame, record_type=record_type, section=section)
    times = end_times(frame, declaration, None)
    if declaration.duration is not None and "duration" not in section:
        by_start = replace(declaration, duration=None)
        starts = end_times(frame, by_start, None)
        if disorder(starts, declaration.windows[0]) < disorder(times, declaration.windows[0]):
            declaration, times = by_start, starts
    share = SplitShares().train if train_share is None else train_share
    past = observed_seconds(_earliest(times if normal is None else times[normal], share), declaration.expiry)
    declaration, notes = _with_filled_windows(declaration, past, section)
    computed = computed_frame(frame, declaration)
    return replace(computed, notes=(*notes, *computed.notes))


def observed_seconds(times: NDArray[np.float64], silence: float) -> NDArray[np.float64]:
    """Return how long records have been seen at each: since the first, or since the first after a silence.

    Parameters
    ----------
    times
        float64 ``[n]``, seconds, ascending.
    silence
        Seconds; after a longer time without records nothing of what was before is known.
    """
    if not len(times):
        return times
    begins = np.append(True, np.diff(times) > silence)
    return np.asarray(times - times[begins][np.cumsum(begins) - 1])


def _earliest(times: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    known = np.sort(times[np.abs(times) <= LARGEST_TIME])
    return known[: int(np.ceil(share * len(known)))]


def _with_filled_windows(
    declaration: Neighbours, past: NDArray[np.float64], section: Mapping[str, Any]
) -> tuple[Neighbours, list[str]]:
    """Return the declaration with windows that training fills where none are declared, and what to tell of it."""

    def is_filled(window: float) -> bool:
        # without times nothing can be told
        return not len(past) or float(np.mean(past < window)) <= LARGEST_UNFILLED_SHARE

    unfilled = [window for window in declaration.windows if not is_filled(window)]
    by_window = {column for column in declaration.columns if column.rpartition("_")[2] in _window_names(declaration)}
    if not unfilled or not by_window:
        return declaration, []
    short = f"the records that train span too short a time for counts over {unfilled[-1]:.0f} s"
    advice = "train on a longer time, or declare windows under [neighbours] in a schema file"
    if "windows" not in section and not isinstance(section.get("columns"), list | tuple):
        windows = (SHORT_WINDOW, *[window for window in LONG_WINDOWS if is_filled(window)][:1])
        taken = " and ".join(f"{window:.0f}" for window in windows)
        chosen = replace(declaration, windows=windows, columns=())
        every = section.get("columns") == ALL
        columns = tuple(chosen.possible_columns()) if every else chosen.default_columns()
        declaration, rest = replace(chosen, columns=columns), f"windows of {taken} s are taken"
    else:
        rest = "they grow until then, and later records may all seem odd"
    return declaration, [f"{short}: {rest}; {advice}"]


def _window_names(declaration: Neighbours) -> set[str]:
    return {f"{window:.0f}s" for window in declaration.windows}


def computed_frame(frame: pl.DataFrame, declaration: Neighbours) -> NeighbourFrame:
    """Return a frame with the features of a declaration, starting with nothing known."""
    stage, state = NeighbourStage(declaration), FeatureState(declaration)
    end_time = end_times(frame, stage.declaration, None)
    notes = []
    if disorder(end_time, declaration.windows[-1]) > LARGEST_DISORDER:
        order = np.argsort(end_time, kind="stable")
        sorted_frame = stage.apply(frame[order], state=state)
        frame = sorted_frame[np.argsort(order, kind="stable")]
        notes.append(
            "the records are in no order of time and were taken in that order for the neighbour features; sort files "
            "that are to be scored"
        )
    else:
        frame = stage.apply(frame, state=state)
    return NeighbourFrame(frame, declaration, (*notes, *state.notes()))


def disorder(times: NDArray[np.float64], seconds: float) -> float:
    """Return the share of times that are earlier than the one before by more than so many seconds.

    NaN and infinities are no times. Only the one before counts: a single wrong clock far ahead does not make all that
    follow it late.
    """
    known = times[np.abs(times) <= LARGEST_TIME]
    return float(np.mean(np.diff(known) < -seconds)) if len(known) > 1 else 0.0


def with_declaration(schema: FeatureSchema, declaration: Neighbours) -> FeatureSchema:
    """Return the schema of a frame with computed columns, with the declaration of those that are features."""
    kept = declaration.with_columns(schema.feature_names)
    ignored = tuple(column for column in schema.ignored if column.name not in declaration.columns)
    return replace(schema, ignored=ignored, stateful=(kept.to_dict(),) if kept.columns else ())
