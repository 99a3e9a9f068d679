"""A user's own PyTorch module as a netsieve model file."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import os
import platform
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from netsieve.engine.errors import ExportError
from netsieve.engine.features.preprocessing import feature_selection, prepare, prepared_columns
from netsieve.engine.features.schema import LARGEST_NUMBER, FeatureSchema
from netsieve.engine.thresholds.calibration import Calibration, Population
from netsieve.engine.thresholds.policy import default_policy, parse_policy
from netsieve.export.graph import FEATURE_ERROR, HIGHEST_OPSET, INPUT, OPSET, Graph
from netsieve.export.metadata import DEFAULT_THRESHOLD, add_metadata
from netsieve.export.model import add_finite_score, check_and_write, check_schema, encoded_rows, finite_scores
from netsieve.export.parity import ParityReport
from netsieve.export.preprocessing import RecordColumns

if TYPE_CHECKING:
    import polars as pl
    import torch

Output = Literal["reconstruction", "score"]

DETECTOR_NAME: Final = "torch_module"
PREFIX: Final = "module/"
"""Put before every name of the module's own graph."""
EXAMPLE_ROWS: Final = 7
PROBE_ROWS: Final = 64
"""Rows on which the module is tried before it is exported."""
REPEATABLE: Final = 1e-9
"""Largest difference, relative to the scores' size, between two float64 runs of the same rows."""
CHUNK_ROWS: Final = 4096
_NOISY_LOGGERS: Final = ("torch.onnx", "torch.export", "torch._dynamo", "onnxscript", "onnx_ir")


