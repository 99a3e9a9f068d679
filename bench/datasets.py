"""Loaders of the labelled real sets: a frame, and which columns hold the label, the attack and the time.

The files are public; where they come from and what was sampled is told in the README beside them. Columns that
are made from the label are named in ``ignore``. Identifiers, addresses and client ports are left to schema
inference, as a user would.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import polars as pl

# fmt: off
KDD_COLUMNS: Final = (
    "duration", "protocol_type", "service", "flag", "src_bytes", "dst_bytes", "land", "wrong_fragment", "urgent",
    "hot", "num_failed_logins", "logged_in", "num_compromised", "root_shell", "su_attempted", "num_root",
    "num_file_creations", "num_shells", "num_access_files", "num_outbound_cmds", "is_host_login", "is_guest_login",
    "count", "srv_count", "serror_rate", "srv_serror_rate", "rerror_rate", "srv_rerror_rate", "same_srv_rate",
    "diff_srv_rate", "srv_diff_host_rate", "dst_host_count", "dst_host_srv_count", "dst_host_same_srv_rate",
    "dst_host_diff_srv_rate", "dst_host_same_src_port_rate", "dst_host_srv_diff_host_rate", "dst_host_serror_rate",
    "dst_host_srv_serror_rate", "dst_host_rerror_rate", "dst_host_srv_rerror_rate",
)
# fmt: on
"""The 41 features of KDD Cup 99 and NSL-KDD, whose files have no header."""

ADBENCH_FILES: Final = MappingProxyType(
    {
        "http": "16_http",
        "shuttle": "32_shuttle",
        "mammography": "23_mammography",
        "thyroid": "38_thyroid",
        "cardio": "6_cardio",
        "campaign": "5_campaign",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSet:
    """A labelled table.

    Attributes
    ----------
    name
        Short name.
    file
        File it was read from, below the data folder.
    frame
        All its rows, in file order.
    label, normal
        Label column, and its value for normal records.
    attack
        Column that names the attack, or None.
    time
        Column to split by, or None for a seeded shuffle.
    ignore
        Columns made from the label.
    """

    name: str
    file: str
    frame: pl.DataFrame
    label: str
    normal: str
    attack: str | None = None
    time: str | None = None
    ignore: tuple[str, ...] = ()


def load_set(name: str, root: Path) -> LabelledSet:
    """Return a labelled set of :data:`SETS` from the data folder ``root``."""
    return SETS[name](root)


def _unsw_nb15(root: Path) -> LabelledSet:
    file = "unsw_nb15/UNSW_NB15_training-set.part-a.csv.gz"
    frame = pl.read_csv(root / file, infer_schema_length=None)
    return LabelledSet(
        name="unsw_nb15",
        file=file,
        frame=frame,
        label="label",
        normal="0",
        attack="attack_cat",
        ignore=("attack_cat",),
    )


def _cicids2017_improved(root: Path) -> LabelledSet:
    file = "cicids2017_improved/cicids2017_improved_sample.parquet"
    return LabelledSet(
        name="cicids2017_improved",
        file=file,
        frame=pl.read_parquet(root / file),
        label="Label",
        normal="BENIGN",
        attack="Label",
        time="Timestamp",
        ignore=("Attempted Category",),
    )


def _nsl_kdd(root: Path) -> LabelledSet:
    file = "nsl_kdd/KDDTrain+_20Percent.txt.gz"
    columns = [*KDD_COLUMNS, "class", "difficulty"]
    frame = pl.read_csv(root / file, has_header=False, new_columns=columns, infer_schema_length=None)
    return LabelledSet(
        name="nsl_kdd",
        file=file,
        frame=frame,
        label="class",
        normal="normal",
        attack="class",
        ignore=("difficulty",),
    )


def _kddcup99(root: Path) -> LabelledSet:
    file = "kddcup99/kddcup.data_10_percent.gz"
    columns = [*KDD_COLUMNS, "class"]
    frame = pl.read_csv(root / file, has_header=False, new_columns=columns, infer_schema_length=None)
    return LabelledSet(name="kddcup99", file=file, frame=frame, label="class", normal="normal.", attack="class")


def _adbench(name: str, root: Path) -> LabelledSet:
    file = f"adbench/{ADBENCH_FILES[name]}.npz"
    content = np.load(root / file)
    frame = pl.DataFrame(content["X"], schema=[f"x{i}" for i in range(content["X"].shape[1])], orient="row")
    frame = frame.with_columns(pl.Series("y", content["y"]))
    return LabelledSet(name=f"adbench_{name}", file=file, frame=frame, label="y", normal="0")


def _iot23_34_1(root: Path) -> LabelledSet:
    file = "iot23/CTU-IoT-Malware-Capture-34-1.conn.log.labeled.gz"
    with gzip.open(root / file, "rt") as lines:
        # the last three fields are set apart by three blanks, in the header too
        rows = [line.rstrip("\n").replace("   ", "\t") for line in lines]
    header = next(row for row in rows if row.startswith("#fields")).split("\t")[1:]
    body = "\n".join(row for row in rows if not row.startswith("#"))
    frame = pl.read_csv(
        io.StringIO(body),
        separator="\t",
        has_header=False,
        new_columns=header,
        null_values=["-"],
        infer_schema_length=None,
        quote_char=None,
    )
    return _iot23("iot23_34_1", file, frame, normal="Benign", time="ts")


def _iot23_mixed(root: Path) -> LabelledSet:
    file = "iot23/iot23_sample_train1.csv.gz"
    # samples of several captures: their times do not follow each other
    frame = pl.read_csv(root / file, null_values=["-"], infer_schema_length=None).drop("ts")
    return _iot23("iot23_mixed", file, frame, normal="benign", time=None)


def _iot23(name: str, file: str, frame: pl.DataFrame, *, normal: str, time: str | None) -> LabelledSet:
    return LabelledSet(
        name=name,
        file=file,
        frame=frame,
        label="label",
        normal=normal,
        attack="detailed-label",
        time=time,
        ignore=("detailed-label", "tunnel_parents"),
    )


def read_argus(root: Path, name: str) -> pl.DataFrame:
    """Return a comma-separated argus flow file without its payload columns and its empty label."""
    frame = pl.read_csv(
        root / "argus_binetflow" / f"{name}.binetflow.gz",
        infer_schema_length=None,
        schema_overrides={"Sport": pl.String, "Dport": pl.String, "State": pl.String},
    )
    frame = frame.drop("Label", "srcUdata", "dstUdata", "SrcPkts", strict=False)
    return frame.with_columns(pl.col(pl.String).str.strip_chars())


def _argus_by_file(malware: str, name: str, root: Path) -> LabelledSet:
    """Label by file: flows of a normal host, and all flows of a capture of an infected one."""
    frame = pl.concat(
        [
            read_argus(root, "CTU-Normal-7-2013-13-07").with_columns(capture=pl.lit("normal")),
            read_argus(root, malware).with_columns(capture=pl.lit("malware")),
        ],
        how="vertical_relaxed",
    )
    return LabelledSet(
        name=name,
        file=f"argus_binetflow/{malware}.binetflow.gz",
        frame=frame,
        label="capture",
        normal="normal",
        time="StartTime",
    )


def _argus_slips_test5(root: Path) -> LabelledSet:
    file = "argus_binetflow/slips_test5_labelled.tsv.gz"
    frame = pl.read_csv(root / file, separator="\t", infer_schema_length=0).filter(
        pl.col("Label").str.starts_with("flow=").fill_null(value=False)
    )
    # 446 background flows, of which the malware flows leave few in the early part: split at random
    frame = frame.drop("StartTime")
    numbers = ["Dur", "sTos", "dTos", "TotPkts", "TotBytes", "SrcBytes", "SrcPkts"]
    frame = frame.with_columns(
        pl.col(pl.String).exclude(numbers).str.strip_chars(),
        pl.col(numbers).cast(pl.Float64),
        is_malware=pl.col("Label").str.starts_with("flow=Malware").cast(pl.Int8),
    )
    return LabelledSet(
        name="argus_slips_test5",
        file=file,
        frame=frame,
        label="is_malware",
        normal="0",
        attack="Label",
        ignore=("Label",),
    )


SETS: Final[Mapping[str, Callable[[Path], LabelledSet]]] = MappingProxyType(
    {
        "unsw_nb15": _unsw_nb15,
        "cicids2017_improved": _cicids2017_improved,
        "nsl_kdd": _nsl_kdd,
        "kddcup99": _kddcup99,
        "adbench_http": partial(_adbench, "http"),
        "adbench_shuttle": partial(_adbench, "shuttle"),
        "adbench_mammography": partial(_adbench, "mammography"),
        "adbench_thyroid": partial(_adbench, "thyroid"),
        "adbench_cardio": partial(_adbench, "cardio"),
        "adbench_campaign": partial(_adbench, "campaign"),
        "iot23_34_1": _iot23_34_1,
        "iot23_mixed": _iot23_mixed,
        "argus_slips_test5": _argus_slips_test5,
        "argus_207_1": partial(_argus_by_file, "CTU-Malware-Capture-Botnet-207-1", "argus_207_1"),
        "argus_slips_test2": partial(_argus_by_file, "slips_test2-malicious", "argus_slips_test2"),
    }
)
"""Loader of each set, given the data folder."""

MAIN_SETS: Final = ("unsw_nb15", "cicids2017_improved", "nsl_kdd", "kddcup99", "adbench_http", "adbench_shuttle")
"""The sets that the mean is taken over."""
BY_FILE_SETS: Final = ("argus_207_1", "argus_slips_test2")
"""Weakly labelled: every flow of a capture of an infected host counts as an attack."""
DEVELOPMENT_SETS: Final = tuple(name for name in SETS if name not in MAIN_SETS + BY_FILE_SETS)
"""The sets that the default recipe was chosen on."""
