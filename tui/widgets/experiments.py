"""The list of experiments, newest first."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from core.experiment import Experiment
from core.history import History, Pending
from tui.feed import State
from tui.listing import Filter, Listing, Order
from tui.standing import activity, another
from tui.widgets.columns import Columns
from tui.widgets.paint import Piece, shorten, strip
from tui.widgets.rows import finished, in_flight

_ROOMY = 70  # columns from which the heading has room for all of what the list is ordered by


class ExperimentList(ScrollView, can_focus=False):
    """One row an experiment under a fixed heading. `selected` follows the newest until the user moves."""

    ALLOW_SELECT = False

    @dataclass
    class Selected(Message):
        """Another experiment is selected; None while there is none."""

        number: int | None

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._state = State()
        self._stands_still = False
        self.listing, self._columns = Listing(History()), Columns()
        self._seen = 0  # finished experiments there were when the newest was last looked at
        self.following = True
        self.selected: int | None = None
        self._own: tuple[int | None, bool] | None = None  # selected and followed before a filter left it out

    # --- what it shows

    def show(self, state: State, stands_still: bool) -> None:
        """Paint another state; `stands_still` says that the pending experiment is held."""
        before, was = self._place, (self._state.history, self._state.alive, self._stands_still)
        self._state, self._stands_still = state, stands_still
        if was[0] is state.history and was[1:] == (state.alive, stands_still):
            return  # only what the trial reports has changed: that stands elsewhere
        self.listing = self.listing.after(state.history)
        self._columns = self._columns.after(state.history.experiments, state.metric)
        self.virtual_size = Size(self.size.width, len(self.listing) + 1)
        if self.following or self.selected is None:
            self._select(self.listing.number(0), follow=self.listing.order == "number")
        elif moved := self._place - before:
            self._scroll(self.scroll_offset.y + moved)  # what the user reads stays where it is
        self.refresh()

    @property
    def _place(self) -> int:
        """The row of what is selected; of what is not listed, behind the last."""
        row = None if self.selected is None else self.listing.row_of(self.selected)
        return len(self.listing) if row is None else row

    def narrow(self, filter: Filter, search: str) -> None:
        """List only experiments with this outcome whose words or changed lines hold these; "" and "" list all. What a
        filter leaves out is selected again where it is listed again, unless another has been selected since."""
        listing = Listing(self._state.history, filter, search, self.listing.order)
        number, followed = (search == self.listing.search and self._own) or (self.selected, self.following)
        self._own = (number, followed) if filter and search == self.listing.search else None
        self._list(listing)
        if followed and listing.order == "number" and not listing.narrowed:
            self._select(listing.number(0), follow=True)
        elif not followed and number is not None and listing.row_of(number) is not None:
            self._select(number)

    def turn_order(self) -> None:
        """List by score, the best first, or by number again. By score nothing is followed."""
        listing = self.listing
        order: Order = "number" if listing.order == "score" else "score"
        was_following = self.following
        self._list(Listing(self._state.history, listing.filter, listing.search, order))
        if was_following:  # nothing was chosen that should stay in view
            self.select(self.listing.number(0))

    def _list(self, listing: Listing) -> None:
        """Show this listing; what was selected stays so where it is listed."""
        self.listing = listing
        self.virtual_size = Size(self.size.width, len(self.listing) + 1)
        if self.selected is None or self.listing.row_of(self.selected) is None:
            self._select(self.listing.number(0))
        else:
            self._select(self.selected)
        self.refresh()

    # --- moving

    def select(self, number: int | None, follow: bool = False) -> None:
        """Select an experiment and bring it into view; `follow` keeps to the newest from now on."""
        self._own = None
        self._select(number, follow)

    def _select(self, number: int | None, follow: bool = False) -> None:
        before, self.following = self.selected, follow
        if follow:
            self._seen = len(self._state.history.experiments)
        if number != self.selected:
            self.selected = number
            # Of its own accord, whoever asked for it: a message that comes back to its sender goes no further.
            self.post_message(self.Selected(number).set_sender(self))
        self._reveal()
        self.refresh(Region(0, 0, self.size.width, 1))  # the heading says whether it follows
        for changed in (before, number):
            if changed is not None and (row := self.listing.row_of(changed)) is not None:
                self.refresh_line(row + 1)

    def move(self, rows: int) -> None:
        """Select the experiment that many rows further down."""
        at = self.listing.row_of(self.selected) if self.selected is not None else None
        if len(self.listing):
            row = min(len(self.listing) - 1, max(0, (at or 0) + rows))
            self.select(self.listing.number(row), follow=row == 0 and self.listing.pending is not None)

    def newest(self) -> None:
        if self.listing.order == "score":
            self.turn_order()
        self.select(self.listing.number(0), follow=True)

    def oldest(self) -> None:
        self.select(self.listing.number(len(self.listing) - 1))

    @property
    def incumbent(self) -> int | None:
        return self._state.history.incumbent

    def best(self) -> None:
        """Select the incumbent."""
        if self.incumbent is not None:
            self.select(self.incumbent)

    def kept(self, direction: int) -> None:
        """Select the kept experiment before (-1) or after (1) this one."""
        number = self.listing.kept(self.selected, direction)
        if number is not None:
            self.select(number)

    def _reveal(self) -> None:
        """Bring the selected row into view: by a row where it is the next one, else to the middle."""
        row = None if self.selected is None else self.listing.row_of(self.selected)
        rows = max(1, self.size.height - 1)
        top = min(self.scroll_offset.y, self.max_scroll_y)
        if row is not None and not top <= row < top + rows:
            top = row if row == top - 1 else row - rows + 1 if row == top + rows else row - rows // 2
        self._scroll(top)

    def _scroll(self, y: int) -> None:
        self.scroll_to(y=y, animate=False, force=True)  # whether it scrolls is settled only with the next layout

    def on_click(self, event: events.Click) -> None:
        number = self.listing.number(event.y - 1 + self.scroll_offset.y) if event.y else None
        if number is not None:
            self.select(number)

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.listing) + 1)
        self._reveal()

    # --- drawing

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        if y == 0:
            return strip(self, self._heading(width), width)
        entry = self.listing.entry(y - 1 + self.scroll_offset.y)
        if entry is None:
            empty = y == 1 and not len(self.listing)
            words = "none of them; esc shows all" if self.listing.narrowed else "no experiment yet"
            return strip(self, [(f"  {words}", "dim")] if empty else (), width)
        chosen = "cursor" if entry.number == self.selected else ""
        pieces = self._row(entry, width)
        pieces.insert(0, ("›" if chosen else " ", "strong"))
        return strip(self, shorten(pieces, width), width, chosen)

    def _row(self, entry: Experiment | Pending, width: int) -> list[Piece]:
        history = self._state.history
        still = self._stands_still or history.standing_still
        doing = "held" if self._stands_still else activity(self._state) or "cut off"
        if not isinstance(entry, Experiment):
            waits = "a new one waits" if another(self._state) else "waits for you"
            cut = self._state.alive is False
            return in_flight(entry, width, waits if entry.awaited else doing, still, self._columns, cut)
        again = history.pending is not None and history.pending.again and history.pending.number == entry.number
        now = doing if again and not history.ended else ""
        found, sought = self.listing.found_in(entry), self.listing.sought
        return finished(entry, width, history.incumbent, now, self._state.direction, found, sought, self._columns)

    def _heading(self, width: int) -> list[Piece]:
        first = next((e.measurement for e in self._state.history.experiments[:1]), None)
        new = len(self._state.history.experiments) - self._seen
        listing = self.listing
        sought, by = f"“{listing.search}”" if listing.search else "", _by(listing, width)
        narrowed = " ".join(filter(None, (listing.filter, sought, by)))
        mark = f"{listing.place(self.selected) or len(listing)} {narrowed} " if narrowed else ""
        at_newest = self.following or (not narrowed and self.selected == listing.number(0))
        mark += "" if at_newest else f"▲ {new} new . live " if new > 0 else "▲ . live "
        heading = self._columns.heading(width, bool(first and first.self_reported), width - cell_len(mark))
        return [(heading, "gutter"), (mark, "pausing")]


def _by(listing: Listing, width: int) -> str:
    """How it is ordered, where that is not by number."""
    if listing.order == "number":
        return ""
    return "by score, or mean of further trials" if listing.by_means and width >= _ROOMY else "by score"
