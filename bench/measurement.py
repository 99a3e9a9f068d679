"""Measurements as files: one JSON object each, with the key ``benchmark`` that says which."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from netsieve.bench.machine import machine_line


def write_measurement(path: Path, result: dict[str, Any]) -> None:
    """Write ``result`` to ``path``, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def timing_line(result: dict[str, Any]) -> str:
    """Return in one line on what, and how, a measurement was taken."""
    machine = result["machine"]
    parts = [machine_line(machine)]
    if isinstance(result.get("threads"), int):
        parts.append(f"{result['threads']} thread{'s' * (result['threads'] != 1)}")
    if "rounds" in result:
        parts.append(f"{result['rounds']} rounds")
    return "; ".join([*parts, f"load before it began {machine['load']}"])


def mean_and_spread(values: Sequence[float | None]) -> str:
    """Return the mean of the values that are there, ± their standard deviation where they are several; "" of none."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    spread = f" ± {np.std(known, ddof=1):.3f}" if len(known) > 1 else ""
    return f"{np.mean(known):.3f}{spread}"


def read_measurements(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the measurements in ``folder`` by benchmark, in the order of the file names.

    Each has its file's name added under ``file``. Other JSON files are left alone.
    """
    measurements: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(result, dict) and isinstance(result.get("machine"), dict):
            measurements.setdefault(str(result.get("benchmark")), []).append({**result, "file": path.name})
    return measurements
