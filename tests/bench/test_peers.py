"""The peers of the pipeline benchmark give the scores of netsieve's model: they run the same network."""

from pathlib import Path

import polars as pl
import pytest

import netsieve.bench
from netsieve.bench.agreement import LARGEST_DIFFERENCE, read_scores, score_agreement
from netsieve.bench.pipelines import contenders
from netsieve.bench.process import run_process

ROWS = 3_000


@pytest.fixture(scope="module")
def outputs(workload, tmp_path_factory) -> dict[str, Path]:
    cases = contenders(workload, tmp_path_factory.mktemp("out"), threads=2)
    for command, _ in cases.values():
        run_process(command)
    return {name: out for name, (_, out) in cases.items()}


@pytest.mark.parametrize("name", ["student", "expert", "expert, scores only", "netsieve, scores only"])
def test_contenders_agree(outputs, name):
    agreement = score_agreement(read_scores(outputs[name]), read_scores(outputs["netsieve"]))
    assert agreement["rows"] == ROWS
    assert agreement["largest_difference"] < LARGEST_DIFFERENCE
    assert agreement["rank_correlation"] > 0.99999


@pytest.mark.parametrize("pair", [("expert", "netsieve"), ("expert, scores only", "netsieve, scores only")])
def test_expert_writes_the_same_columns_and_decisions(outputs, pair):
    expert, ours = (pl.read_parquet(outputs[name]) for name in pair)
    assert set(expert.columns) == set(ours.columns)
    assert expert["row_index"].to_list() == ours["row_index"].to_list() == list(range(ROWS))
    # Rows within rounding of the threshold may fall on either side.
    assert (expert["is_anomaly"] == ours["is_anomaly"]).mean() > 0.999
    if pair[0] == "expert":
        for column in ("Timestamp", "SourceIP", "DestinationPort", "BytesReceived", "Duration", "Attack"):
            assert expert[column].dtype == ours[column].dtype, column
            assert expert[column].equals(ours[column]), column


def test_peers_know_nothing_of_netsieve():
    folder = Path(netsieve.bench.__file__).parent
    for page in ("student_pipeline.py", "expert_pipeline.py"):
        code = (folder / page).read_text()
        assert "import netsieve" not in code
        assert "from netsieve" not in code
