import contextlib
import hashlib

import numpy as np
import polars as pl
import pytest

from netsieve.bench.traffic import generate_traffic
from netsieve.engine.errors import OutputError, StateError
from netsieve.engine.features import state as state_module
from netsieve.engine.features.layouts import declare_neighbours
from netsieve.engine.features.stage import NeighbourStage
from netsieve.engine.features.state import MAGIC, FeatureState


@pytest.fixture(scope="module")
def filled():
    frame = generate_traffic(3000, hosts=60)
    declared = declare_neighbours(frame, section={"hosts": 50, "columns": "all"})
    state = FeatureState(declared)
    NeighbourStage(declared).apply(frame, state=state)
    return state


def test_a_state_comes_back_from_its_file(filled, tmp_path):
    path = tmp_path / "hosts.state"
    filled.save(path)
    loaded = FeatureState.load(path, filled.declaration)
    assert loaded.to_bytes() == filled.to_bytes()
    assert (loaded.records, loaded.late, loaded.clock) == (filled.records, filled.late, filled.clock)
    assert repr(loaded) == repr(filled)
    assert [file.name for file in tmp_path.iterdir()] == ["hosts.state"]


def test_a_state_of_other_features_is_refused(filled):
    other = filled.declaration.with_columns(filled.declaration.columns[1:])
    with pytest.raises(StateError, match="belongs to another model"):
        FeatureState.from_bytes(filled.to_bytes(), other)


def test_files_that_are_no_states(filled, tmp_path):
    with pytest.raises(StateError, match="No such file"):
        FeatureState.load(tmp_path / "none", filled.declaration)
    with pytest.raises(StateError, match="directory"):
        FeatureState.load(tmp_path, filled.declaration)
    with pytest.raises(OutputError, match="does not exist"):
        filled.save(tmp_path / "none" / "state")
    data = filled.to_bytes()
    for wrong, match in ((b"", "no state file"), (b"x" + data, "no state file"), (data[:-1], "damaged or truncated")):
        with pytest.raises(StateError, match=match):
            FeatureState.from_bytes(wrong, filled.declaration)


def test_damage_that_the_checksum_does_not_show_is_still_refused_or_harmless(filled):
    data = filled.to_bytes()[:-32]
    start = len(MAGIC)
    header_end = start + 8 + int.from_bytes(data[start : start + 8], "little")
    generator = np.random.default_rng(0)
    for place in [*range(start, start + 8), *generator.integers(start, header_end, 300).tolist()]:
        damaged = bytearray(data)
        damaged[place] = generator.integers(256)
        sealed = bytes(damaged) + hashlib.sha256(damaged).digest()
        with contextlib.suppress(StateError):
            FeatureState.from_bytes(sealed, filled.declaration)
    for wrong in (b"", data[: header_end - 1], data[: header_end + 40], data + b"x"):
        cut = MAGIC + wrong[len(MAGIC) :]
        sealed = cut + hashlib.sha256(cut).digest()
        with pytest.raises(StateError, match="damaged"):
            FeatureState.from_bytes(sealed, filled.declaration)


def test_memory_stays_within_the_declared_bound():
    section = {"hosts": 64, "pairs": 100, "source": "s", "destination": "d", "port": "s", "columns": "all"}
    frame = pl.DataFrame({"s": [str(i) for i in range(20_000)], "d": [str(i % 999) for i in range(20_000)]})
    declared = declare_neighbours(frame, section=section)
    state = FeatureState(declared)
    NeighbourStage(declared).apply(frame, state=state)
    assert {name: table.capacity for name, table in state.tables.items()} == {
        "source": 64,
        "destination": 64,
        "pair": 100,
    }
    assert len(state.to_bytes()) < 300_000
    assert state.evicted == 20_000 - 64 + 20_000 - 64 + 20_000 - 100


def test_room_grows_with_the_entities(monkeypatch):
    monkeypatch.setattr(state_module, "FIRST_ENTITIES", 16)
    frame = generate_traffic(2000, hosts=60)
    declared = declare_neighbours(frame, section={"columns": "all"})
    small = FeatureState(declared)
    found = NeighbourStage(declared).apply(frame, state=small)
    monkeypatch.undo()
    large = FeatureState(declared)
    assert NeighbourStage(declared).apply(frame, state=large).equals(found, null_equal=True)
    assert small.tables["pair"].capacity < large.tables["pair"].capacity == 262_144
    assert small.to_bytes() == large.to_bytes()
