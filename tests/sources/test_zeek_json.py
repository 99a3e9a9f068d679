import json
from contextlib import closing
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_zeek import json_line, shortest, tsv_cell
from polars.testing import assert_frame_equal

from netsieve.engine.errors import SourceError
from netsieve.engine.sources import ColumnRequest, ReadOptions, open_source
from netsieve.engine.sources.reading import read_frame, scan
from netsieve.engine.sources.zeek_fields import STANDARD_LOGS

CONN = {"ts": 1.5, "uid": "C1", "id.orig_h": "10.0.0.1", "id.resp_h": "8.8.8.8", "conn_state": "SF", "orig_bytes": 3}


@pytest.fixture
def write(tmp_path):
    """Return a function that writes objects as JSON lines, or text, and returns the file's path."""

    def write(*records, name="some.json"):
        path = tmp_path / name
        path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records))
        return str(path)

    return write


def only(path, *, columns=None, **options):
    (block,) = scan([path], columns=columns, options=ReadOptions(**options))
    return block


def test_the_columns_are_those_of_the_standard_log_and_others_behind_them(write):
    path = write({"_path": "conn", "_write_ts": 2.0, "_node_name": "w1", **CONN, "community_id": "1:x", "mine": 7})
    frame = only(path).frame
    standard = list(STANDARD_LOGS["conn"])
    assert frame.columns[: len(standard) + 3] == ["_node_name", *standard, "community_id", "mine"]
    assert frame.row(0, named=True)["network_direction"] == "outbound"
    assert frame.schema["mine"] == pl.Int64
    assert frame.schema["duration"] == pl.Float64
    assert frame.schema["local_orig"] == pl.Boolean


@pytest.mark.parametrize(
    "time",
    [1517422326.53942, "2018-01-31T18:12:06.539420Z", "2018-01-31T18:12:06.53942+0000"],
)
def test_times_are_numbers_or_text(write, time):
    block = only(write({**CONN, "ts": time, "duration": 2.5}))
    assert block.frame["ts"].to_list() == [datetime(2018, 1, 31, 18, 12, 6, 539420, tzinfo=UTC)]
    assert block.end_time.tolist() == [1517422329.03942]


def test_times_in_milliseconds_are_told_by_their_size(write):
    frame = only(write({**CONN, "ts": 1517422326539}, {**CONN, "ts": 1517422327000})).frame
    assert frame["ts"].dt.epoch("ms").to_list() == [1517422326539, 1517422327000]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b,c", ""], "a,b,c,"),
        (['q"uote', "back\\slash", "\xe9", "\u0001"], 'q"uote,back\\slash,\xe9,\x01'),
        ([None, True, False], "-,T,F"),
        ([1, -2, 10000000000], "1,-2,10000000000"),
        ([0.5, 2.0], "0.5,2"),
        (["]", '","'], '],","'),
        ([["a"], {"b": 1}], '["a"],{"b":1}'),
        ("plain", "plain"),
        ("[not an array", "[not an array"),
        ('["a",', '["a",'),
        (None, None),
    ],
)
def test_lists_are_texts_with_commas(write, value, text):
    assert only(write({**CONN, "tunnel_parents": value})).frame["tunnel_parents"].to_list() == [text]


def test_numbers_in_lists_have_their_shortest_form(write):
    path = write({"ts": 1.0, "uid": "C1", "query": "x", "rcode_name": "NOERROR", "TTLs": [60.0, 60, 0.5, 1e22]})
    assert only(path).frame["TTLs"].to_list() == ["60,60,0.5,1e+22"]


def test_unknown_lists_are_told_by_the_first_records(write):
    path = write({**CONN, "tags": ["a", "b"], "text": "[1]"}, CONN, {**CONN, "tags": [], "text": "x"})
    assert only(path).frame.select("tags", "text").rows() == [("a,b", "[1]"), (None, None), ("", "x")]


def test_one_log_of_a_mixed_file_is_read(write):
    path = write({"_path": "conn", **CONN}, {"_path": "dns", "ts": 2.0, "uid": "C2", "query": "x"}, CONN)
    block = only(path)
    assert (block.frame.height, list(block.record), block.skipped) == (1, [0], {"event type dns": 1})
    assert [reject.reason for reject in block.rejects] == ["no text under '_path'"]
    other = only(path, event_type="zeek.dns")
    assert (other.frame["query"].to_list(), list(other.record)) == (["x"], [1])
    assert other.skipped == {"event type conn": 1}
    with closing(open_source(path, options=ReadOptions(event_type="dns"))) as source:
        assert source.record_type == "zeek.dns"
    none = only(write(CONN, "", CONN, name="b.json"), event_type="dns")
    assert (none.frame.height, none.skipped, len(none.end_time)) == (0, {"event type conn": 2, "blank": 1}, 0)


