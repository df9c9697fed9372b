"""Single rows: the titles of panes and the keys at the bottom."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from tui.keys import KEYS
from tui.widgets.paint import STYLES, Part, Piece, fit, part, strip


class PaneTitle(Widget, can_focus=False):
    """The name of a pane, or of all panes that take turns in one place, and what it shows."""

    COMPONENT_CLASSES = STYLES
    DEFAULT_CSS = "PaneTitle { height: 1; }"

    @dataclass
    class Clicked(Message):
        """Somebody clicked on a title."""

        name: str

    def __init__(self, name: str, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pane = name
        self._tabs: tuple[str, ...] = (name,)
        self._active = ""
        self._about = ""

    def show(self, tabs: tuple[str, ...], active: str, about: str) -> None:
        """`tabs` are all names that stand here, `active` the pane that keys scroll."""
        if (tabs, active, about) != (self._tabs, self._active, self._about):
            self._tabs, self._active, self._about = tabs, active, about
            self.refresh()

    def on_click(self) -> None:
        self.post_message(self.Clicked(self._pane))

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        pieces: list[Piece] = []
        for tab in self._tabs:
            mark, style = ("▸", "strong") if tab == self._active else (" ", "dim")
            pieces += [(f"{mark}{tab.capitalize()} ", style)]
        left, right = part(3, *pieces), part(2, (f"{self._about} " if self._about else "", "dim"))
        row = fit([left], [right], width, gap=1)
        return strip(self, [(t if t.strip() or s else "─" * len(t), s or "track") for t, s in row], width)


class SearchBar(Input):
    """The line in which a search is typed; the list narrows with every letter."""

    DEFAULT_CSS = "SearchBar { height: 1; border: none; padding: 0 1; display: none; }"
    BINDINGS = [("escape", "cancel", "end the search")]  # noqa: RUF012

    @dataclass
    class Ended(Message):
        """Enter keeps what is listed; escape lists all again."""

        kept: bool

    def __init__(self, id: str | None = None) -> None:
        super().__init__(placeholder="search words and diffs; enter keeps, esc ends", compact=True, id=id)

    def open(self) -> None:
        """Begin to type."""
        self.display = True
        self.focus()

    def close(self) -> None:
        """Give the keys back."""
        self.display = False
        self.screen.set_focus(None)

    def action_cancel(self) -> None:
        self.value = ""
        self.post_message(self.Ended(False))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Ended(True))


class KeyBar(Widget, can_focus=False):
    """The keys worth knowing now."""

    COMPONENT_CLASSES = STYLES
    DEFAULT_CSS = "KeyBar { height: 1; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._paused = False
        self._over = False

    def show(self, paused: bool, over: bool) -> None:
        """`paused` turns pause into resume; of a run that is over nothing is left to control."""
        if (paused, over) != (self._paused, self._over):
            self._paused, self._over = paused, over
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        return strip(self, fit(self._parts(), [], width), width)

    def _parts(self) -> list[Part]:
        keys = [key for key in KEYS if key.label and not (self._over and key.group == "Run")]
        labels = {"pause": "resume"} if self._paused else {}
        return [part(k.rank, (k.shown, "accent"), (f" {labels.get(k.id, k.label)}", "dim")) for k in keys]
