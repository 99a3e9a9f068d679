"""Readers of Suricata's events: netsieve, and what else reads JSON lines, each giving the file's flow events.

Each gives the columns of :mod:`netsieve.engine.sources.eve_columns`, times parsed; netsieve checks every value, keeps
rejects, and adds the computed columns besides. Those that take a schema are given it, which is faster than having it
inferred.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from netsieve.bench.eve_events import write_events
from netsieve.bench.readers import (
    ALL_FORMS,
    BLOCK_BY_BLOCK,
    OURS,
    PLAIN_AND_GZIP,
    Reader,
    Task,
    count_records,
    lines_of,
    read_frame,
)
from netsieve.engine.sources.eve_columns import event_columns

FLOW: Final = "flow"
TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%S%.f%z"
FEW_COLUMNS: Final = ("dest_port", "proto", "app_proto", "flow.pkts_toserver", "flow.bytes_toclient", "flow.start")


def _sections() -> dict[str, Any]:
    """Return the columns as members of objects: name, and kind or members."""
    sections: dict[str, Any] = {}
    for name, kind in event_columns(FLOW).items():
        section, _, member = name.rpartition(".")
        (sections.setdefault(section, {}) if section else sections)[member] = kind
    return sections


def _frame_of(columns: Sequence[list[Any]]) -> Any:
    """Return values as a frame, with times parsed."""
    import polars as pl

    kinds = {"integer": pl.Int64, "float": pl.Float64, "boolean": pl.Boolean}
    names = event_columns(FLOW)
    schema = {name: kinds.get(kind, pl.String) for name, kind in names.items()}
    frame = pl.DataFrame(dict(zip(names, columns, strict=True)), schema=schema, strict=False)
    times = [name for name, kind in names.items() if kind == "time"]
    return frame.with_columns(pl.col(times).str.to_datetime(TIME_FORMAT, time_zone="UTC"))


def read_dictionaries(paths: Sequence[str], threads: int, *, library: str) -> Any:
    """Read line by line with a library's ``loads``, and collect the columns."""
    loads = import_module(library).loads
    parts = [tuple(name.split(".")) for name in event_columns(FLOW)]
    columns: list[list[Any]] = [[] for _ in parts]
    for line in lines_of(paths):
        event = loads(line)
        if event.get("event_type") != FLOW:
            continue
        for column, names in zip(columns, parts, strict=True):
            value = event
            for name in names:
                value = value.get(name) if value is not None else None
            column.append(value)
    return _frame_of(columns)


@cache
def _msgspec_decoder() -> Any:
    msgspec = import_module("msgspec")
    types = {"integer": int, "float": float, "boolean": bool}

    def structure(name: str, members: dict[str, Any]) -> Any:
        fields = [
            (member, (structure(member, kind) if isinstance(kind, dict) else types.get(kind, str)) | None, None)
            for member, kind in members.items()
        ]
        return msgspec.defstruct(name, fields, gc=False)

    return msgspec.json.Decoder(structure("Event", _sections()))


def read_msgspec(paths: Sequence[str], threads: int) -> Any:
    """Read line by line with msgspec, which is told the types and decodes nothing else."""
    decode = _msgspec_decoder().decode
    parts = [tuple(name.split(".")) for name in event_columns(FLOW)]
    columns: list[list[Any]] = [[] for _ in parts]
    for line in lines_of(paths):
        event = decode(line)
        if event.event_type != FLOW:
            continue
        for column, names in zip(columns, parts, strict=True):
            value = event
            for name in names:
                value = getattr(value, name, None)
            column.append(value)
    return _frame_of(columns)


def read_polars(paths: Sequence[str], threads: int) -> Any:
    """Read with Polars, which is given the schema."""
    import polars as pl

    kinds = {"integer": pl.Int64, "float": pl.Float64, "boolean": pl.Boolean}
    schema = {
        name: pl.Struct({member: kinds.get(of, pl.String) for member, of in kind.items()})
        if isinstance(kind, dict)
        else kinds.get(kind, pl.String)
        for name, kind in _sections().items()
    }
    columns = [
        (pl.col(name.split(".")[0]).struct.field(name.split(".")[1]) if "." in name else pl.col(name)).alias(name)
        for name in event_columns(FLOW)
    ]
    times = [name for name, kind in event_columns(FLOW).items() if kind == "time"]
    events = pl.scan_ndjson(list(paths), schema=schema, ignore_errors=True).filter(pl.col("event_type") == FLOW)
    flows = events.select(columns)
    return flows.with_columns(pl.col(times).str.to_datetime(TIME_FORMAT, time_zone="UTC")).collect()


