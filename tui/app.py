"""The cockpit: follows a run folder, paints it, sends what the keys ask for.

It holds no truth: what it shows is a fold over the run's files, and closing it changes nothing about the run.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from textual import work
from textual.app import SuspendNotSupported
from textual.screen import Screen

from core import control
from core.errors import AutoresearchError
from core.events import Command
from tui import config, text
from tui.away import last_look, remember, while_away
from tui.feed import Feed, State
from tui.keys import KEYS
from tui.screens.research import ResearchScreen
from tui.standing import standing
from tui.themes import THEMES, ThemedApp
from tui.widgets.experiments import ExperimentList
from tui.widgets.status import Notice, Stage

READ_EVERY_SECONDS = 0.2
NOTICE_SECONDS = 8.0
GREETING = "? shows the keys; q leaves, and the engine goes on without this window"


@dataclass(frozen=True, slots=True)
class Left:
    """How the user left: what was chosen, and the last words for the terminal. `over`: the run had ended before."""

    choice: Literal["detach", "stop", "stop-now", "over"]
    message: str


def run_cockpit(run_folder: Path, *, new: bool = False, read_only: bool = False, replay: float | None = None) -> Left:
    """Show a run until the user leaves. `new`: the run has just begun, so say how to get about. `read_only`: nothing is
    sent to an engine. `replay`: show it as it happened, so many times faster."""
    if replay is not None:
        from tui.replay import Replay

        feed = Replay(run_folder, replay)
        return Cockpit(run_folder, feed=feed, clock=feed.clock, read_only=True).run() or Left("detach", "")
    return Cockpit(run_folder, new=new, read_only=read_only).run() or Left("detach", "")


def run_start_page() -> None:
    """Say what to type where there is no run yet."""
    from tui.screens.start import StartPage

    StartPage().run()


class Cockpit(ThemedApp[Left]):
    """`feed` and `clock` are those of the run folder and of the wall, unless a recorded run is shown as if it lived."""

    TITLE = "autoresearch"
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        run_folder: Path,
        *,
        new: bool = False,
        feed: Feed | None = None,
        clock: Callable[[], float] = time.time,
        read_only: bool = False,
    ) -> None:
        self.config = config.load(set(THEMES), {key.id for key in KEYS})
        super().__init__(self.config.theme, self.config.glyphs)
        self.run_folder, self.read_only = run_folder, read_only
        self.feed = feed or Feed(run_folder)
        self.clock = clock
        self.state = State()
        self.notice = Notice("done", GREETING) if new else None
        self._noticed_at = time.monotonic()
        self._caught_up = False
        self.set_keymap(self.config.keys)
        if self.config.trouble:
            self.notice = Notice("failed", text.one_line(self.config.trouble))
        self._wake = asyncio.Event()
        self._research = ResearchScreen(run_folder)

    def get_default_screen(self) -> Screen[None]:
        return self._research

    def on_mount(self) -> None:
        # Not for SIGHUP: of a terminal that is gone nothing needs tidying up, and writing to it may block for ever.
        with suppress(NotImplementedError, RuntimeError, ValueError):  # only in a main thread, and not everywhere
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit, Left("detach", ""))
        self.set_interval(1.0, self._tick)
        self._follow()

    # --- what it shows

    @work
    async def _follow(self) -> None:
        """Read the files in a thread, paint what they say here."""
        while True:
            await asyncio.to_thread(self.feed.read)
            if self.feed.state is not self.state:
                was, was_paused = self.state, self.paused
                self.state = self.feed.state
                if self._caught_up:
                    self._tell(was)
                if was_paused != self.paused and self.notice and self.notice.stage == "done":
                    self.notice = None  # what was announced is there: it speaks for itself
                self._research.show(self.state, self.clock(), self.notice)
            self._greet()
            if not self.feed.behind:
                self._wake.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), READ_EVERY_SECONDS)

    def _greet(self) -> None:
        """Once, when all that was recorded so far is read: say what happened since the last look."""
        if self._caught_up or self.feed.behind or self.state.history.run is None:
            return
        self._caught_up = True
        if not self.read_only and not self.notice:
            news = while_away(self.state.history, last_look(self.run_folder), self.clock())
            if news:
                self._notify("away", news)

    def _tell(self, was: State) -> None:
        """Ring and say so where something happened that somebody in another window wants to know."""
        stands, best = standing(self.state, self.clock()), self.state.best
        news = ""
        if best and best.number and best.measurement and self.state.history.incumbent != was.history.incumbent:
            news = f"new best {text.score(best.measurement.value)} (#{best.number})"
        elif stands.trouble and not standing(was, self.clock()).trouble:
            news = f"{stands.word}: {stands.detail}"
        if news and self.config.bell:
            self.bell()
        if news and not self.notice:
            self._notify("done", text.one_line(news))

    def _tick(self) -> None:
        settled = self.notice and self.notice.stage not in ("pending", "away")
        if settled and time.monotonic() - self._noticed_at > NOTICE_SECONDS:
            self.notice = None
        self._research.tick(self.clock(), self.notice)

    def on_experiment_list_selected(self, message: ExperimentList.Selected) -> None:
        self.feed.wanted = message.number
        self._wake.set()

    # --- what the keys ask for

    @property
    def paused(self) -> bool:
        return standing(self.state, self.clock()).glyph == text.PAUSED

    @property
    def over(self) -> bool:
        return standing(self.state, self.clock()).over

    def action_pause(self) -> None:
        """Pause, or go on."""
        self.command("resume" if self.paused else "pause")

    def action_skip(self) -> None:
        self.command("skip")

    @work
    async def command(self, command: Command, then_leave: bool = False) -> None:
        """Send a command to the engine: pending until it answers, then what it says. Never blocks the painting."""
        if self.notice and self.notice.stage == "pending":
            return
        if self.read_only or self.over:
            why = "opened to look at; `autoresearch` in its workspace controls it" if self.read_only else ""
            self._notify("failed", why or standing(self.state, self.clock()).detail)
            return
        self._notify("pending", f"{command}: pending …")
        try:
            effect = await asyncio.to_thread(control.send, self.run_folder, command)
        except AutoresearchError as error:
            self._notify("failed", text.one_line(f"{command}: {error}"))
            return
        self._notify("done", text.one_line(f"{command}: {effect}"))
        self._wake.set()
        if then_leave and command in ("stop", "stop-now"):
            self.exit(Left("stop" if command == "stop" else "stop-now", self._last_words(effect)))

    def on_key(self) -> None:
        if self.notice and self.notice.stage == "away":
            self.notice = None

    def on_unmount(self) -> None:
        if self.state.history.run is not None and not self.read_only:
            remember(self.run_folder, self.state.history, self.clock())

    def _notify(self, stage: Stage, words: str) -> None:
        self.notice, self._noticed_at = Notice(stage, words), time.monotonic()
        self._research.tick(self.clock(), self.notice)

    def action_copy(self) -> None:
        """To the terminal's clipboard (OSC 52), which reaches through ssh."""
        words = self._research.shown_text
        self.copy_to_clipboard(words)
        self._notify("done", f"copied {len(words.splitlines())} lines, if this terminal takes them (OSC 52)")

    def action_open(self) -> None:
        """Show the active pane in the pager."""
        pager = shlex.split(os.environ.get("PAGER", "")) or ["less"]
        try:
            with self.suspend():
                subprocess.run(pager, input=self._research.shown_text.encode())
        except (SuspendNotSupported, OSError) as error:
            self._notify("failed", f"{pager[0]}: cannot be opened ({text.one_line(str(error))}); set PAGER")

    def action_picture(self) -> None:
        """Save the screen as SVG."""
        try:
            path = self.save_screenshot(path=str(Path.cwd()))
        except OSError as error:
            self._notify("failed", f"no picture: {error.strerror or error}")
        else:
            self._notify("done", f"saved {path}")

    def action_help(self) -> None:
        from tui.screens.help import HelpScreen

        self.push_screen(HelpScreen(self.config.keys))

    async def action_quit(self) -> None:
        self.action_leave()

    def action_leave(self) -> None:
        """Ask what becomes of the engine; of a run that is over there is nothing to ask."""
        from tui.screens.leave import Choice, LeaveScreen

        if self.read_only or self.over:
            self.exit(Left("over", "" if self.read_only else standing(self.state, self.clock()).detail))
            return

        def leave(choice: Choice | None) -> None:
            if choice == "detach":
                self.exit(Left("detach", "the engine goes on; `autoresearch` comes back to it"))
            elif choice is not None:
                self.command(choice, then_leave=True)

        if not isinstance(self.screen, LeaveScreen):
            self.push_screen(LeaveScreen(), leave)

    def _last_words(self, effect: str) -> str:
        return f"the engine {effect}; `autoresearch resume {self.state.tag}` goes on from there"
