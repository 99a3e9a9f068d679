"""Quality of every detector on the labelled sets, beside PyOD's and scikit-learn's, and of labels beside none.

Same parts and measures as :mod:`netsieve.bench.quality`. netsieve's scores are those of the exported graph.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.bench.datasets import LabelledSet
from netsieve.bench.detector_peers import PEERS, available_peers
from netsieve.bench.quality import ATTACK_SHARE, SHARES, raw_columns
from netsieve.engine.detectors.registry import DETECTORS, detector_class, detector_parameters
from netsieve.engine.errors import NetsieveError
from netsieve.engine.evaluation.curves import RankedScores
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.training.data import TrainingData, prepare_data
from netsieve.engine.training.job import fit_to
from netsieve.engine.training.splits import SplitShares
from netsieve.export.cores import core_model
from netsieve.export.parity import score_function

LARGEST_SET: Final = 10_000
"""Records of a set that are taken, drawn at random: PyOD's slower detectors need minutes for more."""
BATCH_ROWS: Final = 2_048
LARGEST_SCORE: Final = 3e38
"""Peers' scores, some of which are infinite or no numbers (0 here), are clipped to plus and minus this."""
RESAMPLES: Final = 100
BEST: Final = "ensemble"
"""What the peers are compared with, pair by pair."""
PAIR_MEASURES: Final = ("auroc", "average_precision_5")
HYBRID_DETECTORS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = MappingProxyType(
    {
        "autoencoder": ("autoencoder", {}),
        "classifier": ("classifier", {}),
        "boosted trees": ("boosted_trees", {}),
        "hybrid": ("hybrid", {}),
        "hybrid of boosted trees": ("hybrid", {"members": ("autoencoder", "boosted_trees")}),
    }
)
"""Detector and parameters by the name shown: one without labels, those of labels alone, and both together."""
HYBRID_SHARES: Final = SplitShares(train=0.36, validation=0.04, calibration=0.1, attacks_train=0.5)


def unsupervised_detectors() -> tuple[str, ...]:
    """Return the detectors that learn from single normal records alone."""
    return tuple(name for name, entry in DETECTORS.items() if not entry.supervised and not entry.sequence)


def sampled(labelled: LabelledSet, seed: int, largest: int) -> pl.DataFrame:
    """Return at most so many records of a set, in their order."""
    frame = labelled.frame
    if frame.height <= largest:
        return frame
    return frame[np.sort(np.random.default_rng(seed).choice(frame.height, largest, replace=False))]


