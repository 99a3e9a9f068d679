"""The feature schemas that known record types bring along."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from netsieve.engine.sources.formats import FORMATS


def ready_schema(record_type: str) -> Mapping[str, Any] | None:
    """Return what a record type declares about its columns, as the content of a schema file; None where nothing.

    The modules of formats hold them as ``READY_SCHEMAS``, by record type. Columns that a file may lack are among
    those declared.
    """
    for form in FORMATS.values():
        schemas: Mapping[str, Mapping[str, Any]] = getattr(import_module(form.module), "READY_SCHEMAS", {})
        if record_type in schemas:
            return schemas[record_type]
    return None
