"""The trained autoencoder as a PyTorch module, and PyOD's: :mod:`netsieve.bench.contenders` lists these peers.

Each takes a case and its model, does what is done once, and returns what is timed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from netsieve.bench.scoring_case import Floats, ScoringCase, ScoringModel
from netsieve.engine.detectors.autoencoder import Autoencoder

EAGER_BATCH: Final = 1024
COMPILED_BATCH: Final = 4096
"""Rows a call: the best of 512 to 8,192."""
PYOD_EPOCHS: Final = 2
"""Of training; how well it is trained changes nothing of the speed."""

ScoreAll = Callable[[], Floats]


def torch_eager(case: ScoringCase, model: ScoringModel) -> ScoreAll:
    """Score the raw matrix by the network as a PyTorch module."""
    return _torch_loop(case, _torch_module(model), EAGER_BATCH)


def torch_compiled(case: ScoringCase, model: ScoringModel) -> ScoreAll:
    """Score it by ``torch.compile``; compiling, which needs a C++ compiler, is not timed."""
    import torch

    with warnings.catch_warnings():
        # PyTorch's compiler imports parts of PyTorch that PyTorch warns of
        warnings.simplefilter("ignore", DeprecationWarning)
        score = _torch_loop(case, torch.compile(_torch_module(model), dynamic=True), COMPILED_BATCH)
        score()
    return score


def pyod_autoencoder(case: ScoringCase, model: ScoringModel) -> ScoreAll:
    """Score prepared columns by PyOD's autoencoder, another network with hidden layers of the same sizes as ours."""
    import torch
    from pyod.models.auto_encoder import AutoEncoder

    network = _trained(model).network
    assert network is not None
    peer = AutoEncoder(
        hidden_neuron_list=[layer.weight.shape[1] for layer in network.encoder],
        epoch_num=PYOD_EPOCHS,
        random_state=0,
        device=torch.device("cpu"),
        verbose=0,
    ).fit(case.prepared_training)
    torch.set_num_threads(case.threads)
    z = case.prepared
    return lambda: np.asarray(peer.decision_function(z, batch_size=EAGER_BATCH), dtype=np.float32)


def torch_record(case: ScoringCase, model: ScoringModel) -> Callable[[], float]:
    """Score it by the network as a PyTorch module."""
    import torch

    module, record, names = _torch_module(model), case.frame.row(0, named=True), case.schema.feature_names

    def score() -> float:
        with torch.inference_mode():
            return float(module(torch.tensor([[record[name] for name in names]], dtype=torch.float32))[0])

    return score


def _torch_loop(case: ScoringCase, module: Callable[[Any], Any], batch: int) -> ScoreAll:
    import torch

    torch.set_num_threads(case.threads)
    x = torch.from_numpy(case.x)

    def score() -> Floats:
        with torch.inference_mode():
            scores: Floats = torch.cat([module(rows) for rows in torch.split(x, batch)]).numpy()
        return scores

    return score


def _torch_module(model: ScoringModel) -> Any:
    from netsieve.bench.torch_peer import prepared_autoencoder

    return prepared_autoencoder(_trained(model))


def _trained(model: ScoringModel) -> Autoencoder:
    assert isinstance(model.detector, Autoencoder)
    return model.detector
