"""Documents out of files: parquet with a column `text`, JSON lines with a `text`, and plain text; each may be huge.

for batch in documents(path):    # at most 128 documents at a time, in the file's order
    ...

What cannot be read raises BadInput with the file, the place in it, and the mend. Memory stays bounded by a row group's
pages, a line, or a piece of text, whatever the size of the file.
"""

from __future__ import annotations

import codecs
import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow
import pyarrow.parquet

from backends.reference.corpus import BadInput

BATCH_DOCUMENTS = 128
ENDINGS = (".parquet", ".jsonl", ".jsonl.gz", ".txt", ".txt.gz")
LONGEST_LINE_BYTES = 64 * 2**20
# Plain text is split into documents of this many characters; a file no longer than the most is one document.
LEAST_CHARACTERS, MOST_CHARACTERS = 2_000, 8_000

_BLOCK_BYTES = 2**18
_BLANK_LINE = re.compile(r"\n\s*\n")


def readable(name: str) -> bool:
    """Whether a file of this name is one that `documents` knows how to read."""
    return name.lower().endswith(ENDINGS)


def documents(path: Path) -> Iterator[list[str]]:
    """A file's documents in their order, in batches of at most 128 that never cross a parquet row group.

    Only the last batch of a file or row group has fewer than 128. Raises BadInput.
    """
    name = path.name.lower()
    try:
        if name.endswith(".parquet"):
            yield from _parquet(path)
        elif name.endswith((".jsonl", ".jsonl.gz")):
            yield from _batches(_json_lines(path))
        else:
            yield from _batches(_plain(path))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(f"{path}: not a whole gzip file: {error}; copy or compress it again") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror or error}") from None


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    source = iter(texts)
    while batch := list(islice(source, BATCH_DOCUMENTS)):
        yield batch


# --- parquet ---------------------------------------------------------------------------------------------------------


def check_parquet(path: Path) -> None:
    """Raises BadInput if a file's footer does not open or its column `text` does not hold strings; reads no text."""
    _open_parquet(path).close()


def _open_parquet(path: Path) -> Any:
    try:
        file = pyarrow.parquet.ParquetFile(path, buffer_size=_BLOCK_BYTES, pre_buffer=False)
    except (pyarrow.ArrowException, OSError) as error:
        raise BadInput(f"{path}: not a whole parquet file ({_short(error)}); copy or write it again") from None
    schema = file.schema_arrow
    if schema.get_field_index("text") < 0:
        file.close()
        columns = ", ".join(schema.names[:8]) or "none"
        raise BadInput(f"{path}: no column `text` (columns: {columns}); rename the one that holds the documents")
    kind = schema.field("text").type
    kind = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
    if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind) or pyarrow.types.is_string_view(kind)):
        file.close()
        raise BadInput(f"{path}: column `text` holds {kind}, not strings; write it as a column of strings")
    return file


def _parquet(path: Path) -> Iterator[list[str]]:
    file = _open_parquet(path)
    with file:
        first = 0  # the row at which the row group starts
        for group in range(file.num_row_groups):
            yield from _batches(_row_group(path, file, group, first))
            first += file.metadata.row_group(group).num_rows


def _row_group(path: Path, file: Any, group: int, first: int) -> Iterator[str]:
    row = first
    try:
        for batch in file.iter_batches(BATCH_DOCUMENTS, row_groups=[group], columns=["text"]):
            for text in batch.column(0).to_pylist():
                if text is None:
                    raise BadInput(f"{path}: row {row:,} (from 0) has no text; leave such rows out")
                yield text
                row += 1
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: near row {row:,}: not UTF-8 ({error.reason}); write the text as UTF-8") from None
    except (pyarrow.ArrowException, OSError) as error:
        why = f"corrupt in row group {group} ({_short(error)})"
        raise BadInput(f"{path}: {why}; delete it and fetch or write it again") from None


def _short(error: BaseException) -> str:
    """The first line of what a library says, no longer than a line of a terminal."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


# --- JSON lines ------------------------------------------------------------------------------------------------------


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.name.lower().endswith(".gz") else path.open("rb")


def _json_lines(path: Path) -> Iterator[str]:
    with _open(path) as file:
        offset, number = 0, 0
        while line := file.readline(LONGEST_LINE_BYTES + 1):
            number += 1
            if len(line) > LONGEST_LINE_BYTES:
                most = LONGEST_LINE_BYTES // 2**20
                raise BadInput(f"{path}: line {number:,} is longer than {most} MiB; split that document")
            if number == 1 and line.startswith(codecs.BOM_UTF8):
                line, offset = line[3:], 3
            if not line.isspace():
                yield _text_of(path, line, number, offset)
            offset += len(line)


def _text_of(path: Path, line: bytes, number: int, offset: int) -> str:
    where = f"{path}: line {number:,}"
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _not_utf8(path, offset + error.start, f"line {number:,}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: not JSON ({_short(error)}); mend or delete that line") from None
    text = value.get("text") if isinstance(value, dict) else None
    if not isinstance(text, str):
        raise BadInput(f'{where}: no text: each line must be an object with a string "text"; mend or delete it')
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadInput(f"{where}: half a surrogate pair (\\ud800 to \\udfff); mend or delete that line") from None
    return text


# --- plain text ------------------------------------------------------------------------------------------------------


def _plain(path: Path) -> Iterator[str]:
    """The text cut into documents, nothing left out but pieces of white space."""
    held = ""
    for text in _decoded(path):
        held, start = held + text, 0
        while len(held) - start > MOST_CHARACTERS:
            end = _end_of_document(held, start)
            if not held[start:end].isspace():
                yield held[start:end]
            start = end
        held = held[start:]
    if held.strip():
        yield held


def _end_of_document(text: str, start: int) -> int:
    """Where the document ends that starts here: the MOST_CHARACTERS from here on, which must be there, decide alone."""
    least, most = start + LEAST_CHARACTERS, start + MOST_CHARACTERS
    if blank := _BLANK_LINE.search(text, least, most):
        return blank.end()
    for mark in ("\n", " "):
        if (place := text.rfind(mark, least, most)) >= 0:
            return place + 1
    return most


def _decoded(path: Path) -> Iterator[str]:
    """The file's text, block by block, without a byte order mark."""
    with _open(path) as file:
        pending, position = file.read(_BLOCK_BYTES), 0
        if pending.startswith(codecs.BOM_UTF8):
            pending, position = pending[3:], 3
        block = pending
        while block:
            try:
                text, used = codecs.utf_8_decode(pending, "strict", False)
            except UnicodeDecodeError as error:
                raise _not_utf8(path, position + error.start) from None
            yield text
            block = file.read(_BLOCK_BYTES)
            pending, position = pending[used:] + block, position + used
        if pending:
            raise _not_utf8(path, position)  # the file ends within a character


def _not_utf8(path: Path, offset: int, where: str = "") -> BadInput:
    place = f"{where}, byte {offset:,}" if where else f"byte {offset:,}"
    return BadInput(f"{path}: {place}: not UTF-8; convert it: iconv -f ENCODING -t UTF-8")
