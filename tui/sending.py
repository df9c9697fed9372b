"""Sending commands to an engine: one at a time, and never one without a word on what became of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Literal

from core import control
from core.commands import Command
from core.errors import AutoresearchError, EngineNotReady, EngineUnreachable
from core.launch import command_for
from tui import text
from tui.going_on import as_typed_here

Outcome = Literal["pending", "done", "failed"]
PATIENCE_SECONDS = 5.0  # for an answer; it comes from a thread that does nothing else
_DYING_SECONDS, _DYING_LOOKS = 1.0, 10  # a process that is killed lets go of its socket before its lock


class Sender:
    """Sends in the order of the keys. `tell` gets the last command, how things stand, and the words for it."""

    def __init__(self, run_folder: Path, tell: Callable[[Command, Outcome, str], None]) -> None:
        self._folder, self._tell = run_folder, tell
        self._line: list[Command] = []  # the first is under way
        self._said: list[str] = []  # what became of others since the line was last empty
        self._failed = False
        self._turn = asyncio.Lock()
        self._unreachable = 0  # how often no engine answered

    @property
    def pending(self) -> tuple[Command, ...]:
        """What has no answer yet, in the order in which it was asked for."""
        return tuple(self._line)

    def send(self, command: Command, **details: object) -> Coroutine[None, None, str | None]:
        """Put a command in line, at once. Awaited, it is sent when those before it have their answers; returns when it
        takes effect, None if it does not.

        Where no engine answers, what stands in line behind is given up with it, and named.
        """
        if not self._line:
            self._said, self._failed = [], False
        self._line.append(command)
        self._report(command)
        return self._send(command, details)

    async def _send(self, command: Command, details: dict[str, object]) -> str | None:
        effect, unreachable = None, self._unreachable
        try:
            async with self._turn:
                if unreachable == self._unreachable:
                    effect = await asyncio.to_thread(self._ask, command, details)
                    self._said.append(f"{command}: {effect}")
        except AutoresearchError as error:
            gone = isinstance(error, EngineUnreachable)
            self._unreachable += gone
            self._failed = True
            why = as_typed_here(str(error), self._folder)
            self._said.append(f"{', '.join(self._line if gone else [command])}: {why}")
        finally:
            self._line.remove(command)
        self._report(command)
        return effect

    def _report(self, command: Command) -> None:
        words = list(self._said)
        if self._line:
            words.append(", then ".join(self._line) + ": pending …")
        outcome: Outcome = "pending" if self._line else "failed" if self._failed else "done"
        self._tell(command, outcome, text.one_line("; ".join(words)))

    def _ask(self, command: Command, details: dict[str, object]) -> str:
        try:
            return control.send(self._folder, command, PATIENCE_SECONDS, **details)
        except EngineUnreachable as error:
            for _ in range(_DYING_LOOKS):
                if not control.alive(self._folder):
                    raise EngineUnreachable(control.gone(self._folder)) from None
                time.sleep(_DYING_SECONDS / _DYING_LOOKS)
            if isinstance(error, EngineNotReady):
                raise
            raise EngineUnreachable(self._silent()) from None

    def _silent(self) -> str:
        """Of an engine that lives and does not answer."""
        try:
            pid = (self._folder / "engine.lock").read_text(encoding="utf-8", errors="replace").split()[0]
        except (OSError, IndexError):
            pid = "?"
        return (
            f"the engine (process {pid}) lives but does not answer; try again, or end it with: kill {pid}; then "
            f"`{command_for(self._folder, 'resume')}` goes on"
        )
