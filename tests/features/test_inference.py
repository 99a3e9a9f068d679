import gzip

import numpy as np
import polars as pl
import pytest

from netsieve.engine.errors import SchemaError
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.inference import (
    correlated_pairs,
    describe_schema,
    fit_schema,
    fit_vocabularies,
    infer_schema,
    takes_signed_log,
)
from netsieve.engine.features.preprocessing import prepare
from netsieve.engine.features.schema import CategoricalFeature, FeatureSchema, NumericFeature


def flows(rows: int = 500) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    sent = rng.lognormal(5, 2, rows).astype(np.int64)
    return pl.DataFrame(
        {
            "Timestamp": pl.datetime_range(
                pl.datetime(2026, 1, 1), pl.datetime(2026, 1, 1) + pl.duration(seconds=rows - 1), "1s", eager=True
            ),
            "SourceIP": [f"10.0.0.{value % 20}" for value in range(rows)],
            "Protocol": rng.choice(["TCP", "UDP"], rows, p=[0.8, 0.2]),
            "SourcePort": rng.integers(1024, 65536, rows),
            "DestinationPort": rng.choice([443, 53, 22], rows, p=[0.7, 0.29, 0.01]),
            "BytesSent": sent,
            "BytesTwice": sent * 2,
            "Duration": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(10, 1, rows)),
            "Version": np.full(rows, 4),
            "IsAnomaly": rng.random(rows) < 0.01,
        }
    )


def test_flows_are_inferred():
    schema = infer_schema(flows())
    assert not schema.fitted
    assert [f.name for _, f in schema.numeric] == ["BytesSent", "BytesTwice", "Duration", "Version"]
    assert [f.name for _, f in schema.categorical] == ["Protocol", "DestinationPort"]
    assert {column.name: column.reason for column in schema.ignored} == {
        "Timestamp": "timestamp",
        "SourceIP": "address",
        "SourcePort": "port",
        "IsAnomaly": "label",
    }
    assert FeatureSchema.from_json(schema.to_json()) == schema


def test_a_fitted_schema_is_in_canonical_order_and_encodes_the_frame():
    frame = flows()
    schema = fit_schema(infer_schema(frame), frame)
    assert schema.fitted
    assert schema.feature_names == ("Duration", "Version", "BytesSent", "BytesTwice", "Protocol", "DestinationPort")
    by_name = {feature.name: feature for feature in schema.features}
    assert by_name["BytesSent"].signed_log is True
    assert by_name["Duration"].signed_log is False
    assert by_name["Duration"].missing_indicator
    assert by_name["DestinationPort"].column_kind == "integer"
    z = prepare(schema, Encoder(schema).encode(frame))
    assert np.isfinite(z).all()
    assert np.abs(z[:, :4].mean(axis=0)).max() < 0.05
    assert FeatureSchema.from_json(schema.to_json()) == schema


def test_vocabularies_hold_all_values_the_frequent_ones_with_a_column_of_their_own():
    frame = pl.DataFrame({"a": ["x"] * 9 + ["z"] * 5 + ["y"] * 5 + ["rare", None]})
    feature = fit_vocabularies(infer_schema(frame), frame).features[0]
    assert isinstance(feature, CategoricalFeature)
    assert feature.vocabulary == ("x", "y", "z", "rare")
    assert feature.counts == (9, 5, 5, 1)
    assert (feature.missing_count, feature.rows, feature.one_hot, feature.has_other) == (1, 21, 3, True)


def test_vocabularies_are_capped():
    frame = pl.DataFrame({"Dport": [value for value in range(100) for _ in range(1 + value % 10)]})
    declared = {"columns": {"Dport": {"vocabulary_limit": 20, "one_hot": 4}}}
    feature = fit_schema(infer_schema(frame, overrides=declared), frame).features[0]
    assert isinstance(feature, CategoricalFeature)
    assert len(feature.vocabulary) == 20
    assert feature.vocabulary[0] == "19"
    assert feature.one_hot == 4
    codes = Encoder(FeatureSchema(features=(feature,))).encode(frame)
    assert set(codes[:, 0]) == {1.0, *range(2, 22)}


@pytest.mark.parametrize("name", ["rows", "count", "value"])
def test_column_names_do_not_clash_with_helpers(name):
    frame = pl.DataFrame({name: ["x", "y"] * 50})
    assert fit_schema(infer_schema(frame), frame).feature_names == (name,)


