"""Score log files with a model, record by record, and write the scores beside what identifies each record."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from netsieve.engine.cli.arguments import (
    POLICY_HELP,
    add_data,
    available_threads,
    import_polars,
    number,
    read_options,
    share,
    whole_number,
)
from netsieve.engine.cli.exit_codes import ANOMALIES_FOUND, DONE
from netsieve.engine.cli.table import text_table
from netsieve.engine.sinks.atomic import STANDARD_OUTPUT, check_distinct, write_atomically
from netsieve.engine.sinks.sink import OUTPUT_FORMATS

if TYPE_CHECKING:
    from netsieve.engine.scoring.scorer import Scorer
    from netsieve.engine.scoring.summary import ScoreSummary

MODEL_SUFFIX: Final = ".onnx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    model = parser.add_argument("model", metavar="MODEL", help="model file")
    data = add_data(parser)
    parser.add_argument(
        "--model",
        dest="models",
        metavar="TYPE=MODEL",
        action=_NamedModel,
        positionals=(model, data),
        help="in place of MODEL, for each event type of Suricata's: all are scored in one pass, into OUT/TYPE.parquet",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help="output file, - for standard output (CSV by default), or a folder (OUT/) with a part for each input",
    )
    parser.add_argument(
        "--resume", action="store_true", help="leave the parts in the folder OUT/ that an earlier run has finished"
    )
    parser.add_argument("--format", choices=OUTPUT_FORMATS, help="output format; by default told by OUT's name")
    parser.add_argument(
        "--threshold",
        metavar="POLICY",
        action="append",
        help=f"{POLICY_HELP}; by default the model's own; TYPE=POLICY for one of several models",
    )
    parser.add_argument(
        "--keep",
        metavar="all|none|COL,...",
        help="input columns to keep in the output; by default those that the model does not use as features",
    )
    parser.add_argument("--only-anomalies", action="store_true", help="write only records above the threshold")
    parser.add_argument(
        "--top", metavar="N", type=whole_number(1), help="write only the N highest scores, highest first"
    )
    parser.add_argument("--min-score", metavar="X", type=number, help="write only records with at least this score")
    parser.add_argument(
        "--top-features",
        metavar="N",
        type=whole_number(1),
        help="also write the N features that make an anomaly one, with the record's value and the usual one",
    )
    parser.add_argument(
        "--by-entity",
        metavar="COL[,COL]",
        help="also rank the values of a column, or pairs of two, by their records, into OUT.entities.csv",
    )
    parser.add_argument("--rejects", metavar="FILE", help="file for records that cannot be read (OUT.rejects.ndjson)")
    parser.add_argument(
        "--max-rejects",
        metavar="SHARE",
        type=share,
        default=0.01,
        help="exit with 1 if a larger share of the records is rejected; the others are written (default: %(default)s)",
    )
    parser.add_argument(
        "--state",
        metavar="FILE",
        help="what is known of the hosts, for a model with neighbour features or windows: read if it exists, written "
        "at the end; with --model a folder",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to score (default: cpu)")
    parser.add_argument(
        "--backend",
        choices=("auto", "onnxruntime", "native"),
        default="auto",
        help="what computes the scores (default: auto, native kernels where there are any for the model)",
    )
    parser.add_argument("--threads", metavar="N", type=whole_number(0), default=0, help="0 (default): one for each CPU")
    parser.add_argument("--batch-size", metavar="N", type=whole_number(1), help="records scored at once")
    parser.add_argument("--fail-on-anomaly", action="store_true", help="exit with 3 if there are anomalies")
    parser.add_argument("--json-summary", metavar="FILE", help="write the summary as JSON; - for standard output")


class _NamedModel(argparse.Action):
    """``--model TYPE=MODEL``, after which all positional arguments are inputs.

    Parameters
    ----------
    positionals
        Those of the model and of the inputs.
    """

    def __init__(self, *, positionals: tuple[argparse.Action, argparse.Action], **options: Any) -> None:
        super().__init__(**options)
        self._model, self._data = positionals

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        event_type, equals, path = values.partition("=")
        if not (event_type and equals and path):
            parser.error(f"argument --model: {values!r} is not of the form TYPE=MODEL, like flow=flow.onnx")
        models = getattr(namespace, self.dest) or {}
        if event_type in models:
            parser.error(f"argument --model: there are two models for {event_type!r}")
        setattr(namespace, self.dest, {**models, event_type: path})
        # What stands there is an input, whether it was read before this or comes behind
        self._model.nargs = argparse.SUPPRESS
        self._model.required = self._data.required = False


def run(options: argparse.Namespace) -> int:
    """Score the files, print the summary."""
    threads = available_threads(options.threads)
    import_polars(threads)
    from netsieve.engine.errors import RejectLimitError, UnreadFilesError

    failure: RejectLimitError | UnreadFilesError | None = None
    try:
        summary = _scored_events(options, threads) if options.models else _scored(options, threads)
    except (RejectLimitError, UnreadFilesError) as error:
        failure, summary = error, error.summary
    # Data, or a summary meant for a program, own standard output
    taken = STANDARD_OUTPUT in (options.output, options.json_summary)
    stream = sys.stderr if taken else sys.stdout
    print(text_table(summary.rows()), file=stream)
    for note in summary.notes:
        print(f"netsieve: note: {note}", file=sys.stderr)
    if options.json_summary is not None:
        text = json.dumps(summary.to_dict(), indent=2, ensure_ascii=False) + "\n"
        write_atomically(options.json_summary, text.encode())
    if failure is not None:
        raise failure
    return ANOMALIES_FOUND if options.fail_on_anomaly and summary.anomalies else DONE


def _scored(options: argparse.Namespace, threads: int) -> ScoreSummary:
    """Score with one model, into a file or a folder of parts."""
    from netsieve.engine.errors import OutputError
    from netsieve.engine.scoring.files import score_files
    from netsieve.engine.scoring.folder import is_folder, score_folder

    _check_paths(options)
    scorer = _scorer(options, options.model, threads)
    if options.threshold:
        scorer = scorer.with_threshold(options.threshold[-1])
    common = _common_options(options, threads)
    if is_folder(options.output):
        _refuse_for_folders(options)
        return score_folder(scorer, options.data, options.output, resume=options.resume, **common)
    if options.resume:
        raise OutputError(f"--resume needs a folder as output; end it in a slash: {options.output + '/'!r}")
    return score_files(scorer, options.data, options.output, **_one_output_options(options), **common)


def _scored_events(options: argparse.Namespace, threads: int) -> ScoreSummary:
    """Score several event types in one pass, each with a model of its own, into a folder."""
    from netsieve.engine.errors import OutputError, SchemaError
    from netsieve.engine.scoring.events import score_events
    from netsieve.engine.scoring.folder import is_folder

    data = [*([] if options.model is None else [options.model]), *(options.data or ())]
    model = next((path for path in data if path.endswith(MODEL_SUFFIX)), None)
    if model is not None:
        raise SchemaError(
            f"{model!r} is a model, but with --model all that stands alone is input; give it as --model TYPE={model}"
        )
    if not is_folder(options.output):
        raise OutputError(
            f"--model writes a file for each event type and needs a folder as output, not {options.output!r}; end it "
            "in a slash, like scored/"
        )
    if options.resume:
        raise OutputError("--resume goes on with a folder that has a part for each input; leave it out with --model")
    _check_event_paths(options, data)
    scorers = {event_type: _scorer(options, path, threads) for event_type, path in options.models.items()}
    for policy in options.threshold or ():
        event_type, named, own = policy.rpartition("=")
        if named and event_type not in scorers:
            raise SchemaError(f"--threshold {policy}: there is no model for {event_type!r}")
        for name in [event_type] if named else scorers:
            scorers[name] = scorers[name].with_threshold(own)
    return score_events(
        scorers, data, options.output, **_one_output_options(options), **_common_options(options, threads)
    )


def _scorer(options: argparse.Namespace, path: str, threads: int) -> Scorer:
    from netsieve.engine.scoring.scorer import Scorer

    sizes = {} if options.batch_size is None else {"batch_size": options.batch_size}
    return Scorer(path, device=options.device, backend=options.backend, threads=threads, **sizes)


def _common_options(options: argparse.Namespace, threads: int) -> dict[str, Any]:
    return {
        "format": options.format,
        "keep": options.keep,
        "reading": read_options(options),
        "only_anomalies": options.only_anomalies,
        "min_score": options.min_score,
        "top_features": options.top_features,
        "max_rejects": options.max_rejects,
        "threads": threads,
    }


def _one_output_options(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("top", "rejects", "state", "by_entity")}


def _check_paths(options: argparse.Namespace) -> None:
    """Raise where the job would write over something that it reads, or that it writes elsewhere."""
    from netsieve.engine.scoring.entities import entities_path
    from netsieve.engine.scoring.folder import folder_paths, inputs_outside, is_folder
    from netsieve.engine.sinks.rejects import rejects_path
    from netsieve.engine.sources.inputs import expand_inputs

    into_folder = is_folder(options.output)
    files = inputs_outside(options.data, options.output) if into_folder else expand_inputs(options.data)
    outputs = [options.json_summary, options.state]
    if not into_folder:
        outputs += [options.output, rejects_path(options.output, options.rejects)]
        outputs += [entities_path(options.output)] if options.by_entity is not None else []
    elif options.json_summary is not None:
        for path in folder_paths(files, options.output, options.format):
            check_distinct([options.json_summary, path], [])
    _check_distinct(outputs, [options.model, options.columns, *files])


def _check_event_paths(options: argparse.Namespace, data: list[str]) -> None:
    """Raise as :func:`_check_paths` does, for several event types in one pass."""
    from netsieve.engine.scoring.events import events_rejects_path, output_paths
    from netsieve.engine.scoring.folder import inputs_outside

    by_entity = options.by_entity is not None
    outputs = output_paths(options.models, options.output, options.format, state=options.state, by_entity=by_entity)
    outputs.append(events_rejects_path(options.output, options.rejects))
    files = inputs_outside(data, options.output)
    _check_distinct([options.json_summary, *outputs], [*options.models.values(), options.columns, *files])


def _check_distinct(outputs: Sequence[str | None], inputs: Sequence[str | None]) -> None:
    check_distinct(*([path for path in paths if path is not None] for paths in (outputs, inputs)))


def _refuse_for_folders(options: argparse.Namespace) -> None:
    from netsieve.engine.errors import OutputError

    if options.top is not None:
        raise OutputError(f"--top ranks all records and needs one output file; {options.output!r} is a folder")
    if options.state is not None:
        raise OutputError(
            f"--state names one file, but the folder {options.output!r} keeps what is known of the hosts itself; leave "
            "it out, and score new files with --resume"
        )
    if options.by_entity is not None:
        raise OutputError(f"--by-entity ranks all records and needs one output file; {options.output!r} is a folder")
    if options.rejects is not None:
        raise OutputError(
            f"--rejects names one file, but in the folder {options.output!r} each part has its own; leave it out"
        )
