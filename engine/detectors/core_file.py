"""What a detector learned as a safetensors file: arrays by name, and the shape of the core around them as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import Core, View, view_columns
from netsieve.engine.detectors.tree_ensemble import LEAF, TreeEnsemble
from netsieve.engine.errors import TrainingError
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.sinks.atomic import write_atomically

FORMAT: Final = "netsieve detector 1"
PACKAGE: Final = "netsieve.engine.detectors."
"""Cores are dataclasses of these modules; a file can name no other class."""


def save_core(path: str | Path, core: Core, *, detector: str, parameters: Any, schema: FeatureSchema) -> None:
    """Write a core with its detector's name, parameters and schema.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    from safetensors.numpy import save

    tensors: dict[str, NDArray[Any]] = {}
    metadata = {
        "format": FORMAT,
        "detector": detector,
        "parameters": json.dumps(asdict(parameters)),
        "schema": schema.to_json(),
        "core": json.dumps(_described(core, "core", tensors)),
    }
    write_atomically(os.fspath(path), save(tensors, metadata=metadata))


def load_core(path: str | Path, detector: str) -> tuple[dict[str, Any], FeatureSchema, Core]:
    """Return parameters, schema and core of a file that :func:`save_core` wrote.

    Raises
    ------
    TrainingError
        The file is absent, or holds no such detector.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as content:
            metadata = content.metadata() or {}
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{path} cannot be read as a weights file ({error})") from error
    if metadata.get("format") != FORMAT or metadata.get("detector") != detector:
        raise TrainingError(f"{path} holds no {detector} weights; expected a file that training wrote")
    try:
        core = _rebuilt(json.loads(metadata["core"]), tensors)
        parameters, schema = json.loads(metadata["parameters"]), FeatureSchema.from_json(metadata["schema"])
        if not isinstance(parameters, dict):
            raise TypeError("its parameters are no table")
        _check_core(core, schema)
    except (LookupError, TypeError, ValueError, AttributeError, ImportError, RecursionError) as error:
        raise TrainingError(f"{path} is damaged ({type(error).__name__}: {error}); train the detector anew") from error
    return parameters, schema, core


def _check_core(core: Any, schema: FeatureSchema) -> None:
    """Raise what :func:`load_core` reports where it is no core, or one whose trees lead nowhere."""
    if getattr(core, "view", None) not in get_args(View) or not callable(getattr(core, "score", None)):
        raise ValueError(f"{type(core).__name__} is no core")
    row = np.zeros((1, len(schema.features)), dtype=np.float32)
    _check_trees(core, len(view_columns("unscaled", schema, row)[0]))


def _check_trees(value: Any, width: int) -> None:
    if isinstance(value, tuple):
        for part in value:
            _check_trees(part, width)
    elif isinstance(value, TreeEnsemble):
        nodes = np.arange(len(value.column))
        inner = value.column != LEAF
        # a child comes after its parent: no walk through a tree goes on for ever
        for child in (value.left, value.right):
            if not np.all(np.where(inner, (child > nodes) & (child < len(nodes)), child == nodes)):
                raise ValueError("a tree's nodes do not follow each other")
        if not np.all(~inner | ((value.column >= 0) & (value.column < width))):
            raise ValueError("a tree looks at a column that is not there")
    elif is_dataclass(value):
        for field in fields(value):
            _check_trees(getattr(value, field.name), width)


def _described(value: Any, name: str, tensors: dict[str, NDArray[Any]]) -> Any:
    if isinstance(value, np.ndarray):
        tensors[name] = np.ascontiguousarray(value)
        return {"array": name}
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        if not kind.__module__.startswith(PACKAGE):
            raise TypeError(f"{kind} is no class of {PACKAGE}*")
        parts = {f.name: _described(getattr(value, f.name), f"{name}.{f.name}", tensors) for f in fields(value)}
        return {"class": f"{kind.__module__.removeprefix(PACKAGE)}.{kind.__name__}", "fields": parts}
    if isinstance(value, tuple):
        return {"tuple": [_described(part, f"{name}.{i}", tensors) for i, part in enumerate(value)]}
    return {"value": value}


def _rebuilt(description: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> Any:
    if "array" in description:
        return tensors[description["array"]]
    if "class" in description:
        module, _, name = description["class"].rpartition(".")
        if not module.isidentifier():
            raise ValueError(f"{description['class']!r} is no core")
        kind = getattr(import_module(PACKAGE + module), name)
        if not isinstance(kind, type) or not is_dataclass(kind) or not kind.__module__.startswith(PACKAGE):
            raise ValueError(f"{description['class']!r} is no core")
        return kind(**{field: _rebuilt(part, tensors) for field, part in description["fields"].items()})
    if "tuple" in description:
        return tuple(_rebuilt(part, tensors) for part in description["tuple"])
    return description["value"]
