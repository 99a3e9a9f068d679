"""Scores of labelled files: what an evaluation needs, without holding the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.engine.errors import RejectLimitError, SchemaError
from netsieve.engine.scoring.block_scores import ScoredBlock, Target, score_blocks
from netsieve.engine.scoring.progress import Progress
from netsieve.engine.scoring.stream import Inputs
from netsieve.engine.sources.inputs import expand_inputs
from netsieve.engine.sources.source import ColumnRequest, ReadOptions, Reject
from netsieve.engine.training.labels import label_text

if TYPE_CHECKING:
    from netsieve.engine.features.state import FeatureState
    from netsieve.engine.scoring.scorer import Scorer

NO_NAME: Final = -1
SHOWN_VALUES: Final = 20
"""Label values that an error names."""
LARGEST_COUNTED: Final = 1000
"""Different label values that are counted for such an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledScores:
    """Scores and labels of all labelled records, in order.

    Attributes
    ----------
    scores
        float32 ``[n]``.
    is_attack
        bool ``[n]``, whether the label is another than that of normal records.
    attack_names, attack_codes
        Names of the attack column, and int32 ``[n]`` positions among them, -1 where there is none. None where no
        column was named.
    unlabelled, rejected, skipped
        Records without a label, records that could not be read, and lines that are no records.
    first_reject
        The first of the records that could not be read.
    """

    scores: NDArray[np.float32]
    is_attack: NDArray[np.bool_]
    attack_names: tuple[str, ...] | None
    attack_codes: NDArray[np.int32] | None
    unlabelled: int
    rejected: int
    skipped: int
    first_reject: Reject | None

    def attacks(self) -> Iterator[str | None] | None:
        """Yield each record's attack name; None where no attack column was named."""
        if self.attack_codes is None or self.attack_names is None:
            return None
        names: tuple[str | None, ...] = (*self.attack_names, None)
        return (names[code] for code in self.attack_codes.tolist())


@dataclass(frozen=True, slots=True)
class _LabelledBlock:
    scores: NDArray[np.float32]
    is_attack: NDArray[np.bool_]
    names: list[str]
    codes: NDArray[np.int32]
    labels: dict[str, int]
    unlabelled: int


def score_labelled_files(
    scorer: Scorer,
    inputs: Sequence[str],
    *,
    label: str,
    normal: str,
    attack: str | None = None,
    reading: ReadOptions | None = None,
    progress: bool | None = None,
    threads: int = 0,
    state: FeatureState | None = None,
) -> LabelledScores:
    """Score files block by block, keeping only scores and labels.

    Parameters
    ----------
    scorer
        The model.
    inputs, reading, progress, threads
        As for :func:`netsieve.engine.scoring.files.score_files`.
    state
        As for :meth:`netsieve.engine.scoring.scorer.Scorer.score`.
    label, normal
        Label column, and the label of normal records, compared as text. Records without a label are left out.
    attack
        Column with the names of attacks.

    Raises
    ------
    RejectLimitError
        No record could be scored.
    SchemaError
        No record has a label.
    NetsieveError
        An input cannot be read, or a column is missing.
    """
    files = expand_inputs(inputs)
    asked = [label, *([] if attack is None else [attack])]
    kinds = scorer.schema.column_kinds(kept=asked)
    needed = tuple(dict.fromkeys((*scorer.schema.input_columns, *asked)))
    sources = Inputs(
        files,
        needed,
        ColumnRequest(columns=needed, kinds=kinds, open=scorer.schema.open_categories(asked)),
        reading or ReadOptions(),
        record_type=scorer.schema.record_type,
        reading=scorer.schema.reading,
    )

    def finish(block: ScoredBlock) -> _LabelledBlock:
        text = label_text(block.frame, label)
        labelled = (text.is_not_null() & (text != "").fill_null(value=False)).to_numpy()
        is_attack = (text != normal.strip()).fill_null(value=False).to_numpy()[labelled]
        # Labels that are all different are no labels: only their number matters then
        counts = text.value_counts().head(LARGEST_COUNTED) if is_attack.all() else None
        names: list[str] = []
        codes = np.empty(0, dtype=np.int32)
        if attack is not None:
            names, codes = _names_and_codes(label_text(block.frame, attack))
            codes = codes[labelled]
        return _LabelledBlock(
            block.scores[labelled],
            is_attack,
            names,
            codes,
            {} if counts is None else dict(counts.drop_nulls().iter_rows()),
            int(np.count_nonzero(~labelled)),
        )

    parts: list[_LabelledBlock] = []
    codes: list[NDArray[np.int32]] = []
    code_of_name: dict[str, int] = {}
    rejected = skipped = 0
    first_reject: Reject | None = None
    if state is None and scorer.is_stateful:
        state = scorer.new_state()
    blocks = score_blocks([Target(scorer, finish, state)], sources, threads=threads or scorer.threads)
    with closing(blocks), Progress(sources.total_bytes(), shown=progress) as bar:
        for block in blocks:
            (part,) = block.results
            parts.append(part)
            # One more at the end, where -1 points
            merged = [*(code_of_name.setdefault(name, len(code_of_name)) for name in part.names), NO_NAME]
            codes.append(np.array(merged, dtype=np.int32)[part.codes])
            rejected += len(block.rejects)
            first_reject = first_reject or next(iter(block.rejects), None)
            skipped += sum(block.skipped.values())
            bar.advance(block.records, block.bytes_read)
    scores = np.concatenate([np.empty(0, np.float32), *(part.scores for part in parts)])
    is_attack = np.concatenate([np.empty(0, np.bool_), *(part.is_attack for part in parts)])
    unlabelled = sum(part.unlabelled for part in parts)
    if not len(scores):
        if unlabelled:
            raise SchemaError(
                f"none of the {unlabelled:,} records has a label in {label!r}; there is nothing to compare"
            )
        where = f"; the first: {first_reject.source_file!r}: {first_reject.reason}" if first_reject else ""
        unread = f": {rejected:,} could not be read" if rejected else ""
        raise RejectLimitError(f"there are no records to evaluate{unread}{where}")
    if is_attack.all():
        seen: Counter[str] = Counter()
        for part in parts:
            seen.update(part.labels)
        shown = ", ".join(f"{value!r} ({count:,})" for value, count in seen.most_common(SHOWN_VALUES))
        raise SchemaError(
            f"no record has the label {normal!r} in {label!r}, which holds {shown}; name the label of normal records"
        )
    return LabelledScores(
        scores=scores,
        is_attack=is_attack,
        attack_names=None if attack is None else tuple(code_of_name),
        attack_codes=None if attack is None else np.concatenate(codes),
        unlabelled=unlabelled,
        rejected=rejected,
        skipped=skipped,
        first_reject=first_reject,
    )


def _names_and_codes(text: pl.Series) -> tuple[list[str], NDArray[np.int32]]:
    names = text.drop_nulls().unique().sort()
    codes = text.cast(pl.Enum(names)).to_physical().cast(pl.Int32).fill_null(NO_NAME)
    return names.to_list(), codes.to_numpy()
