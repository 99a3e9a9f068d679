"""Long lists of an ONNX attribute, read many values at a time: a forest has some hundred thousand of them.

ONNX gives each number of a list a field of its own, of which reading one by one takes a microsecond.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.scoring.protobuf import LONGEST_VARINT, field_at

SHORTEST: Final = 512
"""Bytes of an attribute from which on lists are sought in it; below, fields one by one are faster."""
LARGEST_WINDOW: Final = 2**20
"""Bytes that are looked at together, at most."""
REPEATED: Final = -1
"""In the place of a wire type: the value is :class:`RepeatedValues`."""
INTEGER_TAG: Final = 0x40
FLOAT_TAG: Final = 0x3D
STRING_TAG: Final = 0x4A
"""First bytes of the fields ``ints``, ``floats`` and ``strings``."""
FLOAT_FIELD: Final = 5
"""Bytes of a number's field in a list of floats."""


class RepeatedValues(NamedTuple):
    """What fields of one kind, one behind the other, hold.

    Attributes
    ----------
    size
        Bytes of the fields.
    integers, floats, strings
        The values: one array of them all, or each string.
    """

    size: int
    integers: tuple[NDArray[np.int64], ...] = ()
    floats: tuple[NDArray[np.float32], ...] = ()
    strings: tuple[bytes, ...] = ()


def attribute_fields(message: memoryview) -> Iterator[tuple[int, int, int | memoryview | RepeatedValues]]:
    """Yield number, wire type and value of the fields of an attribute; or several of a list in one.

    Yields
    ------
    As :func:`netsieve.engine.scoring.protobuf.fields`, and ``(number, REPEATED, values)``.

    Raises
    ------
    ProtobufError
        As there.

    Notes
    -----
    As many bytes are looked at as twice those that were of use before, so that no file makes this slow.
    """
    position, window = 0, SHORTEST
    while position < len(message):
        read = _READERS.get(message[position]) if len(message) - position >= SHORTEST else None
        if read is not None and (values := read(message[position : position + window])).size:
            yield message[position] >> 3, REPEATED, values
            position += values.size
            window = min(2 * window, LARGEST_WINDOW) if 2 * values.size > window else SHORTEST
        else:
            number, wire, value, position = field_at(message, position)
            yield number, wire, value


def _integers(window: memoryview) -> RepeatedValues:
    data = np.frombuffer(window, np.uint8)
    end = np.flatnonzero(data < 0x80) + 1  # of each tag, and of each number
    end = end[: len(end) // 2 * 2]
    start = np.concatenate([np.zeros(1, np.intp), end])[:-1]
    size = end - start
    is_field = (data[start[::2]] == INTEGER_TAG) & (size[::2] == 1) & (size[1::2] <= LONGEST_VARINT)
    fields = _leading(is_field)
    if not fields:
        return RepeatedValues(0)
    start, size = start[1 : 2 * fields : 2], size[1 : 2 * fields : 2]
    values = np.zeros(fields, dtype=np.uint64)
    for byte in range(int(size.max())):
        longer = size > byte
        values[longer] |= (data[start[longer] + byte] & np.uint64(0x7F)) << np.uint64(7 * byte)
    return RepeatedValues(int(end[2 * fields - 1]), integers=(values.view(np.int64),))


def _floats(window: memoryview) -> RepeatedValues:
    fields = np.frombuffer(window, [("tag", "u1"), ("value", "<f4")], len(window) // FLOAT_FIELD)
    count = _leading(fields["tag"] == FLOAT_TAG)
    return RepeatedValues(FLOAT_FIELD * count, floats=(fields["value"][:count].copy(),))


def _strings(window: memoryview) -> RepeatedValues:
    data, position = bytes(window), 0
    strings: list[bytes] = []
    while position + 1 < len(data) and data[position] == STRING_TAG:
        start = position + 2
        end = start + data[position + 1]
        if data[position + 1] >= 0x80 or end > len(data):  # the size takes more than a byte, or the window ends
            break
        strings.append(data[start:end])
        position = end
    return RepeatedValues(position, strings=tuple(strings))


def _leading(flags: NDArray[np.bool_]) -> int:
    """Return how many flags are set before the first that is not."""
    return len(flags) if flags.all() else int(np.argmin(flags))


_READERS: Final = {INTEGER_TAG: _integers, FLOAT_TAG: _floats, STRING_TAG: _strings}
