import numpy as np
import polars as pl
import pytest

from netsieve.engine.errors import SourceError
from netsieve.engine.sources import ReadOptions
from netsieve.engine.sources.reading import read_frame

KDD_COLUMNS = [f"c{i}" for i in range(42)]


@pytest.fixture
def numbers(tmp_path):
    path = tmp_path / "numbers.csv"
    path.write_text("n,text\n" + "".join(f"{i},a text that is longer than twelve bytes {i}\n" for i in range(20_000)))
    return str(path)


def test_all_rows_are_kept_below_the_limit(numbers):
    read = read_frame([numbers], max_rows=20_000, block_bytes=50_000)
    assert read.frame["n"].to_list() == list(range(20_000))
    assert read.rows_seen == 20_000


def test_a_sample_is_exact_in_size_uniform_and_in_file_order(numbers):
    totals = np.zeros(10)
    for seed in range(20):
        read = read_frame([numbers], max_rows=500, seed=seed, block_bytes=50_000)
        n = read.frame["n"].to_numpy()
        assert (len(n), read.rows_seen) == (500, 20_000)
        assert (np.diff(n) > 0).all()
        assert read.frame["text"][7] == f"a text that is longer than twelve bytes {n[7]}"
        totals += np.histogram(n, bins=10, range=(0, 20_000))[0]
    # 10,000 rows in 10 equal parts: the deviation of each is 30
    assert np.abs(totals - 1000).max() < 5 * 30


def test_a_sample_is_reproducible(numbers):
    first, again, other = (read_frame([numbers], max_rows=100, seed=seed).frame for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_files_of_different_columns_and_kinds_are_joined(tmp_path):
    (tmp_path / "1.csv").write_text("a,b,only\n1,,x\n2,,y\n")
    (tmp_path / "2.csv").write_text("b,a\n3,1.5\n4,2\n")
    pl.DataFrame({"a": [7], "b": [8]}).write_parquet(tmp_path / "3.parquet")
    frame = read_frame([str(tmp_path)]).frame
    assert frame.to_dict(as_series=False) == {
        "a": [1.0, 2.0, 1.5, 2.0, 7.0],
        "b": [None, None, 3, 4, 8],
        "only": ["x", "y", None, None, None],
    }


def test_rejects_and_skipped_lines_are_counted_over_all_files(tmp_path):
    for name in ("1.csv", "2.csv"):
        (tmp_path / name).write_text("a,b\n1,2\n\n3\n" + "x\n" * 600)
    bytes_read = []
    read = read_frame([str(tmp_path)], progress=bytes_read.append)
    assert (read.rejected, len(read.rejects), read.skipped) == (1202, 1000, {"blank": 2})
    assert {reject.source_file for reject in read.rejects} == {str(tmp_path / "1.csv"), str(tmp_path / "2.csv")}
    assert sum(bytes_read) == 2 * (tmp_path / "1.csv").stat().st_size


def test_a_limit_below_one_is_refused(numbers):
    with pytest.raises(SourceError, match="max_rows is 0"):
        read_frame([numbers], max_rows=0)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("pattern", "names", "rows", "columns"),
    [
        ("unsw_nb15/*.csv.gz", None, 61_749, 45),
        ("kddcup99/*.gz", KDD_COLUMNS, 494_021, 42),
        ("nsl_kdd/*.gz", [*KDD_COLUMNS, "difficulty"], 25_192, 43),
        ("cicids2017_improved/*.parquet", None, 43_419, 91),
        ("argus_binetflow/CTU-Malware*", None, 23_602, 15),
        ("argus_binetflow/CTU-Normal*", None, 9_797, 17),
        ("argus_binetflow/slips_test2*", None, 6_751, 16),
        ("iot23/*.csv.gz", None, 16_791, 23),
        ("beth_sample/labelled_testing_data.csv", None, 100, 21),
    ],
)
def test_real_files_are_read_whole(real_data, pattern, names, rows, columns):
    read = read_frame([str(real_data / pattern)], options=ReadOptions(names=names))
    assert (read.frame.shape, read.rejected, read.skipped) == ((rows, columns), 0, {})


@pytest.mark.real_data
def test_real_labels_have_their_published_counts(real_data):
    unsw = read_frame([str(real_data / "unsw_nb15/*.gz")]).frame
    assert unsw["label"].sum() == 33_998
    kdd = read_frame([str(real_data / "kddcup99/*.gz")], options=ReadOptions(names=KDD_COLUMNS)).frame
    assert kdd["c41"].value_counts().filter(pl.col("c41") == "smurf.")["count"].item() == 280_790
