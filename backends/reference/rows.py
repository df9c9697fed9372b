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
from typing import Any

import numpy as np

from backends.reference import corpus, tokenizer
from backends.reference.corpus import BadInput, Documents, Source

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


def batches(lengths: Sequence[int]) -> Iterator[Sequence[int]]:
    """Lengths in the batches in which the buffer is refilled."""
    return (lengths[i : i + REFILL] for i in range(0, len(lengths), REFILL))


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


def gather(documents: Documents, packing: Packing) -> Iterator[np.ndarray]:
    """The rows' tokens, some thousand rows at a time: uint16 [n, row_length]."""
    bounds = np.cumsum(packing.taken)
    starts = documents.starts[packing.documents].tolist()
    taken = packing.taken.tolist()
    tokens = documents.tokens
    place = 0
    for row in range(0, packing.rows, _CHUNK_ROWS):
        last = int(np.searchsorted(bounds, min(row + _CHUNK_ROWS, packing.rows) * packing.row_length, side="right"))
        slices = zip(starts[place:last], taken[place:last], strict=True)
        yield np.concatenate([tokens[a : a + n] for a, n in slices]).reshape(-1, packing.row_length)
        place = last


def write(path: Path, documents: Documents, packing: Packing) -> None:
    """Write the rows as `.npy`, uint16 [N, T + 1] in C order, complete under its name or not at all; fsynced.

    Written through a file, not a memory map, for there a full disk would be a SIGBUS. Raises OSError.
    """
    header = {"descr": "<u2", "fortran_order": False, "shape": (packing.rows, packing.row_length)}
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in gather(documents, packing):
            file.write(np.ascontiguousarray(chunk, "<u2").data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def build(folder: Path, asked: Mapping[str, Any], sources: list[Source]) -> dict[str, Any]:
    """Tokenizer, token bytes and both sets of rows into `folder`; returns their record. Raises BadInput, OSError.

    asked: resolved settings. The record's settings say how many validation tokens there really are.
    """
    length, vocab_size = asked["sequence_length"], asked["vocab_size"]
    training, validation = corpus.split(sources)
    megabytes = sum(len(source.content) for source in sources) / 1e6
    _say(f"training the tokenizer: {vocab_size:,} entries from {megabytes:.1f} MB of text")
    words = tokenizer.train((source.text for source in training), vocab_size)
    if words.vocab_size < vocab_size or not validation:
        raise BadInput(
            f"the corpus is too small: {megabytes:.3f} MB for a vocabulary of {vocab_size:,}; "
            "use a Python with its whole standard library"
        )
    _say("encoding")
    held_out = corpus.encode(validation, words, length)
    documents = corpus.encode(training, words, length, without=held_out)
    _say(f"packing {len(documents.lengths) + len(held_out.lengths):,} documents into rows of {length + 1:,} tokens")
    packing = pack(batches(documents.lengths.tolist()), length + 1)
    wanted = asked["eval_tokens"] // length
    scored = whole_batches(pack(batches(held_out.lengths.tolist()), length + 1, wanted), asked["eval_batch_rows"])
    if not packing.rows or not scored.rows:
        raise BadInput(f"the corpus is too small for one validation row of {length:,} tokens; lower sequence_length")
    write(folder / "train.npy", documents, packing)
    write(folder / "validation.npy", held_out, scored)
    (folder / "tokenizer.txt").write_text(words.dumps(), encoding="ascii")
    np.save(folder / "token_bytes.npy", words.token_bytes)
    np.save(folder / "token_bytes_upstream.npy", words.token_bytes_upstream)
    short = (
        f"validation: {scored.rows:,} rows of {length:,} tokens, not {wanted:,}: {asked['dataset']} holds out no more"
    )
    resolved = {"eval_tokens": scored.rows * length, "eval_batch_rows": min(asked["eval_batch_rows"], scored.rows)}
    return {
        "settings": {"dataset": asked["dataset"], "sequence_length": length, "vocab_size": vocab_size, **resolved},
        "notes": [short] if scored.rows < wanted else [],
        "train_row_count": packing.rows,
        "validation_row_count": scored.rows,
        "train_document_count": len(documents.lengths),
        "train_token_count": int(documents.lengths.sum()),  # before packing, which crops some away
        "validation_document_count": len(held_out.lengths),
        "bos": words.bos,
        "text_fingerprint": corpus.fingerprint(sources),
        "validation_files": [source.path for source in validation],
    }


def whole_batches(packing: Packing, batch_rows: int) -> Packing:
    """The packing down to a whole number of batches; left as it is where it does not fill one."""
    return packing.first(packing.rows - packing.rows % batch_rows) if packing.rows > batch_rows else packing


def _say(line: str) -> None:
    print(line, flush=True)
