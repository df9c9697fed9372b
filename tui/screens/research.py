"""The main screen: status, plot, experiments, diff and log."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from textual import events
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.screen import Screen
from textual.widgets import Input

from core.experiment import Experiment
from core.history import Pending
from tui import keys, text
from tui.feed import State, find
from tui.listing import FILTERS
from tui.standing import standing
from tui.widgets.bars import KeyBar, PaneTitle, SearchBar
from tui.widgets.diff import DiffView
from tui.widgets.diffpane import DiffPane
from tui.widgets.experiments import ExperimentList
from tui.widgets.log import LogView
from tui.widgets.plot import MetricPlot
from tui.widgets.status import Notice, StatusStrip

PANES = ("diff", "log")
_ORDERS = {  # columns from which the parts stand in this order
    0: ("plot", "experiments", "diff-pane", "log-pane"),
    100: ("plot", "diff-pane", "experiments", "log-pane"),
    160: ("experiments", "plot", "diff-pane", "log-pane"),
}


class ResearchScreen(Screen[None]):
    """Paints the state it is given; what is selected and which pane is active is all it knows itself."""

    AUTO_FOCUS = ""  # the search line takes letters only when it is opened
    BINDINGS = keys.bindings()
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (100, "-wide"), (160, "-ultra")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (15, "-short"), (20, "-normal"), (34, "-tall")]  # noqa: RUF012

    def __init__(self, run_folder: Path) -> None:
        super().__init__(classes="-pane-diff")
        self._state = State()
        self._pane = "diff"
        self.status = StatusStrip(id="status")
        self.plot = MetricPlot(id="plot")
        self.experiments = ExperimentList(id="experiments")
        self.diffs = DiffPane(run_folder, id="diffs")
        self.log_tail = LogView(id="log")
        self.titles = {pane: PaneTitle(pane, id=f"{pane}-title") for pane in PANES}
        self.key_bar = KeyBar(id="keys")
        self.search_bar = SearchBar(id="search")

    def compose(self) -> ComposeResult:
        yield self.status
        with Container(id="body"):
            yield self.plot
            yield self.experiments
            with Vertical(id="diff-pane"):
                yield self.titles["diff"]
                yield self.diffs
            with Vertical(id="log-pane"):
                yield self.titles["log"]
                yield self.log_tail
        yield self.search_bar
        yield self.key_bar

    def on_mount(self) -> None:
        # Textual sets these classes with the first resize, a painting too late.
        for breakpoints, extent in zip(
            (self.HORIZONTAL_BREAKPOINTS, self.VERTICAL_BREAKPOINTS), self.app.size, strict=True
        ):
            self.add_class(max(entry for entry in breakpoints if entry[0] <= extent)[1])
        self._arrange(self.app.size.width)

    def _arrange(self, width: int) -> None:
        """Grids fill in the order of their children, so that follows from the layout."""
        body = self.query_one("#body")
        for place, name in enumerate(_ORDERS[max(least for least in _ORDERS if least <= width)]):
            child = self.query_one(f"#{name}")
            if body.children[place] is not child:
                body.move_child(child, before=place)

    def show(self, state: State, now: float, notice: Notice | None) -> None:
        """Paint another state; `now` in Unix seconds."""
        self._state = state
        stands = standing(state, now)
        paused = stands.glyph == text.PAUSED
        self.tick(now, notice)
        self.experiments.show(state, stands_still=paused)
        self.key_bar.show(paused, stands.over)
        self._show_selected()

    def tick(self, now: float, notice: Notice | None) -> None:
        """Only time has passed, or a command got its answer."""
        self.status.show(self._state, now, notice)

    def _show_selected(self) -> None:
        state, number = self._state, self.experiments.selected
        self.diffs.show(state, self._entry(number))
        lines, whose = self._log_lines(number)
        self.log_tail.show(whose, lines)
        self.plot.show(state, number)
        about = {
            "diff": self.diffs.summary,
            "log": f"{whose} {'▼' if self.log_tail.following else '(more below)'}" if lines else whose,
        }
        for pane in PANES:
            self.titles[pane].show(PANES if self._one_place else (pane,), self._pane, about[pane])

    @property
    def _one_place(self) -> bool:
        """Whether diff and log take turns in one place."""
        return self.has_class("-narrow") or self.has_class("-tiny")

    def _entry(self, number: int | None) -> Experiment | Pending | None:
        pending = self._state.history.pending
        if number is None:
            return None
        return pending if pending and pending.number == number else find(self._state.history, number)

    def _log_lines(self, number: int | None) -> tuple[tuple[str, ...], str]:
        """The log of the selected experiment, or the engine's while that is all there is; and whose it is."""
        state, entry = self._state, self._entry(number)
        if state.log and state.log.number == number:
            return state.log.lines, f"#{number}{'' if state.log.lines else ': nothing printed'}"
        if isinstance(entry, Experiment) and entry.log_tail:
            return tuple(text.clean_lines(entry.log_tail)), f"#{number} (what is left of it)"
        if state.engine_log and (number is None or state.alive is False):
            return state.engine_log, "engine.log"
        return (), f"#{number} no log yet" if number is not None else ""

    # --- keys

    def on_experiment_list_selected(self, message: ExperimentList.Selected) -> None:
        self._show_selected()

    def on_resize(self, event: events.Resize) -> None:
        self._arrange(event.size.width)
        self.call_after_refresh(self._show_selected)

    def on_pane_title_clicked(self, message: PaneTitle.Clicked) -> None:
        self.action_next_pane() if self._one_place else self.action_pane(message.name)

    def action_select(self, rows: int) -> None:
        self.experiments.move(rows)

    def action_newest(self) -> None:
        self.experiments.newest()

    def action_oldest(self) -> None:
        self.experiments.oldest()

    def action_best(self) -> None:
        self.experiments.best()

    def action_kept(self, direction: int) -> None:
        self.experiments.kept(direction)

    def action_filter(self) -> None:
        listing = self.experiments.listing
        self.experiments.narrow(FILTERS[(FILTERS.index(listing.filter) + 1) % len(FILTERS)], listing.search)

    def action_search(self) -> None:
        self.search_bar.open()

    def on_input_changed(self, message: Input.Changed) -> None:
        self.experiments.narrow(self.experiments.listing.filter, message.value.strip())

    def on_search_bar_ended(self, message: SearchBar.Ended) -> None:
        self.search_bar.close()

    def action_back(self) -> None:
        """Out of the zoom; else all experiments are listed again."""
        if self.has_class("-zoom"):
            self.remove_class("-zoom")
        elif self.experiments.listing.narrowed:
            self.search_bar.value = ""
            self.experiments.narrow("", "")

    def action_zoom(self) -> None:
        self.toggle_class("-zoom")
        self.action_pane(self._pane)

    @property
    def shown_text(self) -> str:
        """What the active pane shows, whole, as plain text."""
        return self.diffs.plain() if self._pane == "diff" else "\n".join(self.log_tail.content)

    def action_pane(self, pane: str) -> None:
        self._pane = pane
        for name in PANES:
            self.set_class(name == pane, f"-pane-{name}")
        self._show_selected()

    def action_next_pane(self) -> None:
        self.action_pane(PANES[(PANES.index(self._pane) + 1) % len(PANES)])

    def action_scroll_pane(self, rows: int) -> None:
        self._active.scroll_rows(rows)
        self._show_selected()

    def action_page_pane(self, direction: int) -> None:
        self.action_scroll_pane(direction * max(1, self._active.size.height // 2))

    def action_diff(self, what: Literal["split", "wrap", "against", "whole", "more", "less"]) -> None:
        self.diffs.turn(what)
        self.action_pane("diff")

    def action_plot(self, what: Literal["quantity", "scale", "axis"]) -> None:
        self.plot.turn(what)

    def action_hunk(self, direction: int) -> None:
        self.diffs.view.hunk(direction)

    def on_diff_view_changed(self) -> None:
        self._show_selected()

    def action_shift_pane(self, columns: int) -> None:
        self._active.scroll_to(x=self._active.scroll_offset.x + columns, animate=False)

    @property
    def _active(self) -> LogView | DiffView:
        return self.diffs.view if self._pane == "diff" else self.log_tail
