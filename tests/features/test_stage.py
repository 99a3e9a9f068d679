from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_neighbours import Interner, distinct, rates, regularity, siphash_128

from netsieve.bench.traffic import generate_traffic
from netsieve.engine.errors import EncodeError, MissingColumnError, SchemaError, StateError
from netsieve.engine.features.layouts import LAYOUTS, declare_neighbours
from netsieve.engine.features.neighbours import Neighbours
from netsieve.engine.features.roles import column_kind
from netsieve.engine.features.stage import NeighbourStage
from netsieve.engine.features.state import FeatureState
from netsieve.engine.sources.reading import read_frame, scan
from netsieve.engine.sources.source import ColumnRequest
from netsieve.engine.training.neighbours import add_neighbours


@pytest.fixture(scope="module")
def traffic() -> pl.DataFrame:
    return generate_traffic(6000, seed=3, hosts=60)


def naive_columns(frame: pl.DataFrame, declared: Neighbours) -> dict[str, list[float]]:
    """Return the computed columns of generated traffic, by the twins alone."""
    key = bytes.fromhex(declared.key)
    times = (frame["Timestamp"].dt.epoch("us").to_numpy() / 1e6 + frame["Duration"].to_numpy()).tolist()
    cells = {"source": frame["SourceIP"].to_list(), "destination": frame["DestinationIP"].to_list()}
    cells["pair"] = list(zip(cells["source"], cells["destination"], strict=True))
    prints = {name: [siphash_128(key, cell.encode()) for cell in cells[name]] for name in ("source", "destination")}
    ports = [siphash_128(key, port.to_bytes(8, "little", signed=True)) for port in frame["DestinationPort"].to_list()]
    sent, received = (frame[name].cast(float).to_list() for name in ("BytesSent", "BytesReceived"))
    failed = [amount <= declared.unanswered_bytes for amount in received]
    out = {}
    for entity in ("source", "destination", "pair"):
        interner = Interner(declared.pairs if entity == "pair" else declared.hosts, declared.expiry)
        rows = [interner.assign(cell, time) for cell, time in zip(cells[entity], times, strict=True)]
        ids, elapsed, own = map(list, zip(*rows, strict=True))
        out[f"{entity}_new"] = [float(np.isnan(value)) for value in elapsed]
        out[f"{entity}_elapsed"] = elapsed
        sums = rates(ids, elapsed, failed, sent, received, declared.windows)
        others = {"ports": ports, "hosts": prints["source" if entity == "destination" else "destination"]}
        counts = {name: distinct(ids, elapsed, own, others[name], declared.windows) for name in others}
        for w, window in enumerate(declared.windows):
            for k, name in enumerate(("flows", "failed", "sent", "received")):
                out[f"{entity}_{name}_{window:.0f}s"] = sums[w][k]
            for name in others:
                out[f"{entity}_{name}_{window:.0f}s"] = counts[name][w]
        gaps = [value if value >= 1.0 else np.nan for value in elapsed]
        for name, values in (("gap", gaps), ("size", sent)):
            out[f"{entity}_{name}_mean"], out[f"{entity}_{name}_variation"] = regularity(ids, elapsed, values)
    return out


def test_the_computed_columns_are_those_of_the_naive_twins(traffic):
    frame = traffic.head(700)
    declared = declare_neighbours(
        frame, section={"windows": [30, 7200], "expiry": 20_000, "hosts": 40, "pairs": 100, "columns": "all"}
    )
    state = FeatureState(declared)
    found = NeighbourStage(declared).apply(frame, state=state)
    assert found.columns == [*frame.columns, *declared.columns]
    assert len(declared.columns) == 3 + 5 + 2 * (3 * 4 + 5)
    expected = naive_columns(frame, declared)
    for name in declared.columns:
        assert found[name].dtype == pl.Float32
        np.testing.assert_allclose(found[name].to_numpy(), expected[name], rtol=2e-5, atol=1e-5, err_msg=name)
    assert state.evicted > 0
    assert state.late > 0


def in_batches(frame, declared, cuts, *, restored=False):
    """Return the computed columns of a frame cut into batches, with the state saved and restored in between."""
    stage, state = NeighbourStage(declared), FeatureState(declared)
    parts = []
    for start, end in zip([0, *cuts], [*cuts, frame.height], strict=True):
        parts.append(stage.apply(frame[start:end], state=state).select(declared.columns))
        if restored:
            state = FeatureState.from_bytes(state.to_bytes(), declared)
    return pl.concat(parts), state


@pytest.mark.parametrize("limits", [{}, {"hosts": 30, "pairs": 64, "expiry": 4000}])
def test_one_batch_a_thousand_and_two_runs_give_the_same_bits(traffic, limits):
    declared = declare_neighbours(traffic, section={"columns": "all", **limits})
    whole, state = in_batches(traffic, declared, [])
    cut, cut_state = in_batches(traffic, declared, list(range(6, 6000, 6)))
    two, two_state = in_batches(traffic, declared, [2345], restored=True)
    assert whole.equals(cut)
    assert whole.equals(two)
    assert state.to_bytes() == cut_state.to_bytes() == two_state.to_bytes()
    assert (state.records, state.evicted > 0) == (6000, bool(limits))


