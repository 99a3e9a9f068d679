"""Bidirectional flows of Argus (``ra -c`` with any delimiter), also known as binetflow.

Ports of ICMP are hexadecimal: type and code, or an identifier. Argus' own status records (protocol ``man``) and header
lines in mid-file, which ``ra`` repeats where outputs are joined, are skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import polars as pl

from netsieve.engine.features.schema import ColumnKind
from netsieve.engine.sources.known_csv import (
    Conversion,
    KnownCsvSource,
    check_known_text,
    epoch_seconds,
    header_names,
    parsed_ports,
    parsed_times,
    seconds,
    stripped_text,
)
from netsieve.engine.sources.source import ColumnRequest, ReadOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from netsieve.engine.sources.bytestream import ByteStream

RECORD_TYPE: Final = "argus.flow"
TELLING: Final = frozenset({"StartTime", "Dur", "Proto", "SrcAddr", "DstAddr", "State"})
"""Columns that a header line is told by."""
TIME_FORMATS: Final = ("%Y/%m/%d %H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%H:%M:%S%.f")

_TIME: Final = Conversion(
    partial(parsed_times, formats=TIME_FORMATS), "a time like '2019/04/04 16:23:00.325010' or seconds since 1970"
)
_PORT: Final = Conversion(parsed_ports, "a port number or 0x and hexadecimal digits (ra -n writes no names)")
_STRIPPED: Final = Conversion(stripped_text, "text")

READY_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    RECORD_TYPE: {
        "features": [
            *("Dur", "Proto", "Dir", "Dport", "State", "sTos", "dTos"),
            *("TotPkts", "TotBytes", "SrcPkts", "SrcBytes", "DstPkts", "DstBytes"),
        ],
        "columns": {
            "Proto": {"kind": "categorical"},
            "Dir": {"kind": "categorical"},
            "Dport": {"kind": "categorical"},
            "State": {"kind": "categorical"},
            "sTos": {"kind": "categorical"},
            "dTos": {"kind": "categorical"},
        },
    }
}


class ArgusSource(KnownCsvSource):
    """A file of Argus flows, delimited by commas, tabs or whatever ``ra -c`` was given."""

    record_type = RECORD_TYPE
    kinds: ClassVar[Mapping[str, ColumnKind]] = {
        "Dur": "float",
        **dict.fromkeys(("Proto", "SrcAddr", "DstAddr", "State", "srcUdata", "dstUdata", "Label"), "string"),
        **dict.fromkeys(
            ("sTos", "dTos", "TotPkts", "TotBytes", "SrcBytes", "DstBytes", "SrcPkts", "DstPkts"), "integer"
        ),
    }
    conversions: ClassVar[Mapping[str, Conversion]] = {
        "StartTime": _TIME,
        "LastTime": _TIME,
        "Sport": _PORT,
        "Dport": _PORT,
        "Dir": _STRIPPED,
    }
    needed = ("StartTime", "Dur", "Proto")

    def skipped_rows(self, frame: pl.DataFrame) -> tuple[pl.Series, str] | None:
        """Return which records are the sensor's reports on itself."""
        return (frame["Proto"] == "man").fill_null(value=False), "status"

    def skipped_line(self, raw: str) -> str | None:
        """Tell a header line that differs from the file's first."""
        return "header" if raw.startswith("StartTime") else None

    def end_time(self, frame: pl.DataFrame) -> NDArray[np.float64] | None:
        """Return start and duration together."""
        return epoch_seconds(frame["StartTime"]) + seconds(frame["Dur"])


def is_format(head: bytes, _name: str) -> bool:
    """Whether the first line names Argus' columns."""
    return b"StartTime" in head and set(header_names(head)) >= TELLING


def open_stream(stream: ByteStream, request: ColumnRequest, options: ReadOptions, block_bytes: int) -> ArgusSource:
    """Return the stream as a source.

    Raises
    ------
    SourceError
        It is no text, or has no usable header.
    """
    check_known_text(stream)
    return ArgusSource(stream, request, delimiter=options.delimiter, names=options.names, block_bytes=block_bytes)
