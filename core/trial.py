"""One supervised execution of the artifact: its process group, its clock, its log, its telemetry, its end.

The parent owns every number of time. READY (the harness asks for the rows) to DONE (the checkpoint is complete), less
pauses, is what counts; a command that never says READY is timed from its start to its exit.
The messages on the control socket are described in docs/architecture.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psutil

from core import sandbox, standstill
from core.channel import Clock, Overflow, Telemetry, finite
from core.control import Control
from core.events import Event, TrialDone, TrialReady, TrialStarted
from core.facts import fact
from core.hold import Hold
from core.log import CappedLog, crash_reason
from core.task import Budget

if TYPE_CHECKING:
    from core.standby import Place

End = Literal["done", "crash", "skipped", "void"]

_POLL_SECONDS = 0.1
_MEMORY_SECONDS = 0.5
_REST_SECONDS = 1.0  # less than a trial may stand still
_SUMMARY = ("num_steps", "total_tokens_M", "num_params_M", "depth", "mfu_percent", "peak_memory_mb")
_GIVING_UP = ("nan", "oom")


@fact
class Order:
    """What is to be run: `argv` in `cwd`, at this place, remembered in `folder` (of the run)."""

    number: int
    trial: int
    argv: tuple[str, ...]
    cwd: Path
    place: Place
    told: Mapping[str, Any]  # the content of the trial file, but for `control`
    folder: Path
    budget: Budget
    handover: Path | None


@fact
class Finished:
    """How it ended. Times in seconds, less pauses; `reason` is empty for `done`."""

    end: End
    reason: str
    train_seconds: float
    active_seconds: float
    held_seconds: float
    peak_memory_mb: float
    log_tail: str
    summary: Mapping[str, float] = field(default_factory=dict)


def supervise(
    order: Order, seed: int, control: Control, at_ready: Callable[[], object]
) -> Generator[Event, None, Finished]:
    """Run one trial to its end, whatever that is. When this returns, none of its processes is left.

    `at_ready` is called once the trial trains: the moment to prepare what comes after it.
    """
    control.take_skip()  # one that came too late for the trial before
    watch = standstill.Watch(order.budget.train_seconds)  # first: a thread that cannot start leaves no process behind
    try:
        running = _Running(order, control, watch)
    except OSError as error:
        watch.close()
        return Finished("crash", f"cannot be started: {error.strerror}: {order.argv[0]}", 0.0, 0.0, 0.0, 0.0, "")
    try:
        yield TrialStarted(order.number, order.trial, seed, running.process.pid)
        if order.handover is None:  # there is nothing to wait for: its clock has started
            yield TrialReady(order.number, order.trial, 0.0)
            at_ready()
        while running.end is None:
            running.turn()
            for event in running.take_events():
                yield event
                if isinstance(event, TrialReady):
                    at_ready()
    finally:
        running.close()
    yield from running.take_events()
    finished = running.finished()
    if finished.end == "done":
        yield TrialDone(order.number, order.trial, finished.train_seconds, running.steps)
    return finished


def tell(trial_file: Path, told: Mapping[str, Any]) -> None:
    """Write the file that AUTORESEARCH_TRIAL names."""
    trial_file.parent.mkdir(parents=True, exist_ok=True)
    trial_file.write_text(json.dumps(told, indent=1), encoding="utf-8")


class _Running:
    """The living process and everything the parent knows of it."""

    def __init__(self, order: Order, control: Control, watch: standstill.Watch) -> None:
        self.order, self.control, self._watch = order, control, watch
        self.end: End | None = None
        self._reason = ""
        self._events: list[Event] = []
        self._clock = Clock()
        self._ready: float | None = None  # on the clock
        self._done: float | None = None
        self._summary: dict[str, float] = {}
        self._peak_mb = 0.0
        self._looked = 0.0
        order.folder.mkdir(parents=True, exist_ok=True)
        self._telemetry = Telemetry(order.folder / "telemetry.jsonl")
        self._log = CappedLog(order.folder / "log")
        self._start()

    def _start(self) -> None:
        try:
            self._born = self.order.place.start(self.order.argv, self.order.cwd, self.order.told)
        except OSError:
            self._telemetry.close()
            self._log.close()
            raise
        self.process, self._channel, self._output = self._born.process, self._born.channel, self._born.output
        self._hold = Hold(self.order.number, self.order.trial, self.process, self._channel, self._clock)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._output, selectors.EVENT_READ, self._read_log)
        self._selector.register(self._channel.socket, selectors.EVENT_READ, self._read_messages)
        self._selector.register(self.control.wake, selectors.EVENT_READ, self.control.calm)

    # --- one turn of the supervisor ----------------------------------------------------------------------------------

    def turn(self) -> None:
        """Wait a moment for something to happen, then look at everything once. Void is what stood still meanwhile."""
        held = self._hold.held
        self._look()
        if (span := self._watch.looked()) and not held and self.end != "skipped":
            self.end, self._reason, self._done = "void", standstill.words(span), self._clock()

    def _look(self) -> None:
        for key, _ in self._selector.select(_POLL_SECONDS):
            take: Callable[[], None] = key.data
            take()
        if self.end is None:
            self._obey()
        if self.end is None:
            self._look_at_memory()
            self._check_limits()
        if self.end is None:
            self._check_exit()

    def take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _add(self, event: Event | None) -> None:
        if event is not None:
            self._events.append(event)

    def _finish(self, end: End, reason: str = "") -> None:
        if self.end is None:
            self.end, self._reason, self._done = end, reason, self._clock()

    def _obey(self) -> None:
        if self.control.stopping_now:
            self._finish("void", "stopped by the user")
        elif self.control.take_skip():
            self._finish("skipped", "skipped")
        else:
            self._add(self._hold.follow(paused=self.control.paused, ready=self._ready is not None))

    def _check_limits(self) -> None:
        if self._hold.held:
            return
        now, budget = self._clock(), self.order.budget
        counts, trained = self._ready is not None or not self.order.handover, now - (self._ready or 0.0)
        if not counts and now > budget.startup_seconds:
            self._finish("crash", f"timeout: not ready after {budget.startup_seconds:g} s of start-up")
        elif counts and trained > budget.train_seconds + budget.overtime_seconds:
            limits = f"{budget.train_seconds:g} s of training and {budget.overtime_seconds:g} s of grace"
            self._finish("crash", f"timeout: not done after {trained:.1f} s: {limits}")
        elif now > budget.timeout_seconds:
            self._finish("crash", f"timeout: {budget.timeout_seconds:g} s in all are over")

    def _check_exit(self) -> None:
        code = self.process.poll()
        if code is None:
            return
        self._read_messages()
        self._read_rest()
        if code == 0 and self.order.handover and self._ready is None:
            self._finish("crash", "it ended without asking for the rows")
        elif code == 0:
            self._finish("done")
        else:
            self._finish("crash", crash_reason(self._log.tail(), code))

    def _look_at_memory(self) -> None:
        if (now := time.monotonic()) - self._looked < _MEMORY_SECONDS:
            return
        self._looked = now
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(self.process.pid)
            total = sum(sandbox.resident(p) for p in (root, *root.children(recursive=True)))
            self._peak_mb = max(self._peak_mb, total / 2**20)

    # --- what it says ------------------------------------------------------------------------------------------------

    def _read_log(self) -> bool:
        try:
            chunk = os.read(self._output, 1 << 20)
        except BlockingIOError:
            return False
        if chunk:
            self._log.write(chunk)
        elif self._output in self._selector.get_map():
            self._selector.unregister(self._output)
        return bool(chunk)

    def _read_rest(self) -> None:
        """What it still had to say. What has escaped from it and talks without end is not waited for."""
        deadline = time.monotonic() + _REST_SECONDS
        while self._read_log() and time.monotonic() < deadline:
            pass

    def _read_messages(self) -> None:
        try:
            for message in self._channel.messages():
                self._take(message)
        except Overflow:
            self._finish("crash", "rejected: a control message of more than 64 KiB")
        if self._channel.closed and self._channel.socket in self._selector.get_map():
            self._selector.unregister(self._channel.socket)

    def _take(self, message: Mapping[str, Any]) -> None:
        """One message. Everything in it comes from untrusted code: shown, never believed."""
        match message.get("type"):
            case "ready" if self._ready is None and self.end is None:
                self._ready = self._clock()
                if self.order.handover:
                    self._events.append(TrialReady(self.order.number, self.order.trial, self._ready))
                self._channel.go(self.order.handover)
            case "step" if self._ready is not None:
                self._telemetry.report(self._clock() - self._ready, message)
            case "held":
                self._add(self._hold.answer(self._telemetry.step))
            case "done" if self._ready is not None:
                summary = message.get("summary")
                if isinstance(summary, dict):
                    self._summary = {k: float(summary[k]) for k in _SUMMARY if finite(summary.get(k))}
                self._finish("done")
            case "failed":
                reason = str(message.get("reason"))
                self._finish("crash", reason if reason in _GIVING_UP else crash_reason(self._log.tail(), 1))

    # --- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the whole process tree, reap it, and keep what it said."""
        self._watch.close()
        self._born.end()
        sandbox.sweep(self.order.place.folder)
        self._read_rest()
        self._selector.close()
        self._born.close()
        self._telemetry.close()
        self._log.close()

    @property
    def steps(self) -> int | None:
        """Steps done, by the trial's own account."""
        done = self._summary.get("num_steps", self._telemetry.step)
        return None if done is None else int(done)

    def finished(self) -> Finished:
        assert self.end is not None
        assert self._done is not None
        peak = self._peak_mb
        if self.order.told["device"] != "cpu":  # a card's memory only the trial can see
            peak = max(0.0, self._summary.get("peak_memory_mb", peak))
        train = self._done - (self._ready or 0.0)
        return Finished(
            self.end, self._reason, train, self._done, self._hold.seconds, peak, self._log.tail(), self._summary
        )
