"""The capture that readers are measured on is what it says."""

from netsieve.bench.capture import CONVERSATION, write_capture
from netsieve.bench.readers_pcap import SNAP_LENGTH
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


def test_cut_packets_keep_their_length(tmp_path):
    path = tmp_path / "cut.pcap"
    write_capture(path, 1, snap_length=SNAP_LENGTH)
    packets = read_frame([str(path)], options=ReadOptions(event_type="packet")).frame
    assert packets["captured_length"].max() == SNAP_LENGTH
    assert packets["length"].max() == 1454
