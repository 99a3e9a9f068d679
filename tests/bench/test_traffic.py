"""The generator's promises: reproducible, independent of chunks, consistent, and shaped like traffic."""

import gzip
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from netsieve.bench.traffic import COLUMNS, MONDAY, generate_traffic, main, traffic_chunks, write_traffic
from netsieve.bench.traffic_campaigns import ATTACKS
from netsieve.bench.traffic_network import SERVICES, Network

ROWS = 120_000


@pytest.fixture(scope="module")
def day() -> pl.DataFrame:
    return generate_traffic(ROWS, seed=3, attack_rate=0.05)


@pytest.fixture(scope="module")
def normal(day: pl.DataFrame) -> pl.DataFrame:
    return day.filter(pl.col("IsAnomaly") == 0)


def test_columns_and_types(day):
    assert dict(day.schema) == COLUMNS
    assert day.height == ROWS
    assert day.null_count().sum_horizontal().item() == 0
    assert day["Timestamp"].is_sorted()
    assert day["Timestamp"].min() >= MONDAY
    assert day["Timestamp"].max() < MONDAY + timedelta(days=1)


def test_same_seed_same_flows(day):
    assert_frame_equal(day, generate_traffic(ROWS, seed=3, attack_rate=0.05))


def test_other_seed_other_day_of_the_same_network(day):
    other = generate_traffic(ROWS, seed=4, attack_rate=0.05)
    assert other["BytesSent"].to_list() != day["BytesSent"].to_list()

    def servers(frame):
        return set(frame.filter((pl.col("DestinationPort") == 993) & (pl.col("IsAnomaly") == 0))["DestinationIP"])

    assert servers(other) == servers(day)


def test_other_network_seed_other_addresses_outside():
    assert Network(100, 0).addresses.to_list() != Network(100, 1).addresses.to_list()


@pytest.mark.parametrize("chunk_rows", [1, 777, 20_000])
def test_chunks_do_not_change_the_flows(chunk_rows):
    rows = 2_000 if chunk_rows == 1 else 50_000
    chunks = list(traffic_chunks(rows, seed=5, days=2, chunk_rows=chunk_rows))
    assert [chunk.height for chunk in chunks[:-1]] == [chunk_rows] * (len(chunks) - 1)
    assert_frame_equal(pl.concat(chunks), generate_traffic(rows, seed=5, days=2))


