"""Flow exports and host logs: told apart, read as their programs mean them, and the real files with their counts."""

import gzip
import io
import json
import math
import os
import stat
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime

import naive_exports
import numpy as np
import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from netsieve.engine.errors import SourceError
from netsieve.engine.features.inference import infer_schema
from netsieve.engine.sources import ColumnRequest, ReadOptions, adfa_calls, open_source
from netsieve.engine.sources.adfa import DERIVED, trace_features
from netsieve.engine.sources.cicflowmeter import ALIASES, STATISTICS
from netsieve.engine.sources.known_csv import parsed_ports, parsed_times
from netsieve.engine.sources.n_baiot import STATISTICS as N_BAIOT
from netsieve.engine.sources.nfdump import parsed_durations
from netsieve.engine.sources.reading import read_frame, scan
from netsieve.engine.sources.ready_schemas import ready_schema

ARGUS = "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,Label"
FLOW = "2019/04/04 16:23:00.325010,0.5,udp,10.8.0.69,48427,  <->,8.8.8.8,53,CON,0,0,2,142,63,"
NFDUMP = "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt"
NFDUMP_FLOW = "2018-01-12 15:37:30,2018-01-12 15:37:31,1.250,10.0.0.1,10.0.0.2,52324,902,TCP,......S.,0,0,1,60,0,0"


def read(path, *, block_bytes=1 << 20, **options):
    blocks = []
    source = open_source(str(path), options=ReadOptions(**options), block_bytes=block_bytes)
    for block in source.blocks():
        parsed = source.parse(block)
        read_in = block.records + sum(block.skipped.values())
        assert read_in == parsed.frame.height + len(parsed.rejects) + sum(parsed.skipped.values())
        assert len(parsed.record) == parsed.frame.height
        assert parsed.end_time is None or len(parsed.end_time) == parsed.frame.height
        blocks.append(parsed)
    source.close()
    return blocks


def whole(blocks):
    return pl.concat([block.frame for block in blocks])


def skipped(blocks):
    return sum((Counter(block.skipped) for block in blocks), Counter())


def rejects(blocks):
    return [reject for block in blocks for reject in block.rejects]


