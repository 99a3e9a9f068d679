"""DNS events of Suricata 8 (version 3 of their format) in the columns of the versions before.

Their queries stand in an array, and requests and responses are called so, where they were ``query`` and ``answer``.
The first query is nearly always the only one. Suricata's user guide, "DNS logging changes in 8.0".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from netsieve.kernels import _native

QUERIES: Final = "dns.queries"
"""Text column: the JSON of the array; missing in events of versions 1 and 2."""
OF_FIRST_QUERY: Final = {"dns.rrname": "$[0].rrname", "dns.rrtype": "$[0].rrtype"}
"""Columns that are found in the array, with their places."""
FORMER_TYPES: Final = {"request": "query", "response": "answer"}
TYPE: Final = "dns.type"
QUERY_COUNT: Final = (
    pl.when(pl.col(QUERIES).is_not_null())
    .then(pl.col(QUERIES).str.count_matches('"rrname":', literal=True))
    .when(pl.col("dns.rrname").is_not_null())
    .then(1)
    .cast(pl.Int64)
)
"""Queries of an event; events of former versions have one."""


def former_columns(read: Mapping[str, _native.Column]) -> dict[str, pl.Series]:
    """Return the columns of DNS events that former versions write otherwise, as they wrote them.

    Parameters
    ----------
    read
        Columns of the events, :data:`QUERIES` among them. Those that differ nowhere are not returned.
    """
    queries = pl.Series(read[QUERIES])
    if queries.null_count() == len(queries):
        return {}
    present = [name for name in (*OF_FIRST_QUERY, TYPE) if name in read]
    frame = pl.DataFrame([queries.alias(QUERIES), *(pl.Series(read[name]).alias(name) for name in present)])
    former = [
        pl.coalesce(pl.col(name), pl.col(QUERIES).str.json_path_match(place)).alias(name)
        for name, place in OF_FIRST_QUERY.items()
        if name in read
    ]
    if TYPE in read:
        renamed = pl.col(TYPE).replace(FORMER_TYPES)
        former.append(pl.when(pl.col(QUERIES).is_not_null()).then(renamed).otherwise(pl.col(TYPE)).alias(TYPE))
    return {column.name: column for column in frame.select(former)}
