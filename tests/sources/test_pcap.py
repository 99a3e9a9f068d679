import gzip
import io
import math
import re
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from random import Random

import captures
import naive_pcap
import numpy as np
import polars as pl
import pytest
import zstandard
from captures import (
    ACK,
    FIN,
    PSH,
    RST,
    SECOND,
    START,
    SYN,
    arp,
    enhanced,
    ethernet,
    interface,
    ipv4,
    ipv6,
    pcap,
    section,
    simple,
    tcp,
    udp,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from netsieve.engine.errors import SourceError
from netsieve.engine.features.inference import infer_schema
from netsieve.engine.features.schema_file import schema_declaration
from netsieve.engine.scoring.stream import options_for
from netsieve.engine.sources import ColumnRequest, ReadOptions, open_source
from netsieve.engine.sources.bytestream import ByteStream
from netsieve.engine.sources.captures import REASONS
from netsieve.engine.sources.pcap import FlowSource, PacketSource
from netsieve.engine.sources.pcap_columns import (
    CICFLOWMETER_COLUMNS,
    CICFLOWMETER_NAMES,
    DERIVED_COLUMNS,
    FLOW_COLUMNS,
    PACKET_COLUMNS,
    READY_SCHEMAS,
)
from netsieve.engine.sources.reading import read_frame

HOST, SERVER = "10.0.0.1", "10.0.0.2"
PACKETS = {
    "netml_demo_cicids2017.pcap": 6000,
    "slips_test7-malicious.pcap": 2000,
    "slips_test8-malicious_arpscan.pcap": 534,
    "slips_test12-icmp-portscan.pcap": 37,
    "slips_test-cc-capture-1.pcap": 7931,
    "nfstream_instagram.pcap": 3443,
    "nfstream_skype.pcap": 3284,
    "nfstream_alexa-app.pcapng": 3435,
    "nfstream_synscan.pcap": 2011,
}


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a capture and returns its path."""

    def write(content, name="capture.pcap"):
        path = tmp_path / name
        path.write_bytes(content)
        return str(path)

    return write


class Read:
    """All blocks of a source: the frame with its record numbers, rejects, skipped and end times."""

    def __init__(self, source, parse=map):
        with closing(source):
            blocks = list(source.blocks())
            parsed = list(parse(source.parse, blocks))
            self.bytes_read = sum(block.bytes_read for block in blocks)
            self.total_bytes = source.total_bytes
        for block, result in zip(blocks, parsed, strict=True):
            records = block.records + sum(block.skipped.values())
            assert records == result.frame.height + len(result.rejects) + sum(result.skipped.values())
        filled = [result.frame for result in parsed if result.frame.height]
        self.frame = pl.concat(filled or [parsed[0].frame]) if parsed else None
        self.record = [int(number) for result in parsed for number in result.record]
        self.rejects = [reject for result in parsed for reject in result.rejects]
        self.end_time = [float(time) for result in parsed for time in result.end_time]
        self.skipped = {}
        for result in parsed:
            for reason, count in result.skipped.items():
                self.skipped[reason] = self.skipped.get(reason, 0) + count

    def equals(self, other):
        if self.frame is None or other.frame is None:
            return self.frame is other.frame
        return (
            self.frame.equals(other.frame)
            and (self.record, self.rejects, self.skipped) == (other.record, other.rejects, other.skipped)
            and np.array_equal(self.end_time, other.end_time, equal_nan=True)
        )

    def rows(self):
        """Return the rows as dicts without what is missing; times as microseconds."""
        if self.frame is None:
            return []
        frame = self.frame.with_columns(pl.col(pl.Datetime).cast(pl.Int64))
        return [{name: value for name, value in row.items() if value is not None} for row in frame.to_dicts()]


def read(path, event_type=None, *, block_bytes=1 << 20, columns=None, parse=map):
    request = ColumnRequest(columns=columns)
    options = ReadOptions(event_type=event_type)
    return Read(open_source(path, columns=request, options=options, block_bytes=block_bytes), parse)


def read_flows(path, *, block_bytes=1 << 20, **limits):
    return Read(FlowSource(ByteStream(path), ColumnRequest(), block_bytes=block_bytes, **limits))


def assert_rows(actual, expected):
    assert len(actual) == len(expected)
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            if isinstance(value, float):
                assert value == pytest.approx(theirs[name], rel=1e-12, abs=1e-12), name
            else:
                assert value == theirs[name], name


def check_against_twin(path, content, block_bytes):
    """Read a capture as packets and as flows, and compare everything with the twin."""
    packets, other = naive_pcap.read_capture(content)
    sound = [(number, packet) for number, packet in enumerate(packets) if "reason" not in packet]
    wrong = [(number, packet) for number, packet in enumerate(packets) if "reason" in packet]
    rows = [naive_pcap.packet_row(packet) for _, packet in sound]
    found = read(path, "packet", block_bytes=block_bytes)
    assert_rows(found.rows(), rows)
    assert found.record == [number for number, _ in sound]
    assert found.skipped.get("pcapng block without a packet", 0) == other
    assert [(reject.record, reject.offset) for reject in found.rejects] == [
        (number, packet["offset"]) for number, packet in wrong
    ]
    for reject, (_, packet) in zip(found.rejects, wrong, strict=True):
        expected = REASONS[packet["reason"]]
        if "end" in packet:
            end = packet["end"]
            expected += "; no further packet is found" if end is None else f"; reading goes on at byte {end}"
            raw = content[packet["offset"] : end][:4096]
            assert reject.raw == raw.decode("utf-8", "surrogateescape")
        assert reject.reason == expected
    times = [packet["time"] for _, packet in sound]
    np.testing.assert_allclose(found.end_time, [math.nan if time is None else time / 1e9 for time in times], rtol=1e-15)

    flows = naive_pcap.Flows()
    for row in rows:
        flows.add(row)
    flows.finish()
    found = read(path, "flow", block_bytes=block_bytes)
    assert_rows(found.rows(), flows.finished)
    assert [reject.offset for reject in found.rejects] == [packet["offset"] for _, packet in wrong]
    expected = flows.skipped | {"pcapng block without a packet": other}
    assert found.skipped == {reason: count for reason, count in expected.items() if count}
    numbers = found.record + [reject.record for reject in found.rejects]
    assert found.record == sorted(found.record)
    assert sorted(numbers) == list(range(len(numbers)))


@given(st.integers(0, 2**32), st.sampled_from([61, 400, 1 << 20]))
@settings(max_examples=30, deadline=None)
def test_random_captures_read_like_the_twin(tmp_path_factory, seed, block_bytes):
    content = captures.random_capture(Random(seed))
    path = tmp_path_factory.getbasetemp() / "random.pcap"
    path.write_bytes(content)
    check_against_twin(str(path), content, block_bytes)


@given(st.integers(0, 2**32), st.sampled_from([61, 300, 1 << 20]))
@settings(max_examples=30, deadline=None)
def test_damaged_captures_read_like_the_twin(tmp_path_factory, seed, block_bytes):
    random = Random(seed)
    content = bytearray(captures.random_capture(random, 40))
    for _ in range(random.choice([1, 2, 8])):
        at = random.randrange(28, len(content) + 1)
        garbage = random.randbytes(random.choice([1, 2, 4, 40]))
        content[at : at + random.choice([0, 1, len(garbage)])] = garbage
    if random.random() < 0.5:
        del content[random.randrange(28, len(content)) :]
    path = tmp_path_factory.getbasetemp() / "damaged.pcap"
    path.write_bytes(content)
    check_against_twin(str(path), bytes(content), block_bytes)


@given(st.binary(max_size=300), st.sampled_from(["pcap", "big", "pcapng"]), st.sampled_from([7, 64]))
@settings(max_examples=30, deadline=None)
def test_garbage_behind_a_header_reads_like_the_twin(tmp_path_factory, garbage, form, block_bytes):
    header = {"pcap": pcap([]), "big": pcap([], order=">", nanoseconds=True), "pcapng": section() + interface()}[form]
    path = tmp_path_factory.getbasetemp() / "garbage.pcap"
    path.write_bytes(header + garbage)
    check_against_twin(str(path), header + garbage, block_bytes)


@given(st.integers(0, 2**32), st.sampled_from([1, 2, 5]), st.sampled_from([0.5, 30.0]), st.sampled_from([2.0, 100.0]))
@settings(max_examples=25, deadline=None)
def test_flow_limits_hold_as_in_the_twin(tmp_path_factory, seed, open_flows, idle, active):
    content = captures.random_capture(Random(seed), wild=False)
    path = tmp_path_factory.getbasetemp() / "limits.pcap"
    path.write_bytes(content)
    flows = naive_pcap.Flows(round(idle * SECOND), round(active * SECOND), open_flows)
    for packet in naive_pcap.read_capture(content)[0]:
        if "reason" not in packet:
            flows.add(naive_pcap.packet_row(packet))
    flows.finish()
    source = FlowSource(
        ByteStream(str(path)), ColumnRequest(), idle_timeout=idle, active_timeout=active, max_open_flows=open_flows
    )
    assert_rows(Read(source).rows(), flows.finished)
    assert source.evicted_flows == flows.evicted


@pytest.mark.parametrize(("name", "count"), PACKETS.items())
def test_real_captures_read_like_the_twin(real_data, name, count):
    path = real_data / "pcap" / name
    content = path.read_bytes()
    assert len(naive_pcap.read_capture(content)[0]) == count
    check_against_twin(str(path), content, 100_000)


def test_real_captures_hold_the_packets_of_their_list(real_data):
    folder = str(real_data / "pcap")
    read_packets = [read(f"{folder}/{name}", "packet").frame.height for name in PACKETS]
    assert read_packets == list(PACKETS.values())
    assert sum(read_packets) == 28_675


def test_the_scanner_of_the_syn_scan_stands_out(real_data):
    flows = read(str(real_data / "pcap" / "nfstream_synscan.pcap")).frame
    scanner = flows.filter(pl.col("source_address") == "172.16.0.8")
    assert scanner["tcp_state"].value_counts().sort("count", descending=True).row(0) == ("S0", 1986)
    assert scanner["destination_port"].n_unique() > 900


@pytest.mark.parametrize("event_type", ["packet", "flow", "cicflowmeter"])
def test_blocks_and_threads_change_nothing(real_data, event_type):
    path = str(real_data / "pcap" / "nfstream_alexa-app.pcapng")
    whole = read(path, event_type)
    assert whole.bytes_read == whole.total_bytes
    with ThreadPoolExecutor(4) as pool:
        for block_bytes in (20_000, 65536):
            assert read(path, event_type, block_bytes=block_bytes, parse=pool.map).equals(whole)


def test_compressed_captures_and_standard_input(real_data, write, monkeypatch):
    content = (real_data / "pcap" / "slips_test7-malicious.pcap").read_bytes()
    whole = read(write(content))
    for packed in (gzip.compress(content), zstandard.compress(content)):
        assert read(write(packed, "odd name"), block_bytes=7777).frame.equals(whole.frame)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert read("-").frame.equals(whole.frame)


def test_a_cut_gzip_file_says_so(write):
    packed = gzip.compress(pcap([(START, Random(1).randbytes(60))] * 50))
    with pytest.raises(SourceError, match=r"truncated gzip file: it ends at byte \d+"):
        read(write(packed[:-20]))


def test_the_columns_of_a_packet(write):
    layers = ipv4(HOST, SERVER, 6, tcp(1025, 443, SYN | PSH, b"hello", window=512), options=b"\x01" * 4, ttl=7)
    data = ethernet(0x0800, layers, (0x88A8, 100), (0x8100, 0x6007))
    (row,) = read(write(pcap([(START + 123_456_789, data, 99)], order=">", nanoseconds=True)), "packet").rows()
    assert row == {
        "time": (START + 123_456_000) // 1000,
        "time_nanoseconds": START + 123_456_789,
        "interface": 0,
        "link_type": 1,
        "length": 99,
        "captured_length": len(data),
        "source_mac": "02:00:00:00:00:01",
        "destination_mac": "02:00:00:00:00:02",
        "vlan_id": 100,
        "inner_vlan_id": 7,
        "ethertype": 0x0800,
        "ip_version": 4,
        "source_address": HOST,
        "source_port": 1025,
        "destination_address": SERVER,
        "destination_port": 443,
        "protocol": "tcp",
        "protocol_number": 6,
        "ip_header_length": 24,
        "type_of_service": 0,
        "ttl": 7,
        "ip_identification": 7,
        "fragment_offset": 0,
        "more_fragments": False,
        "tcp_flags": SYN | PSH,
        "tcp_window": 512,
        "transport_header_length": 20,
        "payload_length": 5,
    }


def test_column_types_are_the_formats_own(write):
    path = write(pcap([(START, ethernet(0x88CC, b"x"))]))
    kinds = {1: pl.Int64, 2: pl.Float64, 3: pl.Boolean, 4: pl.String}
    time = pl.Datetime("us", "UTC")
    expected = {column.name: time if column.is_time else kinds[column.kind] for column in PACKET_COLUMNS}
    assert read(path, "packet").frame.schema == expected
    expected = {column.name: time if column.is_time else kinds[column.kind] for column in FLOW_COLUMNS}
    expected |= {"hour_of_day": pl.Int64, "network_direction": pl.String}
    found = read(path)
    assert found.frame.schema == expected
    assert found.frame.height == 0
    assert found.skipped == {"packet without IP": 1}


def test_only_the_columns_asked_for_are_read(write):
    path = write(pcap([(START, ethernet(0x0800, ipv4(HOST, SERVER, 17, udp())))]))
    assert read(path, "packet", columns=("ttl", "time", "absent")).frame.columns == ["time", "ttl"]
    assert read(path, columns=("protocol", "absent")).frame.rows() == [("udp",)]
    cicflowmeter = read(path, "cicflowmeter", columns=("Flow ID", "Idle Max")).frame
    assert cicflowmeter.rows() == [(f"{HOST}-{SERVER}-1234-53-17", 0.0)]


def test_the_direction_of_flows_is_told_by_the_home_networks(write):
    path = write(pcap([(START, ethernet(0x0800, ipv4("8.8.8.8", "10.0.0.1", 17, udp())))]))
    assert read(path, columns=("network_direction", "hour_of_day")).frame.rows() == [(12, "inbound")]
    options = ReadOptions(home_networks=("8.8.8.0/24",))
    request = ColumnRequest(columns=("network_direction",))
    assert Read(open_source(path, columns=request, options=options)).frame.item() == "outbound"


def test_a_file_without_packets(write):
    for content in (pcap([]), section(), section() + interface()):
        for event_type in ("packet", "flow"):
            found = read(write(content), event_type)
            assert found.rows() == []
            assert found.rejects == []


def test_the_capture_formats_give_the_same_packets(write):
    data = ethernet(0x0800, ipv4(HOST, SERVER, 17, udp(payload=b"abc")))
    rows = []
    for order in "<>":
        for nanoseconds in (True, False):
            rows += read(write(pcap([(START, data)], order=order, nanoseconds=nanoseconds)), "packet").rows()
        for resolution, ticks in ((None, START // 1000), (9, START), (0, START // SECOND), (0x80, START // SECOND)):
            head = section(order=order) + interface(order=order, resolution=resolution)
            rows += read(write(head + enhanced(ticks, data, order=order)), "packet").rows()
        head = section(order=order) + interface(order=order, offset=START // SECOND)
        rows += read(write(head + enhanced(0, data, order=order)), "packet").rows()
        rows += read(write(head + captures.obsolete(0, data, order=order)), "packet").rows()
    assert len(rows) == 16
    assert all(row == rows[0] for row in rows)


@pytest.mark.parametrize("link_type", [1, 12, 14, 101, 113, 276, 0, 108])
def test_link_types(write, link_type):
    packets = [
        (START, captures.linked(link_type, 0x0800, ipv4(HOST, SERVER, 17, udp()))),
        (START, captures.linked(link_type, 0x86DD, ipv6("fe80::1", "::ffff:1.2.3.4", 17, udp()))),
    ]
    frame = read(write(pcap(packets, link_type=link_type)), "packet").frame
    assert frame["source_address"].to_list() == [HOST, "fe80::1"]
    assert frame["destination_address"].to_list() == [SERVER, "::ffff:1.2.3.4"]
    assert frame["destination_port"].to_list() == [53, 53]


def test_raw_link_types_of_one_ip_version(write):
    for link_type, data in ((228, ipv4(HOST, SERVER, 17, udp())), (229, ipv6("::1", "::2", 17, udp()))):
        assert read(write(pcap([(START, data)], link_type=link_type)), "packet").frame["source_port"].item() == 1234


def test_a_packet_without_a_time_is_a_record_but_of_no_flow(write):
    path = write(section() + interface() + simple(ethernet(0x0800, ipv4(HOST, SERVER, 17, udp()))))
    found = read(path, "packet")
    assert found.frame.select("time", "protocol").rows() == [(None, "udp")]
    assert math.isnan(found.end_time[0])
    assert read(path).skipped == {"packet without a time": 1}


def test_arp_names_its_addresses(write):
    path = write(pcap([(START, ethernet(0x0806, arp(HOST, SERVER)))]))
    frame = read(path, "packet").frame
    assert frame.select("protocol", "source_address", "destination_address", "ip_version").rows() == [
        ("arp", HOST, SERVER, None)
    ]


def test_a_lying_length_costs_one_reject(write):
    packets = [(START + second * SECOND, ethernet(0x0800, ipv4(HOST, SERVER, 17, udp()))) for second in range(20)]
    content = bytearray(pcap(packets))
    size = 16 + len(packets[0][1])
    struct.pack_into("<I", content, 24 + 7 * size + 8, 0xFFFFFFF0)
    found = read(write(content), "packet", block_bytes=50)
    assert found.record == [*range(7), *range(8, 20)]
    (reject,) = found.rejects
    assert (reject.record, reject.offset, reject.line) == (7, 24 + 7 * size, None)
    assert reject.reason == f"captured length of more than 262144 bytes; reading goes on at byte {24 + 8 * size}"
    assert found.frame["time"].dt.epoch("s").to_list() == [
        START // SECOND + second for second in range(20) if second != 7
    ]


def test_a_truncated_last_packet_is_one_reject(write):
    content = pcap([(START, ethernet(0x0800, ipv4(HOST, SERVER, 17, udp())))] * 3)
    for cut in (1, 30, 56):
        for event_type, records in (("packet", 2), ("flow", 1)):
            found = read(write(content[:-cut]), event_type)
            assert found.frame.height == records
            (reject,) = found.rejects
            assert reject.reason == "the file ends before the packet does; no further packet is found"
    # flows still open at the end are given out behind it
    assert (reject.record, found.record) == (0, [1])


def test_what_is_no_capture(write):
    for content in (b"\xd4\xc3\xb2\xa1" + bytes(10), b"\x0a\x0d\x0d\x0a" + bytes(30)):
        with pytest.raises(SourceError, match="is no packet capture that can be read: expected the header"):
            read(write(content))
    with pytest.raises(SourceError, match=r"event type 'dns' is none of the packet capture .*; it is one of flow"):
        read(write(pcap([])), "dns")
    with pytest.raises(SourceError, match="is a packet capture; expected delimited text"):
        open_source(write(pcap([])), options=ReadOptions(input_format="csv"))
    with pytest.raises(SourceError, match="give seconds from 1e-6 to 1e6"):
        read_flows(write(pcap([])), idle_timeout=0)


def connection(start, *parts, client=1025):
    """Return packets of a connection: (seconds after the start, 1 from the client or -1, flags, payload bytes)."""
    packets = []
    for seconds, direction, flags, size in parts:
        ends = (HOST, SERVER) if direction > 0 else (SERVER, HOST)
        ports = (client, 80) if direction > 0 else (80, client)
        data = ethernet(0x0800, ipv4(*ends, 6, tcp(*ports, flags, bytes(size))))
        packets.append((start + round(seconds * SECOND), data))
    return packets


HANDSHAKE = ((0, 1, SYN, 0), (0.1, -1, SYN | ACK, 0), (0.2, 1, ACK, 0))
CLOSE = ((2, 1, FIN | ACK, 0), (2.1, -1, FIN | ACK, 0), (2.2, 1, ACK, 0))


def test_a_connection_is_one_flow_of_both_directions(write):
    packets = connection(START, *HANDSHAKE, (0.3, 1, PSH | ACK, 100), (1, -1, ACK, 900), *CLOSE)
    (row,) = read(write(pcap(packets))).rows()
    assert (row["source_address"], row["source_port"]) == (HOST, 1025)
    assert (row["destination_address"], row["destination_port"]) == (SERVER, 80)
    assert (row["protocol"], row["tcp_state"], row["end_reason"]) == ("tcp", "SF", "fin")
    assert (row["forward_packets"], row["backward_packets"]) == (5, 3)
    assert (row["forward_payload_bytes"], row["backward_payload_bytes"]) == (100, 900)
    assert row["bytes"] == 8 * 54 + 1000
    assert row["duration"] == pytest.approx(2.2)
    assert row["inter_arrival_max"] == pytest.approx(1.0)
    assert row["forward_inter_arrival_mean"] == pytest.approx(2.2 / 4)
    assert (row["syn_flags"], row["fin_flags"], row["psh_flags"], row["ack_flags"]) == (2, 2, 1, 7)
    assert row["payload_length_std"] == pytest.approx(np.std([100, 900] + [0] * 6, ddof=1))


STATES = {
    "S0": [(0, 1, SYN, 0)],
    "S1": HANDSHAKE,
    "SF": (*HANDSHAKE, *CLOSE),
    "REJ": [(0, 1, SYN, 0), (0.1, -1, RST | ACK, 0)],
    "S2": (*HANDSHAKE, (1, 1, FIN | ACK, 0)),
    "S3": (*HANDSHAKE, (1, -1, FIN | ACK, 0)),
    "RSTO": (*HANDSHAKE, (1, 1, RST, 0)),
    "RSTR": (*HANDSHAKE, (1, -1, RST, 0)),
    "RSTOS0": [(0, 1, SYN, 0), (1, 1, RST, 0)],
    "RSTRH": [(0, -1, SYN | ACK, 0), (1, -1, RST, 0)],
    "SH": [(0, 1, SYN, 0), (1, 1, FIN, 0)],
    "SHR": [(0, -1, SYN | ACK, 0), (1, -1, FIN | ACK, 0)],
    "OTH": [(0, -1, ACK, 9), (1, 1, ACK, 0)],
}


@pytest.mark.parametrize(("state", "parts"), STATES.items())
def test_tcp_states(write, state, parts):
    (row,) = read(write(pcap(connection(START, *parts)))).rows()
    assert row["tcp_state"] == state
    # who answers is the destination, whether or not the question was captured
    assert row["source_address"] == (SERVER if state == "OTH" else HOST)


def test_a_new_connection_may_have_the_ports_of_one_that_ended(write):
    packets = connection(START, *HANDSHAKE, *CLOSE) + connection(START + 3 * SECOND, *HANDSHAKE)
    frame = read(write(pcap(packets))).frame
    assert frame.select("tcp_state", "end_reason", "packets").rows() == [("SF", "fin", 6), ("S1", "end of file", 3)]


def test_flows_end_when_they_are_idle_or_last_too_long(write):
    def packets(*seconds):
        data = ethernet(0x0800, ipv4(HOST, SERVER, 17, udp()))
        return pcap([(START + round(second * SECOND), data) for second in seconds])

    assert read(write(packets(0, 120, 240.1))).frame["end_reason"].to_list() == ["idle timeout", "end of file"]
    flows = read(write(packets(*range(0, 3700, 100)))).frame
    assert flows["packets"].to_list() == [19, 18]
    assert flows["end_reason"].to_list() == ["active timeout", "end of file"]


def test_later_fragments_belong_to_the_flow_of_the_first(write):
    content = udp(1024, 53, bytes(32))
    parts = [(content[:16], 0x2000), (content[16:32], 0x2002), (content[32:], 4)]
    first, *later = [
        (START + SECOND * number, ethernet(0x0800, ipv4(HOST, SERVER, 17, data, fragment=place)))
        for number, (data, place) in enumerate(parts)
    ]
    (row,) = read(write(pcap([first, *later]))).rows()
    assert (row["packets"], row["source_port"], row["payload_bytes_per_second"]) == (3, 1024, 16.0)
    (row,) = read(write(pcap(later))).rows()
    assert row["packets"] == 2
    assert "source_port" not in row


def test_the_number_of_open_flows_is_bounded(write):
    packets = [p for number in range(300) for p in connection(START + number, (0, 1, SYN, 0), client=number)]
    source = FlowSource(ByteStream(write(pcap(packets))), ColumnRequest(), block_bytes=999, max_open_flows=50)
    frame = Read(source).frame
    assert frame["source_port"].to_list() == list(range(300))
    assert frame["end_reason"].to_list() == ["evicted"] * 250 + ["end of file"] * 50
    assert source.evicted_flows == 250


def test_many_flows_that_end_at_once_come_in_several_blocks(write):
    ((_, data),) = connection(START, (0, 1, SYN, 0))
    path = write(pcap([(START, data[:34] + struct.pack(">H", port) + data[36:]) for port in range(20_000)]))
    with closing(open_source(path)) as source:
        heights = [source.parse(block).frame.height for block in source.blocks()]
    assert max(heights) == 16_384
    assert sum(heights) == 20_000


def test_cicflowmeter_names_and_units(write):
    packets = connection(START, *HANDSHAKE, (6, 1, PSH | ACK, 100), *[(6.5, -1, ACK, 500)] * 4)
    path = write(pcap(packets))
    (row,) = read(path, "cicflowmeter").frame.to_dicts()
    assert tuple(row) == CICFLOWMETER_COLUMNS
    assert row["Flow ID"] == f"{HOST}-{SERVER}-1025-80-6"
    assert (row["Src IP"], row["Dst Port"], row["Protocol"]) == (HOST, 80, 6)
    assert row["Flow Duration"] == 6_500_000
    assert (row["Idle Max"], row["Active Max"]) == pytest.approx((5_800_000, 200_000))
    assert (row["Bwd Bytes/Bulk Avg"], row["Fwd Bytes/Bulk Avg"]) == (2000, 0)
    assert row["Bwd Packet Length Std"] == pytest.approx(np.std([0] + [500] * 4, ddof=1))
    assert (row["Fwd Seg Size Min"], row["Fwd Act Data Pkts"], row["FWD Init Win Bytes"]) == (20, 1, 1000)
    assert row["Subflow Fwd Packets"] == 1.5
    assert not pl.DataFrame([row]).null_count().sum_horizontal().item()


def test_cicflowmeter_names_are_those_of_its_tables(real_data):
    columns = pl.read_parquet_schema(next((real_data / "cicids2017_improved").glob("*.parquet")))
    assert [name for name in CICFLOWMETER_COLUMNS if name not in columns] == []
    assert len(CICFLOWMETER_COLUMNS) == 83
    assert {column.name for column in FLOW_COLUMNS} >= set(CICFLOWMETER_NAMES.values())


@pytest.mark.parametrize("event_type", ["flow", "packet", "cicflowmeter"])
def test_ready_schemas_fit_their_frames(real_data, event_type):
    path = str(real_data / "pcap" / "slips_test7-malicious.pcap")
    with closing(open_source(path, options=ReadOptions(event_type=event_type))) as source:
        content = READY_SCHEMAS[source.record_type]
    frame = read_frame([path], options=ReadOptions(event_type=event_type)).frame
    declaration = schema_declaration(content)
    schema = infer_schema(frame, overrides=content)
    assert schema.record_type == f"pcap.{event_type}"
    assert set(schema.feature_names) == set(declaration.features)
    ports = "Dst Port" if event_type == "cicflowmeter" else "destination_port"
    assert ports in [feature.name for _, feature in schema.categorical]
    assert not {"source_address", "source_port", "time", "Flow ID", "Timestamp"} & set(schema.feature_names)


def test_the_guide_lists_every_column():
    guide = (Path(__file__).parents[2] / "docs" / "pcap.md").read_text()
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", guide, re.DOTALL | re.MULTILINE))

    def named(title):
        cells = re.findall(r"^\| (`.*?`) \|", sections[title], re.MULTILINE)
        return [name for cell in cells for name in re.findall("`([^`]+)`", cell)]

    assert named("Columns of packets") == [column.name for column in PACKET_COLUMNS]
    assert sorted(named("Columns of flows")) == sorted([*(column.name for column in FLOW_COLUMNS), *DERIVED_COLUMNS])
    pairs = re.findall(r"^\| (\w.*?) \| (.*?) \|", sections["CICFlowMeter's features"], re.MULTILINE)
    given = {name: re.findall("`([^`]+)`", cell) for name, cell in pairs if name not in ("CICFlowMeter", "Label")}
    assert tuple(given) == CICFLOWMETER_COLUMNS
    assert {name: names[0] for name, names in given.items() if name != "Flow ID"} == CICFLOWMETER_NAMES


def test_packet_source_is_chosen_by_event_type(write):
    path = write(pcap([]))
    for event_type, kind, record_type in (
        (None, FlowSource, "pcap.flow"),
        ("flow", FlowSource, "pcap.flow"),
        ("packet", PacketSource, "pcap.packet"),
        ("cicflowmeter", FlowSource, "pcap.cicflowmeter"),
    ):
        with closing(open_source(path, options=ReadOptions(event_type=event_type))) as source:
            assert isinstance(source, kind)
            assert source.record_type == record_type
        # a model for these records reads them without being told
        if event_type is not None:
            assert options_for(ReadOptions(), record_type).event_type == event_type
