"""Time, processor time and peak memory of whole processes.

The kernel counts into a child's peak memory what its parent held when the child was forked, so a large Python
process cannot measure a small one. Commands are therefore started by a launcher: this very file, run on its own
with nothing imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class ProcessCost:
    """What one process took: seconds from start to end, seconds of processor time, bytes of peak memory."""

    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int


class ProcessFailedError(Exception):
    """A measured process ended with another status than 0."""


def run_process(command: list[str], *, environment: dict[str, str] | None = None) -> ProcessCost:
    """Run ``command`` and return what it took. Its output is kept back, and shown if it fails.

    Parameters
    ----------
    command
        Program and arguments.
    environment
        Variables set in addition to the present ones.

    Raises
    ------
    ProcessFailedError
        The process failed; the message holds the end of what it wrote.
    """
    launcher = [sys.executable, "-S", "-E", os.path.abspath(__file__), *command]
    finished = subprocess.run(
        launcher, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    if finished.returncode:
        raise ProcessFailedError(f"{' '.join(command)} failed ({finished.returncode}):\n{finished.stderr[-4000:]}")
    return ProcessCost(**json.loads(finished.stdout.splitlines()[-1]))


def _launch(command: list[str]) -> int:
    quiet = os.open(os.devnull, os.O_WRONLY)
    start = time.perf_counter()
    # Standard output goes nowhere: only the measure below is for the caller.
    child = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, quiet, 1)])
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - start
    cost = ProcessCost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
    print(json.dumps(cost.__dict__))
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(_launch(sys.argv[1:]))
