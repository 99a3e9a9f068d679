from functools import partial

import numpy as np
import onnx
import pytest
from export_cases import KINDS, fitted_case, rows_at_thresholds, session
from sklearn import covariance, decomposition, ensemble, kernel_approximation, linear_model, neural_network, svm
from sklearn.impute import SimpleImputer
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, PolynomialFeatures, RobustScaler, StandardScaler

import netsieve
from netsieve.engine.detectors.core import view_columns
from netsieve.engine.errors import ExportError
from netsieve.engine.features.preprocessing import prepare
from netsieve.export.estimator_trees import estimator_trees, rows_at_splits
from netsieve.export.parity import hard_rows

SCALERS = {
    "none": (),
    "standard": (StandardScaler(),),
    "robust": (RobustScaler(),),
    "minmax clipped": (MinMaxScaler(clip=True),),
    "two": (MaxAbsScaler(), "passthrough", StandardScaler(with_mean=False)),
}
OUTLIER = {
    "isolation forest": ensemble.IsolationForest(n_estimators=20, max_features=0.7, random_state=0),
    "rbf": svm.OneClassSVM(nu=0.1),
    "linear": svm.OneClassSVM(kernel="linear", nu=0.1),
    "sgd": linear_model.SGDOneClassSVM(random_state=0),
    "envelope": covariance.EllipticEnvelope(random_state=0, support_fraction=1.0),
    "pca, sgd": make_pipeline(
        decomposition.PCA(3, whiten=True), StandardScaler(), linear_model.SGDOneClassSVM(random_state=0)
    ),
    "nystroem, sgd": make_pipeline(
        kernel_approximation.Nystroem(n_components=30, random_state=0), linear_model.SGDOneClassSVM(random_state=0)
    ),
    "random features, sgd": make_pipeline(
        kernel_approximation.RBFSampler(gamma=0.1, random_state=0), linear_model.SGDOneClassSVM(random_state=0)
    ),
    "minmax pca, rbf": make_pipeline(decomposition.PCA(3), MinMaxScaler(clip=True), svm.OneClassSVM(nu=0.1)),
}
CLASSIFIERS = {
    "boosted trees": ensemble.HistGradientBoostingClassifier(max_iter=20, random_state=0),
    "logistic": linear_model.LogisticRegression(),
    **{
        f"network {activation}": neural_network.MLPClassifier(
            (8, 4), activation=activation, max_iter=60, random_state=0
        )
        for activation in ("relu", "tanh", "logistic", "identity")
    },
}
PLAIN = ("plain a", "plain b", "log a", "plain c", "plain d")

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:The covariance matrix associated"),  # one-hot columns add up to one
]
write = partial(netsieve.export.sklearn, threshold="percentile:95")


@pytest.fixture(scope="module")
def case():
    return fitted_case(KINDS["mixed"], rows=900)


@pytest.fixture(scope="module")
def plain():
    return fitted_case(PLAIN, rows=900)


def labels(z):
    odds = z[:, 0] - z[:, 1] + np.random.default_rng(99).normal(0, 0.7, len(z))
    return odds > np.quantile(odds, 0.7)


def exported(path, x):
    return session(path.read_bytes()).run(["score"], {"x": x})[0]


def as_pipeline(scalers, estimator):
    return Pipeline([(f"step {i}", step) for i, step in enumerate((*scalers, estimator))])


def expected_score(estimator, columns):
    """Return minus score_samples, or the log-odds of the second class."""
    if hasattr(estimator, "score_samples"):
        return -estimator.score_samples(columns)
    probability = estimator.predict_proba(columns)
    return np.log(probability[:, 1]) - np.log(probability[:, 0])


@pytest.mark.parametrize("name", [*OUTLIER, *CLASSIFIERS])
def test_scores_are_those_of_the_estimator_on_prepared_columns(name, case, tmp_path):
    schema, x = case
    z = prepare(schema, x)
    estimator = {**OUTLIER, **CLASSIFIERS}[name].fit(z[:500], labels(z)[:500] if name in CLASSIFIERS else None)
    path = tmp_path / "model.onnx"
    report = write(estimator, schema, path, calibration_rows=x[500:])
    assert report.largest_error <= 1e-5
    assert report.rows_at_splits >= 0
    expected = expected_score(estimator, z)
    np.testing.assert_allclose(exported(path, x), expected, rtol=1e-5, atol=2e-5 * np.median(np.abs(expected)))
    assert np.isfinite(exported(path, hard_rows(schema, x))).all()
    model = onnx.load(path)
    assert {entry.domain for entry in model.opset_import} <= {"", "ai.onnx.ml"}
    scorer = netsieve.Scorer(path)
    assert scorer.schema == schema


