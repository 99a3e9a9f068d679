import math

import numpy as np
import pytest
from export_cases import KINDS, fitted_case

from netsieve.engine.detectors.dense_autoencoder import DenseLayer
from netsieve.engine.detectors.dose import DensityOfStatesParameters, fit_density_of_states
from netsieve.engine.detectors.dose_variational import (
    SMALLEST_DEVIATION,
    VariationalDensityOfStates,
    VariationalDensityParameters,
    variational_statistics,
)
from netsieve.engine.detectors.variational import Variational, VariationalParameters
from netsieve.engine.detectors.variational_core import LARGEST_LOG_VARIANCE, VariationalCore
from netsieve.engine.errors import TrainingError


def layer(rng, inputs, outputs, activation="linear"):
    weight = rng.normal(size=(inputs, outputs)).astype(np.float32)
    return DenseLayer(weight, rng.normal(size=outputs).astype(np.float32), activation)


def naive_statistics(core, row):
    hidden = np.maximum(row @ core.encoder[0].weight.astype(float) + core.encoder[0].bias, 0)
    mean = hidden @ core.mean.weight.astype(float) + core.mean.bias
    limit = LARGEST_LOG_VARIANCE
    logs = [
        min(max(v, -limit), limit) for v in hidden @ core.log_variance.weight.astype(float) + core.log_variance.bias
    ]
    rebuilt = mean @ core.decoder[0].weight.astype(float) + core.decoder[0].bias
    errors = [float(w) * (a - b) ** 2 for w, a, b in zip(core.error_weight, rebuilt, row, strict=True)]
    divergence = sum(m * m + math.exp(v) - v - 1 for m, v in zip(mean, logs, strict=True))
    return [
        math.log(1 + sum(errors)),
        sum(math.log(1 + error) for error in errors) / len(errors),
        math.log(1 + divergence),
        math.log(sum(m * m + math.exp(v) for m, v in zip(mean, logs, strict=True))),
        sum(logs) / len(logs),
    ]


def test_statistics_are_as_by_hand():
    rng = np.random.default_rng(0)
    core = VariationalCore(
        (layer(rng, 5, 7, "relu"),), layer(rng, 7, 2), layer(rng, 7, 2), (layer(rng, 2, 5),),
        rng.uniform(0.1, 3, 5).astype(np.float32),
    )  # fmt: skip
    rows = rng.normal(size=(20, 5)) * 3
    expected = [naive_statistics(core, row) for row in rows]
    np.testing.assert_allclose(variational_statistics(core, rows), expected, rtol=1e-9)


def test_the_network_is_the_variational_autoencoders_and_the_machine_is_fitted_to_its_training_statistics():
    schema, x = fitted_case(KINDS["mixed"], rows=700)
    parameters = VariationalDensityParameters(max_draws=20_000, features=64, latent_size=3)
    detector = VariationalDensityOfStates(parameters).fit(schema, x[:500], x[500:600], seed=4, device="cpu")
    plain = Variational(VariationalParameters(max_draws=20_000, latent_size=3))
    plain.fit(schema, x[:500], x[500:600], seed=4, device="cpu")
    np.testing.assert_array_equal(detector.core.network.decoder[0].weight, plain.core.decoder[0].weight)
    np.testing.assert_array_equal(detector.core.network.error_weight, plain.core.error_weight)
    assert {"gamma", "epochs", "rows_beyond"} <= set(detector.summary)
    assert 0 < detector.summary["rows_beyond"] < 0.5


def test_a_statistic_that_hardly_varies_is_taken_in_the_smallest_deviation():
    rng = np.random.default_rng(0)
    statistics = np.column_stack([rng.normal(size=500), 1e-7 * rng.normal(size=500)])
    core, _ = fit_density_of_states(
        statistics, DensityOfStatesParameters(features=32), seed=0, smallest_deviation=SMALLEST_DEVIATION
    )
    components = core.components(statistics)
    # a single direction is left, and noise of the size of a rounding changes no score
    assert (components.std(axis=0) > 0.1).sum() == 1
    moved = statistics + np.array([0, 1e-6])
    np.testing.assert_allclose(core.score(moved), core.score(statistics), atol=1e-3)


@pytest.mark.parametrize("values", [{"learning_rate": 0.0}, {"latent_size": 0}, {"nu": 2.0}, {"regularisation": 0.0}])
def test_parameters_of_both_are_checked(values):
    with pytest.raises(TrainingError, match=next(iter(values))):
        VariationalDensityParameters.from_dict(values)
