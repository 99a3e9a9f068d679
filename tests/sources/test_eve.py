import gzip
import io
import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from functools import cache

import numpy as np
import orjson
import polars as pl
import pytest
import zstandard
from naive_json import json_cell, json_loaded, json_record, json_values

from netsieve.engine.errors import SourceError
from netsieve.engine.features.inference import fit_schema, infer_schema
from netsieve.engine.features.schema_file import schema_declaration
from netsieve.engine.sources import ColumnRequest, ReadOptions, open_source
from netsieve.engine.sources.eve import READY_SCHEMAS
from netsieve.engine.sources.eve_columns import SECTIONS, event_columns
from netsieve.engine.sources.reading import read_frame, scan

SLIPS = "suricata/slips_test6-malicious.suricata.json.gz"
GTKCYBER = "suricata/gtkcyber_eve.json.gz"
ARRAYS = {"wrccdc-2018": 207, "wrccdc-2017": 161, "first-org-conf-2015": 136, "honeypot-2018": 44}

FLOW = {
    "timestamp": "2021-06-06T16:05:22.830309+0200",
    "event_type": "flow",
    "src_ip": "192.168.1.129",
    "dest_ip": "8.8.8.8",
    "dest_port": 53,
    "flow": {
        "pkts_toserver": 3,
        "pkts_toclient": 1,
        "bytes_toserver": 300,
        "bytes_toclient": 900,
        "start": "2021-06-06T14:05:06.000001+0000",
        "end": "2021-06-06T14:05:08.500001Z",
    },
    "host": "sensor",
    "metadata": {"flowbits": ["a", "b"]},
}


@pytest.fixture
def write(tmp_path):
    """Return a function that writes events as lines, or a text as it is, and returns its path."""

    def write(content, name="eve.json"):
        path = tmp_path / name
        text = content if isinstance(content, str) else "".join(json.dumps(event) + "\n" for event in content)
        path.write_text(text)
        return str(path)

    return write


def read(path, event_type=None, *, block_bytes=1 << 20, request=None, **options):
    options = ReadOptions(event_type=event_type, **options)
    with closing(open_source(path, columns=request, options=options, block_bytes=block_bytes)) as source:
        parsed = []
        for block in source.blocks():
            parsed.append(source.parse(block))
            known = block.records + sum(block.skipped.values())
            assert known == parsed[-1].frame.height + len(parsed[-1].rejects) + sum(parsed[-1].skipped.values())
            assert len(parsed[-1].end_time) == len(parsed[-1].record) == parsed[-1].frame.height
    return parsed


def joined(parsed):
    skipped = Counter()
    for block in parsed:
        skipped.update(block.skipped)
    return (
        pl.concat([block.frame for block in parsed]),
        [number for block in parsed for number in block.record],
        np.concatenate([block.end_time for block in parsed]),
        dict(skipped),
        [reject for block in parsed for reject in block.rejects],
    )


def test_a_flow_has_its_columns_and_those_computed_from_it(write):
    (block,) = read(write([FLOW]))
    row = block.frame.row(0, named=True)
    assert list(row)[: len(event_columns("flow"))] == list(event_columns("flow"))
    assert row["timestamp"] == datetime(2021, 6, 6, 14, 5, 22, 830309, UTC)
    assert row["flow.end"] == datetime(2021, 6, 6, 14, 5, 8, 500001, UTC)
    assert row["metadata.flowbits"] == '["a","b"]'
    assert row["src_port"] is row["tcp.tcp_flags"] is row["tcp.syn"] is None
    computed = list(row)[-7:]
    assert {name: row[name] for name in computed} == {
        "duration_seconds": 2.5,
        "packets_toserver_share": 0.75,
        "bytes_toserver_share": 0.25,
        "mean_packet_bytes_toserver": 100.0,
        "mean_packet_bytes_toclient": 900.0,
        "hour_of_day": 14,
        "network_direction": "outbound",
    }
    assert block.end_time.tolist() == [1622988308.500001]


