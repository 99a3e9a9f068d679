import pytest

from netsieve.engine.errors import SchemaError
from netsieve.engine.features.schema_file import ColumnDeclaration, read_schema_file, schema_declaration

EVERYTHING = """
record_type = "flow"
soft_clip = 8
features = ["a", "b", "port"]
ignore = ["c"]

[columns.port]
kind = "categorical"
one_hot = 16
vocabulary_limit = 100

[columns.a]
signed_log = true
scaling = "robust"
imputation = 0
missing_indicator = true

[columns.b]
imputation = "median"

[columns."Src Port"]
kind = "ignored"

[neighbours]
source = "SrcAddr"
windows = [10, 60]
"""


def read(tmp_path, text):
    path = tmp_path / "schema.toml"
    path.write_text(text)
    return read_schema_file(path)


def test_everything_that_can_be_declared(tmp_path):
    declared = schema_declaration(read(tmp_path, EVERYTHING))
    assert declared.settings == {"record_type": "flow", "soft_clip": 8.0}
    assert declared.features == ("a", "b", "port")
    assert declared.ignore == ("c",)
    assert declared.columns == {
        "port": ColumnDeclaration(kind="categorical", attributes={"one_hot": 16, "vocabulary_limit": 100}),
        "a": ColumnDeclaration(
            kind="numeric",
            attributes={"signed_log": True, "scaling": "robust", "imputation": 0.0, "missing_indicator": True},
        ),
        "b": ColumnDeclaration(kind="numeric", attributes={"imputation": "median"}),
        "Src Port": ColumnDeclaration(kind="ignored"),
    }
    assert declared.neighbours == {"source": "SrcAddr", "windows": [10, 60]}


def test_an_empty_file_declares_nothing(tmp_path):
    declared = schema_declaration(read(tmp_path, ""))
    assert (declared.features, declared.ignore, declared.columns, declared.settings) == ((), (), {}, {})
    assert declared.neighbours is None


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("feature = ['a']", "key 'feature' at the top is not known; did you mean 'features'"),
        ("features = 'a'", "a list of column names"),
        ("ignore = [1]", "a list of column names"),
        ("soft_clip = 'ten'", "a number is expected"),
        ("soft_clip = true", "a number is expected"),
        ("record_type = 1", "text is expected"),
        ("columns = 1", "a table is expected"),
        ("columns.a = 1", "for column 'a' a table of keys is expected"),
        ("[columns.a]\nkind = 'number'", "kind 'number' for column 'a' is not known; it is one of numeric"),
        ("[columns.a]\nscale = 'robust'", "key 'scale' for column 'a' is not known; did you mean 'scaling'"),
        ("[columns.a]\nscaling = 'quantile'", "it is one of standard, robust"),
        ("[columns.a]\nsigned_log = 1", "true or false"),
        ("[columns.a]\none_hot = -1", "a whole number"),
        ("[columns.a]\none_hot = 1.5", "a whole number"),
        ("[columns.a]\nvocabulary_limit = 0", "a whole number"),
        ("[columns.a]\nimputation = nan", "a finite number or 'median'"),
        ("[columns.a]\nimputation = 'mean'", "a finite number or 'median'"),
        ("[columns.a]\nkind = 'numeric'\none_hot = 3", "one_hot for column 'a' does not go with kind 'numeric'"),
        ("[columns.a]\nsigned_log = true\none_hot = 3", "one_hot for column 'a' does not go with kind 'numeric'"),
        ("[columns.a]\nkind = 'ignored'\none_hot = 3", "does not go with kind 'ignored'"),
        ("neighbours = 1", "a table is expected"),
        ("[neighbours]\nwindow = [1]", "key 'window' in .neighbours. is not known; did you mean 'windows'"),
        ("[columns.a", "no valid TOML"),
    ],
)
def test_mistakes_are_named_in_one_line(tmp_path, text, match):
    with pytest.raises(SchemaError, match=match) as caught:
        read(tmp_path, text)
    assert "schema.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(SchemaError, match="No such file"):
        read_schema_file(tmp_path / "none.toml")
    with pytest.raises(SchemaError, match="directory"):
        read_schema_file(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SchemaError, match="no UTF-8"):
        read_schema_file(tmp_path / "binary.toml")
