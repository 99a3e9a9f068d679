"""Several event types of one file in one pass: the same as reading the file once for each."""

import gzip
import json
from collections import Counter
from contextlib import closing

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import netsieve
from netsieve.engine.errors import SourceError
from netsieve.engine.sources import ColumnRequest, ReadOptions, json_text
from netsieve.engine.sources.eve_columns import SECTIONS, event_columns
from netsieve.engine.sources.formats import open_event_source

SLIPS = "suricata/slips_test6-malicious.suricata.json.gz"
GTKCYBER = "suricata/gtkcyber_eve.json.gz"
ARRAY = "suricata/wrccdc-2018_alerts-only.json.gz"

EVENT = {"timestamp": "2021-06-06T16:05:22.830309+0200", "src_ip": "192.168.1.129", "dest_ip": "8.8.8.8"}
LINES = [
    {**EVENT, "event_type": "flow", "flow": {"bytes_toserver": 3}, "extra": 1, "shape": {"a": 1}},
    {**EVENT, "event_type": "dns", "dns": {"rrname": "example.org"}, "extra": 1, "shape": [1, 2]},
    {**EVENT, "event_type": "tls", "tls": {"sni": "example.org"}},
    {**EVENT, "event_type": "dns", "dns": {"rrname": "x", "id": "no number"}},
    "not JSON",
    {**EVENT},
    {**EVENT, "event_type": "flow", "flow": {"bytes_toserver": "many"}},
    "",
    {**EVENT, "event_type": "dns", "dns": {"rrname": "y"}, "extra": 2},
    {**EVENT, "event_type": "flow", "flow": {}, "padding": "x" * 500, "extra": 1},
    {**EVENT, "event_type": "dns", "extra": 2.5},
    {**EVENT, "event_type": "flow", "extra": 3},
    '{"event_type":"dns","cut',
]


@pytest.fixture
def mixed(tmp_path, monkeypatch):
    """Return a file whose first events, by which columns and their kinds are told, end before the first padding."""
    monkeypatch.setattr(json_text, "DISCOVERY_BYTES", 1000)
    path = tmp_path / "eve.json"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in LINES))
    return str(path)


def passes(path, event_types, **options):
    """Return the frames and the scan of one pass, and those of a pass for each type."""
    scan = netsieve.scan_events(path, event_types, **options)
    frames = {event_type: [] for event_type in event_types}
    for event_type, frame in scan:
        frames[event_type].append(frame)
    singles = {}
    for event_type in event_types:
        single = netsieve.scan(path, event_type=event_type, **options)
        singles[event_type] = (list(single), single)
    return frames, scan, singles


def assert_same(path, event_types, **options):
    frames, scan, singles = passes(path, event_types, **options)
    rejects = {}
    for event_type, (expected, single) in singles.items():
        assert len(frames[event_type]) == len(expected)
        for got, wanted in zip(frames[event_type], expected, strict=True):
            assert_frame_equal(got, wanted)
        assert scan.rows[event_type] == single.rows
        rejects.update({reject.record: reject for reject in single.rejects})
    assert scan.rejects == [reject for _, reject in sorted(rejects.items())]
    assert scan.rejected == len(rejects)
    others = {f"event type {event_type}" for event_type in event_types}
    for event_type, (_, single) in singles.items():
        assert {k: n for k, n in scan.skipped.items() if n} == {
            k: n for k, n in single.skipped.items() if k not in others - {f"event type {event_type}"}
        }
    return scan


@pytest.mark.parametrize("event_types", [["flow", "dns"], ["dns", "flow", "tls"], ["tls"], ["http", "flow"]])
@pytest.mark.parametrize(("block_bytes", "threads"), [(1 << 20, 1), (300, 1), (300, 3), (32 << 20, 2)])
def test_one_pass_gives_what_a_pass_for_each_type_gives(mixed, event_types, block_bytes, threads):
    scan = assert_same(mixed, event_types, block_bytes=block_bytes, threads=threads)
    assert sum(scan.rows.values()) + scan.rejected + sum(scan.skipped.values()) == len(LINES)