@pytest.fixture
def write(tmp_path):
    def write(content, name="log"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.mark.parametrize(
    ("text", "record_type"),
    [
        (f"{ARGUS}\n{FLOW}\n", "argus.flow"),
        (f"\ufeff{ARGUS}\r\n{FLOW}\r\n".replace(",", "\t"), "argus.flow"),
        (f"{NFDUMP}\n{NFDUMP_FLOW}\n", "nfdump.flow"),
        ("firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows\n", "nfdump.flow"),
        ("Dst Port,Flow Duration,Tot Fwd Pkts,Flow IAT Mean,Fwd IAT Mean\n", "cicflowmeter.flow"),
        ('Flow Duration, "Total Fwd Packets", Flow IAT Mean,Fwd IAT Mean\n', "cicflowmeter.flow"),
        ("timestamp,processId,parentProcessId,userId,eventId,argsNum,returnValue\n", "beth.process"),
        ("Timestamp,SourceIP,DnsQuery,DnsAnswer,SensorId\n", "beth.dns"),
        (f"{','.join(N_BAIOT)}\n", "n_baiot"),
        ("6 6 63 6 42 120 6 195\n", "adfa.trace"),
        ("StartTime,Dur,Proto\n1,2,3\n", "record"),
        ("6 6 63\n", "record"),
        ("ts,td,note\n1,2,3\n", "record"),
    ],
)
def test_formats_are_told_by_their_first_line(write, text, record_type):
    source = open_source(str(write(text)))
    assert source.record_type == record_type
    source.close()


def test_a_format_can_be_asked_for(write):
    path = write(f"{ARGUS}\n{FLOW}\n")
    source = open_source(str(path), options=ReadOptions(input_format="csv"))
    assert source.record_type == "record"
    source.close()


def test_a_wrong_cell_is_found_behind_a_record_with_a_field_too_many(write):
    wrong = FLOW.replace("48427", "https")
    text = "\n".join([ARGUS, FLOW + ",more", FLOW, wrong]) + "\n"
    (block,) = read(write(text))
    assert [(reject.record, reject.line) for reject in block.rejects] == [(0, 2), (2, 4)]
    assert block.rejects[1].raw == wrong


@pytest.mark.parametrize("form", ["argus", "nfdump", "cicflowmeter", "beth", "n_baiot"])
def test_a_file_without_a_formats_columns_is_an_error(write, form):
    with pytest.raises(SourceError, match=r"has no column '.*'; it has 'a', 'b'; name another --input-format"):
        open_source(str(write("a,b\n1,2\n")), options=ReadOptions(input_format=form))


def test_argus_flows_are_what_they_say(write):
    icmp = "2013/12/17 22:09:19.528451,483.5,icmp,209.85.251.178,0x000b,   ->,10.0.0.46,0x0303,TXD,0,,479,87178,87178,x"
    blocks = read(write(f"{ARGUS}\n{FLOW}\n{icmp}\n"))
    (block,) = blocks
    assert block.frame.schema["StartTime"] == pl.Datetime("us", "UTC")
    first, second = block.frame.to_dicts()
    assert first["StartTime"] == datetime(2019, 4, 4, 16, 23, 0, 325010, UTC)
    assert (first["Sport"], first["Dport"], first["Dir"], first["Label"]) == (48427, 53, "<->", None)
    assert (second["Sport"], second["Dport"], second["dTos"]) == (0x0B, 0x0303, None)
    assert block.end_time[0] == pytest.approx(first["StartTime"].timestamp() + 0.5)


def test_argus_status_and_header_lines_are_skipped_and_counted(write):
    status = FLOW.replace("udp", "man").replace("CON", "STA")
    other_header = "StartTime,Dur,Proto"
    text = "\n".join([ARGUS, status, FLOW, ARGUS, FLOW, "", other_header, FLOW, FLOW])
    for block_bytes in (100, 1 << 20):
        blocks = read(write(text), block_bytes=block_bytes)
        assert whole(blocks).height == 4
        assert skipped(blocks) == {"status": 1, "header": 2, "blank": 1}
        assert rejects(blocks) == []
        assert [int(number) for block in blocks for number in block.record] == [1, 2, 4, 5]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (FLOW.replace("2019/04/04", "yesterday"), "column 'StartTime': expected a time like"),
        (FLOW.replace("48427", "https"), "column 'Sport': expected a port number or 0x and hexadecimal digits"),
        (FLOW.replace("0.5", "long"), "column 'Dur': expected a number, got 'long'"),
        (FLOW.replace(",142,", ",many,"), "column 'TotBytes': expected an integer, got 'many'"),
        (FLOW + ",more", "16 fields, expected 15"),
    ],
)
def test_what_an_argus_column_cannot_hold_rejects_the_record_at_its_place(write, wrong, reason):
    text = "\n".join([ARGUS, FLOW, "", FLOW, wrong, FLOW]) + "\n"
    for block_bytes in (60, 1 << 20):
        blocks = read(write(text), block_bytes=block_bytes)
        (reject,) = rejects(blocks)
        assert reject.reason.startswith(reason)
        assert (reject.record, reject.line, reject.raw) == (2, 5, wrong)
        assert text[reject.offset :].startswith(wrong)
        assert whole(blocks).height == 3
        assert [int(number) for block in blocks for number in block.record] == [0, 1, 3]


