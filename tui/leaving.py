"""Leaving the cockpit: what becomes of the engine, and Ctrl-C."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from textual.screen import ModalScreen

from core.launch import back_command, command_for
from tui.going_on import sibling
from tui.repeats import unconfirmed
from tui.standing import standing
from tui.window import Left

if TYPE_CHECKING:
    from tui.app import Cockpit
    from tui.screens.leave import Choice

INTERRUPT_SECONDS = 3.0  # within which Ctrl-C comes twice


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
            resume = command_for(cockpit.run_folder, "resume")
            page = LeaveScreen(cockpit.state.history.approval, resume, back_command(cockpit.run_folder))
            await cockpit.push_screen(page, self._leave)

    def _leave(self, choice: Choice | None) -> None:
        if choice == "detach":
            back = back_command(self._cockpit.run_folder)
            self._cockpit.exit(Left("detach", f"the engine goes on; `{back}` comes back to it"))
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
