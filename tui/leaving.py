"""Leaving the cockpit: what becomes of the engine, and Ctrl-C."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from textual.screen import ModalScreen

from core.history import History
from core.launch import back_command, command_for
from tui import asked
from tui.asked import Asked
from tui.going_on import sibling
from tui.repeats import unconfirmed
from tui.standing import standing
from tui.window import Left

if TYPE_CHECKING:
    from tui.app import Cockpit
    from tui.screens.leave import Choice

INTERRUPT_SECONDS = 3.0  # within which Ctrl-C comes twice
_ENDS = "the run ends; resume goes on from here"


def becomes(h: History) -> tuple[str, str, str]:
    """What becomes of a run that is left alone, that is stopped after this experiment, that is stopped now."""
    p = h.pending
    if p and p.awaited:
        ends = f"the run ends; #{p.number} waits again on resume"
        return f"#{p.number} waits for your yes", ends, ends
    left = "it stays paused" if asked.paused(h) else "the engine goes on"
    last = _ENDS if h.paused and (p is None or p.judged) else "this experiment is finished, then the run ends"
    return left, last, "this trial is cut; resume runs it again" if p and p.trial_open else _ENDS


def stands_still(h: History, asked_for: Asked, pause: str, answer: str) -> str:
    """Why a run that is left alone stands still, now or before long; empty where it does not. `pause`, `answer`: the
    keys that end that."""
    if asked.paused(h):
        return f"it is paused: nothing happens until {pause}"
    if h.pending and h.pending.awaited:
        return f"#{h.pending.number} waits for your yes: nothing happens until {answer} answers"
    if any(a.command in ("pause", "pause-after") for a in asked_for):
        return f"a pause is coming: then nothing happens until {pause}"
    if h.approval:
        return "approval is on: the engine goes on to its next proposal, and waits for your yes there"
    return ""


class Leaving:
    """How a cockpit is left."""

    def __init__(self, cockpit: Cockpit) -> None:
        self._cockpit = cockpit
        self._stopping = False  # the engine took stop-now: when the run has ended, the cockpit leaves
        self._interrupted_at = float("-inf")

    def look(self) -> None:
        """Leave where that only waited for the end of the run."""
        if self._stopping and self._cockpit.over:
            self._cockpit.exit(Left("stop-now", self._detail))

    async def ask(self) -> None:
        """Ask what becomes of the engine; where there is nothing to control there is nothing to ask."""
        from tui.screens.leave import LeaveScreen

        cockpit = self._cockpit
        if not cockpit.attached:
            cockpit.exit(Left("detach", ""))
        elif self._nothing_to_ask:
            self._go()
        elif not isinstance(cockpit.screen, LeaveScreen):
            folder, h, key = cockpit.run_folder, cockpit.state.history, cockpit.research.key_bar.key
            warning = stands_still(h, cockpit.state.asked, key("pause"), key("answer"))
            page = LeaveScreen(becomes(h), warning, command_for(folder, "resume"), back_command(folder))
            await cockpit.push_screen(page, self._leave)

    def _leave(self, choice: Choice | None) -> None:
        if choice == "detach":
            self._cockpit.exit(Left("detach", self._left_alone))
        elif choice is not None:
            self._stop(choice)

    def interrupt(self) -> None:
        """Ctrl-C: copy what is marked; else the first time say what the second does: stop the run now and leave."""
        cockpit, now = self._cockpit, time.monotonic()
        if cockpit.screen.get_selected_text():
            cockpit.action_copy()
            cockpit.screen.clear_selection()
            return
        if isinstance(cockpit.screen, ModalScreen):
            cockpit.screen.dismiss(None)
        again = now - self._interrupted_at <= INTERRUPT_SECONDS
        self._interrupted_at = now
        if self._nothing_to_ask:
            self._go() if again else cockpit.say("done", "ctrl+c again leaves, and so does q")
        elif again:
            self._stop("stop-now")
        else:
            cockpit.say("done", "ctrl+c again within 3 s stops the run now (its trial is void); q leaves")

    @property
    def _nothing_to_ask(self) -> bool:
        return self._stopping or self._cockpit.read_only or self._cockpit.over

    @property
    def _detail(self) -> str:
        state = self._cockpit.state
        best = sibling(state.resume, state.tag, "best") if state.best else ""
        asks = bool(best) and unconfirmed(state.history)
        shows = f"`{best}` shows the best" if best else ""
        shows += f", `{sibling(state.resume, state.tag, 'confirm')}` says whether it is luck" * asks
        return "; ".join(filter(None, (standing(state, self._cockpit.clock()).detail, shows)))

    @property
    def _left_alone(self) -> str:
        """Of a run that goes on without this window, or stands still without it."""
        state, folder = self._cockpit.state, self._cockpit.run_folder
        left, back = becomes(state.history)[0], f"`{back_command(folder)}` comes back to it"
        if asked.paused(state.history) or any(a.command in ("pause", "pause-after") for a in state.asked):
            left = f"the run {'stays paused' if self._cockpit.paused else 'is about to pause'}"
            return f"{left}: nothing happens until `{command_for(folder, 'resume')}`; {back}"
        return f"{left}; {back}"

    def _stop(self, choice: Literal["stop", "stop-now"]) -> None:
        """Stop the run and leave: at once where an experiment is to be finished first, else when it has ended."""

        def then(effect: str) -> None:
            if choice == "stop":
                self._cockpit.exit(Left("stop", self._from_there(effect)))
            self._stopping = True
            self.look()

        self._cockpit.command(choice, then)

    def _go(self) -> None:
        """Leave a run that is over, or only looked at, or about to end."""
        if self._stopping and not self._cockpit.over:
            self._cockpit.exit(Left("stop-now", self._from_there("is about to end")))
        elif self._cockpit.relaunch.starting:
            resume = command_for(self._cockpit.run_folder, "resume")
            self._cockpit.exit(Left("over", f"the engine that was about to start is called off; `{resume}` goes on"))
        else:
            self._cockpit.exit(Left("over", "" if self._cockpit.read_only else self._detail))

    def _from_there(self, effect: str) -> str:
        return f"the engine {effect}; `{command_for(self._cockpit.run_folder, 'resume')}` goes on from there"
