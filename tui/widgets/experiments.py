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
from core.own_words import BY_HAND
from tui import agent_words, text
from tui.feed import State
from tui.listing import Filter, Listing, Order
from tui.repeats import contradicted, repeated
from tui.standing import activity, another
from tui.verdicts import short_reason
from tui.widgets.paint import OUTCOMES, Piece, cell, shorten, strip

_WITH_COST = 76  # columns from which memory and seconds are shown; below, the description needs the room
_WITH_SPREAD = 60  # columns from which repeats are told with their spread
_LEAST_DESCRIBED = 8  # cells that the mark of further trials leaves to the description
_WITH_REASON = 88  # columns from which the reason has a column; below, only one that says something is shown
_PLAIN_REASONS = {"keep", "baseline", "better", "worse"}


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
        self.listing = Listing(History())
        self._seen = 0  # finished experiments there were when the newest was last looked at
        self.following = True
        self.selected: int | None = None

    # --- what it shows

    def show(self, state: State, stands_still: bool) -> None:
        """Paint another state; `stands_still` says that the pending experiment is held."""
        before, was = self._place, (self._state.history, self._state.alive, self._stands_still)
        self._state, self._stands_still = state, stands_still
        if was[0] is state.history and was[1:] == (state.alive, stands_still):
            return  # only what the trial reports has changed: that stands elsewhere
        self.listing = self.listing.after(state.history)
        self.virtual_size = Size(self.size.width, len(self.listing) + 1)
        if self.following or self.selected is None:
            self.select(self.listing.number(0), follow=self.listing.order == "number")
        elif moved := self._place - before:
            self._scroll(self.scroll_offset.y + moved)  # what the user reads stays where it is
        self.refresh()

    @property
    def _place(self) -> int:
        """The row of what is selected; of what is not listed, behind the last."""
        row = None if self.selected is None else self.listing.row_of(self.selected)
        return len(self.listing) if row is None else row

    def narrow(self, filter: Filter, search: str) -> None:
        """List only experiments with this outcome whose words or changed lines hold these; "" and "" list all."""
        self._list(Listing(self._state.history, filter, search, self.listing.order))

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
            self.select(self.listing.number(0))
        else:
            self.select(self.selected)
        self.refresh()

    # --- moving

    def select(self, number: int | None, follow: bool = False) -> None:
        """Select an experiment and bring it into view; `follow` keeps to the newest from now on."""
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

    def best(self) -> None:
        """Select the incumbent."""
        if self._state.history.incumbent is not None:
            self.select(self._state.history.incumbent)

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
            return in_flight(entry, width, waits if entry.awaited else doing, still)
        again = history.pending is not None and history.pending.again and history.pending.number == entry.number
        now = doing if again and not history.ended else ""
        found = self.listing.found_in(entry)
        return finished(entry, width, history.incumbent, now, self._state.direction, found)

    def _heading(self, width: int) -> list[Piece]:
        verdict = f"{'verdict':<11}" if width >= _WITH_REASON else "  "
        cost = f"{'memory':>8} {'time':>7}  " if width >= _WITH_COST else ""
        first = next((e.measurement for e in self._state.history.experiments[:1]), None)
        reported = " (self-reported)" if first and first.self_reported else ""
        heading = f"{'#':>5}  {cell(self._state.metric, 8, 'right')} {'Δ':>9}  {verdict}{cost}"
        new = len(self._state.history.experiments) - self._seen
        listing = self.listing
        sought, by = f"“{listing.search}”" if listing.search else "", "by score" if listing.order == "score" else ""
        narrowed = " ".join(filter(None, (listing.filter, sought, by)))
        mark = f"{len(listing)} {narrowed} " if narrowed else ""
        at_newest = self.following or (not narrowed and self.selected == listing.number(0))
        mark += "" if at_newest else f"▲ {new} new . live " if new > 0 else "▲ . live "
        room = width - cell_len(mark)
        heading += next((w for w in (f"description{reported}", "description") if cell_len(heading + w) < room), "")
        return [(cell(heading.rstrip(), room), "gutter"), (mark, "pausing")]


