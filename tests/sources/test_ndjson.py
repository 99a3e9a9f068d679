import gzip
import io
import json
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import polars as pl
import pytest
import zstandard

from netsieve.engine.errors import SourceError
from netsieve.engine.sources import ColumnRequest, ReadOptions, open_source
from netsieve.engine.sources.bytestream import ByteStream
from netsieve.engine.sources.ndjson import NdjsonSource
from netsieve.engine.sources.reading import read_frame, scan

RECORDS = [{"n": i, "x": i / 2, "s": f"text {i}", "in": {"b": i % 2 == 0, "l": [i]}} for i in range(100)]
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS)
SCHEMA = {"n": pl.Int64, "x": pl.Float64, "s": pl.String, "in.b": pl.Boolean, "in.l": pl.String}


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a file and returns its path."""

    def write(content, name="any.ndjson"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def read(path, *, block_bytes=1 << 20, options=None, **request):
    blocks = list(scan([path], columns=ColumnRequest(**request), options=options, block_bytes=block_bytes))
    assert all(block.frame.schema == blocks[0].frame.schema for block in blocks)
    return (
        pl.concat([block.frame for block in blocks]),
        [number for block in blocks for number in block.record],
        [reject for block in blocks for reject in block.rejects],
        sum(sum(block.skipped.values()) for block in blocks),
    )


def test_columns_are_those_of_the_file(write):
    frame, record, rejects, skipped = read(write(LINES))
    assert frame.schema == SCHEMA
    assert frame.row(3) == (3, 1.5, "text 3", False, "[3]")
    assert (record, rejects, skipped) == (list(range(100)), [], 0)


@pytest.mark.parametrize("block_bytes", [1, 30, 100, 999, 1 << 20])
@pytest.mark.parametrize("indent", [None, 0, 3])
def test_an_array_and_lines_of_the_same_records_are_equal(write, block_bytes, indent):
    array = read(write(json.dumps(RECORDS, indent=indent)), block_bytes=block_bytes)
    lines = read(write(LINES), block_bytes=block_bytes)
    assert array[0].equals(lines[0])
    assert array[1:] == lines[1:]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("block_bytes", [1, 7, 64, 1 << 20])
def test_a_bad_line_costs_one_reject_wherever_blocks_are_cut(write, block_bytes, end):
    wrong = [
        "no json",
        '{"n": 1',
        "7",
        '{"n": "x"}',
        '{"n": 1.5}',
        '{"s": "\\ud800"}',
        '{"s": "\x01"}',
        '{"s": "a}',
        "{}}",
    ]
    reasons = [
        "invalid JSON",
        "invalid JSON",
        "expected a JSON object",
        "column 'n': expected an integer, got 'x'",
        "column 'n': expected a 64-bit integer, got '1.5'",
        "invalid JSON: a wrong escape in a string",
        "invalid JSON: a control character in a string",
        "invalid JSON: a string is not closed",
        "invalid JSON",
    ]
    followed = [line for text in wrong for line in (text, '{"n": 5}', " ")]
    text = end.join(["", '{"n": 0, "s": "first"}', "", *followed, '{"n": 6}'])
    frame, record, rejects, skipped = read(write(text), kinds={"n": "integer"}, block_bytes=block_bytes)
    assert [reject.reason for reject in rejects] == reasons
    assert [reject.raw for reject in rejects] == wrong
    assert [reject.record for reject in rejects] == list(range(1, 19, 2))
    assert [reject.line for reject in rejects] == list(range(4, 31, 3))
    assert [text[reject.offset :].startswith(reject.raw) for reject in rejects] == [True] * len(wrong)
    assert frame["n"].to_list() == [0] + [5] * 9 + [6]
    assert record == [*range(0, 20, 2), 19]
    assert skipped == 11


def test_invalid_utf8_and_binary_lines_are_rejected(write):
    noise = random.Random(1).randbytes(2000).replace(b"\n", b"").replace(b"\r", b"")
    text = LINES.encode() * 10 + b'{"s":"\xc3\xa9"}\n{"s":"\xe9"}\n' + noise + b'\n{"\xff":1}\n{"s":"b"}\n'
    frame, _, rejects, _ = read(write(text))
    assert frame["s"].to_list()[1000:] == ["é", "b"]
    assert [reject.reason for reject in rejects] == ["invalid UTF-8"] * 3
    assert rejects[1].raw.encode("utf-8", "surrogateescape") == noise


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize("block_bytes", [10, 300, 1 << 20])
def test_a_line_beyond_the_limit_is_rejected_in_bounded_memory(write, array, block_bytes):
    text = '{"n":1}\n{"s":"' + "x" * 9000 + '"}\n{"n":2}\n'
    path = write(f"[{text}]".replace("}\n{", "},\n{") if array else text)
    with closing(NdjsonSource(ByteStream(path), ColumnRequest(), block_bytes=block_bytes, max_record=200)) as source:
        blocks = list(source.blocks())
        parsed = [source.parse(block) for block in blocks]
    (reject,) = [reject for block in parsed for reject in block.rejects]
    assert (reject.record, reject.line, reject.reason) == (1, 2, "line of more than 200 bytes")
    assert reject.raw == ('{"s":"' + "x" * 9000)[:4096]
    assert pl.concat([block.frame for block in parsed])["n"].to_list() == [1, 2]
    assert block_bytes > 1000 or max(len(block.data) for block in blocks) < 1000


def test_only_the_columns_asked_for_are_read(write):
    frame, *_ = read(write(LINES + '{"n": "not a number"}\n'), columns=("in.b", "x", "absent"))
    assert frame.schema == {"x": pl.Float64, "in.b": pl.Boolean}
    assert frame.height == 101


def test_named_columns_are_there_whether_a_file_has_them_or_not(write):
    path = write('{"b": "7", "a": 1}\n')
    kinds = {"b": "integer", "c": "float", "a": "string", "absent": "integer"}
    frame, *_ = read(path, kinds=kinds)
    assert frame.schema == {"b": pl.Int64, "a": pl.String}
    frame, *_ = read(path, kinds=kinds, options=ReadOptions(names=["a", "b", "c", "d"]))
    assert frame.schema == {"a": pl.String, "b": pl.Int64, "c": pl.Float64, "d": pl.String}
    assert frame.rows() == [("1", 7, None, None)]
    frame, *_ = read(write('{"a": 1, "b": 1.50}\n'), infer=False)
    assert frame.rows() == [("1", "1.50")]


def test_an_inferred_integer_column_turns_to_floats_at_the_first_fraction(write, monkeypatch):
    monkeypatch.setattr("netsieve.engine.sources.json_text.DISCOVERY_BYTES", 50)
    path = write('{"a": 1}\n' * 20 + '{"a": 1.5}\n{"a": "x"}\n')
    frames = [block.frame for block in scan([path], block_bytes=40)]
    assert frames[0].schema["a"] == pl.Int64
    read_whole = read_frame([path], block_bytes=40)
    assert read_whole.frame["a"].to_list() == [1.0] * 20 + [1.5]
    assert [reject.record for reject in read_whole.rejects] == [21]


def test_columns_do_not_depend_on_the_size_of_blocks(write):
    path = write('{"a": 1}\n' * 50 + '{"a": 1, "late": "x"}\n')
    frame, *_ = read(path, block_bytes=20)
    assert frame["late"].to_list() == [None] * 50 + ["x"]


def test_a_first_record_larger_than_what_is_looked_at_is_read(write, monkeypatch):
    monkeypatch.setattr("netsieve.engine.sources.json_text.DISCOVERY_BYTES", 10)
    frame, *_ = read(write(LINES))
    assert frame.schema == SCHEMA


@pytest.mark.parametrize("block_bytes", [100, 1 << 20])
def test_compressed_piped_and_threaded_reading_gives_the_same(write, monkeypatch, block_bytes):
    expected = read(write(LINES), block_bytes=block_bytes)[0]
    packed = {"any.ndjson.gz": gzip.compress(LINES.encode()), "any.zst": zstandard.compress(LINES.encode())}
    for name, content in packed.items():
        assert read(write(content, name), block_bytes=block_bytes)[0].equals(expected)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LINES.encode())))
    assert read("-", block_bytes=block_bytes)[0].equals(expected)
    with closing(open_source(write(LINES), block_bytes=block_bytes)) as source, ThreadPoolExecutor(3) as pool:
        threaded = pl.concat([block.frame for block in pool.map(source.parse, source.blocks())])
    assert threaded.equals(expected)


def test_a_cut_gzip_file_is_an_error_and_a_cut_line_a_reject(write):
    noise = "".join(json.dumps({"x": x}) + "\n" for x in np.random.default_rng(1).random(5000))
    with pytest.raises(SourceError, match="truncated gzip file"):
        list(scan([write(gzip.compress(noise.encode())[:-2000], "cut.ndjson.gz")], block_bytes=1000))
    frame, _, rejects, _ = read(write(noise[:-5]))
    assert (frame.height, [reject.record for reject in rejects]) == (4999, [4999])


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff", " \n"])
def test_a_file_without_records_is_an_error(write, content):
    with pytest.raises(SourceError, match="is empty"):
        open_source(write(content), options=ReadOptions(input_format="ndjson"))


def test_a_file_of_nothing_but_bad_lines_has_rejects_alone(write):
    path = write("a\nb\n")
    blocks = list(scan([path], options=ReadOptions(input_format="ndjson")))
    assert [(block.frame.height, len(block.rejects)) for block in blocks] == [(0, 2)]
