"""The model file of a trained detector: built, checked, then written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from netsieve.engine.detectors.core import Core
from netsieve.engine.errors import ExportError, ParityError
from netsieve.engine.features.schema import LARGEST_NUMBER, FeatureSchema
from netsieve.engine.sinks.atomic import write_atomically
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.export.cores import core_model
from netsieve.export.graph import SCORE, Graph
from netsieve.export.metadata import add_metadata
from netsieve.export.parity import ParityReport, check_parity, hard_rows, hard_windows, score_function

if TYPE_CHECKING:
    import polars as pl


class ScoringDetector(Protocol):
    """What export needs of a trained detector."""

    schema: FeatureSchema | None
    core: Core | None

    @property
    def name(self) -> str:
        """Its name in the registry of detectors."""
        ...

    def reference_score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the scores of encoded records in float64 arithmetic, ``[n]``."""
        ...


def write_model(
    detector: ScoringDetector,
    path: str | os.PathLike[str],
    *,
    schema: FeatureSchema,
    calibration: Calibration,
    thresholds: Mapping[str, float | str],
    provenance: Mapping[str, Any],
    parity_rows: NDArray[np.float32],
) -> ParityReport:
    """Export a trained detector to one ONNX model file.

    Parameters
    ----------
    detector
        Trained detector.
    path
        File to write. It appears only when complete and checked; a file of that name is replaced.
    schema
        The fitted schema the detector was trained with.
    calibration
        Of the detector's scores.
    thresholds
        Named thresholds, and ``"default"`` with the name of one of them.
    provenance
        Where the model comes from; plain JSON values.
    parity_rows
        float32 ``[n, n_features]``, held-out records, or ``[n, window, n_features]``, windows of them; the exported
        graph is compared with the detector on these, and on hard rows made from them
        (:func:`netsieve.export.parity.hard_rows`, :func:`netsieve.export.parity.hard_windows`).

    Returns
    -------
    ParityReport
        How closely the graph follows the detector.

    Raises
    ------
    ExportError
        No graph can be built of this detector. Nothing is written.
    ParityError
        The graph does not reproduce the detector's scores. Nothing is written.
    OutputError
        The file cannot be written.
    """
    if detector.core is None:
        raise ExportError(
            f"the {detector.name} detector is not trained; call fit, or load weights, before exporting it"
        )
    check_schema(schema)
    if detector.schema is not None and detector.schema != schema:
        raise ExportError("the detector was trained with another schema; export it with its own")
    model = core_model(detector.core, schema)
    add_metadata(
        model,
        detector=detector.name,
        schema=schema,
        calibration=calibration,
        thresholds=thresholds,
        provenance=provenance,
    )
    return check_and_write(
        model,
        path,
        detector.reference_score,
        schema=schema,
        calibration=calibration,
        thresholds=thresholds,
        parity_rows=parity_rows,
    )


def check_schema(schema: FeatureSchema) -> None:
    """Raise ExportError where no graph can be built for the schema: it has no features, or is not fitted."""
    if not schema.features:
        raise ExportError("the schema has no features; a model needs at least one")
    if not schema.fitted:
        raise ExportError("the schema is not fitted; call netsieve.engine.features.inference.fit_schema first")


def encoded_rows(schema: FeatureSchema, rows: pl.DataFrame | NDArray[np.float32]) -> NDArray[np.float32]:
    """Return calibration rows as the encoded matrix, float32 ``[n, n_features]``, or raise ExportError."""
    if isinstance(rows, np.ndarray):
        x = np.asarray(rows, dtype=np.float32)
    else:
        from netsieve.engine.features.encoding import Encoder

        x = Encoder(schema).encode(rows)
    if x.ndim != 2 or x.shape[1] != len(schema.features) or not len(x):
        raise ExportError(
            f"calibration rows have shape {list(x.shape)}; expected records of the schema, "
            f"[n, {len(schema.features)}] with n above 0"
        )
    return x


def finite_scores(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scores within float32's range, the largest for NaN: what :func:`add_finite_score` does."""
    clipped = np.clip(scores, -LARGEST_NUMBER, LARGEST_NUMBER)
    return np.where(np.isnan(scores), np.float64(np.float32(LARGEST_NUMBER)), clipped)


def add_finite_score(graph: Graph, score: str) -> None:
    """Add the node ``score``: the scores kept within float32's range, the largest for NaN."""
    largest = graph.constant("largest_score", LARGEST_NUMBER)
    lowest = graph.constant("lowest_score", -LARGEST_NUMBER)
    clipped = graph.node("Clip", score, lowest, largest, name="clipped_score")
    undefined = graph.node("IsNaN", score, name="undefined_score")
    graph.node("Where", undefined, largest, clipped, name=SCORE)


def check_and_write(
    model: onnx.ModelProto,
    path: str | os.PathLike[str],
    reference_score: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    *,
    schema: FeatureSchema,
    calibration: Calibration,
    thresholds: Mapping[str, float | str],
    parity_rows: NDArray[np.float32],
    with_hard_rows: bool = True,
) -> ParityReport:
    """Check a finished model against its reference and write it; parameters and errors as in :func:`write_model`."""
    shape = input_shape(model)
    if schema.windows is not None and shape != schema.row_shape:
        raise ExportError(
            f"the detector takes {list(shape)} for a record, and the schema's windows are {list(schema.row_shape)}; "
            "train it on windows of the schema"
        )
    if parity_rows.shape[1:] != shape or not len(parity_rows):
        expected = ", ".join(["n", *map(str, shape)])
        raise ExportError(f"parity rows have shape {parity_rows.shape}; expected held-out records, [{expected}]")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the exported graph is not valid ONNX ({_first_line(error)})") from error
    content = model.SerializeToString()
    x = np.asarray(parity_rows, dtype=np.float32)
    hard = hard_rows(schema, x) if x.ndim == 2 else hard_windows(schema, x)
    if with_hard_rows:
        x = np.concatenate([x, hard])
    elif not np.isfinite(score_function(content)(hard)).all():
        raise ExportError("the exported graph gives a score that is not finite for missing or extreme values")
    report = check_parity(content, x, reference_score(x), calibration, thresholds)
    _check_probes(content, calibration)
    write_atomically(os.fspath(path), content)
    return report


def input_shape(model: onnx.ModelProto) -> tuple[int, ...]:
    """Return the fixed dimensions of a model's input: all but the first."""
    dimensions = model.graph.input[0].type.tensor_type.shape.dim
    return tuple(dimension.dim_value for dimension in dimensions)[1:]


def _check_probes(content: bytes, calibration: Calibration) -> None:
    """Raise where the graph does not give the stored scores of the probe rows: backends are checked against them."""
    if not len(calibration.probe_rows):
        return
    scores = score_function(content)(calibration.probe_rows)
    error = np.abs(scores - calibration.probe_scores.astype(np.float64))
    allowed = 2e-5 * (np.abs(calibration.probe_scores) + abs(calibration.median))
    if not (error <= allowed).all():
        row = int(np.argmax(error - allowed))
        raise ParityError(
            f"the calibration's probe row {row} has the score {calibration.probe_scores[row]:.8g}, the exported graph "
            f"gives {scores[row]:.8g}; calibrate with the detector that is exported"
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
