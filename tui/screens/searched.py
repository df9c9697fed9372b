"""A screen whose list is narrowed and searched, and shows in its panes what was searched for."""

from __future__ import annotations

from textual.widgets import Input

from tui.listing import FILTERS, Filter
from tui.screens.scrolled import ScrolledScreen
from tui.widgets.bars import SearchBar, SearchLine
from tui.widgets.diffpane import DiffPane


class SearchedScreen(ScrolledScreen):
    """`n` and `N` go from change to change of a diff; while something is searched for, from match to match, and behind
    the last one in a diff to the next experiment that holds it."""

    search_bar: SearchBar
    search_line: SearchLine
    diffs: DiffPane

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The key that opens the search goes before all others; not where it is typed."""
        return self.focused is None if action == "search" else super().check_action(action, parameters)

    def action_search(self) -> None:
        self.search_bar.open()

    def on_input_changed(self, message: Input.Changed) -> None:
        self._narrow(self.experiments.listing.filter, message.value.strip())

    def on_search_bar_ended(self, message: SearchBar.Ended) -> None:
        self.search_bar.close()

    def action_filter(self) -> None:
        listing = self.experiments.listing
        self._narrow(FILTERS[(FILTERS.index(listing.filter) + 1) % len(FILTERS)], listing.search)

    def action_order(self) -> None:
        self.experiments.turn_order()

    def action_back(self) -> None:
        """Out of the zoom; else all experiments are listed again."""
        if self.alone:
            self.action_alone(self.alone)
        elif self.experiments.listing.narrowed:
            self._list_all()

    def action_best(self) -> None:
        best = self.experiments.incumbent
        if best is not None and self.experiments.listing.row_of(best) is None:
            self._list_all()
        self.experiments.best()

    def action_hunk(self, direction: int) -> None:
        view = self.diffs.view
        if view.sought is None:
            view.hunk(direction)
        elif not view.go_to_match(direction) and not self.diffs.whole_run:
            self.experiments.move(direction)

    def _list_all(self) -> None:
        self.search_bar.value = ""
        self._narrow("", "")

    def _narrow(self, filter: Filter, search: str) -> None:
        """List these alone, and show what is searched for wherever it stands."""
        self.experiments.narrow(filter, search)
        for view in self._views.values():
            view.search(self.experiments.listing.sought)
        self._tell_found()

    def _tell_found(self) -> None:
        listing = self.experiments.listing
        self.search_line.tell(listing.place(self.experiments.selected))
