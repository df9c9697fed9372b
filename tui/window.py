"""A window on a run: follows its folder, paints it, and tells what happened.

It holds no truth: what it shows is a fold over the run's files, and closing it changes nothing about the run.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from textual import work
from textual.screen import Screen

from core.facts import fact
from core.launch import command_for
from tui import asked, config, text
from tui.agent_words import mends
from tui.away import Look, last_look
from tui.feed import Feed, State
from tui.memory import TIDY_SECONDS, settle, tidy
from tui.news import News, rejected, since, speaks
from tui.screens.arranged import ArrangedScreen
from tui.screens.research import ResearchScreen
from tui.standing import standing
from tui.terminal import Terminal, gone, hang_up, title, when_ended
from tui.themes import THEMES, ThemedApp
from tui.widgets.experiments import ExperimentList
from tui.widgets.saying import Notice, Said, Stage

READ_EVERY_SECONDS = 0.2
READ_AT_LEAST_EVERY_SECONDS = 1.0  # where nothing has come for a while
FIRST_LOOK_SECONDS = 0.5  # of reading before the first painting, at most
NEWS = "news"  # what a notice is about that tells of the run
GREETING = "? shows the keys; q leaves, and the engine goes on without this window"


@fact
class Left:
    """How the user left: what was chosen, and the last words for the terminal. `over`: the run had ended before."""

    choice: Literal["detach", "stop", "stop-now", "over"]
    message: str


class RunWindow(ThemedApp[Left]):
    """`feed` and `clock` are those of the run folder and of the wall, unless a recorded run is shown as if it lived.

    `start`: a page that chooses the run; it calls `attach`, and until then there is none.
    """

    TITLE = "autoresearch"
    _notice: Notice | None

    def __init__(
        self,
        run_folder: Path,
        *,
        new: bool = False,
        feed: Feed | None = None,
        clock: Callable[[], float] = time.time,
        start: Screen[None] | None = None,
    ) -> None:
        self.config = config.load(set(THEMES))
        super().__init__(self.config.theme, self.config.glyphs)
        self.set_keymap(self.config.keys)
        self.clock, self._start, self._wake = clock, start, asyncio.Event()
        self._terminal, self._terminal_gone = Terminal(self._write, os.environ), gone()
        self._look_at(run_folder, feed or Feed(run_folder), new)

    def _look_at(self, run_folder: Path, feed: Feed, new: bool) -> None:
        self.run_folder, self.feed, self.state = run_folder, feed, State()
        self.research = ResearchScreen(run_folder)
        self.research.key_bar.remapped = self.config.keys
        self._notice = Notice("done", GREETING) if new else None
        self._noticed_at, self.said = time.monotonic(), Said()
        self._last_look: Look | None = None
        self._about = ""  # the command that the notice is the answer to
        self._caught_up, self._happens = False, News()
        if self.config.trouble:
            self._notice = Notice("failed", text.one_line(self.config.trouble))
            self.said.say(self.clock(), self._notice.words)

    def get_default_screen(self) -> Screen[None]:
        return Screen() if self._start else self.research

    @property
    def attached(self) -> bool:
        """Whether there is a run: not before the start page has chosen one."""
        return self._start is None

    @work
    async def attach(self, run_folder: Path, *, new: bool) -> None:
        """Become the cockpit of this run, in the place of the start page. `new`: the run has just begun."""
        self._start = None
        self._look_at(run_folder, Feed(run_folder, resume=command_for(run_folder, "resume")), new)
        while len(self.screen_stack) > 2:  # the first is the empty one that Textual wants below everything
            await self.pop_screen()
        await self.switch_screen(self.research)
        self._begin()

    def on_mount(self) -> None:
        when_ended(self.exit, Left("detach", ""))
        self._terminal.begin()
        self.app_suspend_signal.subscribe(self, lambda _: self._terminal.end())
        self.app_resume_signal.subscribe(self, lambda _: self._terminal.begin())
        if self._start is None:
            self._begin()
        else:
            self.push_screen(self._start)  # not the default screen: of that Textual loads no stylesheet

    def _begin(self) -> None:
        self.set_interval(1.0, self._tick)
        self._follow()

    def on_unmount(self) -> None:
        self._terminal.end()

    def _write(self, sequence: str) -> None:
        if self._driver is not None and not (self.is_headless or self.is_web):
            self._driver.write(sequence)

    # --- what it shows

    @property
    def notice(self) -> Notice | None:
        """What is said now: the last news, else what a command that was taken is still to bring about."""
        if self._notice is None and not (self.paused or self.over) and (coming := asked.words(self.state.asked)):
            return Notice("done", coming)
        return self._notice

    @property
    def paused(self) -> bool:
        return not self.over and asked.paused(self.state.history)

    @property
    def over(self) -> bool:
        return standing(self.state, self.clock()).over

    @work
    async def _follow(self) -> None:
        """Read the files in a thread, paint what they say here. Before the first painting there is nothing to keep up:
        what is recorded already is read at once, and painted once."""
        self.feed.read()
        changed_at = began = time.monotonic()
        while self.feed.behind and time.monotonic() < began + FIRST_LOOK_SECONDS:
            self.feed.read()
        self.call_after_refresh(settle)
        self.set_interval(TIDY_SECONDS, tidy)
        while True:
            if self.feed.state is not self.state:
                self._take(self.feed.state)
                changed_at = time.monotonic()
            self._greet()
            if not self.feed.behind:
                self._wake.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _pause(time.monotonic() - changed_at))
            self.feed.weighs = self.research.status.shows_load
            await asyncio.to_thread(self.feed.read)

    def _take(self, state: State) -> None:
        was, was_paused = self.state, self.paused
        self.state = state
        settled = was_paused != self.paused or asked.took_effect(self._about, was.history, state.history)
        if settled and self._notice and self._notice.stage == "done":
            self._notice = None  # what was announced is there: it speaks for itself
        if self._caught_up and not state.replay and (words := rejected(was, state)):
            self.say("done", words, about=NEWS)
        if self._caught_up:
            self._tell(was)
        stale = self._about == NEWS and (self.over or (mends(state.history) and not mends(was.history)))
        if self._notice and (stale or (self._notice.words == GREETING and speaks(state, self.clock()))):
            self._notice = None  # beside why the run ended, or what has to be mended
        if self._notice and self._notice.stage == "away" and state.history is not was.history:
            self._notice = Notice("away", *map(text.one_line, self._news()))  # until a key comes nobody is back
            self.said.say(self.clock(), self._notice.words, instead=True)
        self.research.show(state, self.clock(), self.notice)
        self._terminal.title(title(state, self.clock(), self.config.glyphs))

    def _greet(self) -> None:
        """Once, when all that was recorded so far is read: say what happened since the last look."""
        if self._caught_up or self.feed.behind or self.state.history.run is None:
            return
        self._last_look = last_look(self.run_folder)
        self._caught_up = True
        self._happens.begin(self.state, self.clock())
        news, brief = self._news()
        if news and not self._notice:
            self.say("away", news, brief=brief)
        elif news:
            self.said.append((self.clock(), text.one_line(news)))

    def _news(self) -> tuple[str, str]:
        return since(self._last_look, self.state, self.clock())

    def _tell(self, was: State) -> None:
        """Ring and say so where something happened that somebody in another window wants to know."""
        listed = self.research.experiments
        news = self._happens.between(was, self.state, self.clock(), listed.selected, listed.following)
        if not news:
            return
        if self.config.bell and not self.state.replay:
            self.bell()
        if self.config.notify and not self.state.replay:
            self._terminal.notify(f"autoresearch {self.state.tag}", news)
        if not self._notice or self._about == NEWS:
            self.say("done", news, about=NEWS)
        else:  # what stands there is not talked over
            self.said.append((self.clock(), text.one_line(news)))

    def _tick(self) -> None:
        if not self.is_headless and self._terminal_gone():
            hang_up()
        if self._notice and self._notice.is_old(time.monotonic() - self._noticed_at, bool(self.state.replay)):
            self._notice = None
        if self._caught_up:
            self._tell(self.state)  # a trial stalls while nothing happens
        self.research.tick(self.clock(), self.notice)
        self._terminal.title(title(self.state, self.clock(), self.config.glyphs))

    def look_now(self) -> None:
        """Read the files at once: something has just happened."""
        self._wake.set()

    def say(self, stage: Stage, words: str, about: str = "", brief: str = "") -> None:
        """Say something for a while. `about`: the command that this is the answer to; `brief`: where there is little
        room."""
        answers = self._notice is not None and self._notice.stage == "pending"  # this is what came of it
        self._notice, self._noticed_at = Notice(stage, text.one_line(words), text.one_line(brief)), time.monotonic()
        self._about = about
        self.said.say(self.clock(), self._notice.words, instead=answers)
        self.research.tick(self.clock(), self.notice)

    def on_key(self) -> None:
        if self._notice and self._notice.stage == "away":
            self._notice = None

    def on_arranged_screen_refused(self, message: ArrangedScreen.Refused) -> None:
        self.say("failed", message.words)

    def on_experiment_list_selected(self, message: ExperimentList.Selected) -> None:
        self.feed.wanted = message.number
        self._wake.set()


def _pause(quiet: float) -> float:
    """Until the next look, where nothing has come for so long: nothing is shown later than a tenth of that."""
    return min(max(READ_EVERY_SECONDS, quiet / 10), READ_AT_LEAST_EVERY_SECONDS)