def measure_detectors(
    labelled: LabelledSet,
    seed: int,
    *,
    largest: int = LARGEST_SET,
    detectors: Sequence[str] | None = None,
    peers: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return the measures of all detectors and peers on one set and split, as plain JSON values.

    Parameters
    ----------
    labelled
        The set.
    seed
        Of sample, split and training.
    largest
        Records taken at most.
    detectors, peers
        Names; None for all. A peer that is not installed, or that fails, is told so.
    """
    frame = sampled(labelled, seed, largest)
    data = _data(labelled, frame, seed)
    assert data.is_attack is not None
    contenders: dict[str, dict[str, Any]] = {}
    scores: dict[str, NDArray[Any]] = {}
    for name in detectors or unsupervised_detectors():
        scaling = DETECTORS[name].scaling
        own = data if scaling is None else _data(labelled, frame, seed, scaling=scaling)
        try:
            scores[name], costs = _fitted_scores(name, own, seed)
        except NetsieveError as error:
            contenders[name] = {"failed": str(error)}
            continue
        contenders[name] = measures(scores[name], data.is_attack) | costs
    x_fit = np.concatenate([data.train, data.validation])
    train, test = (raw_columns(data.schema, x).astype(np.float64) for x in (x_fit, data.test))
    installed = available_peers()
    for name in peers or PEERS:
        if name not in installed:
            contenders[name] = {"failed": "not installed"}
            continue
        started = time.perf_counter()
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                given = np.nan_to_num(installed[name](train, test, seed), posinf=LARGEST_SCORE, neginf=-LARGEST_SCORE)
                scores[name] = np.clip(given, -LARGEST_SCORE, LARGEST_SCORE)
            except (ValueError, RuntimeError, MemoryError, FloatingPointError) as error:
                contenders[name] = {"failed": str(error).splitlines()[0][:200]}
                continue
        contenders[name] = measures(scores[name], data.is_attack) | {"fit_seconds": time.perf_counter() - started}
    return {
        "rows": {
            "train": len(x_fit),
            "test": len(data.test),
            "attacks": int(data.is_attack.sum()),
            "of": labelled.frame.height,
        },
        "contenders": contenders,
        "ahead_of": _paired(scores, data.is_attack, seed),
    }


def measure_hybrid(
    labelled: LabelledSet,
    seed: int,
    *,
    largest: int = LARGEST_SET,
    detectors: Sequence[str] = tuple(HYBRID_DETECTORS),
) -> dict[str, Any] | None:
    """Return how labels of half of the kinds of attack help on these and on the others; None with too few kinds.

    Kinds are put in order of name and every second one is hidden: its records only test.
    """
    if labelled.attack is None:
        return None
    frame = sampled(labelled, seed, largest)
    kinds = frame.filter(pl.col(labelled.label).cast(pl.String) != labelled.normal)[labelled.attack]
    counted = kinds.cast(pl.String).value_counts().filter(pl.col("count") >= 20)
    names = sorted(counted[labelled.attack].drop_nulls().to_list())
    if len(names) < 4:
        return None
    hidden = names[1::2]
    is_hidden = pl.col(labelled.attack).cast(pl.String).is_in(hidden).fill_null(value=False)
    is_attack = pl.col(labelled.label).cast(pl.String) != labelled.normal
    seen, unseen = frame.filter(~(is_hidden & is_attack)), frame.filter(is_hidden & is_attack)
    data = _data(labelled, seen, seed, shares=HYBRID_SHARES)
    assert data.is_attack is not None
    x_unseen = Encoder(data.schema).encode(unseen)
    contenders = {}
    for name in detectors:
        detector, parameters = HYBRID_DETECTORS[name]
        run = _trained(detector, data, seed, parameters)[0]
        tested, others = _scored(run, data.test), _scored(run, x_unseen)
        normal = tested[~data.is_attack]
        contenders[name] = {
            "seen": measures(tested, data.is_attack),
            "unseen": measures(np.concatenate([normal, others]), np.arange(len(normal) + len(others)) >= len(normal)),
        }
    return {
        "kinds_seen": names[::2],
        "kinds_unseen": hidden,
        "rows": {"attacks_train": len(data.attacks_train), "unseen": unseen.height},
        "contenders": contenders,
    }


def measures(scores: NDArray[Any], attack: NDArray[np.bool_]) -> dict[str, float | None]:
    """Return AUROC, average precision as it is and at 5 % attacks, and recall at two false-positive rates."""
    ranked = RankedScores.of(scores.astype(np.float32), attack)
    return {
        "auroc": ranked.auroc(),
        "average_precision": ranked.average_precision(),
        "average_precision_5": ranked.average_precision(ATTACK_SHARE),
        "recall_at_1e_2": ranked.recall_at(1e-2),
        "recall_at_1e_3": ranked.recall_at(1e-3),
    }


def _data(
    labelled: LabelledSet, frame: pl.DataFrame, seed: int, *, shares: SplitShares = SHARES, **settings: Any
) -> TrainingData:
    return prepare_data(
        frame,
        label=labelled.label,
        normal=labelled.normal,
        ignore=labelled.ignore,
        time_column=labelled.time,
        shares=shares,
        seed=seed,
        **settings,
    )


def _trained(
    name: str, data: TrainingData, seed: int, parameters: Mapping[str, Any] | None = None
) -> tuple[Any, float]:
    """Return a function that scores batches with the exported graph, and the seconds of training."""
    model = detector_class(name)(detector_parameters(name, parameters))
    started = time.perf_counter()
    fit_to(model, data, seed=seed, device="cpu", progress=False)
    seconds = time.perf_counter() - started
    assert model.core is not None
    return score_function(core_model(model.core, data.schema).SerializeToString()), seconds


def _scored(run: Any, x: NDArray[np.float32]) -> NDArray[np.float32]:
    parts = [run(x[start : start + BATCH_ROWS]) for start in range(0, len(x), BATCH_ROWS)]
    return np.concatenate([np.empty(0, np.float32), *parts])


def _fitted_scores(name: str, data: TrainingData, seed: int) -> tuple[NDArray[np.float32], dict[str, float]]:
    run, seconds = _trained(name, data, seed)
    started = time.process_time()
    scores = _scored(run, data.test)
    return scores, {
        "fit_seconds": seconds,
        "rows_per_second": len(scores) / max(time.process_time() - started, 1e-9),
    }


def _paired(scores: dict[str, NDArray[Any]], attack: NDArray[np.bool_], seed: int) -> dict[str, Any]:
    """Return by how much the best recipe is ahead of each PyOD detector, and the bootstrap's deviation of that.

    All are scored on the same resamples of the test records, drawn within normal records and within attacks.
    """
    rivals = [name for name in scores if name.startswith("PyOD")]
    if BEST not in scores or not rivals:
        return {}
    generator = np.random.default_rng(seed)
    kinds = (np.flatnonzero(~attack), np.flatnonzero(attack))
    resampled: dict[str, list[list[float]]] = {name: [] for name in (BEST, *rivals)}
    for _ in range(RESAMPLES):
        rows = np.concatenate([generator.choice(kind, len(kind)) for kind in kinds])
        for name, found in resampled.items():
            found.append(_pair_measures(scores[name][rows], attack[rows]))
    ours, whole = np.array(resampled[BEST]), np.array(_pair_measures(scores[BEST], attack))
    paired = {}
    for name in rivals:
        difference = whole - _pair_measures(scores[name], attack)
        deviation = (ours - np.array(resampled[name])).std(axis=0, ddof=1)
        paired[name] = {
            measure: {"difference": float(difference[i]), "deviation": float(deviation[i])}
            for i, measure in enumerate(PAIR_MEASURES)
        }
    return paired


def _pair_measures(scores: NDArray[Any], attack: NDArray[np.bool_]) -> list[float]:
    """Return the measures of :data:`PAIR_MEASURES`; a test part always holds both kinds."""
    found = measures(scores, attack)
    return [float(found[measure] or 0.0) for measure in PAIR_MEASURES]
