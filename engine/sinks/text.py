"""CSV and NDJSON outputs. The text is made in ``prepare``, by the workers; only bytes are written in order."""

from __future__ import annotations

import io
from collections.abc import Callable

import polars as pl

from netsieve.engine.errors import OutputError
from netsieve.engine.sinks.atomic import PendingFile


class _TextSink:
    """What the two text formats share: a pending file that takes bytes."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._pending = PendingFile(path)

    def write(self, prepared: memoryview) -> None:
        """Append text that ``prepare`` made."""
        self._pending.write(prepared)

    def check(self) -> None:
        """Do nothing: there is no background."""

    def complete(self) -> None:
        """Finish the file, but for its name."""
        self._pending.complete()

    def commit(self) -> None:
        """Finish the file."""
        self._pending.commit()

    def withdraw(self) -> None:
        """Remove the file, also after it was finished."""
        self._pending.withdraw()

    def abort(self) -> None:
        """Remove the file."""
        self._pending.abort()


class CsvSink(_TextSink):
    """Comma-separated text with a header line, UTF-8; a missing value is an empty field.

    Parameters
    ----------
    path
        Output file, or ``"-"``.
    schema
        Columns of every frame.
    """

    def __init__(self, path: str, schema: pl.Schema) -> None:
        _refuse(schema, "CSV", lambda kind: kind.is_nested() or kind in (pl.Binary, pl.Object) or kind == pl.Duration)
        super().__init__(path)
        header = io.BytesIO()
        pl.DataFrame(schema=schema).write_csv(header)
        try:
            self.write(header.getbuffer())
        except BaseException:
            self.abort()
            raise

    def prepare(self, frame: pl.DataFrame) -> memoryview:
        """Return the records as text, without a header."""
        text = io.BytesIO()
        frame.write_csv(text, include_header=False)
        return text.getbuffer()


class NdjsonSink(_TextSink):
    """One JSON object a line, UTF-8; a missing value, NaN or an infinity is null.

    Parameters
    ----------
    path
        Output file, or ``"-"``.
    schema
        Columns of every frame.
    """

    def __init__(self, path: str, schema: pl.Schema) -> None:
        _refuse(schema, "NDJSON", lambda kind: kind in (pl.Binary, pl.Object))
        super().__init__(path)

    def prepare(self, frame: pl.DataFrame) -> memoryview:
        """Return the records as lines of JSON."""
        text = io.BytesIO()
        frame.write_ndjson(text)
        return text.getbuffer()


def _refuse(schema: pl.Schema, form: str, is_refused: Callable[[pl.DataType], bool]) -> None:
    refused = [f"{name!r} ({kind})" for name, kind in schema.items() if is_refused(kind)]
    if refused:
        raise OutputError(
            f"{form} cannot hold the column{'s' * (len(refused) > 1)} {', '.join(refused)}; "
            "leave them out with --keep, or write Parquet"
        )