def test_rows_outside_training_change_nothing():
    frame = flows()
    first = fit_schema(infer_schema(frame), frame.head(300))
    extended = pl.concat([frame.head(300), frame.tail(100).with_columns(BytesSent=pl.lit(10**12))])
    assert fit_schema(infer_schema(frame), extended.head(300)) == first


def test_features_and_ignore():
    frame = flows()
    assert infer_schema(frame, features=["Duration", "SourcePort"]).feature_names == ("SourcePort", "Duration")
    ignored = {c.name: c.reason for c in infer_schema(frame, features=["Duration"]).ignored}
    assert ignored["Timestamp"] == "timestamp"
    assert ignored["BytesSent"] == "asked"
    assert "Version" not in infer_schema(frame, ignore=["Version"]).feature_names
    labelled = infer_schema(frame, label="Version")
    assert {c.name: c.reason for c in labelled.ignored}["Version"] == "label"


def test_declarations_override_what_is_inferred():
    declared = {
        "soft_clip": 8,
        "record_type": "flow",
        "ignore": ["BytesTwice"],
        "columns": {
            "Version": {"kind": "categorical"},
            "BytesSent": {"signed_log": False, "scaling": "robust", "imputation": 0},
            "Duration": {"signed_log": True},
            "SourcePort": {"kind": "numeric", "missing_indicator": True},
            "Protocol": {"kind": "ignored"},
        },
    }
    frame = flows()
    schema = fit_schema(infer_schema(frame, overrides=declared), frame)
    assert (schema.soft_clip, schema.record_type) == (8.0, "flow")
    by_name = {feature.name: feature for feature in schema.features}
    assert set(by_name) == {"Version", "BytesSent", "Duration", "SourcePort", "DestinationPort"}
    assert isinstance(by_name["Version"], CategoricalFeature)
    assert isinstance(by_name["BytesSent"], NumericFeature)
    assert (by_name["BytesSent"].signed_log, by_name["BytesSent"].scaling) == (False, "robust")
    assert by_name["Duration"].signed_log is True
    assert by_name["SourcePort"].missing_indicator


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"features": ["BytesSnt"]}, "no column 'BytesSnt'; did you mean 'BytesSent'"),
        ({"ignore": ["zzz"]}, "no column 'zzz'; it has 'Timestamp'"),
        ({"label": "Lable"}, "no column 'Lable'"),
        ({"overrides": {"columns": {"Bytes": {"kind": "ignored"}}}}, "no column 'Bytes'"),
        ({"features": ["Version"], "ignore": ["Version"]}, "as a feature and as one to ignore"),
        ({"features": ["Version"], "label": "Version"}, "is the label"),
        ({"overrides": {"feature": ["Version"]}}, "key 'feature'"),
        ({"features": ["Timestamp"]}, "'Timestamp' cannot be a feature: it holds times"),
        ({"overrides": {"columns": {"Protocol": {"kind": "numeric"}}}}, "holds text"),
    ],
)
def test_contradictions_are_refused(options, match):
    with pytest.raises(SchemaError, match=match):
        infer_schema(flows(), **options)


def test_no_features_and_no_rows_are_refused():
    frame = pl.DataFrame({"ip": ["10.0.0.1"] * 60, "label": [0] * 60})
    with pytest.raises(SchemaError, match="none of the 2 columns is a feature"):
        infer_schema(frame)
    with pytest.raises(SchemaError, match="no rows"):
        fit_schema(infer_schema(flows()), flows().head(0))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.random.default_rng(0).lognormal(5, 2, 1000), True),
        (-np.random.default_rng(0).lognormal(5, 2, 1000), True),
        (np.random.default_rng(0).normal(0, 100, 1000), False),
        (np.random.default_rng(0).lognormal(5, 2, 1000) * 1e-9, False),
        (100 - np.random.default_rng(0).lognormal(0, 1, 1000), False),
        (np.full(1000, 7.0), False),
        (np.full(1000, np.nan), False),
    ],
    ids=["heavy", "heavy below zero", "normal", "heavy but tiny", "logarithm makes it worse", "constant", "missing"],
)
def test_a_signed_log_is_taken_where_it_helps(values, expected):
    assert takes_signed_log(values.astype(np.float32)) is expected


