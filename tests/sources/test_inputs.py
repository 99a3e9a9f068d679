import pytest

from netsieve.engine.errors import SourceError
from netsieve.engine.sources import expand_inputs


@pytest.fixture
def folder(tmp_path):
    for name in (
        "b.csv",
        "a.csv.gz",
        "deep/c.PARQUET",
        "deep/.hidden.csv",
        "_SUCCESS",
        "_tmp/x.csv",
        "notes.md",
        "e.tsv.zst",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "empty").mkdir()
    return tmp_path


def names(folder, inputs):
    return [path.removeprefix(f"{folder}/") for path in expand_inputs(inputs)]


def test_a_folder_stands_for_its_readable_files_sorted(folder):
    assert names(folder, [str(folder)]) == ["a.csv.gz", "b.csv", "deep/c.PARQUET", "e.tsv.zst"]


def test_a_folder_stands_for_logs_of_all_formats_but_not_for_what_scoring_writes(tmp_path):
    logs = ["conn.log.gz", "eve.json", "flow.ndjson", "nfcapd.202001010000", "packets.pcapng", "x.labeled", "y.nfdump"]
    for name in [*logs, "manifest.json", "out.parquet.rejects.ndjson", "run.sh"]:
        (tmp_path / name).touch()
    assert names(tmp_path, [str(tmp_path)]) == logs


def test_globs_are_sorted_and_folders_left_out(folder):
    assert names(folder, [f"{folder}/*"]) == ["_SUCCESS", "a.csv.gz", "b.csv", "e.tsv.zst", "notes.md"]
    assert names(folder, [f"{folder}/**/*.PARQUET"]) == ["deep/c.PARQUET"]


def test_inputs_keep_their_order_and_come_once(folder):
    inputs = ["-", f"{folder}/notes.md", f"{folder}/b.csv", f"{folder}/*.csv", "-"]
    assert names(folder, inputs) == ["-", "notes.md", "b.csv"]


def test_a_file_whose_name_looks_like_a_pattern_is_itself(folder):
    (folder / "[1].csv").touch()
    assert names(folder, [f"{folder}/[1].csv"]) == ["[1].csv"]


@pytest.mark.parametrize(
    ("given", "message"),
    [("absent.csv", "there is no file"), ("*.absent", "no file matches"), ("empty", "holds no file ending in")],
)
def test_inputs_that_stand_for_nothing_are_errors(folder, given, message):
    with pytest.raises(SourceError, match=message):
        expand_inputs([f"{folder}/{given}"])


def test_no_input_is_an_error():
    with pytest.raises(SourceError, match="no input"):
        expand_inputs([])
