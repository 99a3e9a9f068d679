"""Every Zeek log of the real data, with the counts that its own README gives."""

from collections import Counter
from contextlib import closing

import polars as pl
import pytest
from naive_zeek import zeek_tsv
from polars.testing import assert_frame_equal

from netsieve.engine.errors import SourceError
from netsieve.engine.features.inference import infer_schema
from netsieve.engine.features.schema_file import schema_declaration
from netsieve.engine.sources import ColumnRequest, open_source
from netsieve.engine.sources.bytestream import ByteStream
from netsieve.engine.sources.inputs import expand_inputs
from netsieve.engine.sources.reading import read_frame, scan
from netsieve.engine.sources.zeek import READY_SCHEMAS

SMALL_BLOCKS = 64 * 1024


def read(path, **options):
    return read_frame([str(path)], block_bytes=SMALL_BLOCKS, **options)


def record_type(path):
    with closing(open_source(str(path))) as source:
        return source.record_type


def content(path):
    stream = ByteStream(str(path))
    data = bytes(stream.peek(1 << 24))
    stream.close()
    return data


@pytest.mark.parametrize(
    ("name", "kind", "rows"),
    [
        ("iot23/CTU-IoT-Malware-Capture-34-1.conn.log.labeled.gz", "conn", 23_145),
        ("zeek_ctu_sme11_remcos/conn.log.labeled.gz", "conn", 766),
        ("zeek_ctu_sme11_remcos/dhcp.log.labeled.gz", "dhcp", 1),
        ("zeek_ctu_sme11_remcos/dns.log.labeled.gz", "dns", 22),
        ("zeek_ctu_sme11_remcos/notice.log.labeled.gz", "notice", 2),
        ("zeek_ctu_sme11_remcos/quic.log.labeled.gz", "quic", 2),
        ("zeek_ctu_sme11_remcos/ssl.log.labeled.gz", "ssl", 2),
        ("zeek_json_slips9/conn.log.gz", "conn", 576),
        ("zeek_json_slips9/dns.log.gz", "dns", 239),
        ("zeek_json_slips9/files.log.gz", "files", 936),
        ("zeek_json_slips9/http.log.gz", "http", 516),
        ("zeek_json_slips9/notice.log.gz", "notice", 18),
        ("zeek_json_slips9/ssl.log.gz", "ssl", 205),
        ("zeek_portscan/vertical.conn.log.gz", "conn", 50),
        ("zeek_proxy/conn.log.gz", "conn", 463),
        ("zeek_proxy/dns.log.gz", "dns", 942),
        ("zeek_proxy/http.log.gz", "http", 407),
        ("zeek_proxy/ssl.log.gz", "ssl", 407),
        ("zeek_edge_cases/json_with_all_fields__conn.log", "conn", 29),
        ("zeek_edge_cases/json_with_all_fields__dns.log", "dns", 34),
        ("zeek_edge_cases/json_with_all_fields__http.log", "http", 10),
        ("zeek_edge_cases/json_with_all_fields__ssl.log", "ssl", 10),
        ("zeek_edge_cases/open_conns__closed__conn.log", "conn", 59),
        ("zeek_edge_cases/open_conns__open__conn.log", "conn", 29),
        ("zeek_edge_cases/open_conns__open__open_conn.log", "conn", 59),
    ],
)
def test_every_record_is_read(real_data, name, kind, rows):
    result = read(real_data / name)
    assert (record_type(real_data / name), result.frame.height, result.rejects) == (f"zeek.{kind}", rows, [])


@pytest.mark.parametrize(
    ("day", "rows"),
    [
        ("2024-04-19", {"conn": 31_367, "http": 9_873, "dns": 1_833, "ssl": 43}),
        ("2024-04-20", {"conn": 39_073, "http": 3_817, "dns": 1_828, "ssl": 45}),
    ],
)
def test_days_of_hourly_logs(real_data, day, rows):
    read_rows = Counter()
    for path in expand_inputs([str(real_data / "zeek_beacon_3days" / day / "*.log.gz")]):
        result = read(path, columns=ColumnRequest(columns=("ts", "id.orig_h")))
        assert not result.rejects
        assert result.frame["ts"].dt.strftime("%Y-%m-%d").is_between(pl.lit("2024-04-18"), pl.lit(day)).all()
        read_rows[record_type(path).removeprefix("zeek.")] += result.frame.height
    assert read_rows == rows


def test_the_beacon_is_found_by_name_behind_the_extra_first_column(real_data):
    path = real_data / "zeek_beacon_3days" / "2024-04-19"
    result = read_frame([str(path / "conn*")])
    assert result.frame.columns[:3] == ["_node_name", "ts", "uid"]
    beacon = (pl.col("id.orig_h") == "73.54.23.243") & (pl.col("id.resp_p") == 80)
    assert result.frame.filter(beacon).height == 317
    assert result.frame.filter(beacon)["network_direction"].unique().to_list() == ["inbound"]


