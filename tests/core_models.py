"""Model files of any core, in memory, and the comparisons that a native plan of one must stand."""

import numpy as np

from netsieve.engine.detectors.core import explained_part, side, view_columns
from netsieve.engine.features.preprocessing import feature_selection
from netsieve.engine.scoring.model_file import ModelFile
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.export.cores import core_model
from netsieve.export.metadata import add_metadata
from netsieve.kernels._native import scoring_variants

TOLERANCE = 1e-5
"""Of reference and median score, as for onnxruntime."""
VARIANTS = scoring_variants()


def reference_scores(core, schema, x):
    return core.score(view_columns(core.view, schema, x))


def reference_errors(core, schema, x):
    part = explained_part(core)
    columns = (
        side(part.view, view_columns(core.view, schema, x)) if part is not core else view_columns(core.view, schema, x)
    )
    return part.column_errors(columns) @ feature_selection(schema).astype(np.float64)


def core_onnx(core, schema, x):
    """Return the model file of a core as an ONNX message, calibrated with the rows."""
    scores = reference_scores(core, schema, x)
    calibration = Calibration.fit(scores, x, None, schema)
    threshold = float(np.float32(np.quantile(scores, 0.95)))
    model = core_model(core, schema)
    add_metadata(
        model,
        detector="nearest",
        schema=schema,
        calibration=calibration,
        thresholds={"percentile:95": threshold, "default": "percentile:95"},
        provenance={},
    )
    return model


def core_model_file(core, schema, x) -> ModelFile:
    return ModelFile(core_onnx(core, schema, x).SerializeToString(), "model.onnx")


def assert_within_tolerance(scores, reference, median):
    assert scores.shape == reference.shape
    allowed = TOLERANCE * (np.abs(reference) + abs(median))
    error = np.abs(scores - reference)
    worst = int(np.argmax(error - allowed))
    assert (error <= allowed).all(), (worst, scores.flat[worst], reference.flat[worst])