@pytest.mark.parametrize(
    ("name", "record", "record_type"),
    [
        ("conn.log", {"ts": 1.0, "uid": "C1"}, "zeek.conn"),
        ("vertical.conn.json", {"ts": 1.0, "uid": "C1"}, "zeek.conn"),
        ("x", CONN, "zeek.conn"),
        ("x", {"ts": 1.0, "uid": "C", "qtype_name": "A"}, "zeek.dns"),
        ("x", {"ts": 1.0, "fuid": "F", "seen_bytes": 1}, "zeek.files"),
        ("notice.log", {"ts": 1.0, "note": "X::Y"}, "zeek.notice"),
        ("x", {"ts": 1.0, "uid": "C1"}, "zeek.log"),
        ("x", {"ts": 1.0, "_path": "mine"}, "zeek.mine"),
        ("x", {"ts": 1.0, "note": "X::Y"}, "record"),
        ("x", {"ts": 1.0, "uid": "C1", "event_type": "flow"}, "suricata.flow"),
        ("conn.log", {"timestamp": 1.0}, "record"),
    ],
)
def test_zeek_is_told_from_other_json(write, name, record, record_type):
    with closing(open_source(write(record, name=name))) as source:
        assert source.record_type == record_type


def test_bad_lines_cost_one_record_each(write):
    good = {**CONN, "orig_bytes": 1}
    path = write(good, "{", "[1]", json.dumps(good)[:-9], "", {**good, "orig_bytes": "x"}, {**good, "ts": "soon"}, good)
    block = only(path)
    assert list(block.record) == [0, 6]
    assert [reject.record for reject in block.rejects] == [1, 2, 3, 4, 5]
    assert block.rejects[-2].reason == "column 'orig_bytes': expected an integer, got 'x'"
    assert block.skipped == {"blank": 1}


def test_an_empty_file_is_an_error(write):
    with pytest.raises(SourceError, match="is empty"):
        open_source(write(), options=ReadOptions(input_format="zeek"))


def test_only_the_columns_asked_for_are_read(write):
    request = ColumnRequest(columns=("network_direction", "orig_bytes", "absent"), kinds={"orig_bytes": "float"})
    block = only(write(CONN), columns=request)
    assert block.frame.to_dict(as_series=False) == {"orig_bytes": [3.0], "network_direction": ["outbound"]}
    assert block.end_time.tolist() == [1.5]


texts = st.one_of(
    st.binary(max_size=20), st.text(max_size=8).map(str.encode), st.sampled_from([b"-", b"(empty)", b"\\x41"])
)
microseconds = st.integers(0, 4 * 10**15).map(lambda n: n / 1e6)
values = {
    "ts": microseconds,
    "uid": texts,
    "service": texts,
    "duration": microseconds,
    "orig_bytes": st.integers(0, 2**63 - 1),
    "local_orig": st.booleans(),
    "tunnel_parents": st.lists(texts.filter(lambda text: text not in (b"-", b"", b"(empty)")), max_size=3),
    "mine": st.lists(st.sampled_from([0.0, 0.5, 60.0, 3600.000001]), max_size=3),
}
optional = {name: st.none() | strategy for name, strategy in values.items() if name not in ("ts", "uid")}


@given(st.lists(st.fixed_dictionaries({"ts": values["ts"], "uid": values["uid"], **optional}), min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_both_forms_of_the_same_records_give_the_same_frame(tmp_path_factory, records):
    folder = tmp_path_factory.getbasetemp()
    types = dict(STANDARD_LOGS["conn"]) | {"mine": "vector[double]"}
    tsv = folder / "a.conn.log"
    head = (
        "#separator \\x09\n#path\tconn\n#fields\t" + "\t".join(types) + "\n#types\t" + "\t".join(types.values()) + "\n"
    )
    lines = ["\t".join(tsv_cell(record.get(name), types[name]) for name in types) for record in records]
    tsv.write_text(head + "\n".join(lines) + "\n")
    js = folder / "b.conn.json"
    # the first record shows that the field that Zeek does not know is a list
    shown = [
        {**record, "mine": [] if record["mine"] is None and not i else record["mine"]}
        for i, record in enumerate(records)
    ]
    js.write_text("\n".join(map(json_line, shown)) + "\n")
    a, b = read_frame([str(tsv)]), read_frame([str(js)])
    assert not a.rejects
    assert not b.rejects
    numbers = [shortest(record["mine"]) if record["mine"] is not None else None for record in shown]
    assert b.frame["mine"].to_list() == numbers
    assert_frame_equal(a.frame.drop("mine"), b.frame.drop("mine"))
