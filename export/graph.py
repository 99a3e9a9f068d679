"""Building ONNX graphs: nodes and constants by name, and the model around them.

Only standard operator domains at one opset each are used, so that any runtime of the supported range reads the
files and a native kernel can recognise the nodes by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET: Final = 18
"""Opset of the default domain that graphs are written in."""
HIGHEST_OPSET: Final = 20
"""Largest opset of the graph contract, for nodes that other tools wrote."""
TREE_DOMAIN: Final = "ai.onnx.ml"
TREE_OPSET: Final = 3
"""Domain and opset of tree ensembles; ``graph.node(..., domain=TREE_DOMAIN)``."""
IR_VERSION: Final = 10
"""Version of the file format: read by every runtime of the supported range."""
PRODUCER: Final = "netsieve"

INPUT: Final = "x"
SCORE: Final = "score"
FEATURE_ERROR: Final = "feature_error"


class CoreOutputs(NamedTuple):
    """Names of the score and, where they are intermediates of it, of the features' parts."""

    score: str
    feature_error: str | None


class Graph:
    """An ONNX graph being written: nodes in topological order and constants.

    Examples
    --------
    >>> graph = Graph()
    >>> doubled = graph.node("Mul", "x", graph.constant("two", 2.0), name="double")
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self._scope = ""

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Put ``name`` and a dot before the names of what is added inside the block; an empty name: nothing.

        Several parts of a kind can so stand in one graph. Names that are inputs of nodes are taken as they are.
        """
        before, self._scope = self._scope, f"{name}." if name else ""
        try:
            yield
        finally:
            self._scope = before

    def constant(self, name: str, value: ArrayLike, *, double: bool = False) -> str:
        """Keep ``value`` as the initializer ``name``, floats as float32 unless ``double``, and return the name."""
        array = np.asarray(value)
        if array.dtype.kind == "f":
            array = array.astype(np.float64 if double else np.float32)
        name = self._scope + name
        if name in self.constants:
            raise ValueError(f"the graph already has a constant {name!r}")
        self.constants[name] = np.ascontiguousarray(array) if array.ndim else array
        return name

    def node(self, operator: str, *inputs: str, name: str, **attributes: Any) -> str:
        """Add a node with one output of the node's own name, and return that name with its scope."""
        return self.split_node(operator, *inputs, name=name, outputs=(name,), **attributes)[0]

    def split_node(
        self, operator: str, *inputs: str, name: str, outputs: Sequence[str], **attributes: Any
    ) -> tuple[str, ...]:
        """Add a node with several named outputs, and return their names with their scope; "" leaves one out."""
        names = tuple(output and self._scope + output for output in outputs)
        self.nodes.append(helper.make_node(operator, list(inputs), list(names), name=self._scope + name, **attributes))
        return names

    def model(
        self, n_features: int, *, feature_error: bool, opset: int = OPSET, window: int | None = None
    ) -> onnx.ModelProto:
        """Return the model: ``x`` ``[n, n_features]`` to ``score`` ``[n]`` and, if asked, ``feature_error``.

        ``opset`` is another than ours where nodes of another tool need it. With a ``window``, ``x`` and
        ``feature_error`` are ``[n, window, n_features]``.
        """
        shape: list[str | int | None] = ["n", n_features] if window is None else ["n", window, n_features]
        outputs = [helper.make_tensor_value_info(SCORE, TensorProto.FLOAT, ["n"])]
        if feature_error:
            outputs.append(helper.make_tensor_value_info(FEATURE_ERROR, TensorProto.FLOAT, shape))
        graph = helper.make_graph(
            self.nodes,
            "netsieve",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)],
            outputs,
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        used = {node.domain for node in self.nodes}
        domains = {"": opset} | ({TREE_DOMAIN: TREE_OPSET} if TREE_DOMAIN in used else {})
        return helper.make_model(
            graph,
            producer_name=PRODUCER,
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid(domain, version) for domain, version in domains.items()],
        )
