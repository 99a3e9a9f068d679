"""Small model files for tests: untrained autoencoders, exported as trained ones are."""

from itertools import pairwise
from pathlib import Path

import numpy as np

from netsieve.engine.detectors.dense_autoencoder import DenseAutoencoder, DenseLayer
from netsieve.engine.features.preprocessing import feature_selection, fit_preprocessing, prepare, prepared_columns
from netsieve.engine.features.schema import CategoricalFeature, FeatureSchema, NumericFeature
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.export.model import write_model

PROTOCOLS = ("tcp", "udp", "icmp")


class UntrainedAutoencoder:
    """A dense autoencoder of random weights, as far as export looks at a detector."""

    name = "autoencoder"

    def __init__(self, schema: FeatureSchema, hidden: tuple[int, ...], seed: int) -> None:
        self.schema = schema
        generator = np.random.default_rng(seed)
        width = len(prepared_columns(schema))
        sizes = [width, *hidden, width]
        layers = []
        for inputs, outputs in pairwise(sizes):
            weight = (generator.normal(size=(inputs, outputs)) / np.sqrt(inputs)).astype(np.float32)
            layers.append(DenseLayer(weight, np.zeros(outputs, np.float32), "relu"))
        middle = len(hidden) // 2 + 1
        layers[-1] = DenseLayer(layers[-1].weight, layers[-1].bias, "linear")
        self.core = DenseAutoencoder(
            tuple(layers[:middle]), tuple(layers[middle:]), np.full(width, 1 / width, np.float32)
        )

    def reference_score(self, x):
        return self.core.score(prepare(self.schema, x))

    def feature_error(self, x):
        return (self.core.column_errors(prepare(self.schema, x)) @ feature_selection(self.schema)).astype(np.float32)


def random_matrix(schema: FeatureSchema, rows: int, seed: int = 0):
    """Return rows of the schema: normal numbers, some of them missing in the first column, and random codes."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, len(schema.features))).astype(np.float32)
    for i, feature in schema.categorical:
        x[:, i] = generator.integers(0, feature.code_count, rows)
    if schema.numeric:
        x[generator.random(rows) < 0.1, schema.numeric[0][0]] = np.nan
    return x


def small_schema(numeric: int = 3, categorical: int = 1) -> FeatureSchema:
    """Return an unfitted schema of numbers ``n0``, ``n1``, ... and protocols ``c0``, ``c1``, ..."""
    return FeatureSchema(
        features=(
            *(NumericFeature(name=f"n{i}") for i in range(numeric)),
            *(
                CategoricalFeature(name=f"c{i}", vocabulary=PROTOCOLS, counts=(50, 30, 10), missing_count=2, rows=92)
                for i in range(categorical)
            ),
        )
    )


def write_small_model(
    path: Path, *, numeric: int = 3, categorical: int = 1, hidden: tuple[int, ...] = (8, 4, 8), seed: int = 0
) -> UntrainedAutoencoder:
    """Write a model file of an untrained autoencoder and return the detector."""
    schema = small_schema(numeric, categorical)
    schema = fit_preprocessing(schema, random_matrix(schema, 500, seed))
    detector = UntrainedAutoencoder(schema, hidden, seed)
    x = random_matrix(schema, 1000, seed + 1)
    scores = detector.reference_score(x).astype(np.float32)
    calibration = Calibration.fit(scores, x, detector.feature_error(x), schema)
    write_model(
        detector,
        path,
        schema=schema,
        calibration=calibration,
        thresholds={
            "percentile:95": float(np.float32(np.quantile(scores, 0.95))),
            "f1": float(np.float32(1.5)),
            "default": "percentile:95",
        },
        provenance={"created": "2026-01-01T00:00:00Z", "rows": 1000},
        parity_rows=x[:100],
    )
    return detector
