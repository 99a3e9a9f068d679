import gzip
import io
import os
import random
import types

import pytest
import zstandard

from netsieve.engine.errors import SourceError
from netsieve.engine.sources import open_source
from netsieve.engine.sources.bytestream import ByteStream
from netsieve.engine.sources.reading import read_frame

TEXT = b"a,b\n" + b"".join(b"%d,%d\n" % (i, random.Random(i).getrandbits(60)) for i in range(20_000))
HALF = len(TEXT) // 2


def zstd(data):
    return zstandard.ZstdCompressor().compress(data)


def zstd_streamed(data):
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(data) + compressor.flush()


COMPRESSED = {
    "gzip": gzip.compress(TEXT),
    "gzip of several members": gzip.compress(TEXT[:HALF]) + gzip.compress(b"") + gzip.compress(TEXT[HALF:]),
    "zstd": zstd(TEXT),
    "zstd of several frames": zstd(TEXT[:HALF]) + zstd_streamed(TEXT[HALF:]),
}


def read_all(stream, size=7919):
    parts = []
    buffer = memoryview(bytearray(size))
    while count := stream.readinto(buffer):
        parts.append(bytes(buffer[:count]))
    return b"".join(parts)


@pytest.mark.parametrize("name", COMPRESSED)
def test_compression_is_told_by_content(tmp_path, name):
    path = tmp_path / "flows.csv"  # the name says nothing
    path.write_bytes(COMPRESSED[name])
    stream = ByteStream(str(path))
    assert bytes(stream.peek(3)) == TEXT[:3]
    stream.skip(2)
    assert read_all(stream) == TEXT[2:]
    assert stream.offset == len(TEXT)
    assert stream.position == stream.total_bytes == len(COMPRESSED[name])
    stream.close()


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_and_plain_files_give_the_same_frame(tmp_path, name):
    plain, packed = tmp_path / "plain.csv", tmp_path / "packed.csv.gz"
    plain.write_bytes(TEXT)
    packed.write_bytes(COMPRESSED[name])
    expected = read_frame([str(plain)]).frame
    assert expected.height == 20_000
    assert read_frame([str(packed)], block_bytes=10_000).frame.equals(expected)


@pytest.mark.parametrize("name", COMPRESSED)
@pytest.mark.parametrize("cut", [0.3, 0.999])
def test_a_truncated_file_is_one_line_of_error(tmp_path, name, cut):
    path = tmp_path / "flows.csv.gz"
    content = COMPRESSED[name]
    path.write_bytes(content[: int(len(content) * cut)])
    with pytest.raises(
        SourceError, match=f"'{path}' is a truncated (gzip|zstd) file: it ends at byte [0-9]+ "
    ) as error:
        read_frame([str(path)])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_damaged_file_is_one_line_of_error(tmp_path, name):
    path = tmp_path / "flows.csv.gz"
    content = bytearray(COMPRESSED[name])
    middle = len(content) // 3
    content[middle : middle + 400] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(SourceError, match=f"'{path}' is a damaged (gzip|zstd) file: .* byte [0-9]+") as error:
        read_frame([str(path)])
    assert "\n" not in str(error.value)


def test_standard_input_is_read(monkeypatch, tmp_path):
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as writer:
        writer.write(gzip.compress(b"a,b\n1,2\n"))
    with os.fdopen(read_end, "rb") as reader:
        monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=reader))
        source = open_source("-")
        assert source.total_bytes is None
        (block,) = source.blocks()
        assert source.parse(block).frame.rows() == [(1, 2)]
        source.close()
        assert not reader.closed


def test_standard_input_can_be_empty(monkeypatch):
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO()))
    with pytest.raises(SourceError, match="standard input is empty"):
        open_source("-")


def test_absent_and_forbidden_files_and_folders_are_errors(tmp_path, monkeypatch):
    with pytest.raises(SourceError, match="No such file"):
        ByteStream(str(tmp_path / "absent.csv"))
    with pytest.raises(SourceError, match="Is a directory"):
        ByteStream(str(tmp_path))

    def forbid(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", forbid)
    with pytest.raises(SourceError, match=r"'x\.csv': Permission denied"):
        ByteStream("x.csv")


@pytest.mark.parametrize(("magic", "name"), [(b"\xfd7zXZ\x00", "xz"), (b"BZh9", "bzip2"), (b"PK\x03\x04", "zip")])
def test_other_compression_is_named(tmp_path, magic, name):
    path = tmp_path / "flows.csv"
    path.write_bytes(magic + bytes(100))
    with pytest.raises(SourceError, match=f"is a {name} file; decompress it first"):
        ByteStream(str(path))
