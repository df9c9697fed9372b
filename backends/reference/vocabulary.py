"""The tokenizer of a data set of files: trained as the original does, and kept in the cache as text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backends.reference import cache, progress, tokenizer
from backends.reference.corpus import BadInput
from backends.reference.tokenizer import Tokenizer

if TYPE_CHECKING:
    from backends.reference.datasets import Dataset

FORMAT = 1  # raise it when the same text would give another tokenizer
# The original's: what the tokenizer is trained on at most, and of each document.
MOST_CHARACTERS, MOST_CHARACTERS_OF_ONE = 10**9, 10_000


def tokenizer_for(found: Dataset, vocab_size: int) -> Tokenizer:
    """The tokenizer trained on a data set's training files, as the original trains it; kept for the next time.

    It is the same for two data sets whose first files are the same, where these alone hold all that it reads. Where
    documents are held out by their hash, the tokenizer (and nothing else) has seen these too.
    Raises BadInput, OSError.
    """
    digests = [shard.key for shard in found.training]
    return _kept(digests, vocab_size) or _train(found, vocab_size)


def _kept(digests: list[str], vocab_size: int) -> Tokenizer | None:
    for path in sorted(cache.place("tokenizers").glob("*.json")):
        record = _tokenizer_record(path)
        if record and record["vocab_size"] == vocab_size:
            read: list[str] = record["read"]
            if read == digests or (record["enough"] and read == digests[: len(read)]):
                cache.used(path)
                return Tokenizer.loads(record["tokens"])
    return None


def _tokenizer_record(path: Path) -> dict[str, Any] | None:
    """What a tokenizer's file says; None if it is not whole, so that it is trained again."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="ascii"))
        whole = record["format"] == FORMAT and record["sha256"] == _sha256(record["tokens"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if whole else None


def _train(found: Dataset, vocab_size: int) -> Tokenizer:
    from backends.reference.readers import documents

    progress.say(f"training the tokenizer: {vocab_size:,} entries from the text of {found.name}")
    read: list[str] = []
    characters = 0

    def texts() -> Iterator[str]:
        nonlocal characters
        with progress.counted("training the tokenizer", None, "characters") as count:
            for shard in found.training:
                read.append(shard.key)
                for batch in documents(shard.path):
                    for text in batch:
                        characters += len(text[:MOST_CHARACTERS_OF_ONE])
                        yield text[:MOST_CHARACTERS_OF_ONE]
                        if characters >= MOST_CHARACTERS:
                            return
                    count(sum(min(len(text), MOST_CHARACTERS_OF_ONE) for text in batch))

    words = tokenizer.train(texts(), vocab_size)
    if words.vocab_size < vocab_size:
        raise too_small(found.name, characters, vocab_size)
    record = {
        "format": FORMAT,
        "dataset": found.name,
        "vocab_size": vocab_size,
        "read": read,
        "enough": characters >= MOST_CHARACTERS,
        "sha256": words.digest,
        "tokens": words.dumps(),
    }
    path = cache.place("tokenizers") / f"{cache.key([FORMAT, vocab_size, read, record['enough']])}.json"
    with cache.making(path):
        cache.write(path, json.dumps(record, indent=1).encode())
    return words


def too_small(name: str, characters: int, vocab_size: int) -> BadInput:
    """What to say of a text that does not fill its vocabulary."""
    mend = "use a Python with its whole standard library" if name == "stdlib" else "add text, or lower vocab_size"
    return BadInput(
        f"{name}: the text is too small or too uniform: {characters / 1e6:.3f} million characters for a vocabulary "
        f"of {vocab_size:,}; {mend}"
    )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