def test_what_is_missing_is_null_and_rejects_nothing(write):
    empty = {"event_type": "flow", "flow": {"pkts_toserver": 0, "pkts_toclient": 0, "bytes_toserver": 9}}
    (block,) = read(write([{"event_type": "flow"}, empty, {"event_type": "flow", "flow": None, "tcp": []}, FLOW]))
    assert not block.rejects
    columns = ["duration_seconds", "packets_toserver_share", "mean_packet_bytes_toserver", "network_direction"]
    assert block.frame.select(columns).head(3).rows() == [(None,) * 4] * 3
    assert np.isnan(block.end_time[:3]).all()
    only_start = FLOW | {"flow": {"start": "2021-06-06T14:05:06+0000"}}
    (block,) = read(write([only_start]))
    assert block.end_time.tolist() == [1622988322.830309]


def test_other_events_are_skipped_by_type_and_take_a_number(write):
    events = [FLOW | {"event_type": kind} for kind in ("dns", "flow", "stats", "dns", "flow")]
    (block,) = read(write(events))
    assert block.record.tolist() == [1, 4]
    assert block.skipped == {"event type dns": 2, "event type stats": 1}
    (block,) = read(write(events), "dns")
    assert block.record.tolist() == [0, 3]
    (block,) = read(write([*events, FLOW | {"event_type": "new_type", "new": {"x": 1}}]), "new_type")
    assert block.frame["new.x"].to_list() == [1]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"timestamp":"2021-06-06"}', "no text under 'event_type'"),
        ('{"event_type":"flow","timestamp":"yesterday"}', "column 'timestamp': expected a time like 2021-06-06T"),
        ('{"event_type":"flow","dest_port":"http"}', "column 'dest_port': expected an integer, got 'http'"),
        ('{"event_type":"flow","flow":{"alerted":"maybe"}}', "column 'flow.alerted': expected true or false"),
        ('{"event_type":"flow","flow":{"start":', "invalid JSON"),
        ('{"event_type":"dns","dns":{', "invalid JSON"),
    ],
)
def test_a_wrong_event_is_rejected(write, line, reason):
    text = json.dumps(FLOW)
    (block,) = read(write(f"{text}\n{line}\n{text}\n"))
    assert block.frame.height == 2
    (reject,) = block.rejects
    assert reject.reason.startswith(reason)
    assert (reject.record, reject.line, reject.offset, reject.raw) == (1, 2, len(text) + 1, line)


def test_home_networks_say_which_way_a_flow_goes(write):
    (block,) = read(write([FLOW]), home_networks=("8.8.0.0/16", "2001:db8::/32"))
    assert block.frame["network_direction"].to_list() == ["inbound"]
    with pytest.raises(SourceError, match="home network 'inside'"):
        read(write([FLOW]), home_networks=("inside",))


def test_only_the_columns_asked_for_and_what_they_need_are_read(write):
    wanted = ("network_direction", "host", "duration_seconds", "metadata.flowbits", "absent")
    request = ColumnRequest(columns=wanted, kinds={"host": "string"}, infer=False)
    (block,) = read(write([FLOW, FLOW | {"dest_port": "not asked for"}]), request=request)
    assert block.frame.rows() == [("sensor", '["a","b"]', 2.5, "outbound")] * 2
    assert block.frame.columns == ["host", "metadata.flowbits", "duration_seconds", "network_direction"]
    (block,) = read(write([FLOW]), request=ColumnRequest(columns=("hour_of_day",)))
    assert block.frame.rows() == [(14,)]


@pytest.mark.parametrize(
    ("path", "kind", "absent"),
    [
        ("flow.bytes_toserver", "string", "bytes_toserver_share"),
        ("src_ip", "integer", "network_direction"),
        ("flow.pkts_toclient", "boolean", "packets_toserver_share"),
    ],
)
def test_nothing_is_computed_of_what_is_read_otherwise(write, path, kind, absent):
    (block,) = read(write([FLOW]))
    assert absent in block.frame.columns
    (block,) = read(write([FLOW]), request=ColumnRequest(kinds={path: kind}))
    assert absent not in block.frame.columns
    assert "hour_of_day" in block.frame.columns


