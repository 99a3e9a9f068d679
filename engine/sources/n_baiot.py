"""Packet statistics of the N-BaIoT data set: 115 columns a packet, and nothing else.

Meidan et al., "N-BaIoT: Network-based Detection of IoT Botnet Attacks Using Deep Autoencoders", IEEE Pervasive
Computing 17(3), 2018. Of five kinds of streams that a packet belongs to, damped statistics are taken at five decay
rates (Mirsky et al., "Kitsune", NDSS 2018). Neither device, attack nor time is in the files: the first two are in
their names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from netsieve.engine.features.schema import ColumnKind
from netsieve.engine.sources.known_csv import KnownCsvSource, check_known_text, header_names
from netsieve.engine.sources.source import ColumnRequest, ReadOptions

if TYPE_CHECKING:
    from netsieve.engine.sources.bytestream import ByteStream

RECORD_TYPE: Final = "n_baiot"
DECAYS: Final = ("L5", "L3", "L1", "L0.1", "L0.01")
"""Decay rates per second, the shortest memory first."""
ONE_WAY: Final = ("weight", "mean", "variance")
"""Statistics of the packets that one end sends: how many there are, damped, and their size or gap."""
TWO_WAYS: Final = ("weight", "mean", "std", "magnitude", "radius", "covariance", "pcc")
"""Statistics of both directions between two ends; ``pcc`` is the correlation coefficient."""
STREAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "MI_dir": ONE_WAY,
    "H": ONE_WAY,
    "HH": TWO_WAYS,
    "HH_jit": ONE_WAY,
    "HpHp": TWO_WAYS,
}
"""Statistics of each kind of stream: a sender's MAC and IP, a host, two hosts (sizes, then gaps), two hosts' ports."""
STATISTICS: Final = tuple(
    f"{stream}_{decay}_{statistic}"
    for stream, statistics in STREAMS.items()
    for decay in DECAYS
    for statistic in statistics
)
"""The 115 columns, in the files' order."""
TELLING: Final = frozenset(f"{stream}_L5_weight" for stream in STREAMS)
"""Columns that a header line is told by."""

READY_SCHEMAS: Final[dict[str, dict[str, Any]]] = {RECORD_TYPE: {"features": list(STATISTICS)}}


class NBaIotSource(KnownCsvSource):
    """A CSV file of N-BaIoT."""

    record_type = RECORD_TYPE
    kinds: ClassVar[Mapping[str, ColumnKind]] = dict.fromkeys(STATISTICS, "float")
    required: ClassVar[Collection[str]] = STATISTICS[:1]


def is_format(head: bytes, _name: str) -> bool:
    """Whether the first line names N-BaIoT's columns."""
    return b"MI_dir_L5_weight" in head and set(header_names(head)) >= TELLING


def open_stream(stream: ByteStream, request: ColumnRequest, options: ReadOptions, block_bytes: int) -> NBaIotSource:
    """Return the stream as a source.

    Raises
    ------
    SourceError
        It is no text, or has no usable header.
    """
    check_known_text(stream)
    return NBaIotSource(stream, request, delimiter=options.delimiter, names=options.names, block_bytes=block_bytes)
