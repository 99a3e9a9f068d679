"""A ready declaration of a known record type, under what a person declares."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from netsieve.engine.features.schema_file import SchemaDeclaration, schema_declaration


def overrides_with_ready(
    ready: Mapping[str, Any] | None,
    asked: Mapping[str, Any] | None,
    columns: Collection[str],
    *,
    record_type: str,
    features: Sequence[str] = (),
    ignore: Sequence[str] = (),
    label: str | None = None,
) -> dict[str, Any]:
    """Return the content of a schema file that holds a ready declaration where a person declares nothing else.

    Parameters
    ----------
    ready
        What the record type declares; None where it declares nothing.
    asked
        What a schema file declares.
    columns
        Columns that the data has: a ready declaration of others is left out.
    record_type
        Of the data; the schema file's own goes before.
    features, ignore, label
        As for :func:`netsieve.engine.features.inference.infer_schema`. Features that are asked for replace the
        ready ones.

    Raises
    ------
    SchemaError
        A declaration is malformed.
    """
    merged: dict[str, Any] = dict(asked or {})
    merged.setdefault("record_type", record_type)
    if ready is None:
        return merged
    declared = schema_declaration(asked or {})
    chosen = {*declared.features, *features}
    left_out = {*_ignored(declared), *ignore, *([] if label is None else [label])}
    merged["columns"] = {
        **{
            name: entry
            for name, entry in ready.get("columns", {}).items()
            if name in columns and name not in left_out and not (name in chosen and entry.get("kind") == "ignored")
        },
        **merged.get("columns", {}),
    }
    if not chosen:
        wanted = [name for name in ready.get("features", []) if name in columns and name not in left_out]
        # What a person declares to be a feature is one beside the ready ones
        added = [name for name, column in declared.columns.items() if column.kind != "ignored" and name not in left_out]
        merged["features"] = list(dict.fromkeys([*wanted, *(added if wanted else [])]))
    unwanted = [name for name in ready.get("ignore", []) if name in columns and name not in {*chosen, *left_out}]
    merged["ignore"] = [*merged.get("ignore", []), *unwanted]
    return merged


def _ignored(declared: SchemaDeclaration) -> list[str]:
    return [*declared.ignore, *(name for name, column in declared.columns.items() if column.kind == "ignored")]