# --- the rows --------------------------------------------------------------------------------------------------------


def finished(
    e: Experiment, width: int, best: int | None, now: str, better: str = "min", found: str = ""
) -> list[Piece]:
    """The row of a finished experiment. `best`: the incumbent's number; `now`: what another trial of it is doing;
    `better`: "min" or "max"; `found`: where a search found what the row does not show."""
    m, outcome = e.measurement, e.verdict.outcome
    style = OUTCOMES.get(outcome, "")
    reason = short_reason(e.verdict.reason)
    strong = "strong" if e.number == best else ""
    plain = strong or ("" if outcome == "keep" else "dim")
    took = text.clock(m.total_seconds) if m and m.total_seconds else ""  # an imported run has no times
    cost = f"{text.memory(m.peak_memory_mb) if m else '':>8} {took:>7}  "
    told = width >= _WITH_REASON
    said = "" if told or not reason or reason in _PLAIN_REASONS else f"{reason}: "
    before: list[Piece] = [
        (_number(e.number, text.RUNNING if now else ""), "live" if now else "dim"),
        (cell(text.column(m.value if m else None), 8, "right"), plain),
        (cell(text.delta_column(e.delta), 10, "right") + "  ", style if outcome == "keep" else "dim"),
        (text.GLYPHS.get(outcome, "?") + " ", style),
        (cell(reason or text.one_line(outcome), 9) if told else "", "crashed" if outcome == "crash" else "dim"),
        (cost if width >= _WITH_COST else "", "dim"),
        (f"{now} once more: " if now else "", "live"),
        (f"{found}: " if found else "", "accent"),
        (said, "crashed" if outcome == "crash" else "dim"),
        ("edited: " if e.edited and BY_HAND not in e.description else "", "dim"),
        (_origin(e, told), "dim"),
    ]
    room = width - 1 - sum(cell_len(words) for words, _ in before)  # less the mark of the selected row
    mark = (repeated(e, better, spread=width >= _WITH_SPREAD), "pausing" if contradicted(e, better) else "accent")
    return [*before, *_described(text.one_line(e.description), plain, mark, room)]


def _number(number: int, glyph: str) -> str:
    """In six cells, also beyond the thousandth experiment."""
    return f"{f'{glyph}{number:>3}' if glyph else f'{number:>4}':<6}"


def _described(words: str, style: str, mark: Piece, room: int) -> list[Piece]:
    """The description, and behind it the mark of further trials: the words are cut before it is."""
    space = room - cell_len(mark[0]) - 2
    if not mark[0] or space < _LEAST_DESCRIBED:
        return [(f"{mark[0]} " if mark[0] else "", mark[1]), (words, style)]
    return [(cell(words, space) if cell_len(words) > space else words, style), ("  ", ""), mark]


def in_flight(p: Pending, width: int, doing: str, still: bool) -> list[Piece]:
    """The row of the experiment that is under way."""
    glyph, style = (text.PAUSED, "pausing") if still else (text.RUNNING, "live")
    glyph, style = (text.WAITING, "pausing") if p.awaited else (glyph, style)
    described = text.one_line(p.proposed.description) if p.proposed else "…"
    return [
        (_number(p.number, glyph), style),
        (cell(f"{doing:>18}", 18) + "  ", style),
        (" " * (11 if width >= _WITH_REASON else 2), ""),
        (" " * (18 if width >= _WITH_COST else 0), ""),
        ("edited: " if p.edited and BY_HAND not in described else "", "dim"),
        (_origin(p, width >= _WITH_REASON), "dim"),
        (described, ""),
    ]


def _origin(entry: Experiment | Pending, roomy: bool) -> str:
    """How it came about, where that is out of the ordinary: mended after a crash, made with the user's rights."""
    made = agent_words.UNCONFINED if roomy and agent_words.unconfined(entry) else ""
    return "".join(f"{word}: " for word in (agent_words.times_repaired(entry), made) if word)
