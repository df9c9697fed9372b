"""A diff laid out: rows in one column or side by side, wrapped or not, with what the view has to know of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from rich.cells import cell_len

from tui.diffs import CONTEXT, FILE, DiffLine, Pair, side_by_side, summarise, wrapped

AT_ONCE = 600  # lines that are laid out before anything else is painted; the rest follows from a thread
_LOOK_UP_EVERY = 2048  # lines after which somebody may have asked to stop

Lines = Callable[[], Iterator[DiffLine]]  # the lines from their beginning, each time it is called


@dataclass(frozen=True, slots=True)
class Way:
    """How lines become rows. `wrap`: cells of a side, 0 for not at all; `named`: the lines that name a file too."""

    paired: bool = False
    wrap: int = 0
    named: bool = True


@dataclass(frozen=True, slots=True)
class Sheet:
    """`whole`: whether these are all lines; `longest`: the widest text in cells; `gutter`: digits of a line number;
    `hunks`: the rows where one begins, or a file, or a change further down in one; `places`: of the experiments that
    are named in it, their rows."""

    lines: list[DiffLine]
    whole: bool
    way: Way
    rows: list[DiffLine] | list[DiffLine | Pair]
    longest: int
    gutter: int
    hunks: list[int]
    summary: str  # `train.py  +1 −1`
    places: dict[int, int]

    def at(self, row: int) -> tuple[int, int] | None:
        """The experiment whose row that is, and how far below its first; None above all of them."""
        above = [(place, number) for number, place in self.places.items() if place <= row]
        return (max(above)[1], row - max(above)[0]) if above else None


def beginning(lines: Lines, way: Callable[[int], Way]) -> Sheet:
    """The first lines laid out, or all where they are few. `way` may depend on the digits of a line number."""
    first = list(islice(lines(), AT_ONCE + 1))
    return lay_out(first[:AT_ONCE], way(digits(first)), whole=len(first) <= AT_ONCE)


def all_of(lines: Lines, way: Callable[[int], Way], stop: Callable[[], bool]) -> Sheet | None:
    """All lines laid out; None if `stop` said so meanwhile."""
    found: list[DiffLine] = []
    for line in lines():
        found.append(line)
        if not len(found) % _LOOK_UP_EVERY and stop():
            return None
    return lay_out(found, way(digits(found)))


def digits(lines: list[DiffLine]) -> int:
    """Of the greatest line number, three at least."""
    return max(3, len(str(max((line.number or 0 for line in lines), default=0))))


def lay_out(lines: list[DiffLine], way: Way, whole: bool = True) -> Sheet:
    """These lines as rows."""
    shown = lines
    if not way.named:
        shown = [line for line in shown if line.kind != "@" or not line.text.startswith(FILE)]
    if way.wrap:
        shown = list(wrapped(shown, way.wrap))
    rows: list[DiffLine] | list[DiffLine | Pair] = list(side_by_side(shown)) if way.paired else shown
    heads = [(i, row) for i, row in enumerate(rows) if isinstance(row, DiffLine) and row.kind == "@"]
    return Sheet(
        lines,
        whole,
        way,
        rows,
        max((len(line.text) if line.text.isascii() else cell_len(line.text) for line in shown), default=0),
        digits(lines),
        _hunks(rows),
        summarise(lines) if whole else "",
        {row.number: i for i, row in heads if row.number is not None},
    )


def _hunks(rows: Sequence[DiffLine | Pair]) -> list[int]:
    """Where `n` goes: every head, and every change that does not follow one at once, with what stands just above it."""
    found: list[int] = []
    last = -1  # the last row that was a head or changed
    for i, row in enumerate(rows):
        head = isinstance(row, DiffLine) and row.kind == "@"
        if head:
            found.append(i)
        elif not _changes(row):
            continue
        elif i != last + 1 and not (found and found[-1] == last and i - last <= CONTEXT + 1):
            found.append(max(last + 1, i - CONTEXT))
        last = i
    return found


def _changes(row: DiffLine | Pair) -> bool:
    sides = (row,) if isinstance(row, DiffLine) else (row.left, row.right)
    return any(side is not None and side.kind in ("+", "-") for side in sides)
