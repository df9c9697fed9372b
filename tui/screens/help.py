"""What the keys and the glyphs mean."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from tui import config, keys, text
from tui.widgets.bars import SearchBar, SearchLine

GLYPHS = (
    ("●", "kept"), ("·", "discarded"), ("×", "crash"), ("▶", "running"), ("‖", "paused"),
    ("?", "waits for you"), ("!", "stalled"), ("↑", "off the scale"),
    ("▲", "newer above"),
)  # fmt: skip
_ROOMY = 80  # columns from which the names of the keys stand one below another


class HelpScreen(ModalScreen[None]):
    """Made from the table of keys, and moved about in as less and vim are. `place`: where it is asked for; `trouble`:
    what of the user's own wishes was passed over."""

    AUTO_FOCUS = ""
    BINDINGS = [  # noqa: RUF012
        Binding("question_mark,f1", "dismiss", id="help"),  # the key that opened it, whichever the user has given it
        ("q,enter", "dismiss"),
        ("escape", "back"),
        ("j,down,ctrl+n", "rows(1)"),
        ("k,up,ctrl+p", "rows(-1)"),
        ("space,f,ctrl+f,pagedown", "pages(1)"),
        ("b,ctrl+b,pageup", "pages(-1)"),
        ("d,ctrl+d", "pages(0.5)"),
        ("u,ctrl+u", "pages(-0.5)"),
        ("g,home", "end(False)"),
        ("G,end", "end(True)"),
        Binding("slash", "search", priority=True),  # before what is typed right behind it
    ]
    DEFAULT_CSS = "HelpScreen SearchLine { dock: bottom; }"

    def __init__(self, remapped: Mapping[str, str], place: keys.Place = "run", trouble: str = "") -> None:
        super().__init__()
        self._remapped, self._place, self._trouble = remapped, place, trouble
        self._box = VerticalScroll(classes="box sheet", can_focus=False)
        self._bar = SearchBar()
        self._line = SearchLine(self._bar)
        self._groups = [
            (Static(group, classes="strong", markup=False), Static(), members)
            for group, members in keys.groups(place).items()
        ]
        self._none = Static("no key is about that", classes="dim")
        self._rest = [Static("Glyphs", classes="strong"), Static(self._words())]

    def compose(self) -> ComposeResult:
        self._bar.placeholder = "search the keys; enter keeps, esc ends"
        self._box.border_title, self._box.border_subtitle = "keys", "j k scroll, / searches, esc goes back"
        with self._box:
            if self._trouble:
                yield Static(text.one_line(self._trouble), classes="trouble", markup=False)
            for title, rows, _ in self._groups:
                yield title
                yield rows
            yield self._none
            yield from self._rest
        yield self._line

    def on_resize(self) -> None:
        self._list()

    def _list(self) -> None:
        """The keys about which something says what is searched for, or all."""
        sought = self._bar.value.strip().lower()
        for title, rows, members in self._groups:
            found = [key for key in members if sought in self._about(key).lower()]
            rows.update(self._rows(found))
            title.display = rows.display = bool(found)
        for static in self._rest:
            static.display = not sought
        self._none.display = not any(title.display for title, _, _ in self._groups)

    def _about(self, key: keys.Key) -> str:
        return "\n".join((keys.every(key, self._remapped), keys.words(key, self._place), key.id, key.also))

    def _rows(self, members: list[keys.Key]) -> Table:
        rows = Table.grid(padding=(0, 2, 0, 0))
        rows.add_column(min_width=13, no_wrap=True, style="bold")
        rows.add_column(min_width=45 if self.app.size.width >= _ROOMY else None, max_width=45)
        rows.add_column(style="dim", no_wrap=True)
        for key in members:
            rows.add_row(f"  {keys.every(key, self._remapped)}", keys.words(key, self._place), key.id)
        return rows

    def _words(self) -> Text:
        words = Text()
        for row in GLYPHS[:5], GLYPHS[5:7], GLYPHS[7:]:  # none is torn from its meaning where it is narrow
            words.append("  " + "  ".join(f"{glyph} {meaning}" for glyph, meaning in row) + "\n")
        words.append(f"A key is changed by its grey name, below [keys] in {config.path()}:\n")
        words.append('  [keys]\n  pause = "f5,space"\n  skip = "X"\n')
        words.append("The mouse: a click selects, on a key below presses it; what is marked by dragging, c copies.\n")
        words.append("Shift with the mouse is the terminal's own way to mark.\n")
        words.append(
            "n=2 ±.0039 behind a description: two trials (r asks for another), and their standard deviation.\n"
        )
        words.append("luck?: it was kept, but the mean of its trials is no better than what it was judged by.\n")
        words.append("Under the plot, on its last line: what has no score, × a crash, · a trial that was skipped.\n")
        words.append("Δ is the score minus that of the experiment it was judged by. The line is the best so far.")
        return words

    # --- moving about

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A slash that is typed searches for a slash."""
        return self.focused is None if action == "search" else super().check_action(action, parameters)

    def action_rows(self, rows: int) -> None:
        self._box.scroll_relative(y=rows, animate=False)

    def action_pages(self, pages: float) -> None:
        self._box.scroll_relative(y=int(pages * self._box.scrollable_content_region.height), animate=False)

    def action_end(self, last: bool) -> None:
        self._box.scroll_to(y=self._box.max_scroll_y if last else 0, animate=False)

    def action_search(self) -> None:
        self._bar.open()

    def on_input_changed(self) -> None:
        self._list()

    def on_search_bar_ended(self, message: SearchBar.Ended) -> None:
        message.stop()
        self._bar.close()

    def action_back(self) -> None:
        """All keys again after a search, else out of here."""
        if self._bar.value:
            self._bar.value = ""
        else:
            self.dismiss(None)