def test_times_of_several_kinds_are_read(write):
    form = ("%Y/%m/%d %H:%M:%S%.f", "%H:%M:%S%.f")
    times = parsed_times(pl.Series(["1970/01/01 00:00:01.5", "00:00:02", "3.25", "x", None, "-5", "1e300"]), form)
    assert times.to_physical().to_list() == [1_500_000, 2_000_000, 3_250_000, None, None, -5_000_000, None]


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(lambda t: t.strftime("%Y/%m/%d %H:%M:%S.%f")),
            st.builds("2019/04/04 16:23{}".format, st.text(":0123456789.e+- n", max_size=9)),
        ),
        max_size=20,
    )
)
@settings(max_examples=150, derandomize=True, deadline=None)
def test_times_are_those_of_strptime(texts):
    form = "%Y/%m/%d %H:%M:%S%.f"
    column = pl.Series(texts, dtype=pl.String)
    expected = column.str.strip_chars().str.to_datetime(form, time_unit="us", strict=False, time_zone="UTC")
    assert parsed_times(column, (form,)).to_list() == expected.to_list()


@given(st.lists(st.one_of(st.none(), st.text("0123456789abcx. F", max_size=8), st.integers(0, 70_000).map(str))))
@settings(max_examples=50, derandomize=True, deadline=None)
def test_ports_never_crash_and_are_what_they_say(texts):
    ports = parsed_ports(pl.Series(texts, dtype=pl.String)).to_list()
    assert len(ports) == len(texts)
    for text, value in zip(texts, ports, strict=True):
        if text is not None and text.strip().isdigit():
            assert value == int(text)
    assert parsed_ports(pl.Series(["0x0303", "0XfF", "3.1", "0x", "1.2.3"])).to_list() == [0x0303, 255, 769, None, None]


def test_durations_are_seconds_or_clocks():
    texts = pl.Series(["1.5", "00:01:02.500", "1d 01:00:00", None, "soon"])
    assert parsed_durations(texts).to_list() == [1.5, 62.5, 90_000.0, None, None]


def test_nfdump_footers_are_skipped_and_both_namings_read(write):
    footer = "Summary\nflows,bytes,packets,avg_bps,avg_pps,avg_bpp\n2,241025,4652,58357,140,51\n"
    icmp = NFDUMP_FLOW.replace("52324,902,TCP", "0,8.0,ICMP")
    for block_bytes in (50, 1 << 20):
        blocks = read(write(f"{NFDUMP}\n{NFDUMP_FLOW}\n{icmp}\n{footer}"), block_bytes=block_bytes)
        frame = whole(blocks)
        assert frame["dp"].to_list() == [902, 2048]
        assert frame["flg"].to_list() == ["......S."] * 2
        assert (skipped(blocks), rejects(blocks)) == ({"summary": 3}, [])
        ends = np.concatenate([block.end_time for block in blocks])
        assert ends[0] == pytest.approx(datetime(2018, 1, 12, 15, 37, 31, 250_000, UTC).timestamp())
    newer = (
        "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows\n"
        "2018-01-12 15:37:30.942,00:00:01.250,TCP,10.0.0.1,52324,10.0.0.2,902,1,60,1\n"
    )
    (block,) = read(write(newer))
    row = block.frame.to_dicts()[0]
    assert (row["td"], row["sp"], row["ipkt"], row["ibyt"]) == (1.25, 52324, 1, 60)
    assert row["ts"] == datetime(2018, 1, 12, 15, 37, 30, 942_000, UTC)


def test_the_namings_of_cicflowmeter_give_one(write):
    version_4 = ["Src IP", "Dst Port", "Timestamp", *STATISTICS, "Label"]
    older = {name: alias for alias, name in reversed(ALIASES.items())}
    values = ["10.0.0.1", "443", "03/07/2017 09:08:11", "650", *(["1.5"] * (len(STATISTICS) - 1)), "BENIGN"]
    frames = []
    for names in (version_4, [f" {older.get(name, name)}" for name in version_4]):
        blocks = read(write(",".join(names) + "\n" + ",".join(values) + "\n"))
        frames.append(whole(blocks))
        assert blocks[0].end_time[0] == pytest.approx(datetime(2017, 7, 3, 9, 8, 11, 650, UTC).timestamp())
    assert frames[0].equals(frames[1])
    assert frames[0].columns == version_4


