"""JSON lines of any kind (NDJSON), and JSON arrays of objects: the columns are those of the file's first records.

Objects within a record are taken apart down to 8 levels: ``{"a": {"b": 1}}`` has the column ``a.b``. The columns are
those that are named (``ReadOptions.names``), whether a file has them or not, else all that occur in its first 4 MiB and
those that are declared (``ReadOptions.declared``); another member that first occurs later is not read.

A column's kind is the one that is asked for (``ColumnRequest.kinds``), else the declared one, else the narrowest that
fits its values in the first 4 MiB: integer, float, boolean, and text where they differ, for arrays, and where all are
null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from netsieve.engine.features.schema import ColumnKind
from netsieve.engine.sources.blocks import MAX_RECORD_BYTES
from netsieve.engine.sources.json_text import KIND_CODES, JsonColumns, JsonSource, JsonText, frame_of
from netsieve.engine.sources.source import BLOCK_BYTES, Block, ColumnRequest, ParsedBlock, ReadOptions

if TYPE_CHECKING:
    from netsieve.engine.sources.bytestream import ByteStream


class NdjsonSource(JsonSource):
    """A file of JSON lines.

    Parameters
    ----------
    stream
        The text, at its beginning.
    request
        Columns wanted and their kinds.
    names
        The columns of the file; None for those that its first records have.
    declared
        Columns beside those that are found, whether the file has them or not, and their kinds; one that turns out to
        be of truth values is read as such.
    block_bytes, max_record
        See :class:`netsieve.engine.sources.blocks.BlockCutter`.

    Raises
    ------
    SourceError
        The file is empty, or is no text.
    """

    record_type = "record"

    def __init__(
        self,
        stream: ByteStream,
        request: ColumnRequest,
        *,
        names: Sequence[str] | None = None,
        declared: Mapping[str, ColumnKind] | None = None,
        block_bytes: int = BLOCK_BYTES,
        max_record: int = MAX_RECORD_BYTES,
    ) -> None:
        self._text = JsonText(stream, block_bytes=block_bytes, max_record=max_record)
        (discovered,) = self._text.discovered
        declared = declared or {}
        self.columns = tuple(dict.fromkeys((*discovered, *declared) if names is None else names))
        found = discovered if request.infer else {}
        boolean = KIND_CODES["boolean"]
        told = {path: kind for path, kind in declared.items() if discovered.get(path) != boolean}
        asked = {path: KIND_CODES[kind] for path, kind in {**told, **request.kinds}.items()}
        codes = dict.fromkeys(self.columns, KIND_CODES["string"]) | found | asked
        kinds = {path: codes[path] for path in self.columns if request.wants(path)}
        self._columns = JsonColumns(kinds, frozenset(kinds) - frozenset(asked))

    def parse(self, block: Block) -> ParsedBlock:
        """Return a block's records as a frame; the rejected ones with what is wrong with them."""
        parsed = self._text.parse(block, self._columns)
        (rows,) = parsed.tables
        return ParsedBlock(
            frame=frame_of(rows.columns),
            record=rows.record,
            rejects=parsed.rejects,
            skipped=dict(block.skipped),
            source_file=block.source_file,
            bytes_read=block.bytes_read,
        )


def open_stream(stream: ByteStream, request: ColumnRequest, options: ReadOptions, block_bytes: int) -> NdjsonSource:
    """Return the stream as a source.

    Raises
    ------
    SourceError
        It is empty, or is no text.
    """
    return NdjsonSource(stream, request, names=options.names, declared=options.declared, block_bytes=block_bytes)
