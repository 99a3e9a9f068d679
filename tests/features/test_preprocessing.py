import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naive import prepared_category, prepared_number
from netsieve.engine.features.preprocessing import (
    LARGEST_SCALE,
    fit_preprocessing,
    prepare,
    prepared_columns,
    rarity_table,
    soft_clip,
)
from netsieve.engine.features.schema import CategoricalFeature, FeatureSchema, NumericFeature

EDGE_NUMBERS = [np.nan, np.inf, -np.inf, 3e38, -3e38, 0.0, -0.0, 1e-45, 1e9, -1.0, 5.0]


def number(values, **attributes) -> tuple[FeatureSchema, NumericFeature]:
    schema = FeatureSchema(features=(NumericFeature(name="a", **attributes),))
    schema = fit_preprocessing(schema, np.array(values, dtype=np.float32)[:, None])
    feature = schema.features[0]
    assert isinstance(feature, NumericFeature)
    return schema, feature


def prepared(schema, values):
    return prepare(schema, np.array(values, dtype=np.float32)[:, None])


@pytest.mark.parametrize("scaling", ["standard", "robust", "minmax", "none"])
@pytest.mark.parametrize("signed_log", [False, True])
@pytest.mark.parametrize("imputation", ["median", 2.5])
def test_numbers_equal_the_definition_written_out(scaling, signed_log, imputation):
    training = np.random.default_rng(0).lognormal(2, 1, 200)
    schema, feature = number(training, scaling=scaling, signed_log=signed_log, imputation=imputation)
    values = np.array([*EDGE_NUMBERS, *training[:20]], dtype=np.float32)
    expected = [prepared_number(float(v), feature, schema.soft_clip) for v in values]
    np.testing.assert_allclose(prepared(schema, values)[:, 0], expected, rtol=1e-12)


def test_standard_scaling_gives_mean_zero_and_deviation_one():
    values = np.random.default_rng(1).normal(1e6, 3, 5000)
    schema, _ = number(values)
    z = prepared(schema, values)
    assert abs(z.mean()) < 0.02
    assert abs(z.std() - 1) < 0.02


def test_robust_scaling_is_not_moved_by_a_few_extremes():
    values = np.random.default_rng(1).normal(0, 1, 5000)
    values[:50] = 1e9
    assert abs(prepared(number(values, scaling="robust")[0], values[50:]).std() - 1) < 0.1


def test_a_constant_column_stays_and_a_change_in_it_is_extreme():
    schema, feature = number([7.0] * 100)
    assert feature.scale > 0
    z = prepared(schema, [7.0, 8.0, -7.0])[:, 0]
    assert z[0] == 0
    assert z[1] > schema.soft_clip
    assert z[2] < -schema.soft_clip


def test_a_value_missing_in_training_gets_the_median_and_an_indicator():
    schema, feature = number([1.0, 2.0, np.nan, 9.0])
    assert feature.missing_indicator
    z = prepared(schema, [np.nan, 2.0])
    assert [column.role for column in prepared_columns(schema)] == ["value", "missing"]
    assert z[0, 0] == pytest.approx(z[1, 0])
    assert z[:, 1].tolist() == [1.0, 0.0]


def test_a_value_never_missing_in_training_is_extreme_when_it_is():
    schema, feature = number([1.0, 2.0, 9.0])
    assert not feature.missing_indicator
    assert prepared(schema, [np.nan])[0, 0] == schema.soft_clip


def test_an_indicator_that_was_asked_for_stays_without_missing_values():
    assert number([1.0, 2.0], missing_indicator=True)[1].missing_indicator


def test_a_column_without_any_value_is_prepared_to_finite_numbers():
    schema, _ = number([np.nan] * 5)
    assert np.isfinite(prepared(schema, EDGE_NUMBERS)).all()


@pytest.mark.parametrize("scaling", ["standard", "robust", "minmax"])
def test_the_widest_spread_leaves_a_scale_whose_reciprocal_float32_holds(scaling):
    _, feature = number([-3e38, 3e38, 3e38, -3e38, 0], scaling=scaling)
    assert feature.scale <= LARGEST_SCALE
    assert np.isfinite(np.float32(feature.scale))
    assert 1 / np.float32(feature.scale) >= np.finfo(np.float32).tiny


def test_soft_clip_is_continuous_monotone_and_odd():
    z = np.array([0.0, 1.0, 9.999999, 10.0, 10.000001, 11.0, 1e3, 1e30, 1e38])
    clipped = soft_clip(z, 10.0)
    assert (np.diff(clipped) >= 0).all()
    np.testing.assert_array_equal(soft_clip(-z, 10.0), -clipped)
    assert clipped[3] == 10.0
    assert clipped[5] == pytest.approx(10 + np.log(2))
    assert np.isfinite(soft_clip(np.array([np.inf]), 10.0)).all()


def category(**attributes) -> FeatureSchema:
    feature = CategoricalFeature(
        name="c", vocabulary=("x", "y", "z"), counts=(70, 20, 5), missing_count=5, rows=100, **attributes
    )
    codes = np.repeat([2, 3, 4, 0], [70, 20, 5, 5]).astype(np.float32)[:, None]
    return fit_preprocessing(FeatureSchema(features=(feature,)), codes)


@pytest.mark.parametrize("one_hot", [0, 1, 2, 3, 32])
def test_categories_equal_the_definition_written_out(one_hot):
    schema = category(one_hot=one_hot)
    codes = [np.nan, 0, 1, 2, 3, 4, 5, 1e9, -1, 2.5, np.inf, -np.inf]
    expected = [prepared_category(float(code), schema.features[0], schema.soft_clip) for code in codes]
    np.testing.assert_allclose(prepared(schema, codes), expected, rtol=1e-6)


def test_rarer_values_have_a_higher_rarity_and_unknown_the_highest():
    feature = category().features[0]
    assert isinstance(feature, CategoricalFeature)
    rarity = rarity_table(feature, 10.0)
    assert rarity[2] < rarity[3] < rarity[4] == rarity[0] < rarity[1]


def test_columns_are_named_by_feature_and_value():
    names = [column.name for column in prepared_columns(category(one_hot=2))]
    assert names == ["c rarity", "c=missing", "c=unknown", "c=x", "c=y", "c=other"]


def test_columns_and_matrix_have_the_same_width_and_features_keep_their_order():
    schema = FeatureSchema(features=(*category().features, *number([1.0, np.nan])[0].features), fitted=True)
    columns = prepared_columns(schema)
    assert prepare(schema, np.zeros((4, 2), dtype=np.float32)).shape == (4, len(columns))
    assert [column.feature for column in columns] == [1, 1, *[0] * 6]


def test_a_schema_without_features_is_prepared_to_no_columns():
    assert prepare(FeatureSchema(features=()), np.empty((3, 0), dtype=np.float32)).shape == (3, 0)


@given(st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=1, max_size=20))
def test_any_float32_is_prepared_to_a_finite_number(values):
    for schema in (number([1.0, 5.0, 100.0])[0], number([1.0, 5.0], signed_log=True)[0], category()):
        assert np.isfinite(prepared(schema, values)).all()
