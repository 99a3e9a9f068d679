"""Files that appear under their own name only when they are complete.

What is written goes to a hidden file beside the target. :meth:`PendingFile.commit` makes it durable and gives it
the target's name in one step; :meth:`PendingFile.abort` leaves no trace. Standard output, devices and named
pipes have no such step and are written directly.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from netsieve.engine.errors import OutputError

STANDARD_OUTPUT: Final = "-"
"""The name that stands for standard output."""

_PROBE_BYTES: Final = 64 * 1024
_OS_ERROR_NUMBER: Final = re.compile(r"\(os error (\d+)\)")


class PendingFile:
    """A binary file that is renamed to ``path`` when it is committed.

    Parameters
    ----------
    path
        The file to write, or ``"-"`` for standard output. A symbolic link is followed.

    Raises
    ------
    OutputError
        ``path`` is a folder, its folder does not exist, or it may not be written.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._temporary: str | None = None
        self._renamed = False
        try:
            self.file: BinaryIO = self._open()
        except OSError as error:
            raise output_error(path, error) from error

    def _open(self) -> BinaryIO:
        if self.path == STANDARD_OUTPUT:
            return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
        self._target = os.path.realpath(self.path)
        with suppress(FileNotFoundError):
            mode = os.stat(self._target).st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), self.path)
            if not stat.S_ISREG(mode):
                return open(self._target, "wb")
            # the rename below would replace a write-protected file without a question
            if not os.access(self._target, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), self.path)
        folder, name = os.path.split(self._target)
        temporary = os.path.join(folder, f".{name[:200]}.{os.urandom(4).hex()}.part")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        self._temporary = temporary
        return os.fdopen(descriptor, "wb")

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``; raise :class:`OutputError` where that fails."""
        try:
            self.file.write(data)
        except OSError as error:
            raise output_error(self.path, error) from error

    def write_failure(self) -> OSError | None:
        """Return why nothing more can be written; None where it can.

        For libraries that write to the file themselves and do not pass on the reason why they failed. Spoils the
        content.
        """
        try:
            self.file.write(bytes(_PROBE_BYTES))
            self.file.flush()
        except OSError as error:
            return error
        return None

    def complete(self) -> None:
        """Make the content durable, under the hidden name still; raise :class:`OutputError` where that fails."""
        if self.file.closed:
            return
        try:
            self.file.flush()
            if self._temporary is not None:
                os.fsync(self.file.fileno())
            self.file.close()
        except OSError as error:
            self.abort()
            raise output_error(self.path, error) from error

    def commit(self) -> None:
        """Make the content durable and give it its name; raise :class:`OutputError` where that fails."""
        self.complete()
        if self._temporary is None:
            return
        try:
            os.replace(self._temporary, self._target)
        except OSError as error:
            self.abort()
            raise output_error(self.path, error) from error
        self._temporary = None
        self._renamed = True
        _sync_folder(os.path.dirname(self._target))

    def withdraw(self) -> None:
        """Remove the file, also after :meth:`commit`."""
        self.abort()
        if self._renamed:
            with suppress(OSError):
                os.unlink(self._target)
            self._renamed = False

    def abort(self) -> None:
        """Remove what was written; does nothing after :meth:`commit`."""
        with suppress(OSError):
            self.file.close()
        if self._temporary is not None:
            with suppress(OSError):
                os.unlink(self._temporary)
            self._temporary = None


def _sync_folder(folder: str) -> None:
    # Some file systems cannot sync a folder. The file itself is safe by then.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_atomically(path: str, data: bytes) -> None:
    """Write a small file in one step: complete under its name, or not at all."""
    pending_file(path, data).commit()


def pending_file(path: str, data: bytes) -> PendingFile:
    """Return a small file that is written, and has its name once it is committed."""
    pending = PendingFile(path)
    try:
        pending.write(data)
        pending.complete()
    except BaseException:
        pending.abort()
        raise
    return pending


def output_error(path: str, error: Exception) -> OutputError:
    """Return the one-line error that explains why ``path`` cannot be written.

    Parameters
    ----------
    path
        What was to be written.
    error
        An ``OSError``, or a library's error whose text holds ``(os error N)``.
    """
    number = error.errno if isinstance(error, OSError) else None
    found = _OS_ERROR_NUMBER.search(str(error))
    if number is None and found:
        number = int(found.group(1))
    name = "standard output" if path == STANDARD_OUTPUT else repr(path)
    folder = os.path.dirname(os.path.realpath(path)) if path != STANDARD_OUTPUT else ""
    match number:
        case errno.ENOSPC | errno.EDQUOT:
            reason = "no space is left on its device; free some, or name an output elsewhere"
        case errno.EACCES | errno.EPERM:
            reason = f"no permission to write there (folder {folder!r}); name an output elsewhere"
        case errno.EROFS:
            reason = "its file system is read-only; name an output elsewhere"
        case errno.EISDIR:
            reason = "it is a folder; name a file"
        case errno.ENOENT:
            reason = f"the folder {folder!r} does not exist; make it first"
        case errno.ENOTDIR:
            reason = f"{folder!r} is not a folder; name an output elsewhere"
        case errno.EPIPE:
            reason = "whatever was reading it has closed it"
        case _:
            reason = " ".join(str(error).split())
    return OutputError(f"cannot write {name}: {reason}")


def check_distinct(outputs: Iterable[str], inputs: Iterable[str]) -> None:
    """Raise :class:`OutputError` where an output is an input or another output, also by a link.

    Parameters
    ----------
    outputs, inputs
        Paths; ``"-"`` is standard output or input and never the same as a file.
    """
    inputs = [path for path in inputs if path != STANDARD_OUTPUT]
    seen: list[str] = []
    for output in outputs:
        for other in inputs:
            if _same_file(output, other):
                raise OutputError(
                    f"the output {output!r} is the input {other!r}; name another output, an input is never overwritten"
                )
        if any(_same_file(output, other) for other in seen):
            raise OutputError(f"two outputs are the same file {output!r}; name different files")
        seen.append(output)


def _same_file(left: str, right: str) -> bool:
    if STANDARD_OUTPUT in (left, right):
        return left == right
    if os.path.realpath(left) == os.path.realpath(right):
        return not _is_device(left)
    try:
        return os.path.samefile(left, right) and not _is_device(left)
    except OSError:
        return False


def _is_device(path: str) -> bool:
    return Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir()
