"""The files of N-BaIoT's devices, in the layouts of both distributions, and their packets in order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import polars as pl

from netsieve.bench.experiments import SUFFIXES, check_folder, present_file, told
from netsieve.engine.errors import SourceError
from netsieve.engine.sources.formats import open_source
from netsieve.engine.sources.n_baiot import STATISTICS
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
FEWEST_BENIGN: Final = 120
"""Benign packets without which the thirds are too small to train, to stop and to calibrate."""
LARGEST_BENIGN: Final = 200_000

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
