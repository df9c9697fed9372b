"""The question before leaving: what becomes of the engine."""

from __future__ import annotations

from typing import Literal

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

Choice = Literal["detach", "stop", "stop-now"]

CHOICES: tuple[tuple[str, Choice | None, str, str], ...] = (
    ("d", "detach", "detach", "the engine goes on; `autoresearch` comes back to it"),
    ("a", "stop", "stop after this", "this experiment is finished, then the run ends"),
    ("n", "stop-now", "stop now", "this trial is cut; resume runs it again"),
    ("c", None, "cancel", "stay here"),
)
APPROVAL = "\napproval is on: the engine goes on to its next proposal, and waits for your yes there"


class LeaveScreen(ModalScreen[Choice | None]):
    """Returns what was chosen; None: stay."""

    BINDINGS = [  # noqa: RUF012
        *((key, f"choose({i})", words) for i, (key, _, words, _) in enumerate(CHOICES)),
        ("escape,q", "choose(3)", "cancel"),
        ("down,j,tab", "move(1)", "down"),
        ("up,k,shift+tab", "move(-1)", "up"),
        ("enter", "take", "choose"),
    ]

    def __init__(self, approval: bool = False, resume: str = "autoresearch resume", back: str = "autoresearch") -> None:
        """`approval`: it is on, so a run that is left alone stands still before long. `resume`: the command that goes
        on with one that was stopped; `back`: the one that shows this run again."""
        super().__init__()
        self._approval, self._resume, self._back, self._at = approval, resume, back, 0

    def compose(self) -> ComposeResult:
        with Vertical(classes="box") as box:
            box.border_title = "leave the cockpit"
            yield Static(self._choices(), id="choices")
            if self._approval:
                yield Static(APPROVAL, classes="pausing")
            foot = f"nothing is lost: `{self._resume}` goes on where a run stopped"
            if self._back != "autoresearch":
                foot += f"\nfrom this folder, `{self._back}` comes back"
            yield Static(foot, markup=False, classes="box-foot")

    def _choices(self) -> Text:
        words = Text()
        for i, (key, _, name, means) in enumerate(CHOICES):
            chosen = i == self._at
            words.append(f"{'›' if chosen else ' '} {key}  ", "bold")
            words.append(f"{name:<16}", "bold reverse" if chosen else "bold")
            away = self._back != "autoresearch" and "`autoresearch`" in means
            words.append(f" {'the engine goes on; see below' if away else means}\n")
        words.rstrip()
        return words

    def action_choose(self, index: int) -> None:
        self.dismiss(CHOICES[index][1])

    def action_move(self, rows: int) -> None:
        self._at = (self._at + rows) % len(CHOICES)
        self.query_one("#choices", Static).update(self._choices())

    def action_take(self) -> None:
        self.action_choose(self._at)
