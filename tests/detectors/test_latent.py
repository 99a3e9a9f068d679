import numpy as np
from sklearn.covariance import LedoitWolf

from netsieve.engine.detectors.latent import latent_whitening, shrunk_covariance


def codes(rows: int, size: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.standard_normal((rows, size)) @ generator.standard_normal((size, size)) + 3


def test_covariance_equals_scikit_learns_ledoit_wolf() -> None:
    for rows, size in ((500, 4), (12, 8), (40, 1)):
        values = codes(rows, size)
        np.testing.assert_allclose(shrunk_covariance(values), LedoitWolf().fit(values).covariance_, rtol=1e-9)


def test_whitened_length_is_the_mahalanobis_distance() -> None:
    values = codes(400, 5)
    center, whitening = latent_whitening(values)
    length = np.square((values - center) @ whitening).sum(axis=1)
    np.testing.assert_allclose(length, LedoitWolf().fit(values).mahalanobis(values), rtol=1e-4)


def test_dead_and_constant_codes_stay_finite() -> None:
    values = codes(50, 3)
    values[:, 1] = 0
    for code in (values, np.zeros((10, 2)), values[:1]):
        center, whitening = latent_whitening(code)
        assert np.isfinite(center).all()
        assert np.isfinite(whitening).all()
