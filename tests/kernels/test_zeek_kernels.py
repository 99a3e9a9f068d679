import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_zeek import time_value, unescaped

from netsieve.kernels import _native

TEXT, TIME = 4, 5


def parse(text, kinds, *, records=None, max_record=1 << 24):
    data = np.frombuffer(text, np.uint8)
    found = _native.scan_zeek(data, [], max_record, True)
    count = found.records if records is None else records
    return _native.parse_zeek(data, 9, 0, ord(","), b"(empty)", b"-", max_record, kinds, count)


# Few different characters, so that signs, points and exponents meet in every way
times = st.text("0123456789.-+e", max_size=24) | st.floats().map(repr) | st.floats(0, 1e10).map("{:.6f}".format)


@given(st.lists(times.filter(bool), min_size=1, max_size=8), st.sampled_from([b"", b"\n" * 40]))
@settings(max_examples=300, deadline=None)
def test_times_are_those_of_the_naive_twin(texts, behind):
    parsed = parse("".join(f"{text}\n" for text in texts).encode() + behind, [TIME])
    expected = [time_value(text) for text in texts]
    assert pl.Series(parsed.columns[0]).cast(pl.Int64).to_list() == [value for value in expected if value != "bad"]
    assert parsed.rejected[:, 0].tolist() == [row for row, value in enumerate(expected) if value == "bad"]


pieces = st.sampled_from(
    [b"\\x41", b"\\xc3", b"\\xa9", b"\xc3", b"\xa9", b"\\x00", b"\\x", b"\\", b"a", b"x5c", b"\\x5c", b"\\xF0"]
)


@given(st.lists(st.lists(pieces, min_size=1, max_size=8).map(b"".join), min_size=1, max_size=6), st.booleans())
@settings(max_examples=300, deadline=None)
def test_escapes_are_those_of_the_naive_twin(cells, padded):
    parsed = parse(b"".join(cell + b"\n" for cell in cells) + b"\n" * 40 * padded, [TEXT])
    expected = [unescaped(cell) for cell in cells]
    assert pl.Series(parsed.columns[0]).to_list() == [text for text in expected if text != "bad"]
    assert parsed.rejected[:, 0].tolist() == [row for row, text in enumerate(expected) if text == "bad"]


@given(st.binary(max_size=200), st.integers(1, 60), st.data())
@settings(max_examples=200, deadline=None)
def test_a_part_is_scanned_like_the_whole(text, max_record, data):
    cut = data.draw(st.integers(0, len(text)))
    whole = np.frombuffer(text, np.uint8)
    part = _native.scan_zeek(whole[:cut], [], max_record, False)
    if part.overlong_open:
        return
    rest = _native.scan_zeek(whole[part.end :], [], max_record, True)
    every = _native.scan_zeek(whole, [], max_record, True)
    for count in ("records", "blank", "headers", "lines", "end"):
        assert getattr(part, count) + getattr(rest, count) == getattr(every, count)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="kinds names no field"):
        parse(b"a\n", [])
    with pytest.raises(ValueError, match="no such field kind"):
        parse(b"a\n", [8])
    with pytest.raises(RuntimeError, match="more records than were counted"):
        parse(b"a\nb\n", [TEXT], records=1)
    numbers = parse(b"1\n", [1]).columns[0]
    with pytest.raises(ValueError, match="the column holds no text"):
        _native.comma_lists(numbers, False)
