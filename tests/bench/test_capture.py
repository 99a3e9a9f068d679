"""The benchmark of captures: what it writes is what it says, and every reader reads it."""

from pathlib import Path

from netsieve.bench.capture import (
    CONVERSATION,
    SNAP_LENGTH,
    capture_table,
    measure_captures,
    read_capture,
    write_capture,
)
from netsieve.engine.sources import ReadOptions
from netsieve.engine.sources.reading import read_frame


def test_the_capture_holds_whole_connections(tmp_path):
    path = tmp_path / "capture.pcap"
    packets = write_capture(path, 40_000)
    assert packets >= 40_000
    flows = read_frame([str(path)]).frame
    assert flows.height == packets / len(CONVERSATION)
    assert set(flows["tcp_state"]) == {"SF"}
    assert set(flows["backward_payload_bytes"]) == {8 * 1400}
    assert read_capture(path, "packet", threads=2) == packets


def test_cut_packets_keep_their_length(tmp_path):
    path = tmp_path / "cut.pcap"
    write_capture(path, 1, snap_length=SNAP_LENGTH)
    packets = read_frame([str(path)], options=ReadOptions(event_type="packet")).frame
    assert packets["captured_length"].max() == SNAP_LENGTH
    assert packets["length"].max() == 1454


def test_every_reader_is_measured(tmp_path, monkeypatch):
    twin = Path(__file__).resolve().parents[1] / "naive_pcap.py"
    monkeypatch.setattr("netsieve.bench.capture.TWIN", twin)
    monkeypatch.setattr("netsieve.bench.capture.INTERLEAVED", 10)
    monkeypatch.setattr("netsieve.bench.capture.SMALL_PACKETS", 100)
    result = measure_captures(packets=1000, rounds=1, folder=tmp_path)
    table = capture_table(result)
    assert len(table.splitlines()) == 2 + len(result["seconds"])
    assert "| flows, all columns, 2 threads |" in table
    assert "| naive twin, flows |" in table