def test_dns_events_of_all_versions_have_the_same_columns(write):
    query = {"rrname": "a1.example.org", "rrtype": "AAAA"}
    answers = [{"rrname": "a1.example.org", "rrtype": "AAAA", "ttl": 3, "rdata": "::1"}]
    odd = {"rrname": 'a"1\\\u00e9.org', "rrtype": "TXT"}
    events = [
        {"type": "query"} | query,
        {"version": 2, "type": "answer", "rcode": "NOERROR", "answers": answers} | query,
        {"version": 3, "type": "request", "queries": [query]},
        {"version": 3, "type": "response", "rcode": "NOERROR", "queries": [query], "answers": answers},
        {"version": 3, "type": "request", "queries": [odd, query, query]},
        {"version": 3, "type": "request", "queries": []},
        {"version": 3, "type": "request"},
    ]
    (block,) = read(write([FLOW | {"event_type": "dns", "dns": dns} for dns in events]), "dns")
    columns = ["dns.type", "dns.rrname", "dns.rrtype", "dns_name_length", "dns_answer_count", "dns_query_count"]
    request = ("query", "a1.example.org", "AAAA", 14, None, 1)
    response = ("answer", "a1.example.org", "AAAA", 14, 1, 1)
    assert block.frame.select(columns).rows() == [
        request,
        response,
        request,
        response,
        ("query", 'a"1\\\u00e9.org', "TXT", 9, None, 3),
        ("query", None, None, None, None, 0),
        ("request", None, None, None, None, None),
    ]
    # the array is read where a column of it is wanted alone
    source = open_source(
        str(write([FLOW | {"event_type": "dns", "dns": events[2]}])),
        columns=ColumnRequest(columns=("dns.rrtype",)),
        options=ReadOptions(event_type="dns"),
    )
    (block,) = source.blocks()
    assert source.parse(block).frame.to_dicts() == [{"dns.rrtype": "AAAA"}]
    source.close()


def test_dns_http_and_tls_events_have_tables_of_their_own(write):
    events = [
        FLOW | {"event_type": "dns", "dns": {"rrname": "a1.example.org.", "answers": [{"rdata": "1"}, {"rdata": "2"}]}},
        FLOW | {"event_type": "http", "http": {"url": "/index", "status": 404, "http_user_agent": "curl"}},
        FLOW | {"event_type": "tls", "tls": {"notbefore": "2021-01-01T00:00:00", "notafter": "2021-01-31T12:00:00"}},
    ]
    expected = {
        "dns": {"dns_name_length": 15, "dns_name_labels": 3, "dns_name_digits": 1, "dns_answer_count": 2},
        "http": {"http.status": 404, "http_url_length": 6, "http_user_agent_length": 4, "http_host_length": None},
        "tls": {"tls_certificate_days": 30, "tls_sni_length": None},
    }
    for kind, cells in expected.items():
        (block,) = read(write(events), kind)
        row = block.frame.row(0, named=True)
        assert {name: row[name] for name in cells} == cells
        assert row["hour_of_day"] == 14
        assert block.end_time.tolist() == [1622988322.830309]
    (block,) = read(write(events), "dns", request=ColumnRequest(columns=("dns_name_labels",)))
    assert block.frame.rows() == [(3,)]
    wanted = ("network_direction", "dns_name_length", "hour_of_day", "dns.rrname")
    (block,) = read(write(events), "dns", request=ColumnRequest(columns=wanted))
    assert block.frame.columns == ["dns.rrname", "dns_name_length", "hour_of_day", "network_direction"]


