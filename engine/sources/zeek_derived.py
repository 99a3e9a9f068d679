"""Columns that are computed from a log's own, record by record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class DerivedColumn:
    """A derived column.

    Attributes
    ----------
    name
        Of the column; a field of the file of the same name takes its place.
    needs
        Fields that it is computed from; without all of them there is no such column.
    expression
        Over the fields' values.
    """

    name: str
    needs: frozenset[str]
    expression: pl.Expr


def derived_columns(path: str | None, home_networks: Sequence[str]) -> list[DerivedColumn]:
    """Return the derived columns of a log.

    Of ``conn``:

    - ``bytes_ratio``: share of the payload bytes that the originator sent, 0 to 1; missing where none are known.
    - ``mean_packet_size``: bytes of a packet, headers included, mean of both ways.
    - ``hour_of_day``: of ``ts``, UTC, 0 to 23.
    """
    if path != "conn":
        return []
    sent, received = pl.col("orig_bytes").cast(pl.Float64), pl.col("resp_bytes").cast(pl.Float64)
    total = sent + received
    packets = (pl.col("orig_pkts") + pl.col("resp_pkts")).cast(pl.Float64)
    ip_bytes = (pl.col("orig_ip_bytes") + pl.col("resp_ip_bytes")).cast(pl.Float64)
    return [
        _derived("bytes_ratio", pl.when(total > 0).then(sent / total)),
        _derived("mean_packet_size", pl.when(packets > 0).then(ip_bytes / packets)),
        _derived("hour_of_day", pl.col("ts").dt.hour().cast(pl.Int64)),
    ]


def _derived(name: str, expression: pl.Expr) -> DerivedColumn:
    return DerivedColumn(name, frozenset(expression.meta.root_names()), expression)
