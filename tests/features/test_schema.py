import json

import pytest

from netsieve.engine.errors import SchemaError
from netsieve.engine.features.schema import CategoricalFeature, FeatureSchema, IgnoredColumn, NumericFeature


def full_schema() -> FeatureSchema:
    return FeatureSchema(
        features=(
            NumericFeature(name="bytes", column_kind="integer", signed_log=True, center=3.5, scale=2.0, fill=10.0),
            NumericFeature(name="undecided", signed_log=None, imputation=0.0, scaling="robust", missing_indicator=True),
            CategoricalFeature(name="port", column_kind="integer", vocabulary=("443", "80"), counts=(7, 2), rows=10),
        ),
        ignored=(IgnoredColumn(name="ip", reason="address"),),
        record_type="flow",
        soft_clip=8.0,
        fitted=True,
    )


def test_json_gives_the_same_schema_back():
    schema = full_schema()
    assert FeatureSchema.from_json(schema.to_json()) == schema


def test_numeric_and_categorical_name_their_matrix_columns():
    schema = full_schema()
    assert [(i, f.name) for i, f in schema.numeric] == [(0, "bytes"), (1, "undecided")]
    assert [(i, f.name) for i, f in schema.categorical] == [(2, "port")]


def test_a_name_that_comes_twice_is_refused():
    with pytest.raises(SchemaError, match="'a' more than once"):
        FeatureSchema(features=(NumericFeature(name="a"), CategoricalFeature(name="a")))


@pytest.mark.parametrize("soft_clip", [0.5, 0.0, -1.0, 1e9, float("nan")])
def test_a_soft_clip_that_no_graph_could_hold_is_refused(soft_clip):
    with pytest.raises(SchemaError, match="soft_clip"):
        FeatureSchema(features=(NumericFeature(name="a"),), soft_clip=soft_clip)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"version": 1}', '{"version": 1, "stateful": []}'])
def test_a_text_that_is_no_schema_is_refused(text):
    with pytest.raises(SchemaError):
        FeatureSchema.from_json(text)


def test_newer_versions_and_stateful_features_are_refused_with_a_reason():
    content = json.loads(full_schema().to_json())
    with pytest.raises(SchemaError, match="version 2"):
        FeatureSchema.from_json(json.dumps({**content, "version": 2}))
    with pytest.raises(SchemaError, match="stateful"):
        FeatureSchema.from_json(json.dumps({**content, "stateful": [{"kernel": "window"}]}))


def test_one_hot_columns_and_other():
    feature = CategoricalFeature(name="a", vocabulary=("x", "y", "z"), counts=(5, 4, 1), one_hot=2)
    assert (feature.code_count, feature.one_hot_count, feature.has_other) == (5, 2, True)
    everything = CategoricalFeature(name="a", vocabulary=("x",), counts=(5,), one_hot=2)
    assert (everything.code_count, everything.one_hot_count, everything.has_other) == (3, 1, False)
