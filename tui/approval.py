"""The user's word on proposals: yes, no with a reason, or an own version from the editor."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from core.errors import UsageError
from core.history import History
from tui import asked, programs, text
from tui.editing import Copies
from tui.sources import Sources

if TYPE_CHECKING:
    from tui.app import Cockpit

GRACE_SECONDS = 1.0  # that a proposal is there before y and n mean it: somebody may be pressing them for another reason


class Approval:
    """What the keys of a cockpit do about its run's proposals."""

    def __init__(self, cockpit: Cockpit) -> None:
        self._cockpit = cockpit
        self._sources, self._copies = Sources(cockpit.run_folder), Copies()
        self._came_at = float("-inf")

    def close(self) -> None:
        """Remove the copies made for the editor."""
        self._copies.close()

    def look(self, was: History, now: History, watched: bool) -> None:
        """Take note of a proposal that begins to wait; `watched`: while somebody looked."""
        if asked.waiting(now) != asked.waiting(was):
            self._came_at = time.monotonic() if watched else float("-inf")

    @property
    def waits(self) -> int | None:
        """The number of the proposal that waits."""
        return None if self._cockpit.over else asked.waiting(self._cockpit.state.history)

    @property
    def in_view(self) -> bool:
        """Whether a proposal waits and is the one that is shown: only then do its keys mean it."""
        return self.waits is not None and self._cockpit.research.experiments.selected == self.waits

    async def toggle(self, on: bool) -> None:
        """Turn approval off if it is on, else on; of one that waits this decides, so that is asked first."""
        cockpit, number = self._cockpit, self.waits
        if on and number is not None:
            question = f"Turn it off? #{number} then begins."
            await cockpit.ask("approval", question, lambda: cockpit.command("approval-off"))
        else:
            cockpit.command("approval-off" if on else "approval-on")

    async def answer(self, yes: bool) -> None:
        """Yes, or no and why."""
        cockpit, number = self._cockpit, self.waits
        if number is None:
            return
        if time.monotonic() - self._came_at < GRACE_SECONDS:
            cockpit.say("done", f"#{number} has just come and waits; the same key once more answers it")
        elif yes:
            cockpit.command("approve", number=number)
        else:
            await cockpit.type("reject", "reason", f"no to #{number}: why? the agent reads it", True, number=number)

    async def edit(self) -> None:
        """Show the selected experiment's files in the editor; of a waiting proposal, send what was changed there."""
        cockpit, number = self._cockpit, self._cockpit.research.experiments.selected
        if number is None:
            return
        own = self.in_view and not cockpit.read_only
        try:
            files = await asyncio.to_thread(self._sources.of, cockpit.state.history, number)
            copy = self._copies.of(number, files, own)
            trouble = cockpit.run_program([*programs.editor(), *copy.paths], folder=copy.folder)
            edits = copy.changed() if own else {}
        except (LookupError, ValueError, OSError, UsageError) as error:
            cockpit.say("failed", f"#{number}: its source cannot be shown: {text.one_line(str(error))}")
            return
        if trouble:
            cockpit.say("failed", f"{trouble}; set EDITOR")
        elif edits:
            cockpit.command("approve", lambda _: self._copies.settled(number), number=number, edits=edits)
        elif own:
            cockpit.say("done", f"#{number}: nothing was changed; y approves it as it is")
