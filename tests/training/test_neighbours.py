import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_neighbours import observed_seconds as naive_observed_seconds

from netsieve.bench.cold_start import capture
from netsieve.engine.features.layouts import declare_neighbours
from netsieve.engine.features.neighbours import Neighbours
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.features.stage import NeighbourStage
from netsieve.engine.training.data import prepare_data
from netsieve.engine.training.neighbours import add_neighbours, observed_seconds
from netsieve.engine.training.splits import SplitShares

HOUR = 3600.0
ROLES = {"source": "s", "destination": "d", "time": "t"}


def steady(seconds: float, *, begin: float = 1e9, rows: int = 1000) -> pl.DataFrame:
    """Return records of one pair, evenly over some time."""
    times = begin + np.linspace(0, seconds, rows)
    return pl.DataFrame({"s": ["a"] * rows, "d": ["b"] * rows, "t": times})


def declared(frame: pl.DataFrame, section: dict | None = None, **options):
    found = add_neighbours(frame, overrides={"neighbours": {**ROLES, **(section or {})}}, **options)
    return found.declaration, [note for note in found.notes if "too short a time" in note]


@given(st.lists(st.sampled_from([0.0, 0.5, 10.0, 11.0, 5000.0]), max_size=40))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_time_behind_each_record_is_that_of_the_naive_twin(steps):
    times = 1e9 + np.cumsum(steps)
    assert observed_seconds(times, 10.0).tolist() == naive_observed_seconds(times.tolist(), 10.0)


@pytest.mark.parametrize(
    ("trained", "windows"),
    [
        (60.0, (60, )),
        (14 * 60.0, (60,)),
        (16 * 60.0, (60, 300)),
        (46 * 60.0, (60, 900)),
        (1.6 * HOUR, (60, 1800)),
        (2.9 * HOUR, (60, 1800)),
        (3.1 * HOUR, (60, 3600)),
        (24 * HOUR, (60, 3600)),
    ],
)  # fmt: skip
def test_windows_are_those_that_three_times_fit_the_time_that_trains(trained, windows):
    for share in (0.6, 0.36):
        declaration, notes = declared(steady(trained / share), train_share=share)
        assert declaration.windows == windows
        assert len(notes) == (windows != (60, 3600))
        assert f"pair_flows_{windows[-1]}s" in declaration.columns
    assert declared(steady(trained / SplitShares().train))[0].windows == windows


def test_a_note_tells_which_windows_are_taken():
    (note,) = declared(steady(HOUR))[1]
    assert note.startswith("the records that train span too short a time for counts over 3600 s: windows of 60 and 300")


def test_only_normal_records_and_captures_by_themselves_count():
    frame = pl.concat([steady(600.0), steady(86_400.0, begin=1e9 + 600, rows=20_000)])
    normal = np.arange(21_000) < 1000
    assert declared(frame)[0].windows == (60, 3600)
    assert declared(frame, normal=normal)[0].windows == (60,)
    # captures of ten minutes in different years are no record of years
    captures = pl.concat([steady(600.0, begin=begin) for begin in (1e9, 1.1e9, 1.2e9)])
    assert declared(captures, train_share=1.0)[0].windows == (60,)
    # one clock that is wrong takes nothing away
    wrong = steady(86_400.0).with_columns(t=pl.when(pl.int_range(1000) == 3).then(5e8).otherwise("t"))
    assert declared(wrong)[0].windows == (60, 3600)


def test_what_the_user_declares_stays_with_a_note():
    short = steady(600.0)
    declaration, (note,) = declared(short, {"windows": [30, 7200]})
    assert declaration.windows == (30, 7200)
    assert "counts over 7200 s: they grow until then" in note
    declaration, (note,) = declared(short, {"columns": ["pair_flows_3600s"]})
    assert (declaration.windows, declaration.columns) == ((60, 3600), ("pair_flows_3600s",))
    assert declared(short, {"windows": [60]}) == (declare_neighbours(short, section={**ROLES, "windows": [60]}), [])
    assert declared(short, {"columns": ["pair_new"]})[1] == []
    every, _ = declared(short, {"columns": "all"})
    assert every.windows == (60,)
    assert every.columns == tuple(every.possible_columns())


def test_without_times_the_windows_stay():
    frame = steady(600.0)
    nothing = {"source": "s", "destination": "d"}
    assert add_neighbours(frame.drop("t"), overrides={"neighbours": nothing}).declaration.windows == (60, 3600)
    for value in (None, float("nan"), float("inf")):
        unknown = frame.with_columns(t=pl.lit(value, pl.Float64))
        assert declared(unknown)[0].windows == (60, 3600)
    assert declared(frame.clear())[0].windows == (60, 3600)


OPTIONS = {"label": "IsAnomaly", "normal": "0", "ignore": ["Attack"]}


def growth(data, frame: pl.DataFrame, half: int, name: str) -> float:
    """Return how often the normal records of the second half have counts above all that trained."""
    computed = NeighbourStage(data.schema.neighbours).apply(frame)
    later = computed[half:].filter(pl.col("IsAnomaly") == 0)[name]
    return float((later > computed[data.splits.train][name].quantile(0.999)).mean())


def test_the_counts_that_follow_a_short_training_are_like_those_that_trained():
    frame, half = capture(1200, 6000, 1), 3000
    hour = prepare_data(frame[:half], schema_overrides={"neighbours": {"windows": [60, 3600]}}, **OPTIONS)
    chosen = prepare_data(frame[:half], neighbours=True, **OPTIONS)
    assert chosen.schema.neighbours.windows == (60,)
    assert growth(hour, frame, half, "source_ports_3600s") > 0.05
    assert growth(chosen, frame, half, "source_ports_60s") < 0.02


def test_a_model_of_before_keeps_its_windows():
    frame = capture(1200, 3000, 2)
    first = prepare_data(frame, schema_overrides={"neighbours": {"windows": [60, 3600]}}, **OPTIONS)
    assert [entry["version"] for entry in first.schema.stateful] == [1]
    schema = FeatureSchema.from_json(first.schema.to_json())
    assert isinstance(schema.neighbours, Neighbours)
    again = prepare_data(frame, schema=schema, **OPTIONS)
    assert again.schema.neighbours.windows == (60, 3600)
    np.testing.assert_array_equal(again.train, first.train)
