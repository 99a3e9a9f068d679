import gzip
import io
import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_zeek import tsv_cell, zeek_tsv
from polars.testing import assert_frame_equal

from netsieve.engine.errors import SourceError
from netsieve.engine.sources import ColumnRequest, ReadOptions, open_source
from netsieve.engine.sources.bytestream import ByteStream
from netsieve.engine.sources.reading import read_frame, scan
from netsieve.engine.sources.zeek_header import ZeekHeader, header_after
from netsieve.engine.sources.zeek_tsv import ZeekTsvSource

OPENING = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n"


def header(fields, types, path="conn", opening=OPENING):
    return (
        f"{opening}#path\t{path}\n#fields\t{fields}\n#types\t{types}\n".replace(" ", "\t")
        .replace("\\t", "\t")
        .replace("#separator\t", "#separator ")
    )


def log(*rows, fields="ts n s", types="time count string", path="conn", closed=True):
    lines = "".join("\t".join(row.split(" ")) + "\n" for row in rows)
    return header(fields, types, path) + lines + ("#close\t2024-01-01-00-00-00\n" if closed else "")


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a file and returns its path."""

    def write(content, name="some.log"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def read(path, *, columns=None, block_bytes=1 << 20, **options):
    return list(scan([path], columns=columns, options=ReadOptions(**options), block_bytes=block_bytes))


def only(path, **options):
    (block,) = read(path, **options)
    return block


def test_columns_have_the_types_of_the_header(write):
    path = write(
        header(
            "ts d c i p x b s a e v t n",
            "time interval count int port double bool string addr enum vector[string] set[count] some_new_type",
        )
        + "1.5\t0.25\t7\t-7\t80\t1e3\tT\tx y\t::1\ttcp\ta,b\t1,2\t-3\n"
        + "\t".join("-" * 13)
        + "\n"
    )
    frame = only(path, columns=ColumnRequest(columns=("ts", *"dcipxbsaevtn"))).frame
    integer, number, text = pl.Int64, pl.Float64, pl.String
    assert frame.dtypes == [
        *(pl.Datetime("us", "UTC"), number, integer, integer, integer, number, pl.Boolean),
        *(text,) * 6,
    ]
    assert frame.row(0) == (
        *(datetime(1970, 1, 1, 0, 0, 1, 500000, tzinfo=UTC), 0.25, 7, -7, 80, 1000.0, True, "x y"),
        *("::1", "tcp", "a,b", "1,2", "-3"),
    )
    assert frame.row(1) == (None,) * 13


def test_the_end_of_a_record_is_its_time_and_duration(write):
    path = write(log("10.5 2.25", "11 -", "12 inf", "-1.5 1", "- 3", fields="ts duration", types="time interval"))
    for columns in (None, ("duration",), ()):
        ends = only(path, columns=ColumnRequest(columns=columns)).end_time.tolist()
        assert ends[:4] == [12.75, 11.0, 12.0, -0.5]
        assert math.isnan(ends[4])
    complete = write(log("10.5 2.25", "11 0", fields="ts duration", types="time interval"))
    assert only(complete).end_time.tolist() == [12.75, 11.0]
    assert only(write(log("10.5 a", fields="ts s", types="time string"))).end_time.tolist() == [10.5]


def test_the_separators_and_markers_of_the_header_hold(write):
    text = (
        "#separator \\x7c\n#set_separator|;\n#empty_field|EMPTY\n#unset_field|none\n#path|conn\n"
        "#fields|s|v|n\n#types|string|vector[string]|count\n"
        "-|a;b|none\nnone|EMPTY|1\nEMPTY|none;EMPTY;(empty)|2\na\\x7cb\tc|x\\x3by|3\n"
    )
    frame = only(write(text)).frame
    assert frame.rows() == [
        ("-", "a,b", None),
        (None, "", 1),
        ("", "-,,(empty)", 2),
        ("a|b\tc", "x;y", 3),
    ]


def test_without_set_separator_and_types_the_known_ones_hold(write):
    text = "#separator \\x09\n#path\tdns\n#fields\tts\tquery\tTTLs\tAA\tmine\n1.0\tx\t60.000000,0.5\tT\t7\n"
    frame = only(write(text), columns=ColumnRequest(columns=("ts", "query", "TTLs", "AA", "mine"))).frame
    assert frame.rows() == [(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), "x", "60,0.5", True, "7")]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (b"\\x41\\x2d", "A-"),
        (b"\\x2d", "-"),
        (b"\\x28empty)", "(empty)"),
        (b"a\\x5cb\\x09", "a\\b\t"),
        (b"\\xc3\\xa9", "\xe9"),
        (b"\xc3\xa9", "\xe9"),
        (b"\xc3\\xa9", "\xe9"),
        (b"\\xE9", "\\xe9"),
        (b"\\x00\\x7f", "\\x00\\x7f"),
        (b"\x01", "\x01"),
        (b"\\xf0\\x9f\\x98\\x80", "\U0001f600"),
        (b"\\xf0\\x9f\\x98", "\\xf0\\x9f\\x98"),
        (b"\\x4", "\\x4"),
        (b"\\xg1\\", "\\xg1\\"),
        (b"(empty)", ""),
        (b"", ""),
        (b'"quoted, "', '"quoted, "'),
    ],
)
@pytest.mark.parametrize("behind", [b"", b"\n" * 100])
def test_escapes(write, cell, text, behind):
    path = write(log(fields="s n", types="string count", closed=False).encode() + cell + b"\t1\n" + behind)
    assert only(path).frame.rows() == [(text, 1)]


def test_bytes_that_are_no_utf8_and_not_escaped_reject_the_record(write):
    block = only(write(log(fields="s n", types="string count").encode() + b"caf\xe9\t1\nx\\xe9\t2\n"))
    assert block.frame["n"].to_list() == [2]
    (reject,) = block.rejects
    assert reject.reason == "column 's': invalid UTF-8"
    assert reject.raw.encode("utf-8", "surrogateescape") == b"caf\xe9\t1"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("x 1 a", "column 'ts': expected a time in seconds since 1970, got 'x'"),
        ("1e20 1 a", "column 'ts': expected a time in seconds since 1970, got '1e20'"),
        ("inf 1 a", "column 'ts': expected a time in seconds since 1970, got 'inf'"),
        ("1 abc a", "column 'n': expected an integer, got 'abc'"),
        ("1 1.5 a", "column 'n': expected a 64-bit integer, got '1.5'"),
        ("1 99999999999999999999 a", "column 'n': expected a 64-bit integer, got '99999999999999999999'"),
        ("1 1", "2 fields, expected 3"),
        ("1 1 a b", "4 fields, expected 3"),
        ("lonely", "1 field, expected 3"),
    ],
)
def test_a_wrong_cell_rejects_its_record(write, row, reason):
    content = log("1 1 a", row, "2 2 b")
    block = only(write(content))
    assert block.frame["n"].to_list() == [1, 2]
    (reject,) = block.rejects
    assert (reject.reason, reject.record, reject.line) == (reason, 1, 9)
    assert reject.raw == row.replace(" ", "\t")
    assert content.encode()[reject.offset :].startswith(reject.raw.encode())
    assert list(block.record) == [0, 2]
    assert block.skipped == {"header": 8}


def test_numbers_and_lists_of_them_are_checked(write):
    fields, types = "b x l", "bool double vector[double]"
    block = only(
        write(log("T 1 1,-,2", "maybe 1 1", "F x 1", "F nan 1", "F 1 1,a", "F inf (empty)", fields=fields, types=types))
    )
    assert block.frame.rows() == [(True, 1.0, "1,-,2"), (False, None, "1"), (False, math.inf, "")]
    assert [reject.reason for reject in block.rejects] == [
        "column 'b': expected T or F, got 'maybe'",
        "column 'x': expected a number, got 'x'",
        "column 'l': expected a number, got '1,a'",
    ]


@pytest.mark.parametrize("block_bytes", [1, 7, 64, 1 << 20])
def test_headers_repeated_by_rotation_are_skipped(write, block_bytes):
    path = write(log("1 1 a") + log("2 2 b") + "\n" + log("3 3 c", closed=False))
    blocks = read(path, block_bytes=block_bytes)
    assert [n for block in blocks for n in block.frame["n"]] == [1, 2, 3]
    assert [n for block in blocks for n in block.record] == [0, 1, 2]
    skipped = [sum(block.skipped.get(reason, 0) for block in blocks) for reason in ("header", "blank")]
    assert skipped == [23, 1]


@pytest.mark.parametrize("block_bytes", [1, 7, 64, 1 << 20])
def test_another_header_maps_columns_by_name(write, block_bytes):
    path = write(
        log("1 1 a")
        + log("x 2 2", fields="new n ts", types="string count time")
        + log("7 3", fields="s ts", types="count time")
    )
    frame = pl.concat(block.frame for block in read(path, block_bytes=block_bytes))
    assert frame.select("n", "s").rows() == [(1, "a"), (2, None), (None, "7")]
    assert frame["ts"].dt.epoch("s").to_list() == [1, 2, 3]
    assert frame.columns[:3] == ["ts", "n", "s"]
    assert "new" not in frame.columns


@pytest.mark.parametrize("block_bytes", [1, 64, 1 << 20])
def test_records_of_another_log_are_skipped(write, block_bytes):
    path = write(log("1 1 a") + log("2 2 b", "3 3 c", path="weird") + log("4 4 d"))
    blocks = read(path, block_bytes=block_bytes)
    assert [n for block in blocks for n in block.record] == [0, 3]
    assert sum(block.skipped.get("event type weird", 0) for block in blocks) == 2
    other = read(path, block_bytes=block_bytes, event_type="weird")
    assert [n for block in other for n in block.frame["n"]] == [2, 3]
    assert sum(block.skipped.get("event type conn", 0) for block in other) == 2


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("#fields\ta\ta\n", "the #fields line names 'a' twice"),
        ("#fields\ta\t\tb\n", "the #fields line has a field without a name"),
        ("#fields\n", "the #fields line has a field without a name"),
        ("#separator \\x09\\x09\n", "the #separator line gives '\\t\\t'; expected one ASCII character, like \\x09"),
    ],
)
def test_records_below_a_useless_header_are_rejected(write, fields, problem):
    content = log("1 1 a", closed=False) + fields + "2\t2\tb\n\n3\r\n" + log("4 4 d")
    blocks = read(write(content), block_bytes=1 << 20)
    assert [n for block in blocks for n in block.frame["n"]] == [1, 4]
    rejects = [reject for block in blocks for reject in block.rejects]
    assert [(reject.record, reject.line, reject.raw) for reject in rejects] == [(1, 10, "2\t2\tb"), (2, 12, "3")]
    assert {reject.reason for reject in rejects} == {f"the header above it cannot be used: {problem}"}
    assert all(content.encode()[reject.offset :].startswith(reject.raw.encode()) for reject in rejects)
    with pytest.raises(SourceError, match="cannot be read as a Zeek log"):
        open_source(write(OPENING + fields + "1\t2\n"))


def test_a_file_of_header_lines_alone_does_not_take_long(write):
    block_bytes = 1 << 16
    many = "#fields\ta\tb\n#fields\ta\tc\n" * 5000
    blocks = read(write(many + "1\t2\n"), block_bytes=block_bytes)
    assert sum(block.skipped["header"] for block in blocks) == 10_000
    assert [row for block in blocks for row in block.frame.select("a", "c").rows()] == [("1", "2")]
    assert [number for block in blocks for number in block.record] == [0]


def test_an_extra_column_in_front_is_read_by_name(write):
    path = write(log("worker-1 1 10.0.0.1", fields="_node_name ts id.orig_h", types="string time addr"))
    assert only(path).frame.select("_node_name", "id.orig_h").rows() == [("worker-1", "10.0.0.1")]


def test_the_last_fields_may_have_three_spaces_between_them(write):
    head = header("ts tunnel_parents", "time set[string]").replace(
        "tunnel_parents", "tunnel_parents   label   detailed-label"
    )
    head = head.replace("set[string]", "set[string]   string   string")
    rows = (
        "1\t-   Malicious   C&C two  blanks\n2\ta,b   Benign   -\r\n3\t-\tBenign\t-\n4\t-   Benign\n5\t-   a   b   c\n"
    )
    block = only(write(head + rows))
    names = ("tunnel_parents", "label", "detailed-label")
    assert block.frame.columns[:4] == ["ts", *names]
    assert block.frame.select(names).rows() == [
        (None, "Malicious", "C&C two  blanks"),
        ("a,b", "Benign", None),
        (None, "Benign", None),
    ]
    assert [reject.reason for reject in block.rejects] == ["3 fields, expected 4", "5 fields, expected 4"]


def test_marks_blank_lines_and_mixed_line_ends_are_no_records(write):
    content = "\ufeff\r\n" + log("1 1 a", closed=False) + "\r\n2\t2\tb\r\n\ufeff#close\tx\r\n\ufeff3\t3\tc"
    block = only(write(content))
    assert block.frame["s"].to_list() == ["a", "b", "c"]
    assert block.skipped == {"blank": 2, "header": 8}


def test_only_the_columns_asked_for_are_read_with_their_kinds(write):
    path = write(log("1.5 1 80", "2.5 x 81", fields="ts n s", types="time count string"))
    request = ColumnRequest(columns=("s", "ts", "absent"), kinds={"s": "integer", "ts": "string"})
    with closing(open_source(path, columns=request)) as source:
        assert source.columns == ("ts", "n", "s")
        (block,) = (source.parse(block) for block in source.blocks())
    assert block.frame.to_dict(as_series=False) == {"ts": ["1.5", "2.5"], "s": [80, 81]}
    assert block.end_time.tolist() == [1.5, 2.5]
    asked_as_float = ColumnRequest(columns=("ts",), kinds={"ts": "float"})
    assert only(path, columns=asked_as_float).frame["ts"].to_list() == [1.5, 2.5]


def test_a_header_without_records_gives_no_rows(write):
    bare = read_frame([write("#separator \\x09\n#fields\ta\tb")]).frame
    assert (bare.height, bare.columns) == (0, ["a", "b"])
    result = read_frame([write("#separator \\x09\n" + "# more\n" * 20_000 + log())])
    assert (result.frame.height, result.frame.columns[:3], result.rejected) == (0, ["ts", "n", "s"], 0)


CONN = (
    "1517336042.090842\tCi85EB2YjUI9a2eql6\t10.0.0.1\t14291\t10.0.0.2\t80\ttcp\t-\t3.000158\t0\t0\tS0\tT\tT\t0\tS\t2\t104"
    "\t0\t0\t(empty)\n"
)


def test_a_log_without_header_is_read_where_the_standard_fields_fit(write):
    block = only(write(CONN + CONN[:40], "conn.log"))
    assert block.frame.select("id.resp_h", "duration", "tunnel_parents").rows() == [("10.0.0.2", 3.000158, "")]
    assert [reject.reason for reject in block.rejects] == ["3 fields, expected 21"]
    for content in (
        CONN.replace("14291", "x"),
        CONN.replace("10.0.0.2", "x"),
        CONN.replace("\tT\t", "\tyes\t"),
        "1.000000\tCi85EB2YjUI9a2eql6\tx\n",
    ):
        with pytest.raises(SourceError, match="no #fields line that names the columns; put the header lines back"):
            open_source(write(content, "conn.log"))


def test_names_are_given_where_the_header_is_lost(write):
    path = write("1.000000\tCi85EB2YjUI9a2eql6\t80\n", "what.txt")
    frame = read_frame([path], options=ReadOptions(names=["ts", "uid", "id.orig_p"])).frame
    assert frame["id.orig_p"].to_list() == [80]
    with pytest.raises(SourceError, match="has 3 fields, but 2 different column names"):
        open_source(path, options=ReadOptions(names=["ts", "uid"]))


@pytest.mark.parametrize(
    ("name", "head", "record_type"),
    [
        ("x", log("1 1 a", path="ssh"), "zeek.ssh"),
        ("dns.00:00:00-01:00:00.log", log("1 1 a").replace("#path\tconn\n", ""), "zeek.dns"),
        ("x", log("1 1", fields="ts conn_state", types="time string").replace("#path\tconn\n", ""), "zeek.conn"),
        ("x", log("1 1 a").replace("#path\tconn\n", ""), "zeek.log"),
    ],
)
def test_the_record_type_is_told_by_path_name_or_fields(write, name, head, record_type):
    with closing(open_source(write(head, name))) as source:
        assert source.record_type == record_type


def test_what_is_no_zeek_log_says_so(write):
    with pytest.raises(SourceError, match=r"no Zeek log that can be read: it has no #fields line"):
        open_source(write("Lorem ipsum, dolor.\n\nSit amet, consectetur, elit.\n", "conn.log"))
    with pytest.raises(SourceError, match="it has no #fields line that names the columns"):
        open_source(write("#separator \\x09\n#path\tconn\n"))
    with pytest.raises(SourceError, match="is empty"):
        open_source(write(""), options=ReadOptions(input_format="zeek"))
    with pytest.raises(SourceError, match="is in UTF-16; convert it to UTF-8"):
        open_source(write(log("1 1 a").encode("utf-16"), "conn.log"))
    with closing(open_source(write("a,b\n1,2\n", "conn.log"))) as source:
        assert source.record_type == "record"


def test_a_zeek_log_is_not_read_as_csv(write):
    with pytest.raises(SourceError, match="is a Zeek log; expected"):
        open_source(write(log("1 1 a")), options=ReadOptions(input_format="csv"))


@given(st.binary(max_size=300), st.integers(1, 400))
@settings(max_examples=100, deadline=None)
def test_binary_garbage_is_accounted_for(tmp_path_factory, garbage, block_bytes):
    path = tmp_path_factory.getbasetemp() / "garbage.log"
    path.write_bytes(log("1 1 a").encode() + garbage)
    records = 0
    with closing(open_source(str(path), block_bytes=block_bytes)) as source:
        for block in source.blocks():
            parsed = source.parse(block)
            assert block.records + sum(block.skipped.values()) == (
                parsed.frame.height + len(parsed.rejects) + sum(parsed.skipped.values())
            )
            records += block.records
    lines = garbage.split(b"\n")
    assert records == 1 + sum(
        bool(line.removesuffix(b"\r").removeprefix(b"\xef\xbb\xbf"))
        and not line.startswith(b"#")
        and not line.startswith(b"\xef\xbb\xbf#")
        for line in lines
    )


def test_a_record_of_many_megabytes_is_read_whole(write):
    block_bytes = 1 << 20
    path = write(log("1 1 a", "2 2 " + "y" * 11_000_000, "3 3 c"))
    blocks = read(path, block_bytes=block_bytes)
    assert [len(text) for block in blocks for text in block.frame["s"]] == [1, 11_000_000, 1]


def test_blocks_are_parsed_by_any_thread(write):
    path = write(
        log(*(f"{n} {n} x{n}\\x41" for n in range(3000))) + log("1 1 a", fields="ts s n", types="time string count")
    )
    with closing(open_source(path, block_bytes=4000)) as source:
        cut = list(source.blocks())
        with ThreadPoolExecutor(4) as pool:
            parsed = list(pool.map(source.parse, cut))
        frames = [source.parse(block).frame for block in cut]
    assert len(cut) > 10
    assert_frame_equal(pl.concat(block.frame for block in parsed), pl.concat(frames))


FLOW_FIELDS = (
    "ts id.orig_h id.resp_h orig_bytes resp_bytes local_orig local_resp orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes"
)
FLOW_TYPES = "time addr addr count count bool bool count count count count"


def test_derived_columns_of_connections(write):
    path = write(
        log(
            "3600 10.0.0.1 8.8.8.8 30 10 - - 3 300 1 50",
            "90000 8.8.8.8 10.0.0.1 0 0 - - 0 0 0 0",
            "0 8.8.8.8 9.9.9.9 - 5 F T 1 40 - -",
            "0 10.0.0.1 fe80::1 1 0 - - 1 40 1 41",
            "0 8.8.8.8 not-an-address 1 0 - - 1 40 1 41",
            fields=FLOW_FIELDS,
            types=FLOW_TYPES,
        )
    )
    frame = only(path).frame
    assert frame.columns[11:] == [
        *("orig_bytes_share", "orig_packets_share", "mean_packet_bytes_orig", "mean_packet_bytes_resp"),
        *("hour_of_day", "network_direction"),
    ]
    assert frame["orig_bytes_share"].to_list() == [0.75, None, None, 1.0, 1.0]
    assert frame["orig_packets_share"].to_list() == [0.75, None, None, 0.5, 0.5]
    assert frame["mean_packet_bytes_orig"].to_list() == [100.0, None, 40.0, 40.0, 40.0]
    assert frame["mean_packet_bytes_resp"].to_list() == [50.0, None, None, 41.0, 41.0]
    assert frame["hour_of_day"].to_list() == [1, 1, 0, 0, 0]
    assert frame["network_direction"].to_list() == ["outbound", "inbound", "inbound", "internal", None]
    given = only(path, home_networks=["8.8.8.0/24"]).frame
    assert given["network_direction"].to_list()[:3] == ["inbound", "outbound", "outbound"]
    wanted = only(path, columns=ColumnRequest(columns=("network_direction",))).frame
    assert_frame_equal(wanted, frame.select("network_direction"))


def test_the_direction_is_what_zeek_says_where_it_says_so_of_all_records(write):
    rows = (f"-1 10.0.0.1 10.0.0.2 1 0 {ends} 1 40 1 41" for ends in ("F T", "T F", "F F", "T T"))
    frame = only(write(log(*rows, fields=FLOW_FIELDS, types=FLOW_TYPES))).frame
    assert frame["network_direction"].to_list() == ["inbound", "outbound", "external", "internal"]
    assert frame["hour_of_day"].to_list() == [23] * 4


def test_what_is_read_as_text_is_not_computed_with(write):
    path = write(log("0 10.0.0.1 8.8.8.8 30 10 - - 3 300 1 50", fields=FLOW_FIELDS, types=FLOW_TYPES))
    frame = only(
        path, columns=ColumnRequest(kinds={"orig_bytes": "string", "ts": "string", "orig_pkts": "float"})
    ).frame
    assert "orig_bytes_share" not in frame.columns
    assert "hour_of_day" not in frame.columns
    assert frame["orig_packets_share"].to_list() == [0.75]


@pytest.mark.parametrize(
    ("own", "cell", "absent"),
    [
        ("time double", "3600", "hour_of_day"),
        ("time string", "3600", "hour_of_day"),
        ("addr count", "7", "network_direction"),
        ("count string", "x", "orig_bytes_share"),
    ],
)
def test_nothing_is_computed_of_fields_of_other_types_than_zeeks(write, own, cell, absent):
    types, row = FLOW_TYPES.split(" "), ["3600", "10.0.0.1", "8.8.8.8", "30", "10", "-", "-", "3", "300", "1", "50"]
    place = types.index(own.split(" ")[0])
    types[place], row[place] = own.split(" ")[1], cell
    frame = only(write(log(" ".join(row), fields=FLOW_FIELDS, types=" ".join(types)))).frame
    assert frame.height == 1
    assert absent not in frame.columns
    assert "orig_packets_share" in frame.columns


@pytest.mark.parametrize("end", ["", "\r\n", "\n7\t7\tb\n"])
@pytest.mark.parametrize("block_bytes", [50, 1000, 1 << 20])
def test_a_line_without_end_is_rejected_without_being_held(write, block_bytes, end):
    head = log("1 1 a", closed=False)
    path = write(head + "x" * 9000 + end)
    stream = ByteStream(path)
    with closing(open_source(path)) as opened:
        assert opened.columns[:3] == ("ts", "n", "s")
    first = ZeekHeader()
    for line in head.encode().split(b"\n")[:7]:
        first = header_after(first, line)
    with closing(
        ZeekTsvSource(
            stream, ColumnRequest(), ReadOptions(), first=first, path="conn", block_bytes=block_bytes, max_record=200
        )
    ) as source:
        parsed = [source.parse(block) for block in source.blocks()]
    (reject,) = [reject for block in parsed for reject in block.rejects]
    assert (reject.record, reject.line, reject.offset, reject.raw) == (1, 9, len(head), "x" * 4096)
    assert reject.reason == "line of more than 200 bytes"
    assert [n for block in parsed for n in block.frame["n"]] == ([1, 7] if "7" in end else [1])


def test_compressed_logs_and_standard_input(write, monkeypatch):
    content = log(*(f"{n} {n} x{n}" for n in range(1000))).encode()
    plain = read_frame([write(content)]).frame
    assert_frame_equal(read_frame([write(gzip.compress(content), "a.log.gz")]).frame, plain)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert_frame_equal(read_frame(["-"]).frame, plain)
    with pytest.raises(SourceError, match="truncated gzip"):
        read_frame([write(gzip.compress(content)[:-100], "b.log.gz")])


FIELDS, TYPES = "ts n s v", "time count string vector[interval]"
cells = st.sampled_from(
    [
        *("-", "(empty)", "1", "80", "-7", "1.5", "1545403816.962094", "22.3", "1e3", "1545403816.9620945", "abc", "T"),
        *("x\\x41", "\\xe9", "\\xc3\\xa9", "\u00e9", "1,2", "60.000000,-", ",", "nan", "99999999999999999999", ""),
        *("a-text-that-is-longer-than-sixteen-bytes", "a-text-of-more-bytes\\x2c"),
    ]
)
records = st.lists(cells, min_size=4, max_size=4).map("\t".join)
rough = st.lists(
    st.one_of(
        records.map(lambda record: record + "\n"),
        st.sampled_from(
            [
                *("\n", "\r\n", "\r", "\t", "x", "#", "#close\tx\n", "\ufeff", "# \n", "y" * 120, "#types\ta\n"),
                "#fields\ts\tn\tnew\tv\n",
                "#fields\tts\tn\ts\tv\n",
                "#fields\ta\ta\n",
                "#fieldsn\n",
                "#path\tdns\n",
                "#path\tconn\n",
                "#unset_field\tnone\n",
                "#set_separator\t;\n",
                "#separator \\x2c\n",
                "#separator \\x09\n",
                "1545403816.962094\t1\ta\t-\r\n",
                "1545403816.962094\t1\ta\t1.5,2\n" * 3,
            ]
        ),
    ),
    max_size=30,
).map("".join)


@given(rough, st.integers(1, 300), st.booleans())
@settings(max_examples=150, deadline=None)
def test_everything_is_as_the_naive_twin_says_at_every_block_size(tmp_path_factory, text, block_bytes, padded):
    head = header(FIELDS, TYPES).encode() + b"1\t1\ta\t-\n"
    data = head + text.encode() + b"\n" * 100 * padded
    path = tmp_path_factory.getbasetemp() / "rough.log"
    path.write_bytes(data)
    first = ZeekHeader()
    for line in head.split(b"\n")[:-2]:
        first = header_after(first, line)
    request = ColumnRequest(columns=tuple(FIELDS.split()))
    with closing(
        ZeekTsvSource(
            ByteStream(str(path)),
            request,
            ReadOptions(),
            first=first,
            path="conn",
            block_bytes=block_bytes,
            max_record=100,
        )
    ) as source:
        cut = list(source.blocks())
        blocks = [source.parse(block) for block in reversed(cut)][::-1]
    rows, rejects, skipped = zeek_tsv(data, max_record=100)
    found = [
        (number, *row)
        for block in blocks
        for number, row in zip(block.record, block.frame.with_columns(pl.col("ts").cast(pl.Int64)).rows(), strict=True)
    ]
    assert found == [tuple(_list_text(value) for value in row) for row in rows]
    assert [(r.record, r.line, r.offset) for block in blocks for r in block.rejects] == rejects
    for reason in skipped.keys() | {reason for block in blocks for reason in block.skipped}:
        assert sum(block.skipped.get(reason, 0) for block in blocks) == skipped.get(reason, 0)
    for block, parsed in zip(cut, blocks, strict=True):
        seen = parsed.frame.height + len(parsed.rejects) + sum(parsed.skipped.values())
        assert block.records + sum(block.skipped.values()) == seen


def _list_text(value):
    if not isinstance(value, list):
        return value
    return ",".join(each if isinstance(each, str) else repr(each).removesuffix(".0") for each in value)


@given(
    st.lists(
        st.lists(
            st.binary(max_size=20) | st.sampled_from([b"-", b"(empty)", b"\\x41", "é".encode()]), min_size=2, max_size=2
        ),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=100, deadline=None)
def test_what_zeek_writes_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "written.log"
    lines = [f"{tsv_cell(a, '')}\t{tsv_cell([b, a], '')}\n" for a, b in rows]
    # a record that begins like a header line has its first character escaped
    lines = [f"\\x23{line[1:]}" if line.startswith("#") else line for line in lines]
    path.write_text(header("s v", "string vector[string]") + "".join(lines))
    frame = only(str(path), block_bytes=16 << 10).frame
    for (a, b), (text, both) in zip(rows, frame.rows(), strict=True):
        for value, shown in ((a, text), (b + b"," + a, both)):
            try:
                expected = value.decode()
            except UnicodeDecodeError:
                continue
            if all((ch >= " " and ch != "\x7f") or ch in "\b\f\n\r\t" for ch in expected):
                assert shown == expected
