"""Packing and gathering in tokens a second, beside the literal statement of it: `python bench/packing.py`.

Both keep the rows in memory and write nothing; what writing them to a file adds is the figure "with_writing". Seconds
are of processor time on one core, so that other programs here do not count; only writing, which waits for the disk, is
by the clock. "short" are documents of 50 tokens in rows of 257, as own text is cut into on a small machine.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from backends.reference import rows
from backends.reference.corpus import Documents

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "backends"))
from literal_packing import pack_literally

ROW_LENGTH, SHORT_ROW_LENGTH = 2049, 257
LITERAL_DOCUMENTS, DOCUMENTS, SHORT_DOCUMENTS = 15_000, 300_000, 600_000


def documents_of(count: int, median: int, files: int = 1) -> Documents:
    """Random tokens in documents of log-normal lengths (400: web pages, mean 650 tokens), in so many arrays."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(np.log(median), 1.0, count), 16, 100_000).astype(np.int64)
    tokens = rng.integers(0, 8188, int(lengths.sum()), dtype=np.uint16)
    starts = np.cumsum(lengths) - lengths
    return Documents(np.split(tokens, starts[count // files :: count // files][: files - 1]), starts, lengths)


def seconds_of(work: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> tuple[Any, float]:
    """What the work returns, and the shorter of two times that it took."""
    times = []
    for _ in range(2):
        started = clock()
        result = work()
        times.append(clock() - started)
    return result, min(times)


def gathered(documents: Documents, packing: rows.Packing) -> int:
    return sum(chunk.size for chunk in rows.gather(documents, packing))


def literally() -> float:
    """Tokens a second of the literal statement, whose rows ours must equal."""
    few = documents_of(LITERAL_DOCUMENTS, 400, files=3)
    tokens = np.concatenate(few.parts)
    texts = [tokens[a : a + n].tolist() for a, n in zip(few.starts.tolist(), few.lengths.tolist(), strict=True)]
    started = time.process_time()
    expected = np.array(pack_literally(rows.batches(texts), ROW_LENGTH), np.uint16)
    seconds = time.process_time() - started
    assert np.array_equal(np.concatenate([*rows.gather(few, rows.pack_documents(few, ROW_LENGTH))]), expected)
    return expected.size / seconds


def ours(documents: Documents, row_length: int) -> tuple[float, float, float]:
    """Tokens a second of packing, of gathering, and of both and writing."""
    packing, packed = seconds_of(lambda: rows.pack_documents(documents, row_length))
    tokens, collected = seconds_of(lambda: gathered(documents, packing))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.npy"
        _, written = seconds_of(lambda: rows.write(path, documents, packing), time.perf_counter)
    return tokens / packed, tokens / collected, tokens / (packed + written)


def main() -> None:
    """One line a figure, and all of them as one line of JSON at the end."""
    literal = literally()
    packed, collected, written = ours(documents_of(DOCUMENTS, 400, files=3), ROW_LENGTH)
    both = 1 / (1 / packed + 1 / collected)
    short_packed, short_collected, _ = ours(documents_of(SHORT_DOCUMENTS, 50), SHORT_ROW_LENGTH)
    figures = {
        "literal_tokens_per_second": literal,
        "packing_tokens_per_second": packed,
        "gathering_tokens_per_second": collected,
        "both_tokens_per_second": both,
        "times_as_fast": both / literal,
        "with_writing_tokens_per_second": written,
        "short_both_tokens_per_second": 1 / (1 / short_packed + 1 / short_collected),
    }
    for name, figure in figures.items():
        print(f"{name:34} {figure:16,.0f}")
    print(json.dumps({name: round(figure) for name, figure in figures.items()}))


if __name__ == "__main__":
    main()
