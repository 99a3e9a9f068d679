"""The scorer: a model file, loaded and ready to score frames, matrices, records and files."""

from __future__ import annotations

import math
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from netsieve.engine.errors import DeviceError, EncodeError, ForkError, SchemaError, StateError, ThresholdError
from netsieve.engine.features.encoding import Encoder, write_rows
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.features.stage import NeighbourStage
from netsieve.engine.features.state import FeatureState
from netsieve.engine.features.window_stage import RecordWindows, WindowStage
from netsieve.engine.processors import available_processors
from netsieve.engine.scoring.backend import Device
from netsieve.engine.scoring.backend_choice import BackendName, chosen_backend
from netsieve.engine.scoring.cuda_backend import GPU_BATCH, placement
from netsieve.engine.scoring.model_file import ModelFile
from netsieve.engine.scoring.top_features import TOP_FEATURES, TOP_FEATURES_TYPE, FeatureDeviation, TopFeatures, spread
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.engine.thresholds.policy import Policy, parse_policy
from netsieve.engine.workers import Workers

if TYPE_CHECKING:
    from netsieve.engine.scoring.summary import ScoreSummary

ACTIVATION_BYTES: Final = 512 * 1024
"""Bytes of the widest activation of a batch: a few of them stay in a core's L2 cache. Measured: at 10, 41 and
115 features 2,048, 2,048 and 1,024 rows are best, and 8,192 rows are 10 to 25 % slower."""
LARGEST_BATCH: Final = 2048
BATCH_STEP: Final = 64
"""Batch sizes are multiples of this: vectorised sums round by a row's place in a block, so that batches cut
elsewhere would change last digits (by 3e-7 of a score at most)."""
THREADED_ROWS: Final = 16_384
"""Rows from which a frame or matrix is scored on several threads; below, starting them costs more than they save."""
LAZY_CHUNK_ROWS: Final = 131_072
"""Rows of a lazy frame that are in memory at once."""
WINDOW_ROWS: Final = 65_536
"""Rows of a frame whose windows are found at once."""


class OneScore(NamedTuple):
    """Score and decision of one record, and, if asked for, the features that make it what it is."""

    anomaly_score: float
    is_anomaly: bool
    top_features: tuple[FeatureDeviation, ...] | None = None


class _ScoredTable(NamedTuple):
    """Records with all features, their windows where the model takes such, and their scores."""

    table: pl.DataFrame
    windows: RecordWindows | None
    scores: NDArray[np.float32]


