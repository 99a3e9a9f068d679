"""The detectors that can be trained, by name. Importing this module imports none of them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

from netsieve.engine.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netsieve.engine.detectors.detector import Detector


@dataclass(frozen=True, slots=True)
class DetectorEntry:
    """Where a detector and its parameters are defined, and what it is.

    Attributes
    ----------
    name
        As ``netsieve train --detector`` takes it.
    description, good_for
        What it is, and when to choose it, in one line each.
    module, detector_class, parameters_class
        Where it is defined; importing the module imports no training library.
    """

    name: str
    description: str
    good_for: str
    module: str
    detector_class: str
    parameters_class: str


DETECTORS: Final[Mapping[str, DetectorEntry]] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            DetectorEntry(
                "autoencoder",
                "dense autoencoder (PyTorch): residuals against their usual size, and the latent code's distance",
                "the default: flows and other records with many columns; tells which features are odd",
                "netsieve.engine.detectors.autoencoder",
                "Autoencoder",
                "AutoencoderParameters",
            ),
            DetectorEntry(
                "pca",
                "principal components: what they cannot rebuild, and the distance within them",
                "a linear baseline that trains in a moment; tells which features are odd",
                "netsieve.engine.detectors.pca",
                "PrincipalComponents",
                "PrincipalComponentsParameters",
            ),
            DetectorEntry(
                "isolation_forest",
                "isolation forest (scikit-learn): how few random splits set a record apart",
                "few assumptions, trained in seconds on any number of records; odd combinations of columns",
                "netsieve.engine.detectors.isolation_forest",
                "IsolationForest",
                "IsolationForestParameters",
            ),
            DetectorEntry(
                "hbos",
                "histogram-based outlier score: how empty the bins are that a record's values fall into",
                "the quickest to train and to read; one column at a time; tells which features are odd",
                "netsieve.engine.detectors.hbos",
                "HistogramScore",
                "HistogramScoreParameters",
            ),
            DetectorEntry(
                "ecod",
                "empirical cumulative distributions: how far out in their columns' tails a record's values lie",
                "nothing to choose, trained in a moment; one column at a time; tells which features are odd",
                "netsieve.engine.detectors.ecod",
                "EmpiricalTails",
                "EmpiricalTailsParameters",
            ),
        )
    }
)
"""Every detector that ``netsieve train --detector`` knows."""


def detector_entry(name: str) -> DetectorEntry:
    """Return the entry of a detector.

    Raises
    ------
    TrainingError
        There is no detector of that name.
    """
    if name not in DETECTORS:
        raise TrainingError(f"detector {name!r} is not known; expected one of {', '.join(sorted(DETECTORS))}")
    return DETECTORS[name]


def detector_class(name: str) -> type[Detector]:
    """Return the class of a detector, importing its module."""
    entry = detector_entry(name)
    return cast("type[Detector]", getattr(import_module(entry.module), entry.detector_class))


def detector_parameters(name: str, values: Mapping[str, Any] | None = None) -> Any:
    """Return the parameters of a detector: its defaults, with ``values`` in their place.

    Raises
    ------
    TrainingError
        There is no such detector, or it has no such parameter, or a value is not allowed.
    """
    entry = detector_entry(name)
    return getattr(import_module(entry.module), entry.parameters_class).from_dict(dict(values or {}))
