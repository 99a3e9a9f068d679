"""What the benchmarks of reading compare: tasks, the readers of each, netsieve's first, and one run of one reader.

A run has a process of its own, which is bound to as many cores as the reader is given threads. It reads a small file
first, so that imports are not counted.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from subprocess import run
from typing import Any, BinaryIO, Final, Literal, cast

Form = Literal["plain", "gzip", "zst", "4 gzip files"]
"""How a file is packed."""

OURS: Final = "netsieve"
BLOCK_BY_BLOCK: Final = "netsieve, block by block"
FORMATS: Final = ("eve", "zeek", "pcap")
BUFFER_BYTES: Final = 1 << 17
ALL_FORMS: Final[tuple[Form, ...]] = ("plain", "gzip", "zst", "4 gzip files")
PLAIN_AND_GZIP: Final[tuple[Form, ...]] = ("plain", "gzip")
"""What slow readers are measured with: unpacking is the least of their work."""


@dataclass(frozen=True, slots=True)
class Reader:
    """One way to read a file.

    Attributes
    ----------
    read
        Takes files and a number of threads; returns a table (Polars, pandas, Arrow), or only the number of records.
    package
        What must be installed, by its name on the package index; None: nothing.
    forms
        What it is measured with.
    threads
        Numbers of threads that it can be told to use.
    most_rounds
        Rounds it takes part in at most: fewer than the others for one that takes long.
    """

    read: Callable[[Sequence[str], int], Any]
    package: str | None = None
    forms: tuple[Form, ...] = ALL_FORMS
    threads: tuple[int, ...] = (1, 2)
    most_rounds: int = 100

    def installed(self) -> bool:
        """Return whether its package is there."""
        try:
            return self.package is None or bool(version(self.package))
        except PackageNotFoundError:
            return False


@dataclass(frozen=True, slots=True)
class Task:
    """What is read from a file, and who reads it.

    Attributes
    ----------
    title
        Of its table.
    records
        Records of the file, unless others are asked for.
    unit
        What its records are.
    write
        Writes a file of about so many records, and returns how many it has.
    suffix
        Of the file's name.
    readers
        By name; ours, :data:`OURS`, first. All return tables with the same columns of these names:
    checked
        columns by which readings are compared.
    forms, threads
        What is measured, of each reader that can do it.
    """

    title: str
    records: int
    unit: str
    write: Callable[[Path, int], int]
    suffix: str
    readers: dict[str, Reader]
    checked: tuple[str, ...]
    forms: tuple[Form, ...] = ("plain", "gzip", "zst")
    threads: tuple[int, ...] = (1, 2)


def tasks_of(file_format: str) -> dict[str, Task]:
    """Return what is measured of one of :data:`FORMATS`, by names that begin with it and a dot."""
    tasks: dict[str, Task] = import_module(f"netsieve.bench.readers_{file_format}").TASKS
    return tasks


def read_frame(
    paths: Sequence[str], threads: int, *, event_type: str | None = None, columns: Sequence[str] | None = None
) -> Any:
    """Read with netsieve into one frame: all columns, the computed ones too, unless some are named."""
    import polars as pl

    import netsieve

    return pl.concat(netsieve.scan(paths, event_type=event_type, columns=columns, threads=threads))


def count_records(
    paths: Sequence[str], threads: int, *, event_type: str | None = None, columns: Sequence[str] | None = None
) -> int:
    """Read with netsieve in bounded memory, as its own commands do, and return the number of records."""
    import netsieve

    frames = netsieve.scan(paths, event_type=event_type, columns=columns, threads=threads)
    return sum(frame.height for frame in frames)


def open_bytes(path: str) -> BinaryIO:
    """Open a file whatever its form, with the libraries that are usual in Python."""
    if path.endswith(".gz"):
        return cast(BinaryIO, gzip.open(path))
    if path.endswith(".zst"):
        import zstandard

        return cast(BinaryIO, io.BufferedReader(zstandard.open(path), BUFFER_BYTES))
    return open(path, "rb")


def lines_of(paths: Sequence[str]) -> Iterator[bytes]:
    """Yield the lines of files."""
    for path in paths:
        with open_bytes(path) as file:
            yield from file


def column_sums(table: Any, columns: Sequence[str]) -> dict[str, list[float]]:
    """Return of each column how many values are missing, how many differ, and the sum of the others.

    Times count as microseconds since 1970, a text as its number of bytes.
    """
    import polars as pl

    if not isinstance(table, pl.DataFrame):
        table = pl.from_pandas(table) if hasattr(table, "iloc") else pl.from_arrow(table)
    sums = {}
    for name in columns:
        column = table[name]
        if column.dtype == pl.Float64:
            column = column.fill_nan(None)  # missing values of pandas
        missing, distinct = column.null_count(), column.drop_nulls().n_unique()
        if isinstance(column.dtype, pl.Datetime):
            column = column.dt.epoch("us")
        elif column.dtype in (pl.String, pl.Categorical):
            column = column.cast(pl.String).str.len_bytes()
        sums[name] = [missing, distinct, float(column.cast(pl.Float64).sum())]
    return sums


def read_once(task: Task, reader: str, threads: int, warm_up: str, paths: Sequence[str]) -> dict[str, Any]:
    """Read files in this process, and return what that took and what was read, ready for JSON.

    ``sums`` are those of :func:`column_sums`, None for a reader that gives no table. Processor seconds include those
    of processes that the reader started.
    """
    chosen = task.readers[reader]
    chosen.read([warm_up], threads)  # imports, and what else is done once
    used, started = _processor_seconds(), time.perf_counter()
    table = chosen.read(paths, threads)
    measured = {
        "seconds": time.perf_counter() - started,
        "processor_seconds": _processor_seconds() - used,
        "peak_rss_bytes": _peak_bytes(),
    }
    if isinstance(table, int):
        return {**measured, "records": table, "sums": None}
    return {**measured, "records": len(table), "sums": column_sums(table, task.checked)}


def run_reader(name: str, reader: str, threads: int, warm_up: Path, paths: Sequence[Path]) -> dict[str, Any]:
    """Return what :func:`read_once` does in a process of its own, for the task of that name.

    Raises
    ------
    RuntimeError
        The reader failed.
    """
    request = json.dumps([name, reader, threads, str(warm_up), [str(path) for path in paths]])
    numbers = dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS"), str(threads))
    finished = run(
        [sys.executable, "-m", "netsieve.bench.readers", request],
        env={**os.environ, **numbers},
        check=False,
        capture_output=True,
        text=True,
    )
    if finished.returncode:
        raise RuntimeError(f"{reader} could not read {paths[0]}:\n{finished.stderr[-4000:]}")
    measured: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return measured


def _processor_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _peak_bytes() -> int:
    """Return the largest memory of this process or of one that it started."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    status = Path("/proc/self/status")
    if status.exists():  # without what the parent held when it started this one, which the former includes
        own = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def main(request: str) -> None:
    """Do one run, as :func:`run_reader` asks, and print what was measured."""
    name, reader, threads, warm_up, paths = json.loads(request)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    print(json.dumps(read_once(tasks_of(name.split(".")[0])[name], reader, threads, warm_up, paths)))


if __name__ == "__main__":
    main(sys.argv[1])
