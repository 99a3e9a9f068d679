"""Progress on stderr: bytes of the inputs where their size is known, records and records a second always."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

_REFRESH_SECONDS = 0.2


class Progress:
    """A progress bar, or nothing at all.

    Parameters
    ----------
    total_bytes
        Bytes of all inputs as they are on disk; None where one is a stream.
    shown
        Whether to show it; None: where stderr is a terminal.
    """

    def __init__(self, total_bytes: int | None, *, shown: bool | None = None) -> None:
        self._total = total_bytes
        self._bar: Any = None
        self._records = 0
        self._shown = sys.stderr.isatty() if shown is None else shown

    def __enter__(self) -> Self:
        if self._shown:
            from tqdm import tqdm

            self._bar = tqdm(
                total=self._total,
                unit="B",
                unit_scale=True,
                mininterval=_REFRESH_SECONDS,
                dynamic_ncols=True,
                leave=False,
                desc="scoring",
                file=sys.stderr,
            )
            self._started = self._bar.start_t
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, records: int, read_bytes: int) -> None:
        """Count records, and bytes of the inputs."""
        if self._bar is None:
            return
        self._records += records
        elapsed = max(self._bar._time() - self._started, 1e-9)
        self._bar.set_postfix_str(f"{self._records:,} records, {self._records / elapsed:,.0f}/s", refresh=False)
        self._bar.update(read_bytes)
