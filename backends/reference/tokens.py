"""Text, tokenised: each group of files once, on all cores, into a file of its own in the cache, which packing maps.

words = vocabulary.tokenizer_for(found, vocab_size)
for group in groups(found.training, found.cut):         # a shard by itself; small files together
    one = tokenise(found.name, group, words, longest)

The key of a group's tokens is a hash of its files' bytes, the tokenizer, and the length at which documents are cut. A
kill at any moment costs the group under way.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.reference import cache, corpus, progress, tokenizer
from backends.reference.tokenizer import Tokenizer

if TYPE_CHECKING:  # the demo does without the readers' libraries
    from backends.reference.datasets import Shard

    Group = tuple[Shard, ...]

FORMAT = 1  # raise it when the same text would give other tokens
_GROUP_BYTES = 2**26  # of text: a folder may hold more small files than a process may map
_MOST_WAITING_CHARACTERS = 2**26  # texts that are read and not yet written: bounds memory


@dataclass(frozen=True, slots=True)
class Tokens:
    """The text of one group, tokenised. Each document is BOS first.

    tokens: uint16 [n], a memory map; lengths: int64 [D], laid end to end; batches: int64 [B], how many documents the
    files' reader gave at a time. Where documents were cut: texts and pieces, both uint64 [D], are hashes of the whole
    text that a piece was cut out of, and of the piece itself; else both are empty.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    batches: np.ndarray
    texts: np.ndarray
    pieces: np.ndarray


def groups(shards: Sequence[Shard], together: bool) -> list[Group]:
    """Files in their order, in groups to tokenise: each by itself, or `together` where they are small."""
    found: list[list[Shard]] = []
    held = 0
    for shard in shards:
        size = text_bytes(shard.path)
        if together and found and held + size <= _GROUP_BYTES:
            found[-1].append(shard)
            held += size
        else:
            found.append([shard])
            held = size
    return [tuple(group) for group in found]


def missing(some: Sequence[Group], words: Tokenizer, longest: int | None) -> list[Group]:
    """Those that are not tokenised yet."""
    paths = [tokens_path(group, words, longest) for group in some]
    return [g for g, p in zip(some, paths, strict=True) if not (p.is_file() and p.with_suffix(".npz").is_file())]


def bytes_needed(some: Sequence[Group], words: Tokenizer, longest: int | None) -> int:
    """About how much the tokens of these take at least, judged by their first documents. Raises BadInput."""
    from backends.reference.readers import documents

    texts = next(documents(some[0][0].path), []) if some else []
    encoded = _encode(words, longest, texts)
    taken = sum(array.nbytes for array in (encoded.tokens, encoded.lengths, encoded.texts, encoded.pieces))
    total_bytes = sum(text_bytes(shard.path) for group in some for shard in group)
    return int(0.9 * total_bytes * taken / max(sum(len(text.encode()) for text in texts), 1))


def tokens_path(group: Group, words: Tokenizer, longest: int | None) -> Path:
    key = cache.key([FORMAT, [shard.key for shard in group], words.digest, longest])
    return cache.place("tokens") / f"{key}.tokens"


def tokenise(name: str, group: Group, words: Tokenizer, longest: int | None) -> Tokens:
    """The tokens of one group of the data set `name`: as they lie in the cache and are unharmed, or made now.

    longest: documents are cut into pieces of at most so many tokens; None: they stay whole. Raises BadInput, OSError.
    """
    path = tokens_path(group, words, longest)
    with cache.making(path):
        if (whole := _load(path)) is None:
            facts = {"dataset": name, "files": len(group), "vocab_size": words.vocab_size, "longest": longest}
            _make(path, group, words, longest, facts | {"tokenizer": words.digest})
            whole = _load(path)
    if whole is None:
        raise OSError(None, "is not what was written a moment ago: is the disk sound?", str(path))
    return whole


def facts(index: Path) -> dict[str, Any] | None:
    """What the index (.npz) of a group's tokens says of it; None if it cannot be read."""
    arrays = _index(index)
    said: dict[str, Any] | None = json.loads(str(arrays["facts"])) if arrays else None
    return said


def _index(index: Path) -> dict[str, np.ndarray] | None:
    try:
        with index.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in ("facts", "lengths", "batches", "texts", "pieces")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _load(path: Path) -> Tokens | None:
    """Hashes the whole file, which packing is about to read anyway."""
    arrays = _index(path.with_suffix(".npz"))
    try:
        if not arrays or cache.digest(path) != json.loads(str(arrays["facts"]))["sha256"]:
            return None
        # A plain array over the map: slicing a memmap itself costs a microsecond more, each time.
        tokens = np.asarray(np.memmap(path, "<u2", "r")) if path.stat().st_size else np.zeros(0, np.uint16)
    except OSError:
        return None
    lengths, batches = (arrays[name].astype(np.int64) for name in ("lengths", "batches"))
    return Tokens(tokens, lengths, batches, arrays["texts"], arrays["pieces"])


