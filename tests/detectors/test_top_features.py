"""A feature that was changed in a normal record is the first that is named, by every detector that names any."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from netsieve.bench.sequence_windows import windows_of
from netsieve.engine.detectors.registry import DETECTORS, detector_class, detector_parameters
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.inference import fit_schema
from netsieve.engine.features.schema import CategoricalFeature, FeatureSchema, NumericFeature
from netsieve.engine.features.windows import Windows
from netsieve.engine.scoring.scorer import Scorer
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.export.model import write_model

EXPLAINED = tuple(name for name, entry in DETECTORS.items() if entry.explains)
QUICK = {
    name: {"max_draws": 20_000}
    for name in ("autoencoder", "autoencoder_simple", "autoencoder_deep", "variational", "classifier")
} | {name: {"max_draws": 2_000} for name, entry in DETECTORS.items() if entry.sequence}
QUICK["autoencoder_simple"] = {"max_draws": 200_000}  # its learning rate is slow
QUICK["hybrid"] = {"member_parameters": {name: QUICK[name] for name in ("autoencoder", "classifier")}}
QUICK["ensemble"] = {"member_parameters": {"autoencoder": QUICK["autoencoder"], "isolation_forest": {"trees": 20}}}
NUMBERS = 8
SERVICES = ("http", "dns", "ssh")
HOSTS = 60
WINDOW = 4


def records(rows: int, seed: int = 0) -> pl.DataFrame:
    """Return records whose numbers all follow from two hidden causes."""
    generator = np.random.default_rng(seed)
    causes = generator.normal(size=(rows, 2))
    loads = np.random.default_rng(0).normal(size=(2, NUMBERS))
    numbers = causes @ (loads / np.linalg.norm(loads, axis=0)) * 300 + generator.normal(0, 50, (rows, NUMBERS))
    columns = {f"n{i}": np.round(numbers[:, i] + 1000) for i in range(NUMBERS)}
    service = generator.choice(3, rows, p=[0.6, 0.3, 0.1])
    hosts = [f"h{row % HOSTS}" for row in range(rows)]
    return pl.DataFrame({**columns, "service": np.array(SERVICES)[service], "host": hosts})


def scorer_of(name, path) -> Scorer:
    """Return a scorer of a detector trained for a moment, to which every record is an anomaly."""
    frame = records(1200)
    service = CategoricalFeature(name="service", vocabulary=SERVICES)
    numbers = (NumericFeature(name=f"n{i}") for i in range(NUMBERS))
    schema = fit_schema(FeatureSchema(features=(*numbers, service)), frame)
    x = Encoder(schema).encode(frame)
    if DETECTORS[name].sequence:
        schema = replace(schema, stateful=(Windows(entity=("host",), length=WINDOW, time=None).to_dict(),))
        x = windows_of(x, np.arange(len(x)) % HOSTS, WINDOW)
    attacks = {"x_attacks": x[:60] * 3} if DETECTORS[name].supervised else {}
    detector = detector_class(name)(detector_parameters(name, QUICK.get(name)))
    detector.fit(schema, x[:800], x[800:1000], seed=0, device="cpu", **attacks)
    held_out = x[1000:]
    scores = detector.score(held_out)
    write_model(
        detector,
        path,
        schema=schema,
        calibration=Calibration.fit(scores, held_out, detector.feature_error(held_out), schema),
        thresholds={"percentile:95": float(np.quantile(scores, 0.95)), "default": "percentile:95"},
        provenance={},
        parity_rows=held_out,
    )
    return Scorer(path).with_threshold(-1e30)


@pytest.mark.parametrize("name", EXPLAINED)
def test_a_changed_feature_is_named_first(name, tmp_path):
    scorer = scorer_of(name, tmp_path / "model.onnx")
    before, normal = records(4 * HOSTS, seed=1), records(HOSTS, seed=2)
    changes = {f"n{i}": pl.lit(4_000.0) for i in range(NUMBERS)} | {"service": pl.lit("ftp")}
    typical = {feature: before[feature].median() for feature in changes if feature != "service"}
    for feature, change in changes.items():
        changed = normal.with_columns(change.alias(feature))
        state = None
        if scorer.is_stateful:
            state = scorer.new_state()
            scorer.score(before, state=state)
        named = scorer.score(changed, state=state, top_features=1)["top_features"].list.first().struct.unnest()
        first = named.filter(pl.col("feature") == feature)
        assert first.height >= 0.9 * HOSTS, feature
        assert (first["z"] > 3).all()
        if feature == "service":
            assert set(first["value"]) == {"ftp"}
            assert set(first["typical"]) == {"http"}
        else:
            assert set(first["value"]) == {"4000"}
            assert abs(float(first["typical"][0]) - typical[feature]) < 150


def test_what_is_usual_moves_no_feature_to_the_front(tmp_path):
    # of normal records each feature comes first now and then, and none stands out by far
    scorer = scorer_of("ecod", tmp_path / "model.onnx")
    named = scorer.score(records(2000, seed=3), top_features=1)["top_features"].list.first().struct.unnest()
    shares = named["feature"].value_counts(normalize=True)
    assert shares.height == NUMBERS + 1
    assert shares["proportion"].max() < 0.4
    assert named["z"].median() < 3
