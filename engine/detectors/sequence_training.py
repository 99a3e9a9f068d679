"""How networks over windows are trained, and those that rebuild their windows are scaled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.autoencoder import residual_weight
from netsieve.engine.detectors.dense_autoencoder import Aggregation

if TYPE_CHECKING:
    from torch import Tensor, nn

    from netsieve.engine.training.loop import LoopParameters


class WindowNetwork(Protocol):
    """A network over windows, which knows what it is trained for."""

    @staticmethod
    def objective(network: nn.Module, disturbed: Tensor, clean: Tensor, /) -> Tensor:
        """Return the loss of a batch."""
        ...


class RebuildingCore(Protocol):
    """A core that rebuilds windows."""

    def rebuilt(self, z: NDArray[Any], /) -> NDArray[np.float64]:
        """Return the windows as they are rebuilt, float64 ``[n, window, d]``."""
        ...


Network = TypeVar("Network", bound=WindowNetwork)
Rebuilding = TypeVar("Rebuilding", bound=RebuildingCore)


def trained_network(
    build: Callable[[], Network],
    train: NDArray[Any],
    validation: NDArray[Any],
    parameters: LoopParameters,
    *,
    seed: int,
    device: str,
    progress: bool,
) -> tuple[Network, dict[str, Any]]:
    """Return a network with its best weights, and how training went.

    Parameters
    ----------
    build
        Makes the network, under the seed.
    train, validation
        Windows ``[n, window, ...]``.
    parameters
        Of the loop.
    seed, device, progress
        As for :meth:`netsieve.engine.detectors.core_detector.CoreDetector.fit`.
    """
    from netsieve.engine.training.loop import reproducible, resolve_device, train_network

    with reproducible(seed):
        network: Any = build()
        history = train_network(
            network,
            train,
            validation,
            parameters,
            device=resolve_device(device),
            progress=progress,
            objective=type(network).objective,
        )
    return network, history.summary


def scaled_core(
    core: Callable[[int, NDArray[np.float32], Aggregation], Rebuilding],
    z_validation: NDArray[np.float32],
    aggregation: Aggregation,
) -> Rebuilding:
    """Return a network's core with its residuals weighed by those of held-back windows.

    Parameters
    ----------
    core
        Makes the core of a window's length, a weight for each prepared column float32 ``[d]``, and the aggregation.
    z_validation
        float32 ``[n, window, d]``, NaN where there is no record.
    aggregation
        Of the residuals.
    """
    window, width = z_validation.shape[1:]
    plain = core(window, np.ones(width, dtype=np.float32), aggregation)
    recorded = ~np.isnan(z_validation[:, :, 0])
    residual = (plain.rebuilt(z_validation) - z_validation)[recorded]
    return core(window, residual_weight(residual, "sum"), aggregation)
