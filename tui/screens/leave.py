"""The question before leaving: what becomes of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

Choice = Literal["detach", "stop", "stop-now"]

CHOICES: tuple[tuple[str, Choice | None, str], ...] = (
    ("d", "detach", "detach"),
    ("a", "stop", "stop after this"),
    ("n", "stop-now", "stop now"),
    ("c", None, "cancel"),
)


class LeaveScreen(ModalScreen[Choice | None]):
    """Returns what was chosen; None: stay."""

    BINDINGS = [  # noqa: RUF012
        *((key, f"choose({i})", words) for i, (key, _, words) in enumerate(CHOICES)),
        ("escape,q", "choose(3)", "cancel"),
        ("down,j,tab", "move(1)", "down"),
        ("up,k,shift+tab", "move(-1)", "up"),
        ("enter", "take", "choose"),
    ]

    def __init__(self, means: Sequence[str], warning: str, resume: str, back: str) -> None:
        """`means`: what comes of each choice but the last. `warning`: why a run that is left alone stands still, now or
        before long. `resume`: the command that goes on with one that was stopped; `back`: the one that shows this run
        again."""
        super().__init__()
        self._means, self._warning = (*means, "stay here"), warning
        self._resume, self._back, self._at = resume, back, 0

    def compose(self) -> ComposeResult:
        with Vertical(classes="box") as box:
            box.border_title = "leave the cockpit"
            yield Static(self._choices(), id="choices")
            if self._warning:
                yield Static(f"\n{self._warning}", markup=False, classes="pausing")
            foot = f"nothing is lost: `{self._resume}` goes on where a run stopped"
            if self._back != "autoresearch":
                foot += f"\nfrom this folder, `{self._back}` comes back"
            yield Static(foot, markup=False, classes="box-foot")

    def _choices(self) -> Text:
        words = Text()
        for i, (key, choice, name) in enumerate(CHOICES):
            chosen = i == self._at
            words.append(f"{'›' if chosen else ' '} {key}  ", "bold")
            words.append(f"{name:<16}", "bold reverse" if chosen else "bold")
            back = "see below" if self._back != "autoresearch" else "`autoresearch` comes back to it"
            words.append(f" {self._means[i]}{f'; {back}' if choice == 'detach' else ''}\n")
        words.rstrip()
        return words

    def action_choose(self, index: int) -> None:
        self.dismiss(CHOICES[index][1])

    def action_move(self, rows: int) -> None:
        self._at = (self._at + rows) % len(CHOICES)
        self.query_one("#choices", Static).update(self._choices())

    def action_take(self) -> None:
        self.action_choose(self._at)
