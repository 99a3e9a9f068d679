import json
import math
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from naive_json import json_cell, json_line_spans, json_loaded, json_record, json_values

from netsieve.kernels import _native

KINDS = {"integer": 1, "float": 2, "boolean": 3, "string": 4, "time": 5}
UNLIMITED = 1 << 24
OVERLONG, NO_JSON, NO_OBJECT, BAD_ESCAPE, NO_SELECTOR = 3, 10, 11, 14, 17
LONG_KEY = "a key of more than sixteen bytes"


def bytes_of(text):
    return np.frombuffer(text if isinstance(text, bytes) else text.encode(), np.uint8)


def scan(text, *, array=False, max_record=UNLIMITED, final=True):
    return _native.scan_json_lines(bytes_of(text), array, max_record, final)


def parse_tables(text, tables, *, path="", array=False, max_record=UNLIMITED):
    """Parse with the columns of each table by the text that its records hold under the path."""
    records = scan(text, array=array, max_record=max_record).records
    columns = [(list(kinds), [KINDS[kind] for kind in kinds.values()]) for kinds in tables.values()]
    selector = (path, list(tables) if path else [])
    return _native.parse_json_lines(bytes_of(text), array, max_record, selector, columns, records)


def parse(text, columns, *, array=False, max_record=UNLIMITED, selector=("", "")):
    """Parse into one table; return it and what else was found as one."""
    parsed = parse_tables(text, {selector[1]: columns}, path=selector[0], array=array, max_record=max_record)
    (table,) = parsed.tables
    return SimpleNamespace(
        columns=table.columns,
        rows=table.rows,
        selected=table.selected,
        **{name: getattr(parsed, name) for name in ("records", "blank", "rejected", "skipped")},
    )


def values(parsed):
    columns = [pl.Series(column) for column in parsed.columns]
    return [(c.dt.timestamp("us") if c.dtype == pl.Datetime else c).to_list() for c in columns]


def discover(text, selector=("", "")):
    names = {code: kind for kind, code in KINDS.items()}
    path, value = selector
    (found,) = _native.discover_json_columns(bytes_of(text), False, UNLIMITED, (path, [value] if path else []))
    return {path: names[code] for path, code in found}


# Texts of JSON values, with blanks wherever they are allowed. Keys are few, so that they meet those asked for and occur
# twice; every text is one that a program could write.

blanks = st.sampled_from(["", "", "", " ", "\t", " \r "])
characters = st.characters(codec="utf-8") | st.sampled_from('"\\/\x00\x1f\x7f é€😀')
strings = st.one_of(
    st.sampled_from(
        ["", "-", "80", "1.5", "true", "NaN", "2021-06-06T14:05:06.123456+0200", "tcp", "x" * 40, "y" * 16]
    ),
    st.text(characters, max_size=20),
)
string_texts = st.builds(json.dumps, strings, ensure_ascii=st.booleans())
numbers = st.one_of(
    st.integers(-(10**6), 10**17).map(str),
    st.integers(-(2**65), 2**65).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["0", "-0", "1.0", "1e3", "1E+2", "0.5e-7", "1e400", "-1e-400", "1617981601.123456", "9" * 30]),
)
scalars = st.one_of(string_texts, numbers, st.sampled_from(["null", "true", "false"]))
key_texts = st.sampled_from(
    ["a", "b", "c", "a.b", "b.c", "", LONG_KEY, "a\\u002eb", 'a\\"', "é", "\\u00e9", "unknown " * 12, "x", "y"]
).map('"{}"'.format)


def lists(items, brackets):
    return st.tuples(st.lists(st.tuples(blanks, items, blanks).map("".join), max_size=4), blanks).map(
        lambda drawn: brackets[0] + (",".join(drawn[0]) or drawn[1]) + brackets[1]
    )


def members(items):
    return st.tuples(key_texts, blanks, blanks, items).map("{0[0]}{0[1]}:{0[2]}{0[3]}".format)


value_texts = st.recursive(scalars, lambda inner: lists(inner, "[]") | lists(members(inner), "{}"), max_leaves=6)
record_texts = lists(members(value_texts), "{}")


@st.composite
def lines(draw):
    """Return a line that most often is a record, sometimes with a few bytes of it changed."""
    line = draw(st.one_of(record_texts, record_texts, value_texts)).encode()
    line = draw(blanks).encode().replace(b"\r", b" ") + line + draw(blanks).encode()
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(line)))
        changed = draw(
            st.sampled_from([b"", b'"', b"\\", b"{", b"]", b",", b"0", b".", b"\xff", b"\x01", b"NaN", b"u"])
        )
        line = line[:at] + changed + line[at + draw(st.integers(0, 2)) :]
    return line.replace(b"\n", b" ")


