"""What a model file carries beside its graph: JSON texts in the model's ``metadata_props``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import onnx

from netsieve.engine.errors import ExportError
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.thresholds.calibration import Calibration

FORMAT_VERSION: Final = "1"
"""Version of the model file format. A reader for every version ever released stays."""
DEFAULT_THRESHOLD: Final = "default"
"""Key among the named thresholds whose value is the name of the policy that applies unless another is asked for."""


def add_metadata(
    model: onnx.ModelProto,
    *,
    detector: str,
    schema: FeatureSchema,
    calibration: Calibration,
    thresholds: Mapping[str, float | str],
    provenance: Mapping[str, Any],
) -> None:
    """Write netsieve's metadata into ``model``, in place of any that is there.

    Parameters
    ----------
    model
        Changed in place.
    detector
        Name of the detector type.
    schema, calibration
        Written by their ``to_json``.
    thresholds
        Score threshold of each policy, named by the policy's text (``"fpr:0.001"``), and under ``"default"``
        the text of the one that applies.
    provenance
        Where the model comes from: time, rows, data fingerprint, parameters, versions, metrics.

    Raises
    ------
    ExportError
        A threshold or the provenance cannot be written as JSON, or the default threshold is none of the named.
    """
    default = thresholds.get(DEFAULT_THRESHOLD)
    if default not in thresholds or default == DEFAULT_THRESHOLD:
        named = ", ".join(name for name in thresholds if name != DEFAULT_THRESHOLD) or "none"
        raise ExportError(f"the default threshold is {default!r}; expected the name of one of the thresholds ({named})")
    entries = {
        "netsieve.format": FORMAT_VERSION,
        "netsieve.detector": detector,
        "netsieve.schema": schema.to_json(),
        "netsieve.calibration": calibration.to_json(),
        "netsieve.thresholds": _json(thresholds, "the thresholds"),
        "netsieve.provenance": _json(provenance, "the provenance"),
    }
    kept = [entry for entry in model.metadata_props if entry.key not in entries]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    for key, value in entries.items():
        model.metadata_props.add(key=key, value=value)


def _json(content: Mapping[str, Any], what: str) -> str:
    try:
        return json.dumps(dict(content), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ExportError(f"{what} cannot be written as JSON ({error}); give plain, finite values") from error
