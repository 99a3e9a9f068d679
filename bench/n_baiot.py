"""The N-BaIoT experiment: ``python -m netsieve.bench.n_baiot DATA_DIR`` shows an unscaled autoencoder fail, and why.

Meidan et al., "N-BaIoT: Network-based Detection of IoT Botnet Attacks Using Deep Autoencoders", IEEE Pervasive
Computing 17(3), 2018: a model for each device. Of its benign packets, in their order, the first third trains, the
second sets the threshold at the mean and one deviation, and the last tests together with all attacks; packets are then
judged by a majority in a window, the smallest without a false alarm on the second third.

Most packets of the set are attacks, so that whatever flags everything is right about most: that accuracy stands beside
every other.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.bench.experiments import (
    Contender,
    Scores,
    auroc,
    experiment_parser,
    mean_of,
    policy_threshold,
    rates,
    run_experiment,
    share_argument,
    share_of,
    shown,
    table,
    told,
)
from netsieve.bench.machine import describe_machine
from netsieve.bench.n_baiot_files import DEVICES, LARGEST_BENIGN, DeviceFiles, benign_parts, find_devices, frames_of
from netsieve.engine.sources.n_baiot import RECORD_TYPE

PUBLISHED_ROWS: Final = 7_062_606
"""Packets of the whole set."""
CONTENDERS: Final = (
    Contender("autoencoder_deep, unscaled", "autoencoder_deep"),
    Contender("autoencoder_deep, scaled", "autoencoder_deep", scaled=True),
    Contender("autoencoder_simple, to range", "autoencoder_simple"),
    Contender("autoencoder", "autoencoder"),
)
"""The study's failure, the same network on columns in their own deviations, its smaller sister, and the default."""
STUDY_POLICY: Final = "mean_std:1"
BUDGET: Final = 0.01
LARGEST_WINDOW: Final = 200


def smallest_quiet_window(flagged: NDArray[np.bool_], largest: int = LARGEST_WINDOW) -> int | None:
    """Return the smallest window of packets whose majority is never flagged; None where none up to ``largest`` is."""
    sizes = range(1, min(largest, len(flagged)) + 1)
    return next((size for size in sizes if not window_majority(flagged, size).any()), None)


