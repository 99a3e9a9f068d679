import numpy as np
import pytest
from export_cases import KINDS, fitted_case, session

from netsieve.engine.detectors.core import BASE_SCORE
from netsieve.engine.detectors.coreset import random_rows, spread_rows
from netsieve.engine.detectors.kmeans import KMeansDistance, KMeansParameters
from netsieve.engine.detectors.nearest import NearestNeighbours, NearestParameters
from netsieve.engine.detectors.stored_rows import StoredRows
from netsieve.engine.errors import ExportError, TrainingError
from netsieve.engine.features.preprocessing import prepare
from netsieve.export.cores import core_model


def naive_score(core, row):
    squared = sorted(float((core.weight * (row - stored) ** 2).sum()) for stored in core.rows.astype(np.float64))
    nearest = squared[: core.neighbours]
    return BASE_SCORE + (max(nearest) if core.aggregation == "farthest" else sum(nearest) / len(nearest))


def random_core(width, *, rows=60, neighbours=1, aggregation="mean", seed=0):
    rng = np.random.default_rng(seed)
    stored = rng.normal(size=(rows, width)).astype(np.float32)
    return StoredRows(stored, rng.uniform(0.5, 90, width).astype(np.float32), neighbours, aggregation)


@pytest.mark.parametrize("aggregation", ["mean", "farthest"])
@pytest.mark.parametrize("neighbours", [1, 3, 60])
def test_graph_and_reference_are_the_naive_distance(neighbours, aggregation):
    schema, x = fitted_case(KINDS["mixed"], rows=200)
    z = prepare(schema, x)
    core = random_core(z.shape[1], neighbours=neighbours, aggregation=aggregation)
    expected = [naive_score(core, row) for row in z]
    np.testing.assert_allclose(core.score(z), expected, rtol=1e-12)
    np.testing.assert_allclose(BASE_SCORE + core.column_errors(z).sum(axis=1), core.score(z))
    scores, parts = session(core_model(core, schema)).run(["score", "feature_error"], {"x": x})
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    np.testing.assert_allclose(BASE_SCORE + parts.sum(axis=1), scores, rtol=1e-5)


def test_scores_are_those_of_scikit_learn():
    from sklearn.neighbors import NearestNeighbors

    schema, x = fitted_case(KINDS["mixed"], rows=900)
    parameters = NearestParameters(weighting="equal", neighbours=5, aggregation="farthest", stored_rows=300)
    detector = NearestNeighbours(parameters).fit(schema, x[:600], x[600:700])
    z = prepare(schema, x[700:])
    # PyOD's KNN with method "largest" is this distance
    distances, _ = NearestNeighbors(n_neighbors=5).fit(detector.core.rows.astype(np.float64)).kneighbors(z)
    np.testing.assert_allclose(detector.reference_score(x[700:]), BASE_SCORE + distances[:, -1] ** 2, rtol=1e-9)


def test_the_nearest_of_many_stored_rows_that_lie_together_far_out_is_found():
    # |a|**2 - 2 ab + |b|**2 in float32 cannot tell 25 rows each from another
    schema, _ = fitted_case([f"plain none {i}" for i in range(30)], rows=100)
    rng = np.random.default_rng(1)
    corners = np.repeat(rng.choice([-9, 9], size=(20, 30)), 25, axis=0)
    stored = (corners + rng.normal(0, 0.003, corners.shape)).astype(np.float32)
    core = StoredRows(stored, np.full(30, 100, dtype=np.float32))
    rows = (stored + rng.normal(0, 0.001, stored.shape)).astype(np.float32)
    scores = session(core_model(core, schema)).run(["score"], {"x": rows})[0]
    reference = core.score(prepare(schema, rows))
    assert reference.max() < 1.1
    np.testing.assert_allclose(scores, reference, rtol=1e-5)
    # so that the test can fail: the quick way in float32
    squares = (np.square(rows) * core.weight).sum(axis=1, dtype=np.float32)
    products = (rows * core.weight) @ stored.T
    quick = squares[:, None] - 2 * products + (np.square(stored) * core.weight).sum(axis=1)
    assert np.abs(BASE_SCORE + quick.min(axis=1) - reference).max() > 0.01


def test_equal_distances_and_few_stored_rows():
    schema, _ = fitted_case(("plain none a", "plain none b"), rows=50)
    core = StoredRows(np.array([[0, 0], [2, 0], [0, 2]], dtype=np.float32), np.ones(2, dtype=np.float32), 2)
    rows = np.array([[1, 1], [1, 0], [0, 0], [2, 2]], dtype=np.float32)
    scores = session(core_model(core, schema)).run(["score"], {"x": rows})[0]
    np.testing.assert_array_equal(scores, core.score(rows))
    np.testing.assert_array_equal(scores, np.array([3, 2, 3, 5], dtype=np.float32))


