"""Records made ready for training: which are features, which part each record belongs to, and the encoded parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.engine.errors import TrainingError
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.inference import fit_schema, infer_schema
from netsieve.engine.features.neighbours import Neighbours
from netsieve.engine.features.preprocessing import with_scaling
from netsieve.engine.features.schema import FeatureSchema, Scaling
from netsieve.engine.features.schema_file import schema_declaration
from netsieve.engine.features.stage import NeighbourStage
from netsieve.engine.features.windows import Windows
from netsieve.engine.training.balance import balanced_rows
from netsieve.engine.training.labels import normal_records, record_time
from netsieve.engine.training.neighbours import add_neighbours, computed_frame, with_declaration
from netsieve.engine.training.splits import Splits, SplitShares, split_records
from netsieve.engine.training.windows import affordable, largest_part, linked_records, part_of_records, part_windows

LARGEST_PART: Final = 1_000_000
"""Records of a part beyond this many are left out, drawn at random, so that memory stays bounded."""
PARTS: Final = ("train", "validation", "calibration", "test", "attacks_train", "attacks_validation")

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """Encoded records in their parts, float32 ``[m, n_features]`` each, or their windows ``[m, window, n_features]``.

    Attributes
    ----------
    schema
        Fitted to the training part, or that of the earlier training that is gone on from.
    splits
        Row numbers of the parts in the frame.
    train, validation, calibration, test, attacks_train, attacks_validation
        See :class:`~netsieve.engine.training.splits.Splits`.
    is_attack
        bool, of the test part; None without labels.
    records, without_label
        Records of the frame, and those of them that had no label and are in no part.
    train_left_out
        Records of busy pairs that were left out of training and validation.
    time_column
        Column that the parts follow each other by; None where there is none.
    notes
        What the reader should know.
    """

    schema: FeatureSchema
    splits: Splits
    train: Matrix
    validation: Matrix
    calibration: Matrix
    test: Matrix
    attacks_train: Matrix
    attacks_validation: Matrix
    is_attack: NDArray[np.bool_] | None
    records: int
    without_label: int
    train_left_out: int
    time_column: str | None
    notes: tuple[str, ...] = ()

    @property
    def labelled(self) -> bool:
        """Whether labels tell which records are normal."""
        return self.is_attack is not None


def prepare_data(
    frame: pl.DataFrame,
    *,
    label: str | None = None,
    normal: str | None = None,
    features: Sequence[str] = (),
    ignore: Sequence[str] = (),
    schema_overrides: Mapping[str, Any] | None = None,
    neighbours: bool | Neighbours = False,
    windows: Windows | None = None,
    scaling: Scaling | None = None,
    schema: FeatureSchema | None = None,
    time_column: str | None = None,
    shares: SplitShares | None = None,
    balance_pairs: bool = True,
    seed: int = 0,
) -> TrainingData:
    """Return the parts of a frame, encoded.

    Parameters
    ----------
    frame, label, normal, features, ignore, schema_overrides, neighbours, time_column, shares, balance_pairs, seed
        As for :func:`netsieve.engine.training.job.train_detector`.
    windows
        The records taken together for a detector of windows
        (:func:`netsieve.engine.features.layouts.declare_windows`). They are found among all records of the frame, in
        order. Without a column of times whole entities are drawn for the parts.
    scaling
        How all numbers are scaled, whatever the overrides say; None leaves it to them.
    schema
        A fitted schema to encode with, instead of one fitted to the frame.

    Raises
    ------
    TrainingError
        No or too few records, or an unknown label column or value.
    SchemaError
        A column does not fit.
    """
    if (label is None) != (normal is None):
        raise TrainingError("a label column and the value of normal records go together; give both or neither")
    if not frame.height:
        raise TrainingError("there are no records to train on; give a file with at least a few dozen")
    is_normal, labelled = None, np.ones(frame.height, dtype=bool)
    if label is not None and normal is not None:
        is_normal, labelled = normal_records(frame, label, normal)
    if schema is not None:
        neighbours = schema.neighbours or False
        windows = schema.windows
    if windows is not None:
        ignore = ignored_with_entity(ignore, windows.entity, features, schema_overrides)
    frame, declaration = _with_neighbours(frame, neighbours, schema_overrides, is_normal, shares)
    unfitted = inferred_schema(
        frame, declaration, features=features, ignore=ignore, label=label, overrides=schema_overrides
    )
    if scaling is not None:
        unfitted = with_scaling(unfitted, scaling)
    time = record_time(frame, unfitted, time_column)
    linked, largest = None, LARGEST_PART
    if windows is not None:
        windows = affordable(windows, len(unfitted.features)) if schema is None else windows
        largest = min(LARGEST_PART, largest_part(windows, len(unfitted.features)))
        linked = linked_records(frame, windows)
    splits = _split_labelled(
        is_normal,
        labelled,
        shares,
        seed,
        time=None if time is None else time[1],
        groups=None if linked is None else linked.entities,
    )
    members = {} if linked is None else part_of_records(splits, frame.height)
    splits = _drawn(splits, largest, seed)
    drawn = len(splits.train) + len(splits.validation)
    if is_normal is None and declaration is not None and balance_pairs:
        splits = _balanced(splits, frame, declaration, seed)
    if schema is None:
        schema = fit_schema(unfitted, frame[splits.train])
        if windows is not None:
            schema = replace(schema, stateful=(*schema.stateful, windows.to_dict()))
    if linked is None:
        encoder = Encoder(schema)
        parts = {name: encoder.encode(frame[getattr(splits, name)]) for name in PARTS}
    else:
        parts = part_windows(frame, schema, linked, splits, members)
    return TrainingData(
        schema=schema,
        splits=splits,
        **parts,
        is_attack=None if is_normal is None else ~is_normal[splits.test],
        records=frame.height,
        without_label=int((~labelled).sum()),
        train_left_out=drawn - len(splits.train) - len(splits.validation),
        time_column=None if time is None else time[0],
        notes=() if linked is None else linked.notes,
    )


def ignored_with_entity(
    ignore: Sequence[str],
    entity: Sequence[str],
    features: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
) -> list[str]:
    """Return the columns to ignore, those of the windows' entity among them: who it is is no feature unless asked for.

    Parameters
    ----------
    ignore, features, overrides
        As for :func:`inferred_schema`.
    entity
        Columns of the entity.
    """
    declared = schema_declaration(overrides or {})
    asked = {*features, *declared.features, *declared.columns}
    return [*ignore, *(name for name in entity if name not in asked and name not in ignore)]


def inferred_schema(
    frame: pl.DataFrame,
    declaration: Neighbours | None = None,
    *,
    features: Sequence[str] = (),
    ignore: Sequence[str] = (),
    label: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> FeatureSchema:
    """Return the unfitted schema of a frame that may hold neighbour features.

    Parameters
    ----------
    frame, features, ignore, label, overrides
        As for :func:`netsieve.engine.features.inference.infer_schema`. Where only some features are asked for,
        the computed ones are among them.
    declaration
        How the frame's neighbour features were computed; None where it has none.
    """
    if declaration is None:
        return infer_schema(frame, features=features, ignore=ignore, label=label, overrides=overrides)
    if features or schema_declaration(overrides or {}).features:
        present = [name for name in declaration.columns if frame[name].count()]
        features = [*features, *(name for name in present if name not in ignore)]
    schema = infer_schema(frame, features=features, ignore=ignore, label=label, overrides=overrides)
    return with_declaration(schema, declaration)


def _with_neighbours(
    frame: pl.DataFrame,
    neighbours: bool | Neighbours,
    overrides: Mapping[str, Any] | None,
    normal: NDArray[np.bool_] | None,
    shares: SplitShares | None,
) -> tuple[pl.DataFrame, Neighbours | None]:
    if isinstance(neighbours, Neighbours):
        if not set(neighbours.columns) <= set(frame.columns):
            frame = computed_frame(frame, neighbours).frame
        return frame, neighbours
    if neighbours or schema_declaration(overrides or {}).neighbours is not None:
        train_share = None if shares is None else shares.train
        computed = add_neighbours(frame, overrides=overrides, normal=normal, train_share=train_share)
        return computed.frame, computed.declaration
    return frame, None


def _split_labelled(
    is_normal: NDArray[np.bool_] | None,
    labelled: NDArray[np.bool_],
    shares: SplitShares | None,
    seed: int,
    *,
    time: NDArray[np.float64] | None,
    groups: NDArray[np.int64] | None,
) -> Splits:
    """Split the labelled records."""
    kept = np.flatnonzero(labelled)
    splits = split_records(
        len(kept),
        normal=None if is_normal is None else is_normal[kept],
        time=None if time is None else time[kept],
        groups=None if groups is None else groups[kept],
        shares=shares,
        seed=seed,
    )
    return replace(splits, **{name: kept[getattr(splits, name)] for name in PARTS})


def _drawn(splits: Splits, largest: int, seed: int) -> Splits:
    """Draw from parts that are larger than any use of them."""
    generator = np.random.default_rng(seed)
    parts = {}
    for name in PARTS:
        part = getattr(splits, name)
        if len(part) > largest:
            part = np.sort(generator.choice(part, largest, replace=False))
        parts[name] = part
    return replace(splits, **parts)


def _balanced(splits: Splits, frame: pl.DataFrame, declaration: Neighbours, seed: int) -> Splits:
    """Return the splits with records of busy pairs left out of what the detector is fitted on."""
    stage = NeighbourStage(declaration)
    fitted_on = {}
    for name in ("train", "validation"):
        rows = getattr(splits, name)
        seen = stage.prepare(frame.select(declaration.input_columns)[rows])
        fitted_on[name] = rows[balanced_rows(seen.keys["pair"], seed)]
    return replace(splits, **fitted_on)
