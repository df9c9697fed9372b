"""The main screen: status, plot, experiments, diff, log and notes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from textual.app import ComposeResult
from textual.widget import Widget

from core.experiment import Experiment
from core.history import Pending
from tui import asked, keys, text
from tui.feed import State, find
from tui.layout import Part
from tui.screens.searched import SearchedScreen
from tui.standing import HELD, goes_on, standing
from tui.widgets.bars import SearchBar, SearchLine
from tui.widgets.diffpane import DiffPane
from tui.widgets.experiments import ExperimentList
from tui.widgets.keybar import KeyBar
from tui.widgets.log import LogView
from tui.widgets.notes import NotesView
from tui.widgets.panes import Pane, Panes
from tui.widgets.plot import MetricPlot
from tui.widgets.saying import Notice
from tui.widgets.status import StatusStrip


class ResearchScreen(SearchedScreen):
    """Paints the state it is given; what is selected, and how it is arranged, is all it knows itself."""

    AUTO_FOCUS = ""  # the search line takes letters only when it is opened
    BINDINGS = keys.bindings()

    def __init__(self, run_folder: Path) -> None:
        super().__init__()
        self._state, self._over = State(), False
        self.status = StatusStrip(id="status")
        self.plot = MetricPlot(id="plot")
        self.experiments = ExperimentList(id="experiments")
        self.diffs = DiffPane(run_folder, id="diffs")
        self.diffs.view.split, self.diffs.view.wrap = self.arrangement.split, self.arrangement.wrap
        self.log_tail = LogView(id="log")
        self.notes = NotesView(id="notes")
        self._views: dict[Part, DiffPane | LogView | NotesView] = {
            "diff": self.diffs,
            "log": self.log_tail,
            "notes": self.notes,
        }
        self.panes = {pane: Pane(pane, view) for pane, view in self._views.items()}
        parts: dict[Part, Widget] = {"plot": self.plot, "experiments": self.experiments, **self.panes}
        self.body = Panes(parts, id="body")
        self.key_bar = KeyBar(id="keys")
        self.search_bar = SearchBar(id="search")
        self.search_line = SearchLine(self.search_bar)

    def compose(self) -> ComposeResult:
        yield self.status
        yield self.body
        yield self.search_line
        yield self.key_bar

    def show(self, state: State, now: float, notice: Notice | None) -> None:
        """Paint another state; `now` in Unix seconds."""
        self._state = state
        stands = standing(state, now)
        paused = stands.glyph == text.PAUSED
        self.tick(now, notice)
        self.experiments.show(state, stands_still=paused)
        self._over = stands.over
        self._show_selected()

    def tick(self, now: float, notice: Notice | None) -> None:
        """Only time has passed, or a command got its answer."""
        self.status.show(self._state, now, notice)

    def _show_selected(self) -> None:
        state, number = self._state, self.experiments.selected
        entry = self._entry(number)
        self.diffs.show(state, entry, log_in_view="log" in self.body.plan.tabs)
        self.notes.show(state.history, entry)
        lines, whose = self._log_lines(number)
        self.log_tail.show(whose, lines, prose=bool(state.log and state.log.thoughts and whose.endswith("agent")))
        self.plot.show(state, number)
        waits = not self._over and asked.waiting(state.history) is not None
        paused, in_trial = asked.paused(state.history), state.history.phase in ("startup", "training")
        replay = {"": "", HELD: "go on"}.get(state.replay, "hold")
        held, alone = not self._over and paused, self.alone is not None
        self.key_bar.show(held, self._over, waits, alone, in_trial, replay, goes_on(state))
        self._show_titles(whose if not lines else f"{whose} · {self._log_place(number)}".removesuffix(" · "))

    def _show_titles(self, log: str) -> None:
        number = self.experiments.selected
        leave = f" · {self.key_bar.key('whole')}: one alone" if self.diffs.whole_run else ""
        about = {"diff": self.diffs.summary + leave, "log": log, "notes": "" if number is None else f"#{number}"}
        for pane, tabs in self.body.plan.tabs.items():
            self.panes[pane].title.show(tabs, pane == self.pane, about[pane])

    def _log_place(self, number: int | None) -> str:
        live, log, view = self._state.live, self._state.log, self.log_tail
        grows = (live and live.number == number) or (log and log.thoughts and log.number == number)
        follows = "▼ following" if grows and self._state.alive else ""
        place = follows if view.following else f"{view.below} more below"
        return " · ".join(filter(None, ("wrapped" if view.wrap else "", place)))

    def _entry(self, number: int | None) -> Experiment | Pending | None:
        pending = self._state.history.pending
        if number is None:
            return None
        if pending and pending.number == number and not pending.again:
            return pending
        return find(self._state.history, number)

    def _log_lines(self, number: int | None) -> tuple[tuple[str, ...], str]:
        """The log of the selected experiment, or the engine's while that is all there is; and whose it is."""
        state, entry = self._state, self._entry(number)
        if state.log and state.log.number == number and state.log.thoughts:
            return state.log.lines, f"#{number} agent"
        if state.log and state.log.number == number:
            return state.log.lines, f"#{number}{'' if state.log.lines else ': nothing printed'}"
        if isinstance(entry, Experiment) and entry.log_tail:
            return tuple(text.clean_lines(entry.log_tail)), f"#{number} (what is left of it)"
        if state.engine_log and (number is None or state.alive is False):
            return state.engine_log, "engine.log"
        return (), f"#{number} no log{'' if self._over else ' yet'}" if number is not None else ""

    # --- keys

    def on_experiment_list_selected(self, message: ExperimentList.Selected) -> None:
        self.clear_selection()  # what was marked with the mouse is not there any more
        self._show_selected()
        self._tell_found()

    def on_panes_changed(self) -> None:
        self._show_selected()

    def action_select(self, rows: int) -> None:
        self.experiments.move(rows)
        self._show_selected()  # now, to be painted with the list: when the message is here, that is painted already

    def action_newest(self) -> None:
        self.experiments.newest()

    def action_oldest(self) -> None:
        self.experiments.oldest()

    def action_kept(self, direction: int) -> None:
        self.experiments.kept(direction)
        self._show_selected()

    def action_follow(self) -> None:
        """The newest experiment, and the end of its log, from now on."""
        self.experiments.newest()
        self.log_tail.follow()

    @property
    def shown_text(self) -> str:
        """What the active pane shows, whole, as plain text."""
        return self._views[self.pane].plain()

    def activate(self, pane: Part) -> None:
        super().activate(pane)
        self._show_selected()

    def action_diff(self, what: Literal["split", "wrap", "against", "whole", "more", "less"]) -> None:
        if what == "wrap" and self.pane == "log":
            self.log_tail.turn_wrap()
            self._show_selected()
            return
        self.diffs.turn(what)
        view = self.diffs.view
        self.rearrange(replace(self.arrangement, split=view.split, wrap=view.wrap))
        self.activate("diff")

    def action_put_back(self) -> None:
        super().action_put_back()
        self.diffs.view.set_layout(None, False)

    def action_plot(self, what: Literal["quantity", "scale", "axis"]) -> None:
        self.plot.turn(what)

    def on_diff_view_changed(self) -> None:
        self._show_selected()