def test_the_labels_of_iot23(real_data):
    frame = read(real_data / "iot23/CTU-IoT-Malware-Capture-34-1.conn.log.labeled.gz").frame
    assert dict(frame["label"].value_counts().iter_rows()) == {"Benign": 1_923, "Malicious": 21_222}
    assert dict(frame["detailed-label"].drop_nulls().value_counts().iter_rows()) == {
        "C&C": 6_706,
        "DDoS": 14_394,
        "PartOfAHorizontalPortScan": 122,
    }
    assert frame["tunnel_parents"].null_count() == frame.height


@pytest.mark.parametrize(("log", "rows"), [("ssl", 49_474), ("rdp", 4_122), ("weird", 24_202)])
def test_both_forms_of_the_same_traffic_give_equal_frames(real_data, log, rows):
    folder = real_data / "zeek_wrccdc2018"
    tsv, js = (list(scan([str(folder / name)])) for name in (f"tsv/{log}.log.gz", f"json/{log}.json.gz"))
    assert not any(block.rejects for block in (*tsv, *js))
    frames = [pl.concat(block.frame for block in blocks) for blocks in (tsv, js)]
    assert frames[0].height == rows
    assert_frame_equal(*frames)
    ends = [[end for block in blocks for end in block.end_time] for blocks in (tsv, js)]
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    ("name", "rows", "reasons"),
    [
        ("truncated__conn.log", 58, ["9 fields, expected 21"]),
        ("truncated__conn_top.log", 58, ["9 fields, expected 21"]),
        ("truncated__conn_json.log", 3, ["invalid JSON: a string is not closed"]),
        ("has_unknown_field__http.log", 4, ["29 fields, expected 30"]),
    ],
)
def test_damaged_logs_lose_the_damaged_records_only(real_data, name, rows, reasons):
    result = read(real_data / "zeek_edge_cases" / name)
    assert result.frame.height == rows
    assert [reject.reason for reject in result.rejects] == reasons


def test_a_field_of_an_unknown_type_is_text(real_data):
    frame = read(real_data / "zeek_edge_cases/has_unknown_field__http.log").frame
    assert frame["i_dont_exist"].unique().sort().to_list() == ["bingbong"]


def test_a_text_that_is_no_log_says_so(real_data):
    with pytest.raises(SourceError, match=r"text_file__conn.log' is no Zeek log that can be read: it has no #fields"):
        open_source(str(real_data / "zeek_edge_cases/text_file__conn.log"))


@pytest.mark.parametrize(
    "name",
    [
        "zeek_proxy/dns.log.gz",
        "zeek_proxy/http.log.gz",
        "zeek_proxy/conn.log.gz",
        "zeek_ctu_sme11_remcos/notice.log.labeled.gz",
    ],
)
def test_values_are_those_of_the_naive_twin(real_data, name):
    path = real_data / name
    rows, rejects, skipped = zeek_tsv(content(path))
    assert (rejects, list(skipped)) == ([], ["header"])
    frame = read(path).frame.with_columns(pl.col(pl.Datetime).cast(pl.Int64))
    width = len(rows[0]) - 1
    for (_, *expected), found in zip(rows, frame.iter_rows(), strict=True):
        numbers = [value for value in expected if isinstance(value, list)]
        texts = [value for value in expected if not isinstance(value, list)]
        lists = [found[i] for i, value in enumerate(expected) if isinstance(value, list)]
        assert [value for i, value in enumerate(found[:width]) if not isinstance(expected[i], list)] == texts
        assert [[float(number) for number in text.split(",")] for text in lists] == numbers


@pytest.mark.parametrize(
    "name",
    [
        "zeek_ctu_sme11_remcos/conn.log.labeled.gz",
        "zeek_portscan/vertical.conn.log.gz",
        "zeek_json_slips9/conn.log.gz",
        "zeek_proxy/dns.log.gz",
        "zeek_json_slips9/dns.log.gz",
        "zeek_proxy/http.log.gz",
        "zeek_json_slips9/http.log.gz",
        "zeek_proxy/ssl.log.gz",
        "zeek_wrccdc2018/json/ssl.json.gz",
    ],
)
def test_ready_schemas_fit_the_logs(real_data, name):
    declared = READY_SCHEMAS[record_type(real_data / name)]
    assert schema_declaration(declared).features
    frame = read(real_data / name, max_rows=2000).frame
    schema = infer_schema(frame, overrides=declared)
    assert set(schema.feature_names) == set(declared["features"])
