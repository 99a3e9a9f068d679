"""An untrained model with neighbour features of generated traffic."""

from pathlib import Path

import numpy as np
from model_files import UntrainedAutoencoder

from netsieve.bench.traffic import generate_traffic
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.inference import fit_schema
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.engine.thresholds.policy import parse_policy
from netsieve.engine.training.data import inferred_schema
from netsieve.engine.training.neighbours import add_neighbours
from netsieve.export.model import write_model


def write_neighbour_model(path: Path) -> None:
    """Write a model that takes all neighbour features."""
    frame = generate_traffic(2000, seed=5, hosts=60)
    computed = add_neighbours(frame, overrides={"neighbours": {"columns": "all"}})
    schema = inferred_schema(computed.frame, computed.declaration, label="IsAnomaly", ignore=["Attack"])
    schema = fit_schema(schema, computed.frame)
    detector = UntrainedAutoencoder(schema, (8, 4, 8), 0)
    x = Encoder(schema).encode(computed.frame)
    scores = detector.reference_score(x).astype(np.float32)
    calibration = Calibration.fit(scores, x, detector.feature_error(x), schema)
    write_model(
        detector,
        path,
        schema=schema,
        calibration=calibration,
        thresholds={"fpr:0.01": parse_policy("fpr:0.01").threshold(calibration), "default": "fpr:0.01"},
        provenance={"created": "2026-01-01T00:00:00+00:00", "rows": {"train": 2000}},
        parity_rows=x[:200],
    )
