"""Delimited text of a known program: its columns have fixed kinds, its times are read, its status lines skipped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import polars as pl

from netsieve.engine.errors import SourceError
from netsieve.engine.features.schema import MISSING_TEXTS, ColumnKind
from netsieve.engine.sources.blocks import MAX_RECORD_BYTES, SHOWN_CELL
from netsieve.engine.sources.csv import BYTE_ORDER_MARK, DELIMITERS, CsvSource
from netsieve.engine.sources.csv_headers import check_unique
from netsieve.engine.sources.plain_text import LOOKED_AT, check_text
from netsieve.engine.sources.source import BLOCK_BYTES, RAW_BYTES, Block, ColumnRequest, ParsedBlock, Reject
from netsieve.kernels import _native

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsieve.engine.sources.bytestream import ByteStream

UTC: Final = pl.Datetime("us", "UTC")
MICROSECONDS: Final = 1_000_000
SHOWN_COLUMNS: Final = 12
"""Columns of a file that an error names."""
SECONDS_FORMAT: Final = ":%S%.f"
LARGEST_SECONDS: Final = 1e11
"""Numbers beyond, some 3,000 years either way, are no times."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """How the text of a column becomes what it stands for.

    Attributes
    ----------
    parse
        Takes a String column and returns one of the same height, null where the text cannot be read.
    expected
        What the text should have been, for the reason of a reject.
    """

    parse: Callable[[pl.Series], pl.Series]
    expected: str


class KnownCsvSource(CsvSource):
    """A file of delimited text whose columns are known.

    A subclass declares them. Columns that it does not know are read as the request says, as in any CSV file.

    Attributes
    ----------
    kinds
        How known columns are read from text, whatever the request says: a column's type is the format's.
    conversions
        Columns that are read as text and converted: times, ports.
    aliases
        Names that other versions of the program give to known columns.
    required
        Columns that every file has. They are read whether wanted or not, to tell what is skipped and when a record
        ended.
    helpful
        Further columns that are read where they are there.
    derived
        Columns that are computed, behind the file's, each with the columns that it is computed from.
    """

    kinds: ClassVar[Mapping[str, ColumnKind]] = {}
    conversions: ClassVar[Mapping[str, Conversion]] = {}
    aliases: ClassVar[Mapping[str, str]] = {}
    required: ClassVar[Collection[str]] = ()
    helpful: ClassVar[Collection[str]] = ()
    derived: ClassVar[Mapping[str, Collection[str]]] = {}

    def __init__(
        self,
        stream: ByteStream,
        request: ColumnRequest,
        *,
        delimiter: str | None = None,
        names: Sequence[str] | None = None,
        block_bytes: int = BLOCK_BYTES,
        max_record: int = MAX_RECORD_BYTES,
    ) -> None:
        self._wanted = request
        inputs = {name for column, inputs in self.derived.items() if request.wants(column) for name in inputs}
        columns = None if request.columns is None else tuple({*request.columns, *self.required, *self.helpful, *inputs})
        text: dict[str, ColumnKind] = dict.fromkeys(self.conversions, "string")
        super().__init__(
            stream,
            replace(request, columns=columns, kinds={**request.kinds, **self.kinds, **text}),
            delimiter=delimiter,
            names=names,
            block_bytes=block_bytes,
            max_record=max_record,
        )
        if missing := [name for name in self.required if name not in self._file_columns]:
            raise SourceError(
                f"{stream.label} is read as {self.record_type} but has no column {', '.join(map(repr, missing))}; it "
                f"has {', '.join(map(repr, self._file_columns[:SHOWN_COLUMNS]))}; name another --input-format"
            )
        self._derived = [
            name
            for name, inputs in self.derived.items()
            if set(inputs) <= set(self._file_columns) and name not in self._file_columns
        ]
        self.columns = (*self._file_columns, *self._derived)

    def parse(self, block: Block) -> ParsedBlock:
        """Return a block's records as a frame; times and ports as what they are."""
        parsed = self._without_skipped_rejects(super().parse(block))
        frame, rows = parsed.frame, _rows_of(parsed)
        skipped = dict(parsed.skipped)
        if (other := self.skipped_rows(frame)) is not None and (count := int(other[0].sum())):
            kept = ~other[0]
            frame, rows = frame.filter(kept), rows[kept.to_numpy()]
            skipped[other[1]] = skipped.get(other[1], 0) + count
        rejects = parsed.rejects
        wrong: dict[int, str] = {}
        for name, conversion in self.conversions.items():
            if name not in frame.columns:
                continue
            text = frame.get_column(name)
            values = conversion.parse(text)
            if values.null_count() > text.null_count():
                for row in np.flatnonzero((values.is_null() & _is_present(text)).to_numpy()).tolist():
                    wrong.setdefault(row, f"column {name!r}: expected {conversion.expected}, got {_shown(text[row])}")
            frame = frame.with_columns(values.alias(name))
        if wrong:
            bad = np.fromiter(wrong, np.int64, len(wrong))
            found = self._rejects_at(block, rows[bad], wrong.values())
            rejects = sorted([*rejects, *found], key=lambda reject: reject.record)
            kept_rows = np.ones(frame.height, dtype=bool)
            kept_rows[bad] = False
            frame, rows = frame.filter(kept_rows), rows[kept_rows]
        end_time = self.end_time(frame)
        if derived := [name for name in self._derived if self._wanted.wants(name)]:
            frame = frame.with_columns(self.derive(frame, derived))
        return replace(
            parsed,
            frame=frame.select([name for name in self.columns if self._wanted.wants(name)]),
            record=rows if len(rows) != len(parsed.record) else parsed.record,
            rejects=rejects,
            skipped=skipped,
            end_time=end_time,
        )

    def skipped_rows(self, frame: pl.DataFrame) -> tuple[pl.Series, str] | None:
        """Return which rows are no records of the wanted kind, Boolean ``[n]``, and why; None where none can be."""
        del frame
        return None

    def skipped_line(self, raw: str) -> str | None:
        """Return why a line that is no record is to be skipped rather than rejected; None to reject it."""
        del raw
        return None

    def end_time(self, frame: pl.DataFrame) -> NDArray[np.float64] | None:
        """Return when each record ended, float64 ``[n]``, seconds since 1970; None where the format has no times."""
        del frame
        return None

    def derive(self, frame: pl.DataFrame, names: Sequence[str]) -> list[pl.Series]:
        """Return derived columns, named."""
        raise NotImplementedError

    def names_of(self, fields: list[str], label: str, *, unique: bool = True) -> tuple[str, ...]:
        """Return the columns' names; a known name that is there twice gets ``.1``."""
        names: list[str] = []
        for field in super().names_of(fields, label, unique=False):
            name = self.aliases.get(field, field)
            twice = name in names and name in self.kinds
            names.append(f"{name}.1" if twice else name)
        check_unique(names, label)
        return tuple(names)

    def _without_skipped_rejects(self, parsed: ParsedBlock) -> ParsedBlock:
        rejects, skipped = [], dict(parsed.skipped)
        for reject in parsed.rejects:
            if (reason := self.skipped_line(reject.raw)) is None:
                rejects.append(reject)
            else:
                skipped[reason] = skipped.get(reason, 0) + 1
        return replace(parsed, rejects=rejects, skipped=skipped)

    def _rejects_at(self, block: Block, records: NDArray[np.int64], reasons: Collection[str]) -> Iterator[Reject]:
        """Yield rejects for records that were parsed, but hold what their columns cannot.

        Where a record stands is found by reading the block once more as if there were one column more: every record
        that has the right number of fields is then rejected, with its place.
        """
        assert block.first_line is not None
        assert block.offset is not None
        codes = [0] * (len(self._file_columns) + 1)
        every = _native.parse_records(
            block.data, ord(self._delimiter), self._header, self._max_record, codes, block.records - len(block.rejects)
        ).rejected
        text = memoryview(block.data)
        for record, reason in zip(records.tolist(), reasons, strict=True):
            found = np.searchsorted(every[:, 0], record - block.first_record)
            _, lines, start, end = every[found, :4].tolist()
            yield Reject(
                source_file=block.source_file,
                record=record,
                line=block.first_line + lines,
                offset=block.offset + start,
                reason=reason,
                raw=bytes(text[start : min(end, start + RAW_BYTES)]).decode("utf-8", "surrogateescape"),
            )


