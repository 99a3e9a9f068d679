"""Search for better parameters of a detector, and write the model of the best trial."""

from __future__ import annotations

import argparse

from netsieve.engine.cli.arguments import available_threads, import_polars, whole_number
from netsieve.engine.cli.table import text_table
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
    parser.add_argument("--detector", default="autoencoder", help="see netsieve detectors (default: %(default)s)")
    parser.add_argument(
        "--trials", metavar="N", type=whole_number(1), default=30, help="trials the study is to have (%(default)s)"
    )
    parser.add_argument(
        "--sampler",
        choices=("tpe", "random", "grid"),
        default="tpe",
        help="how parameters are chosen: by what earlier trials showed, at random, or all of a grid (%(default)s)",
    )
    parser.add_argument(
        "--jobs", metavar="N", type=whole_number(1), default=1, help="processes that run trials side by side (1)"
    )
    parser.add_argument(
        "--study",
        metavar="FILE",
        help="where the trials are kept; an interrupted search goes on from there (default: MODEL.study)",
    )


def run(options: argparse.Namespace) -> int:
    """Search, train the best, export it and say what was found.

    With labels trials are judged by the average precision on the validation part, attacks weighted to 5 % of the
    records; without labels by the held-out loss.
    """
    import_polars(available_threads())
    from netsieve.engine.detectors.registry import detector_entry, detector_parameters
    from netsieve.engine.errors import TrainingError
    from netsieve.engine.thresholds.policy import parse_policy
    from netsieve.engine.training.comparison import VALIDATION_ATTACK_SHARE
    from netsieve.engine.training.data import prepare_data
    from netsieve.engine.training.job import (
        SUPERVISED_SHARE,
        check_policy,
        is_folder,
        training_result,
    )
    from netsieve.engine.training.splits import SplitShares
    from netsieve.engine.training.tuning import (
        TuningPlan,
        default_study,
        searched_space,
        tune_detector,
        tuning_fingerprint,
    )
    from netsieve.engine.training.windows import detector_windows

    entry = detector_entry(options.detector)
    parameters = dict(options.parameter)
    detector_parameters(options.detector, parameters)
    searched_space(options.detector, parameters, labelled=options.label is not None)
    files = checked_files(options)
    if options.study is None and is_folder(options.output):
        raise TrainingError("a model that is named by time leaves no name for the study; give --study FILE")
    threshold = options.threshold or entry.threshold
    policy = None if threshold is None else parse_policy(threshold)
    records = read_training_data(options, files)
    shares = SplitShares(
        attacks_train=SUPERVISED_SHARE if entry.supervised else 0.0, attacks_validation=VALIDATION_ATTACK_SHARE
    )
    described = {name: records.options.pop(name) for name in ("entity", "window")}
    for name in ("neighbours", "schema_overrides"):
        described[name] = records.options[name]
    windows = detector_windows(options.detector, records.frame, **described)
    data = prepare_data(records.frame, windows=windows, scaling=entry.scaling, shares=shares, **records.options)
    check_policy(policy, data)
    plan = TuningPlan(
        detector=options.detector,
        data=data,
        study=options.study or default_study(options.output),
        trials=options.trials,
        sampler=options.sampler,
        parameters=parameters,
        fingerprint=tuning_fingerprint(data),
        seed=options.seed,
        device=options.device or "auto",
    )
    model, found = tune_detector(plan, jobs=options.jobs, progress=True)
    print(text_table([(name, str(value)) for name, value in found["parameters"].items()]))
    print(f"best of {found['trials']} trials: {found['objective']} {found['value']:.5g}")
    result = training_result(
        model,
        data,
        policy=policy,
        seed=options.seed,
        provenance={
            "label": options.label,
            "normal": options.normal,
            "seed": options.seed,
            "device": plan.device,
            "tuning": found,
            "compared": [],
        },
    )
    show_result(result, result.export(options.output))
    return 0
