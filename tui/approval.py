"""The user's word on proposals: yes, no with a reason, or an own version from the editor."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from core.commands import digest
from core.errors import UsageError
from core.events import ApprovalAwaited
from core.own_words import described
from tui import programs, text
from tui.diffs import compare, tally, undone
from tui.editing import Copies, Copy, first_change
from tui.sources import Sources, of_file

if TYPE_CHECKING:
    from tui.app import Cockpit
    from tui.screens.answer import Reply


class Approval:
    """What the keys of a cockpit do about its run's proposals."""

    def __init__(self, cockpit: Cockpit) -> None:
        self._cockpit = cockpit
        self._sources, self._copies = Sources(cockpit.run_folder), Copies()
        self._own: tuple[ApprovalAwaited, Copy] | None = None  # the user's version, and what it is a version of
        self._sent: ApprovalAwaited | None = None  # what a version was sent of, that the engine may be taking just now

    def close(self) -> None:
        """Remove the copies made for the editor."""
        self._copies.close()

    @property
    def _awaited(self) -> ApprovalAwaited | None:
        """The proposal that waits."""
        pending = self._cockpit.state.history.pending
        return None if self._cockpit.over or pending is None else pending.awaited

    async def look(self) -> None:
        """Take the question away where it was answered elsewhere, and say that a version of the user's was not used."""
        from tui.screens.answer import AnswerScreen

        cockpit = self._cockpit
        screen = cockpit.screen
        if isinstance(screen, AnswerScreen) and screen.awaited != self._awaited:
            await cockpit.pop_screen()
            cockpit.say("done", f"#{screen.awaited.number} waits no more: it was answered elsewhere")
        pending, sent = cockpit.state.history.pending, self._sent if "approve" in cockpit.sender.pending else None
        if self._own and self._own[0] not in (sent, pending.awaited if pending else None):
            (awaited, copy), self._own = self._own, None
            if self._changed(copy):
                kept = f"its text is kept in {text.one_line(str(copy.folder))}"
                cockpit.say("failed", f"#{awaited.number} was answered elsewhere: your version was not used; {kept}")

    async def toggle(self, on: bool) -> None:
        """Turn approval off if it is on, else on; of one that waits this decides, so that is asked first."""
        cockpit, awaited = self._cockpit, self._awaited
        if on and awaited is not None:
            question = f"Turn it off? #{awaited.number} then begins."
            await cockpit.ask("approval", question, lambda: cockpit.command("approval-off"))
        else:
            cockpit.command("approval-off" if on else "approval-on")

    async def ask(self) -> None:
        """Show the proposal that waits, and ask for the user's word on it."""
        from tui.screens.answer import AnswerScreen

        cockpit, awaited = self._cockpit, self._awaited
        if awaited is None and cockpit.over:
            cockpit.has_hand("answer")
        elif awaited is None:
            on = cockpit.state.history.approval
            cockpit.say("done", f"no proposal waits; {'the next one will' if on else 'a lets every one of them wait'}")
        elif cockpit.has_hand("answer"):
            experiments = cockpit.research.experiments
            newest = experiments.listing.number(0) == awaited.number
            experiments.select(awaited.number, follow=experiments.following and newest)
            pending = cockpit.state.history.pending
            said = text.one_line(pending.proposed.description) if pending and pending.proposed else ""
            self._sent = None
            called = self._show_version(awaited, said)
            title = called or f"{said}   {tally(awaited.diff)}"
            await cockpit.push_screen(AnswerScreen(awaited, title, self._edited(awaited)))

    async def reply(self, reply: Reply) -> None:
        """The user's word, given in the question that is open."""
        from tui.screens.answer import AnswerScreen

        cockpit, screen = self._cockpit, self._cockpit.screen
        if not isinstance(screen, AnswerScreen) or (reply == "undo" and not screen.edited):
            return
        awaited, number = screen.awaited, screen.awaited.number
        await cockpit.pop_screen()
        if reply == "yes":
            self._approve(awaited)
        elif reply == "no":
            why = f"no to #{number}: why? for the journal, and for an agent that reads it"
            await cockpit.type("reject", "reason", why, True, number=number, seen=digest(awaited.diff))
        elif reply == "edit":
            cockpit.run_worker(self._edit(awaited))
        elif reply == "undo":
            self._settled(number)
            await self.ask()

    def _approve(self, awaited: ApprovalAwaited) -> None:
        cockpit, number, copy = self._cockpit, awaited.number, self._version(awaited)
        seen = digest(awaited.diff)
        try:
            edits = copy.changed() if copy else {}
        except UsageError as error:
            cockpit.say("failed", f"#{number} waits on: {text.one_line(str(error))}")
            return
        if edits:
            self._sent = awaited
            cockpit.command("approve", lambda _: self._settled(number), number=number, edits=edits, seen=seen)
        else:
            cockpit.command("approve", number=number, seen=seen)

    def _version(self, awaited: ApprovalAwaited) -> Copy | None:
        return self._own[1] if self._own and self._own[0] == awaited else None

    def _show_version(self, awaited: ApprovalAwaited, said: str) -> str:
        """The diff pane comes to the front and shows what a yes would approve: the user's version, where there is one.
        Returns what that will be called, in place of what was `said` of the proposal; empty where there is none."""
        research, copy, diff, named = self._cockpit.research, self._version(awaited), None, "your version"
        called, changed = "", self._changed(copy)
        if copy is not None and changed:
            try:
                before = {path: undone(new, of_file(awaited.diff, path)) for path, new in copy.written.items()}
            except ValueError:  # a journal whose texts and diffs disagree
                before, named = dict(copy.written), "your version, against the proposal"
            after = {**copy.written, **changed}
            diff, called = compare(before, after), described(before, copy.written, after, said)
        research.diffs.show_own(awaited, diff, named)
        research.activate("diff")
        return text.one_line(called)

    def _changed(self, copy: Copy | None) -> Mapping[str, str]:
        """What the user made of it; nothing where it cannot be read: the question says what is wrong with it."""
        try:
            return copy.changed() if copy is not None else {}
        except UsageError:
            return {}

    def _settled(self, number: int) -> None:
        self._own = None
        self._copies.settled(number)

    def _edited(self, awaited: ApprovalAwaited) -> str:
        """What the user's version changes, in words; empty where there is none."""
        copy = self._version(awaited)
        try:
            return f"edited: {copy.told()}" if copy and copy.changed() else ""
        except UsageError as error:
            return f"edited: {text.one_line(str(error))}"

    # --- the editor

    async def look_at_source(self) -> None:
        """Show the selected experiment's files in the editor."""
        cockpit, number = self._cockpit, self._cockpit.research.experiments.selected
        if number is not None:
            copy = await self._copy(number, to_edit=False)
            if copy and (trouble := cockpit.run_program([*programs.editor(), *copy.places], folder=copy.folder)):
                cockpit.say("failed", f"{trouble}; set EDITOR")

    async def _edit(self, awaited: ApprovalAwaited) -> None:
        """Have the proposal edited, and ask again."""
        cockpit = self._cockpit
        copy = await self._copy(awaited.number, to_edit=True)
        if copy is None or self._awaited != awaited:
            return
        change = first_change(awaited.diff, copy.paths)
        argv = programs.editor_at(copy.places, change and (str(copy.place(change[0])), change[1]))
        trouble = cockpit.run_program(argv, folder=copy.folder)
        self._own = awaited, copy
        if trouble:
            cockpit.say("failed", f"{trouble}; set EDITOR")
        elif self._awaited == awaited:
            await self.ask()
            if not self._edited(awaited):
                cockpit.say("done", f"#{awaited.number}: nothing was changed; y approves it as it is")

    async def _copy(self, number: int, to_edit: bool) -> Copy | None:
        if self._cockpit.NO_EDITOR:
            self._cockpit.say("failed", self._cockpit.NO_EDITOR)
            return None
        try:
            files = await asyncio.to_thread(self._sources.of, self._cockpit.state.history, number)
            return self._copies.of(number, files, to_edit)
        except (LookupError, ValueError, OSError, UsageError) as error:
            self._cockpit.say("failed", f"#{number}: its source cannot be shown: {text.one_line(str(error))}")
            return None