def _make(path: Path, group: Group, words: Tokenizer, longest: int | None, facts: dict[str, Any]) -> None:
    partial = path.with_name(path.name + ".partial")
    for harmed in (path, path.with_suffix(".npz")):
        harmed.unlink(missing_ok=True)
    hashed = hashlib.sha256()
    columns: list[list[np.ndarray]] = [[], [], []]  # lengths, texts, pieces
    batches: list[int] = []
    total_bytes = sum(text_bytes(shard.path) for shard in group)
    what = f"tokenising {group[0].name}" + (f" and {len(group) - 1} more" if group[1:] else "")
    try:
        with partial.open("wb") as file, progress.counted(what, total_bytes, "B") as count:
            for batch, size in _encoded(group, words, longest):
                file.write(batch.tokens.data)
                hashed.update(batch.tokens.data)
                for column, array in zip(columns, (batch.lengths, batch.texts, batch.pieces), strict=True):
                    column.append(array)
                batches.append(len(batch.lengths))
                count(size)
            file.flush()
            os.fsync(file.fileno())
            facts |= {"sha256": hashed.hexdigest(), "tokens": file.tell() // 2, "documents": sum(batches)}
        lengths, texts, pieces = (np.concatenate(column) if column else np.zeros(0, np.uint64) for column in columns)
        index = io.BytesIO()
        said, sizes = np.array(json.dumps(facts)), np.array(batches, np.uint32)
        np.savez(index, facts=said, batches=sizes, lengths=lengths.astype(np.uint32), texts=texts, pieces=pieces)
        cache.write(path.with_suffix(".npz"), index.getvalue())  # first: should it not fit, nothing is left
        partial.replace(path)
        cache.sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _encoded(group: Group, words: Tokenizer, longest: int | None) -> Iterator[tuple[Tokens, int]]:
    """The batches of a group in their order, encoded on all cores, each with the size of its text."""
    from backends.reference.readers import documents

    words.warm()
    cores = tokenizer.cores()
    waiting: deque[tuple[Future[Tokens], int]] = deque()
    held = 0
    with ThreadPoolExecutor(cores) as pool:
        try:
            for texts in (texts for shard in group for texts in documents(shard.path)):
                size = sum(map(len, texts))
                waiting.append((pool.submit(_encode, words, longest, texts), size))
                held += size
                while len(waiting) > 2 * cores or held > _MOST_WAITING_CHARACTERS:
                    encoded, size = waiting.popleft()
                    held -= size
                    yield encoded.result(), size
            while waiting:
                encoded, size = waiting.popleft()
                yield encoded.result(), size
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _encode(words: Tokenizer, longest: int | None, texts: list[str]) -> Tokens:
    """One batch; runs in a thread, for the encoder lets other threads run."""
    encoded = [words.encode_one(text) for text in texts]
    if longest is None:
        lengths = np.array([len(ids) + 1 for ids in encoded], np.int64)
        tokens = np.full(int(lengths.sum()), words.bos, np.uint16)
        inside = np.ones(len(tokens), bool)
        inside[np.cumsum(lengths) - lengths] = False  # a place for each BOS
        tokens[inside] = np.concatenate(encoded) if encoded else np.zeros(0, np.uint16)
        return Tokens(tokens, lengths, *(np.zeros(0, np.uint64) for _ in range(3)))
    return _cut(words, longest, texts, encoded)


def _cut(words: Tokenizer, longest: int, texts: list[str], encoded: list[np.ndarray]) -> Tokens:
    parts: list[np.ndarray] = [np.zeros(0, np.uint16)]
    of_texts: list[int] = []
    bos = np.array([words.bos], np.uint16)
    for text, ids in zip(texts, encoded, strict=True):
        content = text.encode()
        firsts = [0]
        if len(ids) > longest:
            firsts = corpus.starts_of_documents(content, np.cumsum(words.token_bytes[ids]), longest)
        if len(ids):
            parts += [np.concatenate((bos, piece)) for piece in np.split(ids, firsts[1:])]
            of_texts += [_hash(content)] * len(firsts)
    pieces = np.array([_hash(piece.tobytes()) for piece in parts[1:]], np.uint64)
    lengths = np.array([len(piece) for piece in parts[1:]], np.int64)
    return Tokens(np.concatenate(parts), lengths, np.zeros(0, np.uint64), np.array(of_texts, np.uint64), pieces)


def text_bytes(path: Path) -> int:
    """About how many bytes of text a file holds: exact for plain files, a guess for packed ones."""
    size = path.stat().st_size
    return size * 4 if path.name.endswith(".gz") else size * 2 if path.name.endswith(".parquet") else size


def _hash(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
