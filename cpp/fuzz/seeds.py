"""Write the seeds of the fuzz targets: small made-up inputs, one for each odd shape that the readers handle.

``python cpp/fuzz/seeds.py [FOLDER]`` writes ``FOLDER/TARGET/NAME`` (by default beside this file, in ``seeds/``).
The input of a fault that was repaired is added here by hand.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

import captures as c  # noqa: E402

GARBAGE = bytes((17 * n * n + 5 * n) % 256 for n in range(600))
NOT_UTF8 = b"\xff\xfe \xc3( \xed\xa0\x80 \xf5\x80 \xe2\x82"
MARK = b"\xef\xbb\xbf"


def record_seeds() -> dict[str, bytes]:
    """Return CSV texts behind two bytes of options."""
    five, two, host = bytes([4, 0]), bytes([64, 0]), bytes([136, 3])
    lines = b"a,b,c,d,e\n1,2.5,true,x,y\n-7,1e3,F,,\n,,,,\n"
    return {
        "plain": five + lines * 4,
        "short_lines_blocks": bytes([4, 3]) + lines * 4,
        "tabs": bytes([1, 4]) + lines.replace(b",", b"\t"),
        "quoted": two + b'"a ""b"" c","x\ny"\n"",plain\n"a,b",c\r\n"end","of"',
        "quote_open": two + b'a,b\n"never closed,b\nc,d\ne,f\n',
        "quote_stray": two + b'a"b,c\n"a"b,c\n"a" ,b\nok,ok\n',
        "line_ends_mixed": five + b"1,2,T,a,b\r\n2,3,F,c,d\n3,4,T,e,f\r4,5,F,g,h\r\r\n\r\n\n",
        "header_again": five + MARK + lines + MARK + lines,
        "header_changes": five + lines + b"a,b,c,d,e,f\n1,2,T,x,y,z\n",
        "truncated": five + lines + b"12,3.",
        "ragged": five + b"1,2\n1,2,T,a,b,c,d\n1\n,\n",
        "overlong": bytes([32, 5]) + b"x" * 100 + b",y\n1,2,T,a,b\n" + b"y" * 70,
        "overlong_quoted": bytes([112, 2]) + b'"' + b"z\n" * 40 + b'",b\n1,2\n',
        "numbers_huge": five
        + b"9223372036854775807,1e308,1,a,b\n9223372036854775808,1e309,0,a,b\n-9223372036854775809,-1e-400,1,a,b\n"
        + b"9" * 400
        + b",0."
        + b"0" * 400
        + b"1,T,a,b\n1e18,inf,N/A,a,b\n9007199254740993.0,nan,null,a,b\n",
        "numbers_odd": five + b"+1,.5,t,a,b\n--1,1.,yes,a,b\n 7 ,1e,1,a,b\n0x1F,1_000,2,a,b\n+-1,+,T,a,b\n",
        "utf8_invalid": two + b"ok," + NOT_UTF8 + b"\n" + NOT_UTF8 + b",ok\n" + "Grüße,日本\n".encode(),
        "nul_bytes": five + b"1,2,T,\0,b\n\0\0,2,T,a,b\n",
        "garbage": host + GARBAGE,
        "long_cells": two + b"x" * 12 + b"," + b"y" * 13 + b"\n" + b"x" * 16 + b"," + b"y" * 200 + b"\n",
    }


CONN = (
    b"1545403816.962094\tCab\t10.0.0.1\t1024\t10.0.0.2\t80\ttcp\t%s\t1.5\t10\t20\tSF\tT\tF\t0\tShADad"
    b"\t5\t300\t6\t400\t%s\n"
)
FIELDS = (
    b"ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration orig_bytes resp_bytes conn_state"
    b" local_orig local_resp missed_bytes history orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes tunnel_parents"
)
TYPES = (
    b"time string addr port addr port enum string interval count count string bool bool count string count count"
    b" count count set[string]"
)
SHORT = b"1545403816.962094\ttext\t1.0,2.50\n"


def zeek_seeds() -> dict[str, bytes]:
    """Return tab-separated logs behind two bytes of options."""
    conn, short, text, mixed = bytes([0, 0]), bytes([0, 1]), bytes([0, 2]), bytes([0, 3])
    header = b"#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n"
    header += b"#fields\t" + FIELDS.replace(b" ", b"\t") + b"\n#types\t" + TYPES.replace(b" ", b"\t") + b"\n"
    line = CONN % (b"http", b"(empty)")
    return {
        "plain": conn + header + line * 3 + b"#close\t2020-01-01-00-00-00\n",
        "blocks": bytes([0, 16]) + header + line * 3,
        "unset_all": conn + b"\t".join([b"-"] * 21) + b"\n" + line,
        "sets": conn
        + CONN % (b"-", b"a,-,b")
        + CONN % (b"dns", b"-")
        + CONN % (b"", b"")
        + CONN % (b"x", b"a,(empty)"),
        "no_close_joined": conn + header + line + header + line + b"#fields\tother\n" + line + header + line,
        "byte_order_marks": conn + MARK + header + MARK + line + line,
        "header_changes": conn + header + line + b"#separator ,\n#fields\ta,b\n1,2\n" + header + line,
        "header_truncated": conn + b"#separator \\x09\n#fields\tts\tui",
        "escapes": short + b"1.0\t\\x41\\xc3\\xbc\\xff\\x00\\x0a\\x5c\\x4\\xZZ\\\t-\n" * 2,
        "escapes_end": text + b"\\x41\\x\n\\x4\n\\\nabc\\xe2\\x82\\xac\nabc\\xe2\\x82\n",
        "spaced": bytes([2, 3]) + b"x\ta,b   -   1.5\nx\ta   (empty)\t2\nx\ta  b   c   3\r\n   \n",
        "separator_comma": bytes([5, 1]) + b"1.5,text,1;2;-\n-,(empty),(empty)\n1,,\n",
        "markers_none": bytes([24, 1]) + b"1.5\t\t\n-\t-\t-\n\t(empty)\t1\n",
        "number_lists": short
        + SHORT
        + b"2.0\ta\t60.000000,60.0,1e400,-0,-\n3.0\tb\t1,,2\n4.0\tc\tx\n5.0\td\t(empty)\n",
        "times_odd": short
        + b"".join(
            time + b"\tt\t1\n"
            for time in (
                b"0",
                b"-1.5",
                b"1545403816",
                b"1545403816.9620945",
                b"1.5e9",
                b"1e99",
                b"inf",
                b"nan",
                b"9" * 30,
                b"999999999999.999999",
                b"12:30",
                b".",
                b"1545403816.96209x",
            )
        ),
        "line_ends_mixed": short + SHORT + SHORT.replace(b"\n", b"\r\n") * 2 + b"\r\n\n\r" + SHORT,
        "truncated": conn + line + line[:40],
        "ragged": short + b"1\n1\t2\n1\ta\t3\t4\n\t\t\n",
        "numbers_huge": mixed
        + b"x\ta\ty\t1e309\nx\ta\ty\t"
        + b"9" * 330
        + b"\nx\ta\ty\t0."
        + b"0" * 330
        + b"1\nx\ta\ty\t1234567890.123456\nx\ta\ty\t12345678901234567890\n",
        "integers_huge": conn
        + line.replace(b"\t80\t", b"\t9223372036854775808\t")
        + line.replace(b"\t80\t", b"\t12345678901234567\t")
        + line.replace(b"\t80\t", b"\t80.0\t")
        + line.replace(b"\t80\t", b"\t-80\t")
        + line.replace(b"\t80\t", b"\t0.5\t"),
        "utf8_invalid": text + NOT_UTF8 + b"\nfine\n\xc3\xbc\nabcdefghijklmnopqrstuvwxyz\xff\n",
        "overlong": bytes([64, 2]) + b"x" * 100 + b"\nfine\n" + b"#" + b"y" * 100 + b"\n" + b"z" * 80,
        "overlong_blocks": bytes([96, 10]) + b"abcdefgh\nab\n" * 8,
        "long_cells": text + b"x" * 12 + b"\n" + b"x" * 13 + b"\n" + b"x" * 16 + b"\n" + b"x" * 300 + b"\n",
        "garbage": mixed + GARBAGE,
        "garbage_conn": conn + header + GARBAGE + line,
    }


FLOW = {
    "timestamp": "2021-06-06T15:57:44.123456+0000",
    "event_type": "flow",
    "src_ip": "10.0.0.1",
    "dest_port": 443,
    "flow": {"bytes_toserver": 100, "end": "2021-06-06T15:58:44.123456+0000"},
    "tcp": {"syn": True},
}
DNS = {"event_type": "dns", "dns": {"rrname": "a.example", "answers": [{"rdata": "1.2.3.4"}, None, 1.5]}, "x": None}


def json_seeds() -> dict[str, bytes]:
    """Return JSON lines and arrays behind a byte of options."""
    lines, array, flows = bytes([0]), bytes([1]), bytes([8])
    flow, dns = json.dumps(FLOW).encode(), json.dumps(DNS, separators=(",", ":")).encode()
    every = b'{"a":1.5,"a.b":2,"x":"2021-01-01T00:00:00Z"}\n'
    return {
        "plain": lines + flow + b"\n" + dns + b"\n" + every,
        "blocks": bytes([48]) + (flow + b"\n" + dns + b"\n") * 2,
        "selected": flows + flow + b"\n" + dns + b"\n" + b'{"event_type":["flow"]}\n{"event_type":"fl\\u006fw"}\n',
        "array": array + b"[" + flow + b",\n" + dns + b" ,  {}]\n",
        "array_pretty": array
        + json.dumps([FLOW, DNS], indent=2).encode()
        + b"\n\n"
        + json.dumps([FLOW], indent=1).encode(),
        "array_cut": array + b"[" + flow + b"," + dns[:20],
        "array_odd": array + b'[1, "}", {"a":"}"}, [{}], {"a":1}{"a":2}, ] {"a":3}',
        # as long as a record may be, and ended by the indentation of the next
        "array_indented_limit": b"\x07"
        + b'[\n \t{"a":1. \t{"a":1.5,"a.b":2,"x":"2021-01-018}\n[\xdb}"timex":null}\n \t{"a":1}\n]',
        # blocks that end in the middle of a line: what follows is not indented
        "array_line_cut": array + b'["}", {"a":1}{"a":2}, ] {"a' + b"0" * 23 + b':0:}\n{00:}\n{"a"0,",","flow":{"\n {"',
        "truncated": lines + flow + b"\n" + flow[:50],
        "nested_deep": lines
        + b'{"a":' * 1500
        + b"1"
        + b"}" * 1500
        + b"\n"
        + b'{"a":'
        + b"[" * 1500
        + b"]" * 1500
        + b"}\n",
        "nested_deep_open": lines + b'{"a":{"b":' + b"[{" * 700 + b"\n" + every,
        "nested_columns": lines + b'{"a":{"b":{"c":true}}}\n{"a.b":1,"a":{"b":2,"b.c":3}}\n{"a":{"b.c":false}}\n',
        "duplicate_keys": lines
        + b'{"a":1,"a":2}\n{"flow":{"end":1},"flow":{"end":2},"flow":3}\n{"a":{"b":1},"a":{"b":2}}\n',
        "numbers_huge": lines
        + b'{"a":1e400,"dest_port":18446744073709551615}\n{"a":'
        + b"9" * 400
        + b"}\n"
        + b'{"a":-0.0,"dest_port":-9223372036854775808}\n{"a":1E-400,"dest_port":9223372036854775807}\n'
        + b'{"a":1.7976931348623157e308,"dest_port":9.007199254740993e15}\n',
        "numbers_odd": lines
        + b'{"a":01}\n{"a":1.}\n{"a":.5}\n{"a":+1}\n{"a":1e}\n{"a":-}\n{"a":NaN}\n{"a":Infinity}\n',
        "words": lines + b'{"a":true,"tcp":{"syn":"true"}}\n{"a":tru}\n{"a":nul}\n{"a":null,"a.b":"7","a.b.c":1}\n',
        "utf8_invalid": lines + b'{"src_ip":"' + NOT_UTF8 + b'"}\n{"\xff":1}\n' + '{"src_ip":"Grüße 日本"}\n'.encode(),
        "escapes": lines
        + b'{"src_ip":"\\u00fc\\n\\"\\\\ \\ud83d\\ude00","\\u0061":1}\n{"src_ip":"\\ud83d"}\n{"src_ip":"\\x41"}\n',
        "controls": lines + b'{"src_ip":"a\tb\0c"}\n{"src_ip":"' + b"a" * 40 + b'\x1f"}\n',
        "line_ends_mixed": lines + every.replace(b"\n", b"\r\n") + every + b"\r\n\n\r" + every + b" \t" + every,
        "byte_order_marks": lines + MARK + every + MARK + every,
        "two_in_a_line": lines + b'{"a":1}{"a":2}\n{"a":1} x\n{"a":1},\n[{"a":1}]\n"a"\n1\n',
        "overlong": bytes([6]) + b'{"src_ip":"' + b"x" * 100 + b'"}\n{"a":1}\n{"src_ip":"' + b"y" * 100,
        "overlong_blocks": bytes([54]) + (b'{"src_ip":"' + b"x" * 100 + b'"}\n{"a":1}\n') * 2,
        "overlong_array": bytes([7]) + b'[{"src_ip":"' + b"x" * 100 + b'"},\n{"a":1},\n{"a":"\n"}]',
        "times": lines
        + b"".join(
            b'{"timestamp":"%s","x":%s}\n' % pair
            for pair in (
                (b"2021-02-29T25:61:61.1+0000", b"1e12"),
                (b"2021-06-06T15:57:44-0730", b"-1"),
                (b"2021-06-06 15:57:44", b'"2021-06-06"'),
                (b"0000-00-00T00:00:00Z", b"99999999999999999999"),
                (b"9999-12-31T23:59:59.999999999+14:00", b"1609459200.5"),
            )
        ),
        "garbage": lines + GARBAGE,
        "columns_none": bytes([2]) + every + b'{"a":"b"}\n{}\n{"x":',
        "columns_none_selected": bytes([10]) + flow + b"\n" + dns + b"\n",
        "garbage_array": array + b"[" + GARBAGE + b"]",
    }


def list_seeds() -> dict[str, bytes]:
    """Return lines of cells behind a byte of options."""
    texts, numbers = bytes([0]), bytes([1])
    return {
        "plain": texts + b'["a","b"]\n[]\n["a"]\n\ntext\n[""]\n["",""]\n',
        "numbers": numbers + b"[60.0,60.000000,60,1e400,-0.0]\n[1e22,0.1,123456789012345678901234567890]\n[null,1]\n",
        "mixed": texts + b'[null,true,false,1,1.50,"x",{"a":[1]},[2,"y"]]\n[1]\n["a",1]\n["a",null]\n',
        "escapes": texts + b'["a\\"b","\\u00fc"]\n["\\ud83d"]\n["a\\\\","b"]\n["\\\\"]\n',
        "broken": texts + b'["a"\n["a",\n["a"]]\n["a""b"]\n["a"b"]\n[\n["\n[1,]\n]\n["a","b"] \n[ "a" ]\n["a",]\n',
        "commas": texts + b'["a,b","\\",\\""]\n[","]\n["],["]\n',
        "nested_deep": texts
        + b"[" * 1500
        + b"]" * 1500
        + b"\n"
        + b'{"a":' * 900
        + b"1"
        + b"}" * 900
        + b"\n"
        + b"[" * 900,
        "nested_allowed": texts + b"[" * 900 + b'"x"' + b"]" * 900 + b"\n",
        "numbers_huge": numbers + b"[" + b"9" * 400 + b"]\n[18446744073709551615,-9223372036854775808,1e-400]\n",
        "duplicate_keys": texts + b'[{"a":1,"a":2}]\n',
        "utf8": texts + '["ü","日本"]\nü\n'.encode(),
        "controls": texts + b'["a\tb"]\n["a\0b"]\n',
    }


def capture_seeds() -> dict[str, bytes]:
    """Return captures behind a byte that says how much is read at a time."""
    whole, parts = bytes([255]), bytes([2])
    http = c.ethernet(0x0800, c.ipv4("10.0.0.1", "10.0.0.2", 6, c.tcp(flags=c.SYN)))
    answer = c.ethernet(0x0800, c.ipv4("10.0.0.2", "10.0.0.1", 6, c.tcp(80, 1234, c.SYN | c.ACK)))
    close = c.ethernet(0x0800, c.ipv4("10.0.0.1", "10.0.0.2", 6, c.tcp(flags=c.FIN | c.ACK, payload=b"bye")))
    name = c.ethernet(0x0800, c.ipv4("10.0.0.1", "10.0.0.9", 17, c.udp(payload=b"?" * 20)))
    six = c.ethernet(0x86DD, c.ipv6("fe80::1", "fe80::2", 0, c.extension(44, c.fragment_header(6, 0, 1, c.tcp()))))
    tagged = c.ethernet(0x0800, c.ipv4("10.0.0.1", "10.0.0.2", 1, c.icmp()), (0x88A8, 7), (0x8100, 8))
    mixed = [
        (c.START + n * 1_000_000, packet)
        for n, packet in enumerate(
            [http, answer, name, six, tagged, close, c.ethernet(0x0806, c.arp("10.0.0.1", "10.0.0.2"))]
        )
    ]
    plain = c.pcap(mixed)
    body = plain[24:]
    odd = {
        "ip_header_length": b"\x4f" + c.ipv4("10.0.0.1", "10.0.0.2", 6, c.tcp())[1:],
        "ip_header_short": b"\x40" + c.ipv4("10.0.0.1", "10.0.0.2", 6, c.tcp())[1:],
        "ip_total_long": c.ipv4("10.0.0.1", "10.0.0.2", 17, c.udp(), total=65535),
        "ip_total_short": c.ipv4("10.0.0.1", "10.0.0.2", 17, c.udp(), total=3),
        "ip_fragment": c.ipv4("10.0.0.1", "10.0.0.2", 17, c.udp(), fragment=0x2000 | 5),
        "tcp_offset": c.ipv4("10.0.0.1", "10.0.0.2", 6, c.tcp()[:12] + b"\xf0" + c.tcp()[13:]),
        "udp_cut": c.ipv4("10.0.0.1", "10.0.0.2", 17, c.udp()[:5]),
    }
    headers = b"".join(c.extension(60, b"", size=8 * n) for n in (1, 2, 31))
    odd_six = {"chain": headers, "jumbo": c.extension(6, b"")}

    def stretched(length: int) -> bytes:
        return struct.pack("<IIII", 1_600_000_000, 0, length, length)

    enhanced = c.enhanced(1_600_000_000_000_000, http)
    odd_blocks = {
        "length_zero": struct.pack("<II", 6, 0) + bytes(24),
        "length_small": struct.pack("<II", 6, 8) + bytes(24),
        "length_odd": struct.pack("<II", 6, 33) + bytes(32),
        "length_huge": struct.pack("<II", 6, 0xFFFFFFF0) + bytes(64),
        "lengths_differ": enhanced[:-4] + struct.pack("<I", len(enhanced) + 4),
        "captured_long": c.enhanced(1, http, captured=4000),
        "interface_unknown": c.enhanced(1, http, number=9),
        "simple_long": c.simple(http, length=0xFFFFFFFF),
    }
    start = c.section() + c.interface()
    return {
        "plain": whole + plain,
        "parts": parts + plain,
        "nanoseconds": whole + c.pcap(mixed, nanoseconds=True),
        "big_endian": whole + c.pcap(mixed, order=">"),
        "cut_packets": whole + c.pcap([(c.START, http[:n], len(http)) for n in (1, 13, 14, 20, 33, 34, 40, 53)]),
        "linux_cooked": whole
        + c.pcap([(c.START, c.linked(c.LINUX_COOKED, 0x0800, http[14:]))], link_type=c.LINUX_COOKED),
        "linux_cooked_2": whole
        + c.pcap([(c.START, c.linked(c.LINUX_COOKED_2, 0x0800, http[14:]))], link_type=c.LINUX_COOKED_2),
        "raw": whole + c.pcap([(c.START, http[14:]), (c.START, six[14:]), (c.START, b"\x70abc")], link_type=c.RAW),
        "null": whole + c.pcap([(c.START, c.linked(c.NULL, 0x0800, http[14:]))], link_type=c.NULL),
        "loop": whole + c.pcap([(c.START, c.linked(c.LOOP, 0x0800, http[14:]))], link_type=c.LOOP),
        "link_unknown": whole + c.pcap(mixed, link_type=147),
        "packets_odd": whole + c.pcap([(c.START, c.ethernet(0x0800, packet)) for packet in odd.values()]),
        "extensions": whole
        + c.pcap(
            [(c.START, c.ethernet(0x86DD, c.ipv6("fe80::1", "fe80::2", 60, content))) for content in odd_six.values()]
            + [(c.START, c.ethernet(0x86DD, c.ipv6("fe80::1", "fe80::2", 6, c.tcp(), payload=0)))]
        ),
        "tags_many": whole + c.pcap([(c.START, c.ethernet(0x0800, b"", *[(0x8100, 1)] * 40))]),
        "times_backwards": whole + c.pcap([(c.START - n * 10**12, http) for n in range(4)]),
        "truncated_header": whole + plain[:20],
        "truncated_packet": parts + plain[:-7],
        "truncated_record": whole + plain[:33],
        "garbage": whole + GARBAGE,
        "garbage_between": parts + plain[:24] + body[:70] + GARBAGE + body,
        "length_lying": whole
        + plain
        + stretched(0xFFFFFFFF)
        + body
        + stretched(262145)
        + body
        + stretched(5000)
        + body,
        "length_zero": whole + plain[:24] + stretched(0) + body,
        "ng_plain": whole + start + b"".join(c.enhanced(t // 1000, packet) for t, packet in mixed),
        "ng_parts": parts + start + enhanced + c.simple(http) + c.obsolete(5, http) + enhanced,
        "ng_big_endian": whole
        + c.section(order=">")
        + c.interface(order=">", resolution=9, offset=-5)
        + c.enhanced(7, http, order=">"),
        "ng_resolutions": whole
        + c.section()
        + b"".join(c.interface(resolution=r) for r in (0, 3, 9, 20, 0x80, 0x8A, 0xFF))
        + b"".join(c.enhanced(2**62, http, number=n) for n in range(7)),
        "ng_sections": whole + start + enhanced + c.section(order=">") + c.interface(order=">") + start + enhanced,
        "ng_no_interface": whole + c.section() + enhanced,
        "ng_snap_length": whole + c.section() + c.interface(snap_length=20) + c.simple(http[:20], length=len(http)),
        "ng_truncated": parts + start + enhanced + enhanced[:30],
        "ng_section_lying": whole + c.section()[:4] + b"\xff\xff\xff\x7f" + c.section()[8:] + start + enhanced,
        **{f"ng_{name}": parts + start + block + enhanced for name, block in odd_blocks.items()},
    }


def interner_seeds() -> dict[str, bytes]:
    """Return a cut, states with their length in front, and rows of a key and a time."""
    magic, version, limit, expiry = 0x494E534E, 1, 6, 100.0
    rows = bytes(n for key in range(20) for n in (key * 7 % 23 + 1, 50 + key)) + bytes(
        [200, 70, 201, 71, 202, 72, 201, 99]
    )

    def state(entities: list[tuple[int, int, float, int, int]], *, size: int | None = None, head: int = magic) -> bytes:
        count = len(entities) if size is None else size
        packed = struct.pack("<IIQdQQQQ", head, version, limit, expiry, count, 1, 2, 3)
        return packed + b"".join(struct.pack("<QQdII", *entity) for entity in entities)

    def framed(content: bytes, cut: int = 5, length: int | None = None) -> bytes:
        return struct.pack("<BI", cut, len(content) if length is None else length) + content + rows

    three = [(1, 0, 10.0, 4, 2), (2, 0, 11.0, 0, 0), (5, 200 << 32, 12.0, 7, 1)]
    return {
        "none": framed(b""),
        "empty": framed(state([])),
        "three": framed(state(three)),
        "full": framed(state([(5, n << 32, float(n), 0, n - 1) for n in range(1, 7)]), cut=9),
        "length_lying": framed(state(three), length=0xFFFFFFFF),
        "truncated": framed(state(three)[:-3]),
        "size_lying": framed(state(three, size=2**60)),
        "size_above_limit": framed(state([(n, 0, 1.0, 0, n - 1) for n in range(1, 8)])),
        "magic_other": framed(state(three, head=0)),
        "key_twice": framed(state([three[0], three[0]])),
        "key_missing": framed(state([(0, 0, 1.0, 0, 0)])),
        "time_nan": framed(state([(1, 0, float("nan"), 0, 0)])),
        "order_twice": framed(state([(1, 0, 1.0, 0, 0), (2, 0, 1.0, 0, 0)])),
        "order_beyond": framed(state([(1, 0, 1.0, 0, 9)])),
        "garbage": framed(GARBAGE[:200]),
    }


SEEDS = {
    "records": record_seeds,
    "json_lines": json_seeds,
    "zeek": zeek_seeds,
    "comma_lists": list_seeds,
    "pcap": capture_seeds,
    "interner": interner_seeds,
}


def main() -> None:
    """Write all seeds."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "seeds"
    for target, seeds in SEEDS.items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for name, content in seeds().items():
            (folder / target / name).write_bytes(content)


if __name__ == "__main__":
    main()
