"""The model file: one ONNX graph with its schema, calibration, thresholds and provenance beside it.

This is the one reader outside ``netsieve.export``. It needs neither onnx nor onnxruntime, and takes the file
for hostile: whatever is wrong with it, the answer is a :class:`ModelFileError` of one line.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.errors import ModelFileError, NetsieveError
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.scoring.onnx_reader import FLOAT_TYPE, Node, ValueInfo, read_model
from netsieve.engine.scoring.protobuf import ProtobufError
from netsieve.engine.thresholds.calibration import Calibration

FORMAT_VERSION: Final = 1
"""Newest version of the metadata that this reader knows."""
LARGEST_FILE: Final = 2**31 - 1
"""Bytes; no Protocol Buffers message may be larger."""
INPUT: Final = "x"
SCORE: Final = "score"
FEATURE_ERROR: Final = "feature_error"
STANDARD_DOMAINS: Final = ("", "ai.onnx.ml")
CONTROL_FLOW: Final = frozenset({"If", "Loop", "Scan", "SequenceMap"})
"""Operators with a graph within them, which no detector needs and which can run without end."""
FIRST_BYTE: Final = b"\x08"
"""ONNX files begin with the field of the IR version, by which a damaged one is told from something else."""

_SIGNATURES: Final = (
    (b"\x89PNG", "a PNG image"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"\x28\xb5\x2f\xfd", "zstandard-compressed data"),
    (b"PK\x03\x04", "a zip archive, perhaps a PyTorch checkpoint"),
    (b"\x80", "a Python pickle"),
    (b"PAR1", "a Parquet file"),
)
_EXPECTED: Final = "a model file that `netsieve train` or netsieve.export wrote is expected"

Parsed = TypeVar("Parsed")


class ModelFile:
    """A model file that has been read and checked.

    Parameters
    ----------
    data
        The whole file.
    name
        What to call it in errors; usually its path.

    Attributes
    ----------
    name
        As given.
    data
        The bytes, from which a runtime makes its session.
    metadata
        All of the ONNX metadata, as text.
    nodes
        Operations in the order of the file.
    initializers
        Constants by name, read-only.
    inputs, outputs
        Names, types and shapes: the input ``x`` float32 ``[n, n_features]``, of detectors of windows
        ``[n, window, n_features]``, the output ``score`` float32 ``[n]``, and perhaps ``feature_error`` float32, shaped
        as ``x``.
    opsets, ir_version, producer
        As the ONNX file says.
    schema, calibration, provenance
        As training wrote them.
    detector
        Name of the detector type.
    thresholds
        Score threshold of each named policy.
    default_policy
        Name of the threshold that applies unless another is asked for.
    fingerprint
        SHA-256 of the file, in hexadecimal.

    Raises
    ------
    ModelFileError
        The bytes are no ONNX model, are damaged, carry no netsieve metadata, were written by a newer format
        version, or hold a graph that breaks the contract.
    """

    def __init__(self, data: bytes, name: str = "the model") -> None:
        self.name = name
        self.data = data
        try:
            model = read_model(data)
        except ProtobufError as error:
            raise ModelFileError(_not_readable_message(data, name, error)) from error
        self.metadata = model.metadata
        self.opsets = model.opsets
        self.ir_version = model.ir_version
        self.producer = model.producer
        self.nodes: tuple[Node, ...] = model.graph.nodes
        self.initializers: dict[str, NDArray[Any]] = model.graph.initializers
        # Writers of old ONNX versions list constants among the inputs
        self.inputs = tuple(i for i in model.graph.inputs if i.name not in model.graph.initializers)
        self.outputs: tuple[ValueInfo, ...] = model.graph.outputs
        self._check_version()
        self.detector = self._entry("detector")
        self.schema: FeatureSchema = self._parsed("schema", FeatureSchema.from_json)
        self.calibration: Calibration = self._parsed("calibration", Calibration.from_json)
        self.thresholds, self.default_policy = self._parsed("thresholds", _thresholds)
        self.provenance: dict[str, Any] = self._parsed("provenance", _json_object)
        self._check_graph()
        self._check_metadata_fits()

    def __reduce__(self) -> tuple[type[ModelFile], tuple[bytes, str]]:
        return ModelFile, (self.data, self.name)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> ModelFile:
        """Read a model file.

        Raises
        ------
        ModelFileError
            There is no such file, it cannot be read, or it is no model.
        """
        file = Path(path)
        try:
            if file.is_dir():
                raise ModelFileError(f"{file} is a folder; {_EXPECTED}")
            if file.exists() and not file.is_file():
                raise ModelFileError(f"{file} is not a regular file; {_EXPECTED}")
            size = file.stat().st_size
            if size > LARGEST_FILE:
                raise ModelFileError(f"{file} has {size:,} bytes, more than any ONNX file can have; {_EXPECTED}")
            data = file.read_bytes()
        except FileNotFoundError:
            raise ModelFileError(f"{file} does not exist; {_EXPECTED}") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ModelFileError(f"{str(file)!r} cannot be read ({reason}); {_EXPECTED}") from error
        if not data:
            raise ModelFileError(f"{file} is empty; {_EXPECTED}")
        return cls(data, str(file))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the file, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def n_features(self) -> int:
        """Columns of the raw matrix."""
        return len(self.schema.features)

    @property
    def has_feature_error(self) -> bool:
        """Whether the graph tells each feature's part of the score."""
        return any(output.name == FEATURE_ERROR for output in self.outputs)

    def _check_version(self) -> None:
        version = self.metadata.get("netsieve.format")
        if version is None:
            raise ModelFileError(
                f"{self.name} is an ONNX model but not a netsieve model; export it with netsieve.export.torch_module"
            )
        if version.isdecimal() and len(version) < 10 and int(version) > FORMAT_VERSION:
            raise ModelFileError(
                f"{self.name} has the model format {version}, and this netsieve reads up to {FORMAT_VERSION}; "
                "install a newer netsieve"
            )
        if version != str(FORMAT_VERSION):
            raise ModelFileError(f"{self.name} has the unknown model format {version[:20]!r}; train or export it again")

    def _entry(self, key: str) -> str:
        text = self.metadata.get(f"netsieve.{key}")
        if text is None:
            raise ModelFileError(f"{self.name} lacks the metadata 'netsieve.{key}'; train or export it again")
        return text

    def _parsed(self, key: str, parse: Callable[[str], Parsed]) -> Parsed:
        try:
            # A number beyond float32 becomes infinite, and is refused for that
            with np.errstate(over="ignore"):
                return parse(self._entry(key))
        except ModelFileError:
            raise
        except NetsieveError as error:
            raise ModelFileError(f"{self.name}: {error}") from error
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
            raise ModelFileError(
                f"{self.name} has damaged metadata 'netsieve.{key}' ({type(error).__name__}: {str(error)[:100]}); "
                "copy it again, or train it again"
            ) from error

    def _check_graph(self) -> None:
        names = [i.name for i in self.inputs]
        if names != [INPUT]:
            self._refuse(f"it has the inputs {names[:8]}, where the one input {INPUT!r} is expected")
        self._check_value(self.inputs[0], self.schema.row_shape)
        outputs = [o.name for o in self.outputs]
        if outputs not in ([SCORE], [SCORE, FEATURE_ERROR], [FEATURE_ERROR, SCORE]):
            self._refuse(
                f"it has the outputs {outputs[:8]}, where {SCORE!r} and perhaps {FEATURE_ERROR!r} are expected"
            )
        for output in self.outputs:
            self._check_value(output, () if output.name == SCORE else self.schema.row_shape)
        nested = sorted({node.op_type for node in self.nodes} & CONTROL_FLOW)
        if nested:
            self._refuse(f"it uses {', '.join(nested)}, and graphs within graphs are not read: they may never end")
        foreign = sorted({node.domain for node in self.nodes} - set(STANDARD_DOMAINS))
        if foreign:
            self._refuse(f"it uses operators of {', '.join(map(repr, foreign[:8]))}, where only standard ones may be")

    def _check_value(self, value: ValueInfo, columns: tuple[int, ...]) -> None:
        if value.element_type != FLOAT_TYPE:
            self._refuse(f"{value.name!r} is not float32")
        shape = value.shape
        if shape is None and value.name != INPUT:
            # Writers may leave the shapes of outputs out; the probe rows show them
            return
        fits = (
            shape is not None
            and len(shape) == 1 + len(columns)
            and not isinstance(shape[0], int)
            and all(got == want for got, want in zip(shape[1:], columns, strict=True) if isinstance(got, int))
        )
        if not fits:
            expected = ["n", *columns]
            self._refuse(f"{value.name!r} has the shape {list(shape or ())[:8]}, where {expected} is expected")

    def _check_metadata_fits(self) -> None:
        if not self.n_features or not self.schema.fitted:
            self._refuse("its feature schema is not fitted")
        for feature in self.schema.features:
            vocabulary = getattr(feature, "vocabulary", ())
            if not all(isinstance(text, str) for text in (feature.name, *vocabulary)):
                self._refuse("a name or category of its schema is no text")
            if len(set(vocabulary)) != len(vocabulary):
                self._refuse(f"its schema names a category of {feature.name!r} twice")
        calibration = self.calibration
        named = tuple(feature.name for feature in calibration.features)
        if named and named != self.schema.feature_names:
            self._refuse("its calibration is of other features than its schema names")
        if len(calibration.probe_rows) and calibration.probe_rows.shape[1:] != self.schema.row_shape:
            self._refuse("its probe rows do not have the schema's features")
        if np.isinf(calibration.probe_rows).any():
            self._refuse("its probe rows hold infinite numbers")

    def _refuse(self, reason: str) -> None:
        raise ModelFileError(f"{self.name} cannot be scored with: {reason}; train or export it again")


def _thresholds(text: str) -> tuple[dict[str, float], str]:
    content = _json_object(text)
    default = content.pop("default")
    thresholds = {name: float(value) for name, value in content.items()}
    if default not in thresholds:
        raise ValueError(f"the default threshold {str(default)[:40]!r} is not among the named ones")
    if not all(map(math.isfinite, thresholds.values())):
        raise ValueError("a threshold is not finite")
    return thresholds, default


def _json_object(text: str) -> dict[str, Any]:
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    return content


def _not_readable_message(data: bytes, name: str, error: ProtobufError) -> str:
    if data.startswith(FIRST_BYTE):
        return f"{name} is a damaged, truncated or unsupported ONNX file ({error}); copy it again, or export it again"
    what = next((what for signature, what in _SIGNATURES if data.startswith(signature)), None)
    if what is None and not data[:512].translate(None, bytes(range(32, 256)) + b"\t\r\n"):
        what = "text"
    return f"{name} is not an ONNX model{f' but {what}' if what else ''}; {_EXPECTED}"
