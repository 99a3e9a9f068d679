"""The rejects file: records that could not be read, with where they are and why, as NDJSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from netsieve.engine.sinks.atomic import STANDARD_OUTPUT, PendingFile

if TYPE_CHECKING:
    from netsieve.engine.sources.source import Reject

REJECTS_SUFFIX: Final = ".rejects.ndjson"


def rejects_path(output: str, asked: str | None = None) -> str:
    """Return where rejects go: as asked, else beside the output (``netsieve.rejects.ndjson`` for standard output)."""
    if asked is not None:
        return asked
    return f"netsieve{REJECTS_SUFFIX}" if output == STANDARD_OUTPUT else f"{output}{REJECTS_SUFFIX}"


class RejectsFile:
    """Rejected records as lines of JSON; the file exists only where there are any.

    Each line has ``file``, ``record`` (0-based number within the file), ``line`` (1-based), ``offset`` (byte offset
    of the record in the decompressed file), ``reason`` and ``raw``, the record's text cut at 4 KiB; ``line`` and
    ``offset`` are null where the format has none.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
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
            # Undecodable bytes stand as lone surrogates in the text, which only escapes can carry
            self._pending.write(json.dumps(entry).encode("ascii") + b"\n")
            self.count += 1

    def commit(self) -> None:
        """Finish the file. Where nothing was rejected, one that an earlier run left there is removed."""
        if self._pending is not None:
            self._pending.commit()
        elif self.path != STANDARD_OUTPUT and os.path.isfile(self.path):
            with suppress(OSError):
                os.unlink(self.path)

    def abort(self) -> None:
        """Remove what was written; does nothing after :meth:`commit`."""
        if self._pending is not None:
            self._pending.abort()
