import pytest

from netsieve.bench import cold_start
from netsieve.bench.traffic import MONDAY


def test_a_capture_is_a_part_of_a_day_in_order():
    frame = cold_start.capture(600, 2000, 1)
    assert 2000 <= frame.height < 6000
    assert frame["Timestamp"].is_sorted()
    assert (frame["Timestamp"].max() - frame["Timestamp"].min()).total_seconds() == pytest.approx(600, abs=5)
    assert frame["Timestamp"].min() - MONDAY >= cold_start.BEGIN


@pytest.mark.slow
def test_each_way_is_measured_and_told(monkeypatch, capsys):
    monkeypatch.setattr(cold_start, "CAPTURES", {"10 minutes": (600, 3000)})
    monkeypatch.setattr(cold_start, "DRAWS", 2000)
    monkeypatch.setattr(cold_start, "FALSE_POSITIVE_RATE", 0.05)
    cold_start.main(["--seeds", "1"])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[1] for row in rows] == list(cold_start.WAYS)
    assert [row[2] for row in rows] == ["", "60, 3600", "60"]
    assert all(0 <= float(row[3].rstrip("%")) <= 100 and float(row[4]) > 0 for row in rows)
