"""A few lines to type at the bottom of the screen, while the run goes on above them."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import TextArea

from core.facts import fact
from tui import text

FOOT = "enter sends   ctrl+j new line   esc keeps it for later"


@fact
class Typed:
    """What stood there at the end. `send`: or only to be kept."""

    words: str
    send: bool


class Words(TextArea):
    """Its keys are no bindings: those overtake letters that were typed before them."""

    @dataclass
    class Ended(Message):
        """Nothing more is typed; `send` or keep it."""

        send: bool

    def on_key(self, event: events.Key) -> None:
        if event.key not in ("enter", "escape", "ctrl+j"):
            return
        event.stop()
        event.prevent_default()
        if event.key == "ctrl+j":
            self.insert("\n")
        else:
            self.post_message(self.Ended(event.key == "enter"))

    def on_paste(self, event: events.Paste) -> None:
        """Nothing but letters may reach the terminal."""
        event.text = "\n".join(text.clean_lines(event.text.replace("\r\n", "\n").replace("\r", "\n")))


class Prompt(ModalScreen[Typed | None]):
    """Returns what was typed; `draft` is what was typed the last time, `empty` whether nothing at all may be sent."""

    def __init__(self, title: str, draft: str = "", *, empty: bool = False) -> None:
        super().__init__(classes="bottom")
        self._title, self._empty = title, empty
        self._words = Words(
            draft, soft_wrap=True, show_line_numbers=False, compact=True, highlight_cursor_line=False
        )  # fmt: skip

    def compose(self) -> ComposeResult:
        with Vertical(classes="box") as box:
            box.border_title, box.border_subtitle = self._title, FOOT
            yield self._words

    def on_mount(self) -> None:
        self._words.move_cursor(self._words.document.end)
        self.set_focus(self._words)

    def on_words_ended(self, message: Words.Ended) -> None:
        typed = self._words.text.strip()
        if typed or self._empty or not message.send:
            self.dismiss(Typed(typed, message.send))
