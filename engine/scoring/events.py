"""Scoring several event types of the same files in one pass: a model and an output for each type."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from netsieve.engine.errors import OutputError, SchemaError, SourceError
from netsieve.engine.scoring.entities import entities_path
from netsieve.engine.scoring.files import finished, run_job
from netsieve.engine.scoring.folder import SUFFIXES, inputs_outside
from netsieve.engine.scoring.model_job import ModelJob
from netsieve.engine.scoring.selection import Selection
from netsieve.engine.scoring.stream import EventInputs
from netsieve.engine.scoring.summary import EventsSummary, EventTypeSummary
from netsieve.engine.sinks.atomic import STANDARD_OUTPUT, check_distinct, output_error
from netsieve.engine.sinks.rejects import REJECTS_SUFFIX, RejectsFile
from netsieve.engine.sinks.sink import OutputFormat, output_format
from netsieve.engine.sources.source import ANY_RECORD, ReadOptions

if TYPE_CHECKING:
    from netsieve.engine.features.state import FeatureState
    from netsieve.engine.scoring.scorer import Scorer

STATE_SUFFIX: Final = ".state"
_EVENT_TYPE: Final = re.compile(r"[A-Za-z0-9_-]+")
"""Names of event types: they become names of files."""


def events_path(folder: str, event_type: str, form: OutputFormat) -> str:
    """Return the output of an event type in a folder."""
    return os.path.join(folder, event_type + SUFFIXES[form])


def events_rejects_path(folder: str, asked: str | None = None) -> str:
    """Return where the rejects of all types go: as asked, else ``events.rejects.ndjson`` in the folder."""
    return asked if asked is not None else os.path.join(folder, f"events{REJECTS_SUFFIX}")


def output_paths(
    event_types: Collection[str], folder: str, format: OutputFormat | None, *, state: str | None, by_entity: bool
) -> list[str]:
    """Return all files that scoring event types into a folder may write, but that of the rejects.

    Parameters
    ----------
    event_types
        Those with a model.
    folder, format, state
        As for :func:`score_events`.
    by_entity
        Whether there are rankings of entities.
    """
    form = output_format(STANDARD_OUTPUT, format or "parquet")
    paths = [events_path(folder, event_type, form) for event_type in event_types]
    rankings = [entities_path(path) for path in paths] if by_entity else []
    return paths + rankings + ([] if state is None else [_state_path(state, event_type) for event_type in event_types])


def _state_path(folder: str, event_type: str) -> str:
    return os.path.join(folder, event_type + STATE_SUFFIX)


def score_events(
    scorers: Mapping[str, Scorer],
    inputs: str | Sequence[str],
    folder: str,
    *,
    format: OutputFormat | None = None,
    keep: str | Sequence[str] | None = None,
    reading: ReadOptions | None = None,
    only_anomalies: bool = False,
    top: int | None = None,
    min_score: float | None = None,
    top_features: int | None = None,
    rejects: str | None = None,
    max_rejects: float = 0.01,
    progress: bool | None = None,
    advance: Callable[[int, int], None] | None = None,
    threads: int = 0,
    state: str | Mapping[str, FeatureState] | None = None,
    by_entity: str | Sequence[str] | None = None,
) -> EventsSummary:
    """Score several event types of files that mix them, Suricata's EVE, each with its own model, in one pass.

    Each line is read once. The events of a type are scored and written as
    :func:`netsieve.engine.scoring.files.score_files` does alone, into ``FOLDER/TYPE.parquet`` (or ``.csv``,
    ``.ndjson``), with the same scores. Events of types without a model are skipped.

    Parameters
    ----------
    scorers
        Model and threshold by event type: ``{"flow": Scorer("flow.onnx"), "dns": Scorer("dns.onnx")}``.
    inputs
        File, folder or pattern, or several of them, or ``"-"`` for standard input. Those that lie in the output folder
        are left out.
    folder
        Output folder; it is made where there is none. Outputs appear there only when they are complete.
    format
        Of all outputs: ``"parquet"`` (default), ``"csv"`` or ``"ndjson"``.
    reading
        How the files are read; the event types are those of the models.
    rejects
        File for the records that cannot be read, of all types; by default ``FOLDER/events.rejects.ndjson``.
    state
        Folder with a state file ``TYPE.state`` for each model with neighbour features, as for one model; or states in
        memory by event type.
    keep, only_anomalies, top, min_score, top_features, max_rejects, progress, advance, threads, by_entity
        As for :func:`netsieve.engine.scoring.files.score_files`; ``top`` records and a ranking of each type,
        ``max_rejects`` of all records.

    Returns
    -------
    EventsSummary
        Totals, and the counts of each type.

    Raises
    ------
    SchemaError
        A model is for other records than those it is named for.
    RejectLimitError
        As for one model, by the totals.
    NetsieveError
        An input cannot be read or does not mix events, a column is missing, or an output cannot be written; no
        output is left.
    """
    started = time.perf_counter()
    form = output_format(STANDARD_OUTPUT, format or "parquet")
    _check(scorers, folder, reading)
    files = inputs_outside([inputs] if isinstance(inputs, str) else inputs, folder)
    rejected = RejectsFile(events_rejects_path(folder, rejects), asked=rejects is not None)
    states = _states(scorers, state)
    jobs = {
        event_type: ModelJob(
            scorer,
            events_path(folder, event_type, form),
            form,
            keep=keep,
            selection=Selection(only_anomalies=only_anomalies, min_score=min_score, top=top),
            by_entity=by_entity,
            state=states.get(event_type),
            top_features=top_features,
        )
        for event_type, scorer in scorers.items()
    }
    written = [path for job in jobs.values() for path in (job.output, *job.further_paths)]
    check_distinct([rejected.path, *written], [*files, *{scorer.model_file.name for scorer in scorers.values()}])
    sources = EventInputs(
        files,
        {event_type: job.needed for event_type, job in jobs.items()},
        {event_type: job.request for event_type, job in jobs.items()},
        _reading(scorers, reading or ReadOptions()),
    )
    backends = ", ".join(dict.fromkeys(scorer.backend_description for scorer in scorers.values()))
    summary = EventsSummary(files=len(files), backend=backends)
    with ExitStack() as folders:
        for made in (folder, *([state] if isinstance(state, str) else [])):
            folders.enter_context(_made(made))
        failure = run_job(
            list(jobs.values()),
            sources,
            summary,
            rejected,
            max_rejects=max_rejects,
            progress=progress,
            advance=advance,
            threads=threads,
        )
    for event_type, job in jobs.items():
        summary.event_types[event_type] = EventTypeSummary(
            rows_scored=job.rows_scored,
            rows_written=job.rows_written,
            anomalies=job.anomalies,
            threshold=job.scorer.threshold,
            policy=job.scorer.threshold_policy,
            output=job.written,
            entities=job.ranked,
        )
        if not job.rows_scored and job.written is not None:
            summary.notes.append(f"no event of type {event_type} could be scored; {job.written!r} is empty")
    summary.output = folder if any(job.written for job in jobs.values()) else None
    return finished(summary, failure, started)


def _check(scorers: Mapping[str, Scorer], folder: str, reading: ReadOptions | None) -> None:
    """Raise where models, event types and options do not fit together."""
    if not scorers:
        raise SchemaError("no model was given; name one for each event type that is to be scored")
    for event_type, scorer in scorers.items():
        if not _EVENT_TYPE.fullmatch(event_type):
            raise SchemaError(f"{event_type!r} is no event type; expected a name like flow or dns")
        record_type = scorer.schema.record_type
        if record_type not in (f"suricata.{event_type}", ANY_RECORD):
            raise SchemaError(
                f"the model {scorer.model_file.name!r} is for records of type {record_type}, but is named for "
                f"suricata.{event_type}; name each model for the events that it was trained on"
            )
    if folder == STANDARD_OUTPUT:
        raise OutputError("several event types are written into files of their own; name a folder in place of '-'")
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise OutputError(f"{folder!r} is a file, where a folder for the outputs of all event types is expected")
    if reading is not None and reading.event_type is not None:
        raise SourceError(f"the event type {reading.event_type!r} is asked for, but the models name the types to read")
    if reading is not None and (limits := reading.flow_limits):
        raise SourceError(f"{', '.join(limits)}: only flows of packet captures end by these; leave them out")
    if reading is not None and reading.names is not None:
        raise SourceError(
            "names of columns are for text without a header line, which has no event types; leave them out"
        )


def _reading(scorers: Mapping[str, Scorer], options: ReadOptions) -> ReadOptions:
    """Return how the files are read: as they were in training, where the options say nothing."""
    readings = {event_type: options.under(scorer.schema.reading) for event_type, scorer in scorers.items()}
    first, reading = next(iter(readings.items()))
    for event_type, other in readings.items():
        if other != reading:
            raise SchemaError(
                f"the models for {first} and {event_type} were trained with other home networks; give --home-network, "
                "or score with one model at a time"
            )
    return reading


def _states(
    scorers: Mapping[str, Scorer], state: str | Mapping[str, FeatureState] | None
) -> Mapping[str, str | FeatureState]:
    """Return the state, or its file, by event type."""
    if not isinstance(state, str):
        for event_type in state or ():
            if event_type not in scorers:
                raise SchemaError(f"there is a state for {event_type!r}, but no model")
        return state or {}
    if os.path.exists(state) and not os.path.isdir(state):
        raise OutputError(f"the state {state!r} is a file; name a folder, where each model has a state file of its own")
    stateful = [event_type for event_type, scorer in scorers.items() if scorer.is_stateful]
    if not stateful:
        next(iter(scorers.values())).new_state()  # raises
    return {event_type: _state_path(state, event_type) for event_type in stateful}


@contextmanager
def _made(folder: str) -> Iterator[None]:
    """Make a folder; where the job fails, and the folder is new and empty, remove it."""
    is_new = not os.path.isdir(folder)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error
    try:
        yield
    except BaseException:
        if is_new:
            with suppress(OSError):
                os.rmdir(folder)
        raise
