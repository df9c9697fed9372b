"""Single rows: the titles of panes and the keys at the bottom."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input, Static

from tui.layout import Part
from tui.widgets.paint import Piece, cell, strip


class PaneTitle(Widget, can_focus=False):
    """The name of a pane, or of all panes that take turns in one place, and what it shows."""

    DEFAULT_CSS = "PaneTitle { height: 1; }"
    ALLOW_SELECT = False

    @dataclass
    class Clicked(Message):
        """Somebody clicked on the name of a pane."""

        name: Part

    def __init__(self, name: Part, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pane = name
        self._tabs: tuple[Part, ...] = (name,)
        self._active = False
        self._about = ""

    def show(self, tabs: tuple[Part, ...], active: bool, about: str) -> None:
        """`tabs` are all panes that take turns here; `active`: the keys scroll this one."""
        if (tabs, active, about) != (self._tabs, self._active, self._about):
            self._tabs, self._active, self._about = tabs, active, about
            self.refresh()

    def on_click(self, event: events.Click) -> None:
        self.post_message(self.Clicked(self._at(event.x)))

    def _at(self, x: int) -> Part:
        """The pane whose name stands there; this title's own where none does."""
        for tab in self._tabs:
            x -= len(tab) + 2
            if x < 0:
                return tab
        return self._pane

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        pieces: list[Piece] = []
        for tab in self._tabs:
            own = tab == self._pane
            mark, style = ("▸" if own and self._active else " "), ("strong" if self._active else "") if own else "dim"
            pieces += [(f"{mark}{tab.capitalize()} ", style)]
        names = sum(len(words) for words, _ in pieces)
        about = f" {cell(self._about, width - names - 4).rstrip()} " if self._about and width > names + 8 else ""
        line = "─" * max(0, width - names - cell_len(about))
        return strip(self, [*pieces, (line, "track"), (about, "dim")], width)


class SearchBar(Input):
    """The line in which a search is typed; the list narrows with every letter."""

    DEFAULT_CSS = "SearchBar { height: 1; width: 1fr; border: none; padding: 0 1; }"
    BINDINGS = [("escape", "cancel", "end the search")]  # noqa: RUF012

    @dataclass
    class Ended(Message):
        """Enter keeps what is listed; escape lists all again."""

        kept: bool

    def __init__(self, id: str | None = None) -> None:
        super().__init__(placeholder="search words and diffs; enter keeps, esc ends", compact=True, id=id)

    def open(self) -> None:
        """Begin to type, in the place of the row of keys: nothing above it moves."""
        self.screen.add_class("-searching")
        self._line.display = True
        self.screen.set_focus(self)  # at once: what is typed right behind the key comes here

    def close(self) -> None:
        """Give the keys back."""
        self.screen.remove_class("-searching")
        self._line.display = False
        self.screen.set_focus(None)

    @property
    def _line(self) -> Widget:
        assert isinstance(self.parent, SearchLine)
        return self.parent

    def on_resize(self) -> None:
        """What was typed before there was any width is shown from its beginning."""
        if self.content_width <= self.size.width:
            self.scroll_to(x=0, animate=False)

    def action_cancel(self) -> None:
        self.value = ""
        self.post_message(self.Ended(False))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Ended(True))


class SearchLine(Horizontal):
    """The search behind the key that opens it, and which of those that it found is selected; not there while nobody
    types."""

    DEFAULT_CSS = "SearchLine { height: 1; display: none; } SearchLine Static { width: auto; }"

    def __init__(self, bar: SearchBar) -> None:
        super().__init__()
        self._bar = bar
        self._place = Static("", markup=False, classes="pausing")
        self._told = ""

    def compose(self) -> ComposeResult:
        yield Static(" /", classes="accent")
        yield self._bar
        yield self._place

    def tell(self, place: str) -> None:
        """`3 of 12`, `none`, or nothing."""
        if place != self._told:  # it lays out anew
            self._told = place
            self._place.update(f"{place}{'   ↓ ↑' if ' of ' in place else ''} " if place else "")