@pytest.mark.parametrize("scalers", SCALERS.values(), ids=SCALERS)
@pytest.mark.parametrize("name", ["isolation forest", "boosted trees", "nystroem, sgd", "logistic", "rbf"])
def test_scores_are_those_of_the_estimator_in_raw_units(name, scalers, plain, tmp_path):
    schema, x = plain
    if not scalers and name in ("nystroem, sgd", "logistic", "rbf"):
        scalers = (SimpleImputer(), StandardScaler())
    estimator = as_pipeline(scalers, {**OUTLIER, **CLASSIFIERS}[name])
    rows = x.astype(np.float64)
    estimator.fit(rows[:500], labels(prepare(schema, x))[:500] if name in CLASSIFIERS else None)
    path = tmp_path / "model.onnx"
    write(estimator, schema, path, calibration_rows=x[500:], preprocess=False)
    expected = expected_score(estimator, rows)
    np.testing.assert_allclose(exported(path, x), expected, rtol=1e-5, atol=2e-5 * np.median(np.abs(expected)))


@pytest.mark.parametrize("preprocess", [True, False])
@pytest.mark.parametrize("imputed", [True, False])
@pytest.mark.parametrize("name", ["isolation forest", "boosted trees"])
def test_trees_decide_alike_at_splits_and_for_missing_values(name, imputed, preprocess):
    schema, x = fitted_case(KINDS["missing"], rows=900)
    scalers = [*([SimpleImputer(strategy="median")] if imputed else []), RobustScaler(), MinMaxScaler((-3, 2))]
    columns = (lambda rows: prepare(schema, rows)) if preprocess else (lambda rows: rows.astype(np.float64))
    estimator = as_pipeline(scalers, {**OUTLIER, **CLASSIFIERS}[name])
    estimator.fit(columns(x)[:500], labels(prepare(schema, x))[:500] if name in CLASSIFIERS else None)
    steps = [step for _, step in estimator.steps]
    core = estimator_trees(steps[:-1], steps[-1], schema if preprocess else None, 1.0)
    rows = np.concatenate([x, rows_at_thresholds(core.trees, schema, x)])
    seen = view_columns("unscaled", schema, rows) if preprocess else rows
    np.testing.assert_allclose(core.score(seen), expected_score(estimator, columns(rows)), rtol=2e-6, atol=2e-5)
    at_splits = rows_at_splits(core.trees, seen)
    assert at_splits >= 1000  # all those made so, and few others
    assert at_splits - 1000 < 0.2 * len(x)


@pytest.mark.parametrize("name", OUTLIER)
def test_outliers_score_above_others(name, plain, tmp_path):
    # scikit-learn's own scores are higher for more normal rows
    schema, x = plain
    estimator = as_pipeline((StandardScaler(),), OUTLIER[name]).fit(prepare(schema, x[:500]))
    write(estimator, schema, tmp_path / "model.onnx", calibration_rows=x[500:])
    order = np.argsort(estimator.score_samples(prepare(schema, x)))
    scores = exported(tmp_path / "model.onnx", x)
    assert scores[order[:50]].min() >= scores[order[-50:]].max()


def test_what_principal_components_cannot_rebuild_is_the_score(case, tmp_path):
    schema, x = case
    z = prepare(schema, x)
    estimator = make_pipeline(StandardScaler(), decomposition.PCA(3, whiten=True)).fit(z[:500])
    write(estimator, schema, tmp_path / "model.onnx", calibration_rows=x[500:])
    scaled = estimator[0].transform(z)
    expected = np.square(estimator[1].inverse_transform(estimator[1].transform(scaled)) - scaled).sum(axis=1)
    np.testing.assert_allclose(exported(tmp_path / "model.onnx", x), expected, rtol=2e-5)


