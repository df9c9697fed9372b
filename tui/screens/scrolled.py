"""A screen whose active pane is scrolled from the list, without leaving it."""

from __future__ import annotations

from typing import Any

from tui.layout import Part
from tui.screens.arranged import ArrangedScreen
from tui.widgets.diffpane import DiffPane
from tui.widgets.experiments import ExperimentList
from tui.widgets.lines import LineView
from tui.widgets.log import LogView
from tui.widgets.notes import NotesView


class ScrolledScreen(ArrangedScreen):
    """`experiments`, and the panes' views by name, are those of the screen that this is."""

    experiments: ExperimentList
    _views: dict[Part, DiffPane | LogView | NotesView]

    def action_scroll_pane(self, rows: int) -> None:
        if self.alone == "experiments":
            self.experiments.move(rows)
        elif self.alone != "plot":
            self._active.scroll_rows(rows)
            self._show_selected()

    def action_page_pane(self, direction: int) -> None:
        self.action_scroll_pane(direction * max(1, self._active.size.height // 2))

    def action_end_pane(self, direction: int) -> None:
        """To the first row, or the last."""
        if self.alone == "experiments":
            self.experiments.move(direction * len(self.experiments.listing))
        elif self.alone != "plot":
            self._active.to_end(direction)
            self._show_selected()

    def action_shift_pane(self, columns: int) -> None:
        self._active.scroll_to(x=self._active.scroll_offset.x + columns, animate=False)

    @property
    def _active(self) -> LineView[Any]:
        view = self._views[self.pane]
        return view.view if isinstance(view, DiffPane) else view

    def _show_selected(self) -> None:
        """Show what belongs to the selected experiment, titles included."""
        raise NotImplementedError
