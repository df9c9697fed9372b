"""The packing algorithm stated literally: lists and linear searches, slow and plain. What `rows.pack` must equal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def pack_literally(
    batches: Iterable[Sequence[Sequence[int]]], row_length: int, rows: int | None = None, buffer_size: int = 1000
) -> list[list[int]]:
    """Rows of `row_length` tokens from batches of documents; a last row that cannot be filled is left out."""
    source = iter(batches)
    buffer: list[Sequence[int]] = []
    packed: list[list[int]] = []
    while rows is None or len(packed) < rows:
        row: list[int] = []
        while len(row) < row_length:
            while len(buffer) < buffer_size:
                batch = next(source, None)
                if batch is None:
                    break
                buffer.extend(batch)
            if not buffer:
                return packed
            space = row_length - len(row)
            best, best_length = -1, 0
            for i, document in enumerate(buffer):
                if best_length < len(document) <= space:
                    best, best_length = i, len(document)
            if best < 0:
                best = min(range(len(buffer)), key=lambda i: len(buffer[i]))
            row.extend(buffer.pop(best)[:space])
        packed.append(row)
    return packed
