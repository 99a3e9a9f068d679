"""scikit-learn's scalers as operations on each column by itself, which keep the order of its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.errors import ExportError
from netsieve.export.graph import Graph

Operator = Literal["Sub", "Div", "Mul", "Add", "Clip", "Fill"]

SCALERS: Final = ("StandardScaler", "MinMaxScaler", "RobustScaler", "MaxAbsScaler", "SimpleImputer")


@dataclass(frozen=True, slots=True)
class ColumnOperation:
    """One arithmetic operation, in scikit-learn's own order, so that its float64 results are the same.

    Attributes
    ----------
    operator
        An ONNX operator; ``"Fill"`` puts the operand where a value is NaN.
    operand
        float64 ``[d]``; for ``"Clip"`` the lower and the upper bound, ``[2]``.
    """

    operator: Operator
    operand: NDArray[np.float64]

    def apply(self, values: NDArray[np.float64], column: int) -> NDArray[np.float64]:
        """Return what becomes of values ``[n]`` of one column."""
        if self.operator == "Clip":
            return np.clip(values, *self.operand)
        operand = self.operand[column]
        match self.operator:
            case "Sub":
                result = values - operand
            case "Div":
                result = values / operand
            case "Mul":
                result = values * operand
            case "Add":
                result = values + operand
            case "Fill":
                result = np.where(np.isnan(values), operand, values)
        return np.asarray(result, dtype=np.float64)

    def add(self, graph: Graph, values: str, name: str) -> str:
        """Add the operation's nodes and return the name of the result, float32 ``[n, d]``."""
        if self.operator == "Clip":
            bounds = (
                graph.constant(f"{name}.{end}", bound) for end, bound in zip(("low", "high"), self.operand, strict=True)
            )
            return graph.node("Clip", values, *bounds, name=name)
        operand = graph.constant(f"{name}.operand", self.operand[None])
        if self.operator == "Fill":
            missing = graph.node("IsNaN", values, name=f"{name}.missing")
            return graph.node("Where", missing, operand, values, name=name)
        return graph.node(self.operator, values, operand, name=name)


def scaler_operations(scaler: Any) -> list[ColumnOperation]:
    """Return the operations of a fitted scaler or imputer of :data:`SCALERS`.

    Raises
    ------
    ExportError
        The imputer leaves out or adds columns, or looks for other values than NaN.
    """
    match type(scaler).__name__:
        case "StandardScaler":
            return _operations(("Sub", scaler.mean_ if scaler.with_mean else None), ("Div", scaler.scale_))
        case "RobustScaler":
            return _operations(("Sub", scaler.center_), ("Div", scaler.scale_))
        case "MinMaxScaler":
            bounds = np.array(scaler.feature_range, dtype=np.float64) if scaler.clip else None
            return _operations(("Mul", scaler.scale_), ("Add", scaler.min_), ("Clip", bounds))
        case "MaxAbsScaler":
            bounds = np.array([-1.0, 1.0]) if getattr(scaler, "clip", False) else None
            return _operations(("Div", scaler.scale_), ("Clip", bounds))
        case _:
            fill = np.asarray(scaler.statistics_)
            looks_for_nan = isinstance(scaler.missing_values, float) and np.isnan(scaler.missing_values)
            if not looks_for_nan or scaler.add_indicator or fill.dtype.kind != "f" or np.isnan(fill).any():
                raise ExportError(
                    "this SimpleImputer cannot be exported; expected one that fills NaN in every column with a number, "
                    "without indicators"
                )
            return _operations(("Fill", fill))


def applied(operations: Sequence[ColumnOperation], values: NDArray[np.float64], column: int) -> NDArray[np.float64]:
    """Return what becomes of values ``[n]`` of one column after all operations."""
    for operation in operations:
        values = operation.apply(values, column)
    return values


def _operations(*parts: tuple[Operator, Any]) -> list[ColumnOperation]:
    return [
        ColumnOperation(operator, np.asarray(operand, dtype=np.float64))
        for operator, operand in parts
        if operand is not None
    ]
