"""scikit-learn's dense estimators as nodes: linear maps, kernels, distances and small networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.errors import ExportError
from netsieve.export.column_operations import SCALERS, ColumnOperation, scaler_operations
from netsieve.export.graph import Graph

MAPS: Final = ("PCA", "Nystroem", "RBFSampler")
DENSE: Final = ("OneClassSVM", "SGDOneClassSVM", "EllipticEnvelope", "PCA", "LogisticRegression", "MLPClassifier")
ACTIVATIONS: Final = {"relu": "Relu", "tanh": "Tanh", "logistic": "Sigmoid"}


class DenseGraph:
    """The columns of a pipeline as they are written: a matrix in the graph, and a linear map not yet written.

    Linear steps that follow each other are put together in float64 and become one Gemm.

    Parameters
    ----------
    graph
        Graph to add to.
    values
        Name of the columns that the first step takes, float32 ``[n, width]``.
    width
        How many there are.
    """

    def __init__(self, graph: Graph, values: str, width: int) -> None:
        self.graph = graph
        self.values = values
        self.weight: NDArray[np.float64] | None = None
        self.bias = np.zeros(width)
        self.number = 0

    def add_steps(self, steps: Sequence[Any]) -> None:
        """Add transformers of :data:`SCALERS` and :data:`MAPS`."""
        for step in steps:
            kind = type(step).__name__
            if kind in SCALERS:
                for operation in scaler_operations(step):
                    self._add_operation(operation)
            elif kind == "PCA":
                self.linear(*principal_map(step))
            elif kind == "Nystroem":
                parameters = step.kernel_params or {}
                if step.kernel != "rbf" or parameters:
                    raise ExportError(f"a Nystroem map of the {step.kernel} kernel cannot be exported; expected rbf")
                gamma = 1 / step.components_.shape[1] if step.gamma is None else step.gamma
                self._add_kernel(step.components_, gamma)
                self.linear(step.normalization_.T, np.zeros(len(step.normalization_)))
            else:
                self.linear(step.random_weights_, step.random_offset_)
                self._flush()
                self.values = self.graph.node("Cos", self.values, name=self._name("random_features"))
                self._identity(len(step.random_offset_), np.sqrt(2 / step.n_components))

    def add_score(self, estimator: Any) -> str:
        """Add an estimator of :data:`DENSE` and return the name of its score, float32 ``[n]``.

        Outlier detectors score higher for more anomalous rows, classifiers with the log-odds of their second class.
        """
        graph, axis = self.graph, self.graph.constant("row_axis", np.array([1]))
        match type(estimator).__name__:
            case "EllipticEnvelope":
                variance, axes = np.linalg.eigh(estimator.get_precision())
                self.linear(axes * np.sqrt(np.maximum(variance, 0)), center=estimator.location_)
                self._flush()
                return graph.node("ReduceSumSquare", self.values, axis, name="distance", keepdims=0)
            case "PCA":
                components = estimator.components_
                self.linear(np.eye(components.shape[1]) - components.T @ components, center=estimator.mean_)
                self._flush()
                return graph.node("ReduceSumSquare", self.values, axis, name="residual", keepdims=0)
            case "MLPClassifier":
                for weight, bias in zip(estimator.coefs_[:-1], estimator.intercepts_[:-1], strict=True):
                    self.linear(weight, bias)
                    self._flush()
                    if estimator.activation in ACTIVATIONS:
                        operator = ACTIVATIONS[estimator.activation]
                        self.values = graph.node(operator, self.values, name=self._name("activation"))
                self.linear(estimator.coefs_[-1], estimator.intercepts_[-1])
            case "OneClassSVM" if estimator.kernel == "rbf":
                self._add_kernel(estimator.support_vectors_, estimator._gamma)
                self.linear(-estimator.dual_coef_.T)
            case "OneClassSVM" if estimator.kernel != "linear":
                raise ExportError(
                    f"a OneClassSVM of the {estimator.kernel} kernel cannot be exported; expected rbf or linear"
                )
            case "OneClassSVM" | "SGDOneClassSVM":
                self.linear(-np.reshape(estimator.coef_, (-1, 1)))
            case _:
                self.linear(estimator.coef_.T, estimator.intercept_)
        self._flush()
        return graph.node("Squeeze", self.values, axis, name="column")

    def linear(
        self,
        weight: NDArray[np.float64],
        bias: NDArray[np.float64] | None = None,
        *,
        center: NDArray[np.float64] | None = None,
    ) -> None:
        """Put ``(columns - center) @ weight + bias`` behind what is there."""
        weight = np.asarray(weight, dtype=np.float64)
        before = self.bias if center is None else self.bias - center
        self.bias = before @ weight + (0.0 if bias is None else bias)
        self.weight = weight if self.weight is None else self.weight @ weight

    def _add_operation(self, operation: ColumnOperation) -> None:
        """Write an operation on the first columns as it is, for precision in raw units; later ones become a map."""
        operand = operation.operand
        if self.weight is None or operation.operator in {"Clip", "Fill"}:
            self._flush()
            self.values = operation.add(self.graph, self.values, self._name(operation.operator.lower()))
            return
        match operation.operator:
            case "Sub":
                self.bias = self.bias - operand
            case "Add":
                self.bias = self.bias + operand
            case "Mul":
                self.linear(np.diag(operand))
            case _:
                self.linear(np.diag(1 / operand))

    def _add_kernel(self, vectors: NDArray[np.float64], gamma: float) -> None:
        """Add ``exp(-gamma * |row - vector|**2)``; both are centred, so that little is lost in the difference."""
        center = vectors.mean(axis=0)
        self.linear(np.eye(len(center)), center=center)
        self._flush()
        graph, centered = self.graph, np.asarray(vectors - center, dtype=np.float64)
        name = self._name("kernel")
        size = graph.node(
            "ReduceSumSquare", self.values, graph.constant(f"{name}.axis", np.array([1])), name=f"{name}.size"
        )
        weight = graph.constant(f"{name}.weight", -2 * centered.T)
        bias = graph.constant(f"{name}.bias", np.square(centered).sum(axis=1))
        product = graph.node("Gemm", self.values, weight, bias, name=f"{name}.product")
        distance = graph.node("Relu", graph.node("Add", product, size, name=f"{name}.sum"), name=f"{name}.distance")
        scaled = graph.node("Mul", distance, graph.constant(f"{name}.factor", -gamma), name=f"{name}.scaled")
        self.values = graph.node("Exp", scaled, name=name)
        self.weight, self.bias = None, np.zeros(len(vectors))

    def _identity(self, width: int, factor: float) -> None:
        self.weight, self.bias = np.eye(width) * factor, np.zeros(width)

    def _flush(self) -> None:
        """Write the linear map that is not yet written."""
        if self.weight is None:
            return
        name, graph = self._name("linear"), self.graph
        is_shift = self.weight.shape[0] == self.weight.shape[1] and np.array_equal(self.weight, np.eye(len(self.bias)))
        bias = graph.constant(f"{name}.bias", self.bias)
        if is_shift:
            self.values = graph.node("Add", self.values, bias, name=name)
        else:
            weight = graph.constant(f"{name}.weight", self.weight)
            self.values = graph.node("Gemm", self.values, weight, bias, name=name)
        self.weight, self.bias = None, np.zeros(len(self.bias))

    def _name(self, kind: str) -> str:
        self.number += 1
        return f"estimator_{self.number}.{kind}"


def principal_map(pca: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weight and bias of a fitted ``sklearn.decomposition.PCA``'s transformation."""
    weight = np.asarray(pca.components_.T, dtype=np.float64)
    if pca.whiten:
        weight = weight / np.maximum(np.sqrt(pca.explained_variance_), np.finfo(np.float64).eps)
    return weight, -np.asarray(pca.mean_, dtype=np.float64) @ weight
