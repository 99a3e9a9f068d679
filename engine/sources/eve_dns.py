"""DNS events of Suricata 8 (version 3 of their format) in the columns of the versions before.

Their queries stand in an array, and requests and responses are called so, where they were ``query`` and ``answer``.
The first query is nearly always the only one. Suricata's user guide, "DNS logging changes in 8.0".
"""

from __future__ import annotations

from typing import Final

import polars as pl

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


def with_former_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """Return DNS events as the former versions write them.

    Parameters
    ----------
    frame
        Events with :data:`QUERIES`, and with any of the columns that are found there.
    """
    queries = frame.get_column(QUERIES)
    if queries.null_count() == frame.height:
        return frame
    found = [
        pl.coalesce(pl.col(name), pl.col(QUERIES).str.json_path_match(place)).alias(name)
        for name, place in OF_FIRST_QUERY.items()
        if name in frame.columns
    ]
    if TYPE in frame.columns:
        former = pl.col(TYPE).replace(FORMER_TYPES)
        found.append(pl.when(pl.col(QUERIES).is_not_null()).then(former).otherwise(pl.col(TYPE)).alias(TYPE))
    return frame.with_columns(found)
