import subprocess
import sys

import pytest

from netsieve.engine.detectors.registry import DETECTORS, detector_class, detector_entry, detector_parameters
from netsieve.engine.errors import TrainingError


def test_every_detector_can_be_made_with_its_parameters() -> None:
    for name, entry in DETECTORS.items():
        detector = detector_class(name)(detector_parameters(name))
        assert detector.name == entry.name == name
        assert "\n" not in entry.description + entry.good_for


def test_unknown_detectors_and_parameters_are_refused() -> None:
    with pytest.raises(TrainingError, match="autoencoder"):
        detector_entry("oracle")
    with pytest.raises(TrainingError, match="depth"):
        detector_parameters("autoencoder", {"depth": 3})


def test_naming_detectors_and_their_parameters_does_not_import_torch() -> None:
    code = (
        "import sys; from netsieve.engine.detectors.registry import detector_class, detector_parameters; "
        "detector_class('autoencoder')(detector_parameters('autoencoder')); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