def read_duckdb(paths: Sequence[str], threads: int) -> Any:
    """Read with DuckDB, which is given the schema."""
    import duckdb

    kinds = {"integer": "BIGINT", "float": "DOUBLE", "boolean": "BOOLEAN"}
    types = {}
    for name, kind in _sections().items():
        if isinstance(kind, dict):
            members = ", ".join(f'"{member}" {kinds.get(of, "VARCHAR")}' for member, of in kind.items())
            types[name] = f"STRUCT({members})"
        else:
            types[name] = kinds.get(kind, "VARCHAR")
    quoted = {name: '"' + name.replace(".", '"."') + '"' for name in event_columns(FLOW)}
    wanted = ", ".join(
        (f"strptime({quoted[name]}, '%Y-%m-%dT%H:%M:%S.%f%z')" if kind == "time" else quoted[name]) + f' AS "{name}"'
        for name, kind in event_columns(FLOW).items()
    )
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
    source = f"read_json({list(paths)}, format='newline_delimited', ignore_errors=true, columns={{{columns}}})"
    connection = duckdb.connect(config={"threads": threads})
    return connection.sql(f"SELECT {wanted} FROM {source} WHERE event_type = '{FLOW}'").to_arrow_table()


def read_pandas(paths: Sequence[str], threads: int) -> Any:
    """Read with pandas, which makes dictionaries of the objects in a line, and columns of these."""
    import pandas as pd

    frames = []
    for path in paths:
        events = pd.read_json(path, lines=True, dtype=False)
        flows = events[events["event_type"] == FLOW].reset_index(drop=True)
        for section, members in _sections().items():
            if isinstance(members, dict) and section in flows:
                objects = [value if isinstance(value, dict) else {} for value in flows.pop(section)]
                columns = pd.DataFrame.from_records(objects, columns=list(members))
                flows = pd.concat([flows, columns.add_prefix(f"{section}.")], axis=1)
        frames.append(flows.reindex(columns=list(event_columns(FLOW))))
    frame = pd.concat(frames, ignore_index=True)
    for name, kind in event_columns(FLOW).items():
        if kind == "time":
            frame[name] = pd.to_datetime(frame[name], utc=True)
        elif kind == "boolean":
            frame[name] = frame[name].astype("boolean")
    return frame


def _write(path: Path, events: int) -> int:
    write_events(path, events)
    return events


READERS: Final = {
    OURS: Reader(read_frame),
    BLOCK_BY_BLOCK: Reader(count_records),
    "netsieve, six columns": Reader(partial(count_records, columns=FEW_COLUMNS), forms=("plain",), threads=(1,)),
    "json": Reader(partial(read_dictionaries, library="json"), forms=PLAIN_AND_GZIP, threads=(1,), most_rounds=2),
    "orjson": Reader(
        partial(read_dictionaries, library="orjson"), "orjson", forms=PLAIN_AND_GZIP, threads=(1,), most_rounds=2
    ),
    "msgspec": Reader(read_msgspec, "msgspec", forms=PLAIN_AND_GZIP, threads=(1,), most_rounds=2),
    "pandas": Reader(read_pandas, "pandas", forms=PLAIN_AND_GZIP, threads=(1,), most_rounds=2),
    "polars": Reader(read_polars, "polars"),
    "duckdb": Reader(read_duckdb, "duckdb"),
}

TASKS: Final = {
    "eve.flow": Task(
        title="Flow events out of a file of mixed Suricata events",
        records=200_000,
        unit="lines",
        write=_write,
        suffix=".json",
        readers=READERS,
        checked=(
            "timestamp",
            "flow_id",
            "src_ip",
            "src_port",
            "proto",
            "flow.bytes_toserver",
            "flow.start",
            "flow.end",
            "flow.state",
            "flow.alerted",
            "tcp.syn",
            "tcp.state",
        ),
        forms=ALL_FORMS,
    )
}