texts = st.tuples(
    st.lists(lines() | st.sampled_from([b"", b" ", b"\t \r", b"\xef\xbb\xbf{}"]), max_size=6),
    st.sampled_from([b"\n", b"\r\n"]),
    # a line near the end of a text is read in another way than those before
    st.sampled_from([b"", b"\n", b"\n" * 100]),
).map(lambda drawn: drawn[1].join(drawn[0]) + drawn[2])

COLUMNS = ["a", "b", "a.b", "b.c", "a.b.c", "é", 'a"', LONG_KEY, ""]
columns = st.dictionaries(st.sampled_from(COLUMNS), st.sampled_from(list(KINDS)), min_size=1)


def assert_same(got, wanted):
    if isinstance(wanted, list):
        assert json_loaded(got) == wanted
        assert type(json_loaded(got)) is type(wanted)
        return
    assert type(got) is type(wanted)
    assert got == wanted
    if isinstance(wanted, float):
        assert math.copysign(1, got) == math.copysign(1, wanted)


@given(texts, columns, st.sampled_from([20, UNLIMITED, UNLIMITED]))
@example(b'{"a":{"b":1},"a":{}}\n{"a":{"b":1},"a":2}\n{"a.b":1,"a":{}}', {"a.b": "integer"}, UNLIMITED)
@example(b'{"a":"\\ud83d\\ude00"}\n{"a":"\\ud83d"}\n{"a":"\\ude00"}\n{"b":"\\ud83d"}\n' * 2, {"a": "string"}, UNLIMITED)
@example(b'{"a":"' + b"\\" * 5 + b'"}', {"a": "string"}, UNLIMITED)
@settings(max_examples=200, deadline=None)
def test_parse_gives_the_rows_and_rejects_of_the_naive_twin(text, kinds, max_record):
    parsed = parse(text, kinds, max_record=max_record)
    rows, numbers, rejected, number = [], [], [], 0
    spans = json_line_spans(text, max_record)
    for kind, start, end in spans:
        if kind == "blank":
            continue
        record = json_record(text[start:end]) if kind == "record" else None
        found = None if record is None else json_values(record, list(kinds))
        cells = None if found is None else [json_cell(found.get(path), kind) for path, kind in kinds.items()]
        if cells is None or any(isinstance(cell, str) and cell == "bad" for cell in cells):
            rejected.append([number, text[:start].count(b"\n"), start, end])
        else:
            rows.append(cells)
            numbers.append(number)
        number += 1
    assert parsed.blank == sum(kind == "blank" for kind, *_ in spans)
    assert parsed.records == number
    assert parsed.rejected[:, :4].tolist() == rejected
    assert parsed.selected.tolist() == numbers
    assert parsed.rows == len(rows)
    for got, wanted in zip(values(parsed), zip(*rows, strict=True), strict=False):
        for pair in zip(got, wanted, strict=True):
            assert_same(*pair)


@given(texts, st.integers(0, 1000), st.sampled_from([5, 40, UNLIMITED]))
@settings(max_examples=100, deadline=None)
def test_scan_of_a_part_ends_where_a_line_of_the_whole_ends(text, cut, max_record):
    cut = min(cut, len(text))
    whole = scan(text, max_record=max_record)
    spans = json_line_spans(text, max_record)
    assert whole.end == len(text)
    assert whole.records == sum(kind != "blank" for kind, *_ in spans)
    assert whole.blank == len(spans) - whole.records
    assert whole.lines == text.count(b"\n")
    part = scan(text[:cut], max_record=max_record, final=False)
    ends = [0, *(at + 1 for at in range(len(text)) if text[at : at + 1] == b"\n")]
    assert part.end in ends
    assert part.lines == text[: part.end].count(b"\n")
    if part.overlong_open:
        assert b"\n" not in text[part.end : cut]
    elif max_record != UNLIMITED:
        assert cut - part.end <= max_record + 2


