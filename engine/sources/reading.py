"""Whole inputs as a stream of parsed blocks, or as one frame of bounded size for training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.engine.errors import SourceError
from netsieve.engine.sources.formats import open_source
from netsieve.engine.sources.inputs import expand_inputs
from netsieve.engine.sources.source import (
    ANY_RECORD,
    BLOCK_BYTES,
    ColumnRequest,
    ParsedBlock,
    ReadOptions,
    Reject,
    Source,
    add_skipped,
)

SHOWN_COLUMNS: Final = 6
"""Columns that an error names."""
KEPT_REJECTS: Final = 1000
"""Rejects of which :func:`read_frame` keeps the details; the others are counted."""


def scan(
    inputs: Sequence[str],
    *,
    columns: ColumnRequest | None = None,
    options: ReadOptions | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[ParsedBlock]:
    """Yield the records of all inputs, block by block, in order, on the calling thread.

    Parameters as for :func:`netsieve.engine.sources.formats.open_source`; ``inputs`` as for
    :func:`netsieve.engine.sources.inputs.expand_inputs`.

    Raises
    ------
    SourceError
        An input cannot be read.
    """
    for path in expand_inputs(inputs):
        source = open_source(path, columns=columns, options=options, block_bytes=block_bytes)
        with closing(source):
            for block in source.blocks():
                yield source.parse(block)


@dataclass(frozen=True, slots=True)
class FrameRead:
    """What :func:`read_frame` read.

    Attributes
    ----------
    frame
        The records, in file order; a sample of them where there were more than asked for.
    rows_seen
        Records read without those rejected: the frame's height, or more where it is a sample.
    rejected, rejects
        Records that could not be read: how many, and the first :data:`KEPT_REJECTS` of them.
    skipped
        Lines that are no records, by reason.
    record_type
        What the records are, as the first file's source says.
    absent
        Columns that some files have and others lack, with the first file that lacks each.
    """

    frame: pl.DataFrame
    rows_seen: int
    rejected: int
    rejects: list[Reject]
    skipped: dict[str, int]
    record_type: str = ANY_RECORD
    absent: Mapping[str, str] = field(default_factory=dict)


def read_frame(
    inputs: Sequence[str],
    *,
    columns: ColumnRequest | None = None,
    options: ReadOptions | None = None,
    max_rows: int | None = None,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> FrameRead:
    """Read inputs into one frame.

    Parameters
    ----------
    inputs, columns, options, block_bytes
        As for :func:`scan`. Columns that one file has and another lacks are null there.
    max_rows
        Most rows to keep. Where there are more, a uniform random sample without replacement is kept, in file order;
        memory stays bounded by about twice as many.
    seed
        Of the sample.
    progress
        Called after each block with the bytes read for it.

    Raises
    ------
    SourceError
        An input cannot be read, ``max_rows`` is not positive, or the files hold different types of records with
        different columns.
    """
    if max_rows is not None and max_rows < 1:
        raise SourceError(f"max_rows is {max_rows}; expected at least 1")
    kept = _Sample(max_rows, seed)
    skipped: Counter[str] = Counter()
    rejects: list[Reject] = []
    rejected = rows_seen = 0
    empty: pl.DataFrame | None = None
    first = _FirstType()
    columns_seen: dict[str, str] = {}
    absent: dict[str, str] = {}
    for path in expand_inputs(inputs):
        source = open_source(path, columns=columns, options=options, block_bytes=block_bytes)
        with closing(source):
            wanted = [name for name in source.columns if columns is None or columns.wants(name)]
            first.check(source, wanted)
            new = [name for name in wanted if name not in columns_seen]
            absent.update({name: path for name in columns_seen if name not in wanted and name not in absent})
            absent.update({name: next(iter(columns_seen.values())) for name in new if columns_seen})
            columns_seen.update(dict.fromkeys(new, path))
            empty = empty if empty is not None else pl.DataFrame(schema=dict.fromkeys(wanted, pl.String))
            for block in source.blocks():
                parsed = source.parse(block)
                kept.add(parsed.frame)
                rows_seen += parsed.frame.height
                rejected += len(parsed.rejects)
                rejects += parsed.rejects[: KEPT_REJECTS - len(rejects)]
                add_skipped(skipped, parsed.skipped)
                if progress is not None:
                    progress(parsed.bytes_read)
    frame = kept.frame()
    return FrameRead(
        frame=frame if frame is not None else empty if empty is not None else pl.DataFrame(),
        rows_seen=rows_seen,
        rejected=rejected,
        rejects=rejects,
        skipped=dict(skipped),
        record_type=first.record_type,
        absent=absent,
    )


def reading_to_remember(options: ReadOptions, record_type: str) -> dict[str, Any]:
    """Return how records were read as far as a model of them depends on it, for ``[reading]`` of its schema."""
    content: dict[str, Any] = {}
    if options.home_networks:
        content["home_networks"] = list(options.home_networks)
    if record_type.startswith("pcap."):
        from netsieve.engine.sources.pcap import ACTIVE_TIMEOUT, FLOW_TYPES, IDLE_TIMEOUT, MAX_OPEN_FLOWS

        limits = {"idle_timeout": IDLE_TIMEOUT, "active_timeout": ACTIVE_TIMEOUT, "most_flows": MAX_OPEN_FLOWS}
        if record_type in FLOW_TYPES:
            asked = {name: getattr(options, name) for name in limits}
            content |= {name: limits[name] if value is None else value for name, value in asked.items()}
    if options.declared and record_type == ANY_RECORD:
        content["declared"] = dict(options.declared)
    return content


class _FirstType:
    """The record type and columns of the first file, which the others must fit."""

    def __init__(self) -> None:
        self.record_type = ANY_RECORD
        self._path: str | None = None
        self._columns: set[str] = set()

    def check(self, source: Source, wanted: Sequence[str]) -> None:
        """Raise :class:`SourceError` where a later file is of another type and lacks or adds columns."""
        if self._path is None:
            self._path, self.record_type, self._columns = source.name, source.record_type, set(wanted)
        elif source.record_type != self.record_type and (differing := self._columns.symmetric_difference(wanted)):
            shown = ", ".join(map(repr, sorted(differing)[:SHOWN_COLUMNS]))
            shown += ", ..." if len(differing) > SHOWN_COLUMNS else ""
            raise SourceError(
                f"'{source.name}' holds {source.record_type}, but '{self._path}' {self.record_type}, and their columns "
                f"differ ({shown}); give one type of records at a time"
            )


class _Sample:
    """The rows with the smallest random numbers: a uniform sample of known size from a stream of unknown length."""

    def __init__(self, size: int | None, seed: int) -> None:
        self._size = size
        self._random = np.random.default_rng(seed)
        self._frames: list[pl.DataFrame] = []
        self._keys: list[NDArray[np.float64]] = []
        self._rows = 0
        self._bound = 1.0

    def add(self, frame: pl.DataFrame) -> None:
        if not frame.height:
            return
        if self._size is not None:
            keys = self._random.random(frame.height)
            below = keys < self._bound
            if not below.all():
                frame, keys = _filtered(frame, below), keys[below]
            self._keys.append(keys)
        self._frames.append(frame)
        self._rows += frame.height
        if self._size is not None and self._rows > 2 * self._size:
            self._thin()

    def frame(self) -> pl.DataFrame | None:
        if self._size is not None and self._rows > self._size:
            self._thin()
        return _joined(self._frames) if self._frames else None

    def _thin(self) -> None:
        assert self._size is not None
        keys = np.concatenate(self._keys)
        self._bound = float(np.partition(keys, self._size)[self._size])  # drawn from [0, 1): ties do not happen
        below = keys < self._bound
        self._frames = [_filtered(_joined(self._frames), below)]
        self._keys = [keys[below]]
        self._rows = self._frames[0].height


def _filtered(frame: pl.DataFrame, rows: NDArray[np.bool_]) -> pl.DataFrame:
    """Return some rows of a frame. Their text is copied, as otherwise that of the other rows would stay in memory."""
    return frame.filter(rows).with_columns(pl.col(pl.String) + "")


def _joined(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Return frames below each other; a column that is integer here and float there is float."""
    if all(frame.schema == frames[0].schema for frame in frames):
        return pl.concat(frames, rechunk=True)
    return pl.concat([_without_empty_text(frame) for frame in frames], how="diagonal_relaxed", rechunk=True)


def _without_empty_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame whose text columns without any value are of no type, so that they take on that of others."""
    empty = [s.name for s in frame if s.dtype == pl.String and s.null_count() == frame.height]
    return frame.with_columns(pl.lit(None).alias(name) for name in empty) if empty else frame
