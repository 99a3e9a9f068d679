"""Which columns of a Zeek log are read, of which types, and what is derived from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from netsieve.engine.features.schema import ColumnKind
from netsieve.engine.sources.direction import HomeNetworks, directions
from netsieve.engine.sources.source import ColumnRequest
from netsieve.engine.sources.zeek_derived import DIRECTION, DIRECTION_INPUTS, derived_columns
from netsieve.engine.sources.zeek_fields import BOOLEAN, INTEGER, LIST, NUMBER, NUMBER_LIST, TEXT, TIME, field_code

if TYPE_CHECKING:
    from numpy.typing import NDArray

TIMES: Final = ("ts", "duration")
"""Fields that say when a record ended."""
MICROSECONDS: Final = 1e6
POLARS_TYPES: Final[dict[int, pl.DataType]] = {
    INTEGER: pl.Int64(),
    NUMBER: pl.Float64(),
    BOOLEAN: pl.Boolean(),
    TEXT: pl.String(),
    TIME: pl.Datetime("us", "UTC"),
    LIST: pl.String(),
    NUMBER_LIST: pl.String(),
}


class ColumnPlan:
    """The columns of a log.

    Parameters
    ----------
    types
        Zeek types of the log's fields, in file order.
    request
        Columns wanted and their kinds. A kind that is named there is read instead of the field's own, but for sets
        and vectors and for times that are asked for as integers or booleans. What would be derived from a field that
        is read as something else than it is, text instead of a number, is then no column.
    path
        The log's name, like ``"conn"``; some have derived columns.
    home_networks
        As in :class:`netsieve.engine.sources.source.ReadOptions`.

    Attributes
    ----------
    columns
        Names of all columns: fields, and derived ones behind them.
    codes
        How the fields that are read are read, as codes of ``kernels._native.parse_zeek``: those wanted, and those
        that the end time and the derived columns wanted are computed from.
    """

    def __init__(
        self, types: Mapping[str, str], request: ColumnRequest, *, path: str | None, home_networks: Sequence[str] = ()
    ) -> None:
        every = {name: _code(zeek_type, request.kinds.get(name)) for name, zeek_type in types.items()}
        usable = {name for name, code in every.items() if _is_like(code, field_code(types[name]))}
        polars_types = {name: POLARS_TYPES[code] for name, code in every.items()}
        derived = {
            name: column
            for name, column in derived_columns(path).items()
            if name not in types and column.inputs <= usable and column.fits(polars_types)
        }
        self.columns = (*types, *derived)
        self._derived = {name: column for name, column in derived.items() if request.wants(name)}
        self._home = HomeNetworks(home_networks) if home_networks or DIRECTION in self._derived else None
        needed = {name for column in self._derived.values() for name in column.inputs} | set(TIMES)
        self._ends: dict[str, str | None] = {}
        if DIRECTION in self._derived:
            flags = {name for name in usable if every[name] == BOOLEAN}
            for end, local in DIRECTION_INPUTS.items():
                self._ends[end] = local if local in flags and not home_networks else None
            needed.update(local for local in self._ends.values() if local is not None)
        self.codes = {name: code for name, code in every.items() if name in needed or request.wants(name)}
        self._wanted = [name for name in self.columns if request.wants(name)]

    def empty_frame(self) -> pl.DataFrame:
        """Return a frame of the fields read, without rows."""
        return pl.DataFrame(schema={name: POLARS_TYPES[code] for name, code in self.codes.items()})

    def arranged(self, columns: Mapping[str, pl.Series], rows: int) -> pl.DataFrame:
        """Return columns, in whatever order, as a frame of the fields read; those that lack are null."""
        return pl.DataFrame(
            {
                name: columns[name] if name in columns else pl.repeat(None, rows, dtype=POLARS_TYPES[code], eager=True)
                for name, code in self.codes.items()
            }
        )

    def finished(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the columns wanted of a frame of the fields read, with the derived ones."""
        expressions = [
            column.expression.alias(name) for name, column in self._derived.items() if column.expression is not None
        ]
        if expressions:
            frame = frame.hstack(frame.select(expressions))
        if self._home is not None and self._ends:
            frame = frame.hstack([self._directions(frame, self._home)])
        return frame[self._wanted]

    def _directions(self, frame: pl.DataFrame, home: HomeNetworks) -> pl.Series:
        inside: list[Any] = []
        for end, local in self._ends.items():
            known: Any = frame[local] if local is not None else None
            if known is None or known.null_count():  # to look networks up takes longer than all else here
                by_network = home.inside(frame[end])
                known = by_network if known is None else known.fill_null(pl.Series(by_network))
            inside.append(known)
        return directions(*inside).alias(DIRECTION)


def _code(zeek_type: str, kind: ColumnKind | None) -> int:
    own = field_code(zeek_type)
    if kind is None or own in (LIST, NUMBER_LIST):
        return own
    if own == TIME:
        return {"string": TEXT, "float": NUMBER}.get(kind, TIME)
    return {"integer": INTEGER, "float": NUMBER, "boolean": BOOLEAN}.get(kind, TEXT)


def _is_like(code: int, own: int) -> bool:
    """Whether a field that is read in one way can be computed with as if it were read in its own."""
    return code == own or {code, own} == {INTEGER, NUMBER}


def end_times(frame: pl.DataFrame) -> NDArray[np.float64]:
    """Return when each record of a frame of the fields read ended: ``ts + duration``, in seconds since 1970.

    float64 ``[n]``; NaN without a time. A record without a duration ended when it began.
    """
    times = _seconds(frame, "ts")
    if "duration" not in frame.columns:
        return times
    durations = frame["duration"].cast(pl.Float64, strict=False).fill_null(0.0).to_numpy()
    ends: NDArray[np.float64] = times + durations
    if not np.isfinite(durations).all():
        np.copyto(ends, times, where=~np.isfinite(durations))
    return ends


def _seconds(frame: pl.DataFrame, name: str) -> NDArray[np.float64]:
    """Return times as seconds since 1970 in an array of its own, float64 ``[n]``; NaN where one is missing."""
    if name not in frame.columns:
        return np.full(frame.height, np.nan)
    column = frame[name]
    if not isinstance(column.dtype, pl.Datetime):
        return column.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    seconds = column.to_physical().fill_null(0).to_numpy() / MICROSECONDS
    if column.null_count():
        seconds[column.is_null().to_numpy()] = np.nan
    return seconds
