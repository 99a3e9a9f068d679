"""Flows of CICFlowMeter, written by any of its versions, under the column names of version 4.

Version 3 (CIC-IDS2017), CSE-CIC-IDS2018 and version 4 name the same columns differently; a model trained on one scores
the others. ``Timestamp`` is the start of the flow in local time of the machine that wrote the file, day before month
where it has slashes; the file does not say which time zone, so it is taken as UTC. Durations are microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import polars as pl

from netsieve.engine.features.schema import ColumnKind
from netsieve.engine.sources.known_csv import (
    MICROSECONDS,
    Conversion,
    KnownCsvSource,
    check_known_text,
    epoch_seconds,
    header_names,
    parsed_times,
    seconds,
)
from netsieve.engine.sources.source import ColumnRequest, ReadOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from netsieve.engine.sources.bytestream import ByteStream

RECORD_TYPE: Final = "cicflowmeter.flow"
TIME_FORMATS: Final = (
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %I:%M:%S %p",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y %I:%M %p",
    "%Y-%m-%d %H:%M:%S%.f",
)


def _directions(*patterns: str) -> list[str]:
    return [pattern.format(way) for way in ("Fwd", "Bwd") for pattern in patterns]


def _statistics(name: str, *statistics: str) -> list[str]:
    return [f"{name} {statistic}" for statistic in statistics]


STATISTICS: Final = (
    "Flow Duration",
    *("Total Fwd Packet", "Total Bwd packets", "Total Length of Fwd Packet", "Total Length of Bwd Packet"),
    *_statistics("Fwd Packet Length", "Max", "Min", "Mean", "Std"),
    *_statistics("Bwd Packet Length", "Max", "Min", "Mean", "Std"),
    *("Flow Bytes/s", "Flow Packets/s"),
    *_statistics("Flow IAT", "Mean", "Std", "Max", "Min"),
    *_statistics("Fwd IAT", "Total", "Mean", "Std", "Max", "Min"),
    *_statistics("Bwd IAT", "Total", "Mean", "Std", "Max", "Min"),
    *("Fwd PSH Flags", "Bwd PSH Flags", "Fwd URG Flags", "Bwd URG Flags", "Fwd RST Flags", "Bwd RST Flags"),
    *("Fwd Header Length", "Bwd Header Length", "Fwd Packets/s", "Bwd Packets/s"),
    *_statistics("Packet Length", "Min", "Max", "Mean", "Std", "Variance"),
    *(f"{flag} Flag Count" for flag in ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "CWR", "ECE")),
    *("Down/Up Ratio", "Average Packet Size", "Fwd Segment Size Avg", "Bwd Segment Size Avg"),
    *_directions("{} Bytes/Bulk Avg", "{} Packet/Bulk Avg", "{} Bulk Rate Avg"),
    *_directions("Subflow {} Packets", "Subflow {} Bytes"),
    *("FWD Init Win Bytes", "Bwd Init Win Bytes", "Fwd Act Data Pkts", "Fwd Seg Size Min"),
    *_statistics("Active", "Mean", "Std", "Max", "Min"),
    *_statistics("Idle", "Mean", "Std", "Max", "Min"),
    *("ICMP Code", "ICMP Type", "Total TCP Flow Time"),
)
"""Numbers that describe a flow, named and ordered as by CICFlowMeter 4."""

_VERSION_3: Final = {
    "Source IP": "Src IP",
    "Source Port": "Src Port",
    "Destination IP": "Dst IP",
    "Destination Port": "Dst Port",
    "Total Fwd Packets": "Total Fwd Packet",
    "Total Backward Packets": "Total Bwd packets",
    "Total Length of Fwd Packets": "Total Length of Fwd Packet",
    "Total Length of Bwd Packets": "Total Length of Bwd Packet",
    "Min Packet Length": "Packet Length Min",
    "Max Packet Length": "Packet Length Max",
    "CWE Flag Count": "CWR Flag Count",
    "Avg Fwd Segment Size": "Fwd Segment Size Avg",
    "Avg Bwd Segment Size": "Bwd Segment Size Avg",
    **{f"{way} Avg Bytes/Bulk": f"{way} Bytes/Bulk Avg" for way in ("Fwd", "Bwd")},
    **{f"{way} Avg Packets/Bulk": f"{way} Packet/Bulk Avg" for way in ("Fwd", "Bwd")},
    **{f"{way} Avg Bulk Rate": f"{way} Bulk Rate Avg" for way in ("Fwd", "Bwd")},
    "Init_Win_bytes_forward": "FWD Init Win Bytes",
    "Init_Win_bytes_backward": "Bwd Init Win Bytes",
    "act_data_pkt_fwd": "Fwd Act Data Pkts",
    "min_seg_size_forward": "Fwd Seg Size Min",
}
_IDS_2018: Final = {
    "Tot Fwd Pkts": "Total Fwd Packet",
    "Tot Bwd Pkts": "Total Bwd packets",
    "TotLen Fwd Pkts": "Total Length of Fwd Packet",
    "TotLen Bwd Pkts": "Total Length of Bwd Packet",
    **{
        f"{way} Pkt Len {which}": f"{way} Packet Length {which}"
        for way in ("Fwd", "Bwd")
        for which in ("Max", "Min", "Mean", "Std")
    },
    "Flow Byts/s": "Flow Bytes/s",
    "Flow Pkts/s": "Flow Packets/s",
    **{f"{way} IAT Tot": f"{way} IAT Total" for way in ("Fwd", "Bwd")},
    **{f"{way} Header Len": f"{way} Header Length" for way in ("Fwd", "Bwd")},
    **{f"{way} Pkts/s": f"{way} Packets/s" for way in ("Fwd", "Bwd")},
    **{f"Pkt Len {which}": f"Packet Length {which}" for which in ("Min", "Max", "Mean", "Std")},
    "Pkt Len Var": "Packet Length Variance",
    **{f"{flag} Flag Cnt": f"{flag} Flag Count" for flag in ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE")},
    "Pkt Size Avg": "Average Packet Size",
    **{f"{way} Seg Size Avg": f"{way} Segment Size Avg" for way in ("Fwd", "Bwd")},
    **{f"{way} Byts/b Avg": f"{way} Bytes/Bulk Avg" for way in ("Fwd", "Bwd")},
    **{f"{way} Pkts/b Avg": f"{way} Packet/Bulk Avg" for way in ("Fwd", "Bwd")},
    **{f"{way} Blk Rate Avg": f"{way} Bulk Rate Avg" for way in ("Fwd", "Bwd")},
    **{f"Subflow {way} Pkts": f"Subflow {way} Packets" for way in ("Fwd", "Bwd")},
    **{f"Subflow {way} Byts": f"Subflow {way} Bytes" for way in ("Fwd", "Bwd")},
    "Init Fwd Win Byts": "FWD Init Win Bytes",
    "Init Bwd Win Byts": "Bwd Init Win Bytes",
}
ALIASES: Final[dict[str, str]] = {**_VERSION_3, **_IDS_2018}
"""Names of other versions, and the names of version 4."""
TELLING: Final = frozenset({"Flow Duration", "Total Fwd Packet", "Flow IAT Mean", "Fwd IAT Mean"})
"""Columns, named as by version 4, that a header line is told by."""

READY_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    RECORD_TYPE: {
        "features": ["Dst Port", "Protocol", *STATISTICS],
        "columns": {"Dst Port": {"kind": "categorical"}, "Protocol": {"kind": "categorical"}},
    }
}


class CicFlowMeterSource(KnownCsvSource):
    """A CSV file of CICFlowMeter."""

    record_type = RECORD_TYPE
    kinds: ClassVar[Mapping[str, ColumnKind]] = {
        **dict.fromkeys(("Flow ID", "Src IP", "Dst IP", "Label"), "string"),
        **dict.fromkeys(("Src Port", "Dst Port", "Protocol"), "integer"),
        **dict.fromkeys(STATISTICS, "float"),
        "Fwd Header Length.1": "float",
    }
    conversions: ClassVar[Mapping[str, Conversion]] = {
        "Timestamp": Conversion(partial(parsed_times, formats=TIME_FORMATS), "a time like '03/07/2017 09:08:11'")
    }
    aliases = ALIASES
    needed = ("Timestamp", "Flow Duration")

    def end_time(self, frame: pl.DataFrame) -> NDArray[np.float64] | None:
        """Return start and duration together; None where the file has no time stamps."""
        if "Timestamp" not in frame.columns:
            return None
        return epoch_seconds(frame["Timestamp"]) + seconds(frame["Flow Duration"], MICROSECONDS)


def is_format(head: bytes, _name: str) -> bool:
    """Whether the first line names CICFlowMeter's columns, in any of its versions."""
    if b"Flow Duration" not in head:
        return False
    return {ALIASES.get(name, name) for name in header_names(head)} >= TELLING


def open_stream(
    stream: ByteStream, request: ColumnRequest, options: ReadOptions, block_bytes: int
) -> CicFlowMeterSource:
    """Return the stream as a source.

    Raises
    ------
    SourceError
        It is no text, or has no usable header.
    """
    check_known_text(stream)
    return CicFlowMeterSource(
        stream, request, delimiter=options.delimiter, names=options.names, block_bytes=block_bytes
    )
