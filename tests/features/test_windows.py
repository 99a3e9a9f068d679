"""Windows of records: declaration, stage and state."""

import contextlib
import hashlib
import json
from dataclasses import replace

import naive_windows as naive
import numpy as np
import polars as pl
import pytest

from netsieve.bench.traffic import generate_traffic
from netsieve.engine.errors import MissingColumnError, SchemaError, StateError
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.inference import fit_schema
from netsieve.engine.features.layouts import declare_neighbours
from netsieve.engine.features.schema import FeatureSchema, NumericFeature
from netsieve.engine.features.stage import NeighbourStage
from netsieve.engine.features.state import MAGIC, FeatureState
from netsieve.engine.features.window_stage import WindowStage
from netsieve.engine.features.windows import WindowLayout, Windows
from netsieve.engine.training.data import inferred_schema

ROWS = 3000


@pytest.fixture(scope="module")
def traffic() -> pl.DataFrame:
    return generate_traffic(ROWS, seed=3, hosts=60)


def window_schema(frame, **changes) -> FeatureSchema:
    """Return a fitted schema of generated traffic with windows."""
    schema = fit_schema(inferred_schema(frame, label="IsAnomaly", ignore=["Attack"]), frame)
    windows = Windows(entity=("SourceIP",), length=5, key="0123456789abcdef" * 2, time="Timestamp", duration="Duration")
    return replace(schema, stateful=(replace(windows, **changes).to_dict(),))


def new_state(schema):
    return FeatureState(schema.neighbours, schema.window_layout)


def in_blocks(frame, schema, cuts, *, restored=False):
    """Return the windows of a frame that is cut into blocks, with the state saved and restored in between."""
    stage, encoder, state = WindowStage(schema.window_layout), Encoder(schema), new_state(schema)
    out = []
    for start, stop in zip([0, *cuts], [*cuts, frame.height], strict=True):
        part = frame[start:stop]
        out.append(stage.update(stage.prepare(part), encoder.encode(part), state).windows())
        if restored:
            data = state.to_bytes()
            state = FeatureState.from_bytes(data, schema.neighbours, layout=schema.window_layout)
            assert state.to_bytes() == data
    return np.concatenate(out), state


def test_windows_hold_the_latest_records_of_the_source(traffic):
    schema = window_schema(traffic)
    found, state = in_blocks(traffic, schema, [])
    x = Encoder(schema).encode(traffic)
    ids = {name: number for number, name in enumerate(traffic["SourceIP"].unique().to_list())}
    entities = [ids[name] for name in traffic["SourceIP"]]
    expected = naive.windows(entities, [0.0] * ROWS, x.tolist(), 5)
    np.testing.assert_array_equal(found, np.array(expected, np.float32))
    assert (state.records, state.evicted) == (ROWS, 0)
    assert repr(state) == f"<FeatureState of 3,000 records: windows of {len(ids)} entities>"


@pytest.mark.parametrize("limits", [{}, {"entities": 20, "expiry": 4000.0}, {"entity": ("SourceIP", "DestinationIP")}])
def test_one_block_a_thousand_and_two_runs_give_the_same_bits(traffic, limits):
    schema = window_schema(traffic, **limits)
    whole, state = in_blocks(traffic, schema, [])
    cut, cut_state = in_blocks(traffic, schema, list(range(3, ROWS, 3)))
    two, two_state = in_blocks(traffic, schema, [1234], restored=True)
    assert whole.tobytes() == cut.tobytes() == two.tobytes()
    assert state.to_bytes() == cut_state.to_bytes() == two_state.to_bytes()
    assert (state.evicted > 0) == ("entities" in limits)
    assert any("forgotten early" in note for note in state.notes()) == ("entities" in limits)


def test_an_entity_that_was_silent_for_long_starts_anew_and_one_without_a_name_is_alone():
    names = ["a", "a", None, "a", "a", None, "b"]
    frame = pl.DataFrame(
        {"h": names, "t": [0.0, 1.0, 2.0, 3.0, 500.0, 501.0, 502.0], "v": [float(i) for i in range(7)]}
    )
    windows = Windows(entity=("h",), length=3, time="t", expiry=100.0)
    schema = FeatureSchema(features=(NumericFeature(name="v"),), stateful=(windows.to_dict(),), fitted=True)
    found, state = in_blocks(frame, schema, [2], restored=True)
    none = np.nan
    expected = [[none, none, 0], [none, 0, 1], [none, none, 2], [0, 1, 3], [none, none, 4], [none, none, 5]]
    np.testing.assert_array_equal(found[..., 0], [*expected, [none, none, 6]])
    assert state.clock == 502.0


