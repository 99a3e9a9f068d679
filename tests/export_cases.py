"""Schemas, records and untrained autoencoders of every kind that export must write."""

import numpy as np
import onnxruntime

from netsieve.engine.detectors.dense_autoencoder import DenseAutoencoder, DenseLayer
from netsieve.engine.features.preprocessing import fit_preprocessing, prepare, prepared_columns
from netsieve.engine.features.schema import CategoricalFeature, FeatureSchema, NumericFeature
from netsieve.engine.thresholds.calibration import Calibration

AGGREGATIONS = ("sum", "log_mean", "absolute")


def column(rng, kind: str, rows: int):
    """Return a feature and its values of one kind."""
    if kind == "constant":
        return NumericFeature(name=kind), np.full(rows, 7.0)
    if kind == "never":
        return NumericFeature(name=kind), np.full(rows, np.nan)
    if kind.startswith("category"):
        size = int(kind.removeprefix("category"))
        share = 1 / np.arange(1.0, size + 1)
        codes = rng.choice(size, rows, p=share / share.sum()) + 2
        codes[rng.random(rows) < 0.05] = 0
        counts = tuple(max(int((codes == code).sum()), 1) for code in range(2, size + 2))
        feature = CategoricalFeature(
            name=kind,
            vocabulary=tuple(f"v{i}" for i in range(size)),
            counts=counts,
            missing_count=int((codes == 0).sum()),
            rows=rows,
        )
        return feature, codes
    values = rng.lognormal(3, 2, rows) * rng.choice([1, 1, -1], rows) if "log" in kind else rng.normal(50, 3, rows)
    if "missing" in kind:
        values[rng.random(rows) < 0.1] = np.nan
    attributes = {}
    if "log" in kind:
        attributes["signed_log"] = True
    for scaling in ("robust", "minmax", "none"):
        if scaling in kind:
            attributes["scaling"] = scaling
    if "imputed" in kind:
        attributes["imputation"] = 0.0
    return NumericFeature(name=kind, **attributes), values


KINDS = {
    "plain": ("plain a", "plain b"),
    "log": ("log a", "log b"),
    "missing": ("plain", "plain missing", "log missing", "log"),
    "all missing": ("plain missing", "log missing"),
    "scalings": ("plain robust", "log robust", "plain minmax", "log minmax", "plain none"),
    "imputed": ("plain missing imputed", "log missing imputed"),
    "constant": ("constant", "never", "plain"),
    "category": ("category5",),
    "categories": ("category3", "category70", "category1"),
    "mixed": ("plain", "plain missing", "log", "log missing", "category4", "category50"),
    "another order": ("category4", "log", "plain missing", "category50", "plain", "log missing"),
}


def fitted_case(kinds, rows: int = 2000, seed: int = 0):
    """Return a fitted schema with features of these kinds, and its rows."""
    rng = np.random.default_rng(seed)
    columns = [column(rng, kind, rows) for kind in kinds]
    x = np.column_stack([values for _, values in columns]).astype(np.float32)
    return fit_preprocessing(FeatureSchema(features=tuple(feature for feature, _ in columns)), x), x


def random_autoencoder(width, aggregation="sum", *, latent=True, activation="leaky_relu", seed=0):
    rng = np.random.default_rng(seed)

    def layer(inputs, outputs, kind):
        weight = rng.normal(size=(inputs, outputs)) / np.sqrt(inputs)
        return DenseLayer(weight.astype(np.float32), rng.normal(0, 0.1, outputs).astype(np.float32), kind)

    encoder = (layer(width, 32, activation), layer(32, 16, activation), layer(16, 4, "linear"))
    decoder = (layer(4, 16, activation), layer(16, 32, activation), layer(32, width, "linear"))
    weight = rng.uniform(0.2, 20, width).astype(np.float32)
    center = rng.normal(size=4).astype(np.float32) if latent else None
    whitening = rng.normal(size=(4, 4)).astype(np.float32) if latent else None
    return DenseAutoencoder(encoder, decoder, weight, aggregation, center, whitening)


class UntrainedDetector:
    """A detector of random weights, as far as export looks at one."""

    name = "autoencoder"

    def __init__(self, schema, aggregation="sum", **options):
        self.schema = schema
        self.core = random_autoencoder(len(prepared_columns(schema)), aggregation, **options)

    def reference_score(self, x):
        return self.core.score(prepare(self.schema, x))


def calibrated(detector, x):
    """Return a calibration of the rows and thresholds."""
    scores = detector.reference_score(x)
    calibration = Calibration.fit(scores, x, None, detector.schema)
    return calibration, {"percentile:95": float(np.float32(np.quantile(scores, 0.95))), "default": "percentile:95"}


def rows_at_thresholds(trees, schema, x, count=1000):
    """Return rows with one number at a split's threshold, or one float32 step beside it."""
    numeric = np.array([i for i, _ in schema.numeric])
    rng = np.random.default_rng(0)
    splits = rng.choice(np.flatnonzero((trees.column >= 0) & (trees.column < len(numeric))), count)
    rows = x[rng.integers(0, len(x), count)].copy()
    threshold = trees.threshold[splits]
    beside = np.stack([np.nextafter(threshold, np.float32(-np.inf)), threshold, np.nextafter(threshold, np.float32(3))])
    rows[np.arange(count), numeric[trees.column[splits]]] = beside[rng.integers(0, 3, count), np.arange(count)]
    return rows


def assert_feature_errors_close(model, detector, x):
    """Compare the graph's features' errors with the float64 reference's, within what is allowed of scores."""
    reference = detector.feature_error(x).astype(np.float64)
    given = np.concatenate([session(model).run(["feature_error"], {"x": part})[0] for part in np.split(x, [1, 8])])
    assert given.shape == reference.shape
    scores = np.abs(detector.reference_score(x)).reshape(-1, *[1] * (x.ndim - 1))
    total = np.abs(reference).sum(
        axis=tuple(range(1, x.ndim)), keepdims=True
    )  # an ensemble's scores are of another size
    assert (np.abs(given - reference) <= 1e-5 * (np.maximum(scores, total) + np.median(scores))).all()


def session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
