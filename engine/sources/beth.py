"""Kernel process calls and DNS logs of the BETH data set, and the seven features of its paper.

Highnam, Arulkumaran, Hanif and Jennings, "BETH Dataset: Real Cybersecurity Data for Unsupervised Anomaly Detection
Research", CEUR-WS 3095 (2021), appendix A: the numbers of processes, users and mount namespaces say little as such, but
whether they are the system's does. The event and the number of its arguments are taken as they are, of the return
value only the sign.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
    parsed_times,
)
from netsieve.engine.sources.source import ColumnRequest, ReadOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from netsieve.engine.sources.bytestream import ByteStream

PROCESS_TYPE: Final = "beth.process"
DNS_TYPE: Final = "beth.dns"
SYSTEM_PROCESSES: Final = (0, 1, 2)
"""Numbers that are always the system's: the scheduler, init and the kernel's threads."""
FIRST_USER: Final = 1000
"""Users below are the system's."""
HOST_NAMESPACE: Final = 4026531840
"""Mount namespace of the host itself, ``mnt/``; programs in containers have others."""
PROCESS_TELLING: Final = frozenset({"timestamp", "processId", "parentProcessId", "eventId", "argsNum", "returnValue"})
DNS_TELLING: Final = frozenset({"Timestamp", "SourceIP", "DnsQuery", "DnsAnswer", "SensorId"})

READY_SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    PROCESS_TYPE: {
        "features": [
            *("processIsSystem", "parentProcessIsSystem", "userIsSystem", "mountNamespaceIsHost"),
            *("eventId", "argsNum", "returnValueSign"),
        ],
        "columns": {"eventId": {"kind": "categorical"}, "returnValueSign": {"kind": "categorical"}},
    },
    DNS_TYPE: {
        "features": ["DnsQueryClass", "DnsQueryType", "NumberOfAnswers", "DnsResponseCode", "DnsOpCode"],
        "columns": {
            "DnsQueryClass": {"kind": "categorical"},
            "DnsQueryType": {"kind": "categorical"},
            "DnsResponseCode": {"kind": "categorical"},
            "DnsOpCode": {"kind": "categorical"},
        },
    },
}


class BethProcessSource(KnownCsvSource):
    """Process calls. ``timestamp`` is seconds since the host was started, and so is the end time."""

    record_type = PROCESS_TYPE
    kinds: ClassVar[Mapping[str, ColumnKind]] = {
        "timestamp": "float",
        **dict.fromkeys(
            ("processId", "threadId", "parentProcessId", "userId", "mountNamespace", "eventId", "argsNum"), "integer"
        ),
        **dict.fromkeys(("processName", "hostName", "eventName", "stackAddresses", "args"), "string"),
        **dict.fromkeys(("returnValue", "sus", "evil"), "integer"),
    }
    needed = ("timestamp",)
    derived: ClassVar[Mapping[str, Collection[str]]] = {
        "processIsSystem": ("processId",),
        "parentProcessIsSystem": ("parentProcessId",),
        "userIsSystem": ("userId",),
        "mountNamespaceIsHost": ("mountNamespace",),
        "returnValueSign": ("returnValue",),
    }

    def end_time(self, frame: pl.DataFrame) -> NDArray[np.float64] | None:
        """Return the time stamps: a call has no duration here."""
        return frame["timestamp"].to_numpy()

    def derive(self, frame: pl.DataFrame, names: Sequence[str]) -> list[pl.Series]:
        """Return the paper's encodings; missing where the column that they are told by is."""
        return [_encoded(name, frame[column]) for name in names for column in self.derived[name]]


def _encoded(name: str, values: pl.Series) -> pl.Series:
    match name:
        case "processIsSystem" | "parentProcessIsSystem":
            encoded = values.is_in(SYSTEM_PROCESSES)
        case "userIsSystem":
            encoded = values < FIRST_USER
        case "mountNamespaceIsHost":
            encoded = values == HOST_NAMESPACE
        case _:
            encoded = values.sign()
    return encoded.alias(name)


class BethDnsSource(KnownCsvSource):
    """DNS queries and answers."""

    record_type = DNS_TYPE
    kinds: ClassVar[Mapping[str, ColumnKind]] = {
        **dict.fromkeys(
            ("SourceIP", "DestinationIP", "DnsQuery", "DnsAnswer", "DnsAnswerTTL", "DnsQueryNames"), "string"
        ),
        **dict.fromkeys(("DnsQueryClass", "DnsQueryType", "SensorId"), "string"),
        **dict.fromkeys(("NumberOfAnswers", "DnsResponseCode", "DnsOpCode", "sus", "evil"), "integer"),
    }
    conversions: ClassVar[Mapping[str, Conversion]] = {
        "Timestamp": Conversion(
            partial(parsed_times, formats=("%Y-%m-%dT%H:%M:%S%.fZ",)), "a time like '2021-05-16T17:13:14Z'"
        )
    }
    needed = ("Timestamp",)

    def end_time(self, frame: pl.DataFrame) -> NDArray[np.float64] | None:
        """Return the time stamps."""
        return epoch_seconds(frame["Timestamp"])


def is_format(head: bytes, _name: str) -> bool:
    """Whether the first line names BETH's columns."""
    if b"processId" not in head and b"DnsQuery" not in head:
        return False
    names = set(header_names(head))
    return names >= PROCESS_TELLING or names >= DNS_TELLING


def open_stream(stream: ByteStream, request: ColumnRequest, options: ReadOptions, block_bytes: int) -> KnownCsvSource:
    """Return the stream as a source.

    Raises
    ------
    SourceError
        It is no text, or has no usable header.
    """
    check_known_text(stream)
    named = set(options.names or header_names(bytes(stream.peek(1 << 16))))
    kind = BethDnsSource if named >= DNS_TELLING else BethProcessSource
    return kind(stream, request, delimiter=options.delimiter, names=options.names, block_bytes=block_bytes)
