import json
from dataclasses import replace

import pytest

from netsieve.engine.errors import SchemaError
from netsieve.engine.features.neighbours import Neighbours
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


def test_newer_versions_and_unknown_stateful_features_are_refused_with_a_reason():
    content = json.loads(full_schema().to_json())
    with pytest.raises(SchemaError, match="version 2"):
        FeatureSchema.from_json(json.dumps({**content, "version": 2}))
    for kernel, version in (("window", 1), ("neighbours", 2), (None, None)):
        with pytest.raises(SchemaError, match=f"stateful features of the kernel '{kernel}', version {version}"):
            FeatureSchema.from_json(json.dumps({**content, "stateful": [{"kernel": kernel, "version": version}]}))


def neighbour_schema(**changes) -> FeatureSchema:
    declared = Neighbours(source="ip", destination="to", port="port", columns=("pair_new", "source_flows_60s"))
    entry = {**declared.to_dict(), **changes}
    schema = full_schema()
    computed = tuple(NumericFeature(name=name) for name in declared.columns)
    return replace(schema, features=schema.features + computed, stateful=(entry,))


def test_neighbour_features_come_back_and_say_what_they_read():
    schema = neighbour_schema()
    assert FeatureSchema.from_json(schema.to_json()) == schema
    assert schema.neighbours.columns == ("pair_new", "source_flows_60s")
    assert schema.input_columns == ("bytes", "undecided", "port", "ip", "to")
    assert full_schema().neighbours is None
    assert full_schema().input_columns == full_schema().feature_names


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"windows": []}, "1 to 8 ascending numbers"),
        ({"windows": [60, 30]}, "1 to 8 ascending numbers"),
        ({"windows": [0.5]}, "a number from 1"),
        ({"windows": [1.5]}, "whole seconds"),
        ({"windows": 60}, "windows is no list"),
        ({"windows": ["60"]}, "a number from 1"),
        ({"expiry": 60}, "expiry is 60; a number from 3600"),
        ({"expiry": True}, "expiry is True"),
        ({"hosts": 0}, "hosts is 0; a whole number from 1"),
        ({"pairs": 2**40}, "pairs is"),
        ({"source": None}, "names no source"),
        ({"port": 80}, "port is 80; text is expected"),
        ({"failed": [1]}, "failed is no list of texts"),
        ({"key": "xyz"}, "32 hexadecimal digits"),
        ({"columns": ["pair_ports_61s"]}, "'pair_ports_61s', which is not computed"),
        ({"columns": ["pair_new", "pair_new"]}, "names one twice"),
        ({"columns": ["pair_elapsed"]}, "'pair_elapsed' is not among the features"),
        ({"nonsense": 1}, "unknown key 'nonsense'"),
    ],
)
def test_malformed_neighbour_features_are_refused(changes, match):
    content = json.loads(neighbour_schema().to_json())
    content["stateful"][0].update(changes)
    with pytest.raises(SchemaError, match=match):
        FeatureSchema.from_json(json.dumps(content))


def test_one_hot_columns_and_other():
    feature = CategoricalFeature(name="a", vocabulary=("x", "y", "z"), counts=(5, 4, 1), one_hot=2)
    assert (feature.code_count, feature.one_hot_count, feature.has_other) == (5, 2, True)
    everything = CategoricalFeature(name="a", vocabulary=("x",), counts=(5,), one_hot=2)
    assert (everything.code_count, everything.one_hot_count, everything.has_other) == (3, 1, False)
