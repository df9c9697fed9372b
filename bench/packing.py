"""Packing and gathering in tokens a second, beside the literal statement of it: `python bench/packing.py`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from backends.reference import rows
from backends.reference.corpus import Documents

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "backends"))
from literal_packing import pack_literally

ROW_LENGTH = 2049
LITERAL_DOCUMENTS = 15_000
DOCUMENTS = 300_000


def web_documents(count: int) -> Documents:
    """Random tokens in documents as long as web pages are: log-normal, median 400, mean 650 tokens."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(np.log(400), 1.0, count), 16, 100_000).astype(np.int64)
    tokens = rng.integers(0, 8188, int(lengths.sum()), dtype=np.uint16)
    return Documents(tokens, np.cumsum(lengths) - lengths, lengths)


def main() -> None:
    """One line a figure, and all of them as one line of JSON at the end."""
    few = web_documents(LITERAL_DOCUMENTS)
    texts = [few.tokens[a : a + n].tolist() for a, n in zip(few.starts.tolist(), few.lengths.tolist(), strict=True)]
    started = time.perf_counter()
    expected = np.array(pack_literally(rows.batches(texts), ROW_LENGTH), np.uint16)
    literal = expected.size / (time.perf_counter() - started)
    packing = rows.pack(rows.batches(few.lengths.tolist()), ROW_LENGTH)
    assert np.array_equal(np.concatenate(list(rows.gather(few, packing))), expected)

    documents = web_documents(DOCUMENTS)
    lengths = documents.lengths.tolist()
    started = time.perf_counter()
    packing = rows.pack(rows.batches(lengths), ROW_LENGTH)
    packed = packing.rows * ROW_LENGTH / (time.perf_counter() - started)
    started = time.perf_counter()
    gathered = sum(chunk.size for chunk in rows.gather(documents, packing)) / (time.perf_counter() - started)
    both = 1 / (1 / packed + 1 / gathered)

    figures = {
        "literal_tokens_per_second": literal,
        "packing_tokens_per_second": packed,
        "gathering_tokens_per_second": gathered,
        "both_tokens_per_second": both,
        "times_as_fast": both / literal,
    }
    for name, figure in figures.items():
        print(f"{name:28} {figure:16,.0f}")
    print(json.dumps({name: round(figure) for name, figure in figures.items()}))


if __name__ == "__main__":
    main()
