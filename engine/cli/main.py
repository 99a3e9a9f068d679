"""The ``netsieve`` command: parses the arguments, runs one command, and turns errors into one line and an exit code.

Only ``argparse`` is imported before a command is known, so that ``netsieve --help`` answers at once.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Final, NoReturn, TextIO

from netsieve import __version__
from netsieve.engine.cli.exit_codes import DONE, FAILED, INTERRUPTED, WRONG_USAGE
from netsieve.engine.cli.table import printable_lines
from netsieve.engine.errors import NetsieveError

COMMANDS: Final[dict[str, str]] = {
    "train": "train a detector and write its model file",
    "tune": "search for better parameters of a detector",
    "score": "score log files with a model",
    "evaluate": "compare a model's scores with labels",
    "inspect": "show what is in a model file",
    "bench": "measure how fast a model scores on this machine",
    "doctor": "show what is installed, what is missing and how to get it",
    "detectors": "list the detectors that can be trained",
}

_EXTRA_OF_PACKAGE: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("numpy", "polars", "pyarrow", "onnxruntime", "numba", "orjson", "zstandard", "isal", "tqdm"), "cpu"
    ),
    **dict.fromkeys(("torch", "sklearn", "onnx", "onnxscript", "safetensors", "matplotlib"), "cpu,train"),
    "optuna": "cpu,train,tune",
}


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USAGE, f"netsieve: error: {message}; see {self.prog} --help\n")


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, with every command."""
    parser = _Parser(
        prog="netsieve",
        description="Score network and host logs for anomalies with detectors served from one ONNX file.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 anomalies found (score --fail-on-anomaly), "
        "130 interrupted. POLICY is written like fpr:0.001, contamination:0.01, percentile:95 or mean_std:3.",
    )
    parser.add_argument("-v", "--version", action="version", version=f"netsieve {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    for name, summary in COMMANDS.items():
        command = import_module(f"netsieve.engine.cli.{name}")
        subparser = commands.add_parser(name, help=summary, description=(command.__doc__ or "").split("\n\n")[0])
        command.add_arguments(subparser)
        subparser.add_argument("--debug", action="store_true", help="show the traceback of an error")
        subparser.set_defaults(run=command.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments
        Without the program's name; by default those of the process.
    """
    try:
        options = argument_parser().parse_args(arguments)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else DONE
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = _show_warning
        try:
            code: int = options.run(options)
        except KeyboardInterrupt:
            _say("interrupted; no unfinished output is left")
            return INTERRUPTED
        except Exception as error:
            if options.debug:
                raise
            _say(f"error: {_explanation(error)}")
            return FAILED
    return code


def run() -> NoReturn:
    """Run the process's command line and end the process."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # nohup ignores it, and so do we then
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    code = main()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        # The reader has gone away: nothing can be said any more, and the interpreter must not try again at its end
        code = code or FAILED
    # Threads may hang in a read of standard input, and numerical libraries take a while to unload
    os._exit(code)


def _explanation(error: Exception) -> str:
    if isinstance(error, NetsieveError):
        text = str(error)
    elif isinstance(error, ModuleNotFoundError) and (extra := _EXTRA_OF_PACKAGE.get((error.name or "").split(".")[0])):
        text = f"this needs the package {error.name!r}, which is not installed: pip install 'netsieve[{extra}]'"
    elif isinstance(error, MemoryError):
        text = "out of memory; use fewer --threads or a smaller --batch-size"
    elif isinstance(error, BrokenPipeError):
        text = "cannot write standard output: whatever was reading it has closed it"
    elif isinstance(error, OSError) and error.strerror is not None:
        where = "standard output" if error.filename is None else repr(error.filename)
        text = f"{where}: {error.strerror}"
    else:
        text = f"unexpected {type(error).__name__}: {error}; run it again with --debug and report what it shows"
    return " ".join(text.split())


def _say(text: str) -> None:
    with suppress(OSError):
        print(f"netsieve: {printable_lines(text)}", file=sys.stderr)


def _show_warning(  # noqa: PLR0917 (the signature of warnings.showwarning)
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    # Our own warnings are for the user, others for developers, who see them in the tests
    if category.__module__.startswith("netsieve."):
        _say(f"warning: {message}")