def test_without_times_nothing_expires():
    frame = pl.DataFrame({"h": ["a"] * 4, "v": [1.0, 2.0, 3.0, 4.0]})
    windows = Windows(entity=("h",), length=2, expiry=1.0)
    schema = FeatureSchema(features=(NumericFeature(name="v"),), stateful=(windows.to_dict(),), fitted=True)
    found, state = in_blocks(frame, schema, [])
    np.testing.assert_array_equal(found[1:, :, 0], [[1, 2], [2, 3], [3, 4]])
    assert state.notes() == []
    with pytest.raises(MissingColumnError, match="lacks column 'h', which tell whose windows"):
        WindowStage(schema.window_layout).prepare(frame.drop("h"))


def test_the_source_of_the_records_may_tell_the_times():
    frame = pl.DataFrame({"h": ["a"] * 3, "v": [1.0, 2.0, 3.0]})
    windows = Windows(entity=("h",), length=2, expiry=10.0)
    schema = FeatureSchema(features=(NumericFeature(name="v"),), stateful=(windows.to_dict(),), fitted=True)
    stage, state = WindowStage(schema.window_layout), new_state(schema)
    seen = stage.prepare(frame, np.array([100.0, 105.0, 200.0]))
    found = stage.update(seen, Encoder(schema).encode(frame), state).windows()
    np.testing.assert_array_equal(found[..., 0], [[np.nan, 1], [1, 2], [np.nan, 3]])


def both_schema(frame):
    declared = declare_neighbours(frame)
    computed = NeighbourStage(declared).apply(frame)
    schema = fit_schema(inferred_schema(computed, declared, label="IsAnomaly", ignore=["Attack"]), computed)
    windows = Windows(entity=("SourceIP",), length=4)
    return replace(schema, stateful=(*schema.stateful, windows.to_dict())), computed


def test_neighbour_features_and_windows_go_together(traffic):
    schema, computed = both_schema(traffic)
    assert FeatureSchema.from_json(schema.to_json()) == schema
    assert schema.row_shape == (4, len(schema.features))
    whole, state = in_blocks(computed, schema, [])
    two, two_state = in_blocks(computed, schema, [1000], restored=True)
    assert whole.tobytes() == two.tobytes()
    assert state.to_bytes() == two_state.to_bytes()
    assert state.records == 0  # counted by the neighbour features
    assert set(state.tables) == {"source", "destination", "pair", "windows"}
    assert repr(two_state).endswith(f"windows of {state.window_table.interner.size} entities>")


def test_states_of_other_models_are_refused(traffic):
    schema = window_schema(traffic)
    both, _ = both_schema(traffic)
    data = in_blocks(traffic, schema, [])[1].to_bytes()
    longer = window_schema(traffic, length=6)
    other_codes = window_schema(traffic.filter(pl.col("Protocol") == traffic["Protocol"][0]))
    for other in (longer, other_codes, both):
        with pytest.raises(StateError, match="belongs to another model"):
            FeatureState.from_bytes(data, other.neighbours, layout=other.window_layout)
        stage = WindowStage(other.window_layout)
        with pytest.raises(StateError, match="belongs to another model's windows"):
            stage.update(stage.prepare(traffic), np.zeros((ROWS, len(other.features)), np.float32), new_state(schema))
    with pytest.raises(StateError, match="belongs to another model"):
        FeatureState.from_bytes(data, both.neighbours)
    with pytest.raises(StateError, match="takes no state"):
        FeatureState(None)


def test_a_state_without_windows_is_written_as_before(traffic):
    declared = declare_neighbours(traffic)
    state = FeatureState(declared)
    NeighbourStage(declared).apply(traffic, state=state)
    data = state.to_bytes()
    length = int.from_bytes(data[len(MAGIC) :][:8], "little")
    header = json.loads(data[len(MAGIC) + 8 :][:length])
    assert list(header) == ["version", "declaration", "clock", "records", "late", "without_time", "parts"]
    assert header["version"] == 1
    assert FeatureState.from_bytes(data, declared).to_bytes() == data
    with_windows = in_blocks(traffic, window_schema(traffic), [])[1].to_bytes()
    assert b'{"version": 2, "declaration": null' in with_windows[:100]


