"""Zeek's logs as JSON lines: the same columns, of the same names and types, as the tab-separated logs have.

Zeek's JSON leaves out what has no value, and does not tell types. The columns are the standard fields of the log, then
others that occur in the first 4 MiB of the file; the types of those that no version of Zeek is known to write are
inferred there. ``_path`` and ``_write_ts``, which some programs add, are about the writing and are no columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
import polars as pl

from netsieve.engine.sources.blocks import MAX_RECORD_BYTES
from netsieve.engine.sources.json_text import JsonColumns, JsonSource, JsonText
from netsieve.engine.sources.plain_text import LOOKED_AT
from netsieve.engine.sources.source import BLOCK_BYTES, Block, ColumnRequest, ParsedBlock, ReadOptions
from netsieve.engine.sources.zeek_columns import POLARS_TYPES, ColumnPlan, end_times
from netsieve.engine.sources.zeek_detection import text_begins
from netsieve.engine.sources.zeek_fields import (
    INTEGER,
    LIST,
    NUMBER_LIST,
    STANDARD_LOGS,
    TEXT,
    TIME,
    known_type,
    log_of_fields,
    log_of_name,
)
from netsieve.kernels import _native

if TYPE_CHECKING:
    from netsieve.engine.sources.bytestream import ByteStream

PATH: Final = "_path"
ABOUT_WRITING: Final = (PATH, "_write_ts")
INFERRED_TYPES: Final = {1: "int", 2: "double", 3: "bool", 4: "string"}
"""Zeek types by kind code of ``kernels._native.discover_json_columns``."""
INFERRED_LIST: Final = "vector[string]"
FIRST_MILLISECONDS: Final = 100_000_000_000
"""Times that are written as integers from this on are milliseconds, as Zeek writes them on request."""
LAST_MILLISECONDS: Final = 9_000_000_000_000_000
"""Beyond this many milliseconds the microseconds do not fit 64 bits; such a time is missing."""
MICROSECONDS: Final = 1000
"""In a millisecond."""


class ZeekJsonSource(JsonSource):
    """A log in JSON lines.

    Parameters
    ----------
    stream
        The text, at its beginning.
    request, options
        Columns wanted and their kinds; the log wanted (``event_type``) of a file that names logs in ``_path``, and
        the home networks.
    block_bytes, max_record
        See :class:`netsieve.engine.sources.blocks.BlockCutter`.

    Raises
    ------
    SourceError
        The file is empty, or is no text.
    """

    def __init__(
        self,
        stream: ByteStream,
        request: ColumnRequest,
        options: ReadOptions,
        *,
        block_bytes: int = BLOCK_BYTES,
        max_record: int = MAX_RECORD_BYTES,
    ) -> None:
        first = _first_records(bytes(stream.peek(LOOKED_AT)))
        named = next((record[PATH] for record in first if isinstance(record.get(PATH), str)), None)
        wanted = options.event_type.removeprefix("zeek.") if options.event_type is not None else None
        selector = (PATH, [wanted or named]) if named is not None else None
        self._text = JsonText(stream, selector=selector, block_bytes=block_bytes, max_record=max_record)
        (discovered,) = self._text.discovered
        found = {name: kind for name, kind in discovered.items() if name not in ABOUT_WRITING}
        path = (wanted or named) if named is not None else log_of_name(stream.name) or log_of_fields(found)
        self._other = path if named is None and wanted is not None and path != wanted else None
        self.record_type = f"zeek.{path or 'log'}"
        lists = {name for record in first for name, value in record.items() if isinstance(value, list)}
        types = _types(path, found, lists, infer=request.infer)
        self._plan = ColumnPlan(types, request, path=path, home_networks=options.home_networks)
        times = [record["ts"] for record in first if type(record.get("ts")) is int]
        self._milliseconds = any(abs(time) >= FIRST_MILLISECONDS for time in times)
        read_as = {LIST: TEXT, NUMBER_LIST: TEXT, TIME: INTEGER if self._milliseconds else TIME}
        kinds = {name: read_as.get(code, code) for name, code in self._plan.codes.items()}
        inferred = (name for name in kinds if known_type(path, name) is None and name not in request.kinds)
        self._columns = JsonColumns(kinds, frozenset(inferred))

    @property
    def columns(self) -> tuple[str, ...]:
        """The log's fields, and the derived columns behind them."""
        return self._plan.columns

    def parse(self, block: Block) -> ParsedBlock:
        """Return a block's records as a frame; the rejected ones with what is wrong with them."""
        if self._other is not None:
            return self._skipped(block, self._other)
        parsed = self._text.parse(block, self._columns)
        (rows,) = parsed.tables
        frame = pl.DataFrame({name: self._series(name, column) for name, column in rows.columns.items()})
        return ParsedBlock(
            frame=self._plan.finished(frame),
            record=rows.record,
            rejects=parsed.rejects,
            skipped={**block.skipped, **{f"event type {kind}": count for kind, count in parsed.skipped.items()}},
            source_file=block.source_file,
            bytes_read=block.bytes_read,
            end_time=end_times(frame),
        )

    def _series(self, name: str, column: _native.Column) -> pl.Series:
        code = self._plan.codes[name]
        if code in (LIST, NUMBER_LIST):
            return pl.Series(_native.comma_lists(column, code == NUMBER_LIST))
        if code == TIME and self._milliseconds:
            milliseconds = pl.Series(column)
            sound = milliseconds.set(milliseconds.abs() > LAST_MILLISECONDS, None)
            return (sound * MICROSECONDS).cast(POLARS_TYPES[TIME])
        return pl.Series(column)

    def _skipped(self, block: Block, path: str) -> ParsedBlock:
        """Return a block of a log that is not wanted."""
        frame = self._plan.empty_frame()
        kept = block.records - len(block.rejects)
        return ParsedBlock(
            frame=self._plan.finished(frame),
            record=np.empty(0, np.int64),
            rejects=list(block.rejects),
            skipped={**block.skipped, **({f"event type {path}": kept} if kept else {})},
            source_file=block.source_file,
            bytes_read=block.bytes_read,
            end_time=end_times(frame),
        )


def _types(path: str | None, found: Mapping[str, int], lists: set[str], *, infer: bool) -> dict[str, str]:
    """Return the Zeek types of a log's fields, the standard ones first unless others come before the time."""
    unknown = {
        name: known_type(path, name)
        or (INFERRED_LIST if name in lists else INFERRED_TYPES[kind] if infer else INFERRED_TYPES[TEXT])
        for name, kind in found.items()
    }
    names = list(found)
    leading = names[: names.index("ts")] if "ts" in names else []
    standard = STANDARD_LOGS.get(path or "", {})
    return {name: unknown[name] for name in leading if name not in standard} | dict(standard) | unknown


def _first_records(head: bytes) -> list[dict[str, Any]]:
    """Return the JSON objects of a text's first whole lines."""
    records = []
    lines = text_begins(head).split(b"\n")
    for line in lines[:-1] if len(lines) > 1 else lines:
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records