def window_majority(flagged: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Return for each window of so many successive packets whether most are flagged, bool ``[n - size + 1]``."""
    total = np.concatenate([[0], np.cumsum(flagged, dtype=np.int64)])
    return np.asarray(2 * (total[size:] - total[:-size]) > size, dtype=np.bool_)


def measure_device(
    files: DeviceFiles,
    *,
    seed: int = 0,
    budget: float = BUDGET,
    largest_benign: int = LARGEST_BENIGN,
    contenders: Sequence[Contender] = CONTENDERS,
    quick: bool = False,
) -> dict[str, Any]:
    """Return the measures of all contenders on one device, as plain JSON values.

    Attack files are read and scored block by block; only their scores are kept.

    Parameters
    ----------
    files
        Of the device.
    seed
        Of the training.
    budget
        False-positive rate of the threshold beside the study's.
    largest_benign
        Benign packets that are used at most.
    contenders
        Detectors.
    quick
        Whether networks are trained for a moment only.
    """
    train, stopping, calibration, test = benign_parts(files.benign, largest_benign)
    fitted: dict[str, Callable[[pl.DataFrame], Scores]] = {}
    seconds = {}
    for contender in contenders:
        started = time.perf_counter()
        fitted[contender.name] = contender.fitted(train, stopping, RECORD_TYPE, seed=seed, quick=quick)
        seconds[contender.name] = time.perf_counter() - started
    attacks: dict[str, dict[str, Scores]] = {contender.name: {} for contender in contenders}
    for attack, path in files.attacks.items():
        parts: dict[str, list[Scores]] = {name: [np.empty(0, np.float32)] for name in fitted}
        for frame in frames_of(path):
            for name, scores in fitted.items():
                parts[name].append(scores(frame))
        for name in fitted:
            attacks[name][attack] = np.concatenate(parts[name])
    attack_rows = {attack: len(found) for attack, found in next(iter(attacks.values())).items()}
    everything = sum(attack_rows.values())
    return {
        "rows": {
            "train": train.height,
            "stopping": stopping.height,
            "calibration": calibration.height,
            "test_benign": test.height,
            "test_attacks": attack_rows,
        },
        "accuracy_of_flagging_everything": everything / (everything + test.height),
        "contenders": {
            name: {
                **_judged(scores(calibration), scores(test), attacks[name], budget),
                "training_seconds": seconds[name],
            }
            for name, scores in fitted.items()
        },
    }


def _judged(calibration: Scores, benign: Scores, attacks: Mapping[str, Scores], budget: float) -> dict[str, Any]:
    """Return the measures at the study's threshold, with and without its window, and at the budget's."""
    scores = np.concatenate([benign, *attacks.values()])
    is_attack = np.arange(len(scores)) >= len(benign)
    judged: dict[str, Any] = {"auroc": auroc(scores, is_attack)}
    for name, policy in (("mean_and_deviation", STUDY_POLICY), ("false_positive_budget", f"fpr:{budget}")):
        threshold = policy_threshold(policy, calibration)
        judged[name] = None
        if threshold is None:
            continue
        judged[name] = {
            "threshold": threshold,
            **rates(scores > threshold, is_attack),
            "recall_by_attack": {attack: share_of(found > threshold) for attack, found in attacks.items()},
        }
    window = smallest_quiet_window(calibration > judged["mean_and_deviation"]["threshold"])
    judged["window"] = None if window is None else {"packets": window, **_windowed(benign, attacks, judged, window)}
    return judged


def _windowed(
    benign: Scores, attacks: Mapping[str, Scores], judged: Mapping[str, Any], window: int
) -> dict[str, float | None]:
    threshold = judged["mean_and_deviation"]["threshold"]
    quiet = window_majority(benign > threshold, window)
    found = [window_majority(scores > threshold, window) for scores in attacks.values() if len(scores) >= window]
    flagged = np.concatenate([quiet, *found])
    return rates(flagged, np.arange(len(flagged)) >= len(quiet))


def measure_n_baiot(
    folder: Path,
    *,
    devices: Sequence[str] | None = None,
    seed: int = 0,
    budget: float = BUDGET,
    largest_benign: int = LARGEST_BENIGN,
    quick: bool = False,
) -> dict[str, Any]:
    """Return the measures on all devices of a folder, or on those named, as plain JSON values.

    Parameters as for :func:`measure_device` and :func:`find_devices`.

    Raises
    ------
    SourceError, TrainingError
        The files cannot be used.
    """
    found = find_devices(folder, devices)
    measured = {}
    for device, files in found.items():
        started = time.perf_counter()
        measured[device] = measure_device(files, seed=seed, budget=budget, largest_benign=largest_benign, quick=quick)
        told(f"{device}: {time.perf_counter() - started:.1f} s")
    rows = [
        sum(device["rows"][part] for part in ("train", "stopping", "calibration", "test_benign"))
        + sum(device["rows"]["test_attacks"].values())
        for device in measured.values()
    ]
    return {
        "benchmark": "n_baiot",
        "machine": describe_machine(),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": sum(rows),
        "whole": sum(rows) == PUBLISHED_ROWS,
        "seed": seed,
        "budget": budget,
        "quick": quick,
        "devices": measured,
    }


COLUMNS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "accuracy": ("mean_and_deviation", "accuracy"),
        "recall": ("mean_and_deviation", "recall"),
        "false positives": ("mean_and_deviation", "false_positive_rate"),
        "recall in windows": ("window", "recall"),
        "false positives there": ("window", "false_positive_rate"),
        "recall at budget": ("false_positive_budget", "recall"),
        "its false positives": ("false_positive_budget", "false_positive_rate"),
    }
)
"""Measures in the table: their column, and where they are."""


def n_baiot_page(result: Mapping[str, Any]) -> str:
    """Return the measures as text: a table for each device, and one of their means."""
    devices = result["devices"]
    parts = [f"N-BaIoT, seed {result['seed']}, {result['rows']:,} packets of {len(devices)} devices"]
    for device, found in devices.items():
        attacks = sum(found["rows"]["test_attacks"].values())
        parts.append(
            f"{device}: trained on {found['rows']['train']:,} benign packets, tested on "
            f"{found['rows']['test_benign']:,} and {attacks:,} of attacks\n\n{_table([found])}"
        )
    if len(devices) > 1:
        parts.append(f"Mean of the devices\n\n{_table(list(devices.values()))}")
    parts.append(
        "Accuracy, recall and false positives: at mean and one deviation of benign scores; in windows by majority.\n"
        f"Budget: the threshold for {result['budget']:g} false positives on benign packets, where there are enough."
    )
    if not result["whole"]:
        parts.append(f"This is not the whole set ({PUBLISHED_ROWS:,} packets): no result on N-BaIoT.")
    if result["quick"]:
        parts.append("Networks were trained for a moment only (--quick): no result on N-BaIoT.")
    return "\n\n".join(parts)


def _table(devices: Sequence[Mapping[str, Any]]) -> str:
    rows = [("detector", "AUROC", *COLUMNS)]
    accuracy = mean_of([device["accuracy_of_flagging_everything"] for device in devices])
    rows.append(("flagging everything", "0.500", shown(accuracy), "1.000", "1.000", *["-"] * (len(COLUMNS) - 3)))
    for name in devices[0]["contenders"]:
        found = [device["contenders"][name] for device in devices]
        cells = [
            shown(mean_of([None if one[part] is None else one[part][measure] for one in found]))
            for part, measure in COLUMNS.values()
        ]
        rows.append((name, shown(mean_of([one["auroc"] for one in found])), *cells))
    return table(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the experiment."""
    parser = experiment_parser("netsieve.bench.n_baiot", (__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--devices", nargs="+", choices=DEVICES, metavar="DEVICE", help="default: all in the folder")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "--false-positive-rate", type=share_argument, default=BUDGET, metavar="RATE", help="default: %(default)s"
    )
    parser.add_argument(
        "--max-benign", type=int, default=LARGEST_BENIGN, metavar="N", help="benign packets of a device at most"
    )
    return run_experiment(
        parser.parse_args(arguments),
        lambda options: measure_n_baiot(
            options.folder,
            devices=options.devices,
            seed=options.seed,
            budget=options.false_positive_rate,
            largest_benign=options.max_benign,
            quick=options.quick,
        ),
        n_baiot_page,
    )


if __name__ == "__main__":
    sys.exit(main())
