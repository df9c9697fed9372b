"""The list of experiments, newest first."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from core.experiment import Experiment
from core.history import Pending
from tui import text
from tui.feed import State
from tui.standing import activity
from tui.widgets.paint import OUTCOMES, STYLES, Piece, cell, shorten, strip

_WITH_COST = 88  # columns from which memory and seconds are shown
_WITH_REASON = 60  # columns from which the reason has a column; below, only one that says something is shown
_PLAIN_REASONS = {"keep", "baseline", "better", "worse"}


class ExperimentList(ScrollView, can_focus=False):
    """One row an experiment under a fixed heading. `selected` follows the newest until the user moves."""

    COMPONENT_CLASSES = STYLES

    @dataclass
    class Selected(Message):
        """Another experiment is selected; None while there is none."""

        number: int | None

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._state = State()
        self._stands_still = False
        self.following = True
        self.selected: int | None = None

    # --- what it shows

    def show(self, state: State, stands_still: bool) -> None:
        """Paint another state; `stands_still` says that the pending experiment is held."""
        before = self._count
        self._state, self._stands_still = state, stands_still
        self.virtual_size = Size(self.size.width, self._count + 1)
        if self.following or self.selected is None:
            self.select(self._number_at(0), follow=True)
        elif added := self._count - before:
            self.scroll_to(y=self.scroll_offset.y + added, animate=False)  # what the user reads stays where it is
        self.refresh()

    @property
    def _pending(self) -> Pending | None:
        h = self._state.history
        return None if h.ended else h.pending

    @property
    def _count(self) -> int:
        return len(self._state.history.experiments) + (self._pending is not None)

    def _number_at(self, row: int) -> int | None:
        entry = self._entry(row)
        return entry.number if entry else None

    def _entry(self, row: int) -> Experiment | Pending | None:
        pending, experiments = self._pending, self._state.history.experiments
        row -= pending is not None
        if row < 0:
            return pending
        return experiments[-1 - row] if row < len(experiments) else None

    def _row_of(self, number: int) -> int | None:
        pending, experiments = self._pending, self._state.history.experiments
        if pending and pending.number == number:
            return 0
        index = number if 0 <= number < len(experiments) and experiments[number].number == number else None
        if index is None:
            index = next((i for i, e in enumerate(experiments) if e.number == number), None)
        return None if index is None else len(experiments) - 1 - index + (pending is not None)

    # --- moving

    def select(self, number: int | None, follow: bool = False) -> None:
        """Select an experiment and bring it into view; `follow` keeps to the newest from now on."""
        self.following = follow
        if number != self.selected:
            self.selected = number
            self.post_message(self.Selected(number))
        row = None if number is None else self._row_of(number)
        if row is not None:
            self._reveal(row)
        self.refresh()

    def move(self, rows: int) -> None:
        """Select the experiment that many rows further down."""
        at = self._row_of(self.selected) if self.selected is not None else None
        if self._count:
            row = min(self._count - 1, max(0, (at or 0) + rows))
            self.select(self._number_at(row), follow=row == 0 and self._pending is not None)

    def newest(self) -> None:
        self.select(self._number_at(0), follow=True)

    def oldest(self) -> None:
        self.select(self._number_at(self._count - 1))

    def best(self) -> None:
        """Select the incumbent."""
        if self._state.history.incumbent is not None:
            self.select(self._state.history.incumbent)

    def _reveal(self, row: int) -> None:
        top, rows = self.scroll_offset.y, max(1, self.size.height - 1)
        if not top <= row < top + rows:
            self.scroll_to(y=row if row < top else row - rows + 1, animate=False)

    def on_click(self, event: events.Click) -> None:
        number = self._number_at(event.y - 1 + self.scroll_offset.y) if event.y else None
        if number is not None:
            self.select(number)

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, self._count + 1)

    # --- drawing

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        if y == 0:
            return strip(self, self._heading(width), width)
        entry = self._entry(y - 1 + self.scroll_offset.y)
        if entry is None:
            empty = y == 1 and not self._count
            return strip(self, [("  no experiment yet", "dim")] if empty else (), width)
        chosen = "cursor" if entry.number == self.selected else ""
        pieces = self._finished(entry, width) if isinstance(entry, Experiment) else self._in_flight(entry, width)
        pieces.insert(0, ("›" if chosen else " ", "strong"))
        return strip(self, shorten(pieces, width), width, chosen)

    def _heading(self, width: int) -> list[Piece]:
        verdict = f"{'verdict':<11}" if width >= _WITH_REASON else "  "
        cost = f"{'memory':>8} {'time':>7}  " if width >= _WITH_COST else ""
        heading = f"{'#':>5}  {self._state.metric[:8]:>8} {'Δ':>8}  {verdict}{cost}description"
        mark = "" if self.following else "▲ . live "
        return [(cell(heading, width - len(mark)), "gutter"), (mark, "pausing")]

    def _finished(self, e: Experiment, width: int) -> list[Piece]:
        m, outcome = e.measurement, e.verdict.outcome
        style = OUTCOMES.get(outcome, "")
        reason = text.one_line(e.verdict.reason).split(":")[0]
        best = "strong" if e.number == self._state.history.incumbent else ""
        plain = best or ("" if outcome == "keep" else "dim")
        cost = f"{text.memory(m.peak_memory_mb) if m else '':>8} {text.clock(m.total_seconds) if m else '':>7}  "
        told = width >= _WITH_REASON
        said = "" if told or reason in _PLAIN_REASONS else f"{reason}: "
        return [
            (f"{e.number:>4}  ", "dim"),
            (cell(text.score(m.value if m else None), 8, "right"), plain),
            (cell(text.delta(e.delta), 9, "right") + "  ", style if outcome == "keep" else "dim"),
            (text.GLYPHS.get(outcome, "?") + " ", style),
            (cell(reason or outcome, 9) if told else "", "crashed" if outcome == "crash" else "dim"),
            (cost if width >= _WITH_COST else "", "dim"),
            (said, "crashed" if outcome == "crash" else "dim"),
            (text.one_line(e.description), plain),
        ]

    def _in_flight(self, p: Pending, width: int) -> list[Piece]:
        still = self._stands_still
        glyph, doing = (text.PAUSED, "held") if still else (text.RUNNING, activity(self._state) or "cut off")
        described = text.one_line(p.proposed.description) if p.proposed else "…"
        style = "pausing" if still else "live"
        return [
            (f"{glyph}{p.number:>3}  ", style),
            (cell(f"{doing:>17}", 17) + "  ", style),
            (" " * (11 if width >= _WITH_REASON else 2), ""),
            (" " * (18 if width >= _WITH_COST else 0), ""),
            (described, ""),
        ]
