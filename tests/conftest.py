import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples every time, so that a change is what makes a test fail; `make test-random` draws others
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("random", derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

sys.path.insert(0, str(Path(__file__).parent))


def _data_root() -> Path | None:
    named = os.environ.get("NETSIEVE_DATA")
    candidates = [Path(named)] if named else [Path(__file__).parents[2] / "shared" / "data"]
    return next((path for path in candidates if (path / "README.md").is_file()), None)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of the real data sets, or skip."""
    root = _data_root()
    if root is None:
        pytest.skip("no real data: set NETSIEVE_DATA, or put it in ../shared/data")
    return root
