"""An LSTM over the values of one category, such as system calls: how unlikely each value is after those before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import sampled_rows
from netsieve.engine.detectors.parameters import Choices, DetectorParameters, Range
from netsieve.engine.detectors.sequence_core import (
    LARGEST_TRAINING_VALUES,
    VALIDATION_WINDOWS,
    SequenceDetector,
    code_windows,
)
from netsieve.engine.detectors.sequence_parameters import SequenceParameters
from netsieve.engine.detectors.sequence_training import trained_network
from netsieve.engine.detectors.token_core import TokenCore
from netsieve.engine.errors import TrainingError
from netsieve.engine.features.schema import FeatureSchema


@dataclass(frozen=True, slots=True, kw_only=True)
class LstmTokensParameters(SequenceParameters):
    """How an LSTM over a category's values is built and trained.

    Attributes
    ----------
    token
        Name of the category; None: the schema's only one, or its first.
    units
        Length of the memory's state; None: 64.
    embedding_size
        Length of an embedded value.
    replaced
        Share of the values that are shown as unknown in training.
    """

    detector: ClassVar[str] = "lstm_tokens"
    search_space: ClassVar[Mapping[str, Range | Choices]] = MappingProxyType(
        {
            "units": Range(low=32, high=256, logarithmic=True, whole=True),
            "embedding_size": Range(low=8, high=64, logarithmic=True, whole=True),
            "learning_rate": Range(low=5e-4, high=1e-2, logarithmic=True),
        }
    )

    token: str | None = None
    embedding_size: int = 32
    replaced: float = 0.01

    def __post_init__(self) -> None:
        self.check_all(
            conditions={
                "embedding_size": (self.embedding_size >= 1, "at least 1"),
                "replaced": (0 <= self.replaced < 1, "a share from 0 to below 1"),
            }
        )


class LstmTokens(SequenceDetector):
    """A language model of a category's values; see :class:`~netsieve.engine.detectors.token_core.TokenCore`.

    References
    ----------
    Kim et al., "LSTM-Based System-Call Language Modeling and Robust Ensemble Method for Designing Host-Based Intrusion
    Detection Systems", 2016. Du et al., "DeepLog", CCS 2017.
    """

    name: ClassVar[str] = "lstm_tokens"
    parameters_class: ClassVar[type[DetectorParameters]] = LstmTokensParameters
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
    ) -> tuple[TokenCore, dict[str, Any]]:
        """Return the trained network; ``x_validation`` stops the training.

        Raises
        ------
        TrainingError
            The schema has no such category.
        """
        from netsieve.engine.detectors.token_network import TokenNetwork

        parameters: LstmTokensParameters = self.parameters
        feature, codes = _token_feature(schema, parameters.token)
        largest = max(VALIDATION_WINDOWS, LARGEST_TRAINING_VALUES // x_train.shape[1])
        train = code_windows(schema, feature, sampled_rows(x_train, largest, seed))
        validation = code_windows(schema, feature, sampled_rows(x_validation, VALIDATION_WINDOWS, seed))
        network, summary = trained_network(
            lambda: TokenNetwork(
                codes, parameters.embedding_size, parameters.units or 64, replaced=parameters.replaced
            ),
            train,
            validation,
            parameters.loop(),
            seed=seed,
            device=device,
            progress=progress,
        )
        return network.core(x_train.shape[1], feature), summary


def _token_feature(schema: FeatureSchema, name: str | None) -> tuple[int, int]:
    """Return column and number of codes of the category that is meant."""
    for column, category in schema.categorical:
        if name in (None, category.name):
            return column, category.code_count
    known = ", ".join(category.name for _, category in schema.categorical) or "none"
    wanted = "a category" if name is None else f"the category {name!r}"
    raise TrainingError(f"lstm_tokens needs {wanted}; the schema's categories: {known}; name a column that is one")
