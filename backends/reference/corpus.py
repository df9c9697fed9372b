"""Text on every machine: the sources of the interpreter's own standard library, split and cut into documents.

sources = stdlib()                            # ~11 MB, in an order that does not depend on the file system
training, validation = split(sources)         # about a tenth held out
documents = encode(training, tokenizer, T)    # cut at definitions, encoded, shuffled by hash
"""

from __future__ import annotations

import hashlib
import os
import re
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # a warm prepare needs no tokenizer
    from backends.reference.tokenizer import Tokenizer

HELD_OUT_SHARE = 0.1
# Neighbours join while they stay under this share of the longest document. Joined to the full, documents come out
# nearly as long as a row, little fits the space they leave, and cropping loses 30 % of the text; so it loses 5 %.
JOIN = 0.25

# Tokens of a document, in the mean, from which a copy of each by itself is faster than an index of every token; and
# how many documents get such an index at a time, so that it stays in a core's cache.
_LONG, _AT_A_TIME = 128, 1024

# Folders and files that are not library source: tests, what others installed, byte code, data of one machine.
_LEFT_OUT = re.compile(
    r"(^|/)(tests?|idle_test|site-packages|dist-packages|__pycache__|lib-dynload|config-[^/]*|_bundled)/"
    r"|(^|/)(_sysconfigdata[^/]*|sitecustomize|usercustomize|test_[^/]*|_?phello[^/]*|bad[^/]*_syntax)\.py$"
)
# Tables printed by a program (the character maps of `encodings`): long, and nothing to learn from.
_GENERATED = re.compile(r"\b(gencodec|gencjkcodecs|genpath)\.py\b")

# Top-level modules that neither torch nor mlx nor numpy imports: only these may be held out, for what a training
# process must be able to import it can also read. A name that is not listed here, or not known yet, is trained on.
_NEVER_IMPORTED = """
    aifc antigravity asynchat asyncore cgi cgitb chunk crypt curses dbm ensurepip fileinput ftplib idlelib imaplib
    imghdr lib2to3 mailbox mailcap modulefinder msilib nntplib optparse pipes poplib pyclbr pydoc rlcompleter
    sched shelve smtpd smtplib sndhdr stringprep sunau symtable tabnanny telnetlib tkinter trace turtle
    turtledemo uu venv wave wsgiref xdrlib xmlrpc zipapp
"""
NEVER_IMPORTED = frozenset(_NEVER_IMPORTED.split())


class BadInput(Exception):
    """The user's input cannot be used: one line that names the thing and the mend."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file: its path relative to the library's root, with slashes, and its bytes."""

    path: str
    content: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def text(self) -> str:
        return self.content.decode("utf-8")


def stdlib(root: Path | None = None) -> list[Source]:
    """The library's sources in the order of their content's hash, no content twice. Raises BadInput if there are none.

    Left out: tests, installed packages, generated tables, and what is not UTF-8.
    """
    root = root or Path(sysconfig.get_path("stdlib"))
    found: dict[str, Source] = {}
    for name in sorted(_names(root)):
        if source := _read(root / name, name):
            found.setdefault(source.digest, source)
    if not found:
        raise BadInput(
            f"dataset stdlib: no Python sources in {root}; use a Python that comes with its library's sources"
        )
    return [found[digest] for digest in sorted(found)]


