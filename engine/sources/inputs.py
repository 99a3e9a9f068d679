"""The files that inputs stand for: files, glob patterns, folders, standard input."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from netsieve.engine.errors import SourceError
from netsieve.engine.sources.bytestream import STANDARD_INPUT

FOLDER_SUFFIXES: Final = (
    *(".csv", ".tsv", ".psv", ".txt", ".binetflow", ".parquet", ".pq", ".nfdump"),
    *(".json", ".jsonl", ".ndjson", ".log", ".labeled", ".pcap", ".pcapng", ".cap"),
)
"""Files of a folder that are read, also with one of the suffixes below behind."""
COMPRESSION_SUFFIXES: Final = (".gz", ".zst")
FOLDER_PREFIXES: Final = ("nfcapd.",)
"""Programs that write files with the time in place of a suffix."""


def expand_inputs(inputs: Sequence[str]) -> list[str]:
    """Return the files that inputs stand for, in the order given, each once.

    A folder stands for its files with a known suffix, subfolders too, sorted by path; hidden files and those that
    begin with an underscore are left out. A glob pattern (``**`` for subfolders) stands for what it matches, sorted.

    Raises
    ------
    SourceError
        An input is absent, matches nothing, or is a folder without readable files.
    """
    if not inputs:
        raise SourceError("no input was given; name files, folders, glob patterns or - for standard input")
    found: dict[str, None] = {}
    for given in inputs:
        if given == STANDARD_INPUT or os.path.isfile(given):
            found[given] = None
        elif os.path.isdir(given):
            found.update(dict.fromkeys(_folder_files(given)))
        elif glob.has_magic(given):
            matches = sorted(path for path in glob.glob(given, recursive=True) if not os.path.isdir(path))
            if not matches:
                raise SourceError(f"no file matches '{given}'")
            found.update(dict.fromkeys(matches))
        elif os.path.lexists(given):
            found[given] = None  # a pipe or device; opening it tells the rest
        else:
            raise SourceError(f"there is no file '{given}'")
    return list(found)


def _folder_files(folder: str) -> list[str]:
    files = []
    try:
        for root, folders, names in os.walk(folder, onerror=_raise):
            folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
            files += [str(Path(root) / name) for name in names if _is_readable_name(name)]
    except OSError as error:
        raise SourceError(f"cannot read the folder '{error.filename}': {error.strerror}") from error
    if not files:
        raise SourceError(
            f"the folder '{folder}' holds no file ending in {', '.join(FOLDER_SUFFIXES)} (or with .gz or .zst behind); "
            "name the files, or give a glob pattern"
        )
    return sorted(files)


def _is_readable_name(name: str) -> bool:
    lower = name.lower()
    for suffix in COMPRESSION_SUFFIXES:
        lower = lower.removesuffix(suffix)
    return (lower.endswith(FOLDER_SUFFIXES) or lower.startswith(FOLDER_PREFIXES)) and not name.startswith((".", "_"))


def _raise(error: OSError) -> None:
    raise error
