"""What the keys and the glyphs mean."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui import config, keys

GLYPHS = (
    ("●", "kept"), ("·", "discarded"), ("×", "crash"), ("▶", "running"), ("‖", "paused"),
    ("?", "waits for you"), ("!", "stalled"), ("↑", "off the scale"),
    ("▲", "newer above"),
)  # fmt: skip


class HelpScreen(ModalScreen[None]):
    """Made from the table of keys."""

    BINDINGS = [("escape,q,question_mark,f1,enter", "dismiss", "back")]  # noqa: RUF012

    def __init__(self, remapped: Mapping[str, str]) -> None:
        super().__init__()
        self._remapped = remapped

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box sheet") as box:
            box.border_title, box.border_subtitle = "keys", "↓ ↑ scroll, esc goes back"
            for group, members in keys.groups(self._remapped).items():
                yield Static(group, classes="strong", markup=False)
                yield Static(self._rows(members))
            yield Static("Glyphs", classes="strong")
            yield Static(self._words())

    def _rows(self, members: list[keys.Key]) -> Table:
        rows = Table.grid(padding=(0, 2, 0, 0))
        rows.add_column(width=15, no_wrap=True, style="bold")
        rows.add_column(max_width=45)
        rows.add_column(style="dim", no_wrap=True)
        for key in members:
            rows.add_row(f"  {keys.shown(key, self._remapped)}", key.help, key.id)
        return rows

    def _words(self) -> Text:
        words = Text()
        for row in GLYPHS[:5], GLYPHS[5:7], GLYPHS[7:]:  # none is torn from its meaning where it is narrow
            words.append("  " + "  ".join(f"{glyph} {meaning}" for glyph, meaning in row) + "\n")
        words.append(f"A key can be changed by its grey name: [keys] in {config.path()}\n")
        words.append("The mouse: a click selects, on a key below presses it; what is marked by dragging, c copies.\n")
        words.append("Shift with the mouse is the terminal's own way to mark.\n")
        words.append(
            "n=2 ±.0039 behind a description: two trials (r asks for another), and their standard deviation.\n"
        )
        words.append("luck?: it was kept, but the mean of its trials is no better than what it was judged by.\n")
        words.append("Under the plot, on its last line: what has no score, × a crash, · a trial that was skipped.\n")
        words.append("Δ is the score minus that of the experiment it was judged by. The line is the best so far.")
        return words
