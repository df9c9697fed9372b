"""From a data set to what is packed: its tokenizer, and its documents, on which side of the split each of them lies.

The library's own sources are split by file (corpus.py); ClimbMix has a pinned validation shard, and its documents stay
as they come; of the user's own files documents are held out by a hash of their text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.reference import cache, corpus, progress, tokenizer, tokens, vocabulary
from backends.reference.corpus import HELD_OUT_SHARE, BadInput, Documents, Source
from backends.reference.tokenizer import Tokenizer
from backends.reference.tokens import Tokens

if TYPE_CHECKING:
    from backends.reference.datasets import Dataset

# Held out for each token that is to be scored: packing crops some away, and its last rows cannot be filled.
SPARE = 1.25


@dataclass(frozen=True, slots=True)
class Split:
    """What rows are packed from; facts stand in their record, notes are for the user."""

    words: Tokenizer
    training: Documents
    validation: Documents
    facts: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def of_library(asked: Mapping[str, Any], sources: list[Source]) -> Split:
    """The interpreter's own sources, cut and encoded anew each time: they are few. Raises BadInput."""
    training, validation = corpus.split(sources)
    characters = sum(len(source.content) for source in sources)
    vocab_size, longest = asked["vocab_size"], asked["sequence_length"]
    progress.say(f"training the tokenizer: {vocab_size:,} entries from {characters / 1e6:.1f} MB of text")
    words = tokenizer.train((source.text for source in training), vocab_size)
    if words.vocab_size < vocab_size or not validation:
        raise vocabulary.too_small("stdlib", characters, vocab_size)
    progress.say("encoding")
    held_out = corpus.encode(validation, words, longest)
    documents = corpus.encode(training, words, longest, without=held_out)
    facts = {
        "text_fingerprint": corpus.fingerprint(sources),
        "validation_files": [source.path for source in validation],
    }
    return Split(words, documents, held_out, facts)


def of_files(asked: Mapping[str, Any], found: Dataset) -> Split:
    """A data set of files, tokenised file by file into the cache. Raises BadInput, OSError."""
    longest = asked["sequence_length"] if found.cut else None
    shards = (*found.training, *found.validation)
    training, validation = (tokens.groups(side, found.cut) for side in (found.training, found.validation))
    with cache.writing(cache.place("tokenizers"), 16 * asked["vocab_size"], "tokenizer"):
        words = vocabulary.tokenizer_for(found, asked["vocab_size"])
    missing = tokens.missing([*training, *validation], words, longest)
    needed_bytes = tokens.bytes_needed(missing, words, longest)
    cache.require_space(cache.place("tokens"), needed_bytes, "tokens")
    if missing:
        progress.say(f"tokenising {sum(map(len, missing)):,} files of {found.name} on {tokenizer.cores()} cores")
    with cache.writing(cache.place("tokens"), needed_bytes, "tokens"):
        parts = [tokens.tokenise(found.name, group, words, longest) for group in (*training, *validation)]
    digests = "".join(shard.key for shard in shards)
    facts = {"text_fingerprint": hashlib.sha256(digests.encode()).hexdigest(), "files_of_text": len(shards)}
    if found.validation:
        sides = parts[: len(training)], parts[len(training) :]
        return Split(words, as_they_come(sides[0]), as_they_come(sides[1]), facts, found.notes)
    wanted = int(SPARE * (asked["eval_tokens"] // longest + 1) * (longest + 1)) if longest else asked["eval_tokens"]
    documents, held_out, notes = by_hash(found.name, parts, wanted)
    return Split(words, documents, held_out, facts, (*found.notes, *notes))


def as_they_come(parts: Sequence[Tokens]) -> Documents:
    """Every document of these files, in their order and in the batches in which they were read."""
    lengths = np.concatenate([part.lengths for part in parts])
    batches = np.concatenate([part.batches for part in parts])
    return Documents([part.tokens for part in parts], np.cumsum(lengths) - lengths, lengths, batches)


def by_hash(name: str, parts: Sequence[Tokens], wanted_tokens: int) -> tuple[Documents, Documents, list[str]]:
    """Training and validation documents, each in the order of their hash, none of them twice; and notes.

    Held out are whole texts in the order of their hash, about `wanted_tokens` of them but at most a tenth, so that
    equal texts fall on the same side; of the pieces that texts on both sides have in common none comes back.
    Raises BadInput where nothing can be held out.
    """
    lengths = np.concatenate([part.lengths for part in parts])  # [D]
    texts = np.concatenate([part.texts for part in parts])
    pieces = np.concatenate([part.pieces for part in parts])
    starts = np.cumsum(lengths) - lengths
    order = np.lexsort((texts, pieces))  # a piece that several texts have in common goes with the first of their hashes
    first = order[np.diff(pieces[order], prepend=~pieces[order[:1]]) != 0]  # [U], in the order of the pieces' hashes
    of_texts, which = np.unique(texts[first], return_inverse=True)  # [t], [U]
    sizes = np.bincount(which, weights=lengths[first], minlength=len(of_texts)).astype(np.int64)
    limit = min(wanted_tokens, int(HELD_OUT_SHARE * sizes.sum()))
    fits = np.flatnonzero(sizes <= limit)
    held_out = np.zeros(len(of_texts), bool)
    held_out[fits[np.cumsum(sizes[fits]) <= limit]] = True
    if not held_out.any():
        raise BadInput(
            f"{name}: {len(of_texts):,} documents are too few, or too long, to hold out a tenth of the text; "
            "split them, or add more"
        )
    apart = held_out[which]  # [U]
    repeated = 1 - sizes.sum() / max(lengths.sum(), 1)
    notes = [f"{100 * repeated:.1f} % of {name} is repeated and was left out"] if repeated >= 0.001 else []
    arrays = [part.tokens for part in parts]
    sides = (Documents(arrays, starts[chosen], lengths[chosen]) for chosen in (first[~apart], first[apart]))
    return next(sides), next(sides), notes
