"""The manifest of a folder of scored parts: what each was made of, so that a later run knows what is finished."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final, Self

from netsieve.engine.errors import OutputError, SourceError
from netsieve.engine.scoring.summary import ScoreSummary
from netsieve.engine.sinks.atomic import write_atomically
from netsieve.engine.sources.source import add_skipped

MANIFEST_NAME: Final = "manifest.json"
MANIFEST_VERSION: Final = 1
HASHED_BYTES: Final = 64 * 1024
"""Bytes at either end of an input that its fingerprint covers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFingerprint:
    """What tells that an input is the same as it was.

    Hashing whole archives would take as long as scoring them. Size and time of the last change notice all but
    deliberate deceit, and the hash of both ends notices files that were replaced with their times kept.

    Attributes
    ----------
    size
        Bytes.
    modified
        Time of the last change, nanoseconds since 1970.
    ends
        SHA-256 of the first and the last 64 KiB, in hexadecimal.
    """

    size: int
    modified: int
    ends: str

    @classmethod
    def of(cls, path: str) -> Self:
        """Return the fingerprint of a file.

        Raises
        ------
        SourceError
            It cannot be read, or is no regular file.
        """
        if not os.path.isfile(path):
            raise SourceError(f"{path!r} is no file; parts in a folder are made of files only, so that they can resume")
        try:
            with open(path, "rb") as file:
                status = os.fstat(file.fileno())
                digest = hashlib.sha256(file.read(HASHED_BYTES))
                file.seek(max(HASHED_BYTES, status.st_size - HASHED_BYTES))
                digest.update(file.read(HASHED_BYTES))
        except OSError as error:
            raise SourceError(f"cannot read {path!r}: {error.strerror}") from error
        return cls(size=status.st_size, modified=status.st_mtime_ns, ends=digest.hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class PartEntry:
    """One input and what became of it.

    Attributes
    ----------
    input
        Path as it was given, and as ``source_file`` of the part has it.
    fingerprint
        Of the input, before it was read.
    model, options
        Fingerprints of the model file and of the options that the part depends on.
    part
        Name of the part's file within the folder; None where none was written.
    part_bytes
        Its size.
    rejects
        Name of the file with the rejected records; None where there are none.
    counts
        ``rows_in``, ``rows_scored``, ``rows_rejected``, ``rows_skipped``, ``rows_written``, ``anomalies`` and
        ``skipped`` by reason, as in :class:`~netsieve.engine.scoring.summary.ScoreSummary`.
    error
        Why the input could not be scored; None where it could.
    state
        Name of the file with what was known of the hosts behind the last record; None but for the last part of a model
        with neighbour features.
    history
        Fingerprint of this input and all that were scored before it; None for a model of single records.
    first_time
        Time of the input's first record that has one, seconds since 1970; None where it was not looked for.
    """

    input: str
    fingerprint: InputFingerprint
    model: str
    options: str
    part: str | None = None
    part_bytes: int = 0
    rejects: str | None = None
    counts: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    state: str | None = None
    history: str | None = None
    first_time: float | None = None

    def is_finished(self, folder: str, fingerprint: InputFingerprint, model: str, options: str) -> bool:
        """Whether the part is there, and was made of this very input, model and options."""
        if self.error is not None or (self.fingerprint, self.model, self.options) != (fingerprint, model, options):
            return False
        if self.rejects is not None and not os.path.isfile(os.path.join(folder, self.rejects)):
            return False
        if self.part is None:
            return True
        try:
            return os.path.getsize(os.path.join(folder, self.part)) == self.part_bytes
        except OSError:
            return False

    def add_to(self, summary: ScoreSummary) -> None:
        """Add the counts to those of a summary."""
        for name in COUNTS:
            setattr(summary, name, getattr(summary, name) + self.counts.get(name, 0))
        add_skipped(summary.skipped, self.counts.get("skipped", {}))


COUNTS: Final = ("rows_in", "rows_scored", "rows_rejected", "rows_skipped", "rows_written", "anomalies")
"""Counts of a summary that add up over parts."""


class Manifest:
    """The entries of a folder's parts, by input.

    Parameters
    ----------
    folder
        The folder.
    entries
        Entries of earlier runs.
    """

    def __init__(self, folder: str, entries: Mapping[str, PartEntry] | None = None) -> None:
        self._folder = folder
        self.entries: dict[str, PartEntry] = dict(entries or {})

    @classmethod
    def read(cls, folder: str) -> Self:
        """Return the folder's manifest, empty where it has none.

        Raises
        ------
        OutputError
            It cannot be read, or is none of this version.
        """
        path = os.path.join(folder, MANIFEST_NAME)
        try:
            content = json.loads(Path(path).read_bytes())
            if content["version"] != MANIFEST_VERSION:
                raise ValueError(f"version {content['version']!r}")
            entries = [_entry(entry) for entry in content["parts"]]
        except FileNotFoundError:
            return cls(folder)
        except OSError as error:
            raise OutputError(f"cannot read {path!r}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OutputError(
                f"{path!r} is no manifest that this netsieve can go on with ({error}); name another folder"
            ) from error
        return cls(folder, {entry.input: entry for entry in entries})

    def write(self, model: Mapping[str, str], options: Mapping[str, Any]) -> None:
        """Write the manifest, complete or not at all.

        Parameters
        ----------
        model
            Name and fingerprint of this run's model.
        options
            Options of this run, for people to read.
        """
        totals = ScoreSummary()
        for entry in self.entries.values():
            entry.add_to(totals)
        content = {
            "version": MANIFEST_VERSION,
            "model": dict(model),
            "options": dict(options),
            "totals": {
                "files": len(self.entries),
                "failed": sum(entry.error is not None for entry in self.entries.values()),
                **{name: getattr(totals, name) for name in COUNTS},
                "skipped": totals.skipped,
            },
            "parts": [asdict(entry) for entry in self.entries.values()],
        }
        text = json.dumps(content, indent=1, ensure_ascii=True) + "\n"
        write_atomically(os.path.join(self._folder, MANIFEST_NAME), text.encode())


def _entry(content: dict[str, Any]) -> PartEntry:
    entry = PartEntry(**{**content, "fingerprint": InputFingerprint(**content["fingerprint"])})
    for name in (entry.part, entry.rejects, entry.state):
        if name is not None and (PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts):
            raise ValueError(f"the part {name!r} lies outside the folder")
    if not all(isinstance(entry.counts.get(name, 0), int) for name in COUNTS):
        raise ValueError(f"the counts of {entry.input!r} are no numbers")
    if not isinstance(entry.first_time, int | float | None):
        raise ValueError(f"the time of {entry.input!r} is no number")
    return entry


def options_fingerprint(options: Mapping[str, Any]) -> str:
    """Return the SHA-256 of options that are plain data."""
    return hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()


def part_names(files: list[str], suffix: str, known: Mapping[str, str]) -> dict[str, str]:
    """Return the name of each file's part: its path below the folder that all files share, and the suffix.

    Parameters
    ----------
    files
        Inputs.
    suffix
        Of the output's format.
    known
        Names that earlier runs gave to inputs; they stay, and are given to no other input.
    """
    folders = [os.path.dirname(os.path.abspath(path)) for path in files]
    shared = os.path.commonpath(folders) if folders else ""
    taken = set(known.values())
    names: dict[str, str] = {}
    for path in files:
        name = known.get(path)
        if name is None or not name.endswith(suffix):
            stem = os.path.relpath(os.path.abspath(path), shared)
            name, number = stem + suffix, 1
            while name in taken:
                number += 1
                name = f"{stem}-{number}{suffix}"
        taken.add(name)
        names[path] = name
    return names
