"""The columns of a scored file: those kept of the input, where the record came from, and its score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from netsieve.engine.errors import MissingColumnError, OutputError
from netsieve.engine.features.schema import ColumnKind, FeatureSchema
from netsieve.engine.scoring.top_features import TOP_FEATURES
from netsieve.engine.sources.source import CLASH_PREFIX, ColumnRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from netsieve.engine.scoring.block_scores import ScoredBlock

ADDED: Final[dict[str, pl.DataType]] = {
    "source_file": pl.String(),
    "row_index": pl.Int64(),
    "anomaly_score": pl.Float32(),
    "is_anomaly": pl.Boolean(),
}
"""Columns that every output has, behind the kept ones."""
TYPE_OF_KIND: Final[dict[ColumnKind, pl.DataType]] = {
    "integer": pl.Int64(),
    "float": pl.Float64(),
    "boolean": pl.Boolean(),
    "string": pl.String(),
    "datetime": pl.String(),
}


@dataclass(frozen=True, slots=True)
class Keep:
    """Which columns of the input are kept.

    Attributes
    ----------
    every
        All of the file's.
    names
        Otherwise these, as far as the file has them.
    asked
        Whether the names were asked for one by one: then the first file must have them.
    """

    every: bool
    names: tuple[str, ...]
    asked: bool

    @classmethod
    def parse(cls, keep: str | Sequence[str] | None, schema: FeatureSchema) -> Keep:
        """Read the option: ``"all"``, ``"none"``, names, or None for the columns that are no features."""
        if keep is None:
            return cls(False, tuple(column.name for column in schema.ignored), asked=False)
        if keep in ("all", "none"):
            return cls(keep == "all", (), asked=False)
        names = keep.split(",") if isinstance(keep, str) else keep
        return cls(False, tuple(dict.fromkeys(name.strip() for name in names if name.strip())), asked=True)

    def request(self, schema: FeatureSchema, needed: Sequence[str] = ()) -> ColumnRequest:
        """Return what is read of the inputs: what the schema needs, the kept columns, and others that are needed.

        Columns that the schema does not know are read as text, which loses nothing, and whose type does not
        depend on what the first records happen to hold.
        """
        kept = schema.feature_names if self.every else self.names
        kinds = schema.column_kinds(kept)
        columns = None if self.every else tuple(dict.fromkeys((*schema.input_columns, *self.names, *needed)))
        # Nothing but the output depends on these: no cell of theirs may cost a record its score
        lenient = frozenset(column.name for column in schema.ignored) - set(schema.input_columns)
        return ColumnRequest(
            columns=columns, kinds=kinds, infer=False, lenient=lenient, open=schema.open_categories(kept)
        )

    def columns_of(self, columns: Sequence[str], path: str) -> tuple[str, ...]:
        """Return the kept columns of the first file, in its order; those asked for by name in the order asked.

        Raises
        ------
        MissingColumnError
            A column that was asked for is not there.
        """
        if self.every:
            return tuple(columns)
        if not self.asked:
            return tuple(name for name in columns if name in self.names)
        missing = [name for name in self.names if name not in columns]
        if missing:
            raise MissingColumnError(
                f"{path!r} lacks the column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))} that --keep asks "
                f"for; it has {', '.join(map(repr, columns))}"
            )
        return self.names


class OutputColumns:
    """Makes output frames of one fixed schema: that of the first file.

    Parameters
    ----------
    kept
        Columns kept of the input.
    types
        Their types.
    top_features
        Type of the column of that name, behind all others; None without it.

    Attributes
    ----------
    schema
        Columns of the output.
    """

    def __init__(
        self,
        kept: Sequence[str],
        types: pl.Schema | dict[str, pl.DataType],
        top_features: pl.DataType | None = None,
    ) -> None:
        added = ADDED if top_features is None else {**ADDED, TOP_FEATURES: top_features}
        self._names = {name: CLASH_PREFIX + name if name in added else name for name in kept}
        self._types = {name: types[name] for name in kept}
        written = [*self._names.values(), *added]
        twice = sorted({name for name in written if written.count(name) > 1})
        if twice:
            raise OutputError(
                f"the output would have the column {twice[0]!r} twice, since the input has it beside "
                f"{twice[0].removeprefix(CLASH_PREFIX)!r}; leave one out with --keep"
            )
        self.schema = pl.Schema({**{self._names[name]: types[name] for name in kept}, **added})

    def notes(self) -> list[str]:
        """Return what was renamed."""
        return [
            f"the input's column {old!r} is {new!r} in the output" for old, new in self._names.items() if old != new
        ]

    def frame(
        self,
        block: ScoredBlock,
        flags: NDArray[np.bool_],
        rows: NDArray[np.bool_] | None,
        top_features: pl.Series | None = None,
    ) -> pl.DataFrame:
        """Return the output of one block.

        Parameters
        ----------
        block
            Records with their scores.
        flags
            bool ``[n]``, whether each is an anomaly.
        rows
            bool ``[n]``, the records to write; None for all.
        top_features
            Of the records to write, if they are asked for.

        Raises
        ------
        OutputError
            A column has another type than in the first file, and its values do not fit.
        """
        frame, record, scores = block.frame, block.record, block.scores
        if rows is not None:
            frame, record, scores, flags = frame.filter(rows), record[rows], scores[rows], flags[rows]
        columns = [self._column(frame, name, block.source_file) for name in self._names]
        added = (
            pl.Series([block.source_file], dtype=pl.String).new_from_index(0, len(scores)),
            pl.Series(record, dtype=pl.Int64),
            pl.Series(scores, dtype=pl.Float32),
            pl.Series(flags, dtype=pl.Boolean),
        )
        columns += [series.alias(name) for name, series in zip(ADDED, added, strict=True)]
        return pl.DataFrame(columns if top_features is None else [*columns, top_features])

    def _column(self, frame: pl.DataFrame, name: str, path: str) -> pl.Series:
        kind = self._types[name]
        if name not in frame.columns:
            return pl.Series(self._names[name], [None], dtype=kind).new_from_index(0, frame.height)
        column = frame.get_column(name)
        if column.dtype != kind:
            try:
                column = column.cast(kind)
            except pl.exceptions.PolarsError as error:
                raise OutputError(
                    f"the column {name!r} is {column.dtype} in {path!r} and does not fit {kind}, its type in the first "
                    "input; score the files one by one, or leave the column out with --keep"
                ) from error
        return column.alias(self._names[name])
