"""What is shown where no run exists yet."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from tui import config
from tui.themes import THEMES, ThemedApp

WORDS = """\
There is no run here yet. Leave with q, then type one of these:

  [b]autoresearch demo[/b]           improve a small GPT on real text, here and now; needs nothing
  [b]autoresearch init DIR[/b]       make a workspace of your own: program.md, train.py, task.toml
  [b]autoresearch run[/b]            start research in a workspace

An agent edits train.py, a run of fixed length scores the edit with one number, git keeps what
improved. You watch, pause, skip, read the diffs; or sleep.

  [b]autoresearch doctor[/b]         says what works on this machine and what is missing"""


class StartPage(ThemedApp[None]):
    """A page of text."""

    CSS_PATH = "../app.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = [("q,escape,enter,ctrl+c", "quit", "leave")]  # noqa: RUF012

    def __init__(self) -> None:
        found = config.load(set(THEMES), set())
        super().__init__(found.theme, found.glyphs)

    def compose(self) -> ComposeResult:
        with Vertical(classes="page"):
            yield Static("autoresearch", classes="box-title")
            yield Static(WORDS)
            yield Static("q leave", classes="box-foot")
