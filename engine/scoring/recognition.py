"""Reading a graph that netsieve wrote back into what it was written from, and refusing every other graph.

A recogniser repeats the function of ``netsieve.export`` that wrote the nodes, call for call, on a
:class:`RecognisedGraph` instead of a :class:`netsieve.export.graph.Graph`. Where that one adds a node, this one demands
that the file holds it: of this name, operator, inputs, outputs and attributes. Where that one keeps a constant, this
one returns it. What a recogniser never asked for must not be in the graph: at the end, all nodes are accounted for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.scoring.model_file import INPUT, ModelFile
from netsieve.engine.scoring.onnx_reader import Node
from netsieve.engine.scoring.protobuf import ProtobufError

OPSETS: Final = {"": range(18, 21), "ai.onnx.ml": range(3, 4)}
"""Opsets of which the operators' meaning is known here."""


class NotRecognisedError(Exception):
    """The graph is another than netsieve's own export writes; the text says where."""


class RecognisedGraph:
    """A model file's graph, of which nodes are taken one by one.

    Parameters
    ----------
    model
        The model file.

    Raises
    ------
    NotRecognisedError
        Names are not unique, or the operators are of other versions.
    """

    def __init__(self, model: ModelFile) -> None:
        self.model = model
        self._nodes: dict[str, Node] = {}
        self._scope = ""
        used = {node.domain for node in model.nodes}
        for domain in used:
            if model.opsets.get(domain) not in OPSETS.get(domain, ()):
                raise NotRecognisedError(f"operators of {domain or 'ai.onnx'} {model.opsets.get(domain)}")
        made = {INPUT, *model.initializers}
        for node in model.nodes:
            outputs = [output for output in node.outputs if output]
            if node.name in self._nodes or made.intersection(outputs):
                raise NotRecognisedError(f"the name {node.name[:40]!r} is there twice")
            if not made.issuperset(filter(None, node.inputs)):
                raise NotRecognisedError(f"the node {node.name[:40]!r} comes before its inputs")
            self._nodes[node.name] = node
            made.update(outputs)
        self._left = set(self._nodes)

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Put ``name`` and a dot before the names of what is asked for inside the block; an empty name: nothing."""
        before, self._scope = self._scope, f"{name}." if name else ""
        try:
            yield
        finally:
            self._scope = before

    def has_node(self, name: str) -> bool:
        """Return whether there is a node of this name in the scope."""
        return self._scope + name in self._nodes

    def has_constant(self, name: str) -> bool:
        """Return whether there is a constant of this name in the scope."""
        return self._scope + name in self.model.initializers

    def input_of(self, name: str, number: int) -> str:
        """Return the name of an input of a node in the scope, as it is in the file; "" if it has none there."""
        node = self._node(name)
        return node.inputs[number] if number < len(node.inputs) else ""

    def operator(self, name: str) -> str:
        """Return the operator of a node in the scope."""
        return self._node(name).op_type

    def outputs_of(self, name: str) -> tuple[str, ...]:
        """Return the names of a node's outputs, as they are in the file."""
        return self._node(name).outputs

    def attribute(self, name: str, attribute: str) -> Any:
        """Return an attribute of a node in the scope, None if it has none."""
        return self._attributes(self._node(name)).get(attribute)

    def constant(
        self, name: str, shape: Sequence[int | None] | None = None, dtype: type[np.generic] = np.float32
    ) -> NDArray[Any]:
        """Return the constant of this name in the scope.

        Parameters
        ----------
        name
            Its name without the scope.
        shape
            Demanded sizes, None for any; a shape of None is any shape.
        dtype
            Demanded type. Floats must be finite.

        Raises
        ------
        NotRecognisedError
            There is none, or it is another.
        """
        array = self.model.initializers.get(self._scope + name)
        if array is None or array.dtype != np.dtype(dtype):
            raise NotRecognisedError(f"no constant {self._scope + name!r} of {np.dtype(dtype)}")
        if shape is not None and (
            array.ndim != len(shape)
            or any(want is not None and got != want for got, want in zip(array.shape, shape, strict=True))
        ):
            raise NotRecognisedError(f"the constant {self._scope + name!r} has the shape {list(array.shape)[:8]}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise NotRecognisedError(f"the constant {self._scope + name!r} is not finite")
        # In the file it lies at any byte
        return array if array.flags.aligned else array.copy()

    def number(self, name: str, value: float | None = None) -> float:
        """Return a float32 scalar, which must be ``value`` unless that is None."""
        number = float(self.constant(name, ()))
        if value is not None and np.float32(number) != np.float32(value):
            raise NotRecognisedError(f"the constant {self._scope + name!r} is {number}")
        return number

    def integers(self, name: str, values: Sequence[int] | None = None) -> NDArray[np.int64]:
        """Return a vector of integers, which must be ``values`` unless that is None."""
        array: NDArray[np.int64] = self.constant(name, (None,), np.int64)
        if values is not None and array.tolist() != list(values):
            raise NotRecognisedError(f"the constant {self._scope + name!r} is {array.tolist()[:8]}")
        return array

    def name(self, name: str) -> str:
        """Return the name with the scope: of a constant, as nodes name it."""
        return self._scope + name

    def node(self, operator: str, *inputs: str, name: str, domain: str = "", **attributes: Any) -> str:
        """Take the node of this name with one output of its own name; return that. Parameters as in split_node."""
        return self.split_node(operator, *inputs, name=name, outputs=(name,), domain=domain, **attributes)[0]

    def split_node(
        self, operator: str, *inputs: str, name: str, outputs: Sequence[str], domain: str = "", **attributes: Any
    ) -> tuple[str, ...]:
        """Take the node of this name, and return its outputs' names.

        Parameters
        ----------
        operator, domain
            What it must be.
        *inputs
            Names of its inputs, with their scopes.
        name, outputs
            Without the scope.
        **attributes
            All that it may have; Ellipsis as a value stands for any.

        Raises
        ------
        NotRecognisedError
            There is no such node, it is another, or it was taken before.
        """
        node = self._node(name)
        names = tuple(output and self._scope + output for output in outputs)
        found = self._attributes(node)
        if (
            (node.op_type, node.domain, node.inputs, node.outputs) != (operator, domain, inputs, names)
            or found.keys() - attributes.keys()
            or not all(_is_same(found.get(key), value) for key, value in attributes.items())
        ):
            raise NotRecognisedError(f"the node {node.name!r} is not as it is written by netsieve")
        if node.name not in self._left:
            raise NotRecognisedError(f"the node {node.name!r} is used twice")
        self._left.remove(node.name)
        return names

    def check_all_taken(self) -> None:
        """Raise NotRecognisedError if a node was never asked for."""
        if self._left:
            raise NotRecognisedError(f"the node {min(self._left)[:40]!r} is of no known use")

    def _node(self, name: str) -> Node:
        node = self._nodes.get(self._scope + name)
        if node is None:
            raise NotRecognisedError(f"there is no node {self._scope + name!r}")
        return node

    @staticmethod
    def _attributes(node: Node) -> dict[str, Any]:
        try:
            return node.attributes
        except ProtobufError as error:
            raise NotRecognisedError(f"an attribute of {node.name[:40]!r} cannot be read ({error})") from error


def _is_same(found: Any, wanted: Any) -> bool:
    if wanted is ...:
        return True
    if isinstance(wanted, float):
        return isinstance(found, float) and np.float32(found) == np.float32(wanted)
    if isinstance(found, np.ndarray):
        return found.tolist() == list(wanted) if isinstance(wanted, (list, tuple)) else False
    return type(found) is type(wanted) and bool(found == wanted)
