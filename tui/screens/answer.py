"""The question about a proposal that waits: what it changes above, the user's word below."""

from __future__ import annotations

from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from core.events import ApprovalAwaited

Reply = Literal["yes", "no", "edit", "undo", "later"]
REPLIES: tuple[tuple[str, Reply, str], ...] = (
    ("y", "yes", "yes"),
    ("n", "no", "no, and why"),
    ("e", "edit", "edit it in $EDITOR"),
    ("u", "undo", "undo the edit"),
    ("escape", "later", "esc later"),
)


class AnswerScreen(ModalScreen[None]):
    """Answers by `app.reply`: so what is typed behind a key goes to what that key opens. `edited`: what the user's own
    version changes in the proposal, empty while there is none."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"app.reply('{reply}')", words, priority=True) for key, reply, words in REPLIES),
        Binding("q", "app.reply('later')", "later", priority=True),
    ]

    def __init__(self, awaited: ApprovalAwaited, proposal: str, edited: str) -> None:
        super().__init__(classes="bottom")
        self.awaited = awaited
        self._proposal, self.edited = proposal, edited

    def compose(self) -> ComposeResult:
        with Vertical(classes="box") as box:
            box.border_title, box.border_subtitle = f"#{self.awaited.number} waits for your yes", self._keys()
            yield Static(self._proposal, markup=False, classes="strong")
            if self.edited:
                yield Static(self.edited, markup=False, classes="accent")

    def _keys(self) -> str:
        offered = [(key, words) for key, reply, words in REPLIES if self.edited or reply != "undo"]
        told = [words if key == "escape" else f"{key} {words}" for key, words in offered]
        if self.edited:
            told[0], told[2] = "y yes, as edited", "e edit"  # all of it in 80 columns
        return "   ".join(told)
