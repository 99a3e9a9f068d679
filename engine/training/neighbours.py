"""Neighbour features of a frame to train on, and the schema that holds their declaration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.engine.features.layouts import declare_neighbours
from netsieve.engine.features.neighbours import Neighbours
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.features.schema_file import schema_declaration
from netsieve.engine.features.stage import NeighbourStage
from netsieve.engine.features.state import FeatureState

LARGEST_DISORDER: Final = 0.05
"""A frame with a larger share of records out of order (:func:`disorder`) is put in order."""


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
        What the reader should know: late records, records without a time, entities that had to go.
    """

    frame: pl.DataFrame
    declaration: Neighbours
    notes: tuple[str, ...]


def add_neighbours(
    frame: pl.DataFrame, *, record_type: str = "record", overrides: Mapping[str, Any] | None = None
) -> NeighbourFrame:
    """Return a frame to train on with its neighbour features, computed in the order of its records.

    The clock is the records' end, or their start where the records are rather in the order of that. Where they are in
    no order of time at all they are taken in that order.

    Parameters
    ----------
    frame
        All records of some time, not a sample: others would lack their neighbours.
    record_type
        What they are (:data:`netsieve.engine.features.layouts.LAYOUTS`); the overrides' goes before it.
    overrides
        Content of a schema file; its ``[neighbours]`` section.

    Raises
    ------
    SchemaError
        The columns that are needed are not known or not there.
    """
    declared = schema_declaration(overrides or {})
    record_type = declared.settings.get("record_type", record_type)
    section = declared.neighbours or {}
    declaration = declare_neighbours(frame, record_type=record_type, section=section)
    if declaration.duration is not None and "duration" not in section:
        ends, starts = (
            NeighbourStage(clock).prepare(frame).end_time
            for clock in (declaration, replace(declaration, duration=None))
        )
        if disorder(starts, declaration.windows[0]) < disorder(ends, declaration.windows[0]):
            declaration = replace(declaration, duration=None)
    return computed_frame(frame, declaration)


def computed_frame(frame: pl.DataFrame, declaration: Neighbours) -> NeighbourFrame:
    """Return a frame with the features of a declaration, starting with nothing known."""
    stage, state = NeighbourStage(declaration), FeatureState(declaration)
    end_time = stage.prepare(frame).end_time
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
    """Return the share of times that are earlier than the one before by more than so many seconds; NaN is no time.

    Only the one before counts: a single wrong clock far ahead does not make all that follow it late.
    """
    known = times[~np.isnan(times)]
    return float(np.mean(np.diff(known) < -seconds)) if len(known) > 1 else 0.0


def with_declaration(schema: FeatureSchema, declaration: Neighbours) -> FeatureSchema:
    """Return the schema of a frame with computed columns, with the declaration of those that are features."""
    kept = declaration.with_columns(schema.feature_names)
    ignored = tuple(column for column in schema.ignored if column.name not in declaration.columns)
    return replace(schema, ignored=ignored, stateful=(kept.to_dict(),) if kept.columns else ())