def test_the_class_of_attacks_may_be_either(case, tmp_path):
    schema, x = case
    z = prepare(schema, x)
    names = np.where(labels(z), "attack", "benign")
    for kind in ("boosted trees", "logistic"):
        estimator = CLASSIFIERS[kind].fit(z[:500], names[:500])
        path = tmp_path / "model.onnx"
        with pytest.raises(ExportError, match=r"\['attack', 'benign'\]; name the one"):
            write(estimator, schema, path, calibration_rows=x[500:])
        with pytest.raises(ExportError, match="attack='bad'"):
            write(estimator, schema, path, calibration_rows=x[500:], attack="bad")
        write(estimator, schema, path, calibration_rows=x[500:], attack="attack")
        scores = exported(path, x)
        np.testing.assert_allclose(scores, -estimator.decision_function(z), atol=1e-4)
        assert np.median(scores[names == "attack"]) > np.median(scores[names == "benign"])


def test_missing_values_that_nothing_fills_score_highest(plain, tmp_path):
    schema, x = plain
    estimator = make_pipeline(StandardScaler(), svm.OneClassSVM(nu=0.1)).fit(x[:500])
    write(estimator, schema, tmp_path / "m.onnx", calibration_rows=x[500:], preprocess=False)
    row = x[:1].copy()
    row[0, 0] = np.nan
    assert exported(tmp_path / "m.onnx", row)[0] > 1e38
    with pytest.raises(ExportError, match="SimpleImputer"):
        write(estimator, schema, tmp_path / "m.onnx", calibration_rows=row, preprocess=False)


class Derived(ensemble.IsolationForest):
    pass


def test_what_cannot_be_exported_is_refused_in_one_line(case, tmp_path):
    schema, x = case
    z = prepare(schema, x)
    y = labels(z)
    refused = {
        "fitted": (svm.OneClassSVM(), "not fitted; call fit"),
        "kernel": (svm.OneClassSVM(kernel="poly").fit(z), "poly kernel cannot be exported; expected rbf or linear"),
        "neighbours": (LocalOutlierFactor(novelty=True).fit(z), "LocalOutlierFactor cannot be exported; expected"),
        "derived": (Derived(n_estimators=2).fit(z), "Derived cannot be exported"),
        "map": (
            make_pipeline(PolynomialFeatures(1), svm.OneClassSVM()).fit(z),
            "PolynomialFeatures before OneClassSVM cannot be exported; expected one of StandardScaler",
        ),
        "trees": (
            make_pipeline(decomposition.PCA(2), ensemble.IsolationForest(n_estimators=2)).fit(z),
            "PCA before IsolationForest cannot be exported; expected one of StandardScaler",
        ),
        "nystroem": (
            make_pipeline(
                kernel_approximation.Nystroem(kernel="linear", n_components=5), linear_model.SGDOneClassSVM()
            ).fit(z),
            "linear kernel cannot be exported; expected rbf",
        ),
        "width": (svm.OneClassSVM().fit(z[:, :3]), "fitted on 3 columns, but the schema prepares"),
        "classes": (linear_model.LogisticRegression().fit(z, np.arange(900) % 3), "3 classes apart"),
        "imputer": (
            make_pipeline(SimpleImputer(add_indicator=True), svm.OneClassSVM()).fit(z),
            "SimpleImputer cannot be exported",
        ),
        "samples": (ensemble.IsolationForest(n_estimators=2, max_samples=1).fit(z), "max_samples of 1"),
        "empty": (Pipeline([("nothing", "passthrough")]), "Pipeline has no steps"),
    }
    for estimator, message in refused.values():
        with pytest.raises(ExportError, match=message) as error:
            write(estimator, schema, tmp_path / "model.onnx", calibration_rows=x)
        assert "\n" not in str(error.value)
    with pytest.raises(ExportError, match="leave it out"):
        write(svm.OneClassSVM().fit(z), schema, tmp_path / "model.onnx", calibration_rows=x, attack="attack")
    plain_schema, plain_x = fitted_case(("plain a",), rows=900)
    with pytest.raises(ExportError, match="sets of categories"):
        write(
            ensemble.HistGradientBoostingClassifier(max_iter=3, categorical_features=[0]).fit(
                np.arange(900)[:, None] % 5.0, y
            ),
            plain_schema,
            tmp_path / "model.onnx",
            calibration_rows=plain_x,
        )
    assert not (tmp_path / "model.onnx").exists()