def test_a_column_that_cicflowmeter_names_twice_is_kept_apart(write):
    names = "Flow Duration,Tot Fwd Pkts,Flow IAT Mean,Fwd IAT Mean,Fwd Header Length, Fwd Header Length\n"
    (block,) = read(write(names + "1,2,3,4,5,Infinity\n"))
    assert block.frame.to_dicts()[0] == {
        "Flow Duration": 1.0,
        "Total Fwd Packet": 2.0,
        "Flow IAT Mean": 3.0,
        "Fwd IAT Mean": 4.0,
        "Fwd Header Length": 5.0,
        "Fwd Header Length.1": math.inf,
    }
    with pytest.raises(SourceError, match="duplicate column name 'mine'"):
        open_source(str(write(names.strip() + ",mine,mine\n")))


def test_types_do_not_depend_on_the_block(write):
    rows = [FLOW] * 3 + [FLOW.replace(",0,0,2,", ",,,2,")] * 3
    blocks = read(write("\n".join([ARGUS, *rows])), block_bytes=40)
    assert len(blocks) > 3
    assert len({tuple(block.frame.schema.items()) for block in blocks}) == 1


def test_only_what_is_wanted_is_given(write):
    path = write(f"{ARGUS}\n{FLOW}\n")
    request = ColumnRequest(columns=("TotBytes", "Label", "absent"), kinds={"TotBytes": "float"}, infer=False)
    (block,) = scan([str(path)], columns=request)
    assert block.frame.to_dicts() == [{"TotBytes": 142, "Label": None}]
    assert block.end_time is not None


def test_derived_columns_can_be_asked_for_alone(write):
    path = write("timestamp,processId,parentProcessId,userId,eventId,argsNum,returnValue\n1.5,1,77,1000,3,4,-2\n")
    (block,) = scan([str(path)], columns=ColumnRequest(columns=("returnValueSign", "userIsSystem")))
    assert block.frame.to_dicts() == [{"userIsSystem": False, "returnValueSign": -1}]


@given(st.lists(st.lists(st.integers(0, 400), min_size=1, max_size=40), max_size=8))
@settings(max_examples=50, derandomize=True, deadline=None)
def test_traces_are_described_as_by_hand(traces):
    column = pl.Series("syscalls", [*traces, None], dtype=pl.List(pl.Int64))
    frame = pl.DataFrame(trace_features(column, DERIVED))
    for trace, found in zip(traces, frame.to_dicts(), strict=False):
        assert found == pytest.approx(naive_exports.trace_features(trace))
    assert frame.row(len(traces)) == (None,) * len(DERIVED)


def test_traces_of_text_and_of_tables_are_the_same(write, tmp_path):
    traces = [[6, 6, 63, 6, 42, 120, 6, 195, 120], [1, 2, 3], [5]]
    text = "\n".join(" ".join(map(str, trace)) + " " for trace in traces)
    blocks = read(write(text + "\nnot a trace\n"), block_bytes=20)
    (reject,) = rejects(blocks)
    assert reject.reason.startswith("column 'syscalls': expected numbers of system calls")
    table = tmp_path / "traces.parquet"
    pl.DataFrame({"syscalls": traces}, schema={"syscalls": pl.List(pl.UInt16)}).write_parquet(table)
    (block,) = read(table)
    assert block.frame.select(DERIVED).equals(whole(blocks).select(DERIVED))
    (block,) = scan([str(table)], columns=ColumnRequest(columns=("call_entropy",)))
    assert block.frame.columns == ["call_entropy"]


def naive_calls(name, traces):
    return [
        {"trace": f"{name}:{number}", "position": position, "syscall": call}
        for number, trace in enumerate(traces)
        for position, call in enumerate(trace)
    ]


