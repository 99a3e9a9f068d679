"""Entries of a schema that declare what is made of several records: which kernel, which version, which values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from netsieve.engine.errors import SchemaError


def entry_values(
    content: Mapping[str, Any], kernel: str, version: int, known: Collection[str], *, made: str, what: str
) -> dict[str, Any]:
    """Return the values of an entry, without kernel and version.

    Parameters
    ----------
    content
        The entry.
    kernel, version
        What this netsieve computes.
    known
        Names of the values that there may be.
    made, what
        What errors call it: what the schema has of the kernel, and the subject of a sentence.

    Raises
    ------
    SchemaError
        The entry is of another kernel or version, or has an unknown value.
    """
    other, its_version = content.get("kernel"), content.get("version")
    if other != kernel or its_version != version:
        raise SchemaError(
            f"the schema has {made} of the kernel {str(other)[:40]!r}, version {str(its_version)[:10]}, which this "
            "netsieve cannot compute; use a newer one"
        )
    values = {name: value for name, value in content.items() if name not in ("kernel", "version")}
    if unknown := sorted(set(values) - set(known)):
        raise SchemaError(f"{what} have the unknown key {unknown[0][:40]!r}; use a newer netsieve")
    return values
