"""Where every part of the cockpit stands: a pure function of the window, the panes in front, the borders moved.

    narrow     plot, list, one place for diff, log and notes, one above the other
    portrait   the same with more rows each, and the log or the notes below the diff
    wide       plot above the list; at the right the diff above the log or the notes
    ultra      the list; at the right the plot above diff and, beside it, notes and log
    tiny       nothing: the status strip says the best score in a line

A border that was moved says the extent in cells of the part it is named after. That is kept as it was said and fitted
to the window each time, so a window that was small for a moment costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Literal

from textual.geometry import Region, Size

from core.facts import fact

Kind = Literal["tiny", "narrow", "portrait", "wide", "ultra"]
Part = Literal["plot", "experiments", "diff", "log", "notes"]
Border = Literal["left", "right", "plot", "list", "log"]  # named after the part whose extent it sets
Borders = Mapping[Border, int]

PARTS: tuple[Part, ...] = ("plot", "experiments", "diff", "log", "notes")
PANES: tuple[Part, ...] = ("diff", "log", "notes")  # which have a title, and scroll
KINDS: tuple[Kind, ...] = ("narrow", "portrait", "wide", "ultra")
BORDERS: tuple[Border, ...] = ("left", "right", "plot", "list", "log")

_LEAST_COLUMNS = 30  # of anything beside something else
_LEAST_PLOT, _LEAST_LIST, _LEAST_PANE = 4, 3, 3  # rows
_PLOT_FROM = 16  # rows of a stack from which there is a plot
_TALLER: Mapping[Kind, Mapping[str, tuple[tuple[Border, int], ...]]] = {
    # The border that is moved, and which way, to make a pane taller; the second where the first does not move.
    "narrow": dict.fromkeys(PANES, (("list", -1), ("plot", -1))),
    "portrait": {"diff": (("list", -1), ("plot", -1)), "log": (("log", -1),), "notes": (("log", -1),)},
    "wide": {"diff": (("log", 1),), "log": (("log", -1),), "notes": (("log", -1),)},
    "ultra": {"diff": (("plot", -1),), "notes": (("log", 1), ("plot", -1)), "log": (("log", -1), ("plot", -1))},
}


@fact
class Extent:
    """What a border sets, and between which bounds. `sign`: what a step right or down adds to it."""

    cells: int
    least: int
    most: int
    sign: int = 1

    def moved(self, steps: int) -> int:
        """The extent after the border was moved so many cells right or down."""
        return _within(self.cells + self.sign * steps, self.least, self.most)


@fact
class Plan:
    """`places`: where each part stands; one that is missing is not shown. `tabs`: the panes that take turns with each
    pane that is shown. `grips`: the cells by which a border is dragged. `lines`: columns between two parts."""

    kind: Kind
    size: Size
    places: Mapping[Part, Region] = field(default_factory=dict)
    tabs: Mapping[Part, tuple[Part, ...]] = field(default_factory=dict)
    extents: Mapping[Border, Extent] = field(default_factory=dict)
    grips: Mapping[Border, Region] = field(default_factory=dict)
    lines: tuple[Region, ...] = ()


def kind_of(window: Size) -> Kind:
    """Which layout a window of this size gets."""
    if window.width < 60 or window.height < 15:
        return "tiny"
    if window.width < 100:
        return "portrait" if window.height >= 44 else "narrow"
    return "wide" if window.width < 160 else "ultra"


def plan(kind: Kind, size: Size, front: Sequence[Part], borders: Borders, alone: Part | None = None) -> Plan:
    """The places within a body of this size. `front`: the panes, the one looked at last first; of those that take
    turns in a place the first is shown. `alone`: the part that has everything."""
    if kind == "tiny" or not size.area:
        return Plan(kind, size)
    if alone is not None:
        tabs = {alone: PANES} if alone in PANES else {}
        return Plan(kind, size, {alone: size.region}, tabs)
    if kind == "narrow" or kind == "portrait":
        return _stacked(kind, size, front, borders)
    return (_wide if kind == "wide" else _ultra)(size, front, borders)


def taller(shown: Plan, pane: Part, rows: int) -> tuple[Border, int] | None:
    """The border to move, and its new extent, for a pane so many rows taller; None where nothing moves."""
    for border, way in _TALLER.get(shown.kind, {}).get(pane, ()):
        if found := moved(shown, border, way * rows):
            return found
    return None


def moved(shown: Plan, border: Border, steps: int) -> tuple[Border, int] | None:
    """The border and its new extent after so many steps right or down; None where it does not move."""
    extent = shown.extents.get(border)
    if extent is None or (cells := extent.moved(steps)) == extent.cells:
        return None
    return border, cells


def beside(shown: Plan, pane: Part) -> Border:
    """The upright border next to a pane."""
    return "right" if shown.kind == "ultra" and pane in ("log", "notes") else "left"


# --- the layouts -----------------------------------------------------------------------------------------------------


def _stacked(kind: Kind, size: Size, front: Sequence[Part], borders: Borders) -> Plan:
    width, height = size
    two = kind == "portrait"
    below = _LEAST_PANE * (2 if two else 1)
    plot = _extent(borders, "plot", max(6, height * 22 // 100), _LEAST_PLOT, height - _LEAST_LIST - below)
    if height < _PLOT_FROM:
        plot = Extent(0, 0, 0)
    usual = height * (27 if height >= 30 else 33) // 100
    listed = _extent(borders, "list", usual, _LEAST_LIST, height - plot.cells - below)
    rest = height - plot.cells - listed.cells
    top = plot.cells + listed.cells
    extents: dict[Border, Extent] = {"plot": plot, "list": listed}
    grips: dict[Border, Region] = {"list": Region(0, top, width, 1)}
    if plot.cells:
        grips["plot"] = Region(0, plot.cells, width, 1)
    places: dict[Part, Region] = {"plot": Region(0, 0, width, plot.cells)} if plot.cells else {}
    places["experiments"] = Region(0, plot.cells, width, listed.cells)
    if not two:
        shown = _first(front, PANES)
        return Plan(kind, size, {**places, shown: Region(0, top, width, rest)}, {shown: PANES}, extents, grips)
    extents["log"] = log = _extent(borders, "log", height * 22 // 100, _LEAST_PANE, rest - _LEAST_PANE, sign=-1)
    lower = _first(front, ("log", "notes"))
    places["diff"] = Region(0, top, width, rest - log.cells)
    places[lower] = Region(0, height - log.cells, width, log.cells)
    grips["log"] = Region(0, height - log.cells, width, 1)
    return Plan(kind, size, places, {"diff": ("diff",), lower: ("log", "notes")}, extents, grips)


def _wide(size: Size, front: Sequence[Part], borders: Borders) -> Plan:
    width, height = size
    left = _extent(borders, "left", max(48, min(54, width * 42 // 100)), _LEAST_COLUMNS, width - _LEAST_COLUMNS - 1)
    plot = _extent(borders, "plot", height // 3, _LEAST_PLOT, height - _LEAST_LIST)
    log = _extent(borders, "log", height * 33 // 100, _LEAST_PANE, height - _LEAST_PANE, sign=-1)
    x, right = left.cells + 1, width - left.cells - 1
    lower = _first(front, ("log", "notes"))
    return Plan(
        "wide",
        size,
        {
            "plot": Region(0, 0, left.cells, plot.cells),
            "experiments": Region(0, plot.cells, left.cells, height - plot.cells),
            "diff": Region(x, 0, right, height - log.cells),
            lower: Region(x, height - log.cells, right, log.cells),
        },
        {"diff": ("diff",), lower: ("log", "notes")},
        {"left": left, "plot": plot, "log": log},
        {
            "left": Region(left.cells, 0, 1, height),
            "plot": Region(0, plot.cells, left.cells, 1),
            "log": Region(x, height - log.cells, right, 1),
        },
        (Region(left.cells, 0, 1, height),),
    )


def _ultra(size: Size, front: Sequence[Part], borders: Borders) -> Plan:
    width, height = size
    left = _extent(borders, "left", min(84, max(56, width * 42 // 100)), _LEAST_COLUMNS, width - 2 * _LEAST_COLUMNS - 2)
    x, beyond = left.cells + 1, width - left.cells - 1
    right = _extent(borders, "right", min(48, beyond * 36 // 100), _LEAST_COLUMNS, beyond - _LEAST_COLUMNS - 1, sign=-1)
    plot = _extent(borders, "plot", height // 3, _LEAST_PLOT, height - 2 * _LEAST_PANE)
    rest = height - plot.cells
    log = _extent(borders, "log", rest * 45 // 100, _LEAST_PANE, rest - _LEAST_PANE, sign=-1)
    middle = beyond - right.cells - 1
    at = x + middle + 1
    return Plan(
        "ultra",
        size,
        {
            "experiments": Region(0, 0, left.cells, height),
            "plot": Region(x, 0, beyond, plot.cells),
            "diff": Region(x, plot.cells, middle, rest),
            "notes": Region(at, plot.cells, right.cells, rest - log.cells),
            "log": Region(at, height - log.cells, right.cells, log.cells),
        },
        {"diff": ("diff",), "notes": ("notes",), "log": ("log",)},
        {"left": left, "right": right, "plot": plot, "log": log},
        {
            "left": Region(left.cells, 0, 1, height),
            "right": Region(at - 1, plot.cells, 1, rest),
            "plot": Region(x, plot.cells, beyond, 1),
            "log": Region(at, height - log.cells, right.cells, 1),
        },
        (Region(left.cells, 0, 1, height), Region(at - 1, plot.cells, 1, rest)),
    )


def _extent(borders: Borders, border: Border, usual: int, least: int, most: int, sign: int = 1) -> Extent:
    least, most = max(0, min(least, most)), max(0, most)
    return Extent(_within(borders.get(border, usual), least, most), least, most, sign)


def _within(cells: int, least: int, most: int) -> int:
    return max(least, min(cells, most))


def _first(front: Sequence[Part], of: tuple[Part, ...]) -> Part:
    return next((pane for pane in front if pane in of), of[0])
