import numpy as np
import pytest

from netsieve.engine.detectors.ensemble import Ensemble, EnsembleParameters
from netsieve.engine.features.preprocessing import fit_preprocessing
from netsieve.engine.features.schema import FeatureSchema, NumericFeature
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.export.model import write_model


def far_rows():
    x = np.random.default_rng(0).normal(size=(3000, 2))
    x[:30], x[30:60] = 1e6, -1e6
    return x[np.random.default_rng(1).permutation(3000)].astype(np.float32)


@pytest.mark.parametrize("x", [far_rows(), np.full((600, 2), 7, dtype=np.float32)], ids=["far rows", "constant"])
@pytest.mark.parametrize("combination", ["mean", "max", "median"])
def test_an_ensemble_can_be_exported_where_its_members_scores_crowd(x, combination, tmp_path):
    schema = fit_preprocessing(FeatureSchema(features=tuple(NumericFeature(name=f"n{i}") for i in range(2))), x)
    quick = {"isolation_forest": {"trees": 40}}
    parameters = EnsembleParameters(
        members=("pca", "isolation_forest", "nearest"), member_parameters=quick, combination=combination
    )
    cut = len(x) // 2
    detector = Ensemble(parameters).fit(schema, x[:cut], x[cut:], device="cpu")
    calibration = Calibration.fit(detector.score(x[cut:]), x[cut:], detector.feature_error(x[cut:]), schema)
    thresholds = {"percentile:95": calibration.score_at_position(0.95 * 99), "default": "percentile:95"}
    report = write_model(
        detector,
        tmp_path / "model.onnx",
        schema=schema,
        calibration=calibration,
        thresholds=thresholds,
        provenance={},
        parity_rows=x[cut:],
    )
    assert report.largest_error <= 1e-5