def test_a_schema_of_another_width_is_refused():
    schema, _ = fitted_case(KINDS["plain"])
    with pytest.raises(ExportError, match="schema prepares 2"):
        core_model(random_core(5), schema)


def test_columns_that_usually_agree_weigh_more():
    schema, x = fitted_case(("plain a", "constant", "plain b"), rows=600)
    detector = NearestNeighbours().fit(schema, x[:400], x[400:])
    weight = detector.core.weight
    # a constant column's difference is always 0: one over the floor
    assert weight[1] == pytest.approx(100)
    assert weight[0] < 100
    assert NearestNeighbours(NearestParameters(weighting="equal")).fit(schema, x[:400], x[400:]).core.weight[1] == 1


def test_random_rows_are_different_rows_of_the_set():
    rows = np.repeat(np.arange(50, dtype=np.float32), 20)[:, None]
    chosen = random_rows(rows, 10, 0)
    assert len(np.unique(chosen)) == len(chosen) == 10
    np.testing.assert_array_equal(random_rows(rows, 80, 0), np.arange(50, dtype=np.float32)[:, None])


def test_spread_rows_cover_what_is_rare():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(5_000, 4)).astype(np.float32)
    rows[:3] = 40 + rng.normal(size=(3, 4))
    rows = np.concatenate([rows, rows[:1000]])

    def reach(chosen):
        return max(float(np.square(chosen - row).sum(axis=1).min()) for row in rows[::7])

    spread = spread_rows(rows, 100, 0, random_share=0.5)
    assert spread.shape == (100, 4)
    assert len(np.unique(spread, axis=0)) == 100
    assert (spread[:, 0] > 30).any()
    assert reach(spread) < 0.5 * reach(random_rows(rows, 100, 0))
    assert {row.tobytes() for row in spread} <= {row.tobytes() for row in rows}


def test_a_coreset_takes_the_farthest_row_each_time():
    # naive twin of the greedy part
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(300, 3)).astype(np.float32)
    chosen = list(random_rows(rows, 10, 0))
    while len(chosen) < 20:
        distance = [min(float(np.square(row - other).sum()) for other in chosen) for row in rows]
        chosen.append(rows[int(np.argmax(distance))])
    np.testing.assert_array_equal(spread_rows(rows, 20, 0, random_share=0.5), np.array(chosen))


def test_a_coreset_ends_where_no_row_is_new():
    rows = np.repeat(np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32), 30, axis=0)
    assert len(spread_rows(rows, 100, 0)) == 7
    assert len(spread_rows(rows, 10, 0)) == 7


def test_centres_are_those_of_scikit_learn():
    from sklearn.cluster import KMeans

    schema, x = fitted_case(KINDS["plain"], rows=600)
    parameters = KMeansParameters(clusters=6, weighting="equal", restarts=2)
    detector = KMeansDistance(parameters).fit(schema, x[:400], x[400:500], seed=3)
    z = prepare(schema, x)
    fitted = KMeans(6, n_init=2, random_state=3).fit(z[:400].astype(np.float32))
    expected = BASE_SCORE + fitted.transform(z[500:].astype(np.float32)).min(axis=1) ** 2
    np.testing.assert_allclose(detector.reference_score(x[500:]), expected, rtol=1e-5)


def test_there_are_no_more_centres_than_different_rows():
    schema, x = fitted_case(KINDS["category"], rows=600)
    detector = KMeansDistance().fit(schema, x[:400], x[400:500])
    assert len(detector.core.rows) == len(np.unique(x[:400])) < 128
    np.testing.assert_allclose(detector.reference_score(x[:400]), BASE_SCORE, atol=1e-9)


@pytest.mark.parametrize(
    ("parameters", "values"),
    [
        (NearestParameters, {"stored_rows": 0}),
        (NearestParameters, {"neighbours": 2, "stored_rows": 1}),
        (NearestParameters, {"selection": "all"}),
        (NearestParameters, {"aggregation": "median"}),
        (NearestParameters, {"weighting": "none"}),
        (KMeansParameters, {"clusters": 0}),
        (KMeansParameters, {"restarts": 0}),
    ],
)
def test_parameters_are_checked(parameters, values):
    with pytest.raises(TrainingError, match=next(iter(values))):
        parameters.from_dict(values)
