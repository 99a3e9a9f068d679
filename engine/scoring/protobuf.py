"""The wire format of Protocol Buffers, read without trust: every length is checked before it is used.

Source: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5

LONGEST_VARINT: Final = 10
"""Bytes of a 64-bit number, seven bits a byte."""


class ProtobufError(ValueError):
    """The bytes are no message of the expected kind; the text says what is wrong, in a few words."""


def fields(message: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Yield field number, wire type and value (an unsigned integer, or the bytes) of each field.

    Raises
    ------
    ProtobufError
        A field reaches beyond the message, or is of a kind that ONNX does not use.
    """
    position, end = 0, len(message)
    while position < end:
        number, wire, value, position = field_at(message, position)
        yield number, wire, value


def field_at(message: memoryview, position: int) -> tuple[int, int, int | memoryview, int]:
    """Return number, wire type and value of the field at ``position``, and the position of the next one.

    Raises
    ------
    ProtobufError
        As in :func:`fields`.
    """
    tag, position = _varint(message, position)
    number, wire = tag >> 3, tag & 7
    if number == 0:
        raise ProtobufError("a field has the number 0")
    if wire == VARINT:
        integer, position = _varint(message, position)
        return number, wire, integer, position
    if wire == BYTES:
        size, position = _varint(message, position)
    elif wire == FIXED32:
        size = 4
    elif wire == FIXED64:
        size = 8
    else:
        raise ProtobufError(f"a field is of the unknown kind {wire}")
    if size > len(message) - position:
        raise ProtobufError(f"a field of {size:,} bytes has only {len(message) - position:,} left")
    return number, wire, message[position : position + size], position + size


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift, byte in enumerate(message[position : position + LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position + shift + 1
    raise ProtobufError("a number does not end")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def as_integer(wire: int, value: int | memoryview) -> int:
    """Return a field's number as the signed one that ONNX means, or raise :class:`ProtobufError`."""
    if wire != VARINT or not isinstance(value, int):
        raise ProtobufError("bytes stand where a number belongs")
    return _signed(value)


def as_bytes(wire: int, value: int | memoryview) -> memoryview:
    """Return a field's bytes, or raise :class:`ProtobufError`."""
    if wire != BYTES or isinstance(value, int):
        raise ProtobufError("a number stands where bytes belong")
    return value


def as_text(wire: int, value: int | memoryview) -> str:
    """Return a field's UTF-8 text, or raise :class:`ProtobufError`."""
    try:
        return bytes(as_bytes(wire, value)).decode()
    except UnicodeDecodeError:
        raise ProtobufError("a text is not UTF-8") from None


def as_fixed32(wire: int, value: int | memoryview) -> memoryview:
    """Return the four bytes of a 32-bit field, or raise :class:`ProtobufError`."""
    if wire != FIXED32 or isinstance(value, int):
        raise ProtobufError("something else stands where a 32-bit number belongs")
    return value


def numbers(data: int | memoryview, dtype: str) -> NDArray[Any]:
    """Return packed numbers of a fixed width as a read-only view, or raise :class:`ProtobufError`."""
    kind = np.dtype(dtype)
    if isinstance(data, int) or len(data) % kind.itemsize:
        raise ProtobufError("a list of numbers is cut off")
    return np.frombuffer(data, kind)


def packed_integers(data: memoryview) -> list[int]:
    """Return packed numbers of variable width, or raise :class:`ProtobufError`."""
    values = []
    position = 0
    while position < len(data):
        value, position = _varint(data, position)
        values.append(_signed(value))
    return values


def integer_array(values: list[int], dtype: str) -> NDArray[Any]:
    """Return numbers read as signed 64-bit ones as an array of ``dtype``, or raise :class:`ProtobufError`."""
    try:
        return np.array(values, dtype=np.int64).astype(dtype)
    except (OverflowError, ValueError):
        raise ProtobufError("a number is out of range") from None