def test_correlated_pairs_are_named_strongest_first():
    rng = np.random.default_rng(0)
    a = rng.normal(size=2000)
    frame = pl.DataFrame(
        {"a": a, "exp a": np.exp(a), "minus a": -a + rng.normal(0, 0.05, 2000), "b": rng.normal(size=2000), "c": 1.0}
    ).with_columns(missing=pl.lit(None, dtype=pl.Float64))
    pairs = correlated_pairs(infer_schema(frame), frame)
    assert [pair[:2] for pair in pairs] == [("a", "exp a"), ("a", "minus a"), ("exp a", "minus a")]
    assert pairs[0][2] == pytest.approx(1.0)
    assert -1 < pairs[1][2] < -0.98


def test_the_description_names_every_column_and_pair():
    frame = flows()
    unfitted = infer_schema(frame)
    pairs = correlated_pairs(unfitted, frame)
    for schema in (unfitted, fit_schema(unfitted, frame)):
        text = describe_schema(schema, pairs)
        assert all(name in text for name in frame.columns)
        assert "BytesSent and BytesTwice: +1.000" in text
        assert "port: SourcePort" in text
    assert "3 values (443, 53, 22), 2 one-hot" in text or "3 values (443, 53, 22), 3 one-hot" in text


KDD_NAMES = (
    "duration protocol_type service flag src_bytes dst_bytes land wrong_fragment urgent hot num_failed_logins "
    "logged_in num_compromised root_shell su_attempted num_root num_file_creations num_shells num_access_files "
    "num_outbound_cmds is_host_login is_guest_login count srv_count serror_rate srv_serror_rate rerror_rate "
    "srv_rerror_rate same_srv_rate diff_srv_rate srv_diff_host_rate dst_host_count dst_host_srv_count "
    "dst_host_same_srv_rate dst_host_diff_srv_rate dst_host_same_src_port_rate dst_host_srv_diff_host_rate "
    "dst_host_serror_rate dst_host_srv_serror_rate dst_host_rerror_rate dst_host_srv_rerror_rate class difficulty"
)


def read_gzip(path, **options):
    with gzip.open(path) as file:
        return pl.read_csv(file.read(), infer_schema_length=50_000, **options)


@pytest.mark.real_data
def test_unsw_nb15(real_data):
    frame = read_gzip(real_data / "unsw_nb15" / "UNSW_NB15_training-set.part-a.csv.gz")
    schema = infer_schema(frame)
    assert [f.name for _, f in schema.categorical] == ["proto", "service", "state"]
    assert {column.name: column.reason for column in schema.ignored} == {
        "id": "identifier",
        "stcpb": "identifier",
        "dtcpb": "identifier",
        "attack_cat": "label",
        "label": "label",
    }


@pytest.mark.real_data
def test_cicids2017(real_data):
    frame = pl.read_parquet(real_data / "cicids2017_improved" / "cicids2017_improved_sample.parquet")
    schema = infer_schema(frame)
    assert [f.name for _, f in schema.categorical] == ["Dst Port", "Protocol", "ICMP Code", "ICMP Type"]
    assert {column.name for column in schema.ignored} == {
        *("id", "Flow ID", "Src IP", "Src Port", "Dst IP", "Timestamp", "Label", "Attempted Category")
    }


@pytest.mark.real_data
def test_nsl_kdd(real_data):
    frame = read_gzip(next((real_data / "nsl_kdd").glob("*.txt.gz")), has_header=False, new_columns=KDD_NAMES.split())
    schema = infer_schema(frame)
    assert [f.name for _, f in schema.categorical] == ["protocol_type", "service", "flag"]
    assert len(schema.numeric) == 38
    assert [column.name for column in schema.ignored] == ["class", "difficulty"]


@pytest.mark.real_data
def test_iot23(real_data):
    frame = read_gzip(real_data / "iot23" / "iot23_sample_train1.csv.gz")
    schema = infer_schema(frame)
    assert {"duration", "orig_bytes", "resp_bytes"} <= {f.name for _, f in schema.numeric}
    assert {column.name: column.reason for column in schema.ignored} == {
        "ts": "timestamp",
        "uid": "identifier",
        "id.orig_h": "address",
        "id.orig_p": "port",
        "id.resp_h": "address",
        "label": "label",
        "detailed-label": "label",
    }
