"""Readers of Zeek's connection logs, tab-separated and as JSON lines: netsieve, and what else reads such text.

Each gives the log's fields by their own types, times as times and ``-`` as missing. Those that take types are told
them; netsieve finds them in the log, and keeps rejects.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from netsieve.bench.readers import (
    BLOCK_BY_BLOCK,
    OURS,
    PLAIN_AND_GZIP,
    Reader,
    Task,
    count_records,
    lines_of,
    read_frame,
)
from netsieve.bench.zeek_logs import CONN, connections, write_json, write_tsv

FEW_COLUMNS: Final = ("ts", "id.resp_p", "proto", "duration", "orig_bytes", "resp_bytes")
TSV_RECORDS: Final = 600_000
JSON_RECORDS: Final = 200_000
CHECKED: Final = (
    "ts",
    "uid",
    "id.orig_h",
    "id.orig_p",
    "id.resp_p",
    "proto",
    "service",
    "duration",
    "resp_bytes",
    "local_orig",
    "history",
    "resp_ip_bytes",
)


def _polars_types(*, truth_values: bool) -> dict[str, Any]:
    """Return a Polars type of each field; those of truth values are text unless the reader knows them."""
    import polars as pl

    types = {"time": pl.Float64, "interval": pl.Float64, "count": pl.Int64, "port": pl.Int64}
    truth = {"bool": pl.Boolean} if truth_values else {}
    return {name: {**types, **truth}.get(zeek_type, pl.String) for name, zeek_type in CONN.items()}


def _with_times(frame: Any) -> Any:
    """Return a Polars frame whose times, in seconds, became such."""
    import polars as pl

    times = [name for name, zeek_type in CONN.items() if zeek_type == "time"]
    return frame.with_columns((pl.col(times) * 1e6).round().cast(pl.Int64).cast(pl.Datetime("us", "UTC")))


def read_polars_tsv(paths: Sequence[str], threads: int) -> Any:
    """Read the tab-separated log with Polars."""
    import polars as pl

    frame = pl.scan_csv(
        list(paths),
        separator="\t",
        comment_prefix="#",
        has_header=False,
        schema=_polars_types(truth_values=False),
        null_values="-",
        quote_char=None,
    )
    truths = [name for name, zeek_type in CONN.items() if zeek_type == "bool"]
    return _with_times(frame).with_columns(pl.col(truths) == "T").collect()


def read_polars_json(paths: Sequence[str], threads: int) -> Any:
    """Read the JSON lines with Polars."""
    import polars as pl

    return _with_times(pl.scan_ndjson(list(paths), schema=_polars_types(truth_values=True))).collect()


def _duckdb_query(source: str, threads: int) -> Any:
    import duckdb

    wanted = ", ".join(
        f'make_timestamp(round("{name}" * 1e6)::BIGINT) AS "{name}"' if zeek_type == "time" else f'"{name}"'
        for name, zeek_type in CONN.items()
    )
    connection = duckdb.connect(config={"threads": threads})
    return connection.sql(f"SELECT {wanted} FROM {source}").to_arrow_table()


def _duckdb_columns() -> str:
    types = {"time": "DOUBLE", "interval": "DOUBLE", "count": "BIGINT", "port": "BIGINT", "bool": "BOOLEAN"}
    return ", ".join(f"'{name}': '{types.get(zeek_type, 'VARCHAR')}'" for name, zeek_type in CONN.items())


def read_duckdb_tsv(paths: Sequence[str], threads: int) -> Any:
    """Read the tab-separated log with DuckDB."""
    options = "delim='\t', header=false, comment='#', nullstr='-', quote='', escape='', auto_detect=false"
    return _duckdb_query(f"read_csv({list(paths)}, {options}, columns={{{_duckdb_columns()}}})", threads)


def read_duckdb_json(paths: Sequence[str], threads: int) -> Any:
    """Read the JSON lines with DuckDB."""
    options = "format='newline_delimited'"
    return _duckdb_query(f"read_json({list(paths)}, {options}, columns={{{_duckdb_columns()}}})", threads)


def _pandas_typed(frame: Any) -> Any:
    import pandas as pd

    for name, zeek_type in CONN.items():
        if zeek_type == "time":
            frame[name] = pd.to_datetime((frame[name] * 1e6).round().astype("int64"), unit="us", utc=True)
    return frame


def read_pandas_tsv(paths: Sequence[str], threads: int) -> Any:
    """Read the tab-separated log with pandas."""
    import pandas as pd

    types = {"time": "float64", "interval": "float64", "count": "Int64", "port": "Int64", "bool": "boolean"}
    frames = [
        pd.read_csv(
            path,
            sep="\t",
            comment="#",
            header=None,
            names=list(CONN),
            dtype={name: types.get(zeek_type, "str") for name, zeek_type in CONN.items()},
            na_values=["-"],
            keep_default_na=False,
            true_values=["T"],
            false_values=["F"],
            quoting=3,
        )
        for path in paths
    ]
    return _pandas_typed(pd.concat(frames, ignore_index=True))


def read_pandas_json(paths: Sequence[str], threads: int) -> Any:
    """Read the JSON lines with pandas."""
    import pandas as pd

    frames = [pd.read_json(path, lines=True, dtype=False) for path in paths]
    return _pandas_typed(pd.concat(frames, ignore_index=True).reindex(columns=list(CONN)))


def read_dictionaries(paths: Sequence[str], threads: int, *, library: str) -> Any:
    """Read JSON line by line with a library's ``loads``, and collect the columns."""
    loads = import_module(library).loads
    columns: dict[str, list[Any]] = {name: [] for name in CONN}
    for line in lines_of(paths):
        value = loads(line).get
        for name, column in columns.items():
            column.append(value(name))
    return _frame_of(columns)


