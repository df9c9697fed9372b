"""Text that stands out, marked with the mouse or searched for: the pieces of a row split where it begins and ends."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len

from tui.widgets.paint import Piece

_FURNITURE = {"gutter", "track"}  # line numbers and frames: never wanted in what is copied


def lit(pieces: Sequence[Piece], sought: re.Pattern[str] | None, mark: str = "match") -> Sequence[Piece]:
    """The pieces, wherever they hold what is searched for with the style of a match added."""
    spans = [found.span() for found in sought.finditer(_read(pieces))] if sought else []
    return list(_lit(pieces, spans, mark)) if spans else pieces


def _lit(pieces: Sequence[Piece], spans: Sequence[tuple[int, int]], mark: str) -> Iterator[Piece]:
    """In one pass: a line may hold thousands. `spans` follow each other."""
    at = i = 0
    for words, style in pieces:
        begin, end = at, at + len(words)
        while at < end:
            while i < len(spans) and spans[i][1] <= at:
                i += 1
            start, stop = spans[i] if i < len(spans) else (end, end)
            inside = start <= at
            until = min(end, stop if inside else start)
            yield words[at - begin : until - begin], f"{style} {mark}" if inside else style
            at = until


def holds(pieces: Sequence[Piece], sought: re.Pattern[str]) -> bool:
    """Whether what is searched for is in them."""
    return sought.search(_read(pieces)) is not None


def _read(pieces: Sequence[Piece]) -> str:
    """What a person reads in them; the rest, in which nothing is found, only keeps its length."""
    return "".join("\0" * len(words) if _FURNITURE & set(style.split()) else words for words, style in pieces)


def marked(pieces: Iterable[Piece], start: int, end: int, mark: str = "cursor") -> Iterator[Piece]:
    """The pieces, the characters from `start` to `end` (-1: to the end of the row) with the mark's style added."""
    at = 0
    for words, style in pieces:
        a, b = _within(words, at, start, end)
        yield from ((part, s) for part, s in ((words[:a], style), (words[a:b], f"{style} {mark}")) if part)
        if words[b:]:
            yield words[b:], style
        at += len(words)


def copied(pieces: Iterable[Piece], start: int, end: int) -> str:
    """What is marked, without what is only there to be looked at."""
    found, at = "", 0
    for words, style in pieces:
        a, b = _within(words, at, start, end)
        found += "" if _FURNITURE & set(style.split()) else words[a:b]
        at += len(words)
    return found.rstrip()


def characters(pieces: Sequence[Piece], cells: int) -> int:
    """How many characters lie in the first cells of a row."""
    text = "".join(words for words, _ in pieces) if cells else ""
    count = 0
    while cells > 0 and count < len(text):
        cells -= cell_len(text[count])
        count += 1
    return count


def _within(words: str, at: int, start: int, end: int) -> tuple[int, int]:
    a = min(len(words), max(0, start - at))
    return a, len(words) if end < 0 else min(len(words), max(a, end - at))
