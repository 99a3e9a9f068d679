"""Packet captures, pcap and pcapng: as bidirectional flows, or as packets.

``event_type`` of :class:`~netsieve.engine.sources.source.ReadOptions` chooses: ``"flow"``, the default; ``"packet"``;
``"cicflowmeter"``, flows under the names and in the units of CICFlowMeter. The columns are listed in docs/pcap.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from netsieve.engine.errors import SourceError
from netsieve.engine.sources.captures import REASONS, CaptureCutter, Damage, Packets
from netsieve.engine.sources.direction import HomeNetworks
from netsieve.engine.sources.pcap_columns import (
    CICFLOWMETER_COLUMNS,
    CICFLOWMETER_NAMES,
    DERIVED_COLUMNS,
    FLOW_COLUMNS,
    PACKET_COLUMNS,
    READY_SCHEMAS,
    CaptureColumn,
    cicflowmeter_frame,
    cicflowmeter_sources,
    derive_columns,
)
from netsieve.engine.sources.source import (
    BLOCK_BYTES,
    RAW_BYTES,
    Block,
    ColumnRequest,
    ParsedBlock,
    ReadOptions,
    Reject,
)
from netsieve.kernels import _native

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsieve.engine.sources.bytestream import ByteStream

__all__ = ["CICFLOWMETER_NAMES", "READY_SCHEMAS", "FlowSource", "PacketSource", "open_stream"]

IDLE_TIMEOUT: Final = 120.0
"""Seconds without a packet after which a flow ends; nfstream's default."""
ACTIVE_TIMEOUT: Final = 1800.0
"""Seconds after which a flow is ended although packets come, and a new one begins; nfstream's default."""
MAX_OPEN_FLOWS: Final = 262_144
"""Flows open at a time; beyond that the one that was last seen first is ended. They take some 800 bytes each."""
FLOW_TYPES: Final = ("pcap.flow", "pcap.cicflowmeter")
"""Record types that depend on these limits."""

OTHER_BLOCK: Final = "pcapng block without a packet"
NO_FLOW: Final = ("packet without IP", "packet without a time", "packet cut before its protocol")
"""Why a packet belongs to no flow, in the order of ``kernels._native.AssembledFlows``."""
DATETIME: Final = pl.Datetime("us", "UTC")


class _CaptureSource:
    """What the sources of packets and of flows share."""

    def __init__(self, stream: ByteStream, block_bytes: int) -> None:
        self._stream = stream
        self._cutter = CaptureCutter(stream, block_bytes=block_bytes)

    @property
    def name(self) -> str:
        """Path as it was given."""
        return self._stream.name

    @property
    def total_bytes(self) -> int | None:
        """Size of the file; None for pipes."""
        return self._stream.total_bytes

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _reject(self, record: int, offset: int, reason: str, raw: bytes) -> Reject:
        text = raw.decode("utf-8", "surrogateescape")
        return Reject(self.name, record=record, line=None, offset=offset, reason=reason, raw=text)

    def _rejects(
        self, rejected: NDArray[np.int64], text: NDArray[np.uint8], offset: int, first_record: int
    ) -> Iterator[Reject]:
        for record, start, end, reason in rejected.tolist():
            raw = bytes(text[start : min(end, start + RAW_BYTES)])
            yield self._reject(first_record + record, offset + start, REASONS[reason], raw)


