"""Train a detector on log files and write its model file."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from netsieve.engine.cli.arguments import available_threads, import_polars, whole_number
from netsieve.engine.cli.training_data import (
    add_model_output,
    add_training_data,
    checked_files,
    read_training_data,
    show_result,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_training_data(parser)
    add_model_output(parser)
    parser.add_argument(
        "--detector",
        default="autoencoder",
        help="see netsieve detectors; auto compares several where there are labels (default: %(default)s)",
    )
    parser.add_argument("--batch-size", metavar="N", type=whole_number(2), help="records a gradient step")


def run(options: argparse.Namespace) -> int:
    """Train, export, and say what was done."""
    import_polars(available_threads())
    from netsieve.engine.detectors.registry import detector_parameters
    from netsieve.engine.thresholds.policy import parse_policy
    from netsieve.engine.training.comparison import AUTO
    from netsieve.engine.training.job import train_detector

    files = checked_files(options)
    parameters: dict[str, Any] = dict(options.parameter)
    if options.batch_size is not None:
        parameters["batch_size"] = options.batch_size
    if options.detector != AUTO:
        detector_parameters(options.detector, parameters)
    if options.threshold is not None:
        parse_policy(options.threshold)
    records = read_training_data(options, files)
    result = train_detector(
        records.frame,
        detector=options.detector,
        threshold=options.threshold,
        parameters=parameters,
        device=options.device or "auto",
        progress=sys.stderr.isatty(),
        **records.options,
    )
    show_result(result, result.export(options.output))
    return 0
