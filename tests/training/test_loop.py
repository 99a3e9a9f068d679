import numpy as np
import pytest
import torch

from netsieve.engine.errors import TrainingError
from netsieve.engine.training.loop import VALIDATIONS, LoopParameters, _batches, reproducible, train_network

CPU = torch.device("cpu")


def parameters(**changes) -> LoopParameters:
    values = {
        "noise": None,
        "loss": "mse",
        "learning_rate": 0.01,
        "weight_decay": 0.0,
        "scheduler": "constant",
        "batch_size": 10,
        "max_draws": 3000,
        "patience": 3,
    }
    return LoopParameters(**{**values, **changes})


class Scale(torch.nn.Module):
    """Multiplies its input by one weight: rebuilding is best at 1."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(start))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z * self.weight


def test_patience_stops_training_and_the_best_weights_are_kept() -> None:
    # training pulls the weight from 0 to 1; the validation rows contain noise-free zeros but for a bias
    # that makes them best rebuilt on the way there
    class Biased(Scale):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            offset = 0.0 if self.training else 2 * (self.weight - 0.5).abs()
            return super().forward(z) + offset * 10

    network = Biased(0.0)
    rows = np.ones((50, 2), dtype=np.float32)
    history = train_network(network, rows, rows, parameters(), device=CPU, progress=False)
    assert history.stopped_early
    assert history.best == len(history.validation_loss) - 1 - 3
    assert history.steps < 300
    assert abs(network.weight.item() - 0.5) < abs(1 - 0.5) * 0.5
    with torch.inference_mode():
        loss = torch.nn.functional.mse_loss(network.eval()(torch.from_numpy(rows)), torch.from_numpy(rows)).item()
    assert loss == pytest.approx(history.validation_loss[history.best], rel=1e-6)
    assert loss == min(history.validation_loss)


@pytest.mark.parametrize("scheduler", ["cosine", "plateau", "constant"])
@pytest.mark.parametrize("loss", ["mse", "huber", "mae"])
def test_every_loss_and_schedule_learns(scheduler: str, loss: str) -> None:
    network = Scale(0.5)
    rows = np.random.default_rng(0).standard_normal((100, 3)).astype(np.float32)
    history = train_network(network, rows, rows, parameters(scheduler=scheduler, loss=loss), device=CPU, progress=False)
    assert network.weight.item() == pytest.approx(1, abs=0.05)
    assert len(history.train_loss) == len(history.validation_loss) <= VALIDATIONS


def test_batches_are_whole_and_hold_every_row_once_before_any_again() -> None:
    with reproducible(0):
        batches = _batches(torch.arange(7)[:, None], 3)
        drawn = torch.cat([next(batches) for _ in range(14)]).flatten().tolist()
    for epoch in range(6):
        assert sorted(drawn[epoch * 7 : epoch * 7 + 7]) == list(range(7))


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    rows = np.ones((50, 2), dtype=np.float32)
    with pytest.raises(TrainingError, match="not finite"):
        train_network(Scale(float("nan")), rows, rows, parameters(), device=CPU, progress=False)


def test_progress_goes_to_stderr_only_when_asked(capsys) -> None:
    rows = np.ones((50, 2), dtype=np.float32)
    train_network(Scale(0.0), rows, rows, parameters(max_draws=300), device=CPU, progress=False)
    assert capsys.readouterr() == ("", "")
    train_network(Scale(0.0), rows, rows, parameters(max_draws=300), device=CPU, progress=True)
    output = capsys.readouterr()
    assert output.out == ""
    assert "train" in output.err
