"""The output of the ``nfdump`` program for one of its binary files, as a stream of text."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from typing import IO, Any, Final

from netsieve.engine.errors import SourceError
from netsieve.engine.sources.bytestream import STANDARD_INPUT, ByteStream

PROGRAM: Final = "nfdump"
COLUMNS: Final = "%ts,%te,%tds,%sa,%da,%sp,%dp,%pr,%flg,%fwd,%stos,%ipkt,%ibyt,%opkt,%obyt,%in,%out,%sas,%das,%dtos,%ra"
"""Asked for where the CSV's columns are a choice."""
FREE_COLUMNS_SINCE: Final = (1, 7, 5)
COPIED_BYTES: Final = 1024 * 1024
LONGEST_COMPLAINT: Final = 300
_MAGIC: Final = (b"\x0c\xa5\x01\x00", b"\x0c\xa5\x02\x00", b"\xa5\x0c\x00\x01", b"\xa5\x0c\x00\x02")
_COMPLAINT: Final = re.compile(r"error|bad magic|corrupt|short read|unknown|failed|can ?not|not a ", re.IGNORECASE)


def is_capture(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is a binary file of nfdump: layout 1 (1.6) or 2 (1.7)."""
    return head.startswith(_MAGIC)


class NfdumpOutput(ByteStream):
    """What ``nfdump -r FILE -o csv`` prints, read as it is printed, so that memory stays bounded.

    A file that comes compressed or from standard input is first copied to a temporary one.

    Parameters
    ----------
    stream
        The binary file, at its beginning; closed with this one.

    Raises
    ------
    SourceError
        The program is not installed.
    """

    def __init__(self, stream: ByteStream) -> None:
        program = shutil.which(PROGRAM)
        if program is None:
            raise SourceError(
                f"{stream.label} is a binary nfdump file, which is read through the program nfdump, and that is not "
                "installed; install it (apt install nfdump), or give what 'nfdump -r FILE -o csv' prints elsewhere"
            )
        self._input = stream
        self._copy: IO[bytes] | None = None
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        path = stream.name
        if stream.compression is not None or stream.name == STANDARD_INPUT:
            self._copy = tempfile.NamedTemporaryFile(prefix="netsieve-", suffix=".nfdump")  # noqa: SIM115
            chunk = memoryview(bytearray(COPIED_BYTES))
            while size := stream.readinto(chunk):
                self._copy.write(chunk[:size])
            self._copy.flush()
            path = self._copy.name
        columns = f"csv:{COLUMNS}" if _version(program) >= FREE_COLUMNS_SINCE else "csv"
        self._process = subprocess.Popen(
            [program, "-r", os.path.abspath(path), "-o", columns],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env={**os.environ, "TZ": "UTC"},
        )
        assert self._process.stdout is not None
        super().__init__(stream.name, opened=self._process.stdout)
        self.total_bytes = stream.total_bytes

    @property
    def position(self) -> int:
        """The whole file once all was printed: the program does not tell how far it is."""
        return self.total_bytes or 0 if self._process.poll() is not None else 0

    def check(self) -> None:
        """Wait for the program's end, and raise :class:`SourceError` where it complained."""
        code = self._process.wait()
        self._complaints.seek(0)
        text = " ".join(self._complaints.read(64 * 1024).decode("utf-8", "replace").split())
        if code or _COMPLAINT.search(text):
            self.close()
            raise SourceError(
                f"nfdump cannot read {self.label}: {text[:LONGEST_COMPLAINT] or f'it ended with code {code}'}; "
                "is the file whole?"
            )

    def close(self) -> None:
        """End the program and close the file."""
        if self._process.poll() is None:
            self._process.kill()
        super().close()
        self._process.wait()
        for file in (self._complaints, self._copy, self._input):
            if file is not None:
                file.close()


def _version(program: str) -> tuple[int, ...]:
    """Return the version that the program names, (0,) where it does not."""
    try:
        done: Any = subprocess.run(
            [program, "-V"], capture_output=True, text=True, errors="replace", timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return (0,)
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", done.stdout + done.stderr)
    return tuple(map(int, found.groups())) if found else (0,)
