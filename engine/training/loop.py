"""The training loop of networks that rebuild their input. Importing this module imports torch."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, ReduceLROnPlateau
from tqdm import tqdm

from netsieve.engine.errors import DeviceError, TrainingError

VALIDATIONS: Final = 30
"""How often the validation loss is taken over a whole training run; the unit of patience."""
VALIDATION_ROWS: Final = 20_000
"""Validation loss is taken over at most so many rows."""
LARGEST_GRADIENT_NORM: Final = 5.0

Loss = Literal["mse", "huber", "mae"]
Scheduler = Literal["cosine", "plateau", "constant"]
Objective = Callable[[nn.Module, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopParameters:
    """What the loop needs to know; see :class:`netsieve.engine.detectors.autoencoder.AutoencoderParameters`."""

    noise: tuple[float, float] | None
    loss: Loss
    learning_rate: float
    weight_decay: float
    scheduler: Scheduler
    batch_size: int
    max_draws: int
    patience: int


@dataclass(frozen=True, slots=True)
class TrainingHistory:
    """Losses of one training run, one entry a validation.

    Attributes
    ----------
    train_loss, validation_loss
        Mean training loss since the last validation, and the validation loss.
    best
        Index of the smallest validation loss: the weights that were kept.
    steps
        Gradient steps taken.
    stopped_early
        Whether patience ran out.
    """

    train_loss: tuple[float, ...]
    validation_loss: tuple[float, ...]
    best: int
    steps: int
    stopped_early: bool

    @property
    def summary(self) -> dict[str, Any]:
        """Steps, whether it stopped early and the best losses, as plain JSON values."""
        return {
            "steps": self.steps,
            "stopped_early": self.stopped_early,
            "train_loss": self.train_loss[self.best],
            "validation_loss": self.validation_loss[self.best],
        }


def resolve_device(device: str) -> torch.device:
    """Return the torch device for ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    DeviceError
        CUDA was asked for and is not there, or the name is none of these.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "device 'cuda' was asked for, but this PyTorch finds no CUDA device; "
            "install a CUDA build of PyTorch and a driver, or use device 'cpu'"
        )
    if device not in ("cpu", "cuda"):
        raise DeviceError(f"device {device!r} is not known; expected 'auto', 'cpu' or 'cuda'")
    return torch.device(device)


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Seed torch, ask for deterministic kernels and use one thread inside the block; all is put back afterwards.

    One thread: layers of a hundred units are too small to share (two threads took 1.3 to 5 times as long on a busy
    machine, and gained nothing on an idle one), and sums then do not depend on how many cores there are.
    """
    # cuBLAS is deterministic only with a fixed workspace, told before the first call
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)
            torch.set_num_threads(threads)


def train_network(
    network: nn.Module,
    z_train: NDArray[Any],
    z_validation: NDArray[Any],
    parameters: LoopParameters,
    *,
    device: torch.device,
    progress: bool,
    objective: Objective | None = None,
) -> TrainingHistory:
    """Train ``network`` to rebuild the rows of ``z_train``, and leave the best weights in it.

    Parameters
    ----------
    network
        Maps ``[n, width]`` to ``[n, width]``, or what the objective takes; moved to ``device`` for training, back to
        the CPU at the end.
    z_train, z_validation
        float32 ``[n, width]``, prepared rows; with an objective, of any shape and type that it takes.
    parameters
        Loss, optimiser, schedule, budget.
    device
        Where to train; the whole of ``z_train`` is put there.
    progress
        Whether to show a progress bar on stderr.
    objective
        What is minimised, of the network, the disturbed rows and the clean ones; None: the loss of the parameters
        between what the network makes of the disturbed rows, and the clean ones.

    Raises
    ------
    TrainingError
        The loss is not finite.

    Notes
    -----
    With noise, each drawn row is disturbed by Gaussian noise of one level a row, log-uniform in the given range,
    and the clean row is the target (denoising). The validation loss is the same loss on a fixed draw of noise.
    """
    network.to(device)
    rows = torch.from_numpy(z_train).to(device)
    held_back = torch.from_numpy(z_validation[:VALIDATION_ROWS]).to(device)
    held_back_input = _disturbed(held_back, parameters.noise)
    minimised = objective or _reconstruction(
        {"mse": nn.MSELoss(), "huber": nn.HuberLoss(), "mae": nn.L1Loss()}[parameters.loss]
    )

    batch_size = min(parameters.batch_size, len(rows))
    total_steps = max(1, math.ceil(parameters.max_draws / batch_size))
    interval = max(1, math.ceil(total_steps / VALIDATIONS))
    optimizer = torch.optim.Adam(
        network.parameters(), lr=parameters.learning_rate, weight_decay=parameters.weight_decay
    )
    cosine: LRScheduler | None = None
    plateau: ReduceLROnPlateau | None = None
    if parameters.scheduler == "cosine":
        cosine = CosineAnnealingLR(optimizer, total_steps)
    elif parameters.scheduler == "plateau":
        plateau = ReduceLROnPlateau(optimizer, factor=0.3, patience=0)

    train_losses: list[float] = []
    validation_losses: list[float] = []
    best = math.inf
    best_weights: dict[str, Tensor] = {}
    since_best, step, stopped_early = 0, 0, False
    running = torch.zeros((), device=device)
    batches = _batches(rows, batch_size)
    with tqdm(total=total_steps, desc="train", unit="step", disable=not progress, leave=False) as bar:
        while step < total_steps and not stopped_early:
            batch = next(batches)
            network.train()
            optimizer.zero_grad(set_to_none=True)
            loss = minimised(network, _disturbed(batch, parameters.noise), batch)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), LARGEST_GRADIENT_NORM)
            optimizer.step()
            if cosine is not None:
                cosine.step()
            running += loss.detach()
            step += 1
            if step % interval and step < total_steps:
                continue
            steps_since = step - len(train_losses) * interval
            train_losses.append(float(running) / steps_since)
            running.zero_()
            validation = _validation_loss(network, held_back_input, held_back, minimised)
            validation_losses.append(validation)
            if plateau is not None:
                plateau.step(validation)
            if validation < best:
                best, since_best = validation, 0
                best_weights = {name: value.detach().clone() for name, value in network.state_dict().items()}
            else:
                since_best += 1
                stopped_early = since_best >= parameters.patience
            bar.set_postfix(loss=f"{train_losses[-1]:.4f}", validation=f"{validation:.4f}", refresh=False)
            bar.update(steps_since)
    if not best_weights:
        raise TrainingError(
            f"the training loss is not finite after {step} steps; "
            f"lower the learning rate ({parameters.learning_rate}) or look at the data"
        )
    network.load_state_dict(best_weights)
    network.to("cpu").eval()
    return TrainingHistory(
        train_loss=tuple(train_losses),
        validation_loss=tuple(validation_losses),
        best=int(np.argmin(np.nan_to_num(validation_losses, nan=np.inf))),
        steps=step,
        stopped_early=stopped_early,
    )


def _batches(rows: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Yield batches of exactly ``batch_size`` rows without end, each row once before any comes again."""
    order = torch.empty(0, dtype=torch.int64, device=rows.device)
    while True:
        if len(order) < batch_size:
            order = torch.cat([order, torch.randperm(len(rows)).to(rows.device)])
        yield rows[order[:batch_size]]
        order = order[batch_size:]


def _disturbed(rows: Tensor, noise: tuple[float, float] | None) -> Tensor:
    if noise is None:
        return rows
    low, high = math.log(noise[0]), math.log(noise[1])
    one_each = (len(rows), *(1 for _ in rows.shape[1:]))
    level = torch.exp(torch.rand(one_each, device=rows.device) * (high - low) + low)
    return rows + level * torch.randn_like(rows)


def _reconstruction(loss: nn.Module) -> Objective:
    def objective(network: nn.Module, disturbed: Tensor, clean: Tensor) -> Tensor:
        return cast(Tensor, loss(network(disturbed), clean))

    return objective


def _validation_loss(network: nn.Module, disturbed: Tensor, clean: Tensor, objective: Objective) -> float:
    network.eval()
    with torch.inference_mode():
        return float(objective(network, disturbed, clean))
