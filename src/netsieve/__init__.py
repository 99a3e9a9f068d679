"""netsieve scores network and host logs for anomalies.

``import netsieve`` is light: the names below are imported from their rooms when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netsieve import export as export
    from netsieve.engine.errors import NetsieveError as NetsieveError
    from netsieve.engine.evaluation.metrics import evaluate_scores as evaluate_scores
    from netsieve.engine.features.inference import infer_schema as infer_schema
    from netsieve.engine.features.schema import FeatureSchema as FeatureSchema
    from netsieve.engine.features.state import FeatureState as FeatureState
    from netsieve.engine.scoring.events import score_events as score_events
    from netsieve.engine.scoring.scorer import Scorer as Scorer
    from netsieve.engine.sources.scanning import scan as scan
    from netsieve.engine.sources.scanning import scan_events as scan_events
    from netsieve.engine.training.job import train_detector as train_detector

__version__ = "0.1.0"

_HOME = {
    "FeatureSchema": "netsieve.engine.features.schema",
    "FeatureState": "netsieve.engine.features.state",
    "NetsieveError": "netsieve.engine.errors",
    "Scorer": "netsieve.engine.scoring.scorer",
    "evaluate_scores": "netsieve.engine.evaluation.metrics",
    "infer_schema": "netsieve.engine.features.inference",
    "score_events": "netsieve.engine.scoring.events",
    "scan": "netsieve.engine.sources.scanning",
    "scan_events": "netsieve.engine.sources.scanning",
    "train_detector": "netsieve.engine.training.job",
}

__all__ = [
    "FeatureSchema",
    "FeatureState",
    "NetsieveError",
    "Scorer",
    "__version__",
    "evaluate_scores",
    "export",
    "infer_schema",
    "scan",
    "scan_events",
    "score_events",
    "train_detector",
]


def __getattr__(name: str) -> Any:
    if name == "export":
        return import_module("netsieve.export")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'netsieve' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
