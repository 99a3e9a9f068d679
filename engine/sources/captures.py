"""Capture files (pcap, pcapng) cut at packet borders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from netsieve.engine.errors import SourceError
from netsieve.engine.sources.blocks import MAX_RECORD_BYTES
from netsieve.engine.sources.source import BLOCK_BYTES, RAW_BYTES
from netsieve.kernels import _native

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netsieve.engine.sources.bytestream import ByteStream

MAX_PACKET_BYTES: Final = 262_144
"""A longer captured length is taken for damage; libpcap's limit."""
LONGEST_FILE_HEADER: Final = 24
NO_DAMAGE: Final = 0

REASONS: Final = {
    1: f"captured length of more than {MAX_PACKET_BYTES} bytes",
    2: "the file ends before the packet does",
    3: "damaged pcapng block: its two lengths differ, or are none that a block can have",
    4: "the packet's interface is not described",
    5: "captured length is more than its pcapng block holds",
    6: "time of the packet is not within the years 1678 to 2262",
}
"""What is wrong with a packet, by the numbers of ``kernels._native.Capture``."""


@dataclass(frozen=True, slots=True)
class Packets:
    """Some whole packets.

    Attributes
    ----------
    text
        uint8 ``[n]``: their bytes.
    capture
        What is known of the file where they begin.
    offset
        Byte offset in the decompressed file.
    packets, other
        How many there are (those that are rejected among them), and pcapng blocks that hold no packet.
    bytes_read
        Bytes of the file, compressed as it is, that were read since the part before.
    """

    text: NDArray[np.uint8]
    capture: _native.Capture
    offset: int
    packets: int
    other: int
    bytes_read: int


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that cannot be read as packets: a packet whose length is wrong, and what was skipped behind it.

    Attributes
    ----------
    offset, raw
        Byte offset in the decompressed file, and the first bytes (:data:`~netsieve.engine.sources.source.RAW_BYTES`).
    reason
        What is wrong, and where reading went on.
    capture
        What is known of the file.
    bytes_read
        As in :class:`Packets`.
    """

    offset: int
    raw: bytes
    reason: str
    capture: _native.Capture
    bytes_read: int


class CaptureCutter:
    """Cuts a capture into parts of whole packets.

    Where a packet's length is impossible, reading goes on at the next place that looks like a packet and is followed
    by another: in pcap a header with plausible lengths within a day of the packet before, in pcapng a block of a known
    kind with the same length at both ends. What lies between is one :class:`Damage`. The parts' sizes aside, what is
    found does not depend on ``block_bytes``. Memory is bounded by that and the longest packet or block.

    Parameters
    ----------
    stream
        The capture at its beginning.
    block_bytes
        Bytes read at a time.

    Raises
    ------
    SourceError
        It is no capture, or ends within its header.
    """

    def __init__(self, stream: ByteStream, *, block_bytes: int = BLOCK_BYTES) -> None:
        self._stream = stream
        self._block_bytes = block_bytes
        self._capture = _native.Capture(MAX_PACKET_BYTES, MAX_RECORD_BYTES)
        self._position = 0
        head = np.frombuffer(stream.peek(LONGEST_FILE_HEADER), np.uint8)
        header = self._capture.begin(head)
        if header is None:
            raise SourceError(
                f"{stream.label} is no packet capture that can be read: expected the header of a pcap file or the "
                f"section header of a pcapng file, got {bytes(head).hex() or 'nothing'}"
            )
        stream.skip(header)
        self._offset = header  # of what was not handed out yet

    def parts(self) -> Iterator[Packets | Damage]:
        """Yield the parts in order, once.

        Raises
        ------
        SourceError
            The compressed stream is truncated or damaged.
        """
        rest = np.empty(0, np.uint8)
        final = False
        while not final:
            text, final = self._read_on(rest)
            while True:
                begun = self._capture.copy()
                found = self._capture.scan(text, final)
                if found.end:
                    yield Packets(
                        text[: found.end], begun, self._offset, found.packets, found.other, self._bytes_read()
                    )
                    self._offset += found.end
                rest = text[found.end :]
                if found.damage == NO_DAMAGE:
                    break
                damage, text, final = self._skip_damage(rest, final, REASONS[found.damage])
                yield damage

    def _read_on(self, rest: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], bool]:
        """Return the rest with more behind it, and whether the file ends there."""
        text = np.empty(len(rest) + self._block_bytes, np.uint8)
        text[: len(rest)] = rest
        filled = self._stream.readinto(text.data[len(rest) :])
        return text[: len(rest) + filled], filled < self._block_bytes

    def _skip_damage(self, text: NDArray[np.uint8], final: bool, reason: str) -> tuple[Damage, NDArray[np.uint8], bool]:
        """Read on to the next packet: the damage, what follows it, and whether the file ends there."""
        offset, raw, start = self._offset, b"", 1
        while True:
            end, found = self._capture.resume(text, start, final)
            raw += bytes(text[: min(end, RAW_BYTES - len(raw))])
            self._offset += end
            text, start = text[end:], 0
            if found or final:
                break
            text, final = self._read_on(text)
        then = f"reading goes on at byte {self._offset}" if found else "no further packet is found"
        return Damage(offset, raw, f"{reason}; {then}", self._capture.copy(), self._bytes_read()), text, final

    def _bytes_read(self) -> int:
        read = self._stream.position - self._position
        self._position = self._stream.position
        return read
