"""Parameters of the dense autoencoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

from netsieve.engine.detectors.parameters import Choices, DetectorParameters, Range


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoencoderParameters(DetectorParameters):
    """How an autoencoder is built, trained and turned into a score.

    Attributes
    ----------
    hidden_layers
        Widths of the encoder's hidden layers; the decoder mirrors them. None: ``(h, h // 2)`` with
        ``h = 2 * width`` within 32 to 128, where ``width`` counts the prepared columns.
    latent_size
        Width of the code. None: a third of the prepared columns, within 2 to 16.
    activation
        ``"relu"`` or ``"leaky_relu"``.
    normalization
        ``"batch"`` (batch normalisation, folded into the weights afterwards) or ``"none"``.
    dropout
        Share of hidden units dropped in training.
    noise
        Range of the Gaussian noise level of denoising training, in deviations; None trains on clean rows.
    loss
        ``"mse"``, ``"huber"`` or ``"mae"`` over all prepared columns.
    learning_rate, weight_decay
        Of Adam.
    scheduler
        ``"cosine"`` (to 0 over the whole run), ``"plateau"`` (times 0.3 when validation stalls) or ``"constant"``.
    batch_size
        Rows a gradient step.
    max_draws
        Rows drawn from the training rows altogether, at most: ``max_draws / batch_size`` steps.
    patience
        Training stops when the validation loss, taken 30 times over ``max_draws``, has not improved so many times
        in a row. The best weights are kept.
    aggregation
        How the residuals become a score. ``"sum"``: sum of squares, each over its held-back mean; ``"log_mean"``:
        mean of ``log(1 + square / mean)``, which one extreme column cannot rule; ``"absolute"``: sum of absolute
        residuals over their held-back mean; ``"mean_squared"``, ``"mean_absolute"``: plain means.
    latent_distance
        Whether the Mahalanobis distance of the latent code is added: a ReLU network can rebuild rows far outside
        its training data, and only the code then shows it.
    """

    detector: ClassVar[str] = "autoencoder"
    search_space: ClassVar[Mapping[str, Range | Choices]] = MappingProxyType(
        {
            "latent_size": Range(low=2, high=32, logarithmic=True, whole=True),
            "learning_rate": Range(low=3e-4, high=5e-3, logarithmic=True),
            "weight_decay": Range(low=1e-7, high=1e-3, logarithmic=True),
            "dropout": Range(low=0.0, high=0.3),
            "batch_size": Choices(values=(128, 256, 512)),
            "aggregation": Choices(values=("log_mean", "sum", "absolute"), changes_loss=True),
            "latent_distance": Choices(values=(True, False), changes_loss=True),
        }
    )

    hidden_layers: tuple[int, ...] | None = None
    latent_size: int | None = None
    activation: Literal["relu", "leaky_relu"] = "relu"
    normalization: Literal["batch", "none"] = "none"
    dropout: float = 0.0
    noise: tuple[float, float] | None = (0.05, 2.0)
    loss: Literal["mse", "huber", "mae"] = "mse"
    learning_rate: float = 0.001
    weight_decay: float = 1e-5
    scheduler: Literal["cosine", "plateau", "constant"] = "cosine"
    batch_size: int = 256
    max_draws: int = 2_048_000
    patience: int = 3
    aggregation: Literal["sum", "log_mean", "absolute", "mean_squared", "mean_absolute"] = "log_mean"
    latent_distance: bool = True

    def __post_init__(self) -> None:
        choices = {
            "activation": ("relu", "leaky_relu"),
            "normalization": ("batch", "none"),
            "loss": ("mse", "huber", "mae"),
            "scheduler": ("cosine", "plateau", "constant"),
            "aggregation": ("sum", "log_mean", "absolute", "mean_squared", "mean_absolute"),
        }
        conditions = {
            "hidden_layers": (all(width >= 1 for width in self.hidden_layers or ()), "widths of at least 1"),
            "latent_size": (self.latent_size is None or self.latent_size >= 1, "at least 1"),
            "dropout": (0 <= self.dropout < 1, "a share from 0 to below 1"),
            "noise": (self.noise is None or 0 < self.noise[0] <= self.noise[1], "two levels 0 < low <= high, or None"),
            "learning_rate": (self.learning_rate > 0, "above 0"),
            "weight_decay": (self.weight_decay >= 0, "0 or more"),
            "batch_size": (self.batch_size >= 2, "at least 2"),
            "max_draws": (self.max_draws >= 1, "at least 1"),
            "patience": (self.patience >= 1, "at least 1"),
        }
        self.check(choices, conditions)