@cache
def _msgspec_decoder() -> Any:
    msgspec = import_module("msgspec")
    types = {"time": float, "interval": float, "count": int, "port": int, "bool": bool}
    fields = [(name.replace(".", "_"), types.get(zeek_type, str) | None, None) for name, zeek_type in CONN.items()]
    names = {name.replace(".", "_"): name for name in CONN}
    return msgspec.json.Decoder(msgspec.defstruct("Connection", fields, rename=names, gc=False))


def read_msgspec(paths: Sequence[str], threads: int) -> Any:
    """Read JSON line by line with msgspec, which is told the types."""
    decode = _msgspec_decoder().decode
    columns: dict[str, list[Any]] = {name: [] for name in CONN}
    attributes = [(name.replace(".", "_"), column) for name, column in columns.items()]
    for line in lines_of(paths):
        connection = decode(line)
        for attribute, column in attributes:
            column.append(getattr(connection, attribute))
    return _frame_of(columns)


def _frame_of(columns: dict[str, list[Any]]) -> Any:
    import polars as pl

    return _with_times(pl.DataFrame(columns, schema=_polars_types(truth_values=True), strict=False))


def _write_tsv(path: Path, records: int) -> int:
    write_tsv(path, connections(records))
    return records


def _write_json(path: Path, records: int) -> int:
    write_json(path, connections(records))
    return records


NETSIEVE: Final = {
    OURS: Reader(partial(read_frame, columns=tuple(CONN))),
    "netsieve, derived columns too": Reader(read_frame, forms=("plain",)),
    BLOCK_BY_BLOCK: Reader(partial(count_records, columns=tuple(CONN))),
    "netsieve, six columns": Reader(partial(count_records, columns=FEW_COLUMNS), forms=("plain",), threads=(1,)),
}

TASKS: Final = {
    "zeek.tsv": Task(
        title="Zeek's conn log, tab-separated",
        records=TSV_RECORDS,
        unit="records",
        write=_write_tsv,
        suffix=".log",
        readers={
            **NETSIEVE,
            "pandas": Reader(read_pandas_tsv, "pandas", forms=PLAIN_AND_GZIP, threads=(1,)),
            "polars": Reader(read_polars_tsv, "polars"),
            "duckdb": Reader(read_duckdb_tsv, "duckdb"),
        },
        checked=CHECKED,
    ),
    "zeek.json": Task(
        title="Zeek's conn log, JSON lines",
        records=JSON_RECORDS,
        unit="records",
        write=_write_json,
        suffix=".json",
        readers={
            **NETSIEVE,
            "json": Reader(partial(read_dictionaries, library="json"), forms=("plain",), threads=(1,), most_rounds=2),
            "orjson": Reader(
                partial(read_dictionaries, library="orjson"), "orjson", forms=("plain",), threads=(1,), most_rounds=2
            ),
            "msgspec": Reader(read_msgspec, "msgspec", forms=("plain",), threads=(1,), most_rounds=2),
            "pandas": Reader(read_pandas_json, "pandas", forms=("plain",), threads=(1,), most_rounds=2),
            "polars": Reader(read_polars_json, "polars"),
            "duckdb": Reader(read_duckdb_json, "duckdb"),
        },
        checked=CHECKED,
        forms=("plain", "gzip"),
    ),
}
