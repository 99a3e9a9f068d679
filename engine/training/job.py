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
from netsieve.engine.detectors.registry import detector_class, detector_parameters
from netsieve.engine.errors import OutputError, ThresholdError, TrainingError
from netsieve.engine.evaluation.metrics import Evaluation, evaluate_scores
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.inference import fit_schema, infer_schema
from netsieve.engine.features.neighbours import Neighbours
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.features.schema_file import schema_declaration
from netsieve.engine.features.stage import NeighbourStage
from netsieve.engine.sinks.atomic import output_error
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.engine.thresholds.policy import best_f1_threshold, default_policy, parse_policy
from netsieve.engine.training.balance import balanced_rows
from netsieve.engine.training.labels import normal_records, record_time
from netsieve.engine.training.neighbours import add_neighbours, computed_frame, with_declaration
from netsieve.engine.training.splits import Splits, SplitShares, split_records

LARGEST_PART: Final = 1_000_000
"""Records of a part beyond this many are left out, drawn at random, so that memory stays bounded."""
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
        float32 ``[m, n_features]``, held-out encoded records that an export is checked on.
    """

    detector: Detector
    schema: FeatureSchema
    calibration: Calibration
    thresholds: dict[str, float | str]
    provenance: dict[str, Any]
    splits: Splits
    evaluation: Evaluation | None
    parity_rows: NDArray[np.float32] = field(repr=False)

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
    detector: str = "autoencoder",
    label: str | None = None,
    normal: str | None = None,
    features: Sequence[str] = (),
    ignore: Sequence[str] = (),
    schema_overrides: Mapping[str, Any] | None = None,
    neighbours: bool | Neighbours = False,
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
        A name of :data:`netsieve.engine.detectors.registry.DETECTORS`.
    label, normal
        Label column and the value of normal records, compared as text. With them only normal records train and
        calibrate, and the others are tested on; without them all records count alike. Records without a label are
        left out.
    features, ignore, schema_overrides
        Passed to :func:`netsieve.engine.features.inference.infer_schema`.
    neighbours
        Whether to compute features of the records around each one, which are then features like all others; a
        ``[neighbours]`` section in the overrides asks for them too. The frame holds the records in their order. A
        declaration is taken as it is; columns that the frame has already are then not computed again.
    threshold
        Default threshold policy; None chooses a false-positive rate that the calibration supports. ``"f1"`` is
        chosen on half of the test records, and evaluated on the other half.
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
    trainer = detector_class(detector)
    if (label is None) != (normal is None):
        raise TrainingError("a label column and the value of normal records go together; give both or neither")
    if not frame.height:
        raise TrainingError("there are no records to train on; give a file with at least a few dozen")
    chosen_policy = None if threshold is None else parse_policy(threshold)
    if chosen_policy is not None and chosen_policy.name == "f1" and label is None:
        raise TrainingError("threshold policy f1 needs labels; name the label column and the value of normal records")

    is_normal, labelled = None, np.ones(frame.height, dtype=bool)
    if label is not None and normal is not None:
        is_normal, labelled = normal_records(frame, label, normal)
    if initial_weights is None:
        earlier = None
    else:
        earlier = trainer.load_weights(initial_weights)
        assert earlier.schema is not None
        neighbours = earlier.schema.neighbours or False
    frame, declaration = _with_neighbours(frame, neighbours, schema_overrides)
    unfitted = inferred_schema(
        frame, declaration, features=features, ignore=ignore, label=label, overrides=schema_overrides
    )
    time = record_time(frame, unfitted, time_column)
    splits = _split_labelled(is_normal, labelled, None if time is None else time[1], shares, seed)
    drawn = len(splits.train) + len(splits.validation)
    if is_normal is None and declaration is not None and balance_pairs:
        splits = _balanced(splits, frame, declaration, seed)
    if chosen_policy is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the warning comes with the threshold; a refusal must come before training
            chosen_policy.check_support(len(splits.calibration))

    if earlier is None:
        model = trainer(detector_parameters(detector, parameters))
        schema = fit_schema(unfitted, frame[splits.train])
    else:
        assert earlier.schema is not None
        schema = earlier.schema
        model = trainer(replace(earlier.parameters, **(parameters or {})))
    encoder = Encoder(schema)
    x_train, x_validation, x_calibration, x_test = (
        encoder.encode(frame[part]) for part in (splits.train, splits.validation, splits.calibration, splits.test)
    )
    model.fit(
        schema,
        x_train,
        x_validation,
        seed=seed,
        device=device,
        progress=progress,
        initial_weights=initial_weights,
    )
    calibration = Calibration.fit(
        model.score(x_calibration),
        x_calibration,
        model.feature_error(x_calibration),
        schema,
        population="unlabelled" if is_normal is None else "normal",
    )
    policy = chosen_policy or default_policy(calibration)
    thresholds = _named_thresholds(calibration)
    test_scores = model.score(x_test)
    is_attack = None if is_normal is None else ~is_normal[splits.test]
    evaluated = np.ones(len(test_scores), dtype=bool)
    if policy.name == "f1":
        assert is_attack is not None
        # What chooses a threshold cannot say how good it is
        evaluated = ~_half_of_each_class(is_attack, seed)
        thresholds[str(policy)] = best_f1_threshold(test_scores[~evaluated], is_attack[~evaluated])
    else:
        thresholds[str(policy)] = policy.threshold(calibration)
    thresholds["default"] = str(policy)
    evaluation = None
    if is_attack is not None and is_attack[evaluated].any() and not is_attack[evaluated].all():
        evaluation = evaluate_scores(
            test_scores[evaluated],
            is_attack[evaluated],
            float(thresholds[str(policy)]),
            policy=policy,
            calibration=calibration,
        )
    provenance = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "detector": detector,
        "rows": {
            "read": frame.height,
            "without_label": int((~labelled).sum()),
            **{name: len(getattr(splits, name)) for name in ("train", "validation", "calibration", "test")},
            "train_left_out": drawn - len(splits.train) - len(splits.validation),
            "test_attacks": None if is_attack is None else int(is_attack.sum()),
            "test_chose_threshold": int((~evaluated).sum()),
        },
        "split": "time" if splits.by_time else "random",
        "time_column": None if time is None else time[0],
        "label": label,
        "normal": normal,
        "data_fingerprint": _fingerprint(schema, x_train),
        "seed": seed,
        "device": device,
        "continued_from": None if initial_weights is None else Path(initial_weights).name,
        "parameters": asdict(model.parameters),
        "training": model.summary,
        "versions": _versions(),
        "metrics": None if evaluation is None else evaluation.to_dict(),
    }
    return TrainingResult(
        detector=model,
        schema=schema,
        calibration=calibration,
        thresholds=thresholds,
        provenance=provenance,
        splits=splits,
        evaluation=evaluation,
        parity_rows=_parity_rows(x_test, x_calibration, seed),
    )


def inferred_schema(
    frame: pl.DataFrame,
    declaration: Neighbours | None = None,
    *,
    features: Sequence[str] = (),
    ignore: Sequence[str] = (),
    label: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> FeatureSchema:
    """Return the unfitted schema of a frame that may hold neighbour features.

    Parameters
    ----------
    frame, features, ignore, label, overrides
        As for :func:`netsieve.engine.features.inference.infer_schema`. Where only some features are asked for,
        the computed ones are among them.
    declaration
        How the frame's neighbour features were computed; None where it has none.
    """
    if declaration is None:
        return infer_schema(frame, features=features, ignore=ignore, label=label, overrides=overrides)
    if features or schema_declaration(overrides or {}).features:
        present = [name for name in declaration.columns if frame[name].count()]
        features = [*features, *(name for name in present if name not in ignore)]
    schema = infer_schema(frame, features=features, ignore=ignore, label=label, overrides=overrides)
    return with_declaration(schema, declaration)


def _with_neighbours(
    frame: pl.DataFrame, neighbours: bool | Neighbours, overrides: Mapping[str, Any] | None
) -> tuple[pl.DataFrame, Neighbours | None]:
    if isinstance(neighbours, Neighbours):
        if not set(neighbours.columns) <= set(frame.columns):
            frame = computed_frame(frame, neighbours).frame
        return frame, neighbours
    if neighbours or schema_declaration(overrides or {}).neighbours is not None:
        computed = add_neighbours(frame, overrides=overrides)
        return computed.frame, computed.declaration
    return frame, None


def _split_labelled(
    is_normal: NDArray[np.bool_] | None,
    labelled: NDArray[np.bool_],
    time: NDArray[np.float64] | None,
    shares: SplitShares | None,
    seed: int,
) -> Splits:
    """Split the labelled records, and draw from parts that are larger than any use of them."""
    kept = np.flatnonzero(labelled)
    splits = split_records(
        len(kept),
        normal=None if is_normal is None else is_normal[kept],
        time=None if time is None else time[kept],
        shares=shares,
        seed=seed,
    )
    generator = np.random.default_rng(seed)
    parts = {}
    for name in ("train", "validation", "calibration", "test"):
        part = kept[getattr(splits, name)]
        if len(part) > LARGEST_PART:
            part = np.sort(generator.choice(part, LARGEST_PART, replace=False))
        parts[name] = part
    return Splits(**parts, by_time=splits.by_time)


def _balanced(splits: Splits, frame: pl.DataFrame, declaration: Neighbours, seed: int) -> Splits:
    """Return the splits with records of busy pairs left out of what the detector is fitted on."""
    stage = NeighbourStage(declaration)
    fitted_on = {}
    for name in ("train", "validation"):
        rows = getattr(splits, name)
        seen = stage.prepare(frame.select(declaration.input_columns)[rows])
        fitted_on[name] = rows[balanced_rows(seen.keys["pair"], seed)]
    return replace(splits, **fitted_on)


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


def _fingerprint(schema: FeatureSchema, x: NDArray[np.float32]) -> str:
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
