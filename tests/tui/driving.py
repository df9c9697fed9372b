"""A cockpit that is driven by a test, and the engine's end of its run folder."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from recorded_run import STARTED_AT
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Static

from core import control, locks, records
from core import events as ev
from core.commands import Command
from core.errors import UsageError
from tui.app import Cockpit, Left
from tui.feed import Feed
from tui.screens.said import SaidScreen
from tui.widgets.experiments import ExperimentList


class Engine:
    """The engine's end of a run folder: its lock, its socket, and a journal that can be written on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heard: list[str] = []
        self.details: list[Mapping[str, Any]] = []  # of the commands that have some
        self.refusal = ""  # what such a command is refused with, if anything
        self.control = control.Control(
            folder, lambda event: self.heard.append(event.command), lambda: "training", grant=self._grant
        )
        self.now = STARTED_AT + 10_000

    def _grant(self, command: Command, details: Mapping[str, Any]) -> str | None:
        """The engine's answer to a command with details; what it would record is for the test to write."""
        if command not in ("steer", "approval-on", "approval-off", "approve", "reject", "again"):
            return None
        if self.refusal:
            raise UsageError(self.refusal)
        self.details.append({key: value for key, value in details.items() if key != "seen"})
        return f"{command} taken"

    def write(self, *events: ev.Event) -> None:
        with (self.folder / "journal.jsonl").open("a") as journal:
            for event in events:
                self.now += 1
                journal.write(json.dumps(records.to_record(event, self.now)) + "\n")


@contextmanager
def engine_of(folder: Path) -> Iterator[Engine]:
    with locks.lock(folder / "engine.lock", "busy"):
        engine = Engine(folder)
        try:
            yield engine
        finally:
            engine.control.close()
            engine.control.wake.close()
            engine.control._waker.close()


@asynccontextmanager
async def cockpit(
    folder: Path, size: tuple[int, int] = (120, 40), live: bool = True
) -> AsyncIterator[tuple[Cockpit, Pilot[Left]]]:
    feed = Feed(folder, alive=lambda _: True) if live else Feed(folder)
    app = Cockpit(folder, feed=feed)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.state.history.run is not None or not (folder / "journal.jsonl").exists())
        await pilot.pause()
        yield app, pilot


async def until(pilot: Pilot[Left], what: Callable[[], bool]) -> None:
    """Wait until something is so, half a minute at least."""
    for _ in range(1500):
        if what():
            return
        await pilot.pause(0.02)
    raise AssertionError("it did not happen in time:\n" + screen(pilot.app))


def screen(app: App[None] | Cockpit) -> str:
    """What the terminal shows."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


def said(app: Cockpit) -> str:
    """What the box holds that says all of what the rows at the top cut off."""
    assert isinstance(app.screen, SaidScreen)
    return "\n".join(str(line.content) for line in app.screen.query(Static))


def experiments(app: Cockpit) -> ExperimentList:
    return app.screen_stack[0].query_one(ExperimentList)
