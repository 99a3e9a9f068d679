import math

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from naive import cell_value, delimited_fields, delimited_records
from netsieve.kernels import _native

KINDS = {"integer": 1, "float": 2, "boolean": 3, "string": 4}
REASONS = {"misquoted": 2, "overlong": 3}
FIELD_COUNT = 1
UNLIMITED = 1 << 24

# Few different bytes, so that quotes, delimiters and line ends meet in every way; long runs cross the 64-byte masks.
pieces = st.sampled_from(
    [b'"', b'""', b",", b",", b"\n", b"\n", b"\r\n", b"\r", b"a", b"1", b"a,b", b"x" * 70, b"\n\n"]
)
texts = st.lists(pieces, max_size=40).map(b"".join)
# Cells near the end of a text are read in another way than those before: blank lines keep both within reach.
tails = st.sampled_from([b"", b"\n" * 100])


def scan(text, *, header=b"", max_record=UNLIMITED, final=True, delimiter=b","):
    return _native.scan_records(np.frombuffer(text, np.uint8), delimiter[0], header, max_record, final)


def parse(text, kinds, *, header=b"", max_record=UNLIMITED, delimiter=b","):
    records = scan(text, header=header, max_record=max_record, delimiter=delimiter).records
    codes = [KINDS[kind] if kind else 0 for kind in kinds]
    return _native.parse_records(np.frombuffer(text, np.uint8), delimiter[0], header, max_record, codes, records)


def values(parsed):
    return [pl.Series(column).to_list() for column in parsed.columns]


@given(texts, st.sampled_from([b"", b"a,b", b"a"]), st.sampled_from([3, 8, 80, UNLIMITED]))
@example(b'a"b,c\n"x\n', b"", UNLIMITED)
@example(b'a,1\n"a",2\n\xef\xbb\xbfb,a\nab,1\n a,3\n"a\nb",1', b"a,b", UNLIMITED)
@settings(max_examples=500, deadline=None)
def test_scan_finds_the_records_of_the_naive_twin(text, header, max_record):
    found = scan(text, header=header, max_record=max_record)
    expected = delimited_records(text, header=header, max_record=max_record)
    kinds = [kind for kind, *_ in expected]
    assert found.end == len(text)
    assert found.blank == kinds.count("blank")
    assert found.headers == kinds.count("header")
    assert found.records == len(kinds) - found.blank - found.headers
    assert found.lines == text.count(b"\n")
    assert not found.overlong_open
    assert found.named == [
        start for kind, start, end, _ in expected if kind != "blank" and is_named(text[start:end], header)
    ]


def is_named(record, header):
    """Whether a record begins with a field of the header, in quotes or without."""
    names = [field.strip(b' \t\r\n"') for field in header.split(b",")]
    record = record.removeprefix(b"\xef\xbb\xbf")
    initials = {name[:1] for name in names} | {b'"'} - {b""}
    first = record.split(b",")[0].split(b"\n")[0].strip(b' \t\r\n"')
    return first != b"" and first in names and record[:1] in initials


@given(texts, st.sampled_from([5, 40, UNLIMITED]), st.data())
@settings(max_examples=500, deadline=None)
def test_scan_of_a_part_ends_where_a_record_of_the_whole_ends(text, max_record, data):
    cut = data.draw(st.integers(0, len(text)))
    found = scan(text[:cut], max_record=max_record, final=False)
    expected = delimited_records(text, max_record=max_record)
    ends = [0, *(following for *_, following in expected)]
    assert found.end in ends
    assert found.records == sum(kind != "blank" for kind, *_ in expected[: ends.index(found.end)])
    if found.overlong_open:
        assert expected[ends.index(found.end)][0] == "overlong"
        assert b"\n" not in text[found.end : cut]
    elif max_record != UNLIMITED:
        assert cut - found.end <= max_record + 2


@given(texts, tails, st.integers(1, 3), st.sampled_from([b"", b"a,b"]), st.sampled_from([8, UNLIMITED]))
@example(b'"""""",""\n', b"", 1, b"", 8)
@example(b'"""""\n"""\n', b"", 1, b"", 8)
@settings(max_examples=500, deadline=None)
def test_parse_gives_the_fields_and_rejects_of_the_naive_twin(text, tail, width, header, max_record):
    text += tail
    parsed = parse(text, ["string"] * width, header=header, max_record=max_record)
    rows, rejected, number = [], [], 0
    for kind, start, end, _ in delimited_records(text, header=header, max_record=max_record):
        if kind in ("blank", "header"):
            continue
        fields = delimited_fields(text[start:end]) if kind == "record" else []
        line = text[:start].count(b"\n")
        if kind != "record":
            rejected.append([number, line, start, end, REASONS[kind]])
        elif len(fields) != width:
            rejected.append([number, line, start, end, FIELD_COUNT])
        else:
            rows.append([field.decode() or None for field in fields])
        number += 1
    assert parsed.records == number
    assert parsed.rows == len(rows)
    assert values(parsed) == [list(column) for column in zip(*rows, strict=True)] or not rows
    assert parsed.rejected[:, :5].tolist() == rejected


