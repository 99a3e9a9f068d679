"""Untrained models of Suricata's events, and a file of mixed events to score with them."""

from pathlib import Path

import numpy as np
import polars as pl
from model_files import UntrainedAutoencoder

from netsieve.bench.eve_events import write_events
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.inference import fit_schema
from netsieve.engine.sources.eve import READY_SCHEMAS
from netsieve.engine.sources.reading import read_frame
from netsieve.engine.sources.source import ReadOptions
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.engine.thresholds.policy import parse_policy
from netsieve.engine.training.data import inferred_schema
from netsieve.engine.training.neighbours import add_neighbours
from netsieve.export.model import write_model

POLICIES = ("mean_std:1", "mean_std:3")


def write_mixed_events(path: Path, events: int, *, seed: int = 0) -> None:
    """Write events of several types with some lines among them that cannot be read."""
    write_events(path, events, seed=seed)
    lines = path.read_text().splitlines()
    lines[20:20] = ['{"event_type":"flow","dest_port":"http"}', "", '{"event_type":"dns","dns":{"id":"x"}}']
    lines[90:90] = ['{"timestamp":"2021-06-06T14:00:00Z"}', '{"event_type":"alert","cut', "not JSON"]
    path.write_text("\n".join(lines) + "\n")


def write_event_model(path: Path, events: Path, event_type: str, *, neighbours: bool = False) -> None:
    """Write an untrained model of a file's events of one type, with the type's ready schema."""
    record_type = f"suricata.{event_type}"
    frame = read_frame([str(events)], options=ReadOptions(event_type=event_type)).frame
    overrides = {**READY_SCHEMAS[record_type], "record_type": record_type}
    declaration = None
    if neighbours:
        computed = add_neighbours(frame, overrides={**overrides, "neighbours": {"columns": "all"}})
        frame, declaration = computed.frame, computed.declaration
    schema = fit_schema(inferred_schema(frame, declaration, overrides=overrides), frame)
    detector = UntrainedAutoencoder(schema, (8, 4, 8), 0)
    x = Encoder(schema).encode(frame)
    scores = detector.reference_score(x).astype(np.float32)
    calibration = Calibration.fit(scores, x, detector.feature_error(x), schema)
    write_model(
        detector,
        path,
        schema=schema,
        calibration=calibration,
        thresholds={**{text: parse_policy(text).threshold(calibration) for text in POLICIES}, "default": "mean_std:1"},
        provenance={"created": "2026-01-01T00:00:00+00:00", "rows": {"train": frame.height}},
        parity_rows=x[:100],
    )


def read_output(path: Path) -> pl.DataFrame:
    """Return an output, whatever its format."""
    readers = {".parquet": pl.read_parquet, ".csv": pl.read_csv, ".ndjson": pl.read_ndjson}
    return readers[path.suffix](path)