@cache
def records_of(path):
    """Return the events of a real file, as the naive twin reads them, and how many there are of each type."""
    records = [json_record(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    return records, Counter(dict(record)["event_type"] for record in records)


def comparable(cell, kind):
    if cell is None or kind != "time":
        return json_loaded(cell) if isinstance(cell, str) and cell.startswith(("[", "{")) else cell
    return round((cell - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6)


@pytest.mark.parametrize("event_type", [*SECTIONS, "ssh"])
@pytest.mark.parametrize("name", [SLIPS, GTKCYBER])
def test_the_real_events_of_a_type_are_those_of_the_naive_twin(real_data, name, event_type):
    records, types = records_of(real_data / name)
    frame, record, end_time, skipped, rejects = joined(read(str(real_data / name), event_type))
    assert (frame.height, rejects) == (types[event_type], [])
    assert skipped == {f"event type {kind}": count for kind, count in types.items() if kind != event_type}
    assert record == [i for i, found in enumerate(records) if dict(found)["event_type"] == event_type]
    known = event_columns(event_type)
    for number, row in zip(record[:200], frame.head(200).iter_rows(named=True), strict=True):
        found = json_values(records[number], list(known))
        expected = {path: json_cell(found.get(path), kind) for path, kind in known.items()}
        assert {path: comparable(row[path], kind) for path, kind in known.items()} == expected
    assert not np.isnan(end_time).any()


def test_the_slips_file_has_the_counts_of_its_description(real_data):
    frame, _, _, skipped, _ = joined(read(str(real_data / SLIPS)))
    assert frame.height == 3512
    assert frame["flow.alerted"].sum() == 366
    assert {name: skipped[f"event type {name}"] for name in ("alert", "dns", "http")} == {
        "alert": 745,
        "dns": 680,
        "http": 56,
    }
    assert frame.height + sum(skipped.values()) == 5000
    assert set(frame["network_direction"]) == {"inbound", "outbound", "internal"}


def test_the_other_real_files_have_the_counts_of_their_description(real_data):
    assert joined(read(str(real_data / "suricata/darpa1999_alerts_eve.json.gz"), "alert"))[0].height == 3203
    stats = joined(read(str(real_data / GTKCYBER), "stats"))[0]
    assert stats.height == 90
    assert stats["stats.decoder.ipraw.invalid_ip_version"].to_list() == [0] * 90


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("block_bytes", [500, 1 << 20])
def test_real_arrays_of_alerts_are_read_record_by_record(real_data, tmp_path, name, block_bytes):
    path = real_data / f"suricata/{name}_alerts-only.json.gz"
    frame, record, _, skipped, rejects = joined(read(str(path), "alert", block_bytes=block_bytes))
    assert (frame.height, record, skipped, rejects) == (ARRAYS[name], list(range(ARRAYS[name])), {}, [])
    lines = tmp_path / "lines.json"
    lines.write_bytes(b"\n".join(map(orjson.dumps, orjson.loads(gzip.decompress(path.read_bytes())))))
    assert frame.equals(joined(read(str(lines), "alert"))[0])


def test_blocks_threads_and_compression_change_nothing(real_data, tmp_path, monkeypatch):
    content = gzip.decompress((real_data / SLIPS).read_bytes())[:150_000]
    plain = tmp_path / "eve.json"
    plain.write_bytes(content)
    frame, record, end_time, skipped, rejects = joined(read(str(plain)))
    assert [reject.record for reject in rejects] == [frame.height + sum(skipped.values())]
    for block_bytes in (997, 20_000):
        parts = joined(read(str(plain), block_bytes=block_bytes))
        assert parts[0].equals(frame)
        assert parts[1] == record
        np.testing.assert_array_equal(parts[2], end_time)
        assert parts[3] == skipped
        assert parts[4] == rejects
    (tmp_path / "eve.json.zst").write_bytes(zstandard.compress(content))
    assert joined(read(str(tmp_path / "eve.json.zst")))[0].equals(frame)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(content))))
    assert joined(read("-", block_bytes=5000))[0].equals(frame)
    with closing(open_source(str(plain), block_bytes=20_000)) as source, ThreadPoolExecutor(3) as pool:
        assert pl.concat([block.frame for block in pool.map(source.parse, source.blocks())]).equals(frame)


@pytest.mark.parametrize("record_type", READY_SCHEMAS)
def test_ready_schemas_fit_every_file(real_data, write, record_type):
    event_type = record_type.removeprefix("suricata.")
    declaration = schema_declaration(READY_SCHEMAS[record_type])
    assert not {"src_ip", "dest_ip", "src_port", "flow_id", "flow.alerted", "timestamp"} & {*declaration.features}
    for path in (write([FLOW | {"event_type": event_type}] * 20), str(real_data / SLIPS)):
        frame = read_frame([path], options=ReadOptions(event_type=event_type)).frame
        schema = infer_schema(frame, overrides=READY_SCHEMAS[record_type])
        assert set(schema.feature_names) == set(declaration.features)
        if frame.height > 1:
            assert set(fit_schema(schema, frame).feature_names) == set(declaration.features)


def test_a_folder_of_events_is_read(write, tmp_path):
    write([FLOW], "a.json")
    write([FLOW], "b.ndjson")
    assert sum(block.frame.height for block in scan([str(tmp_path)])) == 2