@pytest.mark.parametrize("block_bytes", [10, 1 << 20])
def test_a_call_is_a_record_where_that_is_asked_for(write, tmp_path, block_bytes):
    traces = [[6, 6, 63, 6, 42, 120, 6, 195, 120], [1, 2, 3], [], [5]]
    lines = [" ".join(map(str, trace)) for trace in traces if trace]
    path = write("\n".join([lines[0], "not a trace", *lines[1:]]) + "\n")
    blocks = read(path, block_bytes=block_bytes, event_type="call")
    expected = naive_calls(path.name, [traces[0], [], traces[1], traces[3]])
    assert whole(blocks).to_dicts() == expected
    records = [record for block in blocks for record in [*block.record, *(one.record for one in block.rejects)]]
    # the bad line is one record, behind the nine of the first trace
    assert sorted(records) == list(range(len(expected) + 1))
    assert [reject.record for reject in rejects(blocks)] == [9]
    table = tmp_path / "traces.parquet"
    frame = pl.DataFrame({"syscalls": traces}, schema={"syscalls": pl.List(pl.UInt16)})
    frame.with_columns(label=pl.Series([0, 1, 0, 1])).write_parquet(table)
    (block,) = read(table, event_type="call")
    assert block.frame.drop("label").to_dicts() == naive_calls(table.name, traces)
    assert block.frame["label"].to_list() == [0] * 9 + [1] * 4
    assert block.skipped == {"empty trace": 1}
    assert list(block.record) == [*range(12), 13]
    (block,) = scan([str(table)], columns=ColumnRequest(columns=("syscall",)), options=ReadOptions(event_type="call"))
    assert block.frame.columns == ["syscall"]


@pytest.mark.parametrize("calls", [1, 4, 9, 10, 100])
def test_blocks_of_calls_are_small_and_keep_traces_whole(write, tmp_path, monkeypatch, calls):
    traces = [[6, 6, 63, 6, 42, 120, 6, 195, 120], [1, 2, 3], [5], [7, 8], [9, 9, 9, 9]]
    lines = [" ".join(map(str, trace)) for trace in traces]
    path = write("\n".join([lines[0], "not a trace", "", *lines[1:4], "nor this", lines[4], "last"]) + "\n")
    (whole_block,) = read(path, event_type="call")
    table = tmp_path / "traces.parquet"
    pl.DataFrame({"syscalls": traces, "label": ["a", "b", None, "d", "e"]}).write_parquet(table)
    (whole_table,) = read(table, event_type="call")
    monkeypatch.setattr(adfa_calls, "BLOCK_CALLS", calls)
    for file, one in ((path, whole_block), (table, whole_table)):
        blocks = read(file, event_type="call")
        assert whole(blocks).equals(one.frame)
        assert [record for block in blocks for record in block.record] == list(one.record)
        assert rejects(blocks) == one.rejects
        assert sum(block.bytes_read for block in blocks) == one.bytes_read
        assert sum((Counter(block.skipped) for block in blocks), Counter()) == Counter(one.skipped)
        for block in blocks:
            assert block.frame.height <= calls or block.frame["trace"].n_unique() == 1
            assert all(reject.record not in block.record for reject in block.rejects)


def test_calls_beyond_all_numbers_are_rejected(tmp_path):
    table = tmp_path / "traces.parquet"
    traces = [[1, 2], [3, None, 2**63 + 5], None, [4, 2**63 - 1], [2**64 - 1]]
    pl.DataFrame({"syscalls": traces}, schema={"syscalls": pl.List(pl.UInt64)}).write_parquet(table)
    (block,) = read(table, event_type="call")
    assert block.frame["syscall"].to_list() == [1, 2, 4, 2**63 - 1]
    assert list(block.record) == [0, 1, 4, 5]
    assert [(one.record, one.reason) for one in block.rejects] == [
        (2, "column 'syscalls': expected numbers of system calls, got 9223372036854775813"),
        (6, "column 'syscalls': expected numbers of system calls, got 18446744073709551615"),
    ]
    assert json.loads(block.rejects[0].raw) == {"syscalls": [3, None, 2**63 + 5]}