class PacketSource(_CaptureSource):
    """A capture's packets, one a record.

    A packet that cannot be decoded beyond a layer is a record all the same, with nothing in the columns above. One
    whose length is wrong is rejected.

    Parameters
    ----------
    stream
        The capture at its beginning.
    request
        Columns wanted; their kinds are the format's own.
    block_bytes
        Bytes read at a time.

    Raises
    ------
    SourceError
        It is no capture.
    """

    record_type = "pcap.packet"
    columns = tuple(column.name for column in PACKET_COLUMNS)

    def __init__(self, stream: ByteStream, request: ColumnRequest, *, block_bytes: int = BLOCK_BYTES) -> None:
        super().__init__(stream, block_bytes)
        self._wanted = [number for number, name in enumerate(self.columns) if request.wants(name)]

    def blocks(self) -> Iterator[Block]:
        """Yield the file's blocks in order, once."""
        record = 0
        for sequence, part in enumerate(self._cutter.parts()):
            skipped: dict[str, int] = {}
            rejects: tuple[Reject, ...] = ()
            if isinstance(part, Damage):
                text, records = np.empty(0, np.uint8), 1
                rejects = (self._reject(record, part.offset, part.reason, part.raw),)
            else:
                text, records = part.text, part.packets
                if part.other:
                    skipped[OTHER_BLOCK] = part.other
            yield Block(
                source_file=self.name,
                sequence=sequence,
                first_record=record,
                records=records,
                first_line=None,
                offset=part.offset,
                data=(text, part.capture),
                bytes_read=part.bytes_read,
                skipped=skipped,
                rejects=rejects,
            )
            record += records

    def parse(self, block: Block) -> ParsedBlock:
        """Return a block's packets as a frame."""
        text, capture = block.data
        packets = block.records - len(block.rejects)
        parsed = _native.parse_packets(text, capture, packets, self._wanted)
        assert block.offset is not None
        record: NDArray[np.int64] | range = range(block.first_record, block.first_record + parsed.rows)
        if len(parsed.rejected):
            every = np.arange(block.first_record, block.first_record + packets)
            record = np.delete(every, parsed.rejected[:, 0])
        return ParsedBlock(
            frame=_frame(parsed.columns, [PACKET_COLUMNS[number] for number in self._wanted]),
            record=record,
            rejects=[*block.rejects, *self._rejects(parsed.rejected, text, block.offset, block.first_record)],
            skipped=dict(block.skipped),
            source_file=block.source_file,
            bytes_read=block.bytes_read,
            end_time=parsed.end_time,
        )


class FlowSource(_CaptureSource):
    """A capture's packets assembled to bidirectional flows, one a record, in the order in which the flows end.

    Flows are made while blocks are cut, by the one thread that does it, so that they depend neither on the blocks'
    size nor on the number of threads. Records are flows and packets that were rejected; packets of no flow (ARP, say)
    are skipped. When a flow ends is said in docs/pcap.md.

    Parameters
    ----------
    stream
        The capture at its beginning.
    request
        Columns wanted; their kinds are the format's own.
    cicflowmeter
        Whether columns have CICFlowMeter's names and units.
    home
        Networks that count as inside; the private ones unless given.
    block_bytes
        Bytes read at a time.
    idle_timeout, active_timeout
        Seconds without a packet after which a flow ends, and seconds after which it ends in any case.
    max_open_flows
        Most flows that are open at a time.

    Raises
    ------
    SourceError
        It is no capture, or a limit is not positive.
    """

    def __init__(
        self,
        stream: ByteStream,
        request: ColumnRequest,
        *,
        cicflowmeter: bool = False,
        home: HomeNetworks | None = None,
        block_bytes: int = BLOCK_BYTES,
        idle_timeout: float = IDLE_TIMEOUT,
        active_timeout: float = ACTIVE_TIMEOUT,
        max_open_flows: int = MAX_OPEN_FLOWS,
    ) -> None:
        super().__init__(stream, block_bytes)
        if not (1e-6 <= idle_timeout <= 1e6 and 1e-6 <= active_timeout <= 1e6 and 0 < max_open_flows <= 1 << 30):
            raise SourceError(
                f"idle timeout {idle_timeout} s, active timeout {active_timeout} s and {max_open_flows} open flows are "
                "no limits of flows; give seconds from 1e-6 to 1e6, and 1 to 2^30 flows"
            )
        self._cicflowmeter = cicflowmeter
        self.record_type = "pcap.cicflowmeter" if cicflowmeter else "pcap.flow"
        flow_columns = (*(column.name for column in FLOW_COLUMNS), *DERIVED_COLUMNS)
        self.columns = CICFLOWMETER_COLUMNS if cicflowmeter else flow_columns
        self._asked = [name for name in self.columns if request.wants(name)]
        self._home = home if home is not None else HomeNetworks()
        if cicflowmeter:
            read = cicflowmeter_sources(self._asked)
        else:
            inputs = (DERIVED_COLUMNS.get(name, ()) for name in self._asked)
            read = frozenset(self._asked).union(*inputs)
        self._wanted = [number for number, column in enumerate(FLOW_COLUMNS) if column.name in read]
        self._no_flows = self._frame_of(_native.parse_flows(_native.FinishedFlows(), self._wanted))
        self._records = 0
        self._assembler = _native.FlowAssembler(round(idle_timeout * 1e9), round(active_timeout * 1e9), max_open_flows)

    @property
    def evicted_flows(self) -> int:
        """Flows ended so far because too many were open; their ``end_reason`` is ``"evicted"``."""
        return self._assembler.evicted

    def blocks(self) -> Iterator[Block]:
        """Yield the file's flows in blocks, once."""
        sequence = 0
        for part in self._cutter.parts():
            for block in self._flow_blocks(part, sequence):
                yield block
                sequence += 1
        for finished in self._assembler.finish().finished:
            yield self._block(finished, sequence)
            sequence += 1

    def _flow_blocks(self, part: Packets | Damage, sequence: int) -> Iterator[Block]:
        if isinstance(part, Damage):
            reject = self._reject(self._assembler.next_record(), part.offset, part.reason, part.raw)
            yield self._block(_native.FinishedFlows(), sequence, part=part, rejects=(reject,))
            return
        added = self._assembler.add(part.text, part.capture)
        skipped = {reason: count for reason, count in zip(NO_FLOW, added.skipped[1:], strict=True) if count}
        if part.other:
            skipped[OTHER_BLOCK] = part.other
        finished = added.finished or [_native.FinishedFlows()]
        rejects = tuple(self._rejects(added.rejected, part.text, part.offset, 0))
        yield self._block(finished[0], sequence, part=part, rejects=rejects, skipped=skipped)
        for number, flows in enumerate(finished[1:], 1):
            yield self._block(flows, sequence + number)

    def _block(
        self,
        flows: _native.FinishedFlows,
        sequence: int,
        *,
        part: Packets | Damage | None = None,
        rejects: tuple[Reject, ...] = (),
        skipped: dict[str, int] | None = None,
    ) -> Block:
        first = self._records
        self._records += len(flows) + len(rejects)
        return Block(
            source_file=self.name,
            sequence=sequence,
            first_record=first,
            records=len(flows) + len(rejects),
            first_line=None,
            offset=part.offset if part is not None else None,
            data=flows,
            bytes_read=part.bytes_read if part is not None else 0,
            skipped=skipped or {},
            rejects=rejects,
        )

    def parse(self, block: Block) -> ParsedBlock:
        """Return a block's flows as a frame."""
        parsed = _native.parse_flows(block.data, self._wanted)
        return ParsedBlock(
            frame=self._frame_of(parsed) if len(block.data) else self._no_flows,
            record=parsed.record,
            rejects=list(block.rejects),
            skipped=dict(block.skipped),
            source_file=block.source_file,
            bytes_read=block.bytes_read,
            end_time=parsed.end_time,
        )

    def _frame_of(self, parsed: _native.ParsedFlows) -> pl.DataFrame:
        frame = _frame(parsed.columns, [FLOW_COLUMNS[number] for number in self._wanted])
        if self._cicflowmeter:
            return cicflowmeter_frame(frame, self._asked)
        return derive_columns(frame, self._asked, self._home).select(self._asked)


