"""What the keys and the glyphs mean."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui import config, keys

GLYPHS = (("●", "kept"), ("·", "discarded"), ("×", "crash"), ("▶", "running"), ("‖", "paused"), ("↑", "off the scale"))


class HelpScreen(ModalScreen[None]):
    """Made from the table of keys."""

    BINDINGS = [("escape,q,question_mark,f1,enter", "dismiss", "back")]  # noqa: RUF012

    def __init__(self, remapped: Mapping[str, str]) -> None:
        super().__init__()
        self._remapped = remapped

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box") as box:
            box.border_title, box.border_subtitle = "keys", "↓ ↑ scroll, esc goes back"
            yield Static(self._words())

    def _words(self) -> Text:
        words = Text()
        for group, members in keys.groups(self._remapped).items():
            words.append(f"{group}\n", "bold")
            for key in members:
                words.append(f"  {keys.shown(key, self._remapped):<15}", "bold")
                words.append(f"{key.help}  ")
                words.append(f"{key.id}\n", "dim")
        words.append("Glyphs\n", "bold")
        words.append("  " + "   ".join(f"{glyph} {meaning}" for glyph, meaning in GLYPHS) + "\n")
        words.append(f"A key can be changed by its grey name: [keys] in {config.path()}\n")
        words.append("Δ is the score minus that of the experiment it was judged by. The line is the best so far.\n")
        words.rstrip()
        return words