@given(st.lists(record_texts, max_size=5), st.sampled_from([None, 1, 2]), st.booleans(), st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_the_objects_of_an_array_are_its_records_wherever_it_is_cut(objects, indent, spread, cut):
    whole = [json.loads(text) for text in objects]
    text = json.dumps(whole, indent=indent, separators=(",\n", ": ") if spread else None)
    parsed = parse(text, {"a": "string"}, array=True)
    lines = parse("\n".join(json.dumps(record) for record in whole), {"a": "string"})
    assert parsed.records == len(whole)
    assert values(parsed) == values(lines)
    assert parsed.rejected.shape == lines.rejected.shape
    data = text.encode()
    first = scan(data[:cut], array=True, final=False)
    rest = data[first.end :]
    assert first.records + scan(rest, array=True).records == len(whole)
    both = values(parse(data[: first.end], {"a": "string"}, array=True))[0]
    assert both + values(parse(rest, {"a": "string"}, array=True))[0] == values(parsed)[0]


@pytest.mark.parametrize(
    "broken",
    [
        '"b": "never closed',
        '"b": {"c": 1',
        '"b": NaN',
    ],
)
def test_a_broken_object_of_an_array_costs_the_object(broken):
    text = '[\n  {\n    "a": 1\n  },\n  {\n    "a": 2,\n    ' + broken + '\n  },\n  {\n    "a": 3\n  }\n]\n'
    parsed = parse(text, {"a": "integer"}, array=True, max_record=200)
    assert values(parsed) == [[1, 3]]
    assert parsed.rejected[:, :2].tolist() == [[1, 4]]
    assert parsed.records == 3


def test_an_object_beyond_the_limit_ends_with_its_line():
    text = '[\n  {\n    "a": 1,\n    "b": "' + "x" * 100 + '"\n  },\n  {\n    "a": 2\n  }\n]\n'
    parsed = parse(text, {"a": "integer"}, array=True, max_record=50)
    assert values(parsed) == [[2]]
    assert parsed.rejected[:, [0, 1, 4]].tolist() == [[0, 1, OVERLONG], [1, 4, NO_JSON]]


def test_what_stands_between_the_objects_of_an_array_is_rejected():
    parsed = parse('[{"a": 1}, 7, {"a": 2}}\n, "x"]\n{"a": 3}', {"a": "integer"}, array=True)
    assert values(parsed) == [[1, 2, 3]]
    assert parsed.rejected[:, :2].tolist() == [[1, 0], [3, 0], [4, 1]]


@pytest.mark.parametrize("tail", ["", "\n" * 100])
def test_a_rejected_record_leaves_no_trace_in_the_columns(tail):
    text = (
        '{"a":null,"b":null,"c":null,"d":"a text of more than twelve bytes"}\n'
        '{"a":1,"b":2.5,"c":"x","d":"another one of more than twelve"}\n'
        '{"a":3,"c":true}\n'
    )
    parsed = parse(text + tail, {"a": "integer", "b": "float", "d": "string", "c": "boolean"})
    assert values(parsed) == [[None, 3], [None, None], ["a text of more than twelve bytes", None], [None, True]]
    ((record, line, _, _, reason, column, start, end),) = parsed.rejected.tolist()
    assert (record, line, reason, column, text[start:end]) == (1, 1, 6, 3, "x")


def test_records_of_other_types_are_counted_and_those_without_one_rejected():
    text = '{"t":"a"}\n{"t":"b","n":1}\n{"t":"\\u0062","n":2}\n{"n":3}\n{"t":null}\n{"t":7}\n{"t":"c"}\n[]\n{"t":"c"'
    parsed = parse(text, {"n": "integer"}, selector=("t", "b"))
    assert parsed.selected.tolist() == [1, 2]
    assert parsed.skipped == {"a": 1, "7": 1, "c": 1}
    assert parsed.rejected[:, [0, 4]].tolist() == [[3, NO_SELECTOR], [4, NO_SELECTOR], [7, NO_OBJECT], [8, NO_JSON]]
    assert parsed.records == 9


# Records of several kinds: what makes the kind comes anywhere, twice, escaped, in a section, or is no text
kind_texts = st.sampled_from(
    [
        '"t":"flow"',
        '"t":"dns"',
        '"t":"d\\u006es"',
        '"t":"other"',
        '"t":null',
        '"t":7',
        '"x":{"t":"flow"}',
        '"t":"flow","t":"dns"',
        '"t":"\\ud83d"',
        '"t":{"a":1}',
    ]
)
member_texts = members(value_texts)
kind_lines = st.tuples(st.lists(member_texts, max_size=3), kind_texts, st.lists(member_texts, max_size=3)).map(
    lambda drawn: ("{" + ",".join([*drawn[0], drawn[1], *drawn[2]]) + "}").encode()
)
mixed_texts = st.tuples(st.lists(kind_lines | lines(), max_size=8), st.sampled_from([b"", b"\n", b"\n" * 100])).map(
    lambda drawn: b"\n".join(drawn[0]) + drawn[1]
)


@given(mixed_texts, columns, columns)
@settings(max_examples=200, deadline=None)
def test_several_tables_in_one_pass_are_those_of_a_pass_for_each(text, flows, dns):
    tables = {"flow": flows, "dns": dns}
    both = parse_tables(text, tables, path="t")
    assert len(both.tables) == 2
    singles = [parse(text, kinds, selector=("t", kind)) for kind, kinds in tables.items()]
    # a key whose escape stands for no character is noticed only within a section that is looked into
    bad_keys = {row[0] for row in both.rejected.tolist() if row[4] == BAD_ESCAPE and row[5] < 0}
    first = [0, len(flows)]
    rejected = {}
    for table, single, before in zip(both.tables, singles, first, strict=True):
        assert values(table) == values(single) or bad_keys
        assert table.selected.tolist() == [number for number in single.selected.tolist() if number not in bad_keys]
        for row in single.rejected.tolist():
            rejected[row[0]] = [*row[:5], row[5] + before if row[5] >= 0 else -1, *row[6:]]
    others = {row[0]: row for row in both.rejected.tolist() if row[0] in bad_keys}
    assert both.rejected.tolist() == [row for _, row in sorted((rejected | others).items())]
    taken = sum(table.rows for table in both.tables)
    assert both.records == taken + len(both.rejected) + sum(both.skipped.values())
    if not bad_keys:
        others = singles[0].skipped
        assert both.skipped == {kind: n for kind, n in others.items() if kind != "dns"}
    assert both.blank == singles[0].blank


def test_each_kind_of_record_has_columns_of_its_own():
    text = '{"t":"b","n":1,"s":{"x":1}}\n{"t":"a","n":"x","s":[2]}\n{"n":3}\n{"t":"c"}\n{"t":"b","n":"y"}\n[\n'
    tables = {"a": {"n": "string", "s": "string"}, "b": {"s.x": "integer", "n": "integer"}}
    for tail in ("", "\n" * 100):
        parsed = parse_tables(text + tail, tables, path="t")
        assert [values(table) for table in parsed.tables] == [[["x"], ["[2]"]], [[1], [1]]]
        assert [table.selected.tolist() for table in parsed.tables] == [[1], [0]]
        assert parsed.rejected[:, [0, 4, 5]].tolist() == [[2, NO_SELECTOR, -1], [4, 4, 3], [5, NO_JSON, -1]]
        assert parsed.skipped == {"c": 1}


def test_columns_of_several_kinds_are_discovered_in_one_pass():
    text = '{"t":"a","n":1}\n{"t":"b","n":"x","m":true}\n{"t":"c","z":1}\n{"n":2.5,"t":"a","t":"a"}\n'
    found = _native.discover_json_columns(bytes_of(text), False, UNLIMITED, ("t", ["b", "a", "d"]))
    assert found == [[("t", 4), ("n", 4), ("m", 3)], [("t", 4), ("n", 2)], []]


def test_the_types_that_a_file_makes_up_do_not_fill_the_memory():
    parsed = parse("".join(f'{{"t":"{"é" * i}"}}\n' for i in range(200)), {"n": "integer"}, selector=("t", "b"))
    assert len(parsed.skipped) == 33
    assert sum(parsed.skipped.values()) == 200


@pytest.mark.parametrize("depth", [10, 63, 64, 65, 66, 1000])
def test_nesting_within_the_limit_is_read(depth):
    text = '{"a":1,"b":' + "[" * (depth - 1) + "]" * (depth - 1) + "}\n"
    assert values(parse(text * 2, {"a": "integer"})) == [[1, 1]]
    nested = '{"a":' * depth + "{}" + "}" * depth
    assert values(parse(nested, {"b": "integer"})) == [[None]]


@pytest.mark.parametrize("nested", ["[" * 10_000, "[" * 10_000 + "]" * 10_000, '{"a":' * 5000 + "1" + "}" * 5000])
def test_nesting_beyond_the_limit_rejects_the_record(nested):
    parsed = parse('{"a":1,"b":' + nested + '}\n{"a":2}\n', {"a": "integer"})
    assert values(parsed) == [[2]]
    assert len(parsed.rejected) == 1


def test_a_line_beyond_the_limit_is_rejected_with_all_the_others_kept():
    text = '{"a":1}\n{"a":"' + "x" * 100 + '"}\r\n{"a":2}'
    parsed = parse(text, {"a": "integer"}, max_record=100)
    assert values(parsed) == [[1, 2]]
    assert parsed.rejected[:, :5].tolist() == [[1, 1, 8, 8 + 108, OVERLONG]]


def test_a_column_is_named_by_nested_keys_or_one_with_dots():
    text = '{"id.orig_h":"x","a":{"b.c":1}}\n{"id":{"orig_h":"y"},"a":{"b":{"c":2}}}\n{"id":3,"a.b":{"c":4}}\n'
    assert values(parse(text, {"id.orig_h": "string", "a.b.c": "integer"})) == [["x", "y", None], [1, 2, 4]]


def test_more_keys_than_are_remembered_are_passed_over():
    record = ",".join(f'"key {i}":{i}' for i in range(2000))
    text = f'{{{record},"a":1}}\n{{"a":2,{record}}}\n' * 3
    assert values(parse(text, {"a": "integer", "key 1999": "integer"})) == [[1, 2] * 3, [1999] * 6]


def test_containers_in_a_text_column_lose_their_blanks_alone():
    text = '{"a" : [ 1.50 ,\t"a b\\n" , { } ],"b":{ "c" : [ ] }}'
    assert values(parse(text, {"a": "string", "b": "string", "b.c": "string"})) == [
        ['[1.50,"a b\\n",{}]'],
        ['{"c":[]}'],
        ["[]"],
    ]


time_texts = st.one_of(
    st.datetimes().map(lambda time: time.isoformat()),
    st.datetimes().map(lambda time: time.strftime("%Y-%m-%d %H:%M:%S.%f+0530")),
    st.from_regex(
        r"(1999|2021|2024)-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]([.][0-9]{0,9})?"
        r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)?x?",
        fullmatch=True,
    ),
    st.text("0123456789-:T.+Z ", min_size=17, max_size=32),
    st.sampled_from(["2021-02-29T00:00:00Z", "2024-02-29T00:00:00z", "2016-12-31T23:59:60Z", "", "-", "now"]),
)


