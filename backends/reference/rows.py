"""Packed rows: documents laid end to end into rows of T + 1 tokens, once, before anything is trained.

Best-fit packing by the original's algorithm: a buffer of 1,000 documents, refilled in batches of 128 while it holds
fewer, before every placement; then the longest document that fits the space left, the first of equals; if none fits,
the shortest, the first of equals, cropped to fill it, its rest thrown away. Removal keeps the order. No padding.

Where the text ends the buffer runs empty and packing with it: a set of rows is at most one pass over its text. Whoever
wants more reads the rows again from the first, so that no document comes back before all others were used.
"""

from __future__ import annotations

import os
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.reference import cache, progress
from backends.reference.corpus import BadInput, Documents

if TYPE_CHECKING:  # packing needs neither tokenizers nor readers
    from backends.reference.splits import Split

BUFFER = 1000
REFILL = 128
_CHUNK_ROWS = 4096  # how many rows are gathered before they are written


@dataclass(frozen=True, slots=True)
class Packing:
    """Which documents lie in the rows, in the order of their places, and how many tokens of each: both int64 [P]."""

    documents: np.ndarray
    taken: np.ndarray
    row_length: int

    @property
    def rows(self) -> int:
        return int(self.taken.sum()) // self.row_length

    def first(self, rows: int) -> Packing:
        """The same, cut down to its first rows."""
        places = int(np.searchsorted(np.cumsum(self.taken), rows * self.row_length, side="right"))
        return Packing(self.documents[:places], self.taken[:places], self.row_length)


def batches(lengths: Sequence[int], sizes: Iterable[int] | None = None) -> Iterator[Sequence[int]]:
    """Lengths in the batches in which the buffer is refilled: 128 each, or of these sizes."""
    if sizes is None:
        yield from (lengths[i : i + REFILL] for i in range(0, len(lengths), REFILL))
        return
    start = 0
    for size in sizes:
        yield lengths[start : start + size]
        start += size


def pack(lengths: Iterable[Sequence[int]], row_length: int, rows: int | None = None) -> Packing:
    """Pack documents of these lengths (BOS included), batch by batch, into at most `rows` full rows.

    Equal to the literal algorithm place by place: within one length the buffer is a queue, so the first of equals is
    the head of its queue, and a bisection over the lengths present replaces the search. A row that the documents
    cannot fill is left out.
    """
    source = iter(lengths)
    queues: dict[int, deque[int]] = {}
    present: list[int] = []  # the lengths that some buffered document has, ascending
    documents: list[int] = []
    taken: list[int] = []
    arrived = held = full = 0
    space = row_length
    while full != rows:
        while held < BUFFER and (batch := next(source, None)) is not None:
            for length in batch:
                queue = queues.setdefault(length, deque())
                if not queue:
                    insort(present, length)
                queue.append(arrived)
                arrived += 1
            held += len(batch)
        if not held:
            break
        i = max(bisect_right(present, space) - 1, 0)  # none fits: the shortest
        length = present[i]
        documents.append(queues[length].popleft())
        if not queues[length]:
            del present[i]
        held -= 1
        taken.append(min(length, space))
        space -= taken[-1]
        if not space:
            space, full = row_length, full + 1
    packing = Packing(np.array(documents, np.int64), np.array(taken, np.int64), row_length)
    return packing.first(full)


def pack_documents(documents: Documents, row_length: int, rows: int | None = None) -> Packing:
    """Pack documents in the batches in which they were read."""
    sizes = None if documents.batches is None else documents.batches.tolist()
    return pack(batches(documents.lengths.tolist(), sizes), row_length, rows)


def gather(documents: Documents, packing: Packing) -> Iterator[np.ndarray]:
    """The rows' tokens, some thousand rows at a time: uint16 [n, row_length]."""
    bounds = np.cumsum(packing.taken)
    place = 0
    for row in range(0, packing.rows, _CHUNK_ROWS):
        last = int(np.searchsorted(bounds, min(row + _CHUNK_ROWS, packing.rows) * packing.row_length, side="right"))
        tokens = documents.firsts(packing.documents[place:last], packing.taken[place:last])
        yield tokens.reshape(-1, packing.row_length)
        place = last


def write(path: Path, documents: Documents, packing: Packing) -> None:
    """Write the rows as `.npy`, uint16 [N, T + 1] in C order, complete under its name or not at all; fsynced.

    Written through a file, not a memory map, for there a full disk would be a SIGBUS. Raises OSError.
    """
    header = {"descr": "<u2", "fortran_order": False, "shape": (packing.rows, packing.row_length)}
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file, progress.counted(f"writing {path.name}", packing.rows, "rows") as count:
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in gather(documents, packing):
            file.write(np.ascontiguousarray(chunk, "<u2").data)
            count(len(chunk))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def build(folder: Path, asked: Mapping[str, Any], split: Split) -> dict[str, Any]:
    """Tokenizer, token bytes and both sets of rows into `folder`; returns their record. Raises BadInput, OSError.

    asked: resolved settings. The record's settings say how many validation tokens there really are.
    """
    length, words = asked["sequence_length"], split.words
    documents, held_out = split.training, split.validation
    count = len(documents.lengths) + len(held_out.lengths)
    progress.say(f"packing {count:,} documents into rows of {length + 1:,} tokens")
    packing = pack_documents(documents, length + 1)
    wanted = asked["eval_tokens"] // length
    scored = whole_batches(pack_documents(held_out, length + 1, wanted), asked["eval_batch_rows"])
    if not packing.rows or not scored.rows:
        mend = "lower sequence_length" + ("" if asked["dataset"] == "stdlib" else ", or add text")
        raise BadInput(f"{asked['dataset']}: the text is too small for one validation row of {length:,} tokens; {mend}")
    needed_bytes = (packing.rows + scored.rows) * (length + 1) * 2
    cache.require_space(folder.parent, needed_bytes, "rows")
    with cache.writing(folder.parent, needed_bytes, "rows"):
        write(folder / "train.npy", documents, packing)
        write(folder / "validation.npy", held_out, scored)
        (folder / "tokenizer.txt").write_text(words.dumps(), encoding="ascii")
        np.save(folder / "token_bytes.npy", words.token_bytes)
        np.save(folder / "token_bytes_upstream.npy", words.token_bytes_upstream)
    short = (
        f"validation: {scored.rows:,} rows of {length:,} tokens, not {wanted:,}: {asked['dataset']} holds out no more"
    )
    resolved = {"eval_tokens": scored.rows * length, "eval_batch_rows": min(asked["eval_batch_rows"], scored.rows)}
    named = {name: asked[name] for name in ("dataset", "shards", "sequence_length", "vocab_size") if name in asked}
    return {
        "settings": {**named, **resolved},
        "notes": [*split.notes, *([short] if scored.rows < wanted else [])],
        "train_row_count": packing.rows,
        "validation_row_count": scored.rows,
        "train_document_count": len(documents.lengths),
        "train_token_count": int(documents.lengths.sum()),  # before packing, which crops some away
        "validation_document_count": len(held_out.lengths),
        "bos": words.bos,
        **split.facts,
    }


def whole_batches(packing: Packing, batch_rows: int) -> Packing:
    """The packing down to a whole number of batches; left as it is where it does not fill one."""
    return packing.first(packing.rows - packing.rows % batch_rows) if packing.rows > batch_rows else packing
