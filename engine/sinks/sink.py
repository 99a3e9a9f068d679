"""What every output format offers, and how a format is chosen.

A sink takes frames in order. :meth:`Sink.prepare` does the heavy work and may run in any thread and out of
order; :meth:`Sink.write` takes what it returned, in order, from one thread.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, get_args

from netsieve.engine.errors import OutputError
from netsieve.engine.sinks.atomic import STANDARD_OUTPUT

if TYPE_CHECKING:
    import polars as pl

OutputFormat = Literal["parquet", "csv", "ndjson"]
OUTPUT_FORMATS: Final[tuple[OutputFormat, ...]] = get_args(OutputFormat)

_BY_SUFFIX: Final[dict[str, OutputFormat]] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
    "": "parquet",
}


class Sink(Protocol):
    """An output that takes frames of one schema, in order."""

    path: str

    def prepare(self, frame: pl.DataFrame) -> Any:
        """Return what :meth:`write` takes for ``frame``; safe to call from any thread."""

    def write(self, prepared: Any) -> None:
        """Append a prepared frame; raise :class:`~netsieve.engine.errors.OutputError` where that fails."""

    def check(self) -> None:
        """Raise what has failed in the background since."""

    def complete(self) -> None:
        """Write all that is left to write; only the name is missing afterwards."""

    def commit(self) -> None:
        """Finish the output: it is complete under its name afterwards."""

    def withdraw(self) -> None:
        """Leave no trace of the output, also after :meth:`commit`."""

    def abort(self) -> None:
        """Leave no trace of the output; does nothing after :meth:`commit`."""


def output_format(path: str, asked: str | None = None) -> OutputFormat:
    """Return the format of an output: the one asked for, else by its name.

    Parameters
    ----------
    path
        Output; a name without a suffix means Parquet, and ``"-"`` means CSV.
    asked
        ``"parquet"``, ``"csv"``, ``"ndjson"`` or None.

    Raises
    ------
    OutputError
        The name does not tell the format, or the format asked for does not exist.
    """
    if path.lower().endswith((".gz", ".zst")):
        raise OutputError(f"outputs are not compressed as a whole: name {path!r} without its last suffix")
    if asked is not None:
        for known in OUTPUT_FORMATS:
            if asked == known:
                return known
        raise OutputError(f"no output format {asked!r}; choose one of {', '.join(OUTPUT_FORMATS)}")
    if path == STANDARD_OUTPUT:
        return "csv"
    if path.startswith("/dev/"):
        return "parquet"
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in _BY_SUFFIX:
        raise OutputError(
            f"the output {path!r} does not tell its format; end it in .parquet, .csv or .ndjson, or give --format"
        )
    return _BY_SUFFIX[suffix]


def open_sink(path: str, form: OutputFormat, schema: pl.Schema) -> Sink:
    """Open an output for frames of ``schema``.

    Raises
    ------
    OutputError
        The output cannot be written there, or a column cannot be held by the format.
    """
    if form == "parquet":
        from netsieve.engine.sinks.parquet import ParquetSink

        return ParquetSink(path, schema)
    from netsieve.engine.sinks.text import CsvSink, NdjsonSink

    return CsvSink(path, schema) if form == "csv" else NdjsonSink(path, schema)
