"""Compare a model's scores with labels: ranking, decisions at the threshold, and recall by attack."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING

from netsieve.engine.cli.arguments import (
    POLICY_HELP,
    add_data,
    add_max_rejects,
    available_threads,
    import_polars,
    read_options,
)

if TYPE_CHECKING:
    from netsieve.engine.features.state import FeatureState
    from netsieve.engine.scoring.labelled import LabelledScores
    from netsieve.engine.scoring.scorer import Scorer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("model", metavar="MODEL", help="model file")
    add_data(parser)
    parser.add_argument("--label", metavar="COL", required=True, help="label column")
    parser.add_argument("--normal", metavar="VALUE", required=True, help="label of normal records")
    parser.add_argument("--attack", metavar="COL", help="column with the attacks' names, for the recall of each")
    parser.add_argument(
        "--threshold",
        metavar="POLICY",
        help=f"{POLICY_HELP}, or f1 for the best F1 on these very records; by default the model's own",
    )
    parser.add_argument(
        "--state",
        metavar="FILE",
        help="what is known of the hosts before, for a model with neighbour features or windows",
    )
    parser.add_argument("--json", metavar="FILE", help="write the metrics as JSON; - for standard output")
    add_max_rejects(parser)
    parser.add_argument("--report", metavar="FILE.html", help="write a self-contained HTML report")


def run(options: argparse.Namespace) -> int:
    """Evaluate, print the table, write JSON and report where asked."""
    threads = available_threads()
    import_polars(threads)
    from netsieve.engine.evaluation.metrics import evaluate_scores
    from netsieve.engine.evaluation.table import evaluation_table
    from netsieve.engine.scoring.labelled import score_labelled_files
    from netsieve.engine.scoring.scorer import Scorer
    from netsieve.engine.sinks.atomic import STANDARD_OUTPUT, check_distinct, write_atomically
    from netsieve.engine.sources.inputs import expand_inputs
    from netsieve.engine.thresholds.policy import best_f1_threshold, parse_policy

    outputs = [path for path in (options.json, options.report) if path is not None]
    files = expand_inputs(options.data)
    named = [path for path in (options.columns, options.state) if path is not None]
    check_distinct(outputs, [options.model, *named, *files])
    scorer = Scorer(options.model, threads=threads)
    asked = None if options.threshold is None else parse_policy(options.threshold)
    best_f1 = asked is not None and asked.needs_labels and str(asked) not in scorer.model_file.thresholds
    if asked is not None and not best_f1:
        scorer = scorer.with_threshold(asked)
    found = score_labelled_files(
        scorer,
        files,
        label=options.label,
        normal=options.normal,
        attack=options.attack,
        reading=read_options(options),
        state=_known_state(scorer, options.state),
    )
    _tell_left_out(found, options.max_rejects)
    if best_f1:
        scorer = scorer.with_threshold(best_f1_threshold(found.scores, found.is_attack))
        print("netsieve: note: the threshold was chosen on the records it is evaluated on", file=sys.stderr)
    evaluation = evaluate_scores(
        found.scores,
        found.is_attack,
        scorer.threshold,
        found.attacks(),
        policy=asked if best_f1 else parse_policy(scorer.threshold_policy),
        calibration=scorer.calibration,
    )
    print(evaluation_table(evaluation), file=sys.stderr if options.json == STANDARD_OUTPUT else sys.stdout)
    if options.json is not None:
        left_out = {
            "rows_unlabelled": found.unlabelled,
            "rows_rejected": found.rejected,
            "rows_skipped": found.skipped,
        }
        text = json.dumps({**evaluation.to_dict(), **left_out}, allow_nan=False, indent=2)
        write_atomically(options.json, f"{text}\n".encode())
    if options.report is not None:
        from netsieve.engine.evaluation.report import write_report

        write_report(
            evaluation,
            found.scores,
            found.is_attack,
            options.report,
            title=f"{os.path.basename(options.model)}, evaluated",
            provenance=scorer.provenance,
            data_files=files,
        )
        print(f"report written to {options.report}", file=sys.stderr)
    return 0


def _known_state(scorer: Scorer, path: str | None) -> FeatureState | None:
    if path is not None:
        return scorer.load_state(path)
    if not scorer.is_stateful:
        return None
    print(
        f"netsieve: note: the model has {scorer.depends_on} and nothing is known of the hosts at the first record; "
        "--state FILE gives what `netsieve score` kept",
        file=sys.stderr,
    )
    return scorer.new_state()


def _tell_left_out(found: LabelledScores, max_rejects: float) -> None:
    from netsieve.engine.errors import RejectLimitError

    if found.unlabelled:
        print(f"netsieve: note: {found.unlabelled:,} records without a label are left out", file=sys.stderr)
    if found.first_reject is not None:
        first = found.first_reject
        records = len(found.scores) + found.unlabelled + found.rejected
        where = f"{first.source_file}, record {first.record}: {first.reason}"
        if found.rejected > max_rejects * records:
            raise RejectLimitError(
                f"{found.rejected:,} of {records:,} records could not be read, more than --max-rejects {max_rejects:g} "
                f"allows; the first: {where}"
            )
        print(f"netsieve: note: {found.rejected:,} records could not be read, the first: {where}", file=sys.stderr)