def torch_module(
    module: torch.nn.Module,
    schema: FeatureSchema,
    path: str | os.PathLike[str],
    *,
    calibration_rows: pl.DataFrame | NDArray[np.float32],
    output: Output = "reconstruction",
    preprocess: bool = True,
    threshold: str | None = None,
    population: Population = "normal",
    provenance: Mapping[str, Any] | None = None,
) -> ParityReport:
    """Export a trained PyTorch module as a model file that :class:`netsieve.Scorer` reads.

    Parameters
    ----------
    module
        Takes float32 ``[n, columns]``. It is copied, put on the CPU and into evaluation mode; the given one is
        left as it is. A row's result must depend on that row alone.
    schema
        Fitted schema (:func:`netsieve.engine.features.inference.fit_schema`) of the records.
    path
        File to write; it appears only when complete and checked.
    calibration_rows
        Records that the module was not trained on: a frame, or the encoded matrix float32 ``[n, n_features]``.
        Thresholds are computed from their scores, and the exported graph is compared with the module on them.
    output
        ``"reconstruction"``: the module returns its input rebuilt, and the score is the mean squared error.
        ``"score"``: it returns one score a row, ``[n]``, higher for more anomalous.
    preprocess
        Whether the module takes the prepared matrix (:func:`netsieve.engine.features.preprocessing.prepare`),
        whose nodes are then put in front of it. Else it takes the encoded records in raw units as they are,
        NaN for missing; a score that comes out as NaN is then written as the largest score.
    threshold
        Default policy, like ``"fpr:0.001"``; one that the calibration rows can support unless given.
    population
        Whether the calibration rows are ``"normal"`` or ``"unlabelled"``.
    provenance
        Plain JSON values to keep in the file beside what is recorded anyway.

    Returns
    -------
    ParityReport
        How closely the graph follows the module, which runs in float64 for that.

    Raises
    ------
    ExportError
        The module cannot be exported, returns another shape, or does not score each row by itself.
    ParityError
        The graph does not reproduce the module's scores.
    OutputError
        The file cannot be written.
    """
    check_schema(schema)
    x = encoded_rows(schema, calibration_rows)
    trained = copy.deepcopy(module).cpu().eval()
    width = len(prepared_columns(schema)) if preprocess else len(schema.features)
    selection = feature_selection(schema) if preprocess else np.eye(width, dtype=np.float32)
    scoring = _ScoredModule(trained, output, (lambda rows: prepare(schema, rows)) if preprocess else _as_float64)
    _check_module(scoring, x[:: max(1, len(x) // PROBE_ROWS)][:PROBE_ROWS])

    scores, errors = scoring.scores_and_errors(x)
    undefined = int((np.abs(scores) >= np.float32(LARGEST_NUMBER)).sum())
    if undefined:
        raise ExportError(
            f"the module's score of {undefined} of {len(x)} calibration rows is no finite number; let it handle "
            "missing and extreme values, or leave them to preprocess=True"
        )
    feature_errors = None if errors is None else (errors @ selection).astype(np.float32)
    calibration = Calibration.fit(scores, x, feature_errors, schema, population)
    policy = parse_policy(threshold) if threshold is not None else default_policy(calibration)
    thresholds: dict[str, float | str] = {str(policy): policy.threshold(calibration), DEFAULT_THRESHOLD: str(policy)}
    graph = Graph()
    prepared = RecordColumns(graph, schema).prepared if preprocess else INPUT
    opset = _add_module(graph, trained, width, prepared)
    _add_score(graph, output, prepared, selection)
    model = graph.model(len(schema.features), feature_error=output == "reconstruction", opset=opset)

    add_metadata(
        model,
        detector=DETECTOR_NAME,
        schema=schema,
        calibration=calibration,
        thresholds=thresholds,
        provenance={**_provenance(module, output, preprocess, len(x)), **(provenance or {})},
    )
    return check_and_write(
        model,
        path,
        lambda rows: scoring.scores_and_errors(rows)[0],
        schema=schema,
        calibration=calibration,
        thresholds=thresholds,
        parity_rows=x,
        # in raw units the module itself may leave float32's range, where no parity can be asked
        with_hard_rows=preprocess,
    )


class _ScoredModule:
    """The float64 reference: the module with the score put behind it."""

    def __init__(
        self, module: torch.nn.Module, output: Output, prepared: Callable[[NDArray[np.float32]], NDArray[np.float64]]
    ) -> None:
        self.module = copy.deepcopy(module).double()
        self.output = output
        self.prepared = prepared

    def scores_and_errors(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Return the scores ``[n]`` and, for a reconstruction, each column's part of them."""
        parts = [self._chunk(x[start : start + CHUNK_ROWS]) for start in range(0, len(x), CHUNK_ROWS)]
        scores = np.concatenate([score for score, _ in parts])
        errors = [error for _, error in parts if error is not None]
        return scores, np.concatenate(errors) if errors else None

    def _chunk(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        import torch

        z = self.prepared(x)
        with torch.no_grad():
            result = self.module(torch.from_numpy(z))
        if not isinstance(result, torch.Tensor):
            raise ExportError(f"the module returns a {type(result).__name__}; it must return one tensor")
        values = result.double().numpy()
        expected = z.shape if self.output == "reconstruction" else (len(z),)
        if values.shape != expected:
            raise ExportError(
                f"the module returns shape {list(values.shape)} for an input of {list(z.shape)}; with "
                f'output="{self.output}" it must return {list(expected)}'
            )
        if self.output == "score":
            return finite_scores(values), None
        errors = np.square(values - z) / z.shape[1]
        return finite_scores(errors.sum(axis=1)), errors


def _as_float64(x: NDArray[np.float32]) -> NDArray[np.float64]:
    return x.astype(np.float64)


def _check_module(scoring: _ScoredModule, x: NDArray[np.float32]) -> None:
    """Raise ExportError where the module fails, or where a row's score is not its own."""
    try:
        together, _ = scoring.scores_and_errors(x)
        again, _ = scoring.scores_and_errors(x)
        alone = np.concatenate([scoring.scores_and_errors(x[row : row + 1])[0] for row in range(len(x))])
    except ExportError:
        raise
    except Exception as error:
        raise ExportError(
            f"the module fails on calibration rows in float64 ({_summary(error)}); it must take [n, columns] for any "
            "n, and leave the number type to its input"
        ) from error
    allowed = REPEATABLE * (np.abs(together) + np.abs(together).mean())
    if (np.abs(again - together) > allowed).any():
        raise ExportError(
            "the module gives another score when it is run again on the same rows; leave out what is random in "
            "evaluation mode, such as functional dropout without training=self.training"
        )
    if (np.abs(alone - together) > allowed).any():
        raise ExportError(
            "the module's score of a row depends on the rows scored with it; normalise by stored statistics, not by "
            "those of the batch"
        )


def _add_module(graph: Graph, module: torch.nn.Module, width: int, prepared: str) -> int:
    """Add the module's own nodes, from ``prepared`` to ``module/out``, and return the opset they need."""
    import onnx.compose
    import onnx.inliner
    import torch

    example = torch.zeros((EXAMPLE_ROWS, width), dtype=torch.float32)
    try:
        with _quiet():
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=({0: torch.export.Dim("n")},),
                input_names=["z"],
                output_names=["out"],
                verbose=False,
            )
        assert program is not None
        own: onnx.ModelProto = program.model_proto
        if own.functions:
            own = onnx.inliner.inline_local_functions(own)
        own = onnx.compose.add_prefix(own, PREFIX)
    except Exception as error:
        raise ExportError(
            f"PyTorch cannot export this module ({_summary(error)}); it must have no branches on values and take any "
            "number of rows"
        ) from error
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in _all_nodes(own.graph) if node.domain})
    opset = max((entry.version for entry in own.opset_import if entry.domain == ""), default=OPSET)
    if foreign or opset > HIGHEST_OPSET:
        what = ", ".join(foreign) or f"opset {opset}"
        raise ExportError(f"the module needs {what}; only standard ONNX operators up to opset {HIGHEST_OPSET} are read")
    for tensor in own.graph.initializer:
        graph.constants[tensor.name] = numpy_helper.to_array(tensor)
    graph.node("Identity", prepared, name=f"{PREFIX}z")
    for node in _all_nodes(own.graph):
        # these hold stack traces with the paths of the machine that exported
        del node.metadata_props[:]
        node.doc_string = ""
    graph.nodes.extend(own.graph.node)
    return max(opset, OPSET)


def _all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _all_nodes(inner)


def _add_score(graph: Graph, output: Output, prepared: str, selection: NDArray[np.float32]) -> None:
    """Add the score behind the module's result, kept finite."""
    result = f"{PREFIX}out"
    if output == "reconstruction":
        residual = graph.node("Sub", result, prepared, name="residual")
        squared = graph.node("Mul", residual, residual, name="residual_squared")
        combination = graph.constant("feature_weight", selection / len(selection))
        errors = graph.node("MatMul", squared, combination, name=FEATURE_ERROR)
        axis = graph.constant("row_axis", np.array([1]))
        result = graph.node("ReduceSum", errors, axis, name="error_sum", keepdims=0)
    add_finite_score(graph, result)


def _provenance(module: torch.nn.Module, output: Output, preprocess: bool, rows: int) -> dict[str, Any]:
    import torch

    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "module": type(module).__qualname__,
        "output": output,
        "preprocess": preprocess,
        "calibration_rows": rows,
        "versions": {"python": platform.python_version(), "torch": str(torch.__version__), "onnx": onnx.__version__},
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep PyTorch's exporter from printing, warning and logging: what matters is raised."""
    levels = {name: logging.getLogger(name).level for name in _NOISY_LOGGERS}
    for name in levels:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _summary(error: BaseException) -> str:
    """Return the innermost cause of an error in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"[:300]
