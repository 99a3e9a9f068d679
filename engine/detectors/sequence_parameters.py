"""Parameters that detectors over windows have in common, and how they are trained with them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from netsieve.engine.detectors.parameters import DetectorParameters

if TYPE_CHECKING:
    from netsieve.engine.training.loop import LoopParameters

AGGREGATIONS = ("log_mean", "sum")


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceParameters(DetectorParameters):
    """How a network over windows is trained; gradients are clipped to a norm of 5.

    Attributes
    ----------
    units
        Length of the memory's state; None: twice the prepared columns, within 32 to 64.
    learning_rate, weight_decay
        Of Adam.
    scheduler
        ``"cosine"`` (to 0 over the whole run), ``"plateau"`` (times 0.3 when validation stalls) or ``"constant"``.
    batch_size
        Windows a gradient step.
    max_draws
        Windows drawn from the training windows altogether, at most: ``max_draws / batch_size`` steps.
    patience
        Training stops when the validation loss, taken 30 times over ``max_draws``, has not improved so many times
        in a row. The best weights are kept.
    """

    units: int | None = None
    learning_rate: float = 0.002
    weight_decay: float = 0.0
    scheduler: Literal["cosine", "plateau", "constant"] = "cosine"
    batch_size: int = 128
    max_draws: int = 256_000
    patience: int = 8

    def units_for(self, width: int) -> int:
        """Return the length of the state for so many prepared columns."""
        return self.units or min(max(2 * width, 32), 64)

    def loop(self, noise: tuple[float, float] | None = None) -> LoopParameters:
        """Return what the training loop needs to know."""
        from netsieve.engine.training.loop import LoopParameters

        values: dict[str, Any] = {"noise": noise, "loss": "mse"}
        values |= {f.name: getattr(self, f.name) for f in fields(LoopParameters) if f.name not in values}
        return LoopParameters(**values)

    def check_all(
        self,
        choices: dict[str, tuple[str, ...]] | None = None,
        conditions: dict[str, tuple[bool, str]] | None = None,
    ) -> None:
        """Check the common parameters, and further ones as in :meth:`DetectorParameters.check`."""
        self.check(
            {"scheduler": ("cosine", "plateau", "constant"), **(choices or {})},
            {
                "units": (self.units is None or self.units >= 1, "at least 1"),
                "learning_rate": (self.learning_rate > 0, "above 0"),
                "weight_decay": (self.weight_decay >= 0, "0 or more"),
                "batch_size": (self.batch_size >= 2, "at least 2"),
                "max_draws": (self.max_draws >= 1, "at least 1"),
                "patience": (self.patience >= 1, "at least 1"),
                **(conditions or {}),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildingParameters(SequenceParameters):
    """How a network that rebuilds its windows is trained and turned into a score.

    Attributes
    ----------
    latent_size
        Size of the code; None: by the number of prepared columns.
    noise
        Range of the Gaussian noise level of denoising training, one level a window, in deviations; None: no noise.
    aggregation, last_share
        See :class:`~netsieve.engine.detectors.lstm_cores.LstmAutoencoderCore`. A score belongs to the last record of
        its window, which by default makes up half of it; with ``last_share`` 1 the others are only context.
    """

    latent_size: int | None = None
    noise: tuple[float, float] | None = (0.05, 0.5)
    aggregation: Literal["sum", "log_mean"] = "log_mean"
    last_share: float = 0.5

    def check_rebuilding(self, conditions: dict[str, tuple[bool, str]] | None = None) -> None:
        """Check these parameters, and further ones as in :meth:`DetectorParameters.check`."""
        self.check_all(
            {"aggregation": AGGREGATIONS},
            {
                "latent_size": (self.latent_size is None or self.latent_size >= 1, "at least 1"),
                "noise": (
                    self.noise is None or 0 < self.noise[0] <= self.noise[1],
                    "two levels 0 < low <= high, or None",
                ),
                "last_share": (0 <= self.last_share <= 1, "a share from 0 to 1"),
                **(conditions or {}),
            },
        )
