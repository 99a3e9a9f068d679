"""Argument types and settings that several commands share. Imports nothing heavy."""

from __future__ import annotations

import argparse
import math
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from netsieve.engine.errors import SourceError
from netsieve.engine.processors import available_processors
from netsieve.engine.sources.formats import FORMATS
from netsieve.engine.sources.source import ReadOptions

SHORTEST_SECONDS = 1e-6
POLICY_HELP = "threshold policy, like fpr:0.001, contamination:0.01, percentile:95, mean_std:3"


def whole_number(least: int) -> Callable[[str], int]:
    """Return an argument type for whole numbers from ``least`` on."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} on")
        return value

    return parse


def share(text: str) -> float:
    """Parse a share between 0 and 1."""
    value = number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1")
    return value


def number(text: str) -> float:
    """Parse a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is no finite number")
    return value


def seconds(text: str) -> float:
    """Parse a number of seconds, a microsecond at least: finer than that no time in a log is."""
    value = number(text)
    if value < SHORTEST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds of at least {SHORTEST_SECONDS:g}")
    return value


def network(text: str) -> str:
    """Parse a network in CIDR notation, or an address, which is a network of one."""
    from ipaddress import ip_network

    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no network in CIDR notation, like 10.0.0.0/8") from None


def add_data(parser: argparse.ArgumentParser) -> argparse.Action:
    """Add the inputs, which are returned, and how they are read where their content does not tell."""
    data = parser.add_argument(
        "data",
        nargs="+",
        metavar="DATA",
        help="log files of any format that is read, plain, .gz or .zst; globs, folders, or - for standard input",
    )
    parser.add_argument(
        "--input-format",
        metavar="NAME",
        choices=FORMATS,
        help=f"format of DATA; by default told by content: {', '.join(FORMATS)}",
    )
    parser.add_argument(
        "--event-type",
        metavar="NAME",
        help="what is a record where a file leaves a choice: events (default: flow), packets or flows, traces or calls",
    )
    parser.add_argument(
        "--home-network",
        metavar="CIDR",
        type=network,
        nargs="+",
        default=[],
        help="networks that are inside, for the direction of flows (default: the model's, else the private ones)",
    )
    for name, what in (("idle", "without a packet"), ("active", "since its first packet")):
        parser.add_argument(
            f"--{name}-timeout",
            metavar="SECONDS",
            type=seconds,
            help=f"end a flow of a packet capture after so many seconds {what} (docs/pcap.md)",
        )
    parser.add_argument(
        "--most-flows",
        metavar="N",
        type=whole_number(1),
        help="flows of a packet capture that are open at a time; one more ends the one that was seen last longest ago",
    )
    parser.add_argument(
        "--columns", metavar="FILE", help="names of the columns, one a line, for CSV files without a header line"
    )
    return data


def add_max_rejects(parser: argparse.ArgumentParser) -> None:
    """Add the share of the records that may be unreadable."""
    parser.add_argument(
        "--max-rejects",
        metavar="SHARE",
        type=share,
        default=0.01,
        help="fail if a larger share of the records cannot be read (default: %(default)s)",
    )


def read_options(options: argparse.Namespace) -> ReadOptions:
    """Return how the inputs are read, as the arguments of :func:`add_data` say.

    Raises
    ------
    SourceError
        The file of ``--columns`` cannot be read, or names no columns.
    """
    return ReadOptions(
        input_format=options.input_format,
        names=_column_names(options.columns),
        event_type=options.event_type,
        home_networks=tuple(options.home_network),
        idle_timeout=options.idle_timeout,
        active_timeout=options.active_timeout,
        most_flows=options.most_flows,
    )


def _column_names(path: str | None) -> list[str] | None:
    if path is None:
        return None
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SourceError(f"cannot read the column names in {path!r}: {reason}") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise SourceError(f"{path!r} names no columns; write one name a line")
    return names


def available_threads(asked: int = 0) -> int:
    """Return the number of threads to use: as asked, else one for each CPU this process may run on."""
    return asked or available_processors()


def import_polars(threads: int) -> None:
    """Import Polars as a command needs it, which can be done but once in a process.

    Its thread pool is sized when it is imported; what the environment says goes first. It then takes over the
    interrupt signal, and while it works in any thread it raises the interrupt there and not in the main thread,
    which may wait for an input. Python's own handler is put back.

    NumPy's linear algebra, which no command but training uses, gets one thread: measured, its idle threads spin
    for 4 % of a scoring job's CPU time.

    Arrow, which is imported later and only for Parquet inputs, is told to use the system's allocator: measured on
    2 M records, 15 % less time and 60 MB less memory than with its own.
    """
    os.environ.setdefault("POLARS_MAX_THREADS", str(threads))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    import polars  # noqa: F401 (for its side effects)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.getsignal(signal.SIGINT))
