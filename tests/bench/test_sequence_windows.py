import numpy as np
import pytest
from sequence_cases import naive_windows

from netsieve.bench.sequence_windows import windows_of


@pytest.mark.parametrize("window", [1, 2, 5, 40])
@pytest.mark.parametrize("entities", [1, 3, 50])
def test_windows_are_those_of_the_obvious_way(entities, window):
    rng = np.random.default_rng(entities)
    x = rng.normal(size=(60, 2)).astype(np.float32)
    entity = rng.integers(0, entities, 60)
    expected = naive_windows(x, entity, window)
    np.testing.assert_array_equal(windows_of(x, entity, window), expected)
    some = rng.permutation(60)[:7]
    np.testing.assert_array_equal(windows_of(x, entity, window, some), expected[some])


def test_no_records_have_no_windows():
    assert windows_of(np.empty((0, 2), "f4"), np.empty(0, np.int64), 3).shape == (0, 3, 2)
