from dataclasses import asdict

import pytest

from netsieve.engine.detectors.registry import DETECTORS, detector_parameters
from netsieve.engine.errors import TrainingError


@pytest.mark.parametrize(
    ("detector", "values", "match"),
    [
        ("autoencoder", {"learning_rate": "abc"}, "learning_rate is 'abc'; expected a number"),
        ("autoencoder", {"hidden_layers": 64}, "hidden_layers is 64; expected a list"),
        ("autoencoder", {"hidden_layers": [64, "x"]}, "expected a list of which each is a whole number, or nothing"),
        ("autoencoder", {"aggregation": 5}, "aggregation is 5; expected one of"),
        ("isolation_forest", {"trees": 2.5}, r"trees is 2\.5; expected a whole number"),
        ("isolation_forest", {"trees": True}, "trees is True; expected a whole number"),
        ("ensemble", {"member_parameters": 5}, "member_parameters is 5; expected a table"),
        ("ensemble", {"members": "pca"}, "members is 'pca'; expected a list of which each is a text"),
        ("pca", {"latent_distance": 1}, "latent_distance is 1; expected true or false"),
        ("one_class_svm", {"gamma": "x"}, "gamma is 'x'; expected a number, or nothing"),
    ],
)
def test_values_of_another_type_are_refused(detector, values, match):
    with pytest.raises(TrainingError, match=match):
        detector_parameters(detector, values)


@pytest.mark.parametrize("detector", DETECTORS)
def test_default_parameters_are_of_their_types(detector):
    parameters = detector_parameters(detector)
    assert type(parameters).from_dict(asdict(parameters)) == parameters


def test_whole_numbers_are_numbers():
    assert detector_parameters("one_class_svm", {"gamma": 1}).gamma == 1
    assert detector_parameters("autoencoder", {"hidden_layers": [8, 4]}).hidden_layers == (8, 4)
