"""Where a new workspace is made: one line, with what stands against it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tui import starting, text
from tui.screens.start_fields import Field, Line

SUGGESTED = "my-research"
WORDS = """\
A repository of its own, with program.md (what you want explored), train.py and task.toml.
Profile and data set are chosen for this machine; `autoresearch init --help` names others.
For a task of your own, type in its folder: autoresearch init --own --file solve.py"""


class NewWorkspaceScreen(ModalScreen[Path | None]):
    """Returns the folder; None: none is wanted."""

    CSS_PATH = "start.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "leave", "back"),
        Binding("ctrl+c", "leave", "back", priority=True),
    ]

    def __init__(self, here: Path) -> None:
        super().__init__()
        self.here = here
        self._field = Field("folder", Line(_free(here), "", "folder"))

    def compose(self) -> ComposeResult:
        with Vertical(classes="box") as box:
            box.border_title = "make a workspace"
            yield Static(WORDS, markup=False)
            yield self._field
            yield Static("enter makes it   esc goes back", classes="box-foot")

    def on_input_changed(self, message: Input.Changed) -> None:
        self._field.show(trouble(self.here, message.value))

    def on_input_submitted(self, message: Input.Submitted) -> None:
        wrong = trouble(self.here, message.value)
        self._field.show(wrong)
        if not wrong:
            self.dismiss(place(self.here, message.value))

    def action_leave(self) -> None:
        self.dismiss(None)


def place(here: Path, typed: str) -> Path:
    """The folder that was typed."""
    return here / Path(typed.strip()).expanduser()


def trouble(here: Path, typed: str) -> str:
    """Why no workspace can be made there; empty where it can."""
    if not typed.strip():
        return "name a new or empty folder"
    folder = place(here, typed)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            return text.one_line(f"{starting.short(folder)}: not empty; name a new or empty folder")
    except (OSError, ValueError, RuntimeError) as error:
        return text.one_line(f"{typed}: {error}")
    return ""


def _free(here: Path) -> str:
    """A folder that can be made: this one if it is empty, else one in it."""
    if not trouble(here, "."):
        return "."
    numbered = (SUGGESTED if k == 1 else f"{SUGGESTED}-{k}" for k in range(1, 1000))
    return next((name for name in numbered if not trouble(here, name)), SUGGESTED)
