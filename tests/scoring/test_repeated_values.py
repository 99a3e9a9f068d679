"""Long lists of attributes, read at once, against reading field by field."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsieve.engine.scoring.protobuf import ProtobufError, as_bytes, as_integer, fields
from netsieve.engine.scoring.repeated_values import SHORTEST, RepeatedValues, attribute_fields

LISTS = {
    "integers": st.lists(st.one_of(st.integers(0, 300), st.integers(-(2**63), 2**63 - 1)), max_size=900),
    "floats": st.lists(st.floats(width=32, allow_nan=False), max_size=500),
    "texts": st.lists(st.one_of(st.sampled_from([b"LEAF", b"BRANCH_LEQ", b""]), st.binary(max_size=300)), max_size=400),
}


def read(message):
    """Return the fields with the lists taken apart again."""
    result = []
    for number, wire, value in attribute_fields(memoryview(message)):
        if isinstance(value, RepeatedValues):
            result += [(number, each) for values in (*value.integers, *value.floats) for each in values.tolist()]
            result += [(number, each) for each in value.strings]
        else:
            result.append((number, plain(number, wire, value)))
    return result


def plain(number, wire, value):
    if number == 7:
        return np.frombuffer(value, "<f4").tolist()[0]
    return as_integer(wire, value) if isinstance(value, int) else bytes(as_bytes(wire, value))


def read_one_by_one(message):
    return [(number, plain(number, wire, value)) for number, wire, value in fields(memoryview(message))]


@given(integers=LISTS["integers"], floats=LISTS["floats"], texts=LISTS["texts"], seed=st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_lists_are_those_read_one_by_one(integers, floats, texts, seed):
    proto = onnx.AttributeProto(name="lists", ints=integers, floats=floats, strings=texts)
    message = proto.SerializeToString()
    assert read(message) == read_one_by_one(message)
    assert len(read(message)) == 1 + len(integers) + len(floats) + len(texts)
    # damage at a random place is found as it is field by field, or changes no more than the values
    rng = np.random.default_rng(seed)
    damaged = bytearray(message)
    damaged[int(rng.integers(len(damaged)))] = int(rng.integers(256))
    damaged = bytes(damaged[: int(rng.integers(1, len(damaged) + 1))])
    try:
        expected = read_one_by_one(damaged)
    except (ProtobufError, ValueError, IndexError) as error:
        with pytest.raises(type(error)):
            read(damaged)
    else:
        np.testing.assert_equal(read(damaged), expected)


def test_fields_in_turn_are_not_looked_at_again_and_again():
    one = onnx.AttributeProto(ints=[1, 2, 3], strings=[b"a"], floats=[1.0]).SerializeToString()
    message = memoryview(one * 4000)
    steps = sum(1 for _ in attribute_fields(message))
    assert steps >= 4000
    assert len(read(bytes(message))) == 5 * 4000


def test_a_long_list_takes_few_steps():
    message = onnx.AttributeProto(name="list", ints=range(1_000_000)).SerializeToString()
    found = list(attribute_fields(memoryview(message)))
    assert len(found) < 40
    values = np.concatenate([value.integers[0] for _, _, value in found if isinstance(value, RepeatedValues)])
    rest = [as_integer(wire, value) for number, wire, value in found if number == 8 and not isinstance(value, tuple)]
    assert len(rest) < SHORTEST
    np.testing.assert_array_equal(np.concatenate([values, np.array(rest, np.int64)]), np.arange(1_000_000))
