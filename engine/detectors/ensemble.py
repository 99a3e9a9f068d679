"""The ensemble: detectors that see different things, combined on the scale of surprise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.engine.detectors.core import View, sampled_rows
from netsieve.engine.detectors.core_detector import CoreDetector
from netsieve.engine.detectors.ensemble_core import Combination, EnsembleCore
from netsieve.engine.detectors.parameters import DetectorParameters
from netsieve.engine.detectors.supervised import SupervisedDetector
from netsieve.engine.detectors.tail_rank import TailRank
from netsieve.engine.features.schema import FeatureSchema

RANK_SHARE: Final = 0.15
"""Share of the training rows held back from the members: their scores of these are the basis of the ranks."""
LARGEST_RANK_SET: Final = 20_000
STEEPEST: Final[dict[View, float]] = {"prepared": 4.0, "unscaled": 30.0}
"""Steepest rank functions: scores that come from comparisons are exact to a few bits, and may crowd."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleParameters(DetectorParameters):
    """Which detectors are combined, and how.

    Attributes
    ----------
    members
        Names of detectors.
    member_parameters
        Parameters by the name of a member; defaults for what is not named.
    combination
        ``"mean"``, ``"max"`` or ``"median"`` of the members' surprises. A member that is blind to an attack pulls the
        mean down, and one that takes rare normal records for odd pulls the maximum up (measured: docs/results.md).
    """

    detector: ClassVar[str] = "ensemble"

    members: tuple[str, ...] = ("autoencoder", "isolation_forest", "nearest")
    member_parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    combination: Combination = "median"

    def __post_init__(self) -> None:
        once = len(set(self.members)) == len(self.members)
        strangers = sorted(set(self.member_parameters) - set(self.members))
        self.check(
            {"combination": ("mean", "max", "median")},
            {
                "members": (
                    bool(self.members) and once and not {"ensemble", "hybrid"} & set(self.members),
                    "names of detectors, each once, and no ensemble among them",
                ),
                "member_parameters": (not strangers, f"parameters of the members {', '.join(self.members)}"),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HybridParameters(EnsembleParameters):
    """Those of an ensemble, with an unsupervised and a supervised member, and the larger of their surprises."""

    detector: ClassVar[str] = "hybrid"

    members: tuple[str, ...] = ("autoencoder", "classifier")
    combination: Combination = "max"


class Ensemble(CoreDetector):
    """Detectors combined by the mean, maximum or median of their calibrated tail ranks.

    References
    ----------
    Aggarwal and Sathe, "Theoretical Foundations and Algorithms for Outlier Ensembles", SIGKDD Explorations 17(1),
    2015. Kriegel et al., "Interpreting and Unifying Outlier Scores", SDM 2011.
    """

    name: ClassVar[str] = "ensemble"
    parameters_class: ClassVar[type[DetectorParameters]] = EnsembleParameters
    smallest_training_set: ClassVar[int] = 40

    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[EnsembleCore, dict[str, Any]]:
        """Train the members on most of ``x_train``, and fit the ranks on the rest."""
        options = {"seed": seed, "device": device, "progress": progress}
        return fitted_ensemble(self.parameters, schema, x_train, x_validation, None, options)


class Hybrid(SupervisedDetector):
    """An unsupervised detector and a supervised one: the larger of their surprises.

    An attack like those seen in training is known to the supervised member; one like nothing seen keeps the score of
    the other.
    """

    name: ClassVar[str] = "hybrid"
    parameters_class: ClassVar[type[DetectorParameters]] = HybridParameters
    smallest_training_set: ClassVar[int] = 40

    def fit_core(
        self,
        schema: FeatureSchema,
        x_train: NDArray[np.float32],
        x_validation: NDArray[np.float32],
        *,
        seed: int,
        device: str,
        progress: bool,
    ) -> tuple[EnsembleCore, dict[str, Any]]:
        """Train the members on most of ``x_train``, the supervised ones on the attacks too."""
        options = {"seed": seed, "device": device, "progress": progress}
        return fitted_ensemble(self.parameters, schema, x_train, x_validation, self.x_attacks, options)


def fitted_ensemble(  # noqa: PLR0917
    parameters: EnsembleParameters,
    schema: FeatureSchema,
    x_train: NDArray[np.float32],
    x_validation: NDArray[np.float32],
    x_attacks: NDArray[np.float32] | None,
    options: Mapping[str, Any],
) -> tuple[EnsembleCore, dict[str, Any]]:
    """Return the trained members with their rank functions, and how the training of each went."""
    from netsieve.engine.detectors.registry import detector_class, detector_entry, detector_parameters

    seed = options["seed"]
    is_held_back = np.zeros(len(x_train), dtype=bool)
    is_held_back[np.random.default_rng(seed).permutation(len(x_train))[: round(RANK_SHARE * len(x_train))]] = True
    x_rank = sampled_rows(x_train[is_held_back], LARGEST_RANK_SET, seed)
    members, ranks, summary = [], [], {}
    for name in parameters.members:
        member = detector_class(name)(detector_parameters(name, parameters.member_parameters.get(name)))
        attacks: dict[str, Any] = {"x_attacks": x_attacks} if detector_entry(name).supervised else {}
        member.fit(schema, x_train[~is_held_back], x_validation, **options, **attacks)
        assert member.core is not None
        members.append(member.core)
        ranks.append(TailRank.fit(member.reference_score(x_rank), STEEPEST[member.core.view]))
        summary[name] = member.summary
    return EnsembleCore(tuple(members), tuple(ranks), parameters.combination), {"members": summary}
