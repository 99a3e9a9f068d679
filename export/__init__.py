"""Trained detectors to ONNX model files. The only room that writes graphs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netsieve.export.model import write_model as write_model
    from netsieve.export.parity import check_parity as check_parity
    from netsieve.export.pytorch import torch_module as torch_module
    from netsieve.export.sklearn_estimator import sklearn as sklearn

_HOME = {
    "check_parity": "netsieve.export.parity",
    "sklearn": "netsieve.export.sklearn_estimator",
    "write_model": "netsieve.export.model",
    "torch_module": "netsieve.export.pytorch",
}

__all__ = ["check_parity", "sklearn", "torch_module", "write_model"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'netsieve.export' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
