"""The tokenizer: byte-pair encoding trained by rustbpe, used through tiktoken, stored as text.

Its file holds one base64 token a line, in the order of the ids; the special tokens come after them and are not stored.
"""

from __future__ import annotations

import base64
import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import rustbpe
import tiktoken

SPECIAL_TOKENS = tuple(f"<|reserved_{i}|>" for i in range(4))  # the first is BOS
# GPT-4's pattern with at most two digits to a token, in place of three (FACTS: the original's)
SPLIT_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Tokenizer:
    """tokens: the bytes of every ordinary token, in the order of its id."""

    tokens: tuple[bytes, ...]

    @property
    def vocab_size(self) -> int:
        """V, special tokens included."""
        return len(self.tokens) + len(SPECIAL_TOKENS)

    @property
    def bos(self) -> int:
        """The id that stands before every document."""
        return len(self.tokens)

    @cached_property
    def encoding(self) -> tiktoken.Encoding:
        specials = {name: self.bos + i for i, name in enumerate(SPECIAL_TOKENS)}
        ranks = {token: i for i, token in enumerate(self.tokens)}
        return tiktoken.Encoding("autoresearch", pat_str=SPLIT_PATTERN, mergeable_ranks=ranks, special_tokens=specials)

    def encode_one(self, text: str) -> np.ndarray:
        """The ids of a text, uint16 [n]; no BOS, and the names of special tokens are text like any other.

        Threads may share it: the encoder lets other threads run.
        """
        return self.encoding.encode_to_numpy(text, disallowed_special=()).astype(np.uint16)

    def warm(self) -> None:
        """Build the encoder now, once: threads that all need it at the same time would each build one."""
        self.encode_one("")

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each text as encode_one gives them, on all cores."""
        self.warm()
        with ThreadPoolExecutor(cores()) as pool:
            return list(pool.map(self.encode_one, texts))

    @cached_property
    def token_bytes(self) -> np.ndarray:
        """Raw bytes of each token, int32 [V]; 0 for the special ones."""
        return np.array([len(token) for token in self.tokens] + [0] * len(SPECIAL_TOKENS), np.int32)

    @cached_property
    def token_bytes_upstream(self) -> np.ndarray:
        """Bytes of each token's *decoded text*, int32 [V]: a stray fragment of a character counts as U+FFFD, 3 bytes.

        The original's way of counting; kept for comparison.
        """
        sizes = [len(token.decode("utf-8", errors="replace").encode()) for token in self.tokens]
        return np.array(sizes + [0] * len(SPECIAL_TOKENS), np.int32)

    @cached_property
    def digest(self) -> str:
        """Hex sha256 of what is stored."""
        return hashlib.sha256(self.dumps().encode()).hexdigest()

    def dumps(self) -> str:
        return "".join(base64.b64encode(token).decode("ascii") + "\n" for token in self.tokens)

    @classmethod
    def loads(cls, text: str) -> Tokenizer:
        """Raises ValueError if a line is not base64 or a single byte has no token of its own."""
        tokens = tuple(base64.b64decode(line, validate=True) for line in text.splitlines())
        if len(set(tokens)) != len(tokens) or not {bytes([i]) for i in range(256)} <= set(tokens):
            raise ValueError("not a tokenizer: tokens repeat, or bytes are missing")
        return cls(tokens)


def train(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Learn merges until there are `vocab_size` tokens, special ones included; fewer if the text is too short."""
    bpe = rustbpe.Tokenizer()
    bpe.train_from_iterator(iter(texts), vocab_size - len(SPECIAL_TOKENS), pattern=SPLIT_PATTERN)
    ranks = {bytes(token): rank for token, rank in bpe.get_mergeable_ranks()}
    return Tokenizer(tuple(sorted(ranks, key=ranks.__getitem__)))


def cores() -> int:
    """How many threads may compute at once here."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
