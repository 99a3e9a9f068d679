"""Show what is in a model file: detector, schema, thresholds, calibration and provenance."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from netsieve.engine.cli.table import text_table

if TYPE_CHECKING:
    from netsieve.engine.features.schema import Feature
    from netsieve.engine.scoring.model_file import ModelFile

SHOWN_CATEGORIES = 6
"""Values of a category that the table shows."""
SHOWN_NAMES = 12
"""Ignored columns of one reason that the table shows."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("model", metavar="MODEL", help="model file")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")


def run(options: argparse.Namespace) -> int:
    """Print the model file."""
    from netsieve.engine.scoring.model_file import ModelFile

    model = ModelFile.read(options.model)
    print(json.dumps(_content(model), indent=2, ensure_ascii=False) if options.json else _text(model))
    return 0


def _content(model: ModelFile) -> dict[str, Any]:
    return {
        "file": model.name,
        "sha256": model.fingerprint,
        "bytes": len(model.data),
        "format": int(model.metadata["netsieve.format"]),
        "detector": model.detector,
        "opsets": dict(model.opsets),
        "nodes": len(model.nodes),
        "has_feature_error": model.has_feature_error,
        "backend": _backend(model),
        "default_threshold": model.default_policy,
        "thresholds": model.thresholds,
        "schema": json.loads(model.schema.to_json()),
        "calibration": json.loads(model.calibration.to_json()),
        "provenance": model.provenance,
    }


def _text(model: ModelFile) -> str:
    calibration = model.calibration
    head = [
        ("file", model.name),
        ("sha256", model.fingerprint),
        ("detector", model.detector),
        ("graph", f"{len(model.nodes)} nodes, {len(model.data):,} bytes, opset {_opsets(model)}"),
        ("feature errors", "yes" if model.has_feature_error else "no"),
        ("scored by", _backend(model)),
    ]
    score_rows = [
        ("records", f"{calibration.n:,} ({calibration.population})"),
        (
            "score",
            f"median {calibration.median:.6g}, mean {calibration.mean:.6g}, deviation {calibration.deviation:.6g}",
        ),
        ("largest", ", ".join(f"{score:.6g}" for score in calibration.largest[:5])),
    ]
    thresholds = [
        (policy, f"{value:.8g}", "default" if policy == model.default_policy else "")
        for policy, value in sorted(model.thresholds.items(), key=lambda item: item[1])
    ]
    features = [("feature", "read as", "prepared", "missing"), *_feature_rows(model)]
    parts = [
        text_table(head),
        f"\nschema: {model.n_features} features, record type {model.schema.record_type!r}",
        text_table(features),
        *_ignored(model),
        *_neighbours(model),
        *_reading(model),
        *_windows(model),
        "\nthresholds",
        text_table(thresholds),
        "\ncalibration",
        text_table(score_rows),
        "\nprovenance",
        text_table(list(_flattened(model.provenance))),
    ]
    return "\n".join(parts)


def _backend(model: ModelFile) -> str:
    """Return what scores with the model here, and why no native kernels do."""
    from netsieve.engine.scoring.backend_choice import native_backend

    native, reason = native_backend(model)
    return f"onnxruntime ({reason})" if native is None else native.description


def _opsets(model: ModelFile) -> str:
    return ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in dict(model.opsets).items())


def _feature_rows(model: ModelFile) -> list[tuple[str, str, str, str]]:
    missing = {feature.name: feature.missing_rate for feature in model.calibration.features}
    return [
        (
            feature.name,
            feature.column_kind,
            _preparation(feature),
            f"{missing[feature.name]:.2%}" if feature.name in missing else "",
        )
        for feature in model.schema.features
    ]


def _preparation(feature: Feature) -> str:
    from netsieve.engine.features.schema import NumericFeature

    if isinstance(feature, NumericFeature):
        log = "signed log, " if feature.signed_log else ""
        indicator = ", missing indicator" if feature.missing_indicator else ""
        return f"{log}{feature.scaling} (center {feature.center:.5g}, scale {feature.scale:.5g}){indicator}"
    shown = ", ".join(feature.vocabulary[:SHOWN_CATEGORIES])
    more = f", ... {len(feature.vocabulary)} values" if len(feature.vocabulary) > SHOWN_CATEGORIES else ""
    return f"one-hot of {feature.one_hot_count}, rarity: {shown}{more}"


def _ignored(model: ModelFile) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for column in model.schema.ignored:
        by_reason.setdefault(column.reason, []).append(column.name)
    lines = []
    for reason, names in by_reason.items():
        more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
        lines.append(f"ignored ({reason}): {', '.join(names[:SHOWN_NAMES])}{more}")
    return lines


def _neighbours(model: ModelFile) -> list[str]:
    declared = model.schema.neighbours
    if declared is None:
        return []
    windows = ", ".join(f"{window:g}" for window in declared.windows)
    return [
        f"of neighbouring records: {len(declared.columns)} features computed of {', '.join(declared.input_columns)}; "
        f"windows of {windows} s, expiry {declared.expiry:g} s, {declared.hosts:,} hosts, {declared.pairs:,} pairs"
    ]


def _reading(model: ModelFile) -> list[str]:
    reading = model.schema.reading
    shown = "; ".join(f"{name} {_shown(value)}" for name, value in reading.items())
    return [f"read with: {shown}"] if reading else []


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} ({kind})" for name, kind in value.items())
    return ", ".join(value) if isinstance(value, list) else f"{value:,g}"


def _windows(model: ModelFile) -> list[str]:
    declared = model.schema.windows
    if declared is None:
        return []
    clock = "" if declared.time is None else f" by {declared.time}"
    return [
        f"of several records: the latest {declared.length} of each {', '.join(declared.entity)}, this record the last;"
        f" expiry {declared.expiry:g} s{clock}, {declared.entities:,} entities"
    ]


def _flattened(content: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            rows += _flattened(value, f"{name}.")
        elif value is not None:
            text = f"{value:.6g}" if isinstance(value, float) else str(value)
            rows.append((name, text if len(text) <= 100 else f"{text[:97]}..."))
    return rows