def open_stream(
    stream: ByteStream, request: ColumnRequest, options: ReadOptions, block_bytes: int
) -> PacketSource | FlowSource:
    """Return the stream as a source: of flows unless ``options.event_type`` says otherwise.

    Raises
    ------
    SourceError
        It is no capture, the event type is none of a capture, a home network is no network, or a limit of flows is
        not positive.
    """
    kind = options.event_type or "flow"
    if kind == "packet":
        return PacketSource(stream, request, block_bytes=block_bytes)
    if kind in ("flow", "cicflowmeter"):
        return FlowSource(
            stream,
            request,
            cicflowmeter=kind == "cicflowmeter",
            home=HomeNetworks(options.home_networks),
            block_bytes=block_bytes,
            idle_timeout=IDLE_TIMEOUT if options.idle_timeout is None else options.idle_timeout,
            active_timeout=ACTIVE_TIMEOUT if options.active_timeout is None else options.active_timeout,
            max_open_flows=MAX_OPEN_FLOWS if options.most_flows is None else options.most_flows,
        )
    raise SourceError(
        f"event type {kind!r} is none of the packet capture {stream.label}; it is one of flow, packet, cicflowmeter"
    )


def _frame(columns: Sequence[_native.Column], described: Sequence[CaptureColumn]) -> pl.DataFrame:
    frame = {}
    for column, values in zip(described, columns, strict=True):
        series = pl.Series(values)
        frame[column.name] = series.cast(DATETIME) if column.is_time else series
    return pl.DataFrame(frame)
