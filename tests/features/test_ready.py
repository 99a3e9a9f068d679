import polars as pl
import pytest

from netsieve.engine.errors import SchemaError
from netsieve.engine.features.inference import infer_schema
from netsieve.engine.features.ready import overrides_with_ready
from netsieve.engine.features.schema import CategoricalFeature
from netsieve.engine.features.schema_file import schema_declaration

READY = {
    "features": ["bytes", "port", "state", "gone"],
    "ignore": ["note", "gone too"],
    "columns": {
        "port": {"kind": "categorical"},
        "bytes": {"signed_log": True},
        "gone": {"kind": "numeric"},
        "raw": {"kind": "ignored"},
    },
}
FRAME = pl.DataFrame(
    {
        "port": [80, 443, 80],
        "bytes": [1, 2, 300],
        "state": ["a", "b", "a"],
        "note": ["x", "y", "x"],
        "raw": [1, 2, 4],
        "other": [5, 6, 8],
    }
)


def schema_of(asked=None, *, ready=READY, features=(), ignore=(), label=None):
    overrides = overrides_with_ready(
        ready, asked, FRAME.columns, record_type="argus.flow", features=features, ignore=ignore, label=label
    )
    schema_declaration(overrides)
    return infer_schema(FRAME, features=features, ignore=ignore, label=label, overrides=overrides)


def test_the_ready_declaration_is_the_default_without_columns_that_the_data_lacks():
    schema = schema_of()
    assert schema.record_type == "argus.flow"
    assert set(schema.feature_names) == {"bytes", "port", "state"}
    port = next(feature for feature in schema.features if feature.name == "port")
    assert isinstance(port, CategoricalFeature)
    assert next(feature for feature in schema.features if feature.name == "bytes").signed_log is True


def test_what_a_person_declares_goes_before():
    assert set(schema_of(ignore=["port"]).feature_names) == {"bytes", "state"}
    assert set(schema_of({"ignore": ["port"]}).feature_names) == {"bytes", "state"}
    assert set(schema_of({"columns": {"port": {"kind": "ignored"}}}).feature_names) == {"bytes", "state"}
    assert set(schema_of(features=["raw", "note"]).feature_names) == {"raw", "note"}
    assert set(schema_of({"features": ["other", "port"]}).feature_names) == {"other", "port"}
    assert set(schema_of(label="state").feature_names) == {"bytes", "port"}
    assert schema_of({"record_type": "mine"}).record_type == "mine"
    declared = schema_of({"columns": {"bytes": {"scaling": "robust"}, "other": {"kind": "numeric"}}})
    assert set(declared.feature_names) == {"bytes", "port", "state", "other"}
    bytes_feature = next(feature for feature in declared.features if feature.name == "bytes")
    assert (bytes_feature.scaling, bytes_feature.signed_log) == ("robust", None)


def test_without_a_ready_declaration_all_that_qualify_are_features():
    schema = schema_of(ready=None)
    assert schema.record_type == "argus.flow"
    assert "other" in schema.feature_names


def test_a_ready_declaration_of_nothing_that_is_there_leaves_inference_alone():
    assert "other" in schema_of(ready={"features": ["gone"], "columns": {}}).feature_names


def test_malformed_declarations_are_errors_all_the_same():
    with pytest.raises(SchemaError, match="key 'colums'"):
        schema_of({"colums": {}})
