"""Which columns of known record types say who spoke to whom, and what is declared of a frame by them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Final

import polars as pl

from netsieve.engine.errors import SchemaError
from netsieve.engine.features.neighbours import COLUMN_ROLES, Neighbours
from netsieve.engine.features.windows import DEFAULT_LENGTH, Windows

LAYOUTS: Final[dict[str, dict[str, Any]]] = {
    # https://docs.zeek.org/en/master/scripts/base/protocols/conn/main.zeek.html#type-Conn::Info
    "zeek.conn": {
        "source": "id.orig_h",
        "destination": "id.resp_h",
        "port": "id.resp_p",
        "bytes_sent": "orig_bytes",
        "bytes_received": "resp_bytes",
        "state": "conn_state",
        "failed": ["S0", "REJ", "RSTOS0", "RSTRH", "SH", "SHR"],
        "time": "ts",
        "duration": "duration",
    },
    # https://docs.suricata.io/en/latest/output/eve/eve-json-format.html#event-type-flow
    "suricata.flow": {
        "source": "src_ip",
        "destination": "dest_ip",
        "port": "dest_port",
        "bytes_sent": "flow.bytes_toserver",
        "bytes_received": "flow.bytes_toclient",
        "state": "flow.state",
        "failed": ["new"],
        "time": "flow.end",
    },
    "pcap.flow": {
        "source": "source_address",
        "destination": "destination_address",
        "port": "destination_port",
        "bytes_sent": "forward_bytes",
        "bytes_received": "backward_bytes",
        "state": "tcp_state",
        "failed": ["S0", "REJ", "RSTOS0", "RSTRH", "SH", "SHR"],
        "time": "end_time",
    },
    # ra(1): the state of a TCP flow is made of the flags seen each way
    "argus": {
        "source": "SrcAddr",
        "destination": "DstAddr",
        "port": "Dport",
        "bytes_sent": "SrcBytes",
        "state": "State",
        "failed": ["REQ", "INT", "S_", "S_RA", "S_R", "URP", "URH", "URN", "URF", "URFIL", "URHPRO", "TIM"],
        "time": "StartTime",
        "duration": "Dur",
    },
    # an answer of 60 bytes with its IP header is one packet without data: a refusal, or an opening that led nowhere
    "netsieve.traffic": {
        "source": "SourceIP",
        "destination": "DestinationIP",
        "port": "DestinationPort",
        "bytes_sent": "BytesSent",
        "bytes_received": "BytesReceived",
        "unanswered_bytes": 60.0,
        "time": "Timestamp",
        "duration": "Duration",
    },
    "cicflowmeter": {
        "source": "Src IP",
        "destination": "Dst IP",
        "port": "Dst Port",
        "bytes_sent": "Total Length of Fwd Packet",
        "bytes_received": "Total Length of Bwd Packet",
        "time": "Timestamp",
        "duration": "Flow Duration",
        "duration_unit": 1e-6,
    },
}
"""Columns by role, and what goes with them, of each record type that has a source and a destination."""

ENTITIES: Final[dict[str, dict[str, Any]]] = {
    "beth.process": {"entity": ("hostName", "processId"), "time": "timestamp"},
    "adfa.call": {"entity": ("trace",)},
}
"""Whose records follow each other, and their time, of record types without a source and a destination."""

ALL: Final = "all"
"""Stands for all columns that can be computed."""
TIME_FORMATS: Final = (
    "%Y-%m-%dT%H:%M:%S%.fZ",
    "%Y-%m-%dT%H:%M:%S%.f%z",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y/%m/%d %H:%M:%S%.f",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %I:%M:%S %p",
)
"""How times are written where they are text; the declared one is tried first, then these in order, cell by cell."""
KEY_ROWS: Final = 100_000
"""Rows by whose sources the key is drawn."""
LARGEST_UNREADABLE_SHARE: Final = 0.01
"""Of the times, in a format that is taken for theirs."""


def declare_neighbours(
    frame: pl.DataFrame, *, record_type: str = "record", section: Mapping[str, Any] | None = None
) -> Neighbours:
    """Return the neighbour features of a frame.

    Parameters
    ----------
    frame
        Records to train on.
    record_type
        What they are; where :data:`LAYOUTS` does not have it, the first layout whose hosts are among the columns.
    section
        Keys of a schema file's ``[neighbours]`` section, which go before the layout's.

    Raises
    ------
    SchemaError
        A value does not fit, a column that is named is not there, or none tells the hosts.
    """
    section = dict(section or {})
    for role in COLUMN_ROLES:
        if role in section and section[role] not in frame.columns:
            close = get_close_matches(str(section[role]), frame.columns, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise SchemaError(f"the data has no column {section[role]!r}, which is {role} in [neighbours]{hint}")
    layout = _layout(frame, record_type, section)
    present = {key: value for key, value in layout.items() if key not in COLUMN_ROLES or value in frame.columns}
    content = {**present, **section}
    if not {"source", "destination"} <= content.keys():
        raise SchemaError(
            "no columns of the data are known to name the source and the destination of a record; name them under "
            "[neighbours] in a schema file, as source and destination"
        )
    chosen = content.pop("columns", None)
    declared = Neighbours.from_dict({"kernel": "neighbours", "version": 1, **content})
    time_format = None if declared.time is None else _time_format(frame.get_column(declared.time))
    keyed_by = (declared.source, declared.destination, *([declared.time] if declared.time else []))
    declared = replace(declared, key=_key(frame, keyed_by), time_format=time_format)
    if chosen is None:
        columns = declared.default_columns()
    elif chosen == ALL:
        columns = tuple(declared.possible_columns())
    elif isinstance(chosen, str):
        raise SchemaError(f"[neighbours] columns is {chosen!r}; a list of names, or {ALL!r}, is expected")
    else:
        columns = tuple(chosen)
    return replace(declared, columns=columns)


def _layout(frame: pl.DataFrame, record_type: str, section: Mapping[str, Any]) -> dict[str, Any]:
    known = LAYOUTS.get(record_type)
    for layout in ([known] if known else []) + list(LAYOUTS.values()):
        if {layout["source"], layout["destination"]} <= set(frame.columns):
            return layout
    return {}


def declare_windows(
    frame: pl.DataFrame,
    *,
    entity: Sequence[str] = (),
    length: int = DEFAULT_LENGTH,
    record_type: str = "record",
    neighbours: Neighbours | None = None,
) -> Windows:
    """Return the windows of a frame: whose records they are of, and which column tells their time.

    Parameters
    ----------
    frame
        Records to train on.
    entity
        Columns whose combination is the entity; by default the source, or the process, known by the record type.
    length
        Records of a window.
    record_type
        What the records are, as for :func:`declare_neighbours`.
    neighbours
        The frame's neighbour features, if any: their source and clock are then taken.

    Raises
    ------
    SchemaError
        A column is not there, or none is known to name the entity.
    """
    for name in entity:
        if name not in frame.columns:
            close = get_close_matches(name, frame.columns, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise SchemaError(f"the data has no column {name!r}, which is to name the windows' entity{hint}")
    layout = {} if neighbours is None else neighbours.to_dict()
    layout = layout or ENTITIES.get(record_type) or _layout(frame, record_type, {})
    known = layout.get("entity") or ((layout["source"],) if layout else ())
    chosen = tuple(entity) or tuple(name for name in known if name in frame.columns)
    if not chosen:
        raise SchemaError(
            "no column of the data is known to name whose records follow each other (a host, a process, a trace); name "
            "it with --entity COL, or entity= in Python"
        )
    clock = {name: layout[name] for name in ("time", "duration") if layout.get(name) in frame.columns}
    units = {name: layout[name] for name in ("time_unit", "duration_unit") if name in layout}
    time_format = _time_format(frame.get_column(clock["time"])) if "time" in clock else None
    keyed_by = (*chosen, *clock.values())
    return Windows(entity=chosen, length=length, **clock, **units, time_format=time_format, key=_key(frame, keyed_by))


def _key(frame: pl.DataFrame, columns: Iterable[str]) -> str:
    """Return a key that who does not have the training data cannot guess, and that training again gives again."""
    digest = hashlib.sha256(str(frame.height).encode())
    for name in columns:
        texts = frame.get_column(name).head(KEY_ROWS).cast(pl.String).fill_null("")
        digest.update("\n".join(texts.to_list()).encode())
    return digest.hexdigest()[:32]


def _time_format(column: pl.Series) -> str | None:
    """Return how a text column writes times; None where it is no text.

    Raises
    ------
    SchemaError
        In no way that is known.
    """
    if column.dtype != pl.String:
        return None
    present = column.drop_nulls().head(KEY_ROWS)
    for form in TIME_FORMATS:
        parsed = present.str.to_datetime(form, strict=False, time_unit="us")
        if parsed.null_count() <= LARGEST_UNREADABLE_SHARE * len(present):
            return form
    raise SchemaError(
        f"column {column.name!r} holds times like {str(present[0])[:40]!r}, which are not understood; convert them to "
        "seconds since 1970, or name another column as time in [neighbours]"
    )