cells = st.none() | st.sampled_from(["a", "b", "", "10.0.0.1"])
numbers = st.none() | st.sampled_from([0.0, 1.0, -5.0, 1e300, float("nan"), float("inf")])


@given(st.lists(st.tuples(cells, cells, st.none() | st.integers(0, 3), numbers, numbers, cells, numbers, numbers)))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_whatever_the_cells_hold_batches_agree_and_numbers_are_sound(rows):
    kinds = {"s": pl.String, "d": pl.String, "p": pl.Int64, "o": pl.Float64, "r": pl.Float64, "c": pl.String}
    frame = pl.DataFrame(rows, schema={**kinds, "t": pl.Float64, "l": pl.Float64}, orient="row")
    roles = dict(zip(("source", "destination", "port", "bytes_sent", "bytes_received", "state"), kinds, strict=True))
    section = {**roles, "time": "t", "duration": "l", "failed": ["a"], "hosts": 2, "columns": "all"}
    declared = declare_neighbours(frame, section=section)
    whole, state = in_batches(frame, declared, [])
    cut, _ = in_batches(frame, declared, list(range(1, frame.height)), restored=True)
    assert whole.equals(cut)
    assert not whole.select(pl.all().is_infinite().any()).transpose().to_series().any() if frame.height else True
    assert state.tables["source"].interner.size <= 2


def test_unknown_times_take_the_one_before():
    frame = pl.DataFrame({"s": ["a"] * 4, "d": ["b"] * 4, "t": [None, 10.0, None, 25.0]})
    declared = declare_neighbours(frame, section={"source": "s", "destination": "d", "time": "t"})
    assert "pair_elapsed" in declared.columns
    state = FeatureState(declared)
    found = NeighbourStage(declared).apply(frame, state=state)
    assert found["pair_elapsed"].to_list()[1:] == [10.0, 0.0, 15.0]
    assert (state.without_time, state.clock) == (2, 25.0)


def test_late_records_count_at_the_time_of_the_latest_and_a_wrong_clock_starts_anew():
    times = [100.0, 90.0, 105.0, 1e9, 110.0]
    frame = pl.DataFrame({"s": ["a"] * 5, "d": ["b"] * 5, "t": times})
    section = {"source": "s", "destination": "d", "time": "t", "windows": [60], "expiry": 3600, "columns": "all"}
    declared = declare_neighbours(frame, section=section)
    state = FeatureState(declared)
    found = NeighbourStage(declared).apply(frame, state=state)
    assert found["source_new"].to_list() == [1, 0, 0, 1, 1]
    np.testing.assert_allclose(found["source_flows_60s"], [1, 2, 1 + 2 * np.exp(-5 / 60), 1, 1], rtol=1e-6)
    assert state.late == 1


