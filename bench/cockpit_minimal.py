"""The least that a Textual app can be: what the cockpit's start and idle cost are compared with."""

from textual.app import App, ComposeResult
from textual.widgets import Static


class Minimal(App[None]):
    def compose(self) -> ComposeResult:
        yield Static("minimal app")


Minimal().run()
