"""What published experiments have in common: detectors trained and scored by their exported graph, points, tables."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.bench.measurement import write_measurement
from netsieve.engine.detectors.registry import DETECTORS, detector_class, detector_parameters
from netsieve.engine.errors import NetsieveError, SourceError, ThresholdError
from netsieve.engine.evaluation.curves import RankedScores
from netsieve.engine.features.encoding import Encoder
from netsieve.engine.features.inference import fit_schema, infer_schema
from netsieve.engine.features.preprocessing import with_scaling
from netsieve.engine.features.ready import overrides_with_ready
from netsieve.engine.features.schema import FeatureSchema
from netsieve.engine.sources.ready_schemas import ready_schema
from netsieve.engine.thresholds.calibration import Calibration
from netsieve.engine.thresholds.policy import parse_policy
from netsieve.export.cores import core_model
from netsieve.export.parity import score_function

SUFFIXES: Final = ("", ".gz", ".zst")
"""Of files that may be compressed."""
BATCH_ROWS: Final = 2_048
NETWORKS: Final = (
    "autoencoder",
    "autoencoder_simple",
    "autoencoder_deep",
    "variational",
    "dose_variational",
)
QUICK_PARAMETERS: Final = {"max_draws": 20_000}
"""Of the networks, to try an experiment out."""

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Contender:
    """A detector in an experiment.

    Attributes
    ----------
    name
        As shown.
    detector
        A name of the registry.
    scaled
        Whether columns are scaled by their own spread although the detector's own scaling is another.
    """

    name: str
    detector: str
    scaled: bool = False

    def schema(self, frame: pl.DataFrame, record_type: str) -> FeatureSchema:
        """Return the record type's ready schema, fitted to training records as this contender takes them."""
        ready = ready_schema(record_type)
        overrides = overrides_with_ready(ready, None, frame.columns, record_type=record_type)
        schema = infer_schema(frame, overrides=overrides)
        scaling = DETECTORS[self.detector].scaling
        if scaling is not None and not self.scaled:
            schema = with_scaling(schema, scaling)
        return fit_schema(schema, frame)

    def fitted(
        self, frame: pl.DataFrame, validation: pl.DataFrame, record_type: str, *, seed: int, quick: bool
    ) -> Callable[[pl.DataFrame], Scores]:
        """Train, export, and return what the exported graph scores records with.

        Parameters
        ----------
        frame, validation
            Records that train, and that stop the training and scale residuals.
        record_type
            Whose ready schema holds.
        seed
            Of the training.
        quick
            Whether networks are trained for a moment only.
        """
        schema = self.schema(frame, record_type)
        encoder = Encoder(schema)
        parameters = QUICK_PARAMETERS if quick and self.detector in NETWORKS else None
        model = detector_class(self.detector)(detector_parameters(self.detector, parameters))
        model.fit(schema, encoder.encode(frame), encoder.encode(validation), seed=seed, device="cpu")
        assert model.core is not None
        run = score_function(core_model(model.core, schema).SerializeToString())

        def scores(records: pl.DataFrame) -> Scores:
            x = encoder.encode(records)
            parts = [run(x[start : start + BATCH_ROWS]) for start in range(0, len(x), BATCH_ROWS)]
            return np.concatenate([np.empty(0, np.float32), *parts])

        return scores


def auroc(scores: NDArray[Any], is_attack: NDArray[np.bool_]) -> float | None:
    """Return the area under the ROC curve, of scores or of binary predictions; None without both classes."""
    return RankedScores.of(scores.astype(np.float32), is_attack).auroc()


def policy_threshold(text: str, calibration_scores: NDArray[Any]) -> float | None:
    """Return the threshold of a policy; None where there are too few calibration scores for it."""
    if not len(calibration_scores):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return parse_policy(text).threshold(Calibration.fit(calibration_scores))
        except ThresholdError:
            return None


def rates(flagged: NDArray[np.bool_], is_attack: NDArray[np.bool_]) -> dict[str, float | None]:
    """Return accuracy, recall and false-positive rate of binary predictions; None where there are no such records."""
    return {
        "accuracy": share_of(flagged == is_attack),
        "recall": share_of(flagged[is_attack]),
        "false_positive_rate": share_of(flagged[~is_attack]),
    }


def share_of(values: NDArray[np.bool_]) -> float | None:
    """Return the share of the values that are true; None where there are none."""
    return float(values.mean()) if values.size else None


def mean_of(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are there; None where none is."""
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if present else None


def shown(value: float | None, deviation: float | None = None) -> str:
    """Return a measure with three digits, and its deviation; a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:.3f}" if deviation is None else f"{value:.3f} ± {deviation:.3f}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, the first of them the header, as lines with columns below each other."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def present_file(folder: Path, name: str) -> Path | None:
    """Return the file of that name, plain or compressed, in a folder; None where there is none."""
    return next((path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").is_file()), None)


def check_folder(folder: Path) -> None:
    """Raise SourceError where there is no such folder."""
    if not folder.is_dir():
        raise SourceError(f"'{folder}' is no folder; name the one that holds the data set's files")


def experiment_parser(module: str, description: str) -> argparse.ArgumentParser:
    """Return a parser of the arguments that experiments share."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("folder", type=Path, metavar="DATA_DIR", help="folder of the data set's files")
    parser.add_argument("--json", type=Path, help="file that the measures are written to")
    parser.add_argument("--quick", action="store_true", help="train networks for a moment only, to try it out")
    return parser


def share_argument(text: str) -> float:
    """Return an argument that is a share between 0 and 1, both excluded."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is no share between 0 and 1")
    return value


def run_experiment(
    options: argparse.Namespace,
    measure: Callable[[argparse.Namespace], dict[str, Any]],
    page: Callable[[dict[str, Any]], str],
) -> int:
    """Measure, print the tables and write the measures; return the exit code."""
    try:
        result = measure(options)
        if options.json is not None:
            write_measurement(options.json, result)
    except NetsieveError as error:
        print(f"netsieve: error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"netsieve: error: '{options.json}' cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    print(page(result))
    if options.json is not None:
        print(f"{options.json} written", file=sys.stderr)
    return 0


def told(text: str) -> None:
    """Print a line of progress to stderr."""
    print(text, file=sys.stderr, flush=True)
