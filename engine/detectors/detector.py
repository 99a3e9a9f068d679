"""What every detector offers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from netsieve.engine.detectors.core import Core
    from netsieve.engine.features.schema import FeatureSchema


class Detector(Protocol):
    """A model of normal records that gives others a higher score.

    Attributes
    ----------
    name
        Its name in :data:`netsieve.engine.detectors.registry.DETECTORS`.
    parameters
        A frozen dataclass.
    schema
        The fitted schema it was trained with; None before.
    core
        What was learned, as arrays and plain arithmetic; None before training.
    """

    name: ClassVar[str]
    parameters: Any
    schema: FeatureSchema | None
    core: Core | None

    def __init__(self, parameters: Any = None) -> None: ...

    def fit(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int = 0,
        device: str = "auto",
        progress: bool = False,
        initial_weights: str | Path | None = None,
    ) -> Self:
        """Train on encoded records, float32 ``[n, n_features]``."""
        ...

    @property
    def summary(self) -> dict[str, Any]:
        """How the last training run went, as plain JSON values."""
        ...

    def score(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 scores ``[n]``; higher is more anomalous."""
        ...

    def reference_score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the scores in float64 arithmetic ``[n]``."""
        ...

    def feature_error(self, x: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return each feature's part of the score, float32 ``[n, n_features]``; None where there are no such parts."""
        ...

    def save_weights(self, path: str | Path) -> None:
        """Write a safetensors file from which training can go on."""
        ...

    @classmethod
    def load_weights(cls, path: str | Path) -> Self:
        """Return the trained detector of a file that :meth:`save_weights` wrote."""
        ...
