"""The pane of diffs: of one experiment against its parent, the baseline or the best, or of the whole run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical

from core.events import ApprovalAwaited
from core.experiment import Experiment
from core.history import History, Pending
from tui import text
from tui.diffs import CONTEXT, DiffLine, compare, each_line
from tui.feed import State, find
from tui.sources import Sources
from tui.told import about
from tui.widgets.diff import DiffView, diff_of
from tui.widgets.saying import thinks_aloud

Against = Literal["parent", "baseline", "best"]
AGAINST: tuple[Against, ...] = ("parent", "baseline", "best")
CONTEXTS = (0, 1, CONTEXT, 8, 20, 10_000)
_NOTE_WIDTH = 100


class DiffPane(Vertical):
    """Holds what the user chose to compare; the view below it draws. Comparing reads the journal, so in a thread."""

    def __init__(self, run_folder: Path, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view = DiffView(id="diff")
        self.against: Against = "parent"
        self.whole_run = False
        self._around = CONTEXT
        self._sources = Sources(run_folder)
        self._state = State()
        self._entry: Experiment | Pending | None = None
        self._compared: tuple[object, str, str] = (None, "", "")  # what was asked, the diff, why it is another
        self._of_run: object = None  # the experiments whose diffs are shown in one scroll
        self._at: int | None = None  # the one of them that was selected
        # A proposal, the diff of the user's version of it, and what it is called.
        self._own: tuple[ApprovalAwaited, str, str] | None = None

    def compose(self) -> ComposeResult:
        yield self.view

    # --- what it shows

    def show(self, state: State, entry: Experiment | Pending | None, log_in_view: bool = True) -> None:
        """Show this experiment of this state, in the way that was chosen. Unless the log has a place of its own beside
        it, of one that is not proposed yet what the agent says meanwhile."""
        self._state, self._entry = state, entry
        if self.whole_run:
            self._show_run(state.history.experiments)
            if isinstance(entry, Experiment) and entry.number != self._at:
                self.view.seek(entry.number)
            self._at = entry.number if entry else None
            return
        self._of_run = self._at = None
        question = self._question()
        if self._own_diff is not None:
            self.view.show(entry, state.history.run, self._own_diff)
        elif entry is None or question is None:
            thinks = isinstance(entry, Pending) and entry.proposed is None and thinks_aloud(state)
            said = state.log.lines if thinks and state.log and not log_in_view else ()
            self.view.show(entry, state.history.run, said=said)
        elif self._compared[0] == question:
            diff, trouble = self._compared[1:]
            self.view.show(entry, state.history.run, diff, self._beside, trouble)
        else:
            self._compare(question, state.history, entry.number, self._other(state.history, entry))

    def show_own(self, awaited: ApprovalAwaited, diff: str | None, named: str) -> None:
        """Of this proposal, while it waits, show the diff of the user's own version; None: do not."""
        self._own = None if diff is None else (awaited, diff, named)
        self.show(self._state, self._entry)
        self.post_message(self.view.Changed())

    @property
    def _own_diff(self) -> str | None:
        own, entry = self._own, self._entry
        return own[1] if own and isinstance(entry, Pending) and entry.awaited == own[0] else None

    @property
    def summary(self) -> str:
        """What stands in the title: files, lines, and what it is compared with."""
        if self.whole_run:
            found = self._state.history.experiments
            whole = f"whole run, #{found[-1].number} to #{found[0].number}" if found else "whole run"
            return f"{whole} · wrapped" if self.view.wrap else whole
        if self._entry is None:
            return ""
        layout = ("side by side" if self.view.splits else "", "wrapped" if self.view.wrap else "")
        parts = (f"#{self._entry.number} {self.view.summary}".strip(), self._named, *layout)
        return " · ".join(part for part in parts if part)

    @property
    def _named(self) -> str:
        """What it is compared with, where that is not its parent; or that it is the user's version."""
        if self._own is not None and self._own_diff is not None:
            return self._own[2]
        number = {"baseline": 0, "best": self._state.history.incumbent}.get(self.against)
        return "" if number is None else f"against the {self.against}{f' #{number}' if number else ''}"

    @property
    def _beside(self) -> Experiment | None:
        """That experiment itself."""
        other = self._other(self._state.history, self._entry) if self._named and self._entry else None
        itself = self._entry is not None and other == self._entry.number
        return None if other is None or itself else find(self._state.history, other)

    def _other(self, history: History, entry: Experiment | Pending) -> int | None:
        """The experiment that it is compared with."""
        if self.against == "baseline":
            return 0
        if self.against == "best":
            return history.incumbent
        if isinstance(entry, Experiment):
            return entry.incumbent
        return entry.proposed.incumbent if entry.proposed else None

    def _question(self) -> tuple[object, ...] | None:
        """What has to be compared anew; None where the journal's own diff will do."""
        if self._entry is None or (self.against == "parent" and self._around == CONTEXT):
            return None
        other = self._other(self._state.history, self._entry)
        told = diff_of(self._entry)  # None while there is no text yet; another one once the user has edited it
        return (self._entry.number, other, self._around, told) if told is not None and other is not None else None

    @work(exclusive=True, thread=True)
    def _compare(self, question: tuple[object, ...], history: History, number: int, other: int | None) -> None:
        try:
            diff, trouble = "", ""
            if other != number:
                old = self._sources.of(history, other or 0)
                diff = compare(old, self._sources.of(history, number), self._around)
        except (LookupError, ValueError, OSError) as error:
            entry = find(history, number)
            diff, trouble = diff_of(entry or history.pending) or "", text.one_line(f"cannot be compared: {error}")
        self.app.call_from_thread(self._take, question, diff, trouble)

    def _take(self, question: tuple[object, ...], diff: str, trouble: str) -> None:
        self._compared = question, diff, trouble
        if question == self._question() and not self.whole_run:
            self.show(self._state, self._entry)
            self.post_message(self.view.Changed())

    def _show_run(self, experiments: tuple[Experiment, ...]) -> None:
        if self._of_run is not experiments:
            self._of_run = experiments
            self.view.show_lines(lambda: whole_run(experiments), "run")

    # --- what the keys ask for

    def turn(self, what: Literal["split", "wrap", "against", "whole", "more", "less"]) -> None:
        """Change one way of showing, and show it so."""
        view = self.view
        if what in ("against", "more", "less"):
            self.whole_run = False  # which has none of that to change
        if what == "split":
            view.set_layout(not view.splits, view.wrap)
        elif what == "wrap":
            view.set_layout(view.split, not view.wrap)
        elif what == "against":
            self.against = AGAINST[(AGAINST.index(self.against) + 1) % len(AGAINST)]
        elif what == "whole":
            self.whole_run = not self.whole_run
        else:
            at = CONTEXTS.index(self._around) + (1 if what == "more" else -1)
            self._around = CONTEXTS[min(len(CONTEXTS) - 1, max(0, at))]
        self.show(self._state, self._entry)

    def search(self, sought: re.Pattern[str] | None) -> None:
        """Let this stand out in the diff."""
        self.view.search(sought)

    def plain(self) -> str:
        """What is shown, as text: for the clipboard and the pager."""
        if self.whole_run:
            return "\n".join(
                f"experiment {e.number}: {e.description}\n{e.diff}" for e in self._state.history.experiments
            )
        if self._own_diff is not None:
            return self._own_diff
        if self._question() is not None and self._compared[0] == self._question():
            return self._compared[1]
        return diff_of(self._entry) or ""


def whole_run(experiments: tuple[Experiment, ...]) -> Iterator[DiffLine]:
    """The diffs of all experiments, the newest first, each under its words."""
    for experiment in reversed(experiments):
        yield DiffLine("@", experiment.number, f"experiment {experiment.number}")
        yield from (DiffLine("", None, *words) for words in about(experiment, _NOTE_WIDTH, brief=False))
        yield from (line for line in each_line(experiment.diff) if line.kind != "@" or line.text.startswith("@@"))
        yield DiffLine("", None, "")