def header_names(head: bytes) -> list[str]:
    """Return the names in the first line of a file that begins with ``head``; none where that is no text.

    Cheap, and good enough to tell a format: names are stripped of blanks and quotes.
    """
    line = head.removeprefix(BYTE_ORDER_MARK).lstrip(b"\r\n")[:LOOKED_AT].split(b"\n", 1)[0]
    try:
        text = line.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError:
        return []
    delimiter = max(DELIMITERS, key=text.count)
    return [name.strip().strip('"').strip() for name in text.split(delimiter)]


def check_known_text(stream: ByteStream) -> None:
    """Raise :class:`~netsieve.engine.errors.SourceError` where a stream is no text that can be read."""
    check_text(bytes(stream.peek(LOOKED_AT)), stream.label)


def parsed_times(text: pl.Series, formats: Sequence[str]) -> pl.Series:
    """Return times in UTC, null where a text is in none of the formats.

    Parameters
    ----------
    text
        Strings.
    formats
        ``strptime`` formats, tried in order; numbers are taken as seconds since 1970 at last.
    """
    text = text.str.strip_chars()
    times = _repeating_minutes(text, formats[0])
    for form in formats:
        times = _filled(times, text, partial(_strptime, form=form))
    return _filled(times, text, _from_seconds).dt.replace_time_zone("UTC")


