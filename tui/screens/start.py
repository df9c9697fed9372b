"""The first page where no run is: the demo, this folder's task, a new workspace, or a run to come back to."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.console import Group
from rich.padding import Padding
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from core.launch import Options, launch
from tui import starting, text
from tui.recent import Recent, recent_runs
from tui.screens.start_run import StartRunScreen, become
from tui.screens.waiting import Born, Say, WaitingScreen

WORDS = """\
An agent edits one file, a run of fixed length scores the edit with one number, git keeps what improved.
You watch, pause, skip, read the diffs; or sleep."""
KEYS = "↑ ↓ choose   enter begin   q leave   ? more   check: autoresearch doctor"
MORE = "j k and the mouse choose too   the cockpit has its own ?   commands: autoresearch --help"
_LOOKING = Content("looking for tasks here …").stylize("dim")
_DEMO = ("demo", "demo", "improve a small GPT on real text, here and now; needs nothing")
_MAKE = ("make", "make a workspace", "a new folder with all it needs; for a file of your own: autoresearch init --own")


class StartScreen(Screen[None]):
    """`here`: the folder where the command was typed."""

    CSS_PATH = "start.tcss"
    AUTO_FOCUS = "#ways"
    HORIZONTAL_BREAKPOINTS = [(0, "-slim"), (60, "-broad")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (18, "-high")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        ("j", "move(1)", "down"),
        ("k", "move(-1)", "up"),
        ("question_mark,f1", "more", "more"),
        ("escape,q", "leave", "leave"),
        Binding("ctrl+c", "leave", "leave", priority=True),
    ]

    def __init__(self, here: Path) -> None:
        super().__init__()
        self.here = here
        self.root = starting.workspace_root(here)
        self._recent: dict[str, Recent] = {}
        self._told: dict[str, tuple[str, str]] = {}  # name and words of what can be chosen
        self._marked = ""
        self._places: dict[str, starting.Tasks] = {}

    def compose(self) -> ComposeResult:
        yield Static("autoresearch", classes="box-title")
        yield Static(WORDS, id="words")
        yield OptionList(Option(_LOOKING, disabled=True), id="ways", compact=True, markup=False)
        yield Static(KEYS, id="start-keys", classes="dim", markup=False)

    def _ways(self) -> list[Option]:
        """What can be begun; first of all the task that is here."""
        ways = []
        for id, tasks in self._places.items():
            words = [choice for choice, _ in tasks.choices]
            said = words[0] if len(words) == 1 else f"{len(words)} tasks, the first: {words[0]}"
            ways.append(self._way(id, f"research in {starting.short(tasks.root)}", said))
        return [*ways, self._way(*_DEMO), self._way(*_MAKE)]

    def _way(self, id: str, name: str, words: str) -> Option:
        self._told[id] = name, words
        return Option(_drawn(name, words), id=id)

    def on_mount(self) -> None:
        self.find()

    @work(group="find", exclusive=True)
    async def find(self) -> None:
        """List the tasks that are here and the runs to come back to: folders are looked at, which on a slow disk takes
        its time. Nothing can be chosen before the first row is what it stays."""
        ways = self.query_one(OptionList)
        places = await asyncio.to_thread(starting.workspaces, self.here)
        self._places = {f"here{i}": tasks for i, tasks in enumerate(places)}
        ways.clear_options().add_options(self._ways())
        ways.highlighted = 0
        now = time.time()
        found = await asyncio.to_thread(recent_runs, self.root)
        if not found:
            return
        self._recent = {f"run{i}": run for i, run in enumerate(found)}
        ways.add_options([None, Option(Content("  come back to").stylize("dim"), disabled=True)])
        for id, run in self._recent.items():
            glyph = "●" if run.going_on else "·"
            ways.add_option(self._way(id, f"{glyph} {run.folder.name}", run.words(now)))

    # --- keys

    def action_move(self, rows: int) -> None:
        ways = self.query_one(OptionList)
        ways.action_cursor_down() if rows > 0 else ways.action_cursor_up()

    def action_more(self) -> None:
        keys = self.query_one("#start-keys", Static)
        keys.update(KEYS if keys.content == MORE else MORE)

    def action_leave(self) -> None:
        self.app.exit()

    def on_option_list_option_highlighted(self, message: OptionList.OptionHighlighted) -> None:
        """Mark the row that enter takes, and no other."""
        ways = message.option_list
        was, self._marked = self._marked, message.option.id or ""
        for id in {was, self._marked} & self._told.keys():
            ways.replace_option_prompt(id, _drawn(*self._told[id], here=id == self._marked))

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        chosen = message.option.id or ""
        if chosen == "demo":
            self.begin_demo()
        elif chosen in self._places:
            root = self._places[chosen].root
            place = self.here if starting.workspace_root(self.here) == root else root
            self.app.push_screen(StartRunScreen(Options(workspace=str(place))))
        elif chosen == "make":
            self.make_workspace()
        elif chosen in self._recent:
            become(self, self._recent[chosen].folder, new=False)

    @work(group="begin", exclusive=True)
    async def begin_demo(self) -> None:
        folder = await self.app.push_screen_wait(WaitingScreen("starting the demo", begin_demo))
        if folder is not None:
            become(self, folder, new=True)

    @work(group="begin", exclusive=True)
    async def make_workspace(self) -> None:
        from tui.screens.start_workspace import NewWorkspaceScreen

        folder = await self.app.push_screen_wait(NewWorkspaceScreen(self.here))
        if folder is None:
            return
        made = await self.app.push_screen_wait(WaitingScreen(f"making {starting.short(folder)}", partial(make, folder)))
        if made is not None:
            self.app.push_screen(StartRunScreen(Options(workspace=str(made))))


def begin_demo(say: Say, born: Born) -> Path:
    """Start the demo as `autoresearch demo` does. Returns its run folder."""
    say("making the demo's workspace ready")
    return launch(starting.demo(say, Options(workspace="")), say, born)


def make(folder: Path, say: Say, born: Born) -> Path:
    """Make a workspace as `autoresearch init` does. Returns its folder."""
    from core.scaffold import scaffold

    say("choosing sizes for this machine")
    scaffold(folder, None, "auto", say=say)
    return folder


def _drawn(name: str, words: str, here: bool = False) -> Group:
    """Two rows of the list; `here`: the marked one."""
    below = Padding(Text(text.one_line(words), "dim"), (0, 0, 0, 4))
    return Group(Text(f"{'›' if here else ' '} {text.one_line(name)}", "bold"), below)
