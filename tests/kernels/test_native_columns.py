"""Native columns handed over, and kernels that compute columns from others, next to expressions of Polars."""

import json
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netsieve.engine.sources.json_text import KIND_CODES, TIME
from netsieve.kernels import _native

KINDS = {"a": "integer", "b": "integer", "x": "float", "y": "float", "text": "string"}
LONGEST_LINE = 4096

integers = st.none() | st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1)
numbers = st.none() | st.integers(-3, 3).map(float) | st.floats(allow_nan=False, allow_infinity=False)
times = st.none() | st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(lambda time: f"{time.isoformat()}Z")
rows = st.lists(
    st.fixed_dictionaries({"a": integers, "b": integers, "x": numbers, "y": numbers, "start": times, "end": times}),
    max_size=10,
)
BEFORE_1970 = {"start": "1969-12-31T23:59:59.999999Z", "end": "0001-01-01T00:00:00Z"}


def columns_of(records):
    """Return the native columns of records, and the same as a frame."""
    codes = {name: KIND_CODES[kind] for name, kind in KINDS.items()} | {"start": TIME, "end": TIME}
    text = np.frombuffer("".join(json.dumps(record) + "\n" for record in records).encode(), np.uint8)
    tables = [(list(codes), list(codes.values()))]
    parsed = _native.parse_json_lines(text, False, LONGEST_LINE, ("", []), tables, len(records))
    assert parsed.tables[0].rows == len(records)
    columns = dict(zip(codes, parsed.tables[0].columns, strict=True))
    return columns, pl.DataFrame([pl.Series(column).alias(name) for name, column in columns.items()])


@given(rows)
@example([{"a": 0, "b": 0, "x": 0.0, "y": -0.0} | BEFORE_1970, {"a": 1, "b": -1}])
@settings(max_examples=30, deadline=None)
def test_computed_columns_are_what_polars_computes(records):
    columns, frame = columns_of(records)
    start, end = pl.col("start"), pl.col("end")
    expected = {"elapsed": (end - start).dt.total_microseconds() * 1e-6, "hour": start.dt.hour().cast(pl.Int64)}
    computed = {
        "elapsed": _native.elapsed_seconds(columns["start"], columns["end"]),
        "hour": _native.hour_of_day(columns["start"]),
    }
    for first, second in ("ab", "xy", "ay", "xb"):
        part, rest = pl.col(first), pl.col(second)
        expected[f"share {first}{second}"] = (part / (part + rest)).fill_nan(None)
        expected[f"mean {first}{second}"] = pl.when(rest > 0).then(part / rest)
        computed[f"share {first}{second}"] = _native.share(columns[first], columns[second])
        computed[f"mean {first}{second}"] = _native.mean(columns[first], columns[second])
    for name, expression in expected.items():
        assert pl.Series(computed[name]).to_list() == frame.select(expression).to_series().to_list(), name
    seconds = pl.coalesce(end, start).dt.timestamp("us").cast(pl.Float64).fill_null(float("nan"))
    np.testing.assert_array_equal(
        _native.epoch_seconds(columns["end"], columns["start"]), frame.select(seconds).to_series().to_numpy() / 1e6
    )


def test_the_end_of_a_record_is_a_time_in_seconds():
    columns, _ = columns_of([{"end": "2021-06-06T14:05:08.5Z", "start": "2020-01-01T00:00:00Z"}, {}])
    ends = _native.epoch_seconds(columns["end"], columns["start"])
    assert ends[0] == datetime(2021, 6, 6, 14, 5, 8, 500_000, UTC).timestamp()
    assert np.isnan(ends[1])


def test_columns_are_handed_over_at_once():
    columns, frame = columns_of([{"a": 1, "x": 0.5, "text": "a text of more than twelve bytes"}, {"text": "short"}])
    batch = _native.RecordBatch(list(columns), list(columns.values()))
    del columns
    for _ in range(2):
        assert pl.DataFrame(batch).equals(frame)
    assert pa.record_batch(batch).num_rows == 2
    with pytest.raises(ValueError, match="names and columns have different lengths"):
        _native.RecordBatch(["a"], [])
    with pytest.raises(ValueError, match="the columns have different lengths"):
        _native.RecordBatch(["a", "b"], [columns_of([])[0]["a"], columns_of([{}])[0]["a"]])


def test_columns_of_other_kinds_and_lengths_are_refused():
    columns, _ = columns_of([{"a": 1}])
    shorter, _ = columns_of([])
    with pytest.raises(ValueError, match="expected a time column, got Arrow format 'l'"):
        _native.elapsed_seconds(columns["start"], columns["a"])
    with pytest.raises(ValueError, match="expected a time column, got Arrow format 'vu'"):
        _native.hour_of_day(columns["text"])
    with pytest.raises(ValueError, match="expected a column of numbers, got Arrow format 'tsu:UTC'"):
        _native.share(columns["start"], columns["a"])
    with pytest.raises(ValueError, match="expected a time column"):
        _native.epoch_seconds(columns["start"], columns["x"])
    for kernel, name in ((_native.mean, "a"), (_native.epoch_seconds, "end")):
        with pytest.raises(ValueError, match="different lengths"):
            kernel(columns[name], shorter[name])