def test_calls_are_refused_where_there_are_no_traces(write, tmp_path):
    table = tmp_path / "table.parquet"
    pl.DataFrame({"syscalls": ["6 6"]}).write_parquet(table)
    with pytest.raises(SourceError, match="no column 'syscalls' with lists"):
        read(table, event_type="call")
    with pytest.raises(SourceError, match="event type 'flow' is none of the traces"):
        read(write("6 6 63 6 42 120 6 195\n"), event_type="flow")


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress, bytes], ids=["gz", "zst", "plain"])
def test_exports_may_be_compressed(write, compress):
    path = write(compress(f"{ARGUS}\n{FLOW}\n".encode()))
    assert whole(read(path)).height == 1


@given(st.binary(max_size=200))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_garbage_behind_a_header_is_rejected_and_counted(tmp_path_factory, garbage):
    path = tmp_path_factory.mktemp("garbage") / "log"
    for header, line in ((ARGUS, FLOW), (NFDUMP, NFDUMP_FLOW)):
        path.write_bytes(f"{header}\n{line}\n".encode() + garbage)
        read(path, block_bytes=64, input_format="argus" if header is ARGUS else "nfdump")


@pytest.mark.parametrize(
    "record_type", ["argus.flow", "cicflowmeter.flow", "nfdump.flow", "beth.process", "beth.dns", "n_baiot"]
)
def test_ready_schemas_name_columns_that_the_sources_give(record_type):
    from netsieve.engine.sources import argus, beth, cicflowmeter, n_baiot, nfdump

    sources = {
        "argus.flow": argus.ArgusSource,
        "cicflowmeter.flow": cicflowmeter.CicFlowMeterSource,
        "nfdump.flow": nfdump.NfdumpSource,
        "beth.process": beth.BethProcessSource,
        "beth.dns": beth.BethDnsSource,
        "n_baiot": n_baiot.NBaIotSource,
    }
    source = sources[record_type]
    ready = ready_schema(record_type)
    assert ready is not None
    assert {*ready["features"], *ready.get("columns", ())} <= {*source.kinds, *source.conversions, *source.derived}


def test_unknown_record_types_bring_no_schema():
    assert ready_schema("record") is None


# nfdump's program


FAKE = f"""#!{sys.executable}
import os, sys
if "-V" in sys.argv:
    print("nfdump: Version: VERSION"); sys.exit()
assert os.environ["TZ"] == "UTC", "times must be printed in UTC"
path = sys.argv[sys.argv.index("-r") + 1]
content = open(path, "rb").read()
if b"damaged" in content:
    print("ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt")
    print("read() error: Short read: Expected: 385884, received: 99712", file=sys.stderr); sys.exit()
if sys.argv[-1].startswith("csv:%ts"):
    print("firstSeen,lastSeen,duration,srcAddr,dstAddr,srcPort,dstPort,proto,flags,inPackets,inBytes")
    for i in range(len(content)):
        print("2018-01-12 15:37:30.942,2018-01-12 15:37:30.942,0.000,10.0.0.1,10.0.0.2,52324,902,TCP,......S.,1,60")
else:
    print("ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt")
    for i in range(len(content)):
        print("{NFDUMP_FLOW}")
    print("Summary")
"""
CAPTURE = b"\x0c\xa5\x01\x00" + bytes(96)


@pytest.fixture
def fake_nfdump(tmp_path, monkeypatch):
    """Return a function that puts a program in the place of nfdump, which prints a flow for each byte."""

    def install(version="1.7.1"):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / "nfdump"
        program.write_text(FAKE.replace("VERSION", version))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    return install


