"""Parquet files, read batch by batch."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from netsieve.engine.errors import SourceError
from netsieve.engine.sources.adfa import CALLS, TraceTable, widened_request
from netsieve.engine.sources.adfa_calls import TRACE_COLUMN, CallSource, traces_request
from netsieve.engine.sources.bytestream import ByteStream
from netsieve.engine.sources.source import RAW_BYTES, Block, ColumnRequest, ParsedBlock, ReadOptions, Reject, Source
from netsieve.engine.sources.text_kinds import text_as_kind

BATCH_ROWS: Final = 16_384
"""Measured scoring 2 M records of 13 columns on two threads: 65,536 rows 330 MB, 16,384 rows 266 MB, as fast."""
BATCH_BYTES: Final = 32 * 1024 * 1024
"""A batch holds fewer rows where they are wide."""
SPOOL_CHUNK: Final = 1024 * 1024


class ParquetSource:
    """A Parquet file. One that comes compressed or through a pipe is first copied to a temporary file.

    Column kinds of the request apply to text columns only; all others have their types from the file.

    Parameters
    ----------
    stream
        The file, at its beginning.
    request
        Columns wanted and their kinds.

    Raises
    ------
    SourceError
        The file is damaged, or two of its columns have one name.
    """

    def __init__(self, stream: ByteStream, request: ColumnRequest) -> None:
        self._stream = stream
        self._request = request
        self._spool: Any = None
        try:
            if stream.compression is not None or stream.total_bytes is None:
                self._spool = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
                chunk = memoryview(bytearray(SPOOL_CHUNK))
                while size := stream.readinto(chunk):
                    self._spool.write(chunk[:size])
                self._spool.seek(0)
            file = self._spool if self._spool is not None else stream.name
            self._file = pq.ParquetFile(file, page_checksum_verification=True)
        except BaseException as error:
            self._close_spool()
            if isinstance(error, pa.ArrowException | OSError):
                raise self._damaged(error) from error
            raise
        self.columns = tuple(self._file.schema_arrow.names)
        twice = [name for name, count in Counter(self.columns).items() if count > 1]
        if twice:
            self.close()
            raise SourceError(f"duplicate column name {', '.join(map(repr, twice))}: {stream.label} names it twice")

    record_type = "record"

    @property
    def name(self) -> str:
        """Path as it was given."""
        return self._stream.name

    @property
    def total_bytes(self) -> int | None:
        """Size of the file; None for pipes."""
        return self._stream.total_bytes

    def close(self) -> None:
        """Close the file and the temporary one."""
        self._file.close(force=True)
        self._close_spool()
        self._stream.close()

    def holds_lists(self, column: str) -> bool:
        """Whether there is such a column, and it holds lists of integers."""
        if column not in self.columns:
            return False
        kind = self._file.schema_arrow.field(column).type
        return bool((pa.types.is_list(kind) or pa.types.is_large_list(kind)) and pa.types.is_integer(kind.value_type))

    def _close_spool(self) -> None:
        if self._spool is not None:
            self._spool.close()

    def _damaged(self, error: Exception) -> SourceError:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        return SourceError(f"{self._stream.label} cannot be read as Parquet: {reason}")

    def blocks(self) -> Iterator[Block]:
        """Yield the file's record batches in order, once."""
        wanted = [name for name in self.columns if self._request.wants(name)]
        rows = self._file.metadata.num_rows
        first = sequence = bytes_read = 0
        try:
            for batch in self._batches(wanted):
                until = (self.total_bytes or 0) * (first + batch.num_rows) // rows
                yield Block(
                    source_file=self.name,
                    sequence=sequence,
                    first_record=first,
                    records=batch.num_rows,
                    first_line=None,
                    offset=None,
                    data=batch,
                    bytes_read=until - bytes_read,
                )
                first += batch.num_rows
                sequence += 1
                bytes_read = until
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error

    def _batches(self, wanted: list[str]) -> Iterator[pa.RecordBatch]:
        batch_rows = self._batch_rows()
        # one row group at a time: asked for all at once, pyarrow's memory grows with the file
        for group in range(self._file.num_row_groups):
            for batch in self._file.iter_batches(batch_rows, row_groups=[group], columns=wanted, use_threads=False):
                if batch.num_rows:
                    yield batch

    def _batch_rows(self) -> int:
        metadata = self._file.metadata
        size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
        row_bytes: int = max(1, size // max(1, metadata.num_rows))
        return max(1024, min(BATCH_ROWS, BATCH_BYTES // row_bytes))

    def parse(self, block: Block) -> ParsedBlock:
        """Return a batch as a frame, without copying where types allow; numbers written as text are parsed."""
        rows = np.arange(block.records)
        rejects = [self._reject(block, row, reason) for row, reason in sorted(wrong_text(block.data).items())]
        if rejects:
            rows = np.delete(rows, [reject.record - block.first_record for reject in rejects])
        frame = pl.DataFrame(block.data.take(pa.array(rows)) if rejects else block.data)
        frame = frame.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))
        frame = frame.with_columns(pl.col(pl.Decimal).cast(pl.Float64))
        wrong: dict[int, str] = {}
        emptied: dict[str, int] = {}
        for column in frame.select(pl.col(pl.String)):
            kind = self._request.kinds.get(column.name)
            if kind not in ("integer", "float", "boolean"):
                continue
            converted, bad = text_as_kind(column, kind)
            if column.name in self._request.open and bad.any():
                continue
            frame = frame.with_columns(converted)
            if column.name in self._request.lenient:
                emptied[column.name] = int(np.count_nonzero(bad))
                continue
            for row in np.flatnonzero(bad).tolist():
                expected = {"integer": "an integer", "float": "a number"}.get(kind, "true or false")
                wrong.setdefault(row, f"column {column.name!r}: expected {expected}, got {column[row]!r}")
        if wrong:
            rejects += [self._reject(block, int(rows[row]), reason) for row, reason in wrong.items()]
            sound = np.ones(len(rows), np.bool_)
            sound[list(wrong)] = False
            frame, rows = frame.filter(sound), rows[sound]
        record: NDArray[np.int64] | range = range(block.first_record, block.first_record + block.records)
        if rejects:
            record = block.first_record + rows
            rejects.sort(key=lambda reject: reject.record)
        return ParsedBlock(
            frame=frame,
            record=record,
            rejects=rejects,
            skipped={},
            source_file=block.source_file,
            bytes_read=block.bytes_read,
            emptied={name: count for name, count in emptied.items() if count},
        )

    def _reject(self, block: Block, row: int, reason: str) -> Reject:
        cells = {
            name: _shown(column.take(pa.array([row])))
            for name, column in zip(block.data.schema.names, block.data.columns, strict=True)
        }
        return Reject(
            block.source_file, block.first_record + row, None, None, reason, json.dumps(cells, default=str)[:RAW_BYTES]
        )


def wrong_text(batch: pa.RecordBatch) -> dict[int, str]:
    """Return the rows of a batch that hold text which is no UTF-8, each with the reason.

    Arrow takes a file's word for it, and Polars Arrow's.
    """
    wrong: dict[int, str] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if _is_sound(column):
            continue
        decoded = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for row in range(len(decoded)):
            if not _is_sound(decoded.take(pa.array([row]))):
                wrong.setdefault(row, f"column {name!r}: invalid UTF-8")
    return wrong


def _is_sound(column: pa.Array) -> bool:
    try:
        column.validate(full=_may_hold_text(column.type))
    except pa.ArrowInvalid:
        return False
    return True


def _may_hold_text(kind: pa.DataType) -> bool:
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(holds(kind) for holds in (*texts, pa.types.is_nested, pa.types.is_dictionary))


def _shown(cell: pa.Array) -> Any:
    """Return the value of an array of one; text that is no UTF-8 with lone surrogates in place of the wrong bytes."""
    if _is_sound(cell):
        return cell.to_pylist()[0]
    text = cell.dictionary_decode() if pa.types.is_dictionary(cell.type) else cell
    if pa.types.is_nested(text.type):
        return None
    value = text.cast(pa.large_binary() if pa.types.is_large_string(text.type) else pa.binary()).to_pylist()[0]
    return value.decode("utf-8", "surrogateescape")


def open_stream(stream: ByteStream, request: ColumnRequest, options: ReadOptions, block_bytes: int) -> Source:
    """Return the stream as a source; Parquet says itself what other formats need to be told.

    A table of system-call traces gets the columns that describe them, or is read call by call.

    Raises
    ------
    SourceError
        It is damaged, or holds no traces where calls are asked for.
    """
    by_call = options.event_type == CALLS
    table = ParquetSource(stream, traces_request(request) if by_call else widened_request(request))
    if table.holds_lists(TRACE_COLUMN):
        return CallSource(table, request, table.columns) if by_call else TraceTable(table, request)
    if by_call:
        table.close()
        raise SourceError(
            f"{stream.label} has no column {TRACE_COLUMN!r} with lists of numbers, of which --event-type call makes "
            "records; leave that out"
        )
    return table
