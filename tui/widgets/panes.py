"""The body of the main screen: its parts stand where tui.layout says, and the borders between them can be moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.containers import Vertical
from textual.geometry import Offset, Size, Spacing
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.layout import Border, Borders, Extent, Kind, Part, Plan, plan
from tui.widgets.bars import PaneTitle
from tui.widgets.paint import Piece, strip


class Pane(Vertical):
    """A title over a view that scrolls."""

    def __init__(self, name: Part, view: Widget) -> None:
        self.title = PaneTitle(name, id=f"{name}-title")
        super().__init__(self.title, view, id=f"{name}-pane")


class _AsPlanned(Layout):
    name = "planned"

    def arrange(self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True) -> ArrangeResult:
        assert isinstance(parent, Panes)
        places = parent.fitted(size).places
        return [
            WidgetPlacement(places[part], Offset(), Spacing(), child)
            for part, child in parent.parts.items()
            if part in places and child in children
        ]


class Panes(Widget, can_focus=False):
    """Holds the parts. What is in front and what was moved is told to it; a drag of the mouse it tells."""

    ALLOW_SELECT = False

    @dataclass
    class Moved(Message):
        """Somebody drags a border."""

        border: Border
        cells: int

    class Changed(Message):
        """Parts have another place, or another size."""

    def __init__(self, parts: dict[Part, Widget], id: str | None = None) -> None:
        super().__init__(*parts.values(), id=id)
        self.parts = parts
        self.plan = Plan("tiny", Size())
        self._planned = _AsPlanned()
        self._told: tuple[Kind, Sequence[Part], Borders, Part | None] = ("tiny", (), {}, None)
        self._dragged: tuple[Border, Extent, Offset] | None = None  # the border, its extent and the place at the press
        self._pulled = False  # whether the mouse has moved since

    @property
    def layout(self) -> Layout:
        return self._planned

    def show(self, kind: Kind, front: Sequence[Part], borders: Borders, alone: Part | None) -> None:
        """Place the parts so; see tui.layout.plan."""
        if self._told != (kind, front, borders, alone):
            self._told = (kind, front, borders, alone)
            self.plan = self._plan(self.size)
            self.refresh()
            for child in self.children[:1]:
                child.refresh(layout=True)  # Textual forgets how a widget arranged its children when one of them asks
            self.post_message(self.Changed().set_sender(self))  # else it would not get beyond the screen that asks

    def fitted(self, size: Size) -> Plan:
        """The plan for this size."""
        if self.plan.size != size:
            self.plan = self._plan(size)
        return self.plan

    def _plan(self, size: Size) -> Plan:
        kind, front, borders, alone = self._told
        return plan(kind, size, front, borders, alone)

    def on_resize(self) -> None:
        self.post_message(self.Changed())

    def render_line(self, y: int) -> Strip:
        pieces: list[Piece] = []
        at = 0
        for line in sorted(self.plan.lines, key=lambda line: line.x):
            if line.y <= y < line.bottom:
                pieces += [(" " * (line.x - at), ""), ("│", "track")]
                at = line.x + 1
        return strip(self, pieces, self.size.width)

    # --- the mouse: presses on titles and headings arrive here too, once those have passed them on

    def on_mouse_down(self, event: events.MouseDown) -> None:
        at = event.screen_offset - self.region.offset
        border = next((border for border, grip in self.plan.grips.items() if grip.contains_point(at)), None)
        self._dragged = (border, self.plan.extents[border], at) if border else None

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._dragged is None:
            return
        if not event.button:
            self._let_go()
            return
        border, extent, began = self._dragged
        way = event.screen_offset - self.region.offset - began
        steps = way.x if border in ("left", "right") else way.y
        if steps and not self._pulled:
            self._pulled = True
            self.capture_mouse()
        if self._pulled:
            self.post_message(self.Moved(border, extent.moved(steps)))

    def on_mouse_up(self) -> None:
        self._let_go()

    def _let_go(self) -> None:
        if self._pulled:
            self.release_mouse()
        self._dragged, self._pulled = None, False
