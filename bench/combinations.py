"""How an ensemble's members are best combined: every way on the same trained members, on the development sets alone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.bench.datasets import LabelledSet
from netsieve.bench.detectors import measures
from netsieve.bench.quality import SHARES
from netsieve.engine.detectors.core import chunked, view_columns
from netsieve.engine.detectors.ensemble import Ensemble, EnsembleParameters
from netsieve.engine.detectors.ensemble_core import Combination, EnsembleCore
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.training.data import prepare_data

WAYS: Final[tuple[Combination, ...]] = ("mean", "median", "max")


def measure_combinations(labelled: LabelledSet, seed: int) -> list[dict[str, Any]]:
    """Return the measures of each way to combine each choice of members, as plain JSON values.

    Parameters
    ----------
    labelled
        The set.
    seed
        Of split and training.
    """
    data = prepare_data(
        labelled.frame,
        label=labelled.label,
        normal=labelled.normal,
        ignore=labelled.ignore,
        time_column=labelled.time,
        shares=SHARES,
        seed=seed,
    )
    assert data.is_attack is not None
    names = EnsembleParameters().members
    ensemble = Ensemble(EnsembleParameters()).fit(data.schema, data.train, data.validation, seed=seed, device="cpu")
    whole = ensemble.core
    assert isinstance(whole, EnsembleCore)
    found = []
    for size in range(1, len(names) + 1):
        for chosen in combinations(range(len(names)), size):
            some = replace(
                whole, members=tuple(whole.members[i] for i in chosen), ranks=tuple(whole.ranks[i] for i in chosen)
            )
            # of two the median is the mean
            for way in WAYS if size > 2 else WAYS[::2] if size > 1 else WAYS[:1]:
                scores = chunked(partial(_scores, replace(some, combination=way), data.schema), data.test)
                found.append(
                    {
                        "members": [names[i] for i in chosen],
                        "combination": way,
                        **measures(scores.astype(np.float32), data.is_attack),
                    }
                )
    return found


def _scores(core: EnsembleCore, schema: FeatureSchema, x: NDArray[np.float32]) -> NDArray[np.float64]:
    return core.score(view_columns(core.view, schema, x))