@pytest.mark.parametrize("version", ["1.7.1", "1.7.6-372af73"])
@pytest.mark.parametrize("compress", [gzip.compress, bytes], ids=["gz", "plain"])
def test_a_binary_file_is_printed_by_the_program(write, fake_nfdump, version, compress):
    fake_nfdump(version)
    path = write(compress(CAPTURE), "capture.nfdump")
    blocks = read(path, block_bytes=500)
    frame = whole(blocks)
    assert frame.height == 100
    assert frame["ibyt"].sum() == 6000
    assert sum(block.bytes_read for block in blocks) == path.stat().st_size
    assert all(block.source_file == str(path) for block in blocks)


def test_a_binary_file_may_come_from_standard_input(fake_nfdump, monkeypatch):
    fake_nfdump()

    class Standard:
        buffer = io.BytesIO(CAPTURE)

    monkeypatch.setattr(sys, "stdin", Standard)
    assert whole(read("-")).height == 100


def test_a_damaged_binary_file_is_an_error(write, fake_nfdump):
    fake_nfdump()
    with pytest.raises(SourceError, match=r"nfdump cannot read '.*': read\(\) error: Short read.*is the file whole\?"):
        read(write(CAPTURE + b"damaged"))


def test_without_the_program_a_binary_file_is_an_error_that_says_so(write, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="read through the program nfdump, and that is not installed; install it"):
        open_source(str(write(CAPTURE)))


def test_the_program_ends_with_the_source(write, fake_nfdump):
    fake_nfdump()
    source = open_source(str(write(CAPTURE + bytes(200_000))), block_bytes=200)
    next(source.blocks())
    process = source._stream._process
    source.close()
    assert process.poll() is not None


# Real files


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "rows", "skip"),
    [
        ("CTU-Malware-Capture-Botnet-207-1.binetflow.gz", 23_602, {}),
        ("CTU-Normal-7-2013-13-07.binetflow.gz", 9_797, {}),
        ("slips_test2-malicious.binetflow.gz", 6_751, {}),
        # 6,726 lines: header, one status line, and a flow labelled TCP-Established beside those the data's page counts
        ("slips_test5_labelled.tsv.gz", 6_724, {"status": 1}),
    ],
)
def test_real_argus_files_are_read_as_by_hand(real_data, name, rows, skip):
    path = real_data / "argus_binetflow" / name
    blocks = read(path, block_bytes=100_000)
    frame = whole(blocks)
    assert (frame.height, skipped(blocks), rejects(blocks)) == (rows, skip, [])
    text = gzip.decompress(path.read_bytes()).decode()
    expected = [
        naive_exports.argus_flow(row)
        for row in naive_exports.records(text, "\t" if ".tsv" in name else ",")
        if row["Proto"] != "man"
    ]
    ends = [row.pop("end") for row in expected]
    assert frame.select(list(expected[0])).to_dicts() == expected
    np.testing.assert_allclose(np.concatenate([block.end_time for block in blocks]), ends, rtol=0, atol=1e-5)
    if ".tsv" in name:
        kinds = frame["Label"].str.extract(r"^flow=(Malware|Background)").value_counts().drop_nulls()
        assert dict(kinds.iter_rows()) == {"Malware": 6277, "Background": 446}


