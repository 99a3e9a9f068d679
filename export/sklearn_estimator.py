"""A user's own fitted scikit-learn estimator or pipeline as a netsieve model file."""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

from netsieve.engine.detectors.core import CHUNK_ROWS
from netsieve.engine.errors import ExportError
from netsieve.engine.features.preprocessing import prepare, prepared_columns
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.features.unscaled import unscaled_columns
from netsieve.engine.thresholds.calibration import Calibration, Population
from netsieve.engine.thresholds.policy import default_policy, parse_policy
from netsieve.export.column_operations import SCALERS
from netsieve.export.estimator_graph import DENSE, MAPS, DenseGraph
from netsieve.export.estimator_trees import TREES, estimator_trees, rows_at_splits
from netsieve.export.graph import INPUT, Graph
from netsieve.export.metadata import DEFAULT_THRESHOLD, add_metadata
from netsieve.export.model import add_finite_score, check_and_write, check_schema, encoded_rows
from netsieve.export.parity import ParityReport
from netsieve.export.preprocessing import RecordColumns
from netsieve.export.trees import add_combined, add_trees

if TYPE_CHECKING:
    import polars as pl

DETECTOR_NAME: Final = "sklearn"
CLASSIFIERS: Final = ("HistGradientBoostingClassifier", "LogisticRegression", "MLPClassifier")
FINAL_ESTIMATORS: Final = tuple(dict.fromkeys((*TREES, *DENSE)))


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatorReport(ParityReport):
    """How closely a graph follows an estimator.

    Attributes
    ----------
    rows_at_splits
        Calibration rows with a value within one float32 step of one of the trees' thresholds. The graph decides on
        them as the estimator does when it is given float64; given float32, its scalers may round to the other side.
    """

    rows_at_splits: int