number_texts = st.one_of(
    st.integers(-(10**9), 10**16).map(str),
    st.tuples(st.integers(0, 10**8), st.integers(0, 10**7)).map("{0[0]}.{0[1]:07}".format),
    st.tuples(st.integers(-99, 99), st.integers(0, 9)).map("{0[0]}.{0[1]}".format),
    st.integers(-(2**70), 2**70).map(str),
    st.floats(width=64).map(repr),
    st.floats(width=64).map("{:.17e}".format),
    st.decimals(allow_nan=False, allow_infinity=False, places=6).map(str),
    st.text("0123456789+-.eE infatyNAul/?\t", max_size=12),
    st.sampled_from(["", "-", "?", "NA", "n/a", "NaN", "-nan", "null", "None", "inf", "-Infinity", "+1", "+-1", "3.0"]),
    st.sampled_from(["1e308", "1e309", "-1e999", "1e-999", "0e9999", "1e99999999999999999999", "9007199254740993"]),
    st.sampled_from(["9223372036854775807", "-9223372036854775808", "9223372036854775808", "0x1f", "1_000", "1e", "٣"]),
    st.sampled_from(["true", "FALSE", "T", "f", "1", "0", "yes", "9" * 400, "0." + "0" * 400 + "1", "1" * 30 + "e-20"]),
)


@given(
    st.lists(number_texts, min_size=1, max_size=12),
    st.sampled_from(["integer", "float", "boolean"]),
    st.sampled_from(["\n", "\r\n", ",y\n"]),
    tails,
)
@settings(max_examples=1000, deadline=None)
def test_cells_have_the_values_of_the_naive_twin(cells, kind, behind, tail):
    text = "".join(f"x,{cell}{behind}" for cell in cells).encode() + tail
    parsed = parse(text, ["string", kind, None][: 2 + ("y" in behind)])
    expected = [cell_value(cell, kind) for cell in cells]
    kept = [value for value in expected if value != "bad"]
    found = values(parsed)[1]
    assert len(found) == len(kept)
    for got, wanted in zip(found, kept, strict=True):
        assert type(got) is type(wanted)
        assert got == wanted
        if isinstance(wanted, float):
            assert math.copysign(1, got) == math.copysign(1, wanted)
    assert parsed.rejected[:, 0].tolist() == [i for i, value in enumerate(expected) if value == "bad"]
    for _, _, _, _, _, column, start, end in parsed.rejected.tolist():
        assert column == 1
        assert text[start:end].decode() in cells


@given(st.binary(max_size=20) | st.text(max_size=20).map(str.encode), tails)
@settings(max_examples=500, deadline=None)
def test_text_is_kept_if_and_only_if_it_is_utf8(cell, tail):
    cell = cell.translate(None, b'",\r\n')
    parsed = parse(b"1," + cell + b"\n2,b\n" + tail, ["integer", "string"])
    try:
        expected = [cell.decode() or None, "b"]
    except UnicodeDecodeError:
        expected = ["b"]
        assert parsed.rejected[0, 4] == 7
    assert values(parsed)[1] == expected


@pytest.mark.parametrize("tail", [b"", b"\n" * 100])
def test_a_rejected_record_leaves_no_trace_in_the_columns(tail):
    text = b",-,?,\n1,2.5,x,a text of more than twelve bytes\n,,bad,\n3,-,1,another text of more than twelve\n" + tail
    parsed = parse(text, ["integer", "float", "boolean", "string"])
    assert values(parsed) == [[None, 3], [None, None], [None, True], [None, "another text of more than twelve"]]
    assert parsed.rejected[:, 0].tolist() == [1, 2]


def test_skipped_columns_are_counted_but_not_read():
    parsed = parse(b'1,\xff,2\n"1","a\nb",3\n1,2\n', ["integer", None, "integer"])
    assert values(parsed) == [[1, 1], [2, 3]]
    assert parsed.rejected[:, 4].tolist() == [FIELD_COUNT]


def test_kinds_are_the_narrowest_that_fit_all_cells():
    text = b"1,1,1.5,true,a,,-,T\n-,2.5,inf,FALSE,1,,NA,F\n3,1e3,nan,,2,,,T\nragged,x\n"
    kinds = _native.infer_kinds(np.frombuffer(text, np.uint8), ord(","), b"", UNLIMITED, 8)
    assert kinds == [1, 2, 2, 3, 4, 4, 4, 4]


def test_columns_outlive_their_parser():
    series = pl.Series(parse(b"a text of more than twelve bytes\n" * 1000, ["string"]).columns[0])
    assert series.to_list() == ["a text of more than twelve bytes"] * 1000


@pytest.mark.parametrize("kinds", [[], [9]])
def test_wrong_kinds_are_refused(kinds):
    with pytest.raises(ValueError, match="kind"):
        _native.parse_records(np.frombuffer(b"1\n", np.uint8), 44, b"", UNLIMITED, kinds, 1)


def test_more_records_than_were_counted_are_refused():
    with pytest.raises(RuntimeError, match="more records"):
        _native.parse_records(np.frombuffer(b"1\n2\n", np.uint8), 44, b"", UNLIMITED, [1], 1)
