"""Native scoring kernels of every instruction set that this machine has, against float64 arithmetic."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsieve.engine.detectors.dense_autoencoder import NEGATIVE_SLOPE, DenseAutoencoder, DenseLayer
from netsieve.engine.features.encoding import write_rows
from netsieve.engine.features.preprocessing import signed_log
from netsieve.engine.features.schema import LARGEST_NUMBER
from netsieve.kernels._native import (
    ScoringPlan,
    chosen_variant,
    dense_autoencoder,
    multiply_adds,
    preparation,
    scoring_variants,
)

VARIANTS = scoring_variants()
SLOPES = {"linear": 1.0, "relu": 0.0, "leaky_relu": NEGATIVE_SLOPE}


def numbers(variant, count, *, signed_log=False, center=0.0, scale=1.0, limit=1e6, view="prepared"):
    """Return the preparation of numbers alone."""
    constants = (np.full(count, value, np.float32) for value in (center, scale, 0.0))
    return preparation(
        variant,
        count,
        view,
        np.arange(count, dtype=np.int32),
        np.full(count, signed_log),
        *constants,
        np.zeros(0, np.int32),
        [],
        limit,
        1e30,
    )


def random_core(sizes, code, aggregation, latent, seed=0):
    """Return an autoencoder of these layer sizes, of which the first ``code`` layers encode."""
    rng = np.random.default_rng(seed)
    kinds = [
        "linear" if i in (code - 1, len(sizes) - 2) else ("relu", "leaky_relu")[i % 2] for i in range(len(sizes) - 1)
    ]
    layers = [
        DenseLayer(
            (rng.normal(size=(inputs, outputs)) / np.sqrt(inputs)).astype(np.float32),
            rng.normal(0, 0.3, outputs).astype(np.float32),
            kind,
        )
        for inputs, outputs, kind in zip(sizes[:-1], sizes[1:], kinds, strict=True)
    ]
    weight = rng.uniform(0.1, 5, sizes[0]).astype(np.float32)
    width = sizes[code]
    center = rng.normal(size=width).astype(np.float32) if latent else None
    whitening = rng.normal(size=(width, width)).astype(np.float32) if latent else None
    return DenseAutoencoder(tuple(layers[:code]), tuple(layers[code:]), weight, aggregation, center, whitening)


def kernel_of(variant, core, one_hot=()):
    """Return the native kernel of an autoencoder over columns that are features."""
    encoder, decoder = (
        [(layer.weight, layer.bias, SLOPES[layer.activation]) for layer in part]
        for part in (core.encoder, core.decoder)
    )
    width = len(core.error_weight)
    latent = None
    if core.latent_center is not None:
        bias = -core.latent_center.astype(np.float64) @ core.latent_whitening.astype(np.float64)
        latent = (core.latent_whitening, bias.astype(np.float32), 1.0)
    share = 1 / width if core.aggregation == "log_mean" else 1.0
    return dense_autoencoder(
        variant,
        encoder,
        decoder,
        core.aggregation,
        core.error_weight,
        share,
        np.arange(width, dtype=np.int32),
        width,
        latent,
        float(width),
        list(one_hot),
        core.base_score,
    )


def plan_of(variant, core, one_hot=()):
    width = len(core.error_weight)
    return ScoringPlan(
        variant,
        prepared=numbers(variant, width),
        unscaled=None,
        kernels=[kernel_of(variant, core, one_hot)],
        explained=0,
    )


def assert_scores(scores, reference):
    allowed = 1e-5 * (np.abs(reference) + np.median(reference))
    assert scores.dtype == np.float32
    assert (np.abs(scores - reference) <= allowed).all(), np.max(np.abs(scores - reference) / allowed)


def test_the_portable_variant_is_everywhere_and_the_best_is_chosen(monkeypatch):
    monkeypatch.delenv("NETSIEVE_CPU", raising=False)
    assert VARIANTS[-1] == "portable"
    assert chosen_variant() == VARIANTS[0]
    for name in VARIANTS:
        monkeypatch.setenv("NETSIEVE_CPU", name)
        assert chosen_variant() == name
    monkeypatch.setenv("NETSIEVE_CPU", "mmx")
    with pytest.raises(ValueError, match=r"NETSIEVE_CPU is 'mmx'.*it has .*portable; unset it"):
        chosen_variant()
    with pytest.raises(ValueError, match="no kernels 'mmx'"):
        numbers("mmx", 3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_multiply_adds_counts_its_operations(variant):
    assert multiply_adds(variant, 2000) == 2 * multiply_adds(variant, 1000) > 0


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("aggregation", ["sum", "log_mean", "absolute"])
@pytest.mark.parametrize(
    ("sizes", "code"),
    [
        ((1, 1, 1), 1),
        ((2, 9, 3, 17, 2), 2),
        ((10, 64, 32, 16, 32, 64, 10), 3),
        ((41, 7, 41), 1),
        ((61, 8, 1, 5, 61), 2),
        ((115, 64, 32, 16, 32, 64, 115), 3),
    ],
)
def test_an_autoencoder_follows_float64(variant, aggregation, sizes, code):
    x = np.random.default_rng(1).normal(0, 2, (500, sizes[0])).astype(np.float32)
    for latent in (False, True):
        core = replace(random_core(sizes, code, aggregation, latent), base_score=0.5 * latent)
        plan = plan_of(variant, core)
        assert_scores(plan.score(x), core.score(x))
        errors = core.column_errors(x)
        np.testing.assert_allclose(plan.feature_error(x), errors, rtol=1e-4, atol=1e-5 * np.median(errors.sum(axis=1)))


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    aggregation=st.sampled_from(("sum", "log_mean", "absolute")),
    latent=st.booleans(),
    rows=st.integers(1, 260),
    data=st.data(),
)
def test_autoencoders_of_any_shape_follow_float64(sizes, aggregation, latent, rows, data):
    code = data.draw(st.integers(1, len(sizes) - 1))
    sizes = [*sizes, sizes[0]]
    core = random_core(sizes, code, aggregation, latent, seed=rows)
    x = np.random.default_rng(rows).normal(0, 3, (rows, sizes[0])).astype(np.float32)
    reference = core.score(x)
    for variant in VARIANTS:
        assert_scores(plan_of(variant, core).score(x), reference)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("counts", [(1,), (5, 6), (16, 17), (32, 33, 2), (35,), (48, 49), (64, 65), (80, 7)])
def test_one_hot_columns_are_looked_up(variant, counts):
    rng = np.random.default_rng(sum(counts))
    parts, one_hot, width = [], [], 0
    for count in counts:
        parts += [rng.normal(size=(500, 1)), np.eye(count)[rng.integers(0, count, 500)]]
        one_hot.append((width + 1, count))
        width += 1 + count
    x = np.ascontiguousarray(np.hstack(parts), dtype=np.float32)
    for outputs in (3, 30):
        core = random_core((width, outputs, width), 1, "sum", latent=True)
        plan = plan_of(variant, core, one_hot)
        scores = plan.score(x)
        assert_scores(scores, core.score(x))
        np.testing.assert_allclose(plan.feature_error(x), core.column_errors(x), rtol=1e-4, atol=1e-4)
        for rows in (1, 17, 49):
            np.testing.assert_array_equal(plan.score(x[:rows]), scores[:rows])
        # Whatever the columns hold, nothing else is read
        for wrong in (x * 1e9, np.full_like(x, np.nan), -x):
            assert plan.score(wrong).shape == (500,)


@pytest.mark.parametrize("one_hot", [[(0, 9)], [(-1, 7)], [(7, 2)], [(1, 6), (6, 2)], [(4, -1)], [(2**31 - 1, 7)]])
def test_one_hot_columns_that_are_not_there_are_refused(one_hot):
    core = random_core((8, 3, 8), 1, "sum", latent=False)
    with pytest.raises(ValueError, match="one-hot"):
        kernel_of(VARIANTS[0], core, one_hot)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_score_does_not_depend_on_the_rows_around_it(variant):
    core = random_core((13, 24, 5, 24, 13), 2, "log_mean", latent=True)
    x = np.random.default_rng(2).normal(size=(1000, 13)).astype(np.float32)
    plan = plan_of(variant, core)
    scores, errors = plan.score(x), plan.feature_error(x)
    assert plan.score(x[:0]).shape == (0,)
    assert plan.feature_error(x[:0]).shape == (0, 13)
    for rows in (1, 2, 15, 16, 17, 33, 47, 48, 49, 95, 97, 191, 192, 193, 500):
        for start in (0, 7, 1000 - rows):
            part = np.ascontiguousarray(x[start : start + rows])
            np.testing.assert_array_equal(plan.score(part), scores[start : start + rows])
            np.testing.assert_array_equal(plan.feature_error(part), errors[start : start + rows])


@pytest.mark.parametrize("variant", VARIANTS)
def test_threads_share_a_plan(variant):
    core = random_core((20, 16, 4, 16, 20), 2, "sum", latent=True)
    x = np.random.default_rng(3).normal(size=(40, 500, 20)).astype(np.float32)
    plan = plan_of(variant, core)
    expected = [plan.score(part) for part in x]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(plan.score, x))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 11, 16, 17])
def test_rows_are_transposed_and_back(variant, width):
    x = np.arange(401 * width, dtype=np.float32).reshape(401, width)
    core = random_core((width, 2, width), 1, "sum", latent=False)
    plan = plan_of(variant, core)
    for rows in (1, 2, 47, 48, 49, 400, 401):
        np.testing.assert_array_equal(plan.columns(x[:rows], "prepared"), x[:rows])
    with pytest.raises(ValueError, match="does not prepare"):
        plan.columns(x, "unscaled")


CELL_TYPES = [np.dtype(name) for name in ["bool", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"]]


def any_cells(dtype, rows, seed):
    """Return cells of all sizes that a type has, its extremes among them."""
    rng = np.random.default_rng(seed)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            cells = (rng.normal(size=rows) * 10.0 ** rng.integers(-40, 40, rows)).astype(dtype)
        edges = [np.nan, np.inf, -np.inf, np.finfo(dtype).max, np.finfo(dtype).min, 0.0]
    else:
        cells = (rng.integers(0, 2**62, rows) >> rng.integers(0, 62, rows)).astype(dtype)
        edges = [0, 1] if dtype.kind == "b" else [0, 1, np.iinfo(dtype).min, np.iinfo(dtype).max]
    chosen = rng.random(rows) < 0.1
    cells[chosen] = rng.choice(np.array(edges, dtype=dtype), chosen.sum())
    return cells


@pytest.mark.parametrize("variant", VARIANTS)
@settings(deadline=None, max_examples=40)
@given(
    types=st.lists(st.sampled_from(CELL_TYPES), min_size=1, max_size=6),
    rows=st.integers(0, 300),
    start=st.integers(0, 60),
    seed=st.integers(0, 2**32 - 1),
)
def test_columns_of_any_type_score_as_the_matrix_that_is_made_of_them(variant, types, rows, start, seed):
    columns = [any_cells(dtype, start + rows + 3, seed + i) for i, dtype in enumerate(types)]
    x = np.empty((rows, len(columns)), dtype=np.float32)
    write_rows(columns, start, x)
    plan = plan_of(variant, random_core((len(columns), 4, len(columns)), 1, "sum", latent=False))
    np.testing.assert_array_equal(plan.score_columns(columns, start, start + rows, LARGEST_NUMBER), plan.score(x))


def test_columns_that_do_not_fit_are_refused():
    plan = plan_of(VARIANTS[0], random_core((2, 3, 2), 1, "sum", latent=False))
    good = np.zeros(10)
    odd = np.frombuffer(bytes(81), dtype=np.uint8)[1:].view(np.float64)
    for columns, start, stop, message in (
        ([good], 0, 10, "1 columns are given, where 2 are expected"),
        ([good, good], 4, 3, "end before they start"),
        ([good, good[:9]], 0, 10, "a column has 9 rows, where 10 are expected"),
        ([good, odd], 0, 10, "address of its type"),
        ([good, good.astype(np.float16)], 0, 10, "type that is not read"),
        ([good, good.astype(np.complex64)], 0, 10, "type that is not read"),
    ):
        with pytest.raises(ValueError, match=message):
            plan.score_columns(columns, start, stop, LARGEST_NUMBER)


def test_rows_and_weights_may_lie_anywhere_or_are_refused():
    core = random_core((5, 3, 5), 1, "sum", latent=False)
    plan = plan_of(VARIANTS[0], core)
    x = np.random.default_rng(5).normal(size=(50, 5)).astype(np.float32)
    odd = np.frombuffer(b"\0" + x.tobytes(), dtype=np.uint8)[1:].view(np.float32).reshape(x.shape)
    assert not odd.flags.aligned
    np.testing.assert_array_equal(plan.score(odd), plan.score(x))
    np.testing.assert_array_equal(plan.feature_error(odd), plan.feature_error(x))
    layer = (odd, np.zeros(5, np.float32), 1.0)
    with pytest.raises(ValueError, match="address of its type"):
        dense_autoencoder(VARIANTS[0], [layer], [layer], "sum", odd[0], 1.0, np.arange(5, dtype=np.int32), 5)


def extremes():
    powers = np.float32(10.0) ** np.arange(-37, 39, dtype=np.float32)
    rng = np.random.default_rng(4)
    usual = np.exp(rng.uniform(-40, 88, 20_000)).astype(np.float32)
    steps = np.nextafter(np.float32(1), np.float32(2)) * np.float32(2) ** np.arange(-20, 60, dtype=np.float32)
    found = np.concatenate([powers, usual, steps, [0, 1e-45, 3e38, np.inf]]).astype(np.float32)
    return np.concatenate([found, -found, [np.nan]]).astype(np.float32)[:, None]


@pytest.mark.parametrize("variant", VARIANTS)
def test_logarithms_are_within_a_few_units_of_the_last_place(variant):
    x = extremes()
    core = random_core((1, 1, 1), 1, "sum", latent=False)
    plan = ScoringPlan(
        variant,
        prepared=numbers(variant, 1, signed_log=True),
        unscaled=numbers(variant, 1, view="unscaled"),
        kernels=[kernel_of(variant, core)],
    )
    found = plan.columns(x, "prepared")[:, 0]
    finite = np.isfinite(x[:, 0])
    # 1 + |x| rounds once, the logarithm a few times
    one_more = np.float32(1) + np.abs(x[finite, 0])
    expected = np.sign(x[finite, 0]) * np.log(one_more.astype(np.float64))
    np.testing.assert_allclose(found[finite], expected, rtol=3e-7, atol=1e-8)
    np.testing.assert_allclose(found[finite], signed_log(x[finite, 0].astype(np.float64)), rtol=3e-7, atol=7e-8)
    assert found[np.isnan(x[:, 0])].tolist() == [0]  # the fill
    assert np.isfinite(found).all()  # infinite logarithms are bounded by the soft clip
    np.testing.assert_array_equal(plan.columns(x, "unscaled"), x)


def test_what_does_not_fit_is_refused():
    core = random_core((4, 3, 4), 1, "sum", latent=False)
    variant = VARIANTS[0]
    plan = plan_of(variant, core)
    with pytest.raises(ValueError, match="5 features, where 4"):
        plan.score(np.zeros((2, 5), np.float32))
    for wrong in (np.zeros((2, 4)), np.zeros((4, 2), np.float32).T, np.zeros(4, np.float32), None):
        with pytest.raises(TypeError):
            plan.score(wrong)
    with pytest.raises(ValueError, match="takes 4 columns, and the plan has 3"):
        ScoringPlan(variant, prepared=numbers(variant, 3), unscaled=None, kernels=[kernel_of(variant, core)])
    with pytest.raises(ValueError, match="does not prepare the view"):
        ScoringPlan(
            variant, prepared=None, unscaled=numbers(variant, 4, view="unscaled"), kernels=[kernel_of(variant, core)]
        )
    with pytest.raises(ValueError, match="needs a view"):
        ScoringPlan(variant, prepared=None, unscaled=None, kernels=[])
    with pytest.raises(ValueError, match="another number"):
        ScoringPlan(variant, prepared=numbers(variant, 4), unscaled=None, kernels=[kernel_of(variant, core)] * 2)
    with pytest.raises(ValueError, match="no kernel 1"):
        ScoringPlan(
            variant, prepared=numbers(variant, 4), unscaled=None, kernels=[kernel_of(variant, core)], explained=1
        )


def test_layers_that_do_not_fit_are_refused():
    layer = (np.ones((4, 3), np.float32), np.ones(3, np.float32), 1.0)
    back = (np.ones((3, 4), np.float32), np.ones(4, np.float32), 1.0)
    weight, feature = np.ones(4, np.float32), np.arange(4, dtype=np.int32)

    def made(
        encoder=(layer,), decoder=(back,), weight=weight, feature=feature, features=4, aggregation="sum", latent=None
    ):
        return dense_autoencoder(
            VARIANTS[0], list(encoder), list(decoder), aggregation, weight, 1.0, feature, features, latent
        )

    assert made().columns == 4
    wrong = [
        {"encoder": ()},
        {"decoder": ()},
        {"decoder": (layer,)},
        {"encoder": (layer, layer)},
        {"encoder": ((layer[0], layer[1][:2], 1.0),)},
        {"encoder": ((np.ones((4, 0), np.float32), np.ones(0, np.float32), 1.0),)},
        {"encoder": ((layer[0], layer[1], 2.0),)},
        {"encoder": ((layer[0], layer[1], float("nan")),)},
        {"weight": weight[:3]},
        {"weight": -weight, "aggregation": "log_mean"},
        {"feature": feature + 1},
        {"feature": feature - 1},
        {"features": 0},
        {"aggregation": "mean"},
        {"latent": layer},
    ]
    for options in wrong:
        with pytest.raises(ValueError, match=r".+"):
            made(**options)


def test_preparations_that_do_not_fit_are_refused():
    def made(**changed):
        options = {
            "features": 3,
            "view": "prepared",
            "number_feature": np.array([0, 1], np.int32),
            "signed_log": np.zeros(2, bool),
            "center": np.zeros(2, np.float32),
            "scale": np.ones(2, np.float32),
            "fill": np.zeros(2, np.float32),
            "indicated": np.array([1], np.int32),
            "categories": [(2, np.eye(4, dtype=np.float32))],
            "limit": 5.0,
            "largest_excess": 1e30,
        }
        return preparation(VARIANTS[0], **options | changed)

    assert made().columns == 7
    wrong = [
        {"features": 0},
        {"features": 10**6},
        {"features": 2},
        {"view": "scaled"},
        {"number_feature": np.array([0, 3], np.int32)},
        {"number_feature": np.array([0, -1], np.int32)},
        {"scale": np.array([1, 0], np.float32)},
        {"scale": np.array([1, 1e-45], np.float32)},
        {"scale": np.array([1, np.nan], np.float32)},
        {"fill": np.zeros(3, np.float32)},
        {"indicated": np.array([2], np.int32)},
        {"indicated": np.array([-1], np.int32)},
        {"categories": [(3, np.eye(4, dtype=np.float32))]},
        {"categories": [(2, np.ones((1, 4), np.float32))]},
        {"categories": [(2, np.ones((4, 0), np.float32))]},
        {"limit": float("nan")},
        {"largest_excess": 0.0},
    ]
    for options in wrong:
        with pytest.raises(ValueError, match=r".+"):
            made(**options)
