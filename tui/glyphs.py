"""Glyphs for terminals that have fewer of them: every line of the screen passes through here before it is written.

braille   everything; what a modern terminal draws
block     the Linux console: its font has half blocks and boxes, no braille
ascii     a locale that is set, and is not UTF-8: LC_ALL=C asks for it
"""

from __future__ import annotations

import locale
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

Glyphs = Literal["braille", "block", "ascii"]
LEVELS: tuple[Glyphs, ...] = ("braille", "block", "ascii")
_NO_CHARACTERS = ("C", "POSIX")
_UPPER, _LOWER = 0x01 | 0x02 | 0x08 | 0x10, 0x04 | 0x20 | 0x40 | 0x80  # the dots of a braille cell's halves
_BLOCKS = {True: {True: "█", False: "▀"}, False: {True: "▄", False: " "}}
_PLAIN = {
    "●": "*", "·": ".", "×": "x", "▶": ">", "‖": "=", "›": ">", "▸": ">", "↑": "^", "↓": "v", "▲": "^", "▼": "v",
    "→": ">", "←": "<", "−": "-", "–": "-", "—": "-", "…": "~", "Δ": "d", "“": '"', "”": '"', "§": "S", "≤": "<",
    "│": "|", "┃": "|", "║": "|", "├": "|", "┤": "|", "─": "-", "━": "=", "═": "=", "└": "`", "╰": "`", "┌": ".",
    "╭": ".", "┐": ".", "╮": ".", "┘": "'", "╯": "'", "┼": "+", "█": "#", "▀": "-", "▄": "_", "▁": "_", "▂": "_",
    "▃": "_", "▅": "=", "▆": "=", "▇": "#", "▏": "|", "▕": "|", "▎": "|", "▊": "|", "▌": "|", "▐": "|", "▔": "-",
    "°": " ",
}  # fmt: skip


def level(environment: Mapping[str, str]) -> Glyphs:
    """What this terminal draws, as far as its name and the locale tell."""
    if not _speaks_utf8(locale_chosen(environment)[1]):
        return "ascii"
    return "block" if environment.get("TERM") == "linux" else "braille"


def locale_chosen(environment: Mapping[str, str]) -> tuple[str, str]:
    """The variable that decides, in POSIX's order, and the locale in it; both empty where the user set none. Python's
    own idea is no help: it reads C and POSIX as UTF-8. LANG=C is no wish: many a cluster and container sets it."""
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        if chosen := environment.get(name):
            return ("", "") if name == "LANG" and chosen in _NO_CHARACTERS else (name, chosen)
    return "", ""


def _speaks_utf8(chosen: str) -> bool:
    """What is set says so; where nothing is, as in many a container, the terminal does all the same. Of a name without
    a character set the system tells which it has."""
    if chosen in _NO_CHARACTERS:
        return False
    told = "." in chosen or "utf" in chosen.lower()
    return not chosen or "utf" in (chosen if told else locale.getpreferredencoding(False)).lower()


def fewer(words: str, glyphs: Glyphs) -> str:
    """The words with the glyphs there are."""
    return words if glyphs == "braille" else _in_ascii(words) if glyphs == "ascii" else _in_blocks(words)


class FewerGlyphs(LineFilter):
    """Draws each line with the glyphs there are. Characters keep their width."""

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(enabled=glyphs != "braille")
        self._ascii = glyphs == "ascii"

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        write = _in_ascii if self._ascii else _in_blocks
        return [s if s.text.isascii() else Segment(write(s.text), s.style, s.control) for s in segments]


@lru_cache(maxsize=4096)
def _in_blocks(text: str) -> str:
    return "".join(map(_block, text))


def _block(char: str) -> str:
    bits = ord(char) - 0x2800
    return _BLOCKS[bool(bits & _UPPER)][bool(bits & _LOWER)] if 0 <= bits < 256 else char


@lru_cache(maxsize=4096)
def _in_ascii(text: str) -> str:
    from rich.cells import cell_len

    blocks = _in_blocks(text)
    return "".join(c if c.isascii() else _PLAIN.get(c, "?" * cell_len(c)) for c in blocks)
