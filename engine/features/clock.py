"""When records ended: the columns that tell it, in the many ways in which times are written."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.engine.errors import EncodeError
from netsieve.engine.features.layouts import TIME_FORMATS

MICROSECONDS: Final = 1e6
LARGEST_TIME: Final = 1e12
"""Seconds either way; no record is from a time beyond."""


class Clock(Protocol):
    """The columns that tell when a record ended; see :class:`~netsieve.engine.features.neighbours.Neighbours`."""

    @property
    def time(self) -> str | None:
        """Column of the record's time; None: its source tells when it ended."""
        ...

    @property
    def duration(self) -> str | None:
        """Column of what is to be added for the end."""
        ...

    @property
    def time_format(self) -> str | None:
        """How the time is written where it is text: tried first."""
        ...

    @property
    def time_unit(self) -> float:
        """Seconds in a unit of the time, where it is a number."""
        ...

    @property
    def duration_unit(self) -> float:
        """Seconds in a unit of the duration, where it is a number."""
        ...


class KeptClock(Protocol):
    """Time of the last record that had one, and how many had none."""

    clock: float
    without_time: int


def end_times(frame: pl.DataFrame, declared: Clock, given: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return when each record ended, float64 ``[n]``, seconds since 1970, NaN where that is not known.

    Parameters
    ----------
    frame
        Has the declared columns.
    declared
        Which these are.
    given
        What the source of the records tells; taken where no column of times is declared.

    Raises
    ------
    EncodeError
        A column is of a type that cannot be a time.
    """
    if declared.time is None:
        return np.full(frame.height, np.nan) if given is None else np.asarray(given, dtype=np.float64)
    time = _seconds(frame.get_column(declared.time), declared.time_format, declared.time_unit)
    if declared.duration is not None:
        spent = _seconds(frame.get_column(declared.duration), None, declared.duration_unit)
        time = time + np.where(spent > 0, spent, 0.0)
    return time


def known_times(end_time: NDArray[np.float64], state: KeptClock) -> NDArray[np.float64]:
    """Return the times, the one before standing in for those that are not known, and keep the last one.

    Parameters
    ----------
    end_time
        float64 ``[n]``, NaN where it is not known.
    state
        Its clock tells the time before the first; its clock and its count of records without a time are updated.
    """
    known = np.abs(end_time) <= LARGEST_TIME
    if not known.all():
        state.without_time += int(np.count_nonzero(~known))
        before = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
        end_time = np.where(before < 0, state.clock, end_time[before])
    if len(end_time):
        state.clock = float(end_time[-1])
    return np.ascontiguousarray(end_time)


def _seconds(column: pl.Series, form: str | None, unit: float) -> NDArray[np.float64]:
    dtype = column.dtype
    if dtype == pl.String:
        return _seconds_of_text(column, form, unit)
    if dtype.is_numeric() or dtype == pl.Null:
        return np.asarray(column.cast(pl.Float64).to_numpy() * unit)
    if dtype == pl.Duration:
        return np.asarray(column.dt.total_microseconds().cast(pl.Float64).to_numpy() / MICROSECONDS)
    if dtype not in (pl.Date, pl.Datetime):
        raise EncodeError(f"column {column.name!r} is {dtype}, where a time is expected; convert it first")
    return np.asarray(column.dt.timestamp("us").cast(pl.Float64).to_numpy() / MICROSECONDS)


def _seconds_of_text(column: pl.Series, form: str | None, unit: float) -> NDArray[np.float64]:
    """Return the times of a text column: a number, or else in the first format that fits, cell by cell."""
    numbers = column.cast(pl.Float64, strict=False).to_numpy() * unit
    rest = column.set(pl.Series(~np.isnan(numbers)), None)
    for candidate in dict.fromkeys((*([form] if form else []), *TIME_FORMATS)):
        if rest.null_count() == len(rest):
            break
        times = rest.str.to_datetime(candidate, strict=False, time_unit="us").dt.timestamp("us")
        found = times.is_not_null()
        numbers = np.where(found, times.cast(pl.Float64).to_numpy() / MICROSECONDS, numbers)
        rest = rest.set(found, None)
    return np.asarray(numbers)
