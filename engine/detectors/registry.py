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
    from netsieve.engine.features.schema import Scaling


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
    scaling
        How numbers are scaled for this detector, without logarithms or bounds; None: as the schema says.
    threshold
        Its usual threshold policy; None: a false-positive rate that the calibration supports.
    supervised
        Whether it learns from labelled attacks too: :meth:`Detector.fit` then takes ``x_attacks``.
    sequence
        Whether it takes windows of an entity's latest records, ``[n, window, n_features]``, one for each record.
    explains
        Whether its scores are made of the features' errors, with the parameters that it has by default: they tell a
        record's top features.
    """

    name: str
    description: str
    good_for: str
    module: str
    detector_class: str
    parameters_class: str
    scaling: Scaling | None = None
    threshold: str | None = None
    supervised: bool = False
    sequence: bool = False
    explains: bool = False


DETECTORS: Final[Mapping[str, DetectorEntry]] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            DetectorEntry(
                "autoencoder",
                "dense autoencoder (PyTorch): residuals against their usual size, and the latent code's distance",
                "the default: flows and other records with many columns",
                "netsieve.engine.detectors.autoencoder",
                "Autoencoder",
                "AutoencoderParameters",
                explains=True,
            ),
            DetectorEntry(
                "autoencoder_simple",
                "two-layer autoencoder (PyTorch) on columns scaled to their range, by mean absolute error",
                "comparisons: what student projects build; expect many false alarms",
                "netsieve.engine.detectors.plain_autoencoders",
                "SimpleAutoencoder",
                "SimpleAutoencoderParameters",
                scaling="minmax",
                threshold="mean_std:1",
                explains=True,
            ),
            DetectorEntry(
                "autoencoder_deep",
                "eight-layer autoencoder (PyTorch) on unscaled columns, by mean absolute error",
                "comparisons: what student projects build; the largest numbers decide alone",
                "netsieve.engine.detectors.plain_autoencoders",
                "DeepAutoencoder",
                "DeepAutoencoderParameters",
                scaling="none",
                threshold="mean_std:1",
                explains=True,
            ),
            DetectorEntry(
                "variational",
                "variational autoencoder (PyTorch): residuals on the mean path, and how far the code is from usual",
                "like the autoencoder; its code follows a known distribution",
                "netsieve.engine.detectors.variational",
                "Variational",
                "VariationalParameters",
                explains=True,
            ),
            DetectorEntry(
                "ensemble",
                "autoencoder, isolation forest and nearest stored rows, combined by their ranks among normal records",
                "the best quality on average, at some four times the cost of the autoencoder",
                "netsieve.engine.detectors.ensemble",
                "Ensemble",
                "EnsembleParameters",
                explains=True,
            ),
            DetectorEntry(
                "classifier",
                "dense classifier (PyTorch) of labelled attacks; the score is its log-odds",
                "attacks like those in the training data, and no others; part of hybrid",
                "netsieve.engine.detectors.classifier",
                "Classifier",
                "ClassifierParameters",
                supervised=True,
            ),
            DetectorEntry(
                "boosted_trees",
                "gradient-boosted trees (scikit-learn) of labelled attacks; the score is their log-odds",
                "as classifier, trained in seconds; may stand for it in hybrid",
                "netsieve.engine.detectors.boosted_trees",
                "BoostedTrees",
                "BoostedTreesParameters",
                supervised=True,
            ),
            DetectorEntry(
                "hybrid",
                "autoencoder and classifier: the larger of their ranks among normal records",
                "where some attacks are labelled and others are to be found all the same",
                "netsieve.engine.detectors.ensemble",
                "Hybrid",
                "HybridParameters",
                supervised=True,
                explains=True,
            ),
            DetectorEntry(
                "pca",
                "principal components: what they cannot rebuild, and the distance within them",
                "a linear baseline that trains in a moment",
                "netsieve.engine.detectors.pca",
                "PrincipalComponents",
                "PrincipalComponentsParameters",
                explains=True,
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
                "the quickest to train and to read; one column at a time",
                "netsieve.engine.detectors.hbos",
                "HistogramScore",
                "HistogramScoreParameters",
                explains=True,
            ),
            DetectorEntry(
                "ecod",
                "empirical cumulative distributions: how far out in their columns' tails a record's values lie",
                "nothing to choose, trained in a moment; one column at a time",
                "netsieve.engine.detectors.ecod",
                "EmpiricalTails",
                "EmpiricalTailsParameters",
                explains=True,
            ),
            DetectorEntry(
                "nearest",
                "nearest neighbour among 1,000 stored rows: differences against their usual size",
                "records of many kinds, each rare; nothing to train",
                "netsieve.engine.detectors.nearest",
                "NearestNeighbours",
                "NearestParameters",
                explains=True,
            ),
            DetectorEntry(
                "kmeans",
                "distance to the nearest of 128 centres (k-means): differences against their usual size",
                "as nearest, several times faster to score",
                "netsieve.engine.detectors.kmeans",
                "KMeansDistance",
                "KMeansParameters",
                explains=True,
            ),
            DetectorEntry(
                "gaussian_mixture",
                "Gaussian mixture: how unlikely a record is under a few normal distributions",
                "normal records of several kinds, each with columns that go together",
                "netsieve.engine.detectors.gaussian_mixture",
                "GaussianMixture",
                "GaussianMixtureParameters",
            ),
            DetectorEntry(
                "elliptic_envelope",
                "robust covariance: Mahalanobis distance from the bulk of the training records",
                "training records that hold a few odd ones, and are of one kind",
                "netsieve.engine.detectors.elliptic_envelope",
                "EllipticEnvelope",
                "EllipticEnvelopeParameters",
                explains=True,
            ),
            DetectorEntry(
                "one_class_svm",
                "one-class support vector machine by gradient descent, over random features of a Gaussian kernel",
                "normal records of one kind, in a bounded region; without the kernel a linear baseline",
                "netsieve.engine.detectors.one_class_svm",
                "OneClassSvm",
                "OneClassSvmParameters",
            ),
            DetectorEntry(
                "dose",
                "density of states: whitened principal components, then a one-class support vector machine",
                "as one_class_svm, where columns go together and small departures from that matter",
                "netsieve.engine.detectors.dose",
                "DensityOfStates",
                "DensityOfStatesParameters",
            ),
            DetectorEntry(
                "dose_variational",
                "density of states over a variational autoencoder (PyTorch): five statistics of a record together",
                "as variational, where records are odd that are too likely as well as too unlikely",
                "netsieve.engine.detectors.dose_variational",
                "VariationalDensityOfStates",
                "VariationalDensityParameters",
            ),
            DetectorEntry(
                "lstm_autoencoder",
                "LSTM autoencoder (PyTorch) over windows: residuals of the last record and of the window as rebuilt",
                "runs of records per host or process that are odd together",
                "netsieve.engine.detectors.lstm_autoencoder",
                "LstmAutoencoder",
                "LstmAutoencoderParameters",
                sequence=True,
                explains=True,
            ),
            DetectorEntry(
                "lstm_predictor",
                "LSTM next-step predictor (PyTorch): how far a record is from what its forerunners let expect",
                "records that follow from those before them, such as counts by hour or day",
                "netsieve.engine.detectors.lstm_predictor",
                "LstmPredictor",
                "LstmPredictorParameters",
                sequence=True,
                explains=True,
            ),
            DetectorEntry(
                "lstm_classifier",
                "LSTM classifier (PyTorch) of labelled attacks over windows; the score is its log-odds",
                "attacks like those in the training data that show in the order of records",
                "netsieve.engine.detectors.lstm_classifier",
                "LstmClassifier",
                "LstmClassifierParameters",
                supervised=True,
                sequence=True,
            ),
            DetectorEntry(
                "conv_autoencoder",
                "convolutional autoencoder (PyTorch) over windows: residuals of the last record and of the window",
                "as lstm_autoencoder, where what matters lies a few records apart",
                "netsieve.engine.detectors.conv_autoencoder",
                "ConvolutionalAutoencoder",
                "ConvolutionalAutoencoderParameters",
                sequence=True,
                explains=True,
            ),
            DetectorEntry(
                "lstm_tokens",
                "LSTM over one category's values (PyTorch): how unlikely each is after those before it",
                "system calls of a process, services of a host; means or medians of the scores rank traces",
                "netsieve.engine.detectors.lstm_tokens",
                "LstmTokens",
                "LstmTokensParameters",
                sequence=True,
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
