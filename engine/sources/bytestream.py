"""Bytes of a file or of standard input, decompressed on the way; gzip and Zstandard are told by their magic bytes."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from netsieve.engine.errors import SourceError

STANDARD_INPUT: Final = "-"
GZIP_MAGIC: Final = b"\x1f\x8b"
ZSTANDARD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
LONGEST_MAGIC: Final = 4

FOREIGN_COMPRESSION: Final = {
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf": "7-Zip",
    b"\x04\x22\x4d\x18": "LZ4",
}
"""Compressed formats that are recognised, only to say what to do with them."""

ZSTANDARD_INPUT: Final = 16 * 1024
"""Bytes decompressed at a time: a frame that blows up 10,000 to 1 then takes 160 MB, not the machine."""
ZSTANDARD_WINDOW: Final = 128 * 1024 * 1024
"""Largest window that is decompressed (``zstd --long=27``)."""


class _CountedInput(io.RawIOBase):
    """A raw file with its first bytes put back, counting the bytes handed on."""

    def __init__(self, raw: io.RawIOBase | io.BufferedIOBase | Any, first: bytes, owned: bool) -> None:
        self._raw = raw
        self._first = first
        self._owned = owned
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._first:
            taken = min(len(buffer), len(self._first))
            buffer[:taken] = self._first[:taken]
            self._first = self._first[taken:]
        else:
            taken = self._raw.readinto(buffer) or 0
        self.count += taken
        return taken

    def close(self) -> None:
        if self._owned:
            self._raw.close()
        super().close()


class _ZstandardInput(io.RawIOBase):
    """Decompressed frames of a Zstandard file; unlike ``zstandard``'s own reader it notices a truncated one."""

    def __init__(self, compressed: _CountedInput) -> None:
        import zstandard

        self._compressed = compressed
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTANDARD_WINDOW)
        self._frame: Any = None
        self._input = b""
        self._output = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._output:
            if not self._input:
                self._input = self._compressed.read(ZSTANDARD_INPUT) or b""
                if not self._input:
                    if self._frame is not None:
                        raise EOFError
                    return 0
            if self._frame is None:
                self._frame = self._decompressor.decompressobj()
            self._output = memoryview(self._frame.decompress(self._input))
            self._input = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame = None
        taken = min(len(buffer), len(self._output))
        buffer[:taken] = self._output[:taken]
        self._output = self._output[taken:]
        return taken


def _decompression_errors() -> tuple[Any, ...]:
    import zlib

    import zstandard
    from isal import isal_zlib

    return (EOFError, zlib.error, isal_zlib.error, zstandard.ZstdError)


class ByteStream:
    """Decompressed bytes of one input, read once from front to back.

    Parameters
    ----------
    path
        A file, or ``-`` for standard input.
    opened
        The file where it is open already; it is closed with the stream.

    Attributes
    ----------
    name
        The path as it was given.
    total_bytes
        Size of the file, compressed as it is; None for pipes.
    compression
        ``"gzip"``, ``"zstd"`` or None.
    offset
        Decompressed bytes handed out so far.

    Raises
    ------
    SourceError
        The file is absent, a folder, unreadable, or compressed in a way that is not supported; while reading: it is
        truncated or damaged. The text names the file and the byte.
    """

    def __init__(self, path: str, *, opened: Any = None) -> None:
        self.name = path
        self.offset = 0
        self.total_bytes: int | None = None
        try:
            if opened is not None:
                raw: Any = opened
            elif path == STANDARD_INPUT:
                raw = sys.stdin.buffer
            else:
                raw = open(path, "rb", buffering=0)  # noqa: SIM115 (closed by close)
                status = os.fstat(raw.fileno())
                self.total_bytes = status.st_size if stat.S_ISREG(status.st_mode) else None
            first = b""
            while len(first) < LONGEST_MAGIC and (more := raw.read(LONGEST_MAGIC - len(first))):
                first += more
        except OSError as error:
            raise SourceError(f"cannot read {self.label}: {error.strerror or error}") from error
        self._counted = _CountedInput(raw, first, owned=opened is not None or path != STANDARD_INPUT)
        self._peeked = memoryview(b"")
        self.compression: str | None = None
        self._content: io.RawIOBase | io.BufferedIOBase | Any = self._counted
        for magic, compression in FOREIGN_COMPRESSION.items():
            if first.startswith(magic[:LONGEST_MAGIC]):
                self.close()
                raise SourceError(
                    f"{self.label} is a {compression} file; decompress it first, or compress it with gzip or zstd"
                )
        if first.startswith(GZIP_MAGIC):
            from isal import igzip

            self.compression = "gzip"
            self._content = igzip.open(self._counted, "rb")  # type: ignore[no-untyped-call]
        elif first.startswith(ZSTANDARD_MAGIC):
            self.compression = "zstd"
            self._content = _ZstandardInput(self._counted)

    @property
    def label(self) -> str:
        """How the input is called in messages."""
        return "standard input" if self.name == STANDARD_INPUT else f"'{self.name}'"

    @property
    def position(self) -> int:
        """Bytes of the file, compressed as it is, that were read so far."""
        return self._counted.count

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:  # BadGzipFile is one
            if self.compression is None or error.errno is not None:
                raise SourceError(f"cannot read {self.label} at byte {self.position}: {error.strerror}") from error
            raise self._damaged() from error
        except EOFError as error:
            raise SourceError(
                f"{self.label} is a truncated {self.compression} file: it ends at byte {self.position} in the middle "
                "of the compressed data; fetch it again whole"
            ) from error
        except Exception as error:
            if self.compression and isinstance(error, _decompression_errors()):
                raise self._damaged() from error
            raise

    def _damaged(self) -> SourceError:
        return SourceError(
            f"{self.label} is a damaged {self.compression} file: decompression fails before byte {self.position}; "
            "fetch it again"
        )

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer; fewer bytes are read only where the input ends."""
        filled = min(len(self._peeked), len(buffer))
        buffer[:filled] = self._peeked[:filled]
        self._peeked = self._peeked[filled:]
        with self._reading():
            while filled < len(buffer) and (taken := self._content.readinto(buffer[filled:])):
                filled += taken
        self.offset += filled
        return filled

    def peek(self, size: int) -> memoryview:
        """Return the next ``size`` bytes without moving on; fewer where the input ends."""
        if len(self._peeked) < size:
            buffer = memoryview(bytearray(size))
            filled = len(self._peeked)
            buffer[:filled] = self._peeked
            with self._reading():
                while filled < size and (taken := self._content.readinto(buffer[filled:])):
                    filled += taken
            self._peeked = buffer[:filled]
        return self._peeked[:size]

    def skip(self, size: int) -> None:
        """Move on over bytes that were peeked at."""
        self._peeked = self._peeked[size:]
        self.offset += size

    def close(self) -> None:
        """Close the file; standard input is left open."""
        self._counted.close()
