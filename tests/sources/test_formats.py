import random
from contextlib import closing

import pytest

from netsieve.engine.errors import SourceError
from netsieve.engine.sources import open_source

PNG = b"\x89PNG\r\n\x1a\n" + random.Random(1).randbytes(5000)
ONNX = b"\x08\x0a\x12\x08netsieve:" + random.Random(2).randbytes(5000)
PCAP = b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PNG, "is a PNG image; expected delimited text"),
        (ONNX, "is no text file; expected delimited text"),
        (PCAP, "is no packet capture that can be read"),
        ("a,b\n1,2\n".encode("utf-16"), "is in UTF-16; convert it to UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "is in UTF-16; convert it to UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-be"), "is in UTF-16; convert it to UTF-8"),
        ("a,b\n1,2\n".encode("utf-32"), "is in UTF-32; convert it to UTF-8"),
        (b"PAR1" + bytes(100) + b"PAR1", "cannot be read as Parquet"),
        (b"PAR1", "cannot be read as Parquet"),
    ],
)
def test_the_wrong_file_is_one_line_of_error(tmp_path, content, message):
    path = tmp_path / "flows.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as error:
        open_source(str(path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (b'{"timestamp": "2021-06-06", "event_type": "dns"}\n', "eve"),
        (b'\xef\xbb\xbf\n [\n  {\n    "x": {},\n    "event_type" : "flow"\n  }\n]', "eve"),
        (b'{"event_type": "login", "user": "x"}\n', "ndjson"),
        (b'[{"a": 1}]', "ndjson"),
        (b"{}\n", "ndjson"),
        (b"[section]\n", "csv"),
    ],
)
def test_json_is_told_by_its_content(tmp_path, content, form):
    path = tmp_path / "any.log"
    path.write_bytes(content)
    with closing(open_source(str(path))) as source:
        assert type(source).__module__ == f"netsieve.engine.sources.{form}"


def test_a_stray_control_character_does_not_make_a_file_binary(tmp_path):
    path = tmp_path / "flows.csv"
    path.write_bytes(b"a,b\n" + b"1,x\n" * 100 + b"2,\x00y\n")
    source = open_source(str(path))
    (block,) = source.blocks()
    assert source.parse(block).frame["b"][-1] == "\x00y"
    source.close()