def test_damage_that_the_checksum_does_not_show_is_refused_or_harmless(traffic):
    schema = window_schema(traffic, entities=16)
    whole = in_blocks(traffic, schema, [])[1].to_bytes()
    data, generator = whole[:-32], np.random.default_rng(0)
    start = len(MAGIC)
    header_end = start + 8 + int.from_bytes(data[start : start + 8], "little")
    places = [*range(start, start + 8), *generator.integers(start, header_end, 200), len(data) - 1]
    for place in [*places, *generator.integers(header_end, len(data), 200)]:
        damaged = bytearray(data)
        damaged[place] = generator.integers(256)
        sealed = bytes(damaged) + hashlib.sha256(damaged).digest()
        with contextlib.suppress(StateError):
            state = FeatureState.from_bytes(sealed, None, layout=schema.window_layout)
            stage = WindowStage(schema.window_layout)
            stage.update(stage.prepare(traffic[:50]), Encoder(schema).encode(traffic[:50]), state).windows()
    with pytest.raises(StateError, match="damaged"):
        FeatureState.from_bytes(whole[:-1], None, layout=schema.window_layout)


def test_room_grows_with_the_entities(traffic, monkeypatch):
    schema = window_schema(traffic)
    expected, large = in_blocks(traffic, schema, [])
    monkeypatch.setattr("netsieve.engine.features.state.FIRST_ENTITIES", 2)
    found, small = in_blocks(traffic, schema, list(range(100, ROWS, 100)))
    assert found.tobytes() == expected.tobytes()
    assert small.to_bytes() == large.to_bytes()
    assert small.window_table.capacity < large.window_table.capacity


def test_large_rows_have_room_for_few_entities_at_first():
    windows = Windows(entity=("h",), length=1024, entities=2**26)
    state = FeatureState(None, WindowLayout(windows=windows, n_features=1000, encoding=""))
    assert state.window_table.capacity == 2**28 // (4 * 1000 * 1023 + 8)


def test_a_declaration_comes_back_and_says_what_is_read(traffic):
    schema = window_schema(traffic)
    assert FeatureSchema.from_json(schema.to_json()) == schema
    assert schema.windows.length == 5
    assert schema.neighbours is None
    assert schema.input_columns == (*schema.feature_names, *(c for c in ("SourceIP", "Timestamp") if c in traffic))
    assert replace(schema, stateful=()).row_shape == (len(schema.features),)
    assert replace(schema, stateful=()).window_layout is None


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"entity": []}, "the entity of the windows is"),
        ({"entity": "h"}, "the entity of the windows is 'h'"),
        ({"entity": ["h", "h"]}, "one or more different columns"),
        ({"entity": [1]}, "one or more different columns"),
        ({"length": 1}, "a whole number from 2 to 1024"),
        ({"length": 2.0}, "a whole number from 2"),
        ({"length": 10**6}, "a whole number from 2"),
        ({"entities": 0}, "a whole number from 1"),
        ({"expiry": 0}, "a number from 1"),
        ({"expiry": True}, "a number from 1"),
        ({"time": 5}, "text is expected"),
        ({"time_unit": "s"}, "a number from 1e-12"),
        ({"key": "x"}, "32 hexadecimal digits"),
        ({"step": 2}, "unknown key 'step'; use a newer netsieve"),
        ({"version": 2}, "kernel 'windows', version 2, which this netsieve cannot compute"),
    ],
)
def test_malformed_declarations_are_refused(traffic, changes, match):
    content = json.loads(window_schema(traffic).to_json())
    content["stateful"][0].update(changes)
    with pytest.raises(SchemaError, match=match):
        FeatureSchema.from_json(json.dumps(content))


def test_two_windows_are_refused_and_a_missing_entity_too(traffic):
    content = json.loads(window_schema(traffic).to_json())
    content["stateful"] *= 2
    with pytest.raises(SchemaError, match="several stateful features of a kind"):
        FeatureSchema.from_json(json.dumps(content))
    content["stateful"] = content["stateful"][:1]
    del content["stateful"][0]["entity"]
    with pytest.raises(SchemaError, match="malformed"):
        FeatureSchema.from_json(json.dumps(content))
