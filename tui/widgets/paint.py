"""From pieces of text to lines on the screen: what the Line-API widgets share.

A piece is a text and the name of a style in app.tcss, or several with spaces between; "" is the widget's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from core.facts import fact
from tui.themes import ThemedApp

Piece = tuple[str, str]

OUTCOMES = {"keep": "kept", "discard": "discarded", "crash": "crashed"}


@fact
class Part:
    """Pieces that are shown together or not at all; parts with a low `rank` give way first."""

    rank: int
    pieces: tuple[Piece, ...]

    @property
    def width(self) -> int:
        return sum(cell_len(text) for text, _ in self.pieces)


def part(rank: int, *pieces: Piece) -> Part:
    return Part(rank, pieces)


def fit(left: Sequence[Part], right: Sequence[Part], width: int, gap: int = 2) -> list[Piece]:
    """One row: `left` from the left, `right` up to the right edge, without the least parts where it is too narrow."""
    shown = {id(p): p for p in (*left, *right) if p.width}
    while len(shown) > 1 and sum(p.width + gap for p in shown.values()) - gap > width:
        del shown[id(min(shown.values(), key=lambda p: p.rank))]
    first = _joined([p for p in left if id(p) in shown], gap)
    last = _joined([p for p in right if id(p) in shown], gap)
    space = width - sum(cell_len(text) for text, _ in (*first, *last))
    return [*first, (" " * max(0, space), ""), *last]


def _joined(parts: Iterable[Part], gap: int) -> list[Piece]:
    pieces: list[Piece] = []
    for p in parts:
        if pieces:
            pieces.append((" " * gap, ""))
        pieces.extend(p.pieces)
    return pieces


def cell(text: str, width: int, align: str = "left") -> str:
    """The text in exactly `width` cells; what is cut off is marked."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 0 else ""
    return text + " " * (width - length) if align == "left" else " " * (width - length) + text


def shorten(pieces: Sequence[Piece], width: int) -> list[Piece]:
    """A row that is cut where its space ends, and marked there."""
    *first, (last, style) = pieces
    space = width - sum(cell_len(text) for text, _ in first)
    if cell_len(last) <= space:
        return list(pieces)
    return [*first, (cell(last, space), style)] if space > 0 else crop(pieces, 0, width)


def crop(pieces: Iterable[Piece], start: int, width: int) -> list[Piece]:
    """The pieces from cell `start` on, in exactly `width` cells; what goes on beyond them is marked."""
    found: list[Piece] = []
    at = 0
    for words, style in pieces:
        length = cell_len(words)
        a, b = max(0, start - at), min(length, start + width - at)
        if a < b:
            found.append((Strip([Segment(words)]).crop(a, b).text, style))
        at += length
    room = width - sum(cell_len(words) for words, _ in found)
    if at > start + width and found:
        words, style = found.pop()
        return [*found, (set_cell_size(words, max(0, cell_len(words) + room - 1)), style), ("…", "track")]
    return [*found, (" " * max(0, room), "")]


def strip(widget: Widget, pieces: Iterable[Piece], width: int, row_style: str = "") -> Strip:
    """The pieces as one line of a widget, exactly `width` cells."""
    app = widget.app
    assert isinstance(app, ThemedApp)
    styles: dict[str, Style] = {}

    def sum_of(under: Style, names: str) -> Style:
        for name in names.split():
            under += app.named_style(name)
        return under

    own = sum_of(app.own_style(widget), row_style)
    segments: list[Segment] = []
    for style, run in groupby(pieces, key=itemgetter(1)):
        if style not in styles:
            styles[style] = sum_of(own, style)
        segments.append(Segment("".join(text for text, _ in run), styles[style]))
    return Strip(segments).adjust_cell_length(width, own)
