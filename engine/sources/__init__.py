"""Log formats: bytes to record-aligned blocks to frames, one module a format.

:func:`open_source` and :func:`expand_inputs` are light; :mod:`netsieve.engine.sources.reading` has whole inputs as one
frame.
"""

from netsieve.engine.sources.formats import open_source
from netsieve.engine.sources.inputs import expand_inputs
from netsieve.engine.sources.source import Block, ColumnRequest, ParsedBlock, ReadOptions, Reject, Source

__all__ = ["Block", "ColumnRequest", "ParsedBlock", "ReadOptions", "Reject", "Source", "expand_inputs", "open_source"]