@pytest.mark.parametrize("rate", [0.0, 0.001, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("rows", [0, 1, 999, 20_000])
def test_attack_rate_is_met_to_the_row(rows, rate):
    frame = generate_traffic(rows, attack_rate=rate)
    assert frame.height == rows
    assert dict(frame.schema) == COLUMNS
    assert frame["IsAnomaly"].sum() == round(rows * rate)
    assert (frame["IsAnomaly"] == 1).equals(frame["Attack"] != "none")


@pytest.mark.parametrize("rows", [1_000, ROWS])
def test_each_attack_is_present(rows):
    kinds = generate_traffic(rows, seed=1)["Attack"].unique().to_list()
    assert set(kinds) == {"none", *ATTACKS}


def test_variants_of_an_attack_are_present(day):
    ddos = day.filter(pl.col("Attack") == "ddos")
    assert (ddos["Protocol"] == "UDP").any()
    assert ((ddos["Protocol"] == "TCP") & (ddos["PacketsReceived"] == 0)).any()
    assert (ddos["PacketsReceived"] > 3).any()
    scans = day.filter(pl.col("Attack") == "port_scan")
    assert scans["DestinationPort"].n_unique() > 100
    assert scans["DestinationIP"].n_unique() > 100


def test_counts_agree_with_each_other(day):
    assert day["PacketsSent"].min() >= 1
    for direction in ("Sent", "Received"):
        size, packets = pl.col(f"Bytes{direction}"), pl.col(f"Packets{direction}")
        assert day.filter(~size.is_between(packets * 28, packets * 1500)).is_empty()
    assert day["Duration"].is_finite().all()
    assert day["Duration"].min() >= 0
    # Nothing faster than 10 Gbit/s, packets of a moment aside.
    quick = (pl.col("BytesSent") + pl.col("BytesReceived")) / pl.col("Duration")
    assert day.filter((pl.col("Duration") > 0) & (quick > 1.25e9)).is_empty()


def test_ports_and_protocols(day):
    for column in ("SourcePort", "DestinationPort"):
        assert day.filter(~pl.col(column).is_between(0, 65_535)).is_empty()
    assert set(day["Protocol"].unique()) == {"TCP", "UDP", "ICMP"}
    icmp = day.filter(pl.col("Protocol") == "ICMP")
    assert icmp["SourcePort"].max() == icmp["DestinationPort"].max() == 0
    client = day.filter((pl.col("Protocol") == "TCP") & (pl.col("Attack") != "ddos"))["SourcePort"]
    assert client.min() >= 32_768


def test_no_host_talks_to_itself(day):
    assert day.filter(pl.col("SourceIP") == pl.col("DestinationIP")).is_empty()


def test_addresses_are_private_or_reserved_for_benchmarks(day):
    for column in ("SourceIP", "DestinationIP"):
        assert day[column].str.contains(r"^(10\.|198\.1[89]\.)").all()


def test_day_has_its_course(normal):
    hours = normal.group_by(pl.col("Timestamp").dt.hour().alias("hour")).len().sort("hour")["len"].to_numpy()
    assert hours[10] > 4 * hours[4]
    assert hours[14] > hours[12]
    backups = normal.filter((pl.col("DestinationPort") == 10_000) & (pl.col("Protocol") == "TCP"))
    assert backups["Timestamp"].dt.hour().is_between(22, 23).sum() + (backups["Timestamp"].dt.hour() < 7).sum() > (
        0.8 * backups.height
    )


def test_weekend_is_quiet():
    week = generate_traffic(50_000, start=datetime(2026, 3, 6, tzinfo=UTC), days=3, attack_rate=0)
    friday, saturday, sunday = week.group_by(pl.col("Timestamp").dt.date()).len().sort("Timestamp")["len"]
    assert friday > 2 * saturday
    assert friday > 2 * sunday


def test_start_is_a_time_of_day_too():
    night = generate_traffic(5_000, start=MONDAY + timedelta(hours=22), attack_rate=0)
    assert night["Timestamp"].min() >= MONDAY + timedelta(hours=22)
    hours = night.group_by(pl.col("Timestamp").dt.hour().alias("hour")).len().sort("hour")["len"].to_numpy()
    assert hours[10] > 4 * hours[4]


def test_sizes_have_heavy_tails(normal):
    size = np.sort(normal["BytesReceived"].to_numpy())[::-1]
    assert size[: len(size) // 100].sum() > 0.5 * size.sum()
    # Hill's estimator over the largest half per cent: an exponent under 2 means that there is no variance.
    largest = size[: len(size) // 200]
    hill = 1 / np.mean(np.log(largest / largest[-1]))
    assert 0.4 < hill < 2.0


def test_durations_and_sizes_are_correlated(normal):
    size = (normal["BytesReceived"] + normal["BytesSent"]).rank().to_numpy()
    assert np.corrcoef(size, normal["Duration"].rank().to_numpy())[0, 1] > 0.4


def test_popularity_outside_falls_like_zipf(normal):
    visits = normal.filter(pl.col("DestinationIP").str.starts_with("198."))["DestinationIP"].value_counts(sort=True)
    assert visits["count"][0] > 20 * visits["count"].median()
    assert visits.height > 5_000


def test_attacks_overlap_with_normal_traffic(day, normal):
    """No column alone gives a kind away: a good part of its rows lies within the central 99.8 % of normal traffic."""
    numeric = ["BytesSent", "BytesReceived", "PacketsSent", "PacketsReceived", "Duration"]
    low, high = (normal.select(pl.col(numeric).quantile(q)).row(0) for q in (0.001, 0.999))
    for kind in ATTACKS:
        rows = day.filter(pl.col("Attack") == kind)
        for column, least, most in zip(numeric, low, high, strict=True):
            inside = rows[column].is_between(least, most).mean()
            assert inside > 0.3, (kind, column, inside)


def test_beacons_keep_a_beat(day):
    beacons = day.filter(pl.col("Attack") == "beaconing").with_columns(
        gap=pl.col("Timestamp").diff().over("SourceIP", "DestinationIP").dt.total_microseconds()
    )
    spread = (
        beacons.group_by("SourceIP", "DestinationIP")
        .agg(pl.len(), variation=pl.col("gap").std() / pl.col("gap").mean())
        .filter(pl.col("len") > 50)
    )
    assert spread.height >= 3
    assert spread["variation"].max() < 0.4
    ordinary = (
        day.filter((pl.col("Attack") == "none") & (pl.col("DestinationPort") == 993))
        .with_columns(gap=pl.col("Timestamp").diff().over("SourceIP").dt.total_microseconds())
        .group_by("SourceIP")
        .agg(variation=pl.col("gap").std() / pl.col("gap").mean())
    )
    assert ordinary["variation"].median() > 0.7


def test_scans_walk_across_windows():
    scans = generate_traffic(300_000, seed=2, attack_rate=0.05).filter(pl.col("Attack") == "port_scan")
    vertical = scans.group_by("SourceIP", "DestinationIP").agg(pl.len(), pl.col("DestinationPort").n_unique())
    vertical = vertical.filter(pl.col("len") > 100)
    assert vertical.height > 0
    assert (vertical["DestinationPort"] > 0.99 * vertical["len"]).all()


def test_services_are_well_formed():
    assert len({service.name for service in SERVICES}) == len(SERVICES)
    for service in SERVICES:
        assert 0 <= service.ports[0] <= service.ports[1] <= 65_535
        assert max(service.segment) <= 1448


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_files_hold_the_frame(tmp_path, suffix):
    path = tmp_path / f"day{suffix}"
    write_traffic(path, 3_000, seed=9)
    expected = generate_traffic(3_000, seed=9)
    if suffix == ".parquet":
        read = pl.read_parquet(path)
    else:
        text = gzip.decompress(path.read_bytes()) if suffix == ".csv.gz" else path.read_bytes()
        types = {name: kind for name, kind in COLUMNS.items() if name != "Timestamp"}
        read = pl.read_csv(text, schema_overrides=types, try_parse_dates=True)
        assert b"T00:" in text.splitlines()[1]
    assert_frame_equal(read.cast({"Timestamp": COLUMNS["Timestamp"]}), expected)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_nothing_is_left_behind_on_failure(tmp_path, monkeypatch):
    def fail(*_args, **_keywords):
        raise OSError("no space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_csv", fail)
    with pytest.raises(OSError, match="no space left"):
        write_traffic(tmp_path / "day.csv", 100)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong", [{"attack_rate": 1.5}, {"days": 0}, {"hosts": 10}, {"start": datetime(2026, 3, 2)}, {"chunk_rows": 0}]
)
def test_wrong_arguments_are_named(wrong):
    with pytest.raises(ValueError, match="got"):
        list(traffic_chunks(10, **wrong))


def test_command_line(tmp_path, capsys):
    main([str(tmp_path / "day.csv"), "--rows", "500", "--seed", "2", "--attack-rate", "0.1", "--start", "2026-03-07"])
    read = pl.read_csv(tmp_path / "day.csv")
    assert read.height == 500
    assert read["IsAnomaly"].sum() == 50
    assert read["Timestamp"][0].startswith("2026-03-07T")
    with pytest.raises(SystemExit, match="1"):
        main([str(tmp_path / "day.txt")])
    assert "expected one that ends in .csv" in capsys.readouterr().err


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path):
    """Peak memory for 12 M rows stays within 20 % of that for 3 M."""

    def peak(rows: int) -> int:
        script = (
            "import resource, sys\n"
            "from netsieve.bench.traffic import write_traffic\n"
            f"write_traffic({str(tmp_path / 'big.parquet')!r}, {rows}, days=1)\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        )
        return int(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout)

    assert peak(12_000_000) < 1.2 * peak(3_000_000)
