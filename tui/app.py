"""The cockpit: a window on a run that sends what the keys ask for."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING

from textual import work
from textual.command import Provider
from textual.screen import Screen

from core.commands import Command
from core.launch import command_for, resume_command
from tui import agent_words, keys, text
from tui.approval import Approval
from tui.away import remember
from tui.feed import Feed, State, find
from tui.leaving import Leaving
from tui.memory import share
from tui.relaunch import Relaunch
from tui.replayed import ReplayedWindow
from tui.sending import Outcome, Sender
from tui.standing import only_looks, too_late
from tui.window import GREETING, Left

if TYPE_CHECKING:
    from tui.ahead import Ahead
    from tui.screens.answer import Reply

__all__ = ["GREETING", "Cockpit", "Left", "run_cockpit", "run_start"]

ASK_FROM_SECONDS = 60.0  # of a trial: from there a key pressed by mistake costs too much
_KEPT = {
    "steer": "t has your words still",
    "reject": "A, n has your words still",
    "approve": "A has your version still",
}


def run_cockpit(
    run_folder: Path,
    *,
    new: bool = False,
    read_only: bool = False,
    replay: float | None = None,
    ahead: Ahead | None = None,
) -> Left:
    """Show a run until the user leaves. `new`: the run has just begun, so say how to get about. `read_only`: nothing is
    sent to an engine. `replay`: show it as it happened, so many times faster. `ahead`: its journal, being read."""
    if replay is not None:
        from tui.replay import Replay

        feed = Replay(run_folder, replay)
        return _shown(Cockpit(run_folder, feed=feed, clock=feed.clock, read_only=True))
    resume = resume_command(run_folder) if read_only else command_for(run_folder, "resume")
    looks = Feed(run_folder, resume=resume, recorded=read_only, ahead=ahead)
    return _shown(Cockpit(run_folder, new=new, feed=looks, read_only=read_only))


def run_start(page: Screen[None], workspace: Path) -> tuple[Path | None, Left]:
    """Begin with a page that chooses a run, and become its cockpit. Returns the run folder, None if none was chosen."""
    app = Cockpit(workspace, start=page)
    left = _shown(app)
    return app.run_folder if app.attached else None, left


def _shown(app: Cockpit) -> Left:
    """Show it until the user leaves; one that broke down has said why, and ends the process with an error."""
    for stale in ("COLUMNS", "LINES"):  # exported by a shell they say how large the window was: the terminal knows
        os.environ.pop(stale, None)
    share()
    left = app.run()
    if app.return_code:
        sys.exit(app.return_code)
    return left or Left("detach", "")


def _offers() -> type[Provider]:
    from tui.palette import Offers

    return Offers


class Cockpit(ReplayedWindow):
    """`read_only`: what the keys would ask of an engine is refused, and said."""

    BINDINGS = keys.first_bindings()
    ENABLE_COMMAND_PALETTE = True
    COMMANDS = {_offers}  # noqa: RUF012
    NO_EDITOR = ""  # why, where there is none
    ONLY_REPLAYS = "a replay: what happened cannot be changed; space holds it and goes on"
    ONLY_LOOKS = "opened to look at; `autoresearch` in its workspace controls it"

    def __init__(
        self,
        run_folder: Path,
        *,
        new: bool = False,
        feed: Feed | None = None,
        clock: Callable[[], float] = time.time,
        read_only: bool = False,
        start: Screen[None] | None = None,
    ) -> None:
        self.read_only = read_only
        super().__init__(run_folder, new=new, feed=feed, clock=clock, start=start)

    def _look_at(self, run_folder: Path, feed: Feed, new: bool) -> None:
        super()._look_at(run_folder, feed, new)
        self.research.key_bar.only_looks = self.research.status.only_looks = self.read_only
        self.sender = Sender(run_folder, self._answered)
        self.approval = Approval(self)
        self._drafts: dict[str, str] = {}
        self._remembered = -1  # how many experiments there were when this look was last remembered
        self.leaving = Leaving(self)
        self.relaunch = Relaunch(self)

    def _news(self) -> tuple[str, str]:
        return ("", "") if self.read_only else super()._news()

    def _take(self, state: State) -> None:
        super()._take(state)
        self.call_later(self.approval.look)
        self.leaving.look()

    def _greet(self) -> None:
        super()._greet()
        if len(self.state.history.experiments) != self._remembered:
            self._remember()  # at once: a terminal that is closed gives no time to

    def _remember(self) -> None:
        if self._caught_up and not self.read_only:
            self._remembered = len(self.state.history.experiments)
            remember(self.run_folder, self.state.history, self.clock())

    def on_unmount(self) -> None:
        self._remember()
        self.approval.close()
        self.relaunch.call_off()

    # --- commands to the engine

    def command(self, command: Command, then: Callable[[str], None] | None = None, **details: object) -> None:
        """Send a command: pending until the engine answers, then what it says. Never blocks the painting.

        `then` gets the effect, if the engine took it.
        """
        if self.has_hand(command):
            self.run_worker(self._command(self.sender.send(command, **details), then))

    async def _command(self, sent: Coroutine[None, None, str | None], then: Callable[[str], None] | None) -> None:
        effect = await sent
        self._wake.set()
        if effect is not None and then is not None:
            then(effect)

    def has_hand(self, what: str) -> bool:
        """Whether there is something to control; says why `what` was asked for cannot be, and what can."""
        if self.read_only:
            why = self.ONLY_REPLAYS if self.state.replay else only_looks(self.state)
            self.say("failed", why or self.ONLY_LOOKS)
        elif self.over:
            self.say("failed", too_late(self.state, self.clock(), what))
        return not (self.read_only or self.over)

    def _answered(self, command: Command, outcome: Outcome, words: str) -> None:
        kept = f"; {_KEPT[command]}" if outcome == "failed" and command in _KEPT else ""
        self.say(outcome, words + kept, about=command)

    def is_on(self, on: Command, off: Command, now: bool) -> bool:
        """Whether what `on` begins and `off` ends is so, or will be when what was asked for has come about."""
        coming = [c for c in (*(a.command for a in self.state.asked), *self.sender.pending) if c in (on, off)]
        return coming[-1] == on if coming else now

    async def action_pause(self) -> None:
        """Pause, or go on, with a new engine where there is none; a replay is held here, whatever the run did."""
        if self.state.replay:
            self.hold_replay()
            return
        if self.relaunch.possible and await self.relaunch.go_on():
            return
        self.command("resume" if self.is_on("pause", "resume", self.paused) else "pause")

    def action_pause_after(self) -> None:
        """Pause when this trial is over, or do not."""
        if self.paused and not self.read_only:
            self.say("done", f"pause-after: it is paused already; {self.research.key_bar.key('pause')} goes on")
            return
        self.command("resume" if self.is_on("pause-after", "resume", False) else "pause-after")

    def action_skip(self) -> None:
        self.command("skip")

    async def action_again(self) -> None:
        """Another trial of the selected experiment; asks first where one takes long."""
        number, run = self.research.experiments.selected, self.state.history.run
        if not (self.relaunch.possible or self.has_hand("again")):
            return
        if number is None or find(self.state.history, number) is None:
            self.say("failed", "again: select a finished experiment first, with j and k")
        elif self.relaunch.possible:
            await self.relaunch.again(number)
        elif run is None or run.train_seconds < ASK_FROM_SECONDS:
            self.command("again", number=number)
        else:
            cost = f"it trains {text.seconds(run.train_seconds)} with a fresh seed; the verdict stays as it is"
            await self.ask(
                "run again", f"Another trial of #{number}? {cost}.", lambda: self.command("again", number=number)
            )

    async def action_steer(self) -> None:
        """A note to the agent."""
        await self.type("steer", "text", agent_words.steering(self.state.history))

    async def type(self, command: Command, field: str, title: str, empty: bool = False, **details: object) -> None:
        """Have words typed and send them in this field; until the engine has taken them they are kept."""
        from tui.screens.prompt import Prompt, Typed

        draft = f"{command} {details}"

        def typed(result: Typed | None) -> None:
            if result is not None:
                self._drafts[draft] = result.words
            if result is not None and result.send:
                self.command(command, lambda _: self._drafts.update({draft: ""}), **details, **{field: result.words})

        if self.has_hand(command):
            await self.push_screen(Prompt(title, self._drafts.get(draft, ""), empty=empty), typed)

    async def ask(self, title: str, question: str, then: Callable[[], None]) -> None:
        """A question; `then` follows a yes."""
        from tui.screens.ask import AskScreen

        if self.has_hand(title):
            await self.push_screen(AskScreen(title, question), lambda yes: then() if yes else None)

    # --- the user's word on proposals

    async def action_approval(self) -> None:
        """From now on every proposal waits for yes, or none does."""
        await self.approval.toggle(self.is_on("approval-on", "approval-off", self.state.history.approval))

    async def action_answer(self) -> None:
        """Yes, no or an own version of the proposal that waits."""
        await self.approval.ask()

    async def action_reply(self, reply: Reply) -> None:
        """The answer to that."""
        await self.approval.reply(reply)

    @work
    async def action_source(self) -> None:
        """The selected experiment's source in the editor."""
        await self.approval.look_at_source()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The app's own keys go before those of the screen: not while somebody types, nor where they mean nothing.

        So what is typed right behind a key that opens something goes there: each waits until that is open.
        """
        typing = self.screen is not self.research or self.focused is not None
        if action in ("steer", "answer", "leave", "command_palette"):
            return not typing
        return self.attached if action == "interrupt" else super().check_action(action, parameters)

    # --- leaving

    async def action_quit(self) -> None:
        await self.action_leave()

    async def action_leave(self) -> None:
        """Ask what becomes of the engine."""
        await self.leaving.ask()

    def action_interrupt(self) -> None:
        """Ctrl-C: copy what is marked; else, the second time, stop the run now."""
        self.leaving.interrupt()
