"""Training a detector from a frame of records to a model that can be exported."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

import netsieve
from netsieve.engine.detectors.detector import Detector
from netsieve.engine.detectors.registry import detector_class, detector_entry, detector_parameters
from netsieve.engine.errors import OutputError, ThresholdError, TrainingError
from netsieve.engine.evaluation.metrics import Evaluation, evaluate_scores
from netsieve.engine.features.neighbours import Neighbours
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.sinks.atomic import output_error
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.engine.thresholds.policy import Policy, best_f1_threshold, default_policy, parse_policy
from netsieve.engine.training.comparison import AUTO, VALIDATION_ATTACK_SHARE, ValidationScore, compare_detectors
from netsieve.engine.training.data import PARTS, TrainingData, prepare_data
from netsieve.engine.training.splits import Splits, SplitShares
from netsieve.engine.training.windows import detector_windows

DEFAULT_DETECTOR: Final = "autoencoder"
SUPERVISED_SHARE: Final = 0.5
"""Share of the attacks that a supervised detector learns from; the others test."""
WEIGHTS_SUFFIX: Final = ".safetensors"
PARITY_ROWS: Final = 10_000
"""Held-out rows that an export is checked on."""
NAMED_POLICIES: Final = (
    "mean_std:3",
    "percentile:95",
    "percentile:99",
    "contamination:0.01",
    "fpr:0.01",
    "fpr:0.001",
    "fpr:0.0001",
)
"""Thresholds written into every model file, as far as the calibration supports them."""
VERSIONED_LIBRARIES: Final = ("numpy", "polars", "torch", "scikit-learn", "onnx")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """A trained detector with all that its model file holds.

    Attributes
    ----------
    detector
        The trained detector.
    schema
        The fitted schema.
    calibration
        Scores of the calibration records.
    thresholds
        Threshold by policy text, and the default policy's text under ``"default"``.
    provenance
        UTC time, rows of each part, data fingerprint, parameters, library versions, test metrics.
    splits
        Row numbers of the four parts in the frame.
    evaluation
        Of the test part, where labels were given and it holds attacks; else None. Where the test part chose the
        threshold (``f1``), of the half that did not.
    parity_rows
        float32 ``[m, n_features]``, held-out encoded records, or windows ``[m, window, n_features]``, that an export is
        checked on.
    notes
        What the reader should know of the data.
    """

    detector: Detector
    schema: FeatureSchema
    calibration: Calibration
    thresholds: dict[str, float | str]
    provenance: dict[str, Any]
    splits: Splits
    evaluation: Evaluation | None
    parity_rows: NDArray[np.float32] = field(repr=False)
    notes: tuple[str, ...] = ()

    def export(self, path: str | Path) -> Path:
        """Write the model file, and the weights beside it under the same name with ``.safetensors``.

        Parameters
        ----------
        path
            A file name, or a folder (it exists as one, or the text ends with a slash), in which the file is named
            by detector and UTC time.

        Returns
        -------
        Path
            The model file.

        Raises
        ------
        ExportError, ParityError, OutputError
            The detector cannot be written, or the graph does not reproduce its scores; no model file is left.
        """
        from netsieve.export import write_model

        target = Path(path)
        if is_folder(path):
            moment = datetime.fromisoformat(self.provenance["created"])
            target = target / f"{self.detector.name}-{moment:%Y%m%dT%H%M%SZ}.onnx"
        prepare_target(path)
        write_model(
            self.detector,
            target,
            schema=self.schema,
            calibration=self.calibration,
            provenance=self.provenance,
            thresholds=self.thresholds,
            parity_rows=self.parity_rows,
        )
        self.detector.save_weights(weights_path(target))
        return target


def is_folder(path: str | Path) -> bool:
    """Whether a model is to be written into a folder: it exists as one, or the text ends with a slash."""
    return Path(path).is_dir() or str(path).endswith(("/", os.sep))


def weights_path(model: str | Path) -> Path:
    """Return where the weights of a model file lie: beside it, under its name with ``.safetensors``."""
    model = Path(model)
    return (
        model.with_suffix(WEIGHTS_SUFFIX) if model.suffix == ".onnx" else model.with_name(model.name + WEIGHTS_SUFFIX)
    )


def prepare_target(path: str | Path) -> None:
    """Make the folder of a model file, and see that it can be written, before hours of training.

    Raises
    ------
    OutputError
        It cannot be written, or is named like a file of weights.
    """
    target = Path(path)
    if target.suffix == WEIGHTS_SUFFIX:
        raise OutputError(f"{str(path)!r} is the name of a file of weights; name the model file with .onnx")
    folder = target if is_folder(path) else target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise output_error(str(target), error) from error


def train_detector(
    frame: pl.DataFrame,
    *,
    detector: str = DEFAULT_DETECTOR,
    label: str | None = None,
    normal: str | None = None,
    features: Sequence[str] = (),
    ignore: Sequence[str] = (),
    schema_overrides: Mapping[str, Any] | None = None,
    neighbours: bool | Neighbours = False,
    entity: Sequence[str] = (),
    window: int | None = None,
    threshold: str | None = None,
    time_column: str | None = None,
    shares: SplitShares | None = None,
    balance_pairs: bool = True,
    parameters: Mapping[str, Any] | None = None,
    initial_weights: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> TrainingResult:
    """Train a detector on a frame of records.

    Parameters
    ----------
    frame
        Records, one a row.
    detector
        A name of :data:`netsieve.engine.detectors.registry.DETECTORS`; or ``"auto"``, which with labels trains several
        and keeps the best on validation data (:mod:`netsieve.engine.training.comparison`), and without labels is the
        autoencoder.
    label, normal
        Label column and the value of normal records, compared as text. With them only normal records train and
        calibrate, and the others are tested on; without them all records count alike. Records without a label are
        left out.
    features, ignore, schema_overrides
        Passed to :func:`netsieve.engine.features.inference.infer_schema`.
    neighbours
        Whether to compute features of the records around each one, which are then features like all others; a
        ``[neighbours]`` section in the overrides asks for them too. The frame holds the records in their order.
        Windows that are not declared are those that the training part fills
        (:func:`netsieve.engine.training.neighbours.add_neighbours`). A
        declaration is taken as it is; columns that the frame has already are then not computed again.
    entity
        For a detector of windows: columns whose combination tells whose records follow each other (a host, a process, a
        trace); by default the source that is known by the record type. The frame holds the records in their order.
    window
        Records of a window; None for 10. Going on from earlier weights takes both from there.
    threshold
        Default threshold policy; None takes the detector's own, or else a false-positive rate that the calibration
        supports. ``"f1"`` is chosen on half of the test records, and evaluated on the other half.
    time_column
        Splits by this column; None: by the first time stamp among the columns, if there is one.
    shares
        Shares of training, validation, calibration and test.
    balance_pairs
        Whether records of busy pairs of hosts are left out of training and validation where there are neighbour
        features and no labels (:mod:`netsieve.engine.training.balance`).
    parameters
        Parameters of the detector that differ from its defaults.
    initial_weights
        A safetensors file of an earlier training of the same detector to go on from; its schema is taken over.
    seed
        Of the split and the training.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    progress
        Whether to show a progress bar on stderr.

    Raises
    ------
    TrainingError
        No or too few records, unknown label column or value, unknown detector or parameter.
    SchemaError, ThresholdError, DeviceError
        A column, the policy or the device does not fit.
    """
    compared = detector == AUTO and label is not None
    detector = DEFAULT_DETECTOR if detector == AUTO else detector
    entry = detector_entry(detector)
    if compared:
        if parameters or initial_weights is not None:
            raise TrainingError("detector auto compares detectors as they are; name one to set parameters or weights")
        shares = shares or SplitShares(attacks_validation=VALIDATION_ATTACK_SHARE)
    threshold = threshold or entry.threshold
    policy = None if threshold is None else parse_policy(threshold)
    trainer = detector_class(detector)
    earlier = None if initial_weights is None else trainer.load_weights(initial_weights)
    if entry.supervised:
        if label is None:
            raise TrainingError(f"{detector} learns from labelled attacks; name the label column and the normal value")
        shares = shares or SplitShares(attacks_train=SUPERVISED_SHARE)
    windows = None
    if earlier is None:
        windows = detector_windows(
            detector, frame, entity=entity, window=window, neighbours=neighbours, schema_overrides=schema_overrides
        )
    data = prepare_data(
        frame,
        label=label,
        normal=normal,
        features=features,
        ignore=ignore,
        schema_overrides=schema_overrides,
        neighbours=neighbours,
        windows=windows,
        scaling=entry.scaling,
        schema=None if earlier is None else earlier.schema,
        time_column=time_column,
        shares=shares,
        balance_pairs=balance_pairs,
        seed=seed,
    )
    check_policy(policy, data)
    comparison: list[ValidationScore] = []
    if compared:
        model, comparison = compare_detectors(data, seed=seed, device=device, progress=progress)
    else:
        if earlier is None:
            model = trainer(detector_parameters(detector, parameters))
        else:
            model = trainer(replace(earlier.parameters, **(parameters or {})))
        fit_to(model, data, seed=seed, device=device, progress=progress, initial_weights=initial_weights)
    provenance = {
        "label": label,
        "normal": normal,
        "seed": seed,
        "device": device,
        "continued_from": None if initial_weights is None else Path(initial_weights).name,
        "compared": [asdict(score) for score in comparison],
    }
    return training_result(model, data, policy=policy, seed=seed, provenance=provenance)


def check_policy(policy: Policy | None, data: TrainingData) -> None:
    """Raise where a policy needs labels, or a larger calibration part: before hours of training.

    Raises
    ------
    TrainingError
        The policy needs labels.
    ThresholdError
        The calibration part is too small.
    """
    if policy is not None and policy.name == "f1" and not data.labelled:
        raise TrainingError("threshold policy f1 needs labels; name the label column and the value of normal records")
    if policy is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the warning comes with the threshold
            policy.check_support(len(data.calibration))


def fit_to(model: Detector, data: TrainingData, **options: Any) -> None:
    """Train a detector on its parts of the data; options as for :meth:`Detector.fit`.

    Raises
    ------
    TrainingError
        A supervised detector has no attacks to learn from.
    """
    if detector_entry(model.name).supervised:
        options["x_attacks"] = data.attacks_train
    model.fit(data.schema, data.train, data.validation, **options)


def training_result(
    model: Detector, data: TrainingData, *, policy: Policy | None, seed: int, provenance: Mapping[str, Any]
) -> TrainingResult:
    """Return a trained detector with its calibration, thresholds, evaluation and provenance.

    Parameters
    ----------
    model
        Trained on the data.
    data
        Its other parts calibrate and test.
    policy
        Default threshold policy; None chooses a false-positive rate that the calibration supports.
    seed
        Of the draws.
    provenance
        What is written beside what is known here.

    Raises
    ------
    ThresholdError
        The policy does not fit.
    """
    calibration = Calibration.fit(
        model.score(data.calibration),
        data.calibration,
        model.feature_error(data.calibration),
        data.schema,
        population="normal" if data.labelled else "unlabelled",
    )
    policy = policy or default_policy(calibration)
    thresholds = _named_thresholds(calibration)
    test_scores = model.score(data.test)
    evaluated = np.ones(len(test_scores), dtype=bool)
    if policy.name == "f1":
        assert data.is_attack is not None
        # What chooses a threshold cannot say how good it is
        evaluated = ~_half_of_each_class(data.is_attack, seed)
        thresholds[str(policy)] = best_f1_threshold(test_scores[~evaluated], data.is_attack[~evaluated])
    else:
        thresholds[str(policy)] = policy.threshold(calibration)
    thresholds["default"] = str(policy)
    evaluation = None
    is_attack = data.is_attack
    if is_attack is not None and is_attack[evaluated].any() and not is_attack[evaluated].all():
        evaluation = evaluate_scores(
            test_scores[evaluated],
            is_attack[evaluated],
            float(thresholds[str(policy)]),
            policy=policy,
            calibration=calibration,
        )
    return TrainingResult(
        detector=model,
        schema=data.schema,
        calibration=calibration,
        thresholds=thresholds,
        provenance={
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "detector": model.name,
            "rows": {
                "read": data.records,
                "without_label": data.without_label,
                "train_left_out": data.train_left_out,
                **{name: len(getattr(data.splits, name)) for name in PARTS},
                "test_attacks": None if is_attack is None else int(is_attack.sum()),
                "test_chose_threshold": int((~evaluated).sum()),
            },
            "split": "time" if data.splits.by_time else "entity" if data.splits.by_group else "random",
            "time_column": data.time_column,
            "data_fingerprint": data_fingerprint(data.schema, data.train),
            **provenance,
            "parameters": asdict(model.parameters),
            "training": model.summary,
            "versions": _versions(),
            "metrics": None if evaluation is None else evaluation.to_dict(),
        },
        splits=data.splits,
        evaluation=evaluation,
        parity_rows=_parity_rows(data.test, data.calibration, seed),
        notes=data.notes,
    )


def _half_of_each_class(is_attack: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """Return a mask with a random half of the attacks, and of the others; the odd one goes in."""
    half = np.zeros(len(is_attack), dtype=bool)
    generator = np.random.default_rng(seed)
    for rows in (np.flatnonzero(is_attack), np.flatnonzero(~is_attack)):
        half[generator.permutation(rows)[: -(-len(rows) // 2)]] = True
    return half


def _named_thresholds(calibration: Calibration) -> dict[str, float | str]:
    thresholds: dict[str, float | str] = {}
    for text in NAMED_POLICIES:
        policy = parse_policy(text)
        with warnings.catch_warnings():
            # nobody asked for these: the ones that the calibration cannot support are left out in silence
            warnings.simplefilter("ignore")
            with contextlib.suppress(ThresholdError):
                thresholds[str(policy)] = policy.threshold(calibration)
    return thresholds


def _parity_rows(x_test: NDArray[np.float32], x_calibration: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    rows = x_test if len(x_test) else x_calibration
    if len(rows) <= PARITY_ROWS:
        return rows
    return rows[np.random.default_rng(seed).choice(len(rows), PARITY_ROWS, replace=False)]


def data_fingerprint(schema: FeatureSchema, x: NDArray[np.float32]) -> str:
    """Return the SHA-256 of the training matrix and its feature names: equal for equal training data."""
    digest = hashlib.sha256("\n".join(schema.feature_names).encode())
    digest.update(np.ascontiguousarray(x, dtype="<f4").data)
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    versions = {"netsieve": netsieve.__version__, "python": platform.python_version()}
    for library in VERSIONED_LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            versions[library] = version(library)
    return versions
