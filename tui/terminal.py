"""What the terminal shows around the cockpit: the title of its window, and notifications.

Titles are OSC 2, kept and given back by xterm's stack of titles (CSI 22;0t, 23;0t); notifications OSC 9, or OSC 777.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress

from tui import text
from tui.feed import State
from tui.glyphs import Glyphs, fewer
from tui.standing import standing

_NO_TITLE = {"", "dumb", "linux"}
_LONGEST = 200  # characters


def title(state: State, now: float, glyphs: Glyphs) -> str:
    """`● 0.9713 #47 autoresearch`: how the run stands, its best score, the experiment in flight."""
    h, best = state.history, state.best
    score = text.score(best.measurement.value) if best and best.measurement else ""
    number = f"#{len(h.experiments) - 1 if h.ended and h.experiments else h.next_number}" if h.run else ""
    words = " ".join(filter(None, (standing(state, now).glyph, score, number, "autoresearch")))
    return fewer(words, glyphs)


class Terminal:
    """`write` takes escape sequences to it. The same title is never written twice."""

    def __init__(self, write: Callable[[str], None], environment: Mapping[str, str]) -> None:
        self._write = write
        self._titled = environment.get("TERM", "") not in _NO_TITLE
        self._by_777 = environment.get("TERM", "").startswith(("rxvt", "foot")) or "VTE_VERSION" in environment
        self._open = False
        self._title = ""

    def begin(self) -> None:
        """Keep the title that is there."""
        if self._titled and not self._open:
            self._write("\x1b[22;0t")
            self._open, self._title = True, ""

    def end(self) -> None:
        """Give it back; a terminal that kept none gets an empty one, which most turn into their own."""
        if self._open:
            self._write("\x1b]2;\x07\x1b[23;0t")
            self._open = False

    def title(self, words: str) -> None:
        """Set the title."""
        words = text.one_line(words)[:_LONGEST]
        if self._open and words != self._title:
            self._write(f"\x1b]2;{words}\x07")
            self._title = words

    def notify(self, who: str, words: str) -> None:
        """Have the desktop say something, where the terminal knows how to."""
        who, words = text.one_line(who)[:_LONGEST], text.one_line(words)[:_LONGEST]
        if self._by_777:
            self._write(f"\x1b]777;notify;{who.replace(';', ',')};{words.replace(';', ',')}\x07")
        else:
            self._write(f"\x1b]9;{who}: {words}\x07")


def gone() -> Callable[[], bool]:
    """A question: has the terminal that is standard input hung up since? SIGHUP tells only those it belongs to, and
    reading from it is then an endless end of file."""
    stdin = sys.__stdin__
    if stdin is None or stdin.closed or not os.isatty(stdin.fileno()):
        return lambda: False
    poll = select.poll()
    poll.register(stdin.fileno(), 0)
    return lambda: any(what & (select.POLLHUP | select.POLLERR) for _, what in poll.poll(0))


def when_ended(leave: Callable[..., object], *words: object) -> None:
    """Leave in good order at SIGTERM. Not at SIGHUP: of a terminal that is gone nothing needs tidying up, and writing
    to it may block for ever."""
    with suppress(NotImplementedError, RuntimeError, ValueError):  # only in a main thread, and not everywhere
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leave, *words)


def hang_up() -> None:
    """End as a process whose terminal is gone does; nohup has that ignored, and to wait for keys would then spin."""
    with suppress(ValueError):  # not in a main thread
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.raise_signal(signal.SIGHUP)
