"""The N-BaIoT experiment: ``python -m netsieve.bench.n_baiot DATA_DIR`` shows an unscaled autoencoder fail, and why.

Meidan et al., "N-BaIoT: Network-based Detection of IoT Botnet Attacks Using Deep Autoencoders", IEEE Pervasive
Computing 17(3), 2018: a model for each device. Of its benign packets, in their order, the first third trains, the
second sets the threshold at the mean and one deviation, and the last tests together with all attacks; packets are then
judged by a majority in a window, the smallest without a false alarm on the second third.

Most packets of the set are attacks, so that whatever flags everything is right about most: that accuracy stands beside
every other.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from netsieve.bench.experiments import (
    SUFFIXES,
    Contender,
    Scores,
    auroc,
    check_folder,
    experiment_parser,
    mean_of,
    policy_threshold,
    present_file,
    rates,
    run_experiment,
    share_argument,
    share_of,
    shown,
    table,
    told,
)
from netsieve.bench.machine import describe_machine
from netsieve.engine.errors import SourceError
from netsieve.engine.sources.formats import open_source
from netsieve.engine.sources.n_baiot import RECORD_TYPE, STATISTICS
from netsieve.engine.sources.source import ColumnRequest

DEVICES: Final = (
    "Danmini_Doorbell",
    "Ecobee_Thermostat",
    "Ennio_Doorbell",
    "Philips_B120N10_Baby_Monitor",
    "Provision_PT_737E_Security_Camera",
    "Provision_PT_838_Security_Camera",
    "Samsung_SNH_1011_N_Webcam",
    "SimpleHome_XCS7_1002_WHT_Security_Camera",
    "SimpleHome_XCS7_1003_WHT_Security_Camera",
)
"""In the order of their numbers from 1, by which the other distribution names its files."""
FAMILIES: Final = ("gafgyt", "mirai")
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
FEWEST_BENIGN: Final = 120
"""Benign packets without which the thirds are too small to train, to stop and to calibrate."""
LARGEST_BENIGN: Final = 200_000
LARGEST_WINDOW: Final = 200

_REQUEST: Final = ColumnRequest(columns=STATISTICS)
_FLAT: Final = re.compile(r"(?P<number>[1-9])\.(?:(?P<benign>benign)|(?P<family>gafgyt|mirai)\.(?P<attack>\w+))\.csv")


@dataclass(frozen=True, slots=True)
class DeviceFiles:
    """The files of a device: its benign traffic, and its attacks by name (``mirai.syn``)."""

    benign: Path
    attacks: Mapping[str, Path]


def find_devices(folder: Path, wanted: Sequence[str] | None = None) -> dict[str, DeviceFiles]:
    """Return the devices of a folder in either distribution's layout, plain or compressed.

    ``Danmini_Doorbell/benign_traffic.csv`` with ``gafgyt_attacks/combo.csv`` and ``mirai_attacks/syn.csv`` beside it,
    or ``1.benign.csv`` with ``1.gafgyt.combo.csv`` and ``1.mirai.syn.csv``.

    Parameters
    ----------
    folder
        Holds the files.
    wanted
        Only these devices; None for all that the folder has.

    Raises
    ------
    SourceError
        There is no such folder, no device in it, or a device without its benign traffic or without any attack.
    """
    check_folder(folder)
    benign: dict[str, Path] = {}
    attacks: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        if (named := _FLAT.fullmatch(_plain_name(path))) is not None:
            device = DEVICES[int(named["number"]) - 1]
            if named["benign"]:
                benign[device] = path
            else:
                attacks.setdefault(device, {})[f"{named['family']}.{named['attack']}"] = path
        elif path.name in DEVICES and path.is_dir():
            if (file := present_file(path, "benign_traffic.csv")) is not None:
                benign[path.name] = file
            attacks[path.name] = {
                f"{family}.{_plain_name(file).removesuffix('.csv')}": file
                for family in FAMILIES
                for file in sorted(path.glob(f"{family}_attacks/*.csv*"))
                if _plain_name(file).endswith(".csv")
            }
    if not benign and not any(attacks.values()):
        raise SourceError(
            f"'{folder}' has no files of N-BaIoT; expected Danmini_Doorbell/benign_traffic.csv and the like, or "
            "1.benign.csv and 1.gafgyt.combo.csv and the like"
        )
    devices = [device for device in DEVICES if device in (wanted or (*benign, *attacks))]
    for device in devices:
        if device not in benign or not attacks.get(device):
            lacking = "attacks" if device in benign else "benign traffic"
            raise SourceError(
                f"'{folder}' has no {lacking} of {device}; unpack these files there, or name other devices"
            )
    return {device: DeviceFiles(benign[device], attacks[device]) for device in devices}


def _plain_name(path: Path) -> str:
    return next(
        (path.name.removesuffix(suffix) for suffix in reversed(SUFFIXES) if path.name.endswith(suffix)), path.name
    )


def frames_of(path: Path) -> Iterator[pl.DataFrame]:
    """Yield a file's packets block by block.

    Raises
    ------
    SourceError
        It cannot be read, or is no file of N-BaIoT.
    """
    with closing(open_source(str(path), columns=_REQUEST)) as source:
        if lacking := [name for name in STATISTICS if name not in source.columns]:
            raise SourceError(f"'{path}' has no column {lacking[0]!r}; expected the 115 of N-BaIoT in a header line")
        rejected = 0
        for block in source.blocks():
            parsed = source.parse(block)
            rejected += len(parsed.rejects)
            yield parsed.frame
    if rejected:
        told(f"{path}: {rejected:,} packets that cannot be read are left out")


def benign_parts(path: Path, largest: int = LARGEST_BENIGN) -> tuple[pl.DataFrame, ...]:
    """Return benign packets in four parts, in order: a third, two sixths, a third.

    The first trains; the sixths stop the training and set thresholds, for neither may what stops set them; the last
    tests.

    Parameters
    ----------
    path
        File.
    largest
        Packets taken from its beginning at most.

    Raises
    ------
    SourceError
        The file cannot be used, or has too few packets.
    """
    frames: list[pl.DataFrame] = []
    rows = 0
    for frame in frames_of(path):
        frames.append(frame.head(largest - rows))
        rows += frames[-1].height
        if rows >= largest:
            break
    if rows < FEWEST_BENIGN:
        raise SourceError(f"'{path}' has {rows} packets that can be read; at least {FEWEST_BENIGN} are needed")
    benign = pl.concat(frames)
    ends = [0, rows // 3, rows // 2, 2 * rows // 3, rows]
    return tuple(benign[start:end] for start, end in pairwise(ends))


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
