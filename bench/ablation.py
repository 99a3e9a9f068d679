"""What was compared before the default recipe of the autoencoder was fixed.

Networks differ from a reference in one respect each; every network is scored in several ways. Sets are cut to at
most 30,000 training and 40,000 test rows. Development sets are those that the means of the page do not count;
the main sets are shown beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netsieve.bench.datasets import LabelledSet
from netsieve.bench.quality import SHARES, quality
from netsieve.engine.detectors.autoencoder import Autoencoder, AutoencoderParameters, residual_weight
from netsieve.engine.detectors.dense_autoencoder import DenseAutoencoder
from netsieve.engine.detectors.latent import latent_whitening
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.inference import fit_schema, infer_schema
from netsieve.engine.features.preprocessing import fit_preprocessing, prepare
from netsieve.engine.features.schema import CategoricalFeature, Feature, FeatureSchema, NumericFeature
from netsieve.engine.training.labels import normal_records, record_time
from netsieve.engine.training.splits import split_records

LARGEST_TRAIN: Final = 30_000
LARGEST_TEST: Final = 20_000
"""Of normal test rows, and of attacks."""
NO_RARITY_SCALE: Final = 1e9
"""Dividing by this leaves a rarity column at 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkVariant:
    """A network that is compared: how it differs from the reference, and a change to the schema."""

    changes: Mapping[str, Any]
    schema: Callable[[FeatureSchema, NDArray[np.float32]], FeatureSchema] | None = None


def _without_signed_log(schema: FeatureSchema, x: NDArray[np.float32]) -> FeatureSchema:
    features = tuple(replace(f, signed_log=False) if isinstance(f, NumericFeature) else f for f in schema.features)
    return fit_preprocessing(replace(schema, features=features), x)


def _without_rarity(schema: FeatureSchema, x: NDArray[np.float32]) -> FeatureSchema:
    def flat(feature: Feature) -> Feature:
        if isinstance(feature, CategoricalFeature):
            return replace(feature, rarity_scale=NO_RARITY_SCALE)
        return feature

    return replace(schema, features=tuple(map(flat, schema.features)))


REFERENCE: Final = "reference: 3,000 steps, denoising 0.05 to 2"
REFERENCE_DRAWS: Final = 768_000
DEFAULT_DRAWS: Final = 2_048_000
BATCH_NORMALISED: Final = {"activation": "leaky_relu", "normalization": "batch"}
NETWORKS: Final[Mapping[str, NetworkVariant]] = {
    REFERENCE: NetworkVariant(changes={}),
    "no denoising": NetworkVariant(changes={"noise": None}),
    "denoising, 0.01 to 0.3 deviations": NetworkVariant(changes={"noise": (0.01, 0.3)}),
    "BatchNorm and LeakyReLU": NetworkVariant(changes=BATCH_NORMALISED),
    "BatchNorm, LeakyReLU, dropout 0.1": NetworkVariant(changes={**BATCH_NORMALISED, "dropout": 0.1}),
    "8,000 steps (the default)": NetworkVariant(changes={"max_draws": DEFAULT_DRAWS}),
    "8,000 steps, BatchNorm and LeakyReLU": NetworkVariant(changes={**BATCH_NORMALISED, "max_draws": DEFAULT_DRAWS}),
    "no signed log": NetworkVariant(changes={}, schema=_without_signed_log),
    "no rarity columns": NetworkVariant(changes={}, schema=_without_rarity),
}
SCORES: Final[Mapping[str, tuple[str, bool]]] = {
    "sum, latent distance": ("sum", True),
    "sum": ("sum", False),
    "log mean, latent distance": ("log_mean", True),
    "log mean": ("log_mean", False),
    "absolute, latent distance": ("absolute", True),
    "plain mean squared error": ("mean_squared", False),
}


def compare_variants(labelled: LabelledSet, seed: int) -> list[dict[str, Any]]:
    """Return network, score and measures of every variant on one set, as plain JSON values."""
    frame = labelled.frame
    normal, _ = normal_records(frame, labelled.label, labelled.normal)
    unfitted = infer_schema(frame, ignore=labelled.ignore, label=labelled.label)
    time = record_time(frame, unfitted, labelled.time)
    splits = split_records(
        frame.height, normal=normal, time=None if time is None else time[1], shares=SHARES, seed=seed
    )
    generator = np.random.default_rng(seed)
    train = _drawn(splits.train, LARGEST_TRAIN, generator)
    test = np.concatenate(
        [_drawn(splits.test[normal[splits.test] == kind], LARGEST_TEST, generator) for kind in (True, False)]
    )
    fitted = fit_schema(unfitted, frame[train])
    encoder = Encoder(fitted)
    x_train, x_validation, x_test = (encoder.encode(frame[rows]) for rows in (train, splits.validation, test))
    measured = []
    for network_name, variant in NETWORKS.items():
        schema = fitted if variant.schema is None else variant.schema(fitted, x_train)
        detector = Autoencoder(replace(AutoencoderParameters(), **{"max_draws": REFERENCE_DRAWS, **variant.changes}))
        detector.fit(schema, x_train, x_validation, seed=seed, device="cpu")
        assert detector.network is not None
        z_train, z_validation, z_test = (prepare(schema, x) for x in (x_train, x_validation, x_test))
        center, whitening = latent_whitening(detector.network.code(z_train))
        residual = detector.network.residual(z_validation)
        for score_name, (aggregation, latent) in SCORES.items():
            network = DenseAutoencoder(
                detector.network.encoder,
                detector.network.decoder,
                residual_weight(residual, aggregation),
                "sum" if aggregation == "mean_squared" else aggregation,  # type: ignore[arg-type]
                center if latent else None,
                whitening if latent else None,
            )
            measures = quality(network.score(z_test), ~normal[test])
            measured.append({"network": network_name, "score": score_name, **measures})
    return measured


def _drawn(rows: NDArray[np.int64], largest: int, generator: np.random.Generator) -> NDArray[np.int64]:
    return rows if len(rows) <= largest else np.sort(generator.choice(rows, largest, replace=False))