def test_times_are_read_in_many_ways():
    ends = [1_600_000_000.25, 1_600_000_060.5]
    moments = pl.Series(np.array(ends) * 1e6).cast(pl.Int64).cast(pl.Datetime("us", "UTC"))
    columns = {
        "numbers": (pl.Series(ends), {}),
        "milliseconds": (pl.Series([1000 * end for end in ends]), {"time_unit": 0.001}),
        "datetimes": (moments, {}),
        "nanoseconds": (moments.cast(pl.Datetime("ns")), {}),
        "text": (moments.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"), {}),
        "zone": (moments.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f+0000"), {}),
        "argus": (moments.dt.strftime("%Y/%m/%d %H:%M:%S%.6f"), {}),
    }
    for name, (column, section) in columns.items():
        frame = pl.DataFrame({"s": ["a"] * 2, "d": ["b"] * 2, "t": column})
        declared = declare_neighbours(frame, section={"source": "s", "destination": "d", "time": "t", **section})
        seen = NeighbourStage(declared).prepare(frame)
        np.testing.assert_allclose(seen.end_time, ends, atol=1e-3, err_msg=name)
    frame = frame.with_columns(t=pl.lit("yesterday"))
    with pytest.raises(SchemaError, match="'yesterday', which are not understood"):
        declare_neighbours(frame, section={"source": "s", "destination": "d", "time": "t"})
    # a model of one spelling takes the others, and mixtures of them
    mixed = pl.concat([columns[name][0].head(1).cast(pl.String) for name in ("numbers", "text", "zone", "argus")])
    frame = pl.DataFrame({"s": ["a"] * 4, "d": ["b"] * 4, "t": mixed})
    for form in (declared.time_format, None):
        seen = NeighbourStage(replace(declared, time_format=form)).prepare(frame)
        np.testing.assert_allclose(seen.end_time, ends[:1] * 4, atol=1e-3)
    timed = pl.DataFrame({"s": ["a"], "d": ["b"]})
    declared = declare_neighbours(timed, section={"source": "s", "destination": "d"})
    assert NeighbourStage(declared).prepare(timed, np.array([5.0])).end_time.tolist() == [5.0]


def test_ports_read_as_numbers_count_as_the_same():
    frame = pl.DataFrame({"s": ["a"] * 3, "d": ["b"] * 3, "p": [80, None, 443]})
    declared = declare_neighbours(frame, section={"source": "s", "destination": "d", "port": "p"})
    stage = NeighbourStage(declared)
    as_floats = stage.prepare(frame.with_columns(pl.col("p").cast(pl.Float64))).port
    assert as_floats.tolist() == stage.prepare(frame).port.tolist()
    assert stage.prepare(frame.with_columns(pl.col("s").cast(pl.Categorical))).keys["source"].any()


@pytest.mark.parametrize("record_type", LAYOUTS)
def test_each_known_record_type_is_recognised(record_type):
    layout = LAYOUTS[record_type]
    text = {"source", "destination", "state"}
    roles = {key: value for key, value in layout.items() if key in Neighbours.__slots__ and isinstance(value, str)}
    frame = pl.DataFrame({column: ["x"] if role in text else [1.0] for role, column in roles.items()})
    declared = declare_neighbours(frame, record_type=record_type)
    assert declared == declare_neighbours(frame)
    assert set(declared.input_columns) == set(frame.columns)
    assert NeighbourStage(declared).apply(frame).height == 1
    without = declare_neighbours(frame.select(layout["source"], layout["destination"]))
    assert not [name for name in without.columns if "ports" in name or "failed" in name or "sent" in name]


def test_what_cannot_be_computed_is_named():
    frame = pl.DataFrame({"s": ["a"], "d": ["b"], "x": [[1]]})
    roles = {"source": "s", "destination": "d"}
    with pytest.raises(SchemaError, match="name them under"):
        declare_neighbours(frame)
    with pytest.raises(SchemaError, match="no column 'S', which is source"):
        declare_neighbours(frame, section={"source": "S", "destination": "d"})
    with pytest.raises(SchemaError, match="columns is 'some'"):
        declare_neighbours(frame, section={**roles, "columns": "some"})
    with pytest.raises(SchemaError, match="'pair_ports_60s', which is not computed"):
        declare_neighbours(frame, section={**roles, "columns": ["pair_ports_60s"]})
    declared = declare_neighbours(frame, section=roles)
    with pytest.raises(MissingColumnError, match="'d'"):
        NeighbourStage(declared).apply(frame.drop("d"))
    for role in ("bytes_sent", "time", "source"):
        with pytest.raises(EncodeError, match="'x'"):
            NeighbourStage(Neighbours(**{**roles, role: "x"})).apply(frame)
    with pytest.raises(StateError, match="another model"):
        NeighbourStage(declared).apply(frame, state=FeatureState(Neighbours(**roles)))


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("CTU-Malware-Capture-Botnet-207-1.binetflow.gz", 23_602),
        ("CTU-Normal-7-2013-13-07.binetflow.gz", 9_797),
        ("slips_test2-malicious.binetflow.gz", 6_751),
        ("slips_test5_labelled.tsv.gz", 6_724),
    ],
)
def test_argus_flows_in_blocks_as_in_one_frame(real_data, name, rows):
    path = [str(real_data / "argus_binetflow" / name)]
    frame = read_frame(path).frame
    found = add_neighbours(frame)
    assert found.frame.height == rows
    assert found.declaration.duration is None  # these files are in the order of their starts
    assert not [note for note in found.notes if "no order" in note or "without a time" in note]
    kinds = {column.name: column_kind(column) for column in frame}
    stage, state = NeighbourStage(found.declaration), FeatureState(found.declaration)
    request = ColumnRequest(columns=found.declaration.input_columns, kinds=kinds)
    blocks = list(scan(path, columns=request, block_bytes=100_000))
    parts = [stage.apply(block.frame, state=state).select(found.declaration.columns) for block in blocks]
    assert len(parts) > 4
    assert pl.concat(parts).equals(found.frame.select(found.declaration.columns))
    failed = found.frame[f"source_failed_{found.declaration.windows[-1]:.0f}s"]
    assert 0 < failed.mean() < 1
    assert failed.is_between(0, 1).all()


def test_sixteen_columns_are_computed_unless_others_are_named(traffic):
    declared = declare_neighbours(traffic)
    assert len(declared.columns) == 16
    assert len(declare_neighbours(traffic, section={"columns": "all"}).columns) == 42
    one_window = declare_neighbours(traffic, section={"windows": [300]})
    assert len(one_window.columns) == 15
    assert NeighbourStage(one_window).apply(traffic.head(9)).columns[-15:] == list(one_window.columns)