def _filled(values: pl.Series, text: pl.Series, parse: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Return values with those that are missing where there is text parsed from it."""
    if values.null_count() == text.null_count():
        return values
    left = (values.is_null() & text.is_not_null()).arg_true()
    return values.scatter(left, parse(text.gather(left)))


def _repeating_minutes(text: pl.Series, form: str) -> pl.Series:
    """Return times whose text up to the minute is as long as that of the first; the others are null.

    Records are many a minute: it is parsed once. Measured, interleaved: 0.6 of the time of ``strptime``.
    """
    start = text.drop_nulls().head(1)
    width = start[0].rfind(":") if len(start) else -1
    minute_form = form.removesuffix(SECONDS_FORMAT)
    if width < 0 or minute_form == form or "%d" not in form:
        return pl.Series(text.name, [None], dtype=pl.Datetime("us")).new_from_index(0, len(text))
    minute = text.str.head(width)
    distinct = minute.drop_nulls().unique()
    known = distinct.str.to_datetime(minute_form, time_unit="us", strict=False).to_physical()
    rest = text.str.slice(width)
    # two digits and at most microseconds; what is written otherwise is left to strptime
    plain = rest.str.starts_with(":") & rest.str.len_bytes().is_in((3, *range(5, 11)))
    plain &= ~rest.str.contains_any(["e", "E", "+", "-", "i", "n", "N", "_", " ", "I"])
    second = rest.str.slice(1).cast(pl.Float64, strict=False)
    plain &= (second < 60).fill_null(value=False)
    minutes = minute.replace_strict(distinct, known, default=None, return_dtype=pl.Int64)
    times = minutes + (second.set(~plain.fill_null(value=False), None) * MICROSECONDS).round().cast(pl.Int64)
    return times.cast(pl.Datetime("us")).alias(text.name)


def _strptime(text: pl.Series, form: str) -> pl.Series:
    if "%d" in form:
        return text.str.to_datetime(form, time_unit="us", strict=False)
    # a time of day alone
    return ("1970-01-01 " + text).str.to_datetime(f"%Y-%m-%d {form}", time_unit="us", strict=False)


def _from_seconds(text: pl.Series) -> pl.Series:
    number = text.cast(pl.Float64, strict=False)
    number = number.set(~number.is_between(-LARGEST_SECONDS, LARGEST_SECONDS).fill_null(value=False), None)
    return (number * MICROSECONDS).round().cast(pl.Int64).cast(pl.Datetime("us"))


def parsed_ports(text: pl.Series) -> pl.Series:
    """Return ports as integers, null where a text is none.

    ``0x0303`` is 771. ICMP type and code, ``3.1``, is the number that NetFlow sends in their place,
    256 times the type plus the code.
    """
    text = text.str.strip_chars()
    return _filled(text.cast(pl.Int64, strict=False), text, _unusual_ports)


def _unusual_ports(text: pl.Series) -> pl.Series:
    hexadecimal = text.str.extract(r"^0[xX]([0-9a-fA-F]{1,8})$").str.to_integer(base=16, strict=False)
    pair = text.str.extract_groups(r"^(?<type>\d{1,3})\.(?<code>\d{1,3})$").struct.unnest()
    return hexadecimal.cast(pl.Int64).fill_null(pair["type"].cast(pl.Int64) * 256 + pair["code"].cast(pl.Int64))


def stripped_text(text: pl.Series) -> pl.Series:
    """Return text without blanks around; null where nothing is left."""
    text = text.str.strip_chars()
    return text.set(text == "", None)


def epoch_seconds(times: pl.Series) -> NDArray[np.float64]:
    """Return times as float64 seconds since 1970, NaN where missing."""
    return times.to_physical().cast(pl.Float64).to_numpy() / MICROSECONDS


def seconds(values: pl.Series, scale: float = 1.0) -> NDArray[np.float64]:
    """Return durations as float64 seconds, 0 where missing or not finite."""
    numbers = values.cast(pl.Float64).to_numpy() / scale
    return np.where(np.isfinite(numbers), numbers, 0.0)


def _is_present(text: pl.Series) -> pl.Series:
    return text.is_not_null() & ~text.str.strip_chars().str.to_lowercase().is_in(sorted(MISSING_TEXTS))


def _rows_of(parsed: ParsedBlock) -> NDArray[np.int64]:
    numbers: Any = parsed.record
    return np.arange(numbers.start, numbers.stop) if isinstance(numbers, range) else numbers


def _shown(text: Any) -> str:
    shown = str(text)
    return f"{shown[:SHOWN_CELL]}..." if len(shown) > SHOWN_CELL else repr(shown)
