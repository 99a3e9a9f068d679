import csv
import io
import math
from contextlib import closing

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsieve.engine.errors import SourceError
from netsieve.engine.sources import ColumnRequest, ReadOptions, open_source
from netsieve.engine.sources.bytestream import ByteStream
from netsieve.engine.sources.csv import CsvSource, sniff_delimiter
from netsieve.engine.sources.reading import read_frame, scan


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a file and returns its path."""

    def write(content, name="flows.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def read(path, *, kinds=None, block_bytes=1 << 20, **options):
    request = ColumnRequest(kinds=kinds or {}, infer=kinds is None)
    return list(scan([path], columns=request, block_bytes=block_bytes, **options))


def rejects_of(blocks):
    return [reject for block in blocks for reject in block.rejects]


def test_columns_have_the_kinds_that_their_cells_show(write):
    path = write("a,b,c,d,e\n1,1.5,true,x,\n-,NaN,false,,\n3,inf,NA,z,\n")
    frame = read_frame([path]).frame
    assert frame.schema == {"a": pl.Int64, "b": pl.Float64, "c": pl.Boolean, "d": pl.String, "e": pl.String}
    assert frame.rows() == [(1, 1.5, True, "x", None), (None, None, False, None, None), (3, math.inf, None, "z", None)]


def test_only_the_columns_asked_for_are_read(write):
    path = write("a,b,c\n1,x,3\n4,y,6\n")
    request = ColumnRequest(columns=("c", "a", "absent"), kinds={"a": "float"}, infer=False)
    with closing(open_source(path, columns=request)) as source:
        assert source.columns == ("a", "b", "c")
        (block,) = (source.parse(block) for block in source.blocks())
    assert block.frame.to_dict(as_series=False) == {"a": [1.0, 4.0], "c": ["3", "6"]}
    assert block.record == range(2)


def test_a_text_where_a_number_belongs_rejects_the_record(write):
    path = write('IP,BytesSent\n10.0.0.1,12\n"10.0.0.2",abc\n10.0.0.3,3.5\n10.0.0.4,4.0\n')
    (block,) = read(path, kinds={"IP": "string", "BytesSent": "integer"})
    assert block.frame.rows() == [("10.0.0.1", 12), ("10.0.0.4", 4)]
    np.testing.assert_array_equal(block.record, [0, 3])
    first, second = block.rejects
    assert first.reason == "column 'BytesSent': expected an integer, got 'abc'"
    assert (first.source_file, first.record, first.line, first.offset) == (path, 1, 3, 25)
    assert first.raw == '"10.0.0.2",abc'
    assert second.reason == "column 'BytesSent': expected a 64-bit integer, got '3.5'"


def test_an_inferred_integer_column_turns_to_floats_at_the_first_fraction(write):
    path = write("a,b\n" + "1,2\n" * 20 + "1.5,2\nx,2\n")
    blocks = read(path, block_bytes=40)
    assert blocks[0].frame.schema["a"] == pl.Int64
    assert read_frame([path], block_bytes=40).frame["a"].to_list() == [1.0] * 20 + [1.5]
    assert [reject.record for reject in rejects_of(blocks)] == [21]


def test_numbers_beyond_float64_are_infinite(write):
    (block,) = read(write("a\n1e308\n1e309\n-1e999\n1e-999\n"), kinds={"a": "float"})
    assert block.frame["a"].to_list() == [1e308, math.inf, -math.inf, 0.0]


def test_ragged_records_are_rejected(write):
    (block,) = read(write("a,b,c\n1,2,3\n1,2\n1,2,3,4\nlonely\n4,5,6\n"))
    assert block.frame["a"].to_list() == [1, 4]
    assert [reject.reason for reject in block.rejects] == [
        "2 fields, expected 3",
        "4 fields, expected 3",
        "1 field, expected 3",
    ]
    assert [reject.line for reject in block.rejects] == [3, 4, 5]


def test_quotes_newlines_and_delimiters_inside_fields_are_text(write):
    (block,) = read(write('a,b\n"x, ""y""\n\r\nz",1\nplain "quotes" inside,2\n5" disk,3\n"",4\n'))
    assert block.frame["a"].to_list() == ['x, "y"\n\r\nz', 'plain "quotes" inside', '5" disk', None]
    assert not block.rejects


@pytest.mark.parametrize(
    "text",
    ['a,b\n"x"y,1\nz,2\n', 'a,b\n"x,1\nz,2\nw,3\n', 'a,b\nz,2\n"x,1', 'a,b\n"x,1\nz,"2"\nw,3\n'],
)
def test_a_wrong_quote_costs_one_line(write, text):
    (block,) = read(write(text))
    (reject,) = block.rejects
    assert reject.reason == "a quoted field is not closed, or text follows its closing quote"
    assert reject.raw.startswith('"x')
    assert block.frame.height == len(text.splitlines()) - 2


def test_an_unclosed_quote_does_not_swallow_the_file(write):
    path = write('a,b\n1,2\n3,"4\n' + "5,6\n" * 100_000)
    stream = ByteStream(path)
    with closing(CsvSource(stream, ColumnRequest(), block_bytes=1000, max_record=5000)) as source:
        blocks = [source.parse(block) for block in source.blocks()]
    assert sum(block.frame.height for block in blocks) == 100_001
    (reject,) = rejects_of(blocks)
    assert (reject.record, reject.line, reject.raw) == (1, 3, '3,"4')
    assert "not closed" in reject.reason


@pytest.mark.parametrize("block_bytes", [50, 1000, 1 << 20])
@pytest.mark.parametrize("end", ["", "\r\n", "\n7,8\n"])
def test_a_line_without_end_is_rejected_without_being_held(write, block_bytes, end):
    path = write("a,b\n1,2\n" + "x" * 9000 + end)
    with closing(CsvSource(ByteStream(path), ColumnRequest(), block_bytes=block_bytes, max_record=200)) as source:
        blocks = list(source.blocks())
        parsed = [source.parse(block) for block in blocks]
    (reject,) = rejects_of(parsed)
    assert (reject.record, reject.line, reject.offset, reject.raw) == (1, 3, 8, "x" * 4096)
    assert reject.reason == "line of more than 200 bytes"
    assert sum(block.frame.height for block in parsed) == (2 if "7" in end else 1)
    assert block_bytes > 1000 or max(len(block.data) for block in blocks) < 2500


def test_invalid_utf8_rejects_the_record(write):
    (block,) = read(write(b"a,b\ncaf\xe9,1\ncaf\xc3\xa9,2\n"))
    assert block.frame.rows() == [("caf\xe9", 2)]
    (reject,) = block.rejects
    assert reject.reason == "column 'a': invalid UTF-8"
    assert reject.raw.encode("utf-8", "surrogateescape") == b"caf\xe9,1"


def test_blank_lines_and_repeated_headers_are_skipped_without_a_number(write):
    path = write(b"\xef\xbb\xbf\r\n\r\na,b\r\n1,2\r\n\r\na,b\r\n\xef\xbb\xbfa,b\r\nx,y,z\r\n3,4\r\n\r\n")
    (block,) = read(path, kinds={"a": "integer", "b": "integer"})
    assert block.frame.rows() == [(1, 2), (3, 4)]
    assert list(block.record) == [0, 2]
    assert block.skipped == {"blank": 4, "header": 2}
    (reject,) = block.rejects
    assert (reject.record, reject.line) == (1, 8)
    with open(path, "rb") as file:
        assert file.read()[reject.offset :].startswith(b"x,y,z")


@pytest.mark.parametrize("content", ["", "\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_an_error(write, content):
    path = write(content)
    with pytest.raises(SourceError, match=f"'{path}' is empty"):
        open_source(path)


@pytest.mark.parametrize("content", ["a,b", "a,b\n", "a,b\r\n\r\n"])
def test_a_header_without_records_gives_no_rows(write, content):
    read = read_frame([write(content)])
    assert (read.frame.height, read.frame.columns, read.rejected) == (0, ["a", "b"], 0)


def test_duplicate_column_names_are_an_error(write):
    with pytest.raises(SourceError, match=r"duplicate column name 'b', 'c': .*give the column names"):
        open_source(write("a,b,b,c, c\n1,2,3,4,5\n"))


def test_column_names_are_stripped_and_filled_in(write):
    with closing(open_source(write(' a ,,"b, ""c""\nd"\n1,2,3\n'))) as source:
        assert source.columns == ("a", "column_2", 'b, "c"\nd')


def test_names_are_given_where_there_is_no_header(write):
    path = write("1,tcp\n2,udp\n")
    frame = read_frame([path], options=ReadOptions(names=["n", "proto"])).frame
    assert frame.rows() == [(1, "tcp"), (2, "udp")]
    assert frame.columns == ["n", "proto"]


def test_a_header_equal_to_the_names_given_is_no_record(write):
    read = read_frame([write("n,proto\n1,tcp\n")], options=ReadOptions(names=["n", "proto"]))
    assert (read.frame.rows(), read.skipped) == ([(1, "tcp")], {"header": 1})


@pytest.mark.parametrize(("names", "message"), [(["a"], "has 2 fields, but 1 column"), (["a", "a"], "duplicate")])
def test_wrong_names_are_an_error(write, names, message):
    with pytest.raises(SourceError, match=message):
        open_source(write("1,tcp\n2,udp\n"), options=ReadOptions(names=names))


@pytest.mark.parametrize(
    ("line", "delimiter"),
    [("a,b", ","), ("a\tb", "\t"), ("a;b", ";"), ("a|b", "|"), ("a", ","), ('"x;y;z",b', ","), ("a b;c,d;e", ";")],
)
def test_the_delimiter_is_found_in_the_header(line, delimiter):
    assert sniff_delimiter(line) == delimiter


def test_a_delimiter_can_be_given(write):
    path = write("a:b,c\n1:2,3\n")
    assert read_frame([path], options=ReadOptions(delimiter=":")).frame.rows() == [(1, "2,3")]
    for wrong in ('"', "\n", "::", "", "é"):
        with pytest.raises(SourceError, match="delimiter"):
            open_source(path, options=ReadOptions(delimiter=wrong))


def test_bare_carriage_returns_are_an_error(write):
    with pytest.raises(SourceError, match="bare carriage returns"):
        open_source(write("a,b\r1,2\r3,4\r"))


def test_a_header_that_is_not_utf8_is_an_error(write):
    with pytest.raises(SourceError, match="expected a header line"):
        open_source(write(b"caf\xe9,b\n1,2\n"))


fields = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8) | st.text(
    ',"\r\n;\t|a', max_size=8
)


@given(st.data(), st.integers(2, 5), st.sampled_from(["\n", "\r\n"]), st.sampled_from(",;\t|"))
@settings(max_examples=80, deadline=None)
def test_what_the_csv_module_writes_is_read_at_every_block_size(tmp_path_factory, data, width, line_end, delimiter):
    rows = data.draw(st.lists(st.lists(fields, min_size=width, max_size=width), min_size=1, max_size=10))
    names = [f"name{i}" for i in range(width)]
    text = io.StringIO(newline="")
    # the module leaves a carriage return unquoted where it is no part of the line end, which nobody can tell apart
    quoting = csv.QUOTE_MINIMAL if line_end == "\r\n" else csv.QUOTE_ALL
    writer = csv.writer(text, lineterminator=line_end, delimiter=delimiter, quoting=quoting)
    writer.writerows([names, *rows])
    path = tmp_path_factory.getbasetemp() / "hypothesis.csv"
    path.write_bytes(text.getvalue().encode())
    expected = [tuple(field or None for field in row) for row in rows]
    request = ColumnRequest(kinds=dict.fromkeys(names, "string"))
    for block_bytes in (1, data.draw(st.integers(2, 200)), 1 << 16):
        with closing(CsvSource(ByteStream(str(path)), request, block_bytes=block_bytes)) as source:
            blocks = [source.parse(block) for block in source.blocks()]
        assert [row for block in blocks for row in block.frame.rows()] == expected
        assert not rejects_of(blocks)


rough = st.lists(
    st.sampled_from(
        ['"', '""', ",", ",", "\n", "\n", "\r\n", "\r", "a", "1", "1,2\n", '1,"b"\n', "x" * 30, "a,b\n", "é"]
    ),
    max_size=60,
)


@given(rough, st.integers(1, 60))
@settings(max_examples=100, deadline=None)
def test_nothing_depends_on_the_block_size(tmp_path_factory, pieces, block_bytes):
    path = tmp_path_factory.getbasetemp() / "rough.csv"
    path.write_bytes(("a,b\n" + "".join(pieces)).encode())
    request = ColumnRequest(kinds={"a": "integer", "b": "string"})

    def everything(size):
        with closing(CsvSource(ByteStream(str(path)), request, block_bytes=size, max_record=64)) as source:
            cut = list(source.blocks())
            blocks = [source.parse(block) for block in reversed(cut)][::-1]
        rows = [(number, *row) for b in blocks for number, row in zip(b.record, b.frame.rows(), strict=True)]
        skipped = {reason: sum(b.skipped.get(reason, 0) for b in blocks) for reason in ("blank", "header")}
        assert sum(b.bytes_read for b in blocks) <= path.stat().st_size
        assert sum(b.records for b in cut) == len(rows) + len(rejects_of(blocks))
        return rows, rejects_of(blocks), skipped

    assert everything(block_bytes) == everything(1 << 16)


def test_a_column_that_turns_out_to_be_text_behind_the_first_block_is_text(write):
    rows = "".join(f"{i},0\n" for i in range(200)) + "".join(f"{i},attack\n" for i in range(200))
    read = read_frame([write("n,label\n" + rows)], block_bytes=500)
    # A few in the block where it begins cannot be told from single wrong cells
    assert read.rejected <= 20
    assert read.frame["label"].value_counts().sort("label").rows() == [("0", 200), ("attack", 200 - read.rejected)]
    assert read.frame["n"].dtype == pl.Int64


def test_single_wrong_cells_behind_the_first_block_are_rejected(write):
    rows = "".join(f"{i},{'oops' if i == 150 else i}\n" for i in range(200))
    read = read_frame([write("n,m\n" + rows)], block_bytes=500)
    assert [(reject.record, reject.reason) for reject in read.rejects] == [
        (150, "column 'm': expected an integer, got 'oops'")
    ]
    assert read.frame["m"].dtype == pl.Int64


def test_wrong_cells_of_lenient_columns_are_emptied_and_counted(write):
    request = ColumnRequest(kinds={"n": "integer", "id": "integer"}, infer=False, lenient=frozenset({"id"}))
    with closing(open_source(write("n,id\n1,7\n2,0x1f\nx,8\n4,-\n"), columns=request)) as source:
        parsed = [source.parse(block) for block in source.blocks()]
    assert parsed[0].frame.rows() == [(1, 7), (2, None), (4, None)]
    assert parsed[0].emptied == {"id": 1}
    assert [reject.record for reject in parsed[0].rejects] == [2]


@pytest.mark.parametrize("block_bytes", [20, 45, 1 << 20])
def test_below_a_header_of_other_columns_nothing_is_read_until_the_first_one_comes_again(write, block_bytes):
    text = (
        "a,b,c\n1,2,3\n"
        'b,"c",a\n4,5,6\n7,8\n\n9,10,11,12\n'  # the cells below would fit
        "a,b,c\n13,14,15\n"
        "a,b\n16,17,18\n"  # fewer columns: not what the next record has
        '"x\nb,c,a\n",19,20\n'  # within a field
        '" a","b",c\n21,22,23\n'  # the same, written otherwise
    )
    blocks = read(write(text), kinds={"a": "string", "b": "string", "c": "string"}, block_bytes=block_bytes)
    rows = [row for block in blocks for row in block.frame.rows()]
    # the first header written otherwise is a record like others where all columns hold text
    assert [row for row in rows if row[0] != " a"] == [
        ("1", "2", "3"),
        ("13", "14", "15"),
        ("16", "17", "18"),
        ("x\nb,c,a\n", "19", "20"),
        ("21", "22", "23"),
    ]
    rejects = rejects_of(blocks)
    assert [(reject.line, reject.raw) for reject in rejects] == [
        (3, 'b,"c",a'),
        (4, "4,5,6"),
        (5, "7,8"),
        (7, "9,10,11,12"),
        (10, "a,b"),
    ]
    assert all("names other columns than the first" in reject.reason for reject in rejects[:4])
    assert rejects[4].reason == "2 fields, expected 3"
    assert all(text[reject.offset :].startswith(reject.raw) for reject in rejects)
    skipped = [count for block in blocks for count in block.skipped.values()]
    assert sum(skipped) == 2  # the blank line and the first header again
    assert len(rows) + len(rejects) == 11


def test_records_of_numbers_are_no_header_where_the_columns_names_are_numbers(write):
    text = "0,1,2,3,4\n" + "0,2,1,4,3\n1,0,3,4,2\n4,3,2,1,0\n" * 3
    blocks = read(write(text), block_bytes=1 << 20)
    assert [row for block in blocks for row in block.frame.rows()] == [
        (0, 2, 1, 4, 3),
        (1, 0, 3, 4, 2),
        (4, 3, 2, 1, 0),
    ] * 3
    assert not rejects_of(blocks)
    mixed = "a,b,c,0,1\n0,1,a,b,7\nb,a,c,0,1\nx,y,z,0,1\n"
    blocks = read(write(mixed), kinds={})
    assert [reject.raw for reject in rejects_of(blocks)] == ["b,a,c,0,1", "x,y,z,0,1"]


def test_a_file_whose_columns_change_again_and_again_is_refused(write):
    pair = "a,c,b\na,b,c\n"
    assert len(rejects_of(read(write("a,b,c\n" + pair * 500)))) == 500
    with pytest.raises(SourceError, match=r"flows.csv.* more than 1,000 header lines in mid-file"):
        read(write("a,b,c\n" + pair * 501))


def test_a_long_header_line_in_mid_file_is_one(write):
    names = [f"column_of_a_rather_long_name_{number}" for number in range(300)]
    lines = [names, ["1"] * 300, names[::-1], ["2"] * 300]
    blocks = read(write("".join(",".join(line) + "\n" for line in lines)))
    assert [block.frame.height for block in blocks] == [1, 0]
    assert len(rejects_of(blocks)) == 2
