"""A process of the command line that waits for its input and can be interrupted."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

# Jobs that a shell starts in the background ignore interrupts, and hand that on to what they start
_INTERRUPTIBLE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from netsieve.engine.cli.main import run; run()"
)
_SECONDS = 60
INTERRUPTED = b"netsieve: interrupted; no unfinished output is left\n"


class InterruptibleJob:
    """A job that is fed through a pipe which never ends: without a signal it would wait for ever."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def feed(self, data: bytes) -> None:
        """Hand the job more of its input."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # wait_until says why
            self._process.stdin.write(data)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the job is about to do."""
        deadline = time.monotonic() + _SECONDS
        while not condition():
            assert self._process.poll() is None, self.end()
            assert time.monotonic() < deadline, self.end()
            time.sleep(0.02)

    def end(self, number: signal.Signals = signal.SIGKILL) -> tuple[int, bytes]:
        """Send a signal, and return the exit code and what the job said."""
        self._process.send_signal(number)
        code = self._process.wait(_SECONDS)
        assert self._process.stderr is not None
        return code, self._process.stderr.read()


@contextmanager
def interruptible_job(arguments: list[str]) -> Iterator[InterruptibleJob]:
    """Start a job; it is gone at the end, whatever happens."""
    command = [sys.executable, "-c", _INTERRUPTIBLE, *arguments]
    # Unbuffered: what a buffer holds when the job is over could not be written any more
    process = subprocess.Popen(command, bufsize=0, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    # A job that hangs before it has read what it is fed would otherwise hang the tests, too
    watchdog = threading.Timer(2 * _SECONDS, process.kill)
    watchdog.start()
    with process:
        try:
            yield InterruptibleJob(process)
        finally:
            watchdog.cancel()
            process.kill()
