"""A small detector of windows, for what stands around detectors: how far the records before are from the last one."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from netsieve.engine.detectors.parameters import DetectorParameters
from netsieve.engine.detectors.registry import DetectorEntry
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.inference import fit_schema
from netsieve.engine.features.state import FeatureState
from netsieve.engine.features.window_stage import WindowStage
from netsieve.engine.features.windows import Windows
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.engine.thresholds.policy import parse_policy
from netsieve.engine.training.data import inferred_schema
from netsieve.export.graph import FEATURE_ERROR, SCORE, CoreOutputs
from netsieve.export.model import write_model

LIMIT = 100.0
OWN_SHARE = 0.9


@dataclass(frozen=True)
class MeanDifference:
    """Mean over the rows of a window, padding left out, of the absolute differences to the last one."""

    view: ClassVar[str] = "prepared"
    weight: np.ndarray
    window: int

    def row_errors(self, x):
        """Return each number's part of the score, float64 ``[n, window, n_features]``."""
        missing = np.isnan(x)
        z = np.where(missing, 0.0, np.clip(x.astype(np.float64), -LIMIT, LIMIT)) * self.weight
        valid = ~missing.all(axis=2, keepdims=True)
        difference = np.abs(z - OWN_SHARE * z[:, -1:]) * valid
        return difference / np.maximum(valid.sum(axis=1, keepdims=True), 1)

    def score(self, x):
        return self.row_errors(x).sum(axis=(1, 2))


def add_mean_difference(graph, columns, core):
    """Add the nodes of :class:`MeanDifference`, which takes the raw windows."""
    missing = graph.node("IsNaN", "x", name="missing")
    low, high = graph.constant("low", -LIMIT), graph.constant("high", LIMIT)
    clipped = graph.node("Clip", "x", low, high, name="clipped")
    filled = graph.node("Where", missing, graph.constant("zero", 0.0), clipped, name="filled")
    z = graph.node("Mul", filled, graph.constant("weight", core.weight), name="z")
    present = graph.node("Cast", graph.node("Not", missing, name="present"), name="present_numbers", to=1)
    features, steps = graph.constant("features", np.array([2])), graph.constant("steps", np.array([1]))
    valid = graph.node("ReduceMax", present, features, name="valid", keepdims=1)
    last = graph.node(
        "Slice",
        z,
        graph.constant("last", np.array([-1])),
        graph.constant("end", np.array([2**31])),
        steps,
        name="last_row",
    )
    share = graph.node("Mul", last, graph.constant("own_share", OWN_SHARE), name="share")
    difference = graph.node("Abs", graph.node("Sub", z, share, name="away"), name="difference")
    count = graph.node("ReduceSum", valid, steps, name="count", keepdims=1)
    count = graph.node("Max", count, graph.constant("one", 1.0), name="at_least_one")
    errors = graph.node("Div", graph.node("Mul", difference, valid, name="masked"), count, name=FEATURE_ERROR)
    both = graph.constant("both", np.array([1, 2]))
    return CoreOutputs(graph.node("ReduceSum", errors, both, name=SCORE, keepdims=0), FEATURE_ERROR)


@dataclass(frozen=True)
class MeanDifferenceParameters(DetectorParameters):
    """It has none."""


class MeanDifferenceDetector:
    """The detector of :class:`MeanDifference`: weights by the deviations of the last rows."""

    name = "mean_difference"
    parameters_class = MeanDifferenceParameters

    def __init__(self, parameters=None):
        self.parameters = parameters or MeanDifferenceParameters()
        self.schema = self.core = None
        self.summary = {}

    def fit(self, schema, x_train, x_validation, **options):
        for x in (x_train, x_validation):
            assert x.shape[1:] == schema.row_shape
            assert x.dtype == np.float32
        deviation = np.nanstd(x_train[:, -1].astype(np.float64), axis=0)
        weight = 1 / np.where(deviation > 0, deviation, 1.0)
        self.schema, self.core = schema, MeanDifference(weight.astype(np.float32), x_train.shape[1])
        self.summary = {"windows": len(x_train), "validation_windows": len(x_validation)}
        return self

    def reference_score(self, x):
        return self.core.score(x)

    def score(self, x):
        return self.core.score(x).astype(np.float32)

    def feature_error(self, x):
        return self.core.row_errors(x).astype(np.float32)

    def save_weights(self, path):
        Path(path).write_bytes(self.core.weight.tobytes())


ENTRY = DetectorEntry(
    "mean_difference",
    "differences within a window",
    "tests",
    "sequence_models",
    "MeanDifferenceDetector",
    "MeanDifferenceParameters",
    sequence=True,
)


def known_detector(monkeypatch):
    """Put the detector into the registry and its core among those that can be written."""
    from netsieve.engine.detectors import registry
    from netsieve.export import cores

    monkeypatch.setattr(registry, "DETECTORS", {**registry.DETECTORS, ENTRY.name: ENTRY})
    monkeypatch.setattr(cores, "CORE_WRITERS", {**cores.CORE_WRITERS, MeanDifference: add_mean_difference})


def all_windows(schema, frame):
    """Return the windows of a frame's records, nothing being known before."""
    stage, state = WindowStage(schema.window_layout), FeatureState(None, schema.window_layout)
    return stage.update(stage.prepare(frame), Encoder(schema).encode(frame), state).windows()


def write_window_model(path, frame, windows=None, declaration=None, **options):
    """Write a model of windows of a frame, whose detector is returned; the writer must know its core."""
    windows = windows or Windows(entity=("SourceIP",), length=5, time="Timestamp", duration="Duration")
    schema = fit_schema(inferred_schema(frame, declaration, **options), frame)
    neighbours = schema.stateful
    schema = replace(schema, stateful=(*neighbours, windows.to_dict()))
    x = all_windows(schema, frame)
    detector = MeanDifferenceDetector().fit(schema, x, x[:50])
    calibration = Calibration.fit(detector.score(x), x, detector.feature_error(x), schema)
    write_model(
        detector,
        path,
        schema=schema,
        calibration=calibration,
        thresholds={"fpr:0.01": parse_policy("fpr:0.01").threshold(calibration), "default": "fpr:0.01"},
        provenance={"created": "2026-01-01T00:00:00+00:00", "rows": {"train": frame.height}},
        parity_rows=x[:200],
    )
    return detector
