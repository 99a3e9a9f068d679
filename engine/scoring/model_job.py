"""A model of a scoring job and its output: what is read for it, what is written of its records, and its state."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from netsieve.engine.errors import OutputError
from netsieve.engine.features.state import FeatureState
from netsieve.engine.scoring.block_scores import ScoredBlock, Target
from netsieve.engine.scoring.entities import EntityRanking, EntityRecords, entities_path
from netsieve.engine.scoring.output_columns import TYPE_OF_KIND, Keep, OutputColumns
from netsieve.engine.scoring.selection import BestRecords, Selection
from netsieve.engine.scoring.top_features import TOP_FEATURES_TYPE, TopFeatures, spread
from netsieve.engine.sinks.atomic import PendingFile
from netsieve.engine.sinks.sink import OutputFormat, Sink, open_sink

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsieve.engine.scoring.scorer import Scorer


@dataclass(frozen=True, slots=True)
class Written:
    """What a worker made of a block: the output's part, ready to be written."""

    prepared: Any
    rows: int
    scored: int
    anomalies: int
    entities: EntityRecords | None


class ModelJob:
    """A model of a job with its output: :meth:`finish` runs in the workers, the rest in the caller's thread.

    Parameters
    ----------
    scorer
        Model and threshold.
    output, form
        Output file and its format.
    keep, by_entity, state
        As for :func:`netsieve.engine.scoring.files.score_files`.
    selection
        The records that are written.
    top_features
        As for :func:`netsieve.engine.scoring.files.score_files`.

    Attributes
    ----------
    output
        Output file.
    needed, request
        Columns that every file must have, and what is read of the files.
    rows_scored, anomalies, rows_written
        Counts so far.
    written, ranked
        The output and the ranking of entities, once they are there.
    """

    def __init__(
        self,
        scorer: Scorer,
        output: str,
        form: OutputFormat,
        *,
        keep: str | Sequence[str] | None,
        selection: Selection,
        by_entity: str | Sequence[str] | None,
        state: str | FeatureState | None,
        top_features: int | None = None,
    ) -> None:
        columns = by_entity.split(",") if isinstance(by_entity, str) else by_entity or ()
        self.scorer = scorer
        self._ranking = EntityRanking.of(scorer, columns) if columns else None
        self._ranked = None if self._ranking is None else entities_path(output)
        self._state_file = state if isinstance(state, str) else None
        self._given_state = state
        self._known: FeatureState | None = None
        self._state_notes: list[str] = []
        self._keep = Keep.parse(keep, scorer.schema)
        self.needed = tuple(dict.fromkeys((*scorer.schema.input_columns, *columns)))
        self.request = self._keep.request(scorer.schema, self.needed)
        self._selection = selection
        self._top_features = None if top_features is None else TopFeatures(scorer, top_features)
        self.output = output
        self._format = form
        self._columns: OutputColumns | None = None
        self._sink: Sink | None = None
        self._opened = threading.Event()
        self._best = None if selection.top is None else BestRecords(selection.top)
        self.rows_scored = 0
        self.anomalies = 0
        self.rows_written = 0
        self.written: str | None = None
        self.ranked: str | None = None
        self._pending_ranking: PendingFile | None = None
        self._pending_state: PendingFile | None = None

    @property
    def further_paths(self) -> list[str]:
        """Files that are written beside the output."""
        return [path for path in (self._state_file, self._ranked) if path is not None]

    def target(self) -> Target[Written]:
        """Return the model with what is known before the first record.

        Raises
        ------
        StateError
            The state is another model's, or the model takes none.
        """
        self._known, self._state_notes = _known_state(self.scorer, self._given_state)
        return Target(self.scorer, self.finish, self._known)

    def finish(self, block: ScoredBlock) -> Written:
        """Select and lay out a block's records, and turn them into text where the format is text."""
        columns, sink = self._opened_output(block)
        flags = block.scores > np.float32(self.scorer.threshold)
        rows = self._selection.rows(block.scores, flags)
        if self._best is not None:
            rows = self._best.candidates(block.scores, rows)
        frame = columns.frame(block, flags, rows, self._named(block, flags, rows))
        prepared = frame if self._best is not None else sink.prepare(frame)
        entities = None if self._ranking is None else self._ranking.records(block.frame, block.scores, flags)
        return Written(prepared, frame.height, len(flags), int(np.count_nonzero(flags)), entities)

    def _named(self, block: ScoredBlock, flags: NDArray[np.bool_], rows: NDArray[np.bool_] | None) -> pl.Series | None:
        """Return the top features of the records that are written: where all are, of the anomalies among them."""
        if self._top_features is None:
            return None
        asked = np.flatnonzero(flags if rows is None else rows)
        top = self._top_features.of_rows(block.frame, asked, block.windows)
        if self._format == "csv":
            top = self._top_features.in_text(top)
        return spread(top, asked, len(flags)) if rows is None else top

    def _opened_output(self, block: ScoredBlock) -> tuple[OutputColumns, Sink]:
        """Return the output, which the first block opens: its types are the output's."""
        if block.number == 0:
            try:
                kept = self._keep.columns_of(block.frame.columns, block.source_file)
                self._open(kept, block.frame.schema)
            finally:
                self._opened.set()
        self._opened.wait()
        if self._columns is None or self._sink is None:
            raise OutputError("the output was not opened")  # the first block's own error is raised before this one
        return self._columns, self._sink

    def _open(self, kept: Sequence[str], types: pl.Schema | dict[str, pl.DataType]) -> None:
        top_features = None
        if self._top_features is not None:
            top_features = pl.String() if self._format == "csv" else TOP_FEATURES_TYPE
        columns = OutputColumns(kept, types, top_features)
        self._sink = open_sink(self.output, self._format, columns.schema)
        self._columns = columns

    def write(self, written: Written) -> None:
        """Append a block's part."""
        assert self._sink is not None
        self.rows_scored += written.scored
        self.anomalies += written.anomalies
        if self._ranking is not None and written.entities is not None:
            self._ranking.add(written.entities)
        if self._best is not None:
            self._best.add(written.prepared)
        elif written.rows:
            self._sink.write(written.prepared)
            self.rows_written += written.rows

    def finish_writing(self, columns: Sequence[str]) -> None:
        """Write what had to wait for the last record; without any block, open the output all the same.

        Parameters
        ----------
        columns
            Those of the first file.
        """
        if self._sink is None:
            computed = () if self.scorer.stage is None else self.scorer.stage.declaration.columns
            kept = self._keep.columns_of([*columns, *computed], "the input")
            kinds = self._keep.request(self.scorer.schema).kinds
            self._open(kept, {name: TYPE_OF_KIND[kinds.get(name, "string")] for name in kept})
        assert self._sink is not None
        if self._best is not None and (frame := self._best.frame()) is not None:
            self._sink.write(self._sink.prepare(frame))
            self.rows_written = frame.height

    def check(self) -> None:
        """Raise what made the writer fail: while the input stalls nobody else would notice."""
        if self._sink is not None:
            self._sink.check()

    def output_notes(self) -> list[str]:
        """Return what a reader of the output should know."""
        return [] if self._columns is None else self._columns.notes()

    def further_notes(self) -> list[str]:
        """Return what is to be known of the device, the state and the ranking."""
        notes = [] if self.scorer.device_note is None else [self.scorer.device_note]
        notes += [*self._state_notes, *([] if self._known is None else self._known.notes())]
        return notes + ([] if self._ranking is None else self._ranking.notes())

    def complete(self, *, with_state: bool) -> None:
        """Write all files but for their names, so that those of all jobs can appear together.

        Parameters
        ----------
        with_state
            Whether what is known of the hosts is written, where a file was named.
        """
        assert self._sink is not None
        self._sink.complete()
        if self._ranking is not None and self._ranked is not None:
            self._pending_ranking = self._ranking.pending(self._ranked)
        if with_state and self._known is not None and self._state_file is not None:
            self._pending_state = self._known.pending(self._state_file)

    def commit(self) -> None:
        """Give the output and the ranking their names."""
        assert self._sink is not None
        self._sink.commit()
        self.written = self.output
        if self._pending_ranking is not None:
            self._pending_ranking.commit()
            self.ranked = self._ranked

    def commit_state(self) -> None:
        """Give the file of what is known of the hosts its name; it takes the place of the earlier one."""
        if self._pending_state is not None:
            self._pending_state.commit()

    def withdraw(self) -> None:
        """Leave no trace of the output and the ranking, also after :meth:`commit`."""
        if self._sink is not None:
            self._sink.withdraw()
        if self._pending_ranking is not None:
            self._pending_ranking.withdraw()
        if self._pending_state is not None:
            self._pending_state.abort()
        self.written = self.ranked = None


def _known_state(scorer: Scorer, state: str | FeatureState | None) -> tuple[FeatureState | None, list[str]]:
    """Return what is known before the first record, and what the reader should know about that."""
    if not scorer.is_stateful and state is None:
        return None, []
    fresh = scorer.new_state()
    if state is None:
        return fresh, [
            f"the model has {scorer.depends_on} and nothing is known of the hosts at the first record; --state FILE "
            "carries what is known from job to job"
        ]
    if not isinstance(state, str):
        return state, []
    if not os.path.exists(state):
        return fresh, [f"{state!r} does not exist yet: nothing is known of the hosts at the first record"]
    return scorer.load_state(state), []