@given(st.lists(time_texts, min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_times_are_those_of_the_naive_twin(times):
    parsed = parse("".join(f'{{"t":"{time}"}}\n' for time in times), {"t": "time"})
    expected = [json_cell(time, "time") for time in times]
    assert values(parsed) == [[time for time in expected if time != "bad"]]
    assert parsed.rejected[:, 0].tolist() == [i for i, time in enumerate(expected) if time == "bad"]
    assert set(parsed.rejected[:, 4].tolist()) <= {9}


def test_columns_are_discovered_with_the_narrowest_kind_that_fits():
    text = (
        '{"t":"x","i":1,"f":1,"b":true,"m":1,"n":null,"s":{"a":{"b":"x"},"c":[1]},"id.h":"y","e":{}}\n'
        'no json\n{"t":"x","i":-2,"f":0.5,"b":false,"m":"1","big":18446744073709551615,"s":{"a":null}}\n'
        '{"t":"other","z":1}\n'
    )
    assert discover(text, ("t", "x")) == {
        "t": "string",
        "i": "integer",
        "f": "float",
        "b": "boolean",
        "m": "string",
        "n": "string",
        "s.a.b": "string",
        "s.c": "string",
        "id.h": "string",
        "big": "float",
        "s.a": "string",
    }
    assert discover(text)["z"] == "integer"


def test_discovery_is_bounded():
    assert len(discover("".join(f'{{"k{i}":1}}\n' for i in range(5000)))) == 2000
    deep = '{"a":' * 100 + "1" + "}" * 100
    assert discover(deep) == {".".join("a" * 8): "string"}


@pytest.mark.parametrize(
    ("paths", "kinds", "message"),
    [(["a"], [], "lengths"), (["a"], [0], "kind"), (["a"], [6], "kind"), (["a", "a"], [1, 1], "twice")],
)
def test_wrong_arguments_are_refused(paths, kinds, message):
    with pytest.raises(ValueError, match=message):
        _native.parse_json_lines(bytes_of("{}"), False, UNLIMITED, ("", []), [(paths, kinds)], 1)


@pytest.mark.parametrize(("selector", "tables"), [(("", []), 0), (("", []), 2), (("t", ["a"]), 2), (("t", []), 1)])
def test_a_table_for_each_value_of_the_selector_is_wanted(selector, tables):
    with pytest.raises(ValueError, match="another number of values"):
        _native.parse_json_lines(bytes_of("{}"), False, UNLIMITED, selector, [(["a"], [1])] * tables, 1)
