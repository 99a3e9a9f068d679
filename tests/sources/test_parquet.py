import decimal
import gzip
import types
from contextlib import closing

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from netsieve.engine.errors import SourceError
from netsieve.engine.sources import ColumnRequest, open_source
from netsieve.engine.sources.reading import read_frame, scan


@pytest.fixture
def flows(tmp_path):
    rows = 150_000
    frame = pl.DataFrame(
        {"id": range(rows), "x.y": [0.5, None, 2.0] * (rows // 3), "proto": ["tcp", "udp", None] * (rows // 3)}
    )
    path = str(tmp_path / "flows.parquet")
    frame.write_parquet(path, row_group_size=70_000)
    return path, frame


def test_batches_hold_every_row_once(flows):
    path, frame = flows
    with closing(open_source(path)) as source:
        blocks = list(source.blocks())
        parsed = [source.parse(block) for block in reversed(blocks)][::-1]
        assert sum(block.bytes_read for block in blocks) == source.total_bytes
    assert pl.concat([block.frame for block in parsed]).equals(frame)
    assert [number for block in parsed for number in block.record] == list(range(frame.height))
    assert max(block.records for block in blocks) <= 65_536


def test_only_the_columns_asked_for_are_read(flows):
    path, frame = flows
    request = ColumnRequest(columns=("x.y", "absent"))
    with closing(open_source(path, columns=request)) as source:
        assert source.columns == ("id", "x.y", "proto")
        assert pl.concat([source.parse(block).frame for block in source.blocks()]).equals(frame.select("x.y"))


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_a_compressed_file_is_spooled(flows, tmp_path, compress):
    path, frame = flows
    packed = tmp_path / "flows.parquet.packed"
    with open(path, "rb") as file:
        packed.write_bytes(compress(file.read()))
    assert read_frame([str(packed)]).frame.equals(frame)


def test_standard_input_is_spooled(flows, monkeypatch):
    path, frame = flows
    with open(path, "rb") as file:
        monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=file))
        assert read_frame(["-"]).frame.equals(frame)


def test_dictionaries_and_decimals_are_text_and_floats(tmp_path):
    table = pa.table(
        {
            "proto": pa.array(["tcp", "udp", "tcp"]).dictionary_encode(),
            "price": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("-2.25")]),
        }
    )
    path = str(tmp_path / "flows.parquet")
    pq.write_table(table, path)
    frame = read_frame([path]).frame
    assert frame.schema == {"proto": pl.String, "price": pl.Float64}
    assert frame.rows() == [("tcp", 1.5), ("udp", None), ("tcp", -2.25)]


def test_numbers_written_as_text_are_parsed_and_wrong_ones_rejected(tmp_path):
    path = str(tmp_path / "flows.parquet")
    texts = [" 12", "3.0", "abc", None, "NaN", "-", "2.5", "+7"]
    pl.DataFrame({"n": texts, "kept": list(range(8))}).write_parquet(path)
    (block,) = scan([path], columns=ColumnRequest(kinds={"n": "integer"}))
    assert block.frame["n"].to_list() == [12, 3, None, None, None, 7]
    assert list(block.record) == [0, 1, 3, 4, 5, 7]
    assert [(reject.record, reject.reason, reject.line, reject.offset) for reject in block.rejects] == [
        (2, "column 'n': expected an integer, got 'abc'", None, None),
        (6, "column 'n': expected an integer, got '2.5'", None, None),
    ]
    assert block.rejects[0].raw == '{"n": "abc", "kept": 2}'
    (block,) = scan([path], columns=ColumnRequest(kinds={"n": "float"}))
    assert block.frame["n"].to_list() == [12, 3, None, None, None, 2.5, 7]


def test_booleans_written_as_text_are_parsed(tmp_path):
    path = str(tmp_path / "flows.parquet")
    pl.DataFrame({"b": ["true", "F", None, "?", "1", "yes"]}).write_parquet(path)
    (block,) = scan([path], columns=ColumnRequest(kinds={"b": "boolean"}))
    assert block.frame["b"].to_list() == [True, False, None, None, True]
    assert len(block.rejects) == 1


def test_duplicate_column_names_are_an_error(tmp_path):
    path = str(tmp_path / "flows.parquet")
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), path)
    with pytest.raises(SourceError, match="duplicate column name 'a'"):
        open_source(path)


def test_a_damaged_page_is_one_line_of_error(tmp_path):
    path = tmp_path / "flows.parquet"
    pq.write_table(pa.table({"a": range(10_000)}), path, use_dictionary=False, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[1000:1100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(SourceError, match=f"'{path}' cannot be read as Parquet") as error:
        read_frame([str(path)])
    assert "\n" not in str(error.value)


def test_a_truncated_file_is_one_line_of_error(flows, tmp_path):
    path, _ = flows
    truncated = tmp_path / "truncated.parquet"
    with open(path, "rb") as file:
        truncated.write_bytes(file.read()[:-100])
    with pytest.raises(SourceError, match=f"'{truncated}' cannot be read as Parquet") as error:
        read_frame([str(truncated)])
    assert "\n" not in str(error.value)


def test_a_file_without_rows_gives_no_rows(tmp_path):
    path = str(tmp_path / "flows.parquet")
    pl.DataFrame(schema={"a": pl.Int64, "b": pl.String}).write_parquet(path)
    read = read_frame([path])
    assert (read.frame.height, read.frame.columns) == (0, ["a", "b"])