class Scorer:
    """Scores records with one model file. Thread-safe, and picklable: a copy is made anew in another process.

    Parameters
    ----------
    model
        Path of the model file, or one that has been read (:class:`~netsieve.engine.scoring.model_file.ModelFile`).
    device
        ``"cpu"`` or ``"cuda"``. A model with decision trees stays on the CPU, see ``device_note``.
    backend
        ``"native"`` for netsieve's own kernels, which compute the graphs of some detectors, and faster;
        ``"onnxruntime"``, which computes all; or ``"auto"``, which takes native kernels where there are any that give
        the model's probe rows the scores stored with them.
    threads
        Threads that large frames and matrices are scored on; 0 for one a processor. Batches are the same
        whatever their number, and so are the scores. With a GPU they encode, and two at a time use it.
    batch_size
        Rows scored at once, rounded up to a multiple of 64; by default chosen by the width of the model.
    max_queued_batches
        Blocks of records that a file scoring job may hold beyond those that its threads work on.

    Raises
    ------
    ModelFileError
        The file is absent, damaged, no netsieve model, or gives other scores than are stored in it.
    DeviceError
        The device or the backend is not there.

    Attributes
    ----------
    device
        Where it scores.
    device_note
        Why that is another device than was asked for; None where it is not.
    stage
        Computes the model's neighbour features; None where it has none.
    windows
        Finds the windows that the model takes; None where it takes single records.

    Examples
    --------
    >>> scorer = Scorer("autoencoder.onnx")  # doctest: +SKIP
    >>> scorer.score(frame).filter(pl.col("is_anomaly"))  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | ModelFile,
        *,
        device: Device = "cpu",
        backend: BackendName = "auto",
        threads: int = 0,
        batch_size: int | None = None,
        max_queued_batches: int = 2,
    ) -> None:
        if device not in ("cpu", "cuda"):
            raise DeviceError(f"device {device!r} is not known; it is 'cpu' or 'cuda'")
        _check_at_least("threads", threads, 0)
        _check_at_least("batch_size", 1 if batch_size is None else batch_size, 1)
        _check_at_least("max_queued_batches", max_queued_batches, 0)
        self._options = {
            "device": device,
            "backend": backend,
            "threads": threads,
            "batch_size": batch_size,
            "max_queued_batches": max_queued_batches,
        }
        self.model_file = model if isinstance(model, ModelFile) else ModelFile.read(model)
        self.max_queued_batches = max_queued_batches
        self.device, self.device_note = placement(self.model_file, device)
        self.threads = threads or available_processors()
        chosen = batch_size or _best_batch_size(self.model_file, self.device)
        self.batch_size = -(-chosen // BATCH_STEP) * BATCH_STEP
        self._process = os.getpid()
        self._encoder = Encoder(self.model_file.schema)
        neighbours = self.model_file.schema.neighbours
        self.stage = None if neighbours is None else NeighbourStage(neighbours)
        layout = self.model_file.schema.window_layout
        self.windows = None if layout is None else WindowStage(layout)
        self._warned = False
        self._backend = chosen_backend(self.model_file, self.device, backend, self.batch_size)
        self._set_threshold(self.model_file.default_policy)

    def __reduce__(self) -> tuple[Callable[..., Scorer], tuple[ModelFile, dict[str, Any], str, float]]:
        return _restored, (self.model_file, self._options, self._policy, self._threshold)

    def __repr__(self) -> str:
        return f"<Scorer {self.detector} of {self.model_file.name!r}, threshold {self._policy} = {self._threshold:.6g}>"

    @property
    def schema(self) -> FeatureSchema:
        """Features that the model takes."""
        return self.model_file.schema

    @property
    def calibration(self) -> Calibration:
        """Distribution of the scores of the calibration records."""
        return self.model_file.calibration

    @property
    def provenance(self) -> dict[str, Any]:
        """When, from what and how the model was trained."""
        return self.model_file.provenance

    @property
    def detector(self) -> str:
        """Name of the detector type."""
        return self.model_file.detector

    @property
    def backend_name(self) -> str:
        """Name of the backend that scores: ``"native"`` or ``"onnxruntime"``."""
        return self._backend.name

    @property
    def backend_description(self) -> str:
        """The backend that scores, for people: ``native (avx512)`` or ``onnxruntime``."""
        return self._backend.description

    @property
    def threshold(self) -> float:
        """The score above which a record is an anomaly: a float32 number, so that any precision compares alike."""
        return self._threshold

    @property
    def threshold_policy(self) -> str:
        """The policy that the threshold comes from, like ``fpr:0.001``, or ``score:1.25`` for a threshold given."""
        return self._policy

    def with_threshold(self, policy: str | Policy | float) -> Scorer:
        """Return a scorer with another threshold, which shares everything else with this one.

        Parameters
        ----------
        policy
            A policy (``"fpr:0.001"``, ``"percentile:95"``), the name of a threshold in the model file (``"f1"``),
            or a score.

        Raises
        ------
        ThresholdError
            There is no such policy, or the calibration cannot support it.
        """
        # copy.copy would make a new session, as pickle does
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._set_threshold(policy)
        return other

    @property
    def is_stateful(self) -> bool:
        """Whether a record's score depends on those before it: the model has neighbour features, or takes windows."""
        return self.stage is not None or self.windows is not None

    @property
    def depends_on(self) -> str:
        """What makes a record's score depend on those before it, in words; empty where nothing does."""
        declared = {"neighbour features": self.stage, "windows of several records": self.windows}
        return " and ".join(name for name, stage in declared.items() if stage is not None)

    def new_state(self) -> FeatureState:
        """Return a state that knows nothing yet, for a model with neighbour features or windows.

        Raises
        ------
        StateError
            The model has neither.
        """
        if not self.is_stateful:
            raise StateError(f"{self.model_file.name} has no neighbour features and takes no state; leave it out")
        return FeatureState(self.schema.neighbours, self.schema.window_layout)

    def load_state(self, path: str | os.PathLike[str]) -> FeatureState:
        """Read a state from a file that :meth:`~netsieve.engine.features.state.FeatureState.save` wrote.

        Raises
        ------
        StateError
            There is no such file, it is damaged or another model's, or the model takes no state.
        """
        self.new_state()  # raises where the model takes none
        return FeatureState.load(path, self.schema.neighbours, self.schema.window_layout)

    def score(self, frame: Any, *, state: FeatureState | None = None, top_features: int | None = None) -> pl.DataFrame:
        """Score the records of a frame.

        Parameters
        ----------
        frame
            Polars DataFrame or LazyFrame (collected piece by piece), or any object with the Arrow C stream
            interface: pandas DataFrame, pyarrow Table, DuckDB relation. It has at least the columns that the schema
            reads (``schema.input_columns``).
        state
            For a model with neighbour features or windows: what is known of the hosts so far. The frame's records
            come after those seen with it, and it is updated. Without one nothing is known at the frame's first record.
        top_features
            Say of each anomaly which features make it one, so many of them
            (:mod:`netsieve.engine.scoring.top_features`).

        Returns
        -------
        polars.DataFrame
            ``anomaly_score`` (Float32) and ``is_anomaly`` (Boolean), one row for each record, in order; if asked for
            also ``top_features``: of anomalies a list of structures with ``feature``, ``value`` and ``typical`` (text)
            and ``z`` (Float32), the largest z first, and null of the others.

        Raises
        ------
        MissingColumnError
            The frame lacks columns; all of them are named.
        EncodeError
            A cell cannot be encoded; the column and the first rows are named.
        StateError
            The state belongs to another model, or the model takes none.
        ModelFileError
            Top features are asked for, and the model does not tell each feature's part of the score.
        TypeError
            This is no frame.
        """
        named = None if top_features is None else TopFeatures(self, top_features)
        scores, top = [np.empty(0, np.float32)], [pl.Series(TOP_FEATURES, [], dtype=TOP_FEATURES_TYPE)]
        for scored in self._scored_tables(frame, None, state):
            scores.append(scored.scores)
            if named is not None:
                rows = np.flatnonzero(scored.scores > np.float32(self._threshold))
                top.append(spread(named.of_rows(scored.table, rows, scored.windows), rows, len(scored.scores)))
        joined = np.concatenate(scores)
        result = pl.DataFrame({"anomaly_score": joined, "is_anomaly": joined > np.float32(self._threshold)})
        return result if named is None else result.with_columns(pl.concat(top))

    def anomaly_scores(
        self, frame: Any, *, threads: int | None = None, state: FeatureState | None = None
    ) -> NDArray[np.float32]:
        """Return the scores of a frame's records alone, float32 ``[n]``; see :meth:`score`.

        Parameters
        ----------
        frame, state
            As in :meth:`score`.
        threads
            Instead of the scorer's own number: 1 for callers that have their own threads.
        """
        parts = [scored.scores for scored in self._scored_tables(frame, threads, state)]
        return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.float32), *parts])

    def _scored_tables(self, frame: Any, threads: int | None, state: FeatureState | None) -> Iterator[_ScoredTable]:
        """Return a frame's records piece by piece, in order, with their scores."""
        self._check_process()
        tables: Iterable[pl.DataFrame]
        if isinstance(frame, pl.LazyFrame):
            names = frame.collect_schema().names()
            wanted = [name for name in names if name in set(self.schema.input_columns)]
            tables = frame.select(wanted).collect_batches(chunk_size=LAZY_CHUNK_ROWS, maintain_order=True)
        else:
            tables = [_polars_frame(frame)]
        state = self._state_or_new(state)
        return (scored for table in tables for scored in self._scored_parts(table, threads, state))

    def _scored_parts(
        self, table: pl.DataFrame, threads: int | None, state: FeatureState | None
    ) -> Iterator[_ScoredTable]:
        if self.stage is not None:
            table = self.stage.apply(table, state=state)
        if self.windows is None or state is None:
            yield _ScoredTable(table, None, self.computed_scores(table, threads=threads))
            return
        seen, columns = self.windows.prepare(table), self._encoder.column_arrays(table)
        for start in range(0, table.height, WINDOW_ROWS):
            rows = slice(start, min(start + WINDOW_ROWS, table.height))
            x = np.empty((rows.stop - start, len(columns)), dtype=np.float32)
            write_rows(columns, start, x)
            windows = self.windows.update(seen[rows], x, state)
            yield _ScoredTable(table[rows], windows, self.window_scores(windows, threads=threads))

    def computed_scores(self, table: pl.DataFrame, *, threads: int | None = None) -> NDArray[np.float32]:
        """Return the scores of a frame that has all features, the computed ones among them, float32 ``[n]``."""
        self._check_process()
        columns = self._encoder.column_arrays(table)

        def score_batches(starts: Iterable[int], scores: NDArray[np.float32]) -> None:
            size = min(self.batch_size, len(scores))
            score = self._backend.column_scores(columns, size)
            for start in starts:
                stop = min(start + size, len(scores))
                scores[start:stop] = score(start, stop)

        return self._all_scores(table.height, score_batches, threads)

    def encode(self, table: pl.DataFrame) -> NDArray[np.float32]:
        """Return the raw matrix of a frame that has all features, float32 ``[n, n_features]``.

        Computed features that the frame lacks are missing; :meth:`with_computed` puts them in.
        """
        computed = () if self.stage is None else self.stage.declaration.columns
        lacking = [pl.lit(None, pl.Float32).alias(name) for name in computed if name not in table.columns]
        return self._encoder.encode(table.with_columns(lacking))

    def with_computed(self, x: NDArray[np.float32], computed: Iterable[pl.Series]) -> NDArray[np.float32]:
        """Return the raw matrix with computed features written into their places."""
        for column in computed:
            self._encoder.write_column(column, x)
        return x

    def window_scores(self, windows: RecordWindows, *, threads: int | None = None) -> NDArray[np.float32]:
        """Return the scores of records whose windows were found, float32 ``[n]``."""
        self._check_process()

        def score_batches(starts: Iterable[int], scores: NDArray[np.float32]) -> None:
            x = np.empty((min(self.batch_size, len(scores)), *self.schema.row_shape), dtype=np.float32)
            for start in starts:
                batch = x[: len(scores) - start]
                windows.write(np.arange(start, start + len(batch)), batch)
                scores[start : start + len(batch)] = self._backend.score(batch)

        return self._all_scores(len(windows), score_batches, threads)

    def score_matrix(self, x: ArrayLike, *, threads: int | None = None) -> NDArray[np.float32]:
        """Return the scores of a raw matrix, float32 ``[n]``.

        Parameters
        ----------
        x
            ``[n, n_features]`` in the order of :attr:`schema`, raw units, NaN for missing, categories as codes;
            what :meth:`netsieve.engine.features.encoding.Encoder.encode` returns. For a model of windows ``[n, window,
            n_features]``, the record's own row last and rows of NaN before the first. float32 in C order is taken as
            it is; float64, integers and other orders are copied batch by batch.
        threads
            Instead of the scorer's own number.

        Raises
        ------
        SchemaError
            The shape or the type does not fit.
        """
        self._check_process()
        matrix = self._checked_matrix(x)

        def score_batches(starts: Iterable[int], scores: NDArray[np.float32]) -> None:
            for start in starts:
                with np.errstate(over="ignore"):
                    batch = np.ascontiguousarray(matrix[start : start + self.batch_size], dtype=np.float32)
                scores[start : start + len(batch)] = self._backend.score(batch)

        return self._all_scores(len(matrix), score_batches, threads)

    def score_one(
        self, record: Mapping[str, Any], *, state: FeatureState | None = None, top_features: int | None = None
    ) -> OneScore:
        """Score one record, with low latency.

        Parameters
        ----------
        record
            A value for each column that the schema reads, None where it is missing; other keys are left alone.
        state
            As in :meth:`score`. A model with neighbour features or windows must have it.
        top_features
            Say which features make the score what it is, so many of them, be it high or low.

        Returns
        -------
        OneScore
            ``anomaly_score``, ``is_anomaly``, and ``top_features``, a tuple of
            :class:`~netsieve.engine.scoring.top_features.FeatureDeviation`, or None.

        Raises
        ------
        MissingColumnError
            The record lacks features; all of them are named.
        EncodeError
            A value cannot be held by its feature.
        StateError
            The model has neighbour features or windows and there is no state, or one of another model.
        ModelFileError
            Top features are asked for, and the model does not tell each feature's part of the score.
        """
        self._check_process()
        named = None if top_features is None else TopFeatures(self, top_features)
        if self.is_stateful or state is not None:
            record = self._with_neighbours(record, state)
        x = np.empty((1, len(self.schema.features)), dtype=np.float32)
        self._encoder.encode_record(record, x)
        if self.windows is not None and state is not None:
            seen = self.windows.prepare(_one_row(record, self.windows.layout.windows.input_columns))
            x = self.windows.update(seen, x, state).windows()
        score = float(self._backend.score(x)[0])
        return OneScore(score, score > self._threshold, None if named is None else named.of_record(record, x))

    def feature_error(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return each feature's part of the scores of a raw matrix or of windows, float32, shaped as ``x``.

        Raises
        ------
        ModelFileError
            The model does not tell them.
        SchemaError
            The shape or the type does not fit.
        """
        self._check_process()
        with np.errstate(over="ignore"):
            matrix = np.ascontiguousarray(self._checked_matrix(x), dtype=np.float32)
        return self._backend.feature_error(matrix)

    def score_file(self, inputs: str | Sequence[str], output: str, **options: Any) -> ScoreSummary:
        """Score files into a file; parameters and errors as :func:`netsieve.engine.scoring.files.score_files`.

        Parameters
        ----------
        inputs
            File, folder or pattern, or several of them; ``"-"`` is standard input.
        output
            Output file.
        **options
            Passed on.
        """
        from netsieve.engine.scoring.files import score_files

        self._check_process()
        return score_files(self, [inputs] if isinstance(inputs, str) else inputs, output, **options)

    def score_folder(self, inputs: str | Sequence[str], folder: str, **options: Any) -> ScoreSummary:
        """Score each file into a part in a folder; as :func:`netsieve.engine.scoring.folder.score_folder`.

        Parameters
        ----------
        inputs
            File, folder or pattern, or several of them.
        folder
            Output folder.
        **options
            Passed on.
        """
        from netsieve.engine.scoring.folder import score_folder

        self._check_process()
        return score_folder(self, [inputs] if isinstance(inputs, str) else inputs, folder, **options)

    def _checked_matrix(self, x: ArrayLike) -> NDArray[Any]:
        matrix = np.asarray(x)
        shape = self.schema.row_shape
        if matrix.shape[1:] != shape or not matrix.ndim:
            expected = ", ".join(map(str, shape))
            raise SchemaError(f"the matrix has the shape {list(matrix.shape)}, where [n, {expected}] is expected")
        if matrix.dtype.kind not in "fiub":
            raise SchemaError(f"the matrix is of {matrix.dtype}, where float32 is expected; encode frames with Encoder")
        return matrix

    def _state_or_new(self, state: FeatureState | None) -> FeatureState | None:
        if not self.is_stateful:
            if state is not None:
                self.new_state()  # raises
            return None
        if state is None:
            if not self._warned:
                warnings.warn(
                    f"{self.model_file.name} has {self.depends_on} and no state was given: nothing is known at the "
                    "first record; pass state=scorer.new_state(), and the same one for what follows",
                    stacklevel=4,
                )
                self._warned = True
            return self.new_state()
        return state

    def _with_neighbours(self, record: Mapping[str, Any], state: FeatureState | None) -> Mapping[str, Any]:
        if state is None or not self.is_stateful:
            self.new_state()  # raises where the model takes none
            raise StateError(
                f"{self.model_file.name} has {self.depends_on}, which one record alone does not have; pass "
                "state=scorer.new_state(), and the same one for what follows"
            )
        if self.stage is None:
            return record
        computed = self.stage.apply(_one_row(record, self.stage.declaration.input_columns), state=state)
        return {**record, **computed.select(self.stage.declaration.columns).row(0, named=True)}

    def _all_scores(
        self,
        rows: int,
        score_batches: Callable[[Iterable[int], NDArray[np.float32]], None],
        threads: int | None,
    ) -> NDArray[np.float32]:
        """Return the scores that ``score_batches`` writes, on as many threads as the rows are worth."""
        scores = np.empty(rows, dtype=np.float32)
        starts = range(0, rows, self.batch_size)
        workers = min(self.threads if threads is None else threads, len(starts))
        if workers < 2 or rows < THREADED_ROWS:
            score_batches(starts, scores)
            return scores
        # Each thread takes the next batch when it is free: a slow core holds up one batch, not half of the work
        left = deque(starts)

        def next_starts() -> Iterable[int]:
            with suppress(IndexError):
                while True:
                    yield left.popleft()

        pool = Workers(lambda _: score_batches(next_starts(), scores), iter(range(workers)), threads=workers, waiting=0)
        try:
            for _ in pool.results():
                pass
        finally:
            # The batches at hand are waited for: a thread that computes without the interpreter must not outlive it
            left.clear()
            pool.stop()
        return scores

    def _set_threshold(self, policy: str | Policy | float) -> None:
        if isinstance(policy, str | Policy):
            text = str(policy)
            stored = self.model_file.thresholds
            if text not in stored:
                parsed = parse_policy(text) if isinstance(policy, str) else policy
                text = str(parsed)
                if text not in stored:
                    self._policy, self._threshold = text, parsed.threshold(self.calibration)
                    return
            self._policy, self._threshold = text, _float32_below(stored[text])
            return
        value = float(policy)
        if not math.isfinite(value):
            raise ThresholdError(f"the threshold {value} is not finite; give a score, or a policy like 'fpr:0.001'")
        self._policy, self._threshold = f"score:{value!r}", _float32_below(value)

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise ForkError(
                "this scorer was made before the process was forked, and its runtime does not survive that; make the "
                "Scorer in the child process, or start processes with multiprocessing's 'spawn' or 'forkserver'"
            )


def _restored(model: ModelFile, options: dict[str, Any], policy: str, threshold: float) -> Scorer:
    scorer = Scorer(model, **options)
    scorer._policy, scorer._threshold = policy, threshold
    return scorer


def _check_at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{name} is {value}, where at least {least} is expected")


def _one_row(record: Mapping[str, Any], names: Iterable[str]) -> pl.DataFrame:
    """Return those of a record's columns that it has, as a frame."""
    return pl.DataFrame({name: [record[name]] for name in names if name in record}, strict=False)


def _best_batch_size(model: ModelFile, device: Device) -> int:
    steps = math.prod(model.schema.row_shape) // model.n_features
    if device == "cuda":
        return max(GPU_BATCH // steps, BATCH_STEP)
    # Weights and look-up tables have a column for each of what they put out; a table's rows are no activation
    widest = max((array.shape[1] for array in model.initializers.values() if array.ndim == 2), default=1)
    rows = ACTIVATION_BYTES // (4 * max(widest, model.n_features) * steps)
    return int(np.clip(2 ** (max(rows, 1).bit_length() - 1), BATCH_STEP, LARGEST_BATCH))


def _float32_below(value: float) -> float:
    """Return the largest float32 number that is not above ``value``: the same float32 scores lie above both."""
    largest = float(np.finfo(np.float32).max)
    rounded = np.float32(min(max(value, -largest), largest))
    return float(rounded if float(rounded) <= value else np.nextafter(rounded, np.float32(-np.inf)))


def _polars_frame(frame: Any) -> pl.DataFrame:
    if isinstance(frame, pl.DataFrame):
        return frame
    if not hasattr(frame, "__arrow_c_stream__"):
        hint = "; score_matrix takes arrays" if isinstance(frame, np.ndarray) else ""
        hint = "; score_one takes a single record" if isinstance(frame, Mapping) else hint
        raise TypeError(
            f"a frame is expected (Polars, pandas, pyarrow, DuckDB, or another with the Arrow C stream interface), got "
            f"{type(frame).__module__}.{type(frame).__qualname__}{hint}"
        )
    try:
        return pl.DataFrame(frame)
    except Exception as error:  # whatever the foreign library raises for a column that Arrow cannot hold
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise EncodeError(
            f"the frame cannot be read through the Arrow interface ({reason}); fix its columns"
        ) from error
