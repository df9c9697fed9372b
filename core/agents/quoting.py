"""How text that others wrote is put into a prompt: harmless, bounded, and behind a fence that it cannot close."""

from __future__ import annotations

import hashlib
import re

from core.log import plain

# Marks of direction, joiners and tags that nobody sees: a reader would not notice what they say.
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b\u200e\u200f\u2028\u2029\u2060-\u2064\ufeff\U000e0000-\U000e007f]")
LONGEST_LINE = 400  # characters


def clean(text: str, characters: int, *, line: int = LONGEST_LINE, end: bool = False) -> str:
    """Text of several lines without control and invisible characters, its long lines cut; at most so many characters.

    What is left out is said. `end`: its end is the part that matters, else its beginning.
    """
    surplus = len(text) - 16 * characters
    if surplus > 0:  # no need to look at all of 1 GB
        text = text[surplus:] if end else text[:-surplus]
    lines = [_cut(x.rstrip(), line) for x in _INVISIBLE.sub("", plain(text)).strip("\n").split("\n")]
    kept, left = [], characters
    for x in reversed(lines) if end else lines:
        left -= len(x) + 1
        if left < 0:
            break
        kept.append(x)
    missing = len(lines) - len(kept)
    if not missing and surplus <= 0:
        return "\n".join(reversed(kept) if end else kept)
    said = f"… {missing:,} {'earlier' if end else 'more'} lines left out …" if missing else "… the rest is left out …"
    return "\n".join([said, *reversed(kept)] if end else [*kept, said])


def one_line(text: str, characters: int) -> str:
    """The text as one line of at most so many characters."""
    return _cut(" ".join(_INVISIBLE.sub("", plain(text[: 16 * characters])).split()), characters)


def fenced(name: str, text: str) -> str:
    """The text between two lines that carry the same mark, which does not stand anywhere in the text."""
    mark = _digest(text)
    while mark in text.lower():
        mark = _digest(mark)
    end = "" if text.endswith("\n") else "\n"
    return f"<{name} {mark}>\n{text}{end}</{name} {mark}>"


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1].rstrip() + "…"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
