"""A few lines to type at the bottom of the screen, while the run goes on above them."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import TextArea

from tui import text

FOOT = "enter sends   ctrl+j new line   esc keeps it for later"


@dataclass(frozen=True, slots=True)
class Typed:
    """What stood there at the end. `send`: or only to be kept."""

    words: str
    send: bool


class Words(TextArea):
    """Pasted text is cleaned: nothing but letters may reach the terminal."""

    def on_paste(self, event: events.Paste) -> None:
        event.text = "\n".join(text.clean_lines(event.text.replace("\r\n", "\n").replace("\r", "\n")))


class Prompt(ModalScreen[Typed | None]):
    """Returns what was typed; `draft` is what was typed the last time, `empty` whether nothing at all may be sent."""

    BINDINGS = [  # noqa: RUF012
        Binding("escape", "keep", "keep it for later", priority=True),
        Binding("ctrl+j", "new_line", "new line", priority=True),
        Binding("enter", "send", "send", priority=True),
    ]

    def __init__(self, title: str, draft: str = "", *, empty: bool = False) -> None:
        super().__init__(classes="bottom")
        self._title, self._draft, self._empty = title, draft, empty

    def compose(self) -> ComposeResult:
        with Vertical(classes="box") as box:
            box.border_title, box.border_subtitle = self._title, FOOT
            yield Words(self._draft, soft_wrap=True, show_line_numbers=False, compact=True, highlight_cursor_line=False)

    def on_mount(self) -> None:
        words = self.query_one(Words)
        words.move_cursor(words.document.end)
        self.set_focus(words)

    def action_keep(self) -> None:
        self.dismiss(Typed(self.query_one(Words).text, send=False))

    def action_new_line(self) -> None:
        self.query_one(Words).insert("\n")

    def action_send(self) -> None:
        typed = self.query_one(Words).text.strip()
        if typed or self._empty:
            self.dismiss(Typed(typed, send=True))
