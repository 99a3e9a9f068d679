"""What the commands that train have in common: their data, and the model file they write."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from netsieve.engine.cli.arguments import POLICY_HELP, add_data, add_max_rejects, read_options, whole_number
from netsieve.engine.cli.table import printable_lines, text_table
from netsieve.engine.sources.source import ANY_RECORD

if TYPE_CHECKING:
    import polars as pl

    from netsieve.engine.training.job import TrainingResult

LARGEST_FRAME: Final = 5_000_000
"""Records read at most; more are sampled, so that memory stays bounded. A detector draws fewer than a million."""


@dataclass(frozen=True, slots=True)
class TrainingRecords:
    """Records to train on, and what the training job needs to know of them.

    Attributes
    ----------
    frame
        The records, with their neighbour features where those were asked for.
    options
        Arguments of :func:`netsieve.engine.training.job.train_detector`.
    """

    frame: pl.DataFrame
    options: dict[str, Any]


def add_training_data(parser: argparse.ArgumentParser) -> None:
    """Add the data and what is known of it."""
    add_data(parser)
    parser.add_argument("--label", metavar="COL", help="label column: only normal records train, the others test")
    parser.add_argument("--normal", metavar="VALUE", help="label of normal records")
    parser.add_argument("--features", metavar="COL", nargs="+", default=[], help="take these columns as features")
    parser.add_argument("--ignore", metavar="COL", nargs="+", default=[], help="take these columns as no features")
    parser.add_argument("--schema", metavar="FILE", help="TOML file that declares features or overrides the inferred")
    parser.add_argument(
        "--neighbours",
        action="store_true",
        help="compute features of the records around each one, by source, destination and pair; DATA in order of time",
    )
    parser.add_argument(
        "--entity",
        metavar="COL[,COL]",
        type=_names,
        default=(),
        help="for detectors of windows: whose records follow each other (default: the source, if known); DATA in order "
        "of time",
    )
    parser.add_argument(
        "--window", metavar="N", type=whole_number(2), help="for detectors of windows: records of each (10)"
    )
    add_max_rejects(parser)
    parser.add_argument("--device", choices=("cpu", "cuda"), help="where to train (default: a GPU if there is one)")
    parser.add_argument("--seed", metavar="N", type=whole_number(0), default=0, help="of split and training (0)")
    parser.add_argument(
        "--parameter",
        metavar="NAME=VALUE",
        type=_parameter,
        action="append",
        default=[],
        help="a parameter of the detector, its value as JSON or text; may be given several times",
    )


def add_model_output(parser: argparse.ArgumentParser) -> None:
    """Add where the model file goes and which threshold it has."""
    parser.add_argument(
        "-o",
        "--output",
        metavar="MODEL.onnx|DIR/",
        required=True,
        help="model file, or a folder in which it is named by detector and time",
    )
    parser.add_argument("--threshold", metavar="POLICY", help=f"default {POLICY_HELP}")


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} names no columns")
    return names


def _parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def checked_files(options: argparse.Namespace) -> list[str]:
    """Return the input files; see to it that the model can be written, and over none of them.

    Raises
    ------
    OutputError
        The model cannot be written there.
    SourceError
        There is no such input.
    """
    from netsieve.engine.sinks.atomic import check_distinct
    from netsieve.engine.sources.inputs import expand_inputs
    from netsieve.engine.training.job import is_folder, prepare_target, weights_path

    files = expand_inputs(options.data)
    if not is_folder(options.output):
        named = [path for path in (options.schema, options.columns) if path is not None]
        check_distinct([options.output, str(weights_path(options.output))], [*files, *named])
    prepare_target(options.output)
    return files


def read_training_data(options: argparse.Namespace, files: Sequence[str]) -> TrainingRecords:
    """Read the records, print what they are and which features are taken of them.

    Raises
    ------
    NetsieveError
        They cannot be read, there are none, or the schema does not fit.
    """
    from netsieve.engine.detectors.registry import DETECTORS
    from netsieve.engine.errors import RejectLimitError, TrainingError
    from netsieve.engine.features.inference import correlated_pairs, describe_schema
    from netsieve.engine.features.ready import overrides_with_ready
    from netsieve.engine.features.schema_file import declared_kinds, read_schema_file
    from netsieve.engine.sources.reading import read_frame, reading_to_remember
    from netsieve.engine.sources.ready_schemas import ready_schema
    from netsieve.engine.training.data import ignored_with_entity, inferred_schema
    from netsieve.engine.training.labels import normal_records
    from netsieve.engine.training.neighbours import add_neighbours

    entry = DETECTORS.get(options.detector)
    overrides = None if options.schema is None else read_schema_file(options.schema)
    remembered = (overrides or {}).get("reading", {})
    declared = {**remembered.get("declared", {}), **declared_kinds(overrides or {})}
    reading = read_options(options).under({**remembered, "declared": declared})
    read = read_frame(files, options=reading, max_rows=LARGEST_FRAME, seed=options.seed)
    frame = read.frame
    sampled = f", a sample of {read.rows_seen:,}" if read.rows_seen > frame.height else ""
    kind = "" if read.record_type == ANY_RECORD else f" ({read.record_type})"
    print(f"{frame.height:,} records of {frame.width} columns{kind}{sampled}")
    for reason, count in read.skipped.items():
        print(f"{count:,} lines skipped: {reason}")
    if read.rejects:
        first = read.rejects[0]
        where = f"{first.source_file}, record {first.record}: {first.reason}"
        if read.rejected > options.max_rejects * (read.rows_seen + read.rejected):
            raise RejectLimitError(
                f"{read.rejected:,} of {read.rows_seen + read.rejected:,} records could not be read, more than "
                f"--max-rejects {options.max_rejects:g} allows; the first: {where}"
            )
        print(f"netsieve: note: {read.rejected:,} records could not be read, the first: {where}", file=sys.stderr)
    for name, path in read.absent.items():
        print(
            f"netsieve: note: {path!r} lacks the column {name!r}, which other files have; a model that takes it as a "
            "feature cannot score such files: add --ignore to do without",
            file=sys.stderr,
        )
    if not frame.height:
        raise TrainingError("there are no records to train on; give files with at least a few dozen")
    remembered = reading_to_remember(reading, read.record_type)
    overrides = overrides_with_ready(
        ready_schema(read.record_type),
        {**(overrides or {}), **({"reading": remembered} if remembered else {})},
        frame.columns,
        record_type=read.record_type,
        features=options.features,
        ignore=options.ignore,
        label=options.label,
    )
    if sampled and entry is not None and entry.sequence:
        raise TrainingError(
            f"windows need all records of a time, and only {LARGEST_FRAME:,} of {read.rows_seen:,} can be taken; give "
            "fewer files"
        )
    declaration = None
    if options.neighbours or "neighbours" in overrides:
        if sampled:
            raise TrainingError(
                f"neighbour features need all records of a time, and only {LARGEST_FRAME:,} of {read.rows_seen:,} "
                "can be taken; give fewer files"
            )
        normal = None
        if options.label is not None and options.normal is not None:
            normal, _ = normal_records(frame, options.label, options.normal)
        computed = add_neighbours(frame, overrides=overrides, normal=normal)
        frame, declaration = computed.frame, computed.declaration
        print(f"{len(declaration.columns)} columns computed of the records around each")
        for note in computed.notes:
            print(f"netsieve: note: {note}", file=sys.stderr)
    unfitted = inferred_schema(
        frame,
        declaration,
        features=options.features,
        ignore=ignored_with_entity(options.ignore, options.entity, options.features, overrides),
        label=options.label,
        overrides=overrides,
    )
    print(printable_lines(describe_schema(unfitted, correlated_pairs(unfitted, frame))))
    return TrainingRecords(
        frame,
        {
            "label": options.label,
            "normal": options.normal,
            "features": options.features,
            "ignore": options.ignore,
            "schema_overrides": overrides,
            "neighbours": declaration or False,
            "entity": options.entity,
            "window": options.window,
            "seed": options.seed,
        },
    )


def show_result(result: TrainingResult, model: str | os.PathLike[str]) -> None:
    """Print what was trained, how it was chosen and how well it does."""
    for note in result.notes:
        print(f"netsieve: note: {note}", file=sys.stderr)
    compared = result.provenance["compared"]
    if compared:
        rows = [("detector", "average precision", "AUROC", "recall", "seconds")]
        for entry in compared:
            numbers = (entry["average_precision"], entry["auroc"], entry["recall"])
            rows.append((entry["detector"], *(f"{value:.4f}" for value in numbers), f"{entry['seconds']:.1f}"))
        print("on validation records, attacks weighted to 5 %, recall at a false-positive rate of 1 %:")
        print(text_table(rows))
    print(text_table(_summary(result)))
    print(f"model written to {os.fspath(model)}")


def _windows(result: TrainingResult) -> str:
    windows = result.schema.windows
    return "" if windows is None else f", windows of {windows.length} records by {', '.join(windows.entity)}"


def _summary(result: TrainingResult) -> list[tuple[str, str]]:
    provenance = result.provenance
    rows = provenance["rows"]
    by = "by entity" if result.splits.by_group else "at random"
    if result.splits.by_time:
        by = f"by time ({provenance['time_column'] or 'order of the records'})"
    parts = ", ".join(f"{name} {rows[name]:,}" for name in ("train", "validation", "calibration", "test"))
    policy = str(result.thresholds["default"])
    summary = [
        ("detector", f"{result.detector.name}, {len(result.schema.features)} features{_windows(result)}"),
        ("records", f"{parts} (split {by})"),
        ("threshold", f"{result.thresholds[policy]:.6g} ({policy}, {result.calibration.population} records)"),
    ]
    if result.evaluation is not None:
        evaluation = result.evaluation
        summary.append(
            (
                "on the test part",
                f"AUROC {evaluation.auroc:.4f}, average precision {evaluation.average_precision:.4f}, "
                f"recall {evaluation.recall:.4f} at a false-positive rate of {evaluation.false_positive_rate:.5f}",
            )
        )
    return summary
