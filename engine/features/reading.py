"""How the records of a model were read, as far as its features depend on it.

The direction of a flow depends on the home networks, and what a flow of a packet capture is on the timeouts that end
one. A model remembers them, and scoring reads alike unless it is told otherwise. So it remembers the columns that were
declared for JSON, which a file has whether they are found in its first records or not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from netsieve.engine.errors import SchemaError

SHORTEST_TIMEOUT: Final = 1e-6
LONGEST_TIMEOUT: Final = 1e6
MOST_FLOWS: Final = 2**30
DECLARED_KINDS: Final = ("float", "string")


def _is_networks(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(network, str) for network in value)


def _is_seconds(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return number and SHORTEST_TIMEOUT <= value <= LONGEST_TIMEOUT


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value <= MOST_FLOWS


def _is_declaration(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and kind in DECLARED_KINDS for name, kind in value.items()
    )


READING_KEYS: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    "home_networks": (_is_networks, "a list of networks like '10.0.0.0/8'"),
    "idle_timeout": (_is_seconds, f"a number of seconds from {SHORTEST_TIMEOUT:g} to {LONGEST_TIMEOUT:g}"),
    "active_timeout": (_is_seconds, f"a number of seconds from {SHORTEST_TIMEOUT:g} to {LONGEST_TIMEOUT:g}"),
    "most_flows": (_is_count, f"a whole number up to {MOST_FLOWS}"),
    "declared": (_is_declaration, f"a table of columns, each of the kind {' or '.join(DECLARED_KINDS)}"),
}
"""What may be declared, each with its check and what is expected. The names are those of
:class:`netsieve.engine.sources.source.ReadOptions`."""


def checked_reading(content: Any) -> dict[str, Any]:
    """Return the declaration of how records are read.

    Raises
    ------
    SchemaError
        It is no table, or has a key or value that is not known.
    """
    if not isinstance(content, Mapping):
        raise SchemaError(f"[reading] is {content!r}; a table is expected")
    for key, value in content.items():
        if key not in READING_KEYS:
            raise SchemaError(f"key {key!r} in [reading] is not known; it is one of {', '.join(READING_KEYS)}")
        is_valid, expected = READING_KEYS[key]
        if not is_valid(value):
            raise SchemaError(f"[reading] {key} is {value!r}; {expected} is expected")
    return {key: list(value) if isinstance(value, tuple) else value for key, value in content.items()}