def _names(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        prefix = Path(folder).relative_to(root).as_posix() + "/" if folder != str(root) else ""
        folders[:] = [name for name in folders if not _LEFT_OUT.search(f"{prefix}{name}/")]
        names = (prefix + name for name in files if name.endswith(".py"))
        yield from (name for name in names if not _LEFT_OUT.search(name))


def _read(path: Path, name: str) -> Source | None:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return Source(name, content) if text.strip() and not _GENERATED.search(text[:2000]) else None


def fingerprint(sources: list[Source]) -> str:
    """Hex digest of which texts there are, under which names."""
    lines = sorted(f"{source.path}\0{source.digest}\n" for source in sources)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def split(sources: list[Source]) -> tuple[list[Source], list[Source]]:
    """Training and validation files: a tenth of the bytes is held out, in the order of the files' hashes.

    Held out are only files of modules in NEVER_IMPORTED, none larger than a tenth of the whole validation text; where
    the library has too few of them (some distributions leave out idlelib and tkinter) it is less than a tenth.
    """
    wanted = int(HELD_OUT_SHARE * sum(len(source.content) for source in sources))
    training, validation, held_out = [], [], 0
    for source in sorted(sources, key=lambda source: source.digest):
        module = source.path.split("/")[0].removesuffix(".py")
        if module in NEVER_IMPORTED and held_out < wanted and len(source.content) <= wanted // 10:
            validation.append(source)
            held_out += len(source.content)
        else:
            training.append(source)
    return training, validation


_DEFINITION = re.compile(rb"(?:def|class|async def|@)\b|@")


def breaks(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Where a text may be cut: byte offsets [K] of line starts, and how good each is, [K] 0..2.

    2: before a definition at column 0 and its decorators; 1: after a blank line; 0: any other line. Lines that are
    blank, and the first, are no breaks: everywhere else the split pattern never lets a token cross the line's start.
    """
    offsets, ranks = [], []
    position, after_blank, attached = 0, False, False
    for line in content.splitlines(keepends=True):
        if line.isspace():
            after_blank, attached = True, False
        else:
            definition = _DEFINITION.match(line) is not None and not attached
            offsets.append(position)
            ranks.append(2 if definition else int(after_blank))
            after_blank, attached = False, line.startswith(b"@") or (attached and not definition)
        position += len(line)
    return np.array(offsets[1:], np.int64), np.array(ranks[1:], np.int8)


def starts_of_documents(content: bytes, token_ends: np.ndarray, longest: int) -> list[int]:
    """The first token of each document that a text is cut into; each document has at most `longest` tokens.

    token_ends: the byte offset at which each of the text's tokens ends, [n]. Cuts fall at definitions where they can,
    else at blank lines, else at lines, else anywhere.
    """
    offsets, ranks = breaks(content)
    tokens = np.searchsorted(token_ends, offsets)
    clean = token_ends[tokens] == offsets  # a line of exotic white space may share a token with its neighbour
    return _cut(tokens[clean] + 1, ranks[clean], 0, len(token_ends), longest, 2)


def _cut(cuts: np.ndarray, ranks: np.ndarray, start: int, end: int, longest: int, rank: int) -> list[int]:
    if end - start <= longest:
        return [start]
    if rank < 0:
        return list(range(start, end, longest))
    inner = cuts[(cuts > start) & (cuts < end) & (ranks >= rank)].tolist()
    starts: list[int] = []
    opened: int | None = None  # where the document starts that the next piece may still join
    for a, b in pairwise([start, *inner, end]):
        if b - a > longest:
            starts += _cut(cuts, ranks, a, b, longest, rank - 1)
            opened = None
        elif opened is None or b - opened > JOIN * longest:
            starts.append(a)
            opened = a
    return starts


@dataclass(frozen=True, slots=True)
class Documents:
    """Encoded documents, each BOS first, in the order in which they are packed.

    parts: uint16 arrays, taken as laid end to end; no document lies in two of them. starts, lengths: int64 [D], where
    each document lies there. batches: int64 [B], how many the packing buffer gets at a time; None: 128 each time.
    """

    parts: Sequence[np.ndarray]
    starts: np.ndarray
    lengths: np.ndarray
    batches: np.ndarray | None = None

    def firsts(self, documents: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """The first `taken` tokens of each of these documents, both int64 [P], end to end: uint16 [taken.sum()]."""
        if taken.sum() >= _LONG * len(taken):
            return np.concatenate(self._views(documents, taken))
        pieces = range(0, len(taken), _AT_A_TIME)
        return np.concatenate([self._gathered(documents[i:][:_AT_A_TIME], taken[i:][:_AT_A_TIME]) for i in pieces])

    def contents(self) -> Iterator[bytes]:
        """The bytes of each document's ids: what makes two documents equal."""
        return (view.tobytes() for view in self._views(np.arange(len(self.lengths)), self.lengths))

    def _places(self, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """In which part each document lies, and where it starts there: both int64 [P]."""
        starts = self.starts[documents]
        bounds = np.cumsum([0, *map(len, self.parts[:-1])])
        which = np.searchsorted(bounds, starts, side="right") - 1
        return which, starts - bounds[which]

    def _views(self, documents: np.ndarray, taken: np.ndarray) -> list[np.ndarray]:
        which, starts = self._places(documents)
        if len(self.parts) == 1:
            tokens = self.parts[0]
            return [tokens[a : a + n] for a, n in zip(starts.tolist(), taken.tolist(), strict=True)]
        places = zip(which.tolist(), starts.tolist(), taken.tolist(), strict=True)
        return [self.parts[part][a : a + n] for part, a, n in places]

    def _gathered(self, documents: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """The same by the index of every token, which costs as much for short documents as for long ones."""
        which, starts = self._places(documents)
        ends = np.cumsum(taken)
        indices = np.repeat(starts - (ends - taken), taken) + np.arange(ends[-1])
        if len(self.parts) == 1:
            return np.take(self.parts[0], indices)
        tokens: np.ndarray = np.empty(len(indices), np.uint16)
        part_of = np.repeat(which, taken)
        for part in np.unique(which):
            of_part = part_of == part
            tokens[of_part] = self.parts[part][indices[of_part]]
        return tokens


def encode(sources: list[Source], tokenizer: Tokenizer, longest: int, without: Documents | None = None) -> Documents:
    """Cut and encode: documents of at most `longest` tokens and BOS, in the order of their hash, none of them twice.

    That order mixes the library's parts as a shuffled corpus would. `without`: leave out what these contain.
    """
    parts: list[np.ndarray] = []
    starts: list[int] = []
    lengths: list[int] = []
    position = 0
    encoded = tokenizer.encode([source.text for source in sources])
    for source, ids in zip(sources, encoded, strict=True):
        token_ends = np.cumsum(tokenizer.token_bytes[ids])  # [n]
        firsts = starts_of_documents(source.content, token_ends, longest)
        parts.append(np.insert(ids, firsts, tokenizer.bos))
        inside = np.array(firsts) + np.arange(len(firsts))  # each BOS before moves a document by one
        starts += (position + inside).tolist()
        lengths += np.diff(inside, append=len(ids) + len(firsts)).tolist()
        position += len(ids) + len(firsts)
    documents = Documents((np.concatenate(parts),), np.array(starts, np.int64), np.array(lengths, np.int64))

    seen = {hashlib.sha256(content).digest() for content in without.contents()} if without else set()
    order: dict[bytes, int] = {}
    for i, content in enumerate(documents.contents()):
        digest = hashlib.sha256(content).digest()
        if digest not in seen:
            order.setdefault(digest, i)
    chosen = [order[digest] for digest in sorted(order)]
    return Documents(documents.parts, documents.starts[chosen], documents.lengths[chosen])
