"""The row of keys at the bottom; a click on one does what the key does."""

from __future__ import annotations

from collections.abc import Mapping

from rich.cells import cell_len
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from tui.keys import KEYS, Key, own, shown
from tui.widgets.paint import Part, Piece, fit, part, strip

ANSWER = "answer"  # the key, and its label while a proposal waits for the user's word


class KeyBar(Widget, can_focus=False):
    """The keys worth knowing now."""

    DEFAULT_CSS = "KeyBar { height: 1; }"
    ALLOW_SELECT = False

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.remapped: Mapping[str, str] = {}  # the user's own keys by id
        self._paused = False
        self._over = False
        self._waits = False
        self._alone = False
        self._in_trial = True
        self._replay = ""
        self._goes_on = False
        self.only_looks = False  # nothing can be controlled from here

    def show(
        self,
        paused: bool,
        over: bool,
        waits: bool = False,
        alone: bool = False,
        in_trial: bool = True,
        replay: str = "",
        goes_on: bool = False,
    ) -> None:
        """`paused` turns pause into resume; of a run that is over nothing is left to control, but that it can go on
        (`goes_on`); `waits`: a proposal, for the user's word; `alone`: a part has the whole window, and esc takes it
        back; `in_trial`: there is a trial to skip; `replay`: what the pause key does to a replay."""
        shown = self._paused, self._over, self._waits, self._alone, self._in_trial, self._replay, self._goes_on
        if shown != (wanted := (paused, over, waits, alone, in_trial, replay, goes_on)):
            self._paused, self._over, self._waits, self._alone, self._in_trial, self._replay, self._goes_on = wanted
            self.refresh()

    def key(self, id: str) -> str:
        """The key that does this, as a person writes it."""
        return next(own(key, self.remapped) for key in KEYS if key.id == id)

    def render_line(self, y: int) -> Strip:
        return strip(self, self._row(), self.size.width)

    async def on_click(self, event: events.Click) -> None:
        """Do what the key does that was clicked on."""
        keys = {words: key for key, part in self._parts() for words, _ in part.pieces}
        end = 0
        for words, _ in self._row():
            end += cell_len(words)
            if event.x < end:
                if key := keys.get(words):
                    await self.app.run_action(key.action, self.screen)
                return

    def _row(self) -> list[Piece]:
        return fit([part for _, part in self._parts()], [], self.size.width)

    def _parts(self) -> list[tuple[Key, Part]]:
        keys = [key for key in KEYS if self._label(key) and (key.group not in ("Run", "Replay") or self._offered(key))]
        return [(key, self._part(key)) for key in keys]

    def _offered(self, key: Key) -> bool:
        """Whether a key that controls, a run or a replay, does so now."""
        if self._over:
            return key.id == "pause" and self._goes_on and not (self._replay or self.only_looks)
        if key.group == "Replay":
            return self._replay != ""
        return key.id == "pause" if self._replay else not self.only_looks

    def _part(self, key: Key) -> Part:
        name, rank = shown(key, self.remapped), key.rank
        if key.id == ANSWER:
            rank = 12
        if key.id == "pause" and self._replay and key.id not in self.remapped:
            name = "space"
        if key.id == "back":
            name, rank = own(key, self.remapped), 11
        return part(rank, (name, "accent"), (f" {self._label(key)}", "dim"))

    def _label(self, key: Key) -> str:
        if key.id == "skip" and not self._in_trial:
            return ""
        if key.id == ANSWER:
            return ANSWER if self._waits else ""
        if key.id in ("zoom", "back"):
            return ("back" if self._alone else "") if key.id == "back" else "" if self._alone else key.label
        if key.id == "pause":
            return self._replay or ("resume" if self._paused or self._over else key.label)
        return key.label
