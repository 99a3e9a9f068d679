"""The rejects file: records that could not be read, with where they are and why, as NDJSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import orjson

from netsieve.engine.sinks.atomic import STANDARD_OUTPUT, PendingFile

if TYPE_CHECKING:
    from netsieve.engine.sources.source import Reject

REJECTS_SUFFIX: Final = ".rejects.ndjson"


def rejects_path(output: str, asked: str | None = None) -> str:
    """Return where rejects go: as asked, else beside the output (``netsieve.rejects.ndjson`` for standard output)."""
    if asked is not None:
        return asked
    return f"netsieve{REJECTS_SUFFIX}" if output == STANDARD_OUTPUT else f"{output}{REJECTS_SUFFIX}"


def _line(entry: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        # Undecodable bytes stand as lone surrogates in the text, which only escapes can carry
        return json.dumps(entry).encode("ascii") + b"\n"


class RejectsFile:
    """Rejected records as lines of JSON.

    Unless it was asked for, the file exists only where there are rejects. Each line has ``file``, ``record`` (0-based
    number within the file), ``line`` (1-based), ``offset`` (byte offset of the record in the decompressed file),
    ``reason`` and ``raw``, the record's text cut at 4 KiB; ``line`` and ``offset`` are null where the format has none.

    Parameters
    ----------
    path
        The file.
    asked
        Whether the file was asked for: it is then written even where nothing was rejected.
    """

    def __init__(self, path: str, *, asked: bool = False) -> None:
        self.path = path
        self._asked = asked
        self.count = 0
        self._pending: PendingFile | None = None

    def write(self, rejects: Iterable[Reject]) -> None:
        """Append rejects; opens the file at the first."""
        for reject in rejects:
            if self._pending is None:
                self._pending = PendingFile(self.path)
            entry = {
                "file": reject.source_file,
                "record": reject.record,
                "line": reject.line,
                "offset": reject.offset,
                "reason": reject.reason,
                "raw": reject.raw,
            }
            self._pending.write(_line(entry))
            self.count += 1

    def complete(self) -> None:
        """Finish the file, but for its name; nothing is written where nothing was rejected or asked for."""
        if self._pending is None and self._asked and self.path != STANDARD_OUTPUT:
            self._pending = PendingFile(self.path)
        if self._pending is not None:
            self._pending.complete()

    def commit(self) -> None:
        """Finish the file.

        Where nothing was rejected, one that an earlier run left under our own name is removed; one that was asked
        for is written empty.
        """
        self.complete()
        if self._pending is not None:
            self._pending.commit()
        elif self.path.endswith(REJECTS_SUFFIX) and os.path.isfile(self.path):
            with suppress(OSError):
                os.unlink(self.path)

    def withdraw(self) -> None:
        """Remove the file, also after :meth:`commit`."""
        if self._pending is not None:
            self._pending.withdraw()

    def abort(self) -> None:
        """Remove what was written; does nothing after :meth:`commit`."""
        if self._pending is not None:
            self._pending.abort()