def sklearn(
    estimator: Any,
    schema: FeatureSchema,
    path: str | os.PathLike[str],
    *,
    calibration_rows: pl.DataFrame | NDArray[np.float32],
    preprocess: bool = True,
    attack: Any = None,
    threshold: str | None = None,
    population: Population = "normal",
    provenance: Mapping[str, Any] | None = None,
) -> EstimatorReport:
    """Export a fitted scikit-learn estimator or pipeline as a model file that :class:`netsieve.Scorer` reads.

    Parameters
    ----------
    estimator
        ``IsolationForest``, ``OneClassSVM`` (rbf or linear kernel), ``SGDOneClassSVM``, ``EllipticEnvelope``: the
        score is minus their ``score_samples``. ``PCA``: the squared length of what it cannot rebuild.
        ``HistGradientBoostingClassifier``, ``LogisticRegression``, ``MLPClassifier`` of two classes: the log-odds of an
        attack. Or a ``Pipeline`` that ends in one of them, after any of ``StandardScaler``, ``MinMaxScaler``,
        ``RobustScaler``, ``MaxAbsScaler``, ``SimpleImputer``, and, but for trees, ``PCA``, ``Nystroem`` (rbf) and
        ``RBFSampler``.
    schema
        Fitted schema (:func:`netsieve.engine.features.inference.fit_schema`) of the records.
    path
        File to write; it appears only when complete and checked.
    calibration_rows
        Records that the estimator was not fitted on: a frame, or the encoded matrix float32 ``[n, n_features]``.
        Thresholds are computed from their scores, and the exported graph is compared with the estimator on them.
    preprocess
        Whether the estimator was fitted on the prepared matrix
        (:func:`netsieve.engine.features.preprocessing.prepare`), whose nodes are then put in front of it. Else it
        takes the encoded records in raw units as they are, NaN for missing; a score that comes out as NaN is then
        written as the largest score.
    attack
        The class of attacks; may be left out where the classes are False and True, or 0 and 1.
    threshold
        Default policy, like ``"fpr:0.001"``; one that the calibration rows can support unless given.
    population
        Whether the calibration rows are ``"normal"`` or ``"unlabelled"``.
    provenance
        Plain JSON values to keep in the file beside what is recorded anyway.

    Returns
    -------
    EstimatorReport
        How closely the graph follows the estimator, which is given float64.

    Raises
    ------
    ExportError
        The estimator is not fitted or not supported, or was fitted on other columns.
    ParityError
        The graph does not reproduce the estimator's scores.
    OutputError
        The file cannot be written.

    Notes
    -----
    Extreme values are left out of the comparison without ``preprocess``, where an estimator may leave float32's range,
    and with ``RBFSampler``: no float32 number holds the cosine of a large angle.
    """
    check_schema(schema)
    steps, final = _checked_steps(estimator)
    width = len(prepared_columns(schema)) if preprocess else len(schema.features)
    expected = int(getattr((*steps, final)[0], "n_features_in_", width))
    if expected != width:
        raise ExportError(
            f"the estimator was fitted on {expected} columns, but the schema "
            f"{'prepares' if preprocess else 'has'} {width}; fit it on "
            f"{'netsieve.engine.features.preprocessing.prepare(schema, x)' if preprocess else 'the encoded records'}"
        )
    sign = _attack_sign(final, attack)
    x = encoded_rows(schema, calibration_rows)

    def score(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        columns = prepare(schema, rows) if preprocess else rows.astype(np.float64)
        return sign * _own_score(steps, final, columns)

    scores = _scores_in_parts(score, x)
    if not np.isfinite(scores).all():
        row = int(np.argmin(np.isfinite(scores)))
        raise ExportError(f"the estimator's score of calibration row {row} is {scores[row]}; it must be finite")
    calibration = Calibration.fit(scores, x, None, schema, population)
    policy = parse_policy(threshold) if threshold is not None else default_policy(calibration)
    thresholds: dict[str, float | str] = {str(policy): policy.threshold(calibration), DEFAULT_THRESHOLD: str(policy)}
    graph = Graph()
    at_splits = _add_estimator(graph, schema, steps, final, sign=sign, preprocess=preprocess, x=x)
    model = graph.model(len(schema.features), feature_error=False)
    add_metadata(
        model,
        detector=DETECTOR_NAME,
        schema=schema,
        calibration=calibration,
        thresholds=thresholds,
        provenance={**_provenance(steps, final, preprocess, len(x), at_splits), **(provenance or {})},
    )
    report = check_and_write(
        model,
        path,
        lambda rows: _scores_in_parts(score, rows),
        schema=schema,
        calibration=calibration,
        thresholds=thresholds,
        parity_rows=x,
        with_hard_rows=preprocess and not any(type(step).__name__ == "RBFSampler" for step in steps),
    )
    return EstimatorReport(
        **{field.name: getattr(report, field.name) for field in fields(ParityReport)}, rows_at_splits=at_splits
    )


def _checked_steps(estimator: Any) -> tuple[list[Any], Any]:
    """Return the transformers and the final estimator, or raise ExportError where one cannot be exported."""
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    *steps, final = _flat(estimator)
    is_tree = type(final).__name__ in TREES
    allowed = SCALERS if is_tree else (*SCALERS, *MAPS)
    for step in steps:
        if not _is_own(step, allowed):
            raise ExportError(
                f"a {type(step).__name__} before {type(final).__name__} cannot be exported; expected one of "
                f"{', '.join(allowed)}"
            )
    if not _is_own(final, FINAL_ESTIMATORS):
        raise ExportError(
            f"a {type(final).__name__} cannot be exported; expected scikit-learn's {', '.join(FINAL_ESTIMATORS)}, or a "
            "Pipeline that ends in one of them"
        )
    try:
        for step in (*steps, final):
            check_is_fitted(step)
    except NotFittedError as error:
        raise ExportError(f"the {type(step).__name__} is not fitted; call fit before exporting it") from error
    return steps, final


def _flat(estimator: Any) -> list[Any]:
    """Return the estimators that a pipeline applies, one after the other."""
    if not _is_own(estimator, ("Pipeline",)):
        return [estimator]
    steps = [step for _, step in estimator.steps if step is not None and not isinstance(step, str)]
    if not steps:
        raise ExportError(f"the Pipeline has no steps; expected one that ends in {', '.join(FINAL_ESTIMATORS)}")
    return [each for step in steps for each in _flat(step)]


def _is_own(estimator: Any, names: Sequence[str]) -> bool:
    """Whether it is one of scikit-learn's own classes: a class derived from one may compute something else."""
    kind = type(estimator)
    return kind.__name__ in names and kind.__module__.split(".")[0] == "sklearn"


def _attack_sign(final: Any, attack: Any) -> float:
    """Return 1 where the second class is the attacks, -1 where it is the first."""
    kind = type(final).__name__
    if kind not in CLASSIFIERS:
        if attack is not None:
            raise ExportError(f"got attack={attack!r}, but a {kind} has no classes; leave it out")
        return 1.0
    classes = np.asarray(final.classes_).tolist()
    if len(classes) != 2:
        raise ExportError(f"the {kind} tells {len(classes)} classes apart; expected 2, normal records and attacks")
    if attack is None and classes != [0, 1]:
        raise ExportError(f"the {kind} has the classes {classes}; name the one that is attacks with attack=")
    if attack is not None and attack not in classes:
        raise ExportError(f"got attack={attack!r}; the {kind} has the classes {classes}")
    return -1.0 if attack is not None and attack == classes[0] else 1.0


def _own_score(steps: Sequence[Any], final: Any, columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the score that scikit-learn itself computes, in float64."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it was fitted with names of columns, and is given none
        try:
            for step in steps:
                columns = step.transform(columns)
            kind = type(final).__name__
            if kind == "PCA":
                return np.asarray(np.square(final.inverse_transform(final.transform(columns)) - columns).sum(axis=1))
            if kind == "MLPClassifier":
                return _network_log_odds(final, columns)
            if kind in CLASSIFIERS:
                return np.asarray(final.decision_function(columns), dtype=np.float64)
            # scikit-learn's sign is the opposite of ours: this is the one place where it is turned
            return -np.asarray(final.score_samples(columns), dtype=np.float64)
        except ValueError as error:
            raise ExportError(
                f"the estimator fails on calibration rows ({str(error).strip().splitlines()[0]}); put a SimpleImputer "
                "in front of it, or fit it on prepared rows"
            ) from error


def _network_log_odds(network: Any, columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what goes into an MLPClassifier's last sigmoid; its probabilities cannot tell far values apart."""
    from scipy.special import expit

    hidden: dict[str, Callable[[Any], Any]] = {
        "relu": lambda v: np.maximum(v, 0),
        "tanh": np.tanh,
        "logistic": expit,
        "identity": lambda v: v,
    }
    for weight, bias in zip(network.coefs_[:-1], network.intercepts_[:-1], strict=True):
        columns = hidden[network.activation](columns @ weight + bias)
    return np.asarray((columns @ network.coefs_[-1] + network.intercepts_[-1])[:, 0], dtype=np.float64)


def _scores_in_parts(
    score: Callable[[NDArray[np.float32]], NDArray[np.float64]], x: NDArray[np.float32]
) -> NDArray[np.float64]:
    return np.concatenate([score(x[start : start + CHUNK_ROWS]) for start in range(0, len(x), CHUNK_ROWS)])


def _add_estimator(
    graph: Graph,
    schema: FeatureSchema,
    steps: Sequence[Any],
    final: Any,
    *,
    sign: float,
    preprocess: bool,
    x: NDArray[np.float32],
) -> int:
    """Add all nodes up to ``score``, and return how many of the rows lie at a tree's split."""
    columns = RecordColumns(graph, schema)
    if type(final).__name__ in TREES:
        core = estimator_trees(steps, final, schema if preprocess else None, sign)
        sums = add_trees(graph, core.trees, columns.view("unscaled") if preprocess else INPUT)
        add_combined(graph, sums, core.combination)
        return rows_at_splits(core.trees, unscaled_columns(schema, x) if preprocess else x)
    width = len(prepared_columns(schema)) if preprocess else len(schema.features)
    dense = DenseGraph(graph, columns.view("prepared") if preprocess else INPUT, width)
    dense.add_steps(steps)
    score = dense.add_score(final)
    if sign < 0:
        score = graph.node("Neg", score, name="log_odds_of_attack")
    add_finite_score(graph, score)
    return 0


def _provenance(steps: Sequence[Any], final: Any, preprocess: bool, rows: int, rows_at_splits: int) -> dict[str, Any]:
    from importlib.metadata import version

    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "estimators": [type(each).__name__ for each in (*steps, final)],
        "preprocess": preprocess,
        "calibration_rows": rows,
        "rows_at_splits": rows_at_splits,
        "versions": {
            "python": platform.python_version(),
            "scikit-learn": version("scikit-learn"),
            "onnx": onnx.__version__,
        },
    }
