"""The LSTM next-step predictor: a record is odd where it is not what its forerunners let expect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.autoencoder import residual_weight
from netsieve.engine.detectors.lstm_cores import LstmPredictorCore
from netsieve.engine.detectors.parameters import Choices, DetectorParameters, Range
from netsieve.engine.detectors.sequence_core import VALIDATION_WINDOWS, SequenceDetector, prepared_windows_float32
from netsieve.engine.detectors.sequence_parameters import AGGREGATIONS, SequenceParameters
from netsieve.engine.detectors.sequence_training import trained_network
from netsieve.engine.features.schema import FeatureSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class LstmPredictorParameters(SequenceParameters):
    """How an LSTM predictor is built, trained and turned into a score.

    Attributes
    ----------
    aggregation
        See :class:`~netsieve.engine.detectors.lstm_cores.LstmPredictorCore`.
    """

    detector: ClassVar[str] = "lstm_predictor"
    search_space: ClassVar[Mapping[str, Range | Choices]] = MappingProxyType(
        {
            "units": Range(low=16, high=128, logarithmic=True, whole=True),
            "learning_rate": Range(low=5e-4, high=1e-2, logarithmic=True),
            "weight_decay": Range(low=1e-7, high=1e-3, logarithmic=True),
            "aggregation": Choices(values=AGGREGATIONS, changes_loss=True),
        }
    )

    aggregation: Literal["sum", "log_mean"] = "log_mean"

    def __post_init__(self) -> None:
        self.check_all({"aggregation": AGGREGATIONS})


class LstmPredictor(SequenceDetector):
    """An LSTM that predicts each prepared record from those before it in its window.

    References
    ----------
    Malhotra et al., "Long Short Term Memory Networks for Anomaly Detection in Time Series", ESANN 2015.
    """

    name: ClassVar[str] = "lstm_predictor"
    parameters_class: ClassVar[type[DetectorParameters]] = LstmPredictorParameters
    smallest_window: ClassVar[int] = 2

    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[LstmPredictorCore, dict[str, Any]]:
        """Return the trained network; ``x_validation`` stops the training and scales the errors."""
        from netsieve.engine.detectors.lstm_networks import LstmPredictorNetwork

        parameters: LstmPredictorParameters = self.parameters
        z_train = prepared_windows_float32(schema, x_train, seed)
        z_validation = prepared_windows_float32(schema, x_validation, seed)[:VALIDATION_WINDOWS]
        window, width = z_train.shape[1:]
        network, summary = trained_network(
            lambda: LstmPredictorNetwork(width, parameters.units_for(width)),
            z_train,
            z_validation,
            parameters.loop(),
            seed=seed,
            device=device,
            progress=progress,
        )
        plain = network.core(window, np.ones(width, dtype=np.float32), parameters.aggregation)
        weight = residual_weight(plain.predicted(z_validation) - z_validation[:, -1], "sum")
        return network.core(window, weight, parameters.aggregation), summary
