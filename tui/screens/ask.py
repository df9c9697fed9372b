"""A question to be answered with yes or no."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static


class AskScreen(ModalScreen[bool]):
    """Returns whether the answer was yes."""

    BINDINGS = [  # noqa: RUF012
        ("y,enter", "answer(True)", "yes"),
        ("n,escape,q", "answer(False)", "no"),
    ]

    def __init__(self, title: str, question: str) -> None:
        super().__init__()
        self._title, self._question = title, question

    def compose(self) -> ComposeResult:
        with Vertical(classes="question"), Vertical(classes="box") as box:
            box.border_title = self._title
            yield Static(self._question, markup=False)
            yield Static("y yes   n no", classes="box-foot")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)
