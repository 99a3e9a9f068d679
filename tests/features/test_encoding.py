import pickle
from datetime import datetime
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsieve.engine.errors import EncodeError, MissingColumnError
from netsieve.engine.features.encoding import Encoder, category_text
from netsieve.engine.features.schema import (
    LARGEST_NUMBER,
    MISSING_CODE,
    UNKNOWN_CODE,
    CategoricalFeature,
    FeatureSchema,
    NumericFeature,
)

LIMIT = np.float32(LARGEST_NUMBER)


def numeric_schema(*names, kind="float"):
    return FeatureSchema(features=tuple(NumericFeature(name=name, column_kind=kind) for name in names))


def category_schema(*vocabulary):
    return FeatureSchema(features=(CategoricalFeature(name="c", vocabulary=vocabulary, counts=(1,) * len(vocabulary)),))


def encode_column(schema, values, dtype=None):
    name = schema.feature_names[0]
    return Encoder(schema).encode(pl.DataFrame({name: pl.Series(name, values, dtype=dtype, strict=False)}))[:, 0]


def encode_value(schema, value):
    out = np.full((1, 1), 77, dtype=np.float32)
    Encoder(schema).encode_record({schema.feature_names[0]: value}, out)
    return out[0, 0]


def test_the_matrix_is_c_contiguous_float32_in_schema_order_whatever_the_frame_order():
    schema = FeatureSchema(features=(*numeric_schema("b", "a").features, *category_schema("tcp", "udp").features))
    frame = pl.DataFrame({"a": [1, 2], "extra": ["x", "y"], "c": ["udp", "icmp"], "b": [0.5, None]})
    x = Encoder(schema).encode(frame)
    assert x.dtype == np.float32
    assert x.flags.c_contiguous
    np.testing.assert_array_equal(x, np.array([[0.5, 1, 3], [np.nan, 2, UNKNOWN_CODE]], dtype=np.float32))


def test_missing_numbers_are_nan_and_numbers_beyond_the_limit_are_clipped():
    values = [None, float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 3.3e38, -0.0, 1.5]
    expected = np.array([np.nan, np.nan, LIMIT, -LIMIT, LIMIT, -LIMIT, LIMIT, 0, 1.5], dtype=np.float32)
    schema = numeric_schema("a")
    np.testing.assert_array_equal(encode_column(schema, values), expected)
    np.testing.assert_array_equal([encode_value(schema, value) for value in values], expected)


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([2**63 - 1, -(2**63), None], pl.Int64, [2.0**63, -(2.0**63), np.nan]),
        ([2**64 - 1, None], pl.UInt64, [2.0**64, np.nan]),
        ([2**100, None], pl.Int128, [2.0**100, np.nan]),
        ([-1, None, 127], pl.Int8, [-1, np.nan, 127]),
        ([Decimal("1.25"), None], pl.Decimal(10, 2), [1.25, np.nan]),
        ([True, None, False], pl.Boolean, [1, np.nan, 0]),
        ([None, None], pl.Null, [np.nan, np.nan]),
        ([0.5, None, float("inf")], pl.Float32, [0.5, np.nan, LIMIT]),
        ([" 1.5", "2 ", "", None, "1e400", "nan", "-7"], pl.String, [1.5, 2, np.nan, np.nan, LIMIT, np.nan, -7]),
        (["1", "2", None], pl.Categorical, [1, 2, np.nan]),
    ],
)
def test_every_type_that_holds_numbers_is_taken(values, dtype, expected):
    np.testing.assert_array_equal(
        encode_column(numeric_schema("a"), values, dtype), np.array(expected, dtype=np.float32)
    )


def test_true_and_false_as_text_are_numbers_only_for_a_boolean_feature():
    boolean = numeric_schema("a", kind="boolean")
    np.testing.assert_array_equal(encode_column(boolean, ["true", "False", "1", None]), [1, 0, 1, np.nan])
    assert encode_value(boolean, "true") == 1
    with pytest.raises(EncodeError, match="'true'"):
        encode_column(numeric_schema("a"), ["true"])


def test_texts_that_csv_files_write_for_a_missing_number_are_missing_here_too():
    texts = ["1", "-", " ", "?", "NA", "n/a", "NaN", "null", "None"]
    np.testing.assert_array_equal(encode_column(numeric_schema("a"), texts), [1, *[np.nan] * 8])
    assert np.isnan([encode_value(numeric_schema("a"), text) for text in texts[1:]]).all()


def test_a_text_that_is_no_number_is_named_with_its_column_and_row():
    with pytest.raises(EncodeError) as caught:
        encode_column(numeric_schema("bytes"), ["1", "abc", "2", "--", "x" * 500, "y"])
    message = str(caught.value)
    assert "'bytes'" in message
    assert "row 1: 'abc', row 3: '--', row 4: 'xxx" in message
    assert "and 1 more" in message
    assert "\n" not in message
    assert len(message) < 400
    with pytest.raises(EncodeError, match="'bytes' is 'abc'"):
        encode_value(numeric_schema("bytes"), "abc")


@pytest.mark.parametrize("value", [datetime(2026, 1, 1), [1.0], {"a": 1}, b"x", 1j])
def test_values_that_are_no_numbers_are_refused_in_frames_and_records(value):
    with pytest.raises(EncodeError, match="'a'"):
        encode_value(numeric_schema("a"), value)
    if not isinstance(value, complex):
        with pytest.raises(EncodeError, match="'a'"):
            encode_column(numeric_schema("a"), [value])


def test_an_integer_too_large_for_a_float_is_clipped():
    assert encode_value(numeric_schema("a"), 10**400) == LIMIT
    assert encode_value(numeric_schema("a"), -(10**400)) == -LIMIT


