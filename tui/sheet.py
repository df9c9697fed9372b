"""A diff laid out: rows in one column or side by side, wrapped or not, with what the view has to know of them."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar, overload

from rich.cells import cell_len

from core.facts import fact
from tui.diffs import CONTEXT, FILE, DiffLine, Pair, side_by_side, wrapped

AT_ONCE = 600  # lines that are laid out before anything else is painted; the rest follows from a thread
_PACK, _OPEN = 256, 8  # rows packed at once; packs that stay open
_LOOK_UP_EVERY = 2048  # lines after which somebody may have asked to stop

Row = TypeVar("Row")
Lines = Callable[[], Iterator[DiffLine]]  # the lines from their beginning, each time it is called


@fact
class Way:
    """How lines become rows. `wrap`: cells of a side, 0 for not at all; `named`: the lines that name a file too."""

    paired: bool = False
    wrap: int = 0
    named: bool = True


@fact
class Sheet:
    """`whole`: whether these are all lines; `longest`: the widest text in cells; `gutter`: digits of a line number;
    `hunks`: the rows where one begins, or a file, or a change further down in one; `places`: of the experiments that
    are named in it, their rows."""

    lines: list[DiffLine]  # none where they are many
    whole: bool
    way: Way
    rows: Sequence[DiffLine | Pair]
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
    """All lines laid out, their rows packed where they are many; None if `stop` said so meanwhile.

    They are gone through twice and never all there at once: a heap that was full of them once stays that large.
    """
    gutter = greatest = 0
    for gutter, line in enumerate(lines()):
        greatest = max(greatest, line.number or 0)
        if not gutter % _LOOK_UP_EVERY and stop():
            return None
    count = gutter + 1
    if count <= AT_ONCE:
        return lay_out(found := list(lines()), way(digits(found)))
    tally, rows = Tally(), Packed[DiffLine | Pair]()
    chosen = way(max(3, len(str(greatest))))
    for row in _rows(lines(), chosen, tally):
        tally.row(row)
        rows.append(row)
        if not len(rows) % _LOOK_UP_EVERY and stop():
            return None
    return tally.sheet([], True, chosen, rows, max(3, len(str(greatest))))


def digits(lines: list[DiffLine]) -> int:
    """Of the greatest line number, three at least."""
    return max(3, len(str(max((line.number or 0 for line in lines), default=0))))


def lay_out(lines: list[DiffLine], way: Way, whole: bool = True) -> Sheet:
    """These lines as rows."""
    tally, rows = Tally(), []
    for row in _rows(lines, way, tally):
        tally.row(row)
        rows.append(row)
    return tally.sheet(lines, whole, way, rows, digits(lines))


def _rows(lines: Iterable[DiffLine], way: Way, tally: Tally) -> Iterator[DiffLine | Pair]:
    """The lines as rows, counted on the way."""
    shown: Iterable[DiffLine] = map(tally.line, lines)
    if not way.named:
        shown = (line for line in shown if line.kind != "@" or not line.text.startswith(FILE))
    if way.wrap:
        shown = wrapped(shown, way.wrap)
    shown = map(tally.shown, shown)
    return side_by_side(shown) if way.paired else iter(shown)


class Tally:
    """What a sheet knows of its rows, counted while they pass."""

    def __init__(self) -> None:
        self._longest, self._rows, self._last = 0, 0, -1  # `last`: the last row that was a head or changed
        self._hunks: list[int] = []
        self._places: dict[int, int] = {}
        self._counts = {"+": 0, "-": 0}
        self._files: dict[str, None] = {}  # in their order

    def line(self, line: DiffLine) -> DiffLine:
        """Of the whole diff."""
        if line.kind in self._counts:
            self._counts[line.kind] += 1
        elif line.kind == "@" and line.text.startswith(FILE):
            self._files[line.text.removeprefix(FILE)] = None
        return line

    def shown(self, line: DiffLine) -> DiffLine:
        """Of what is to be seen: its width."""
        self._longest = max(self._longest, len(line.text) if line.text.isascii() else cell_len(line.text))
        return line

    def row(self, row: DiffLine | Pair) -> None:
        """Where `n` goes: every head, and every change that does not follow one at once, with what stands just above
        it; and where an experiment begins."""
        i, last, found = self._rows, self._last, self._hunks
        self._rows += 1
        if isinstance(row, DiffLine) and row.kind == "@":
            found.append(i)
            if row.number is not None:
                self._places[row.number] = i
        elif not _changes(row):
            return
        elif i != last + 1 and not (found and found[-1] == last and i - last <= CONTEXT + 1):
            found.append(max(last + 1, i - CONTEXT))
        self._last = i

    def sheet(
        self, lines: list[DiffLine], whole: bool, way: Way, rows: Sequence[DiffLine | Pair], gutter: int
    ) -> Sheet:
        summary = f"{', '.join(self._files)}  +{self._counts['+']} −{self._counts['-']}" if whole else ""
        return Sheet(
            lines,
            whole,
            way,
            rows,
            self._longest,
            gutter,
            self._hunks,
            summary if any(self._counts.values()) else "",
            self._places,
        )


class Packed(Sequence[Row]):
    """Many rows in little space: all but those looked at last are compressed, so many at a time."""

    def __init__(self) -> None:
        self._packs: list[bytes] = []
        self._tail: list[Row] = []
        self._open: dict[int, list[Row]] = {}

    def append(self, row: Row) -> None:
        self._tail.append(row)
        if len(self._tail) == _PACK:
            self._packs.append(zlib.compress(pickle.dumps(self._tail, pickle.HIGHEST_PROTOCOL), 1))
            self._tail = []

    def __len__(self) -> int:
        return len(self._packs) * _PACK + len(self._tail)

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> list[Row]: ...
    def __getitem__(self, at: int | slice) -> Row | list[Row]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        at = range(len(self))[at]
        pack, place = divmod(at, _PACK)
        return self._tail[place] if pack == len(self._packs) else self._unpacked(pack)[place]

    def _unpacked(self, pack: int) -> list[Row]:
        rows = self._open.pop(pack, None)
        if rows is None:
            rows = pickle.loads(zlib.decompress(self._packs[pack]))
        self._open[pack] = rows
        if len(self._open) > _OPEN:
            del self._open[next(iter(self._open))]
        return rows


def _changes(row: DiffLine | Pair) -> bool:
    sides = (row,) if isinstance(row, DiffLine) else (row.left, row.right)
    return any(side is not None and side.kind in ("+", "-") for side in sides)
