"""A small reader of ONNX files that trusts nothing in them.

The ``onnx`` package is not needed for scoring, and is slow to import. Nothing is copied or allocated by a
number in the file, and messages inside messages are followed only along one fixed path (model, graph,
tensor), never by recursion. Fields that are not needed are skipped.

Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.scoring.protobuf import (
    BYTES,
    VARINT,
    ProtobufError,
    as_bytes,
    as_fixed32,
    as_integer,
    as_text,
    fields,
    integer_array,
    numbers,
    packed_integers,
)
from netsieve.engine.scoring.repeated_values import RepeatedValues, attribute_fields

TENSOR_TYPES: Final = {
    1: "<f4",
    2: "u1",
    3: "i1",
    4: "<u2",
    5: "<i2",
    6: "<i4",
    7: "<i8",
    9: "?",
    10: "<f2",
    11: "<f8",
    12: "<u4",
    13: "<u8",
}
"""NumPy types of the element types that a netsieve graph may hold; strings, type 8, are read separately."""
FLOAT_TYPE: Final = 1
MOST_DIMENSIONS: Final = 32
STRING_TYPE: Final = 8
EXTERNAL_LOCATION: Final = 1


@dataclass(frozen=True, slots=True)
class ValueInfo:
    """Name, element type and shape of a graph's input or output.

    ``shape`` holds a size, a name (of a size known only at run time) or None for each dimension; it is None
    where the file does not tell.
    """

    name: str
    element_type: int | None
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True)
class Node:
    """One operation of the graph. Attributes are read when first asked for: a forest's are long."""

    op_type: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attribute_messages: tuple[memoryview, ...]

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """Attribute values: float, int, bytes, array (tensors, lists of numbers), or tuple of bytes.

        Raises
        ------
        ProtobufError
            An attribute is damaged, or is a subgraph.
        """
        return dict(_attribute(message) for message in self.attribute_messages)


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in the order of the file, constants, inputs and outputs."""

    name: str
    nodes: tuple[Node, ...]
    initializers: dict[str, NDArray[Any]]
    inputs: tuple[ValueInfo, ...]
    outputs: tuple[ValueInfo, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """What an ONNX file holds. ``opsets`` maps domain to version, the default domain being ``""``."""

    ir_version: int
    producer: str
    opsets: dict[str, int]
    metadata: dict[str, str]
    graph: Graph


def read_model(data: bytes) -> Model:
    """Read an ONNX file's bytes.

    Parameters
    ----------
    data
        The whole file. Arrays of the result are read-only views of it.

    Raises
    ------
    ProtobufError
        The bytes are no ONNX model, or one that is truncated, damaged, or keeps tensors elsewhere.
    """
    ir_version: int | None = None
    producer = ""
    graph: memoryview | None = None
    opsets: dict[str, int] = {}
    metadata: dict[str, str] = {}
    for number, wire, value in fields(memoryview(data)):
        if number == 1:
            ir_version = as_integer(wire, value)
        elif number == 2:
            producer = as_text(wire, value)
        elif number == 7:
            if graph is not None:
                raise ProtobufError("it holds two graphs")
            graph = as_bytes(wire, value)
        elif number == 8:
            domain, version = _opset(as_bytes(wire, value))
            opsets[domain] = version
        elif number == 14:
            key, text = _string_entry(as_bytes(wire, value))
            if key in metadata:
                raise ProtobufError(f"it holds the metadata {key!r} twice")
            metadata[key] = text
        elif number == 25:
            raise ProtobufError("it holds functions of its own, which netsieve does not run")
    if ir_version is None or graph is None:
        raise ProtobufError(f"it ends without {'a graph' if ir_version is not None else 'an IR version'}")
    return Model(ir_version, producer, opsets, metadata, _graph(graph))


def _opset(message: memoryview) -> tuple[str, int]:
    domain, version = "", 0
    for number, wire, value in fields(message):
        if number == 1:
            domain = as_text(wire, value)
        elif number == 2:
            version = as_integer(wire, value)
    return "" if domain == "ai.onnx" else domain, version


def _string_entry(message: memoryview) -> tuple[str, str]:
    key, text = "", ""
    for number, wire, value in fields(message):
        if number == 1:
            key = as_text(wire, value)
        elif number == 2:
            text = as_text(wire, value)
    return key, text


def _graph(message: memoryview) -> Graph:
    name = ""
    nodes: list[Node] = []
    initializers: dict[str, NDArray[Any]] = {}
    inputs: list[ValueInfo] = []
    outputs: list[ValueInfo] = []
    for number, wire, value in fields(message):
        if number == 1:
            nodes.append(_node(as_bytes(wire, value)))
        elif number == 2:
            name = as_text(wire, value)
        elif number == 5:
            tensor_name, tensor = _tensor(as_bytes(wire, value))
            if tensor_name in initializers:
                raise ProtobufError(f"it holds the constant {tensor_name!r} twice")
            initializers[tensor_name] = tensor
        elif number == 11:
            inputs.append(_value_info(as_bytes(wire, value)))
        elif number == 12:
            outputs.append(_value_info(as_bytes(wire, value)))
        elif number == 15:
            raise ProtobufError("it holds sparse tensors, which netsieve does not read")
    return Graph(name, tuple(nodes), initializers, tuple(inputs), tuple(outputs))


def _node(message: memoryview) -> Node:
    texts = {3: "", 4: "", 7: ""}
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: list[memoryview] = []
    for number, wire, value in fields(message):
        if number == 1:
            inputs.append(as_text(wire, value))
        elif number == 2:
            outputs.append(as_text(wire, value))
        elif number == 5:
            attributes.append(as_bytes(wire, value))
        elif number in texts:
            texts[number] = as_text(wire, value)
    domain = "" if texts[7] == "ai.onnx" else texts[7]
    return Node(texts[4], domain, texts[3], tuple(inputs), tuple(outputs), tuple(attributes))


def _attribute(message: memoryview) -> tuple[str, Any]:
    name, single = "", None
    floats: list[NDArray[Any]] = []
    integers: list[NDArray[np.int64]] = []
    strings: list[bytes] = []
    kind = 0
    for number, wire, value in attribute_fields(message):
        if isinstance(value, RepeatedValues):
            integers += value.integers
            floats += value.floats
            strings += value.strings
        elif number == 1:
            name = as_text(wire, value)
        elif number == 2:
            single = struct.unpack("<f", as_fixed32(wire, value))[0]
        elif number == 3:
            single = as_integer(wire, value)
        elif number == 4:
            single = bytes(as_bytes(wire, value))
        elif number == 5:
            single = _tensor(as_bytes(wire, value))[1]
        elif number == 7:
            floats.append(numbers(value if wire == BYTES else as_fixed32(wire, value), "<f4"))
        elif number == 8:
            listed = [as_integer(wire, value)] if wire == VARINT else packed_integers(as_bytes(wire, value))
            integers.append(integer_array(listed, "<i8"))
        elif number == 9:
            strings.append(bytes(as_bytes(wire, value)))
        elif number == 20:
            kind = as_integer(wire, value)
        elif number in (6, 10, 11, 22, 23):
            raise ProtobufError("an attribute is a subgraph or a list of tensors, which netsieve does not read")
    if floats or kind == 6:
        return name, np.concatenate([np.empty(0, np.float32), *floats])
    if integers or kind == 7:
        return name, np.concatenate([np.empty(0, np.int64), *integers])
    if strings or kind == 8:
        return name, tuple(strings)
    return name, single


def _tensor(message: memoryview) -> tuple[str, NDArray[Any]]:
    name = ""
    element_type = 0
    dims: list[int] = []
    raw: memoryview | None = None
    pieces: list[NDArray[Any]] = []
    integers: list[int] = []
    strings: list[bytes] = []
    for number, wire, value in fields(message):
        if number == 1:
            dims += [as_integer(wire, value)] if wire == VARINT else packed_integers(as_bytes(wire, value))
        elif number == 2:
            element_type = as_integer(wire, value)
        elif number == 3:
            raise ProtobufError("it holds a tensor in segments, which netsieve does not read")
        elif number == 4:
            pieces.append(numbers(value, "<f4"))
        elif number == 10:
            pieces.append(numbers(value, "<f8"))
        elif number in (5, 7, 11):
            integers += [as_integer(wire, value)] if wire == VARINT else packed_integers(as_bytes(wire, value))
        elif number == 6:
            strings.append(bytes(as_bytes(wire, value)))
        elif number == 8:
            name = as_text(wire, value)
        elif number == 9:
            raw = as_bytes(wire, value)
        elif number == 13 or (number == 14 and value == EXTERNAL_LOCATION):
            raise ProtobufError("it keeps tensors in another file; save it as one file")
    if element_type != STRING_TYPE and element_type not in TENSOR_TYPES:
        raise ProtobufError(f"it holds a tensor of the element type {element_type}, which netsieve does not read")
    array: NDArray[Any]
    if element_type == STRING_TYPE:
        array = np.empty(len(strings), dtype=object)
        array[:] = strings
    else:
        dtype = TENSOR_TYPES[element_type]
        if raw is not None:
            array = numbers(raw, dtype)
        elif pieces:
            array = np.concatenate(pieces)
            if array.dtype != np.dtype(dtype):
                raise ProtobufError("a tensor's numbers are not of its element type")
        elif element_type == 10:
            array = integer_array(integers, "<u2").view("<f2")
        else:
            array = integer_array(integers, dtype)
    if len(dims) > MOST_DIMENSIONS or min(dims, default=0) < 0 or prod(dims) != array.size:
        raise ProtobufError(f"a tensor of the shape {dims[:8]} holds {array.size:,} numbers")
    try:
        return name, array.reshape(dims)
    except ValueError:
        raise ProtobufError(f"a tensor has the impossible shape {dims[:8]}") from None


def _value_info(message: memoryview) -> ValueInfo:
    name = ""
    element_type: int | None = None
    shape: tuple[int | str | None, ...] | None = None
    for number, wire, value in fields(message):
        if number == 1:
            name = as_text(wire, value)
        elif number == 2:
            for type_number, type_wire, type_value in fields(as_bytes(wire, value)):
                if type_number == 1:
                    element_type, shape = _tensor_type(as_bytes(type_wire, type_value))
    return ValueInfo(name, element_type, shape)


def _tensor_type(message: memoryview) -> tuple[int | None, tuple[int | str | None, ...] | None]:
    element_type: int | None = None
    shape: tuple[int | str | None, ...] | None = None
    for number, wire, value in fields(message):
        if number == 1:
            element_type = as_integer(wire, value)
        elif number == 2:
            shape = tuple(
                _dimension(as_bytes(dim_wire, dim))
                for dim_number, dim_wire, dim in fields(as_bytes(wire, value))
                if dim_number == 1
            )
    return element_type, shape


def _dimension(message: memoryview) -> int | str | None:
    size: int | str | None = None
    for number, wire, value in fields(message):
        if number == 1:
            size = as_integer(wire, value)
        elif number == 2:
            size = as_text(wire, value)
    return size