@pytest.mark.parametrize(
    ("vocabulary", "values", "dtype", "expected"),
    [
        (("tcp", "udp"), ["udp", "tcp", "TCP", "", None], pl.String, [3, 2, 1, 1, 0]),
        (("tcp", "udp"), ["udp", None, "x"], pl.Categorical, [3, 0, 1]),
        (("tcp", "udp"), ["udp", None, "x"], pl.Enum(["x", "udp"]), [3, 0, 1]),
        (("443", "80"), [80, 443, 8080, None, -1], pl.Int64, [3, 2, 1, 0, 1]),
        (("443", "80"), [80, 443, 2**64 - 1, None], pl.UInt64, [3, 2, 1, 0]),
        (("443", "80"), [80.0, 443.5, float("nan"), None, 1e300], pl.Float64, [3, 1, 0, 0, 1]),
        (("443", "0.5"), [443.0, 0.5], pl.Float32, [2, 3]),
        (("443", "80"), ["443", "0443", "80.0", "x", "-", None], pl.String, [2, 2, 3, 1, 0, 0]),
        (("tcp", "udp"), ["80.0", "-"], pl.String, [1, 1]),
        (("0443", "80"), [443, 80], pl.Int64, [1, 3]),
        (("1", str(10**15), "-5"), [10**15, -5, 7, 2**62], pl.Int64, [3, 4, 1, 1]),
        (("1", "2"), [Decimal("2.00"), None], pl.Decimal(10, 2), [3, 0]),
        (("true", "false"), [True, False, None], pl.Boolean, [2, 3, 0]),
        (("1",), [True], pl.Boolean, [1]),
        (("a",), [None, None], pl.Null, [0, 0]),
        ((), ["a", None], pl.String, [1, 0]),
        ((), [5, None], pl.Int64, [1, 0]),
    ],
)
def test_category_codes_follow_the_text_of_the_value(vocabulary, values, dtype, expected):
    schema = category_schema(*vocabulary)
    np.testing.assert_array_equal(encode_column(schema, values, dtype), expected)
    np.testing.assert_array_equal([encode_value(schema, value) for value in values], expected)


@pytest.mark.parametrize("value", [datetime(2026, 1, 1), ["a"], b"a"])
def test_values_that_are_no_categories_are_refused(value):
    schema = category_schema("a")
    with pytest.raises(EncodeError, match=r"'c'.*category"):
        encode_value(schema, value)
    with pytest.raises(EncodeError, match=r"'c'.*category"):
        encode_column(schema, [value])


def test_all_missing_columns_are_named_with_close_names_and_what_there_is():
    schema = numeric_schema("BytesSent", "Duration", "Packets")
    frame = pl.DataFrame({"bytessent": [1], "Durations": [2], "zebra": [3]})
    with pytest.raises(MissingColumnError) as caught:
        Encoder(schema).encode(frame)
    message = str(caught.value)
    assert "'BytesSent' (did you mean 'bytessent'?)" in message
    assert "'Duration' (did you mean 'Durations'?)" in message
    assert "'Packets'" in message
    assert "'zebra'" in message
    with pytest.raises(MissingColumnError, match=r"'BytesSent'.*'Duration'.*'Packets'.*None for a missing value"):
        Encoder(schema).encode_record({"x": 1}, np.empty((1, 3), dtype=np.float32))


def test_frames_of_no_rows_of_many_chunks_and_of_more_than_one_tile():
    schema = FeatureSchema(features=(*numeric_schema("a").features, *category_schema("0", "1", "2").features))
    encoder = Encoder(schema)
    assert encoder.encode(pl.DataFrame({"a": [], "c": []}, schema={"a": pl.Float64, "c": pl.String})).shape == (0, 2)
    parts = [pl.DataFrame({"a": range(k, k + 700), "c": [str(k % 4)] * 700}) for k in range(0, 7000, 700)]
    frame = pl.concat(parts, rechunk=False)
    x = encoder.encode(frame)
    np.testing.assert_array_equal(x[:, 0], frame["a"].to_numpy())
    np.testing.assert_array_equal(x[:, 1], [{"3": 1}.get(c, int(c) + 2) for c in frame["c"]])


def test_an_encoder_can_be_pickled():
    encoder = pickle.loads(pickle.dumps(Encoder(category_schema("a", "b"))))
    np.testing.assert_array_equal(encoder.encode(pl.DataFrame({"c": ["b"]})), [[3]])


numbers = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["1", " 2.5 ", "", "nan", "-inf", "1e39"])
)


@settings(max_examples=200, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=5))
def test_a_record_gives_the_same_numbers_as_a_frame_of_one_row(values):
    names = [f"f{i}" for i in range(len(values))]
    encoder = Encoder(numeric_schema(*names))
    values = [max(-(2**127), min(2**127 - 1, v)) if type(v) is int else v for v in values]
    out = np.empty((1, len(values)), dtype=np.float32)
    encoder.encode_record(dict(zip(names, values, strict=True)), out)
    np.testing.assert_array_equal(
        out, encoder.encode(pl.DataFrame({n: [v] for n, v in zip(names, values, strict=True)}))
    )
    assert np.isfinite(out[~np.isnan(out)]).all()


categories = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=5),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(categories, min_size=1, max_size=8), st.integers(0, 8))
def test_a_record_gives_the_same_code_as_a_frame_and_codes_are_never_nan(values, known):
    texts = [t for t in (category_text(pl.Series([v]))[0] for v in values[:known]) if t is not None]
    schema = category_schema(*dict.fromkeys(texts))
    for position, value in enumerate(values):
        code = encode_value(schema, value)
        assert code == encode_column(schema, [value])[0]
        if value is None or value != value:
            assert code == MISSING_CODE
        elif position < known:
            assert code >= 2
