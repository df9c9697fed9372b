"""`autoresearch status --watch`: in one place on a terminal, else a line a change."""

from __future__ import annotations

import json
import math
import os
import re
import time
from pathlib import Path
from typing import TextIO

from rich.cells import cell_len, chop_cells

from core.control import alive
from tui import report, text
from tui.feed import Feed
from tui.live import Live

_WORKED = re.compile(r"; [\d:]+ at work$")  # it grows by itself, which is no news
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_UP, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[{}A", "\x1b[K", "\x1b[J"


def watch_status(run_folder: Path, every: float, out: TextIO, *, as_json: bool = False) -> int:
    """Show the status until the run ends. Returns the exit code: 0 done or stopped, 1 failed or engine gone."""
    feed, place = Feed(run_folder), None
    if out.isatty() and not as_json and os.environ.get("TERM", "dumb") != "dumb":
        place = Place(out)
    last = ""
    try:
        while True:
            feed.read()
            while feed.behind:
                feed.read()
            history = feed.state.history
            state = report.state(history, alive(run_folder))
            status = report.status(run_folder, (history, feed.state.asked))
            words = json.dumps(status) if as_json else report.status_text(run_folder, status)
            if place:
                place.show([*words.split("\n"), *live_words(feed.state.live)])
            elif words != last and (new := words if as_json else change(last, words, time.time())):
                out.write(f"{new}\n")
                out.flush()
            if state not in ("running", "waiting", "paused"):
                return 0 if state in ("done", "stopped") else 1
            last = words
            time.sleep(every)
    finally:
        if place:
            place.leave()


def change(before: str, words: str, now: float) -> str:
    """What is new in a status, in a line with the time of day; of the first one all lines, empty where nothing is."""
    if not before:
        return words
    known = {_WORKED.sub("", line) for line in before.split("\n")}
    new = [line for line in words.split("\n") if _WORKED.sub("", line) not in known]
    return f"{text.time_of_day(now, '%H:%M:%S')}  {'; '.join(new)}" if new else ""


def live_words(live: Live | None) -> list[str]:
    """What the trial under way last reported, in a line; none where it has not."""
    if live is None or live.step is None:
        return []
    parts = [f"step {live.step}"]
    parts += [f"loss {text.loss(live.loss, 4)}"] if live.loss is not None else []
    parts += [f"{text.quantity(live.tokens_per_second)} tok/s"] if live.tokens_per_second is not None else []
    parts += [f"{text.seconds(live.eta_seconds)} left"] if live.eta_seconds is not None else []
    return [", ".join(parts)]


class Place:
    """Lines that are written over those before, where the cursor stands; what is above them stays."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lines: list[str] = []

    def show(self, lines: list[str]) -> None:
        """Write these in the place of the last ones."""
        columns, rows = os.get_terminal_size(self._out.fileno())
        columns, rows = columns or 80, rows or 24  # a terminal need not know its size
        before = sum(max(1, math.ceil(cell_len(line) / columns)) for line in self._lines)  # as a terminal reflows them
        self._lines = [piece for line in lines for piece in chop_cells(line, columns) or [""]][: rows - 1]
        up = _UP.format(min(before, rows - 1)) if before else ""
        written = "".join(f"{line}{_REST_OF_LINE}\n" for line in self._lines)
        self._out.write(f"{_HIDE_CURSOR}{up}\r{written}{_REST_OF_SCREEN}")
        self._out.flush()

    def leave(self) -> None:
        """The last lines stay."""
        self._out.write(_SHOW_CURSOR)
        self._out.flush()
