"""A small table of flows with every kind of column, and an untrained model for it."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from model_files import UntrainedAutoencoder

from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.inference import fit_schema, infer_schema
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.engine.thresholds.policy import parse_policy
from netsieve.export.model import write_model

LABEL = "Label"
POLICIES = ("fpr:0.01", "percentile:95", "mean_std:3")


def flow_frame(rows: int, seed: int = 0) -> pl.DataFrame:
    """Return flows: addresses, ports, protocol, counters, a duration, a label and an attack name."""
    generator = np.random.default_rng(seed)
    label = generator.random(rows) < 0.1
    return pl.DataFrame(
        {
            "SrcAddr": [f"10.0.{i % 7}.{i % 251}" for i in range(rows)],
            "DstAddr": [f"192.168.1.{i % 253}" for i in range(rows)],
            "Sport": generator.integers(1024, 65536, rows),
            "Dport": generator.choice([80, 443, 53], rows),
            "Proto": generator.choice(["tcp", "udp"], rows),
            "Bytes": np.where(label, 50, 1) * generator.integers(40, 100_000, rows),
            "Duration": generator.exponential(3.0, rows).round(4),
            LABEL: label.astype(np.int64),
            "Attack": np.where(label, generator.choice(["scan", "flood"], rows), "none"),
        }
    )


def write_flow_model(path: Path) -> None:
    """Write a model of :func:`flow_frame` that takes Dport, Proto, Bytes and Duration, its label and names ignored."""
    write_model_of(flow_frame(2000, seed=1), path, label=LABEL, ignore=["Attack"])


def write_model_of(frame: pl.DataFrame, path: Path, **inference: Any) -> None:
    """Write an untrained model of a frame's records; the rest as for ``infer_schema``."""
    schema = fit_schema(infer_schema(frame, **inference), frame)
    detector = UntrainedAutoencoder(schema, (8, 4, 8), 0)
    x = Encoder(schema).encode(frame)
    scores = detector.reference_score(x).astype(np.float32)
    calibration = Calibration.fit(scores, x, detector.feature_error(x), schema)
    write_model(
        detector,
        path,
        schema=schema,
        calibration=calibration,
        thresholds={**{text: parse_policy(text).threshold(calibration) for text in POLICIES}, "default": "fpr:0.01"},
        provenance={"created": "2026-01-01T00:00:00+00:00", "rows": {"train": frame.height}},
        parity_rows=x[:500],
    )