def test_each_type_has_its_columns_and_what_it_lacks_is_not_there(mixed):
    frames, scan, _ = passes(mixed, ["flow", "dns"], block_bytes=32 << 20)
    flows, dns = pl.concat(frames["flow"]), pl.concat(frames["dns"])
    assert flows.columns[: len(event_columns("flow"))] == list(event_columns("flow"))
    assert dns.columns[: len(event_columns("dns"))] == list(event_columns("dns"))
    assert (flows["extra"].dtype, dns["extra"].dtype) == (pl.Int64, pl.Float64)
    assert (flows["shape.a"].to_list(), dns["shape"].to_list()) == ([1, None, None], ["[1,2]", None, None])
    assert (flows["row_index"].to_list(), dns["row_index"].to_list()) == ([0, 8, 10], [1, 7, 9])
    assert [(reject.record, reject.line) for reject in scan.rejects] == [(3, 4), (4, 5), (5, 6), (6, 7), (11, 13)]
    assert scan.rejects[0].reason == "column 'dns.id': expected an integer, got 'no number'"
    assert scan.skipped == {"event type tls": 1, "blank": 1}


@pytest.mark.parametrize("name", [SLIPS, GTKCYBER, ARRAY])
def test_the_real_events_of_all_types_are_read_in_one_pass(real_data, name):
    path = str(real_data / name)
    scan = assert_same(path, [*SECTIONS], threads=2, block_bytes=500_000)
    read = sum(scan.rows.values()) + scan.rejected + sum(scan.skipped.values())
    assert read == (207 if name == ARRAY else 5000)
    if name == SLIPS:
        assert {kind: scan.rows[kind] for kind in ("flow", "alert", "dns", "http")} == {
            "flow": 3512,
            "alert": 745,
            "dns": 680,
            "http": 56,
        }


def test_a_real_file_that_is_cut_loses_one_event(real_data, tmp_path):
    content = gzip.decompress((real_data / SLIPS).read_bytes())[:150_000]
    path = tmp_path / "cut.json"
    path.write_bytes(content)
    scan = assert_same(str(path), ["flow", "dns", "alert"], block_bytes=10_000)
    assert scan.rejected == 1
    types = Counter(json.loads(line)["event_type"] for line in content.splitlines()[:-1])
    assert scan.rows == {kind: types[kind] for kind in ("flow", "dns", "alert")}


def test_each_type_may_be_asked_for_other_columns(mixed):
    requests = {
        "flow": ColumnRequest(columns=("extra", "network_direction"), kinds={"extra": "float"}, infer=False),
        "dns": ColumnRequest(columns=("dns_name_length", "extra"), infer=False),
    }
    options = ReadOptions(home_networks=("8.8.8.0/24",))
    with closing(open_event_source(mixed, requests, options=options, block_bytes=32 << 20)) as source:
        assert set(source.columns) == {"flow", "dns"}
        (block,) = source.blocks()
        parsed = source.parse(block)
    # the value that is no number of bytes is not asked for, and so rejects nothing
    assert parsed.tables["flow"].frame.rows() == [
        (1.0, "inbound"),
        (None, "inbound"),
        (1.0, "inbound"),
        (3.0, "inbound"),
    ]
    assert parsed.tables["dns"].frame.rows() == [("1", 11), (None, 1), ("2", 1), ("2.5", None)]
    kept = sum(table.frame.height for table in parsed.tables.values())
    assert block.records + sum(block.skipped.values()) == kept + len(parsed.rejects) + sum(parsed.skipped.values())
    assert parsed.bytes_read == block.bytes_read


def test_files_that_do_not_mix_event_types_are_refused(tmp_path):
    path = tmp_path / "flows.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(SourceError, match=r"flows.csv' is of the format csv, where several event types are asked for"):
        list(netsieve.scan_events(path, ["flow", "dns"]))


@pytest.mark.parametrize("event_types", ["flow", []])
def test_a_list_of_event_types_is_wanted(mixed, event_types):
    with pytest.raises(ValueError, match="a list of event types is expected"):
        netsieve.scan_events(mixed, event_types)
