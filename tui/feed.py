"""Follow a run folder and say what it adds up to.

    feed = Feed(run_folder)
    for line in feed.read(): …    # what is new in the journal
    feed.state                    # what all of it adds up to

State is a pure fold: core.history over the journal, `report` over the live trial's telemetry. So a recorded run folder
shows in the same viewers as a living one. Nothing here writes, and nothing a file may hold makes it raise.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from core import control
from core import events as ev
from core.events import EngineStarted
from core.facts import fact, replace
from tui import agent_words
from tui.ahead import Ahead, worth_it
from tui.live import Live, report, step_words
from tui.load import Gauge
from tui.state import Log, State, find, fold, reduce
from tui.tail import Lines, Tail, parse, to_event

__all__ = ["Feed", "JournalLine", "State", "find", "fold", "read_ahead", "reduce"]

_ALIVE_EVERY_SECONDS = 1.0
_STEPS_TOLD = 200
_AHEAD_SECONDS = 0.1  # of waiting at once for what is being read ahead
_ENGINE_LINES = 200
_FEW_LINES = 3  # up to which a trial that prints them is told from its telemetry too


def read_ahead(run_folder: Path) -> Ahead | None:
    """A journal being read by another process, for a Feed to take; None where that would not be faster."""
    journal = run_folder / "journal.jsonl"
    if not worth_it(journal):
        return None

    def compute() -> tuple[State, Lines]:
        state, lines = State(), Lines(journal)
        while True:
            state = fold(state, filter(None, map(to_event, filter(None, map(parse, lines.read())))))
            if not lines.more:
                return state, lines

    return Ahead(compute)


@fact
class JournalLine:
    """One complete line: as it was read, and the event in it if this version knows it."""

    raw: bytes
    event: ev.Event | None
    time: float

    @property
    def verbatim(self) -> str:
        return self.raw.decode(errors="replace")


class Feed:
    """Reads what is new in a run folder, whenever it is asked. Not for two threads at once."""

    def __init__(
        self,
        run_folder: Path,
        alive: Callable[[Path], bool] = control.alive,
        *,
        resume: str | None = None,
        recorded: bool = False,
        ahead: Ahead | None = None,
    ) -> None:
        self.run_folder = run_folder
        self.state = State(resume=resume, recorded=recorded)
        self.wanted: int | None = None  # the experiment whose log is shown; None: the live one's
        self.weighs = False  # whether somebody sees how busy the device is: to look costs something
        self._alive = alive
        self._alive_at = -math.inf
        self._gauge = Gauge()
        self._journal = Lines(run_folder / "journal.jsonl")
        self._ahead = ahead
        self._telemetry: Lines | None = None
        self._log: Tail | None = None
        self._reports: Tail | None = None
        self._printed: tuple[str, ...] = ()
        self._steps: tuple[str, ...] = ()
        self._engine_log = Tail(run_folder / "engine.log")
        self._engine_said: tuple[str, ...] = ()
        self._asked_of: EngineStarted | None = None  # the engine whose words were looked through

    def hold(self) -> None:
        """Of a replay: let its clock stand still, or go on. What lives is not held by looking away."""

    def quicken(self, factor: float) -> str:
        """Of a replay: so many times its speed. Returns the new one in words; what lives has none."""
        return ""

    @property
    def behind(self) -> bool:
        """Whether the journal holds more than the last reading took."""
        return self._journal.more or self._ahead is not None

    def read(self) -> list[JournalLine]:
        """Take in what is new; `state` is another object if, and only if, something changed."""
        if self._ahead is not None and not self._take_ahead(self._ahead):
            return []
        self._check_engine()
        lines, events = [], []
        records = self._journal.read()
        if self._journal.restarted:
            was = self.state
            self.state = State(alive=was.alive, resume=was.resume, recorded=was.recorded, replay=was.replay)
        if self._journal.trouble != self.state.trouble:
            self.state = replace(self.state, trouble=self._journal.trouble)
        for raw in records:
            record = parse(raw)
            if record is None:
                continue
            known = to_event(record)
            lines.append(JournalLine(raw, *(known or (None, 0.0))))
            if known:
                events.append(known)
        self.state = fold(self.state, events)
        if self.state.alive is False and any(isinstance(event, ev.EngineStarted) for event, _ in events):
            self._greet_engine()
        if not self._journal.more:
            self._read_trial()
            self._read_log()
            self._read_engine_log()
            self._read_load()
        return lines

    def _take_ahead(self, ahead: Ahead) -> bool:
        """Take what was read ahead; whether that is settled."""
        try:
            result = ahead.result(_AHEAD_SECONDS)
        except EOFError:
            self._ahead = None
            return True
        if result is None:
            return False
        self._ahead = None
        state, self._journal = result[0]
        self.state = replace(state, resume=self.state.resume, recorded=self.state.recorded)
        return True

    def _check_engine(self) -> None:
        # Before the journal is read: of an engine found gone, everything it wrote is then in this reading.
        if time.monotonic() - self._alive_at < _ALIVE_EVERY_SECONDS:
            return
        self._alive_at = time.monotonic()
        alive = self._alive(self.run_folder)
        if alive is not self.state.alive:
            self.state = replace(self.state, alive=alive, recorded=self.state.recorded and not alive)

    def _greet_engine(self) -> None:
        # What was seen before it came is no word on it. That it has gone is for the next reading to say.
        if self._alive(self.run_folder):
            self.state = replace(self.state, alive=True, recorded=False)

    def _read_trial(self) -> None:
        live = self.state.live
        if live is None:
            self._telemetry = None
            return
        path = self.run_folder / "trials" / f"{live.number}-{live.trial}" / "telemetry.jsonl"
        if self._telemetry is None or self._telemetry.path != path:
            self._telemetry = self._telemetry_of(path)
        records = self._telemetry.read()
        if self._telemetry.restarted:
            live = Live(live.number, live.trial)
        for record in map(parse, records):
            live = report(live, record) if record else live
        if live is not self.state.live:
            self.state = replace(self.state, live=replace(live, at=self._reported_at(path)))

    def _telemetry_of(self, path: Path) -> Lines:
        return Lines(path)

    def _reported_at(self, path: Path) -> float | None:
        try:
            return path.stat().st_mtime
        except OSError:
            return None

    def _read_log(self) -> None:
        number, path = self._log_path()
        if number is None or path is None:
            if self.state.log is not None:
                self.state = replace(self.state, log=None)
            self._log = None
            return
        if self._log is None or self._log.path != path:
            self._log, self._reports = Tail(path), Tail(path.with_name("telemetry.jsonl"))
            self._printed = self._steps = ()
        printed = self._log.read()
        self._printed = self._printed if printed is None else printed
        # A trial that prints next to nothing, as the reference one, is told from its telemetry; the engine's summary,
        # from `---` on, comes behind.
        own = next((i for i in reversed(range(len(self._printed))) if self._printed[i] == "---"), len(self._printed))
        quiet = own <= _FEW_LINES
        reports = self._reports.read() if quiet and self._reports is not None else None
        if reports is not None:
            self._steps = tuple(filter(None, (step_words(parse(line)) for line in reports[-_STEPS_TOLD:])))
        if printed is not None or reports is not None:
            lines = self._printed[:own] + (self._steps if quiet else ()) + self._printed[own:]
            self.state = replace(self.state, log=Log(number, lines, path.parent.name == "agent"))

    def _log_path(self) -> tuple[int | None, Path | None]:
        trials, live, pending = self.run_folder / "trials", self.state.live, self.state.history.pending
        under_way = live.number if live else pending.number if pending else None
        number = self.wanted if self.wanted is not None else under_way
        if number is None:
            return None, None
        if pending and pending.number == number and (not pending.trial or agent_words.mends(self.state.history)):
            thoughts = self.run_folder / "agent" / f"{number}.log"
            if thoughts.exists():
                return number, thoughts
        if live and live.number == number:
            return number, trials / f"{number}-{live.trial}" / "log"
        experiment = find(self.state.history, number)
        return (number, trials / f"{number}-{experiment.trial}" / "log") if experiment else (None, None)

    def _read_engine_log(self) -> None:
        lines = self._engine_log.read()
        self._engine_said = self._engine_said if lines is None else lines[-_ENGINE_LINES:]
        works = self.state.history.run is not None and self.state.alive
        if not works and self._engine_said != self.state.engine_log:
            self.state = replace(self.state, engine_log=self._engine_said)
        engine = self.state.history.engine if works else None
        if lines is not None or engine is not self._asked_of:
            self._asked_of, trouble = engine, self._sleep_trouble(engine)
            if trouble != self.state.sleep_trouble:
                self.state = replace(self.state, sleep_trouble=trouble)

    def _sleep_trouble(self, engine: EngineStarted | None) -> str:
        """That the machine may fall asleep under this engine, and why."""
        if engine is None or not self._engine_said:
            return ""
        from core.awake import trouble  # not before the first painting, where the engine printed nothing

        return trouble(self._engine_said, engine.pid)

    def _read_load(self) -> None:
        h, pending = self.state.history, self.state.history.pending
        trains = pending and pending.trial_open and h.ended is None and not h.standing_still
        load = None
        if self.weighs and self.state.alive and h.run and pending and pending.pid and trains:
            load = self._gauge.read(h.run.device, pending.pid, self.state.pace.trial_since)
        if load != self.state.load:
            self.state = replace(self.state, load=load)
