"""Tokenising a shard into the cache, in tokens a second a core, and what of that is ours: `python bench/tokenising.py`.

The text is the standard library's, in documents as long as web pages are. "encoder alone" encodes the same texts in the
same process and keeps nothing; the rest of the time is reading parquet, laying tokens out, hashing and writing them.
A core's second is a second of processor time, so other programs here do not count; the last figure is by the clock.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

from backends.reference import corpus, tokenizer, tokens
from backends.reference.datasets import Shard
from backends.reference.digests import sha256
from backends.reference.tokenizer import Tokenizer

VOCAB_SIZE = 8192
CHARACTERS = 40_000_000
ROUNDS = 3


def web_texts() -> list[str]:
    """About CHARACTERS of text in documents of log-normal length, median 1,600 characters, mean 2,600."""
    text = "".join(source.text for source in corpus.stdlib())
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(np.log(1600), 1.0, CHARACTERS // 2600), 60, 400_000).astype(int)
    places = rng.integers(0, len(text) - 400_000, len(lengths))
    return [text[a : a + n] for a, n in zip(places.tolist(), lengths.tolist(), strict=True)]


def tokenised(shard: Shard, words: Tokenizer) -> tuple[int, float, float]:
    """Tokenise a shard that is not in the cache yet: its tokens, seconds of processors, and seconds."""
    processors, started = time.process_time(), time.perf_counter()
    count = len(tokens.tokenise("bench", (shard,), words, None).tokens)
    took = time.process_time() - processors, time.perf_counter() - started
    tokens.tokens_path((shard,), words, None).with_suffix(".npz").unlink()
    return count, *took


def encoder_seconds(texts: list[str], words: Tokenizer) -> float:
    started = time.process_time()
    for text in texts:
        words.encode_one(text)
    return time.process_time() - started


def measure(folder: Path) -> dict[str, float]:
    """The figures, in the order in which they are printed; each the best of a few rounds."""
    os.environ["XDG_CACHE_HOME"] = str(folder)
    texts = web_texts()
    words = tokenizer.train((source.text for source in corpus.stdlib()), VOCAB_SIZE)
    path = folder / "shard.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), path, row_group_size=1024)
    shard = Shard(path.name, path, sha256(path))
    whole, alone, waited = [], [], []
    for _ in range(ROUNDS):
        count, seconds_of_processors, seconds = tokenised(shard, words)
        whole.append(seconds_of_processors)
        waited.append(seconds)
        alone.append(encoder_seconds(texts, words))
    return {
        "cores": tokenizer.cores(),
        "tokens": count,
        "bytes_per_token": sum(len(text.encode()) for text in texts) / count,
        "tokens_per_second_a_core": count / min(whole),
        "tokens_per_second_a_core_encoder_alone": count / min(alone),
        "share_ours_percent": 100 * (1 - min(alone) / min(whole)),
        "tokens_per_second_all_cores": count / min(waited),
    }


def main() -> None:
    """One line a figure, and all of them as one line of JSON at the end."""
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder))
    for name, figure in figures.items():
        print(f"{name:40} {figure:16,.1f}")
    print(json.dumps({name: round(figure, 2) for name, figure in figures.items()}))


if __name__ == "__main__":
    main()
