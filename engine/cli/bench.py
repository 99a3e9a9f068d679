"""Measure how fast a model scores on this machine, in about a minute: in memory, beside plain onnxruntime, and files.

Without MODEL a small one is trained on generated traffic first.
"""

from __future__ import annotations

import argparse
import json
import sys

from netsieve.engine.cli.arguments import available_threads, import_polars, whole_number
from netsieve.engine.cli.table import text_table
from netsieve.engine.sinks.atomic import STANDARD_OUTPUT, check_distinct, write_atomically


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", help="model file; without, one is trained (netsieve[train])"
    )
    parser.add_argument("--threads", metavar="N", type=whole_number(0), default=0, help="0 (default): one for each CPU")
    parser.add_argument(
        "--rows", metavar="N", type=whole_number(1), help="records of the files (default: by the model's width)"
    )
    parser.add_argument("--json", metavar="FILE", help="write everything measured as JSON; - for standard output")


def run(options: argparse.Namespace) -> int:
    """Measure, print the table."""
    threads = available_threads(options.threads)
    if options.json is not None:
        check_distinct([options.json], [] if options.model is None else [options.model])
    import_polars(threads)
    from pathlib import Path
    from tempfile import TemporaryDirectory

    # Only this command needs that room
    from netsieve.bench import user_model

    with TemporaryDirectory(prefix="netsieve-bench-") as name:
        folder = Path(name)
        model = folder / "model.onnx" if options.model is None else Path(options.model)
        if options.model is None:
            _say("training a model on generated traffic")
            user_model.write_default_model(model)
        result = user_model.measure_model(model, folder, threads=threads, file_rows=options.rows, say=_say)
    if options.model is None:
        result["model"]["file"] = "trained on generated traffic"
    stream = sys.stderr if options.json == STANDARD_OUTPUT else sys.stdout
    print(text_table(list(user_model.heading_rows(result))), file=stream)
    print(file=stream)
    print(text_table(list(user_model.speed_rows(result)), numbers=True), file=stream)
    print(file=stream)
    for line in user_model.closing_lines(result):
        print(line, file=stream)
    if options.json is not None:
        write_atomically(options.json, f"{json.dumps(result, indent=2)}\n".encode())
    return 0


def _say(text: str) -> None:
    print(f"netsieve: {text}", file=sys.stderr, flush=True)
