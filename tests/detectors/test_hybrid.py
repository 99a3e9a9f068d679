import numpy as np
import pytest
from export_cases import session

from netsieve.engine.detectors.autoencoder import Autoencoder, AutoencoderParameters
from netsieve.engine.detectors.boosted_trees import BoostedTrees
from netsieve.engine.detectors.classifier import Classifier, ClassifierParameters
from netsieve.engine.detectors.ensemble import EnsembleParameters, Hybrid, HybridParameters
from netsieve.engine.errors import TrainingError
from netsieve.engine.evaluation.metrics import evaluate_scores
from netsieve.engine.features.preprocessing import fit_preprocessing
from netsieve.engine.features.schema import FeatureSchema, NumericFeature
from netsieve.export.cores import core_model

QUICK = {"autoencoder": {"max_draws": 60_000}, "classifier": {"max_draws": 60_000}}


def normal_rows(rows, seed):
    generator = np.random.default_rng(seed)
    factor = generator.normal(size=(rows, 1))
    return np.hstack([factor, factor, generator.normal(size=(rows, 4))]).astype(np.float32) + 0.1 * generator.normal(
        size=(rows, 6)
    ).astype(np.float32)


def known_attacks(rows, seed):
    # within the range of normal rows: only labels tell
    x = normal_rows(rows, seed)
    x[:, 2:4] = 1.5 + 0.2 * np.random.default_rng(seed).normal(size=(rows, 2))
    return x.astype(np.float32)


def unknown_attacks(rows, seed):
    # two columns that always go together do not
    x = normal_rows(rows, seed)
    x[:, 1] = -x[:, 0] - 2 * np.sign(x[:, 0])
    return x


@pytest.fixture(scope="module")
def detectors():
    x = normal_rows(3000, 0)
    schema = fit_preprocessing(FeatureSchema(features=tuple(NumericFeature(name=f"n{i}") for i in range(6))), x)
    attacks = known_attacks(200, 1)
    split = (x[:2500], x[2500:])
    return {
        "autoencoder": Autoencoder(AutoencoderParameters(**QUICK["autoencoder"])).fit(schema, *split, device="cpu"),
        "classifier": Classifier(ClassifierParameters(**QUICK["classifier"])).fit(
            schema, *split, device="cpu", x_attacks=attacks
        ),
        "boosted": BoostedTrees().fit(schema, *split, x_attacks=attacks),
        "hybrid": Hybrid(HybridParameters(member_parameters=QUICK)).fit(
            schema, *split, device="cpu", x_attacks=attacks
        ),
    }


def auroc(detector, attacks):
    normal = normal_rows(2000, 7)
    scores = np.concatenate([detector.score(normal), detector.score(attacks)])
    return evaluate_scores(scores, np.arange(len(scores)) >= len(normal), 0.0).auroc


def test_labels_help_on_attacks_like_those_seen(detectors):
    seen = known_attacks(500, 2)
    assert auroc(detectors["hybrid"], seen) > auroc(detectors["autoencoder"], seen) + 0.2
    assert auroc(detectors["classifier"], seen) > 0.95


def test_attacks_of_another_kind_are_found_nearly_as_well_as_without_labels(detectors):
    unseen = unknown_attacks(500, 3)
    assert auroc(detectors["hybrid"], unseen) > auroc(detectors["autoencoder"], unseen) - 0.05
    assert auroc(detectors["hybrid"], unseen) > auroc(detectors["classifier"], unseen) + 0.1


def test_boosted_trees_may_stand_for_the_classifier(detectors):
    x = normal_rows(3000, 0)
    parameters = HybridParameters(
        members=("autoencoder", "boosted_trees"),
        member_parameters={"autoencoder": QUICK["autoencoder"], "boosted_trees": {"trees": 60}},
    )
    hybrid = Hybrid(parameters).fit(
        detectors["hybrid"].schema, x[:2500], x[2500:], device="cpu", x_attacks=known_attacks(200, 1)
    )
    assert auroc(hybrid, known_attacks(500, 2)) > auroc(detectors["autoencoder"], known_attacks(500, 2)) + 0.2
    assert auroc(hybrid, unknown_attacks(500, 3)) > auroc(detectors["boosted"], unknown_attacks(500, 3)) + 0.1
    exported = session(core_model(hybrid.core, hybrid.schema)).run(["score"], {"x": x})[0]
    np.testing.assert_allclose(exported, hybrid.reference_score(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"members": ()}, "names of detectors"),
        ({"members": ("pca", "pca")}, "each once"),
        ({"members": ("hybrid",)}, "no ensemble"),
        ({"members": ("pca",), "member_parameters": {"autoencoder": {}}}, "members pca"),
        ({"combination": "product"}, "mean, max, median"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(values, match):
    with pytest.raises(TrainingError, match=match):
        EnsembleParameters(**values)
