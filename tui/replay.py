"""A recorded run shown as it happened, faster: the same feed, over files whose lines come when their time has come."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from core.events import EngineStarted
from core.facts import fact, replace
from tui.feed import Feed, JournalLine
from tui.standing import HELD
from tui.state import State, fold
from tui.tail import Lines, as_float, events, parse

_LONGEST_GAP_SECONDS = 120.0  # between two events: what lasted longer (a night's pause) is cut down to this
_SPEEDS = 0.1, 1e6  # within which the keys turn it


@fact
class _Clock:
    """How many seconds are shown: `shown` at `at`, and from there on so many times as many as pass."""

    speed: float
    at: float
    shown: float = 0.0
    held: bool = False

    def seconds(self, now: float) -> float:
        return self.shown if self.held else self.shown + (now - self.at) * self.speed


class Replay(Feed):
    """`speed` times as fast as it was. Its clock gives the Unix seconds of then."""

    def __init__(self, run_folder: Path, speed: float, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(run_folder, alive=lambda _: not self._journal.finished)
        self._now, self._clock = now, _Clock(speed, now())  # one fact: it is read in another thread than it is turned
        self._journal: _Revealed = _Revealed(run_folder / "journal.jsonl", self._shown_seconds, "time")
        self._begun: dict[Path, float] = {}

    def clock(self) -> float:
        """Unix seconds of the recorded run."""
        return self._journal.at(self._shown_seconds())

    def hold(self) -> None:
        """Let the clock stand still, or go on."""
        self._turn(self._clock.speed, not self._clock.held)

    def quicken(self, factor: float) -> str:
        slowest, fastest = _SPEEDS
        speed = self._clock.speed * factor
        if speed < slowest if factor < 1 else speed > fastest:
            return f"{self._clock.speed:g}x, and no {'slower' if factor < 1 else 'faster'}"
        self._turn(speed, self._clock.held)
        return f"{speed:g}x{', when it goes on' if self._clock.held else ''}"

    def _turn(self, speed: float, held: bool) -> None:
        now = self._now()
        self._clock = _Clock(speed, now, self._clock.seconds(now), held)

    def read(self) -> list[JournalLine]:
        lines = super().read()
        if lines and self.state.length_seconds is None:  # in the thread that reads: a long journal takes a moment
            self.state = replace(self.state, length_seconds=_length_seconds(self.run_folder))
        words = HELD if self._clock.held else f"{self._clock.speed:g}x"
        if words != self.state.replay:
            self.state = replace(self.state, replay=words)
        return lines

    def _shown_seconds(self) -> float:
        return self._clock.seconds(self._now())

    def _telemetry_of(self, path: Path) -> Lines:
        begun = self._begun.setdefault(path, self._shown_seconds())
        return _Revealed(path, lambda: self._shown_seconds() - begun, "seconds")

    def _reported_at(self, path: Path) -> None:
        return None  # the file's time is when the trial was over

    def _read_load(self) -> None:
        """The device does something else by now."""

    def _sleep_trouble(self, engine: EngineStarted | None) -> str:
        return ""  # a worry of then


def _length_seconds(run_folder: Path) -> float | None:
    try:
        return fold(State(), events(run_folder / "journal.jsonl")).history.active_seconds
    except OSError:
        return None


class _Revealed(Lines):
    """Lines that come when the time in them has come; the first at once, long gaps cut."""

    def __init__(self, path: Path, seconds: Callable[[], float], field: str) -> None:
        super().__init__(path)
        self._seconds = seconds
        self._recorded: list[tuple[float, float, bytes]] = []  # when it is due, its own time, the line
        whole = Lines(path)
        due, last = 0.0, None
        while lines := whole.read():
            for line in lines:
                own = as_float((parse(line) or {}).get(field))
                if own is None:
                    continue
                due += min(max(0.0, own - (own if last is None else last)), _LONGEST_GAP_SECONDS)
                last = own
                self._recorded.append((due, own, line))
        self._next = 0

    @property
    def finished(self) -> bool:
        return self._next == len(self._recorded)

    def read(self) -> list[bytes]:
        now, first = self._seconds(), self._next
        while self._next < len(self._recorded) and self._recorded[self._next][0] <= now:
            self._next += 1
        return [line for _, _, line in self._recorded[first : self._next]]

    def at(self, seconds: float) -> float:
        """The recorded time when so much is shown."""
        if not self._recorded:
            return seconds
        due, own, _ = self._recorded[max(0, self._next - 1)]
        return own + min(max(0.0, seconds - due), _LONGEST_GAP_SECONDS)
