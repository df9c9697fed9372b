"""An agent's desk at one run: what its calls cost, what it says and writes down, where it waits and works."""

from __future__ import annotations

import gc
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import agents
from core.errors import UsageError
from core.events import AgentWaits, CallReserved, CallSettled, Remembered
from core.journal import sync_folder
from core.log import plain
from core.spending import Usage

if TYPE_CHECKING:
    from core.run import Run

MOST_SAID = 2**20  # bytes of what an agent says about one proposal
LONGEST_NOTE = 2000  # characters of a note of the agent to itself
_LEAST_STEP_SECONDS = 0.05


class RunDesk:
    """`core.agents.Desk` at a run. One for the whole run; `clear` makes it ready for the next proposal or repair."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._words = run.folder / "agent"
        self._folder: Path | None = None
        self._repair = 0
        if run.in_flight.proposed and not run.in_flight.crashed:
            self.done()  # what is proposed is no longer talked about

    def clear(self, repair: int = 0) -> None:
        """Begin with a proposal, or with a repair of what is in flight."""
        self._repair = repair
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def done(self) -> None:
        """The proposal is in the journal, or refused: the conversation about it is over."""
        self.forget()
        self.clear()
        gc.collect()  # clients, loops and studies are circles of objects: left to itself it lets them lie for hours

    # --- what it costs

    def reserve(self, model: str, tokens: int, dollars: float | None) -> int:
        """Set aside the most that the next call can cost; while the run is paused no call is made. Raises CapReached,
        CalledOff, UsageError."""
        self._hold()
        history, limits = self._run.history, self._run.history.engine
        spent = history.spent
        check_caps(
            self._run.tag, spent.worst_tokens + tokens, None if dollars is None else spent.worst_dollars + dollars,
            limits.max_tokens if limits else None, limits.max_dollars if limits else None, model,
        )  # fmt: skip
        call = spent.calls
        self._run.record(CallReserved(self._number, call, model, tokens, dollars))
        return call

    def settle(self, call: int, usage: Usage, dollars: float | None) -> None:
        """What a call did cost."""
        u = usage
        self._run.record(CallSettled(self._number, call, u.input, u.cache_read, u.cache_write, u.output, dollars))

    # --- what it says

    def say(self, text: str) -> None:
        """Show it in the log of the proposal under way; what is too long for that is left out."""
        with suppress(OSError):
            self._words.mkdir(mode=0o700, exist_ok=True)
            with open(self._words / f"{self._number}.log", "ab") as log:
                log.write(text.encode("utf-8", "replace")[: max(0, MOST_SAID - log.tell())])

    def remember(self, text: str) -> None:
        """Write down a note."""
        words = plain(text).strip()[:LONGEST_NOTE]
        if words:
            self._run.record(Remembered(self._number, words))

    def keep(self, turn: Mapping[str, Any]) -> None:
        """Keep a turn; durable when it returns."""
        self._words.mkdir(mode=0o700, exist_ok=True)
        new = not self._turns.exists()
        torn = not new and not self._turns.read_bytes().endswith(b"\n")
        with open(self._turns, "ab") as file:
            file.write(b"\n" * torn + json.dumps(turn).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_folder(self._words)

    def kept(self) -> list[dict[str, Any]]:
        """The turns that were kept. A torn line is none: nothing was done with it yet when its engine was killed."""
        turns: list[dict[str, Any]] = []
        with suppress(OSError):
            for line in self._turns.read_bytes().splitlines(keepends=True):
                with suppress(ValueError):
                    turn = json.loads(line) if line.endswith(b"\n") else None
                    turns += [turn] if isinstance(turn, dict) else []
        return turns

    def forget(self) -> None:
        """Drop the turns that were kept."""
        with suppress(OSError):
            self._turns.unlink(missing_ok=True)

    # --- where it is

    def wait(self, seconds: float, reason: str) -> bool:
        """Wait until the time is over, or the run has to stop: also at its limit of hours."""
        run, seconds = self._run, max(0.0, min(seconds, self._run.seconds_left))
        run.record(AgentWaits(self._number, plain(reason)[:300], seconds))
        run.control.wait_until(lambda: run.control.paused, seconds)
        with suppress(agents.CalledOff):
            self._hold()  # who says resume has it tried at once
        return not (run.control.stopping or run.control.stopping_now) and run.seconds_left > 0

    def _hold(self) -> None:
        """Wait here while the user has the run paused. Raises CalledOff where it is to stop."""
        for event in self._run.hold_if_paused():
            self._run.record(event)
        if self._run.control.stopping_now:
            raise agents.CalledOff

    @property
    def stopping(self) -> bool:
        return self._run.control.stopping_now

    @property
    def folder(self) -> Path:
        if self._folder is None:
            self._run.work.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(prefix="agent-", dir=self._run.work))
        return self._folder

    @property
    def workspace(self) -> Path:
        return self._run.workspace.root

    @property
    def _number(self) -> int:
        return self._run.in_flight.number

    @property
    def _turns(self) -> Path:
        suffix = f"-r{self._repair}" if self._repair else ""
        return self._words / f"{self._number}{suffix}.turns.jsonl"


class Paper:
    """A desk without a run: for tests of an agent, and for a first look at what it would ask."""

    def __init__(
        self, folder: Path, *, max_tokens: int | None = None, max_dollars: float | None = None, patient: bool = False
    ) -> None:
        """`patient`: it really waits; otherwise a wait is only written down."""
        self._folder, self._max_tokens, self._max_dollars, self._patient = folder, max_tokens, max_dollars, patient
        self.reserved: list[tuple[str, int, float | None]] = []
        self.settled: dict[int, tuple[Usage, float | None]] = {}
        self.said: list[str] = []
        self.waited: list[tuple[float, str]] = []
        self.notes: list[str] = []
        self.turns: list[dict[str, Any]] = []
        self.stopping = False

    def reserve(self, model: str, tokens: int, dollars: float | None) -> int:
        spent_tokens, spent_dollars = self._worst
        total = None if dollars is None else spent_dollars + dollars
        check_caps("paper", spent_tokens + tokens, total, self._max_tokens, self._max_dollars, model)
        self.reserved.append((model, tokens, dollars))
        return len(self.reserved) - 1

    @property
    def _worst(self) -> tuple[int, float]:
        open_calls = [r for k, r in enumerate(self.reserved) if k not in self.settled]
        tokens = sum(u.tokens for u, _ in self.settled.values()) + sum(t for _, t, _ in open_calls)
        dollars = sum(d or 0.0 for _, d in self.settled.values()) + sum(d or 0.0 for _, _, d in open_calls)
        return tokens, dollars

    def settle(self, call: int, usage: Usage, dollars: float | None) -> None:
        self.settled[call] = usage, dollars

    def say(self, text: str) -> None:
        self.said.append(text)

    def wait(self, seconds: float, reason: str) -> bool:
        self.waited.append((seconds, reason))
        until = time.monotonic() + (seconds if self._patient else 0.0)
        while not self.stopping and time.monotonic() < until:
            time.sleep(_LEAST_STEP_SECONDS)
        return not self.stopping

    def remember(self, text: str) -> None:
        self.notes.append(text)

    def keep(self, turn: Mapping[str, Any]) -> None:
        self.turns.append(json.loads(json.dumps(turn)))

    def kept(self) -> list[dict[str, Any]]:
        return list(self.turns)

    def forget(self) -> None:
        self.turns.clear()

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def workspace(self) -> Path:
        return self._folder


def check_caps(
    tag: str, tokens: int, dollars: float | None, max_tokens: int | None, max_dollars: float | None, model: str
) -> None:
    """Whether so much may be spent in all. Raises CapReached; UsageError for a cap on dollars without a price."""
    if max_dollars is not None and dollars is None:
        raise UsageError(f"--max-dollars: the price of {model} is not known; give it with --price IN/OUT")
    if max_dollars is not None and dollars is not None and dollars > max_dollars:
        raise agents.CapReached(
            f"the next call could bring this run to ${dollars:.2f}, and the cap is ${max_dollars:.2f}; "
            f"go on with a higher one: autoresearch resume {tag} --max-dollars N"
        )
    if max_tokens is not None and tokens > max_tokens:
        raise agents.CapReached(
            f"the next call could bring this run to {tokens:,} tokens, and the cap is {max_tokens:,}; "
            f"go on with a higher one: autoresearch resume {tag} --max-tokens N"
        )
