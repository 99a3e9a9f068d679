"""What a file scoring job did: records in, scored, rejected and skipped, anomalies, time and memory."""

from __future__ import annotations

import resource
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netsieve.engine.errors import NetsieveError
from netsieve.engine.sources.source import add_skipped

if TYPE_CHECKING:
    from netsieve.engine.scoring.block_scores import BlockResult


@dataclass(slots=True, kw_only=True)
class ScoreSummary:
    """Outcome of scoring files; ``rows_in = rows_scored + rows_rejected + rows_skipped``.

    Attributes
    ----------
    rows_in
        Records and blank or header lines read.
    rows_scored
        Records that have a score, written or not.
    rows_rejected
        Records that could not be read; they are in the rejects file.
    rows_skipped
        Lines that are no records of the wanted kind, by reason in ``skipped``.
    rows_written
        Records in the output: fewer than scored with ``only_anomalies``, ``top`` or ``min_score``.
    anomalies
        Scored records above the threshold.
    seconds
        From the start of the job to the finished output.
    rows_per_second
        Records in by seconds.
    peak_rss_bytes
        Largest resident memory of the process so far.
    skipped
        Skipped lines by reason.
    cells_emptied
        Cells of kept columns that were left empty, since they are not of the column's type in training, by column.
    files
        Number of input files.
    files_finished_before, files_failed
        Of a folder of parts: files that an earlier run had scored, and files that could not be scored.
    threshold, policy
        The threshold and the policy it stems from.
    backend
        What scored: ``native`` and its instruction set, or ``onnxruntime``.
    output
        Output file, ``"-"`` for standard output, or None where none was written.
    rejects
        Rejects file, or None where nothing was rejected.
    entities
        Ranking of entities, or None where none was asked for.
    notes
        What the reader should know about the output: renamed or absent columns.
    """

    rows_in: int = 0
    rows_scored: int = 0
    rows_rejected: int = 0
    rows_skipped: int = 0
    rows_written: int = 0
    anomalies: int = 0
    seconds: float = 0.0
    rows_per_second: float = 0.0
    peak_rss_bytes: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    cells_emptied: dict[str, int] = field(default_factory=dict)
    files: int = 0
    files_finished_before: int = 0
    files_failed: int = 0
    threshold: float = 0.0
    policy: str = ""
    backend: str = ""
    output: str | None = None
    rejects: str | None = None
    entities: str | None = None
    notes: list[str] = field(default_factory=list)

    def count(self, block: BlockResult[Any]) -> None:
        """Add a block's records."""
        self.rows_in += block.records
        self.rows_scored += block.scored
        self.rows_rejected += len(block.rejects)
        add_skipped(self.skipped, block.skipped)
        self.rows_skipped += sum(block.skipped.values())
        for column, cells in block.emptied.items():
            self.cells_emptied[column] = self.cells_emptied.get(column, 0) + cells

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain data for JSON."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """Return the summary as names and values to show."""
        skipped = ", ".join(f"{reason} {count:,}" for reason, count in self.skipped.items())
        share = f" ({self.anomalies / self.rows_scored:.3%})" if self.rows_scored else ""
        finished = f", {self.files_finished_before:,} finished before" if self.files_finished_before else ""
        failed = f", {self.files_failed:,} failed" if self.files_failed else ""
        return [
            ("records in", f"{self.rows_in:,} from {self.files:,} file{'s' * (self.files != 1)}{finished}{failed}"),
            ("scored", f"{self.rows_scored:,}"),
            ("rejected", f"{self.rows_rejected:,}" + (f", see {self.rejects}" if self.rejects else "")),
            ("skipped", f"{self.rows_skipped:,}" + (f" ({skipped})" if skipped else "")),
            ("anomalies", f"{self.anomalies:,}{share}"),
            ("threshold", f"{self.threshold:.6g} ({self.policy})"),
            *([("scored by", self.backend)] if self.backend else []),
            ("time", f"{self.seconds:.2f} s, {self.rows_per_second:,.0f} records/s"),
            ("peak memory", f"{self.peak_rss_bytes / 1e6:,.0f} MB"),
            ("written", f"{self.rows_written:,} records to {self.output}" if self.output else "nothing"),
            *([("entities", f"ranked in {self.entities}")] if self.entities else []),
        ]

    def check(self) -> None:
        """Raise :class:`NetsieveError` where records got lost or were counted twice, which is a bug."""
        accounted = self.rows_scored + self.rows_rejected + self.rows_skipped
        if self.rows_in != accounted:
            raise NetsieveError(
                f"records read ({self.rows_in:,}) are not scored ({self.rows_scored:,}) + rejected "
                f"({self.rows_rejected:,}) + skipped ({self.rows_skipped:,}); this is a bug, please report it"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTypeSummary:
    """What became of the events of one type; the fields are those of :class:`ScoreSummary`."""

    rows_scored: int
    rows_written: int
    anomalies: int
    threshold: float
    policy: str
    output: str | None
    entities: str | None


@dataclass(slots=True, kw_only=True)
class EventsSummary(ScoreSummary):
    """Outcome of scoring several event types in one pass: totals, and what became of each type.

    Attributes
    ----------
    event_types
        By event type. Events that could not be read are of no type, and only in the totals.
    output
        The folder of the outputs, or None where none was written.
    """

    event_types: dict[str, EventTypeSummary] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain data for JSON, without what each type has of its own."""
        own = ("threshold", "policy", "entities", "files_finished_before", "files_failed")
        return {name: value for name, value in asdict(self).items() if name not in own}

    def rows(self) -> list[tuple[str, str]]:
        """Return the summary as names and values to show."""
        rows = []
        for name, value in super(EventsSummary, self).rows():
            if name != "threshold":
                rows.append((name, value))
                continue
            for event_type, found in self.event_types.items():
                share = f" ({found.anomalies / found.rows_scored:.3%})" if found.rows_scored else ""
                rows.append(
                    (
                        f"of {event_type}",
                        f"{found.rows_scored:,} scored, {found.anomalies:,} anomalies{share}, threshold "
                        f"{found.threshold:.6g} ({found.policy})"
                        + (f", {found.rows_written:,} written to {found.output}" if found.output else "")
                        + (f", entities ranked in {found.entities}" if found.entities else ""),
                    )
                )
        return rows


def peak_rss_bytes() -> int:
    """Return the largest resident memory of this process so far, in bytes.

    On Linux taken from the process's own high-water mark: ``getrusage`` also counts the parent at the time of
    the fork.
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
