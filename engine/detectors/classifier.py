"""A supervised classifier of known attacks: a small dense network whose log-odds are the score."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import View, prepared_float32, sampled_rows
from netsieve.engine.detectors.dense_autoencoder import DenseLayer, forward
from netsieve.engine.detectors.parameters import DetectorParameters
from netsieve.engine.detectors.supervised import SupervisedDetector
from netsieve.engine.features.preprocessing import prepared_columns
from netsieve.engine.features.schema import FeatureSchema

HELD_BACK: Final = 5
"""One attack in so many is held back to stop the training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierParameters(DetectorParameters):
    """How the classifier is built and trained.

    Attributes
    ----------
    hidden_layers
        Widths of the hidden layers, ReLU each.
    weight_decay
        Of Adam: keeps the network from being sure about records far from all it has seen.
    learning_rate, batch_size, max_draws, patience
        As for the autoencoder.
    """

    detector: ClassVar[str] = "classifier"

    hidden_layers: tuple[int, ...] = (64, 32)
    learning_rate: float = 0.001
    weight_decay: float = 1e-4
    batch_size: int = 256
    max_draws: int = 512_000
    patience: int = 5

    def __post_init__(self) -> None:
        self.check(
            conditions={
                "hidden_layers": (
                    bool(self.hidden_layers) and min(self.hidden_layers) >= 1,
                    "at least one width, each at least 1",
                ),
                "learning_rate": (self.learning_rate > 0, "above 0"),
                "weight_decay": (self.weight_decay >= 0, "0 or more"),
                "batch_size": (self.batch_size >= 2, "at least 2"),
                "max_draws": (self.max_draws >= 1, "at least 1"),
                "patience": (self.patience >= 1, "at least 1"),
            }
        )


@dataclass(frozen=True, slots=True)
class DenseScore:
    """Dense layers over the prepared matrix, the last of which has one output: the score."""

    view: ClassVar[View] = "prepared"

    layers: tuple[DenseLayer, ...]

    def score(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores in float64, ``[n]``."""
        return forward(self.layers, np.asarray(z, dtype=np.float64))[:, 0]


class Classifier(SupervisedDetector):
    """Log-odds of a record being one of the attacks it was shown, both classes weighed alike."""

    name: ClassVar[str] = "classifier"
    parameters_class: ClassVar[type[DetectorParameters]] = ClassifierParameters

    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[DenseScore, dict[str, Any]]:
        """Return the trained network; ``x_validation`` and a share of the attacks stop the training."""
        from netsieve.engine.detectors.classifier_network import ClassifierNetwork
        from netsieve.engine.training.loop import LoopParameters, reproducible, resolve_device, train_network

        parameters: ClassifierParameters = self.parameters
        loop: dict[str, Any] = {"noise": None, "loss": "mse", "scheduler": "cosine"}
        loop |= {f.name: getattr(parameters, f.name) for f in fields(LoopParameters) if f.name not in loop}
        attacks = prepared_float32(schema, sampled_rows(self.x_attacks, parameters.max_draws, seed))
        held_back = np.random.default_rng(seed).permutation(len(attacks)) % HELD_BACK == 0
        normal = prepared_float32(schema, sampled_rows(x_train, parameters.max_draws, seed))
        rows = with_class(normal, attacks[~held_back])
        validation = with_class(prepared_float32(schema, x_validation), attacks[held_back])
        with reproducible(seed):
            network = ClassifierNetwork(
                len(prepared_columns(schema)), parameters.hidden_layers, share=float(rows[:, -1].mean())
            )
            history = train_network(
                network,
                rows,
                validation[np.random.default_rng(seed).permutation(len(validation))],
                LoopParameters(**loop),
                device=resolve_device(device),
                progress=progress,
                objective=ClassifierNetwork.objective,
            )
        return DenseScore(network.layers()), history.summary


def with_class(normal: NDArray[np.float32], attacks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows of both kinds with one more column, 0 for normal and 1 for attack, float32 ``[n + m, d + 1]``."""
    rows = np.concatenate([normal, attacks])
    kind = (np.arange(len(rows)) >= len(normal)).astype(np.float32)
    return np.column_stack([rows, kind])
