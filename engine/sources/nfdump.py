"""NetFlow records of nfdump: the CSV that it writes, and its binary files, read through the program itself.

nfdump 1.7.5 renamed the columns of its CSV and made their choice free; both namings are read, and the short names
of before (``ts``, ``td``, ``sa``, ``ibyt``) are given. The lines that nfdump writes below the flows are skipped.
Text does not say its time zone: times of CSV files are taken as UTC, and binary files are printed in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import polars as pl

from netsieve.engine.errors import SourceError
from netsieve.engine.features.schema import ColumnKind
from netsieve.engine.sources.known_csv import (
    UTC,
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
from netsieve.engine.sources.nfdump_program import NfdumpOutput, is_capture
from netsieve.engine.sources.source import Block, ColumnRequest, ReadOptions

if TYPE_CHECKING:
    import re

    import numpy as np
    from numpy.typing import NDArray

    from netsieve.engine.sources.bytestream import ByteStream

RECORD_TYPE: Final = "nfdump.flow"
TELLING: Final = frozenset({"ts", "td", "sa", "da", "ibyt"})
"""Columns, by their short names, that a header line is told by."""
TIME_FORMATS: Final = ("%Y-%m-%d %H:%M:%S%.f",)
ALIASES: Final = {
    **{"firstSeen": "ts", "lastSeen": "te", "duration": "td", "received": "tr"},
    **{"srcAddr": "sa", "dstAddr": "da", "srcPort": "sp", "dstPort": "dp", "proto": "pr"},
    **{"flags": "flg", "fwdStatus": "fwd", "srcTos": "stos", "tos": "stos", "dstTos": "dtos", "direction": "dir"},
    **{"inPackets": "ipkt", "packets": "ipkt", "outPackets": "opkt"},
    **{"inBytes": "ibyt", "bytes": "ibyt", "outBytes": "obyt", "flows": "fl"},
    **{"input": "in", "output": "out", "srcAS": "sas", "dstAS": "das", "srcMask": "smk", "dstMask": "dmk"},
    **{"nextIP": "nh", "bgpNextIP": "nhb", "srcVlan": "svln", "dstVlan": "dvln", "routerIP": "ra"},
    **{"engine": "eng", "exporterID": "exid"},
}
"""Names since nfdump 1.7.5, and the short ones of before."""

READY_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    RECORD_TYPE: {
        "features": ["td", "pr", "sp", "dp", "flg", "stos", "ipkt", "ibyt", "opkt", "obyt"],
        "columns": {
            # A flow goes one way: the service's port is the source's in one half of them
            name: {"kind": "categorical"}
            for name in ("pr", "sp", "dp", "flg", "stos")
        },
    }
}


def parsed_durations(text: pl.Series) -> pl.Series:
    """Return durations as float64 seconds: ``1.5``, or ``00:01:02.500`` with days in front where there are any."""
    text = text.str.strip_chars()
    numbers = text.cast(pl.Float64, strict=False)
    if (numbers.is_null() & text.is_not_null()).any():
        clock = text.str.extract_groups(r"^(?:(\d+)d )?(\d+):(\d{2}):(\d{2}(?:\.\d+)?)$").struct.unnest()
        days, hours, minutes, rest = (clock[name].cast(pl.Float64) for name in clock.columns)
        numbers = numbers.fill_null(((days.fill_null(0) * 24 + hours) * 60 + minutes) * 60 + rest)
    return numbers


_TIME: Final = Conversion(partial(parsed_times, formats=TIME_FORMATS), "a time like '2018-01-12 15:37:30'")
_PORT: Final = Conversion(parsed_ports, "a port, or ICMP type and code like 8.0")


class NfdumpSource(KnownCsvSource):
    """Flows as nfdump writes them with ``-o csv``."""

    record_type = RECORD_TYPE
    kinds: ClassVar[Mapping[str, ColumnKind]] = {
        **dict.fromkeys(("sa", "da", "pr", "ra", "nh", "nhb"), "string"),
        **dict.fromkeys(("fwd", "stos", "dtos", "ipkt", "ibyt", "opkt", "obyt", "fl"), "integer"),
        **dict.fromkeys(("cl", "sl", "al"), "float"),
        **dict.fromkeys(("in", "out", "sas", "das", "smk", "dmk", "svln", "dvln"), "integer"),
    }
    conversions: ClassVar[Mapping[str, Conversion]] = {
        "ts": _TIME,
        "te": _TIME,
        "tr": _TIME,
        "td": Conversion(parsed_durations, "seconds, or a duration like 00:01:02.500"),
        "sp": _PORT,
        "dp": _PORT,
        "flg": Conversion(stripped_text, "text"),
    }
    aliases = ALIASES
    needed = ("ts", "td")

    def skipped_line(self, raw: str) -> str | None:
        """Tell the summary below the flows, and a header that is none of the file's."""
        if _summary_line().fullmatch(raw):
            return "summary"
        return "header" if raw.startswith(("ts,te,td,", "firstSeen,")) else None

    def end_time(self, frame: pl.DataFrame) -> NDArray[np.float64] | None:
        """Return start and duration together."""
        return epoch_seconds(frame["ts"].cast(UTC)) + seconds(frame["td"])


class NfdumpCaptureSource(NfdumpSource):
    """A binary file of nfdump, nfcapd, sfcapd or nfpcapd, printed by ``nfdump``.

    Records and lines are numbered as in what the program prints.
    """

    _stream: NfdumpOutput

    def blocks(self) -> Iterator[Block]:
        """Yield the file's blocks in order, once.

        Raises
        ------
        SourceError
            nfdump cannot read the file to its end.
        """
        yield from super().blocks()
        self._stream.check()


def _summary_line() -> re.Pattern[str]:
    import re

    return re.compile(
        r"Summary.*|flows,bytes,packets,avg_bps,avg_pps,avg_bpp|\d+(,\d+){5}|No match(ing|ed) flows|"
        r"(Time window|Total flows processed|Sys|Ident): .*"
    )


def is_format(head: bytes, _name: str) -> bool:
    """Whether this is a binary file of nfdump, or the first line names the columns of its CSV."""
    if is_capture(head):
        return True
    if not head.lstrip(b"\xef\xbb\xbf").startswith((b"ts,", b"firstSeen,", b"version,", b"count,")):
        return False
    return {ALIASES.get(name, name) for name in header_names(head)} >= TELLING


def open_stream(stream: ByteStream, request: ColumnRequest, options: ReadOptions, block_bytes: int) -> NfdumpSource:
    """Return the stream as a source.

    Raises
    ------
    SourceError
        It is neither text with a header nor a binary file, nfdump is not installed, or cannot read the file.
    """
    if not is_capture(bytes(stream.peek(4))):
        check_known_text(stream)
        return NfdumpSource(stream, request, delimiter=options.delimiter, names=options.names, block_bytes=block_bytes)
    output = NfdumpOutput(stream)
    try:
        return NfdumpCaptureSource(output, request, delimiter=",", block_bytes=block_bytes)
    except SourceError:
        output.check()  # what the program complained about says more than that its output is empty
        raise
    except BaseException:
        output.close()
        raise
