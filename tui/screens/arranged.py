"""A screen whose panes the user arranges: which is in front, which is alone, where the borders are. It remembers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from textual import events
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer

from tui.arrangement import Arrangement, keep, recall
from tui.layout import PANES, Border, Part, beside, kind_of, moved, taller
from tui.widgets.bars import PaneTitle
from tui.widgets.panes import Panes

_KEPT_AFTER_SECONDS = 1.0


class ArrangedScreen(Screen[None]):
    """Its `body` is placed by what is known here; whoever extends it fills the parts, and repaints on `Panes.Changed`.

    `pane` is the active one, which the keys scroll; `alone` the part that has the whole window, if any.
    """

    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (100, "-wide"), (160, "-ultra")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (15, "-high")]  # noqa: RUF012

    body: Panes

    @dataclass
    class Refused(Message):
        """A key asked for what cannot be done; the words say why."""

        words: str

    def __init__(self) -> None:
        super().__init__()
        self.arrangement = recall()
        self.alone: Part | None = None
        self._front: tuple[Part, ...] = _first(self.arrangement.pane, PANES)
        self._keeping: Timer | None = None

    @property
    def pane(self) -> Part:
        return self._front[0]

    def on_mount(self) -> None:
        # Textual sets these classes with the first resize, a painting too late. Styles come after this, for the resume.
        for breakpoints, extent in zip(
            (self.HORIZONTAL_BREAKPOINTS, self.VERTICAL_BREAKPOINTS), self.app.size, strict=True
        ):
            self.add_class(max(entry for entry in breakpoints if entry[0] <= extent)[1], update=False)
        self.place()

    def on_resize(self, event: events.Resize) -> None:
        self.place()

    def on_unmount(self) -> None:
        if self._keeping is not None:
            keep(self.arrangement)

    def place(self) -> None:
        """Put every part where it belongs now."""
        kind = kind_of(self.app.size)
        self.body.show(kind, self._front, self.arrangement.of(kind), self.alone)

    def rearrange(self, arrangement: Arrangement) -> None:
        """Arrange it so from now on, and the next time."""
        if arrangement == self.arrangement:
            return
        self.arrangement = arrangement
        self.place()
        if self._keeping is None:
            self._keeping = self.set_timer(_KEPT_AFTER_SECONDS, self._keep)

    def _keep(self) -> None:
        self._keeping = None
        keep(self.arrangement)

    def activate(self, pane: Part) -> None:
        """Bring a pane to the front: the keys scroll it."""
        self._front = _first(pane, self._front)
        self.alone = pane if self.alone else None
        self.rearrange(replace(self.arrangement, pane=pane))
        self.place()

    # --- borders

    def _move(self, found: tuple[Border, int] | None) -> None:
        """Move a border, or say that nothing moves."""
        if found is not None:
            self.rearrange(self.arrangement.moved(self.body.plan.kind, *found))
        elif self.alone:
            self.post_message(self.Refused("nothing to move: one part has the whole window; esc goes back"))
        else:
            self.post_message(self.Refused("nothing to move in this layout, or no further"))

    def on_panes_moved(self, message: Panes.Moved) -> None:
        self._move((message.border, message.cells))

    def action_border(self, columns: int) -> None:
        """Move the upright border beside the active pane."""
        self._move(moved(self.body.plan, beside(self.body.plan, self.pane), columns))

    def action_taller(self, rows: int) -> None:
        """The active pane taller, or lower."""
        self._move(taller(self.body.plan, self.pane, rows))

    def action_plot_taller(self, rows: int) -> None:
        """The plot taller, or lower."""
        self._move(moved(self.body.plan, "plot", rows))

    def action_put_back(self) -> None:
        """Everything about the layout as it comes."""
        self.alone = None
        self.rearrange(replace(self.arrangement.put_back(self.body.plan.kind), split=None, wrap=False))
        self.place()

    # --- which part is seen

    def on_pane_title_clicked(self, message: PaneTitle.Clicked) -> None:
        self.activate(message.name)

    def action_pane(self, pane: Literal["diff", "log", "notes"]) -> None:
        self.activate(pane)

    def action_next_pane(self) -> None:
        self.activate(PANES[(PANES.index(self.pane) + 1) % len(PANES)])

    def action_zoom(self) -> None:
        self.action_alone(self.alone or self.pane)

    def action_alone(self, part: Part) -> None:
        """Give a part the whole window, or take it back."""
        self.alone = None if self.alone == part else part
        self.place()


def _first(pane: Part, panes: tuple[Part, ...]) -> tuple[Part, ...]:
    return (pane, *(other for other in panes if other != pane))
