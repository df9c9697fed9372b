"""An engine for a run that has none, started from its cockpit: for further trials alone, or to go on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from core.errors import AutoresearchError, UsageError
from core.launch import Options, command_for, launch
from tui import agent_words, text
from tui.going_on import as_typed_here, limits_to_go_on, question_to_go_on

if TYPE_CHECKING:
    import subprocess

    from tui.app import Cockpit


class Relaunch:
    """Starts one at a time; what becomes of it is said where the answers of an engine stand."""

    def __init__(self, cockpit: Cockpit) -> None:
        self._cockpit, self.starting = cockpit, False
        self._process: subprocess.Popen[bytes] | None = None
        self._called_off = False

    @property
    def possible(self) -> bool:
        """Whether an engine could take up the run that is shown: it is over, and ours."""
        cockpit, run = self._cockpit, self._cockpit.state.history.run
        return cockpit.over and not cockpit.read_only and run is not None and not run.imported_from

    async def again(self, number: int) -> None:
        """Ask, and start an engine for another trial of this experiment alone."""
        run = self._cockpit.state.history.run
        took = text.seconds(run.train_seconds) if run else ""
        if before := len(self._cockpit.state.history.asked_again):
            alone, took = f"this trial and the {before} asked for before", f"{took} each"
        else:
            alone = "this trial alone"
        question = (
            f"Another trial of #{number}? The run is over: an engine starts for {alone} (a budget of {took}, "
            "a fresh seed) and ends. The verdict stays as it is."
        )
        options = Options(self._workspace, resume=self._cockpit.run_folder.name, experiments=0, again=(number,))
        await self.ask("run again", question, "again", options)

    async def go_on(self) -> bool:
        """Ask, and start an engine that goes on where the run stands; whether there is anything to go on with."""
        from tui.agent_flags import need_key

        cockpit, h = self._cockpit, self._cockpit.state.history
        limits = limits_to_go_on(h)
        if h.run is None or limits is None:
            return False
        agent, options = h.run.agent, dict(h.engine.agent_options) if h.engine else {}
        try:
            await asyncio.to_thread(need_key, agent, options)
        except UsageError as error:
            by_hand = f"with it: `{command_for(cockpit.run_folder, 'resume')}`"
            cockpit.say("failed", f"resume: {text.one_line(str(error).removeprefix('--agent '))}; {by_hand}")
            return True
        wish = Options(self._workspace, agent=agent, resume=cockpit.run_folder.name)
        if "experiments" in limits:
            wish = replace(wish, experiments=int(limits["experiments"]))
        elif "hours" in limits:
            wish = replace(wish, hours=limits["hours"])
        await self.ask("go on", question_to_go_on(h, agent_words.name(h), limits), "resume", wish)
        return True

    async def ask(self, title: str, question: str, what: str, options: Options) -> None:
        """A question; after a yes an engine starts with these options. `what`: the command that this stands for."""
        from tui.screens.ask import AskScreen

        def then(yes: bool | None) -> None:
            if yes and self.starting:
                self._cockpit.say("failed", f"{what}: an engine starts already; ask again when it is there", about=what)
            elif yes:
                self.starting = True
                self._cockpit.run_worker(self._start(what, options))

        await self._cockpit.push_screen(AskScreen(title, question), then)

    @property
    def _workspace(self) -> str:
        return str(self._cockpit.run_folder.absolute().parent.parent)

    async def _start(self, what: str, options: Options) -> None:
        cockpit = self._cockpit
        cockpit.say("pending", f"{what}: an engine starts …", about=what)
        try:
            await asyncio.to_thread(self._launch, options)
        except AutoresearchError as error:
            cockpit.say("failed", f"{what}: {as_typed_here(str(error), cockpit.run_folder)}", about=what)
        else:
            cockpit.say("done", f"{what}: an engine is at work", about=what)
        finally:
            self.starting = False
            cockpit.look_now()

    def call_off(self) -> None:
        """The cockpit goes: so does an engine whose run is not open yet."""
        if self._cockpit.over:
            self._called_off = True
            if self._process is not None:
                self._process.terminate()

    def _launch(self, options: Options) -> None:
        """In a thread."""
        try:
            launch(options, lambda line: None, self._born)
        finally:
            self._process = None

    def _born(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        if self._called_off:
            process.terminate()
