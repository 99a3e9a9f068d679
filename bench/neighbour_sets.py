"""Real log files with labels, read and prepared as ``netsieve train`` does it, for measuring neighbour features.

Labels are columns of the files where they have some, else they are those of the capture or of its notes; they are
never features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import polars as pl

from netsieve.engine.features.ready import overrides_with_ready
from netsieve.engine.sources.reading import read_frame
from netsieve.engine.sources.ready_schemas import ready_schema
from netsieve.engine.sources.source import ReadOptions

ATTACK: Final = "is_attack"
"""Column with 0 for normal records and 1 for attacks."""
KIND: Final = "attack_kind"
"""Column with what an attack is."""
POSITION: Final = "position"
"""Column to split by where times do not serve: a record's place in its file, or at random."""
NOT_FEATURES: Final = (KIND, POSITION)
BEACON_PAIR: Final = ("73.54.23.243", "64.225.56.201")
BEACON_COLUMNS: Final = ("id.orig_h", "id.resp_h")
BEACON_DAYS: Final = ("2024-04-19", "2024-04-20")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSet:
    """Records of log files in the order in which they are read, with :data:`ATTACK` and :data:`KIND`.

    Attributes
    ----------
    files
        Below the data folder.
    frame
        All records.
    overrides
        Content of a schema file: what the record type brings along.
    split
        Column to split by; None for the first time stamp.
    normal_only
        Whether the labels choose what is trained on; else all records train alike, as without labels.
    """

    files: tuple[str, ...]
    frame: pl.DataFrame
    overrides: Mapping[str, Any] = field(repr=False)
    split: str | None = None
    normal_only: bool = True


def _read(root: Path, *files: str, event_type: str | None = None) -> tuple[pl.DataFrame, str]:
    read = read_frame([str(root / file) for file in files], options=ReadOptions(event_type=event_type))
    return read.frame, read.record_type


def _log_set(files: tuple[str, ...], frame: pl.DataFrame, record_type: str, **settings: Any) -> LogSet:
    ready = ready_schema(record_type)
    overrides = overrides_with_ready(ready, None, frame.columns, record_type=record_type, label=ATTACK)
    return LogSet(files=files, frame=frame, overrides=overrides, **settings)


def _labelled(frame: pl.DataFrame, attack: pl.Expr, kind: pl.Expr) -> pl.DataFrame:
    return frame.with_columns(attack.cast(pl.Int8).alias(ATTACK), pl.when(attack).then(kind).alias(KIND))


def read_iot23(root: Path) -> LogSet:
    """Return IoT-23 34-1, labelled flow by flow."""
    file = "iot23/CTU-IoT-Malware-Capture-34-1.conn.log.labeled.gz"
    frame, record_type = _read(root, file)
    frame = _labelled(frame, pl.col("label") != "Benign", pl.col("detailed-label"))
    return _log_set((file,), frame.drop("label", "detailed-label"), record_type)


def read_slips_test5(root: Path, split: str | None = None) -> LogSet:
    """Return the argus flows that are labelled one by one; status records and lines without a label are left out."""
    file = "argus_binetflow/slips_test5_labelled.tsv.gz"
    frame, record_type = _read(root, file)
    frame = _labelled(frame, pl.col("Label").str.starts_with("flow=Malware"), pl.lit("malware"))
    frame = frame.filter(pl.col("Label").str.starts_with("flow=").fill_null(value=False)).drop("Label")
    frame = frame.with_columns(pl.Series(POSITION, np.random.default_rng(0).random(frame.height)))
    return _log_set((file,), frame, record_type, split=split)


def read_argus_by_file(root: Path, malware: str) -> LogSet:
    """Return the flows of a normal host, and those of an infected one, all of which count as attacks."""
    files = tuple(f"argus_binetflow/{name}.binetflow.gz" for name in ("CTU-Normal-7-2013-13-07", malware))
    return _by_file(root, files[:1], files[1:])


def read_pcap(root: Path) -> LogSet:
    """Return flows of captures of harmless and of malicious traffic, labelled by capture."""
    harmless = ("netml_demo_cicids2017.pcap", "nfstream_alexa-app.pcapng", "nfstream_instagram.pcap")
    malicious = ("slips_test-cc-capture-1", "slips_test7-malicious", "slips_test12-icmp-portscan", "nfstream_synscan")
    return _by_file(
        root,
        tuple(f"pcap/{name}" for name in (*harmless, "nfstream_skype.pcap")),
        tuple(f"pcap/{name}.pcap" for name in malicious),
    )


def _by_file(root: Path, normal: tuple[str, ...], malicious: tuple[str, ...]) -> LogSet:
    """Label by file; the first part of every normal file trains, and its last part tests."""
    frames = []
    record_type = ""
    for file in (*normal, *malicious):
        frame, record_type = _read(root, file)
        # argus' column for labels is empty in these files
        frame = frame.drop("Label", strict=False)
        kind = Path(file).name.split(".")[0]
        frame = _labelled(frame, pl.lit(file in malicious), pl.lit(kind))
        frames.append(frame.with_columns((pl.int_range(pl.len()) / pl.len()).alias(POSITION)))
    shared = [name for name in frames[0].columns if all(name in frame.columns for frame in frames)]
    frame = pl.concat([frame.select(shared) for frame in frames], how="vertical_relaxed")
    return _log_set((*normal, *malicious), frame, record_type, split=POSITION)


def read_slips_test6(root: Path) -> LogSet:
    """Return Suricata's flows; those that an alert of the same file names count as attacks."""
    file = "suricata/slips_test6-malicious.suricata.json.gz"
    frame, record_type = _read(root, file)
    alerts, _ = _read(root, file, event_type="alert")
    kinds = alerts.group_by("flow_id").agg(pl.col("alert.category").first().alias("category"))
    frame = frame.join(kinds, on="flow_id", how="left", maintain_order="left")
    frame = _labelled(frame, pl.col("category").is_not_null(), pl.col("category"))
    # Suricata's own remark on the flow says the same
    return _log_set((file,), frame.drop("category", "flow.alerted"), record_type, normal_only=False)


def beacon_files(day: str) -> tuple[str, ...]:
    """Return the connection logs of a day of zeek_beacon_3days, in order."""
    hours = [*range(24), 0]
    return tuple(f"zeek_beacon_3days/{day}/conn.{begin:02}0000-{end:02}0000.log.gz" for begin, end in pairwise(hours))


def read_beacon_day(root: Path, day: str) -> LogSet:
    """Return a day of zeek_beacon_3days; the flows of the beacon's pair count as attacks."""
    frame, record_type = _read(root, *beacon_files(day))
    pair = [pl.col(name) == host for name, host in zip(BEACON_COLUMNS, BEACON_PAIR, strict=True)]
    return _log_set(beacon_files(day), _labelled(frame, pl.all_horizontal(pair), pl.lit("beacon")), record_type)


LOG_SETS: Final[Mapping[str, Callable[[Path], LogSet]]] = MappingProxyType(
    {
        "iot23_34_1": read_iot23,
        "argus_slips_test5": read_slips_test5,
        "argus_slips_test5, split at random": partial(read_slips_test5, split=POSITION),
        "argus_207_1": partial(read_argus_by_file, malware="CTU-Malware-Capture-Botnet-207-1"),
        "argus_slips_test2": partial(read_argus_by_file, malware="slips_test2-malicious"),
        "suricata_slips_test6": read_slips_test6,
        "pcap_flows": read_pcap,
    }
)
"""Reader of each set, given the data folder."""
