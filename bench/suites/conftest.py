"""Collection of the benchmark suites: ``pytest bench/suites --benchmark-enable``."""

from pathlib import Path

import pytest

from netsieve.bench.scoring_case import WIDTHS, ScoringCase

ROWS = 200_000


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect ``bench_*.py``, which pytest does not on its own: the ordinary test run passes them by."""
    if file_path.match("bench_*.py") and not parent.session.isinitpath(file_path):
        return pytest.Module.from_parent(parent, path=file_path)
    return None


@pytest.fixture(scope="session", params=WIDTHS, ids=lambda width: f"{width} features")
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ScoringCase:
    """Return records to score and their models, on one thread."""
    return ScoringCase(request.param, ROWS, tmp_path_factory.mktemp("models"))
