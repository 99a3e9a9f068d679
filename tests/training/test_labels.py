from datetime import datetime

import numpy as np
import polars as pl
import pytest

from netsieve.engine.errors import TrainingError
from netsieve.engine.features.schema import FeatureSchema, IgnoredColumn
from netsieve.engine.training.labels import label_text, normal_records, record_time


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, None], ["0", "1", None]),
        ([0.0, 1.0, None], ["0", "1", None]),
        ([0.5, 1.0], ["0.5", "1.0"]),
        ([True, False], ["true", "false"]),
        ([" BENIGN", "normal."], ["BENIGN", "normal."]),
    ],
)
def test_labels_are_compared_as_text(values, expected) -> None:
    assert label_text(pl.DataFrame({"label": values}), "label").to_list() == expected


def test_records_without_a_label_are_neither_normal_nor_attacks() -> None:
    frame = pl.DataFrame({"label": ["ok", "bad", None, "", "ok"]})
    normal, labelled = normal_records(frame, "label", "ok")
    assert normal.tolist() == [True, False, False, False, True]
    assert labelled.tolist() == [True, True, False, False, True]


def test_an_unknown_label_column_or_value_lists_what_is_there() -> None:
    frame = pl.DataFrame({"label": ["ok", "bad", "bad"], "size": [1, 2, 3]})
    with pytest.raises(TrainingError, match="it has label, size"):
        normal_records(frame, "Label", "ok")
    with pytest.raises(TrainingError, match=r"'bad' \(2\), 'ok' \(1\)"):
        normal_records(frame, "label", "BENIGN")
    many = pl.DataFrame({"label": [f"attack{i}" for i in range(50)]})
    with pytest.raises(TrainingError, match="and 30 more"):
        normal_records(many, "label", "ok")
    with pytest.raises(TrainingError, match="nothing"):
        normal_records(pl.DataFrame({"label": [None, None]}), "label", "ok")


@pytest.mark.parametrize(
    "values",
    [
        ["2017-07-03 11:57:51.590705", "2017-07-03 11:57:50.1", None],
        ["2013/12/17 22:09:19.500617", "2013/12/17 22:09:18.500617", None],
        ["2021-06-06T15:24:52.101955+0000", "2021-06-06T15:24:51.101955+0000", None],
        ["1545403816.96", "1545403815.96", None],
        [1545403816.96, 1545403815.96, None],
        [datetime(2020, 1, 2), datetime(2020, 1, 1), None],
    ],
)
def test_times_of_many_kinds_are_read(values) -> None:
    frame = pl.DataFrame({"ts": values})
    schema = FeatureSchema(features=(), ignored=(IgnoredColumn(name="ts", reason="timestamp"),))
    name, time = record_time(frame, schema)
    assert name == "ts"
    assert time[1] < time[0]
    assert np.isnan(time[2])


def test_a_column_that_is_no_time_is_passed_over_unless_it_was_asked_for() -> None:
    frame = pl.DataFrame({"a": ["x", "y"], "b": [5, 5], "c": [None, None], "d": [1, 2]})
    ignored = tuple(IgnoredColumn(name=name, reason="timestamp") for name in "abcd")
    assert record_time(frame, FeatureSchema(features=(), ignored=ignored))[0] == "d"
    assert record_time(frame, FeatureSchema(features=(), ignored=ignored[:3])) is None
    assert record_time(frame, FeatureSchema(features=()), "d")[0] == "d"
    for column in "abc":
        with pytest.raises(TrainingError, match="no times"):
            record_time(frame, FeatureSchema(features=()), column)
    with pytest.raises(TrainingError, match="it has a, b, c, d"):
        record_time(frame, FeatureSchema(features=()), "e")