@pytest.mark.real_data
def test_the_real_cicflowmeter_file_is_read_whole(real_data):
    blocks = read(real_data / "pcap/netml_demo_cicids2017_flows.csv.gz", block_bytes=100_000)
    frame = whole(blocks)
    assert (frame.height, rejects(blocks)) == (5020, [])
    assert dict(frame["Label"].value_counts().iter_rows()) == {"BENIGN": 4518, "ANOMALY": 418, "BOT": 84}
    assert frame["Timestamp"].dt.date().unique().to_list() == [datetime(2017, 7, 3, tzinfo=UTC).date()]
    known = pl.read_parquet(real_data / "cicids2017_improved/cicids2017_improved_sample.parquet", n_rows=0).columns
    assert set(STATISTICS) <= set(known)
    assert set(frame.columns) - set(known) == {"Unnamed: 0", "Fwd Header Length.1"}


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["testing_data", "training_data", "validation_data", "2021may-ip-10-100-1-105"])
def test_real_beth_files_are_encoded_as_by_hand(real_data, name):
    path = real_data / f"beth_sample/labelled_{name}.csv"
    blocks = read(path, block_bytes=3000)
    frame = whole(blocks)
    assert (frame.height, rejects(blocks)) == (100, [])
    expected = [naive_exports.beth_features(row) for row in naive_exports.records(path.read_text(), ",")]
    assert frame.select(list(expected[0])).to_dicts() == expected
    ready = ready_schema("beth.process")
    present = [feature for feature in ready["features"] if feature in frame.columns]
    assert len(present) == (6 if "2021may" in name else 7)
    assert infer_schema(frame, features=present).feature_names == tuple(n for n in frame.columns if n in present)


@pytest.mark.real_data
def test_the_real_beth_dns_file_is_read_whole(real_data):
    (block,) = read(real_data / "beth_sample/labelled_2021may-ip-10-100-1-95-dns.csv")
    assert block.frame.height == 100
    assert block.frame.schema["Timestamp"] == pl.Datetime("us", "UTC")


@pytest.mark.real_data
def test_the_columns_of_n_baiot_are_those_of_its_own_description(real_data):
    path = real_data / "nbaiot_schema/demonstrate_structure.csv"
    assert tuple(path.read_text().strip().split(",")) == N_BAIOT
    source = open_source(str(path))
    assert (source.record_type, source.columns) == ("n_baiot", N_BAIOT)
    source.close()


def test_packets_of_n_baiot_are_numbers_and_all_their_columns_are_features(write):
    header, cells = ",".join(N_BAIOT), ",".join(f"{i}.5" for i in range(114))
    blocks = read(write(f"{header}\n{cells},1e-3\n{cells},-2\n{cells},x\n"))
    frame = whole(blocks)
    assert frame.schema == dict.fromkeys(N_BAIOT, pl.Float64)
    assert frame[0].row(0) == (*(i + 0.5 for i in range(114)), 0.001)
    assert [reject.reason for reject in rejects(blocks)] == ["column 'HpHp_L0.01_pcc': expected a number, got 'x'"]
    ready = ready_schema("n_baiot")
    assert infer_schema(frame, features=ready["features"]).feature_names == N_BAIOT


@pytest.mark.real_data
def test_the_real_traces_are_described_as_by_hand(real_data):
    read_whole = read_frame([str(real_data / "adfa_ld/adfa_ld_part-a.parquet")])
    frame = read_whole.frame
    assert (frame.height, read_whole.record_type) == (3396, "adfa.trace")
    assert dict(frame["label"].value_counts().iter_rows()) == {0: 3019, 1: 377}
    for row in frame.gather_every(50).to_dicts():
        expected = naive_exports.trace_features(row["syscalls"])
        assert {name: row[name] for name in DERIVED} == pytest.approx(expected)


@pytest.mark.real_data
def test_the_real_nfdump_file_is_read_whole_or_refused_with_a_reason(real_data):
    path = real_data / "nfdump/slips_test1-malicious.nfdump"
    try:
        subprocess.run(["nfdump", "-V"], capture_output=True, check=True)
    except FileNotFoundError:
        with pytest.raises(SourceError, match="that is not installed"):
            read(path)
        return
    blocks = read(path, block_bytes=100_000)
    frame = whole(blocks)
    # as nfdump -I counts them
    assert (frame.height, frame["ibyt"].sum(), frame["ipkt"].sum()) == (4593, 241_025, 4652)
    assert dict(frame["pr"].value_counts().iter_rows()) == {"TCP": 4576, "UDP": 17}
    assert frame["ts"].min() == datetime(2018, 1, 12, 15, 37, 30, tzinfo=UTC)
