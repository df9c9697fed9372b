"""The page on which a new run is chosen: task, backend, device, agent, limits and tag, and what they come to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Button, Input, Select, Static

from core.launch import Options, launch
from tui import starting, starting_agent
from tui.doctor import check
from tui.screens.start_fields import Choice, Field, Line
from tui.screens.start_form import StartForm
from tui.screens.waiting import WaitingScreen
from tui.starting import REFERENCE

if TYPE_CHECKING:
    from core.outlook import Outlook

PATIENCE_SECONDS = 0.15  # between a key and the look at what the page comes to
LOOK_AGAIN_SECONDS = 3.0  # a device is let go, a file is committed
KEYS = "↑ ↓ move   ← → change   enter list, start   esc back"
_TAKES = {"train_seconds": "a number of seconds", "experiments": "a whole number", "hours": "a number of hours",
          "max_dollars": "a number of dollars"}  # fmt: skip


class StartRunScreen(StartForm):
    """A page filled in by `given`. What it comes to is looked at all the while; what has troubles is not started."""

    CSS_PATH = "start.tcss"
    AUTO_FOCUS = "#start"
    HORIZONTAL_BREAKPOINTS = [(0, "-slim"), (60, "-broad")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (18, "-high")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        # With priority: who types fast has the next key go where this one leads.
        Binding("down,tab", "move(1)", "down", priority=True),
        Binding("up,shift+tab", "move(-1)", "up", priority=True),
        Binding("left", "step(-1)", "the one before", priority=True),
        Binding("right", "step(1)", "the next one", priority=True),
        Binding("enter", "take", "list, or the next entry", priority=True),
        ("j", "move(1)", "down"),
        ("k", "move(-1)", "up"),
        ("escape,q", "leave", "leave"),
        Binding("ctrl+c", "leave", "leave", priority=True),  # a line would copy
    ]

    def __init__(self, given: Options) -> None:
        super().__init__(given)
        self._keys = starting_agent.KeyLook()
        self._refusing = ""  # the line whose last key was none that it takes
        self._notes = Static("", id="notes", classes="pausing", markup=False)
        self._notes.display = False
        self._plan = Static("", id="plan", classes="strong", markup=False)

    def compose(self) -> ComposeResult:
        self._fields = {name: Field(label, entry) for name, label, entry in self._entries(self._filled_in)}
        yield Static(f"a new run in {starting.short(self.root)}", classes="box-title", markup=False)
        with VerticalScroll(id="fields", can_focus=False):
            yield from self._fields.values()
        with Vertical(id="outlook"):
            yield self._notes
            yield self._plan
            yield Button("Start", id="start", compact=True)
        yield Static(KEYS, id="start-keys", classes="dim", markup=False)

    def on_mount(self) -> None:
        self._fit()
        self.look()
        self.ask_backends()
        self.set_interval(LOOK_AGAIN_SECONDS, self._look_again)

    @work(group="backends")
    async def ask_backends(self) -> None:
        """Have each backend say what it finds here; that takes moments, on a machine with cards longer."""
        for name in self.tasks.backends or tuple(starting.PRODUCTS):
            said = await asyncio.to_thread(check, name)
            if self.gone:
                return
            if said is not None:
                self.backends[name] = starting.backend_of(name, said)
            self._fit()
            self.look()

    # --- what it comes to

    @work(group="look", exclusive=True)
    async def look(self) -> None:
        """Look at what the page comes to, a moment after the last key."""
        await asyncio.sleep(PATIENCE_SECONDS)
        wish, wrong = starting.options_of(self.chosen, self.tasks, self.given)
        outlook = await asyncio.to_thread(_look, wish, self._keys)
        if not self.gone:
            self._show(outlook, wrong)

    def _look_again(self) -> None:
        if not any(worker.group == "look" and worker.is_running for worker in self.workers):
            self.look()

    def _show(self, outlook: Outlook, wrong: Mapping[str, str]) -> list[str]:
        """Show it; returns the entries that something stands against."""
        troubles = self._troubles(outlook, wrong)
        for name, field in self._fields.items():
            field.show(troubles.get(name, f"takes {_TAKES[name]}" if name == self._refusing else ""))
        self._line("tag").placeholder = outlook.tag
        notes = [troubles["workspace"]] if "workspace" in troubles else []
        if outlook.changed:
            notes.append(f"not committed, so not in the baseline: your edits of {', '.join(outlook.changed)}")
        self._notes.update("\n".join(f"× {note}" if note in troubles.values() else note for note in notes))
        self._notes.display = bool(notes)
        self._plan.update("" if troubles else outlook.plan)
        self.call_after_refresh(self._cap)
        return list(troubles)

    def _troubles(self, outlook: Outlook, wrong: Mapping[str, str]) -> dict[str, str]:
        chosen = self.chosen
        found = {name: starting.at_its_entry(words) for name, words in {**outlook.troubles, **wrong}.items()}
        own = {"scripted": "script", "command": "command"}.get(chosen.agent)
        if own and "agent" in found:
            found[own] = found.pop("agent")
        if chosen.task == REFERENCE and (trouble := self.backends[chosen.backend].trouble):
            found.setdefault("backend", trouble)
        if trouble := starting.device_trouble(self.devices, chosen.device):
            found.setdefault("device", trouble)
        return found

    # --- keys

    def on_resize(self) -> None:
        self.call_after_refresh(self._cap)

    def on_select_changed(self, message: Select.Changed) -> None:
        self._fit()
        self.look()

    def on_input_changed(self, message: Input.Changed) -> None:
        self._refusing = ""
        self.look()

    def on_line_refused(self, message: Line.Refused) -> None:
        self._refusing = str(message.line.id)
        self._fields[self._refusing].show(f"takes {_TAKES[self._refusing]}")

    def on_button_pressed(self, message: Button.Pressed) -> None:
        self.start()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Which keys are the page's where the focus is: an open list has all, a line its cursor's, the button enter."""
        at = self.focused
        match action:
            case "move":
                return at is None or at in self._stops
            case "step":
                return isinstance(at, Choice)
            case "take":
                return isinstance(at, Choice | Line)
        return True

    @property
    def _stops(self) -> list[Widget]:
        return [*(f.entry for f in self._fields.values() if f.display), self.query_one("#start")]

    def action_move(self, rows: int) -> None:
        stops, self._refusing = self._stops, ""
        at = stops.index(self.focused) if self.focused in stops else 0
        self.set_focus(stops[(at + rows) % len(stops)])

    def action_step(self, steps: int) -> None:
        if isinstance(self.focused, Choice):
            self.focused.action_step(steps)
            self._fit()  # what it opens is there for the next key

    def action_take(self) -> None:
        """List the choices; of a line, go on to the next entry."""
        if isinstance(self.focused, Choice):
            self.focused.action_show_overlay()
        else:
            self.action_move(1)

    def action_leave(self) -> None:
        """Back to the first page; out, where this is the first."""
        if self.app.screen_stack.index(self) == 1:
            self.app.exit()
        else:
            self.dismiss()

    @work(group="start", exclusive=True)
    async def start(self) -> None:
        """Start what stands up to a last look; else go to the first entry that does not."""
        wish, wrong = starting.options_of(self.chosen, self.tasks, self.given)
        against = self._show(await asyncio.to_thread(_look, wish, self._keys), wrong)
        if against:
            first = next((name for name in self._fields if name in against and self._fields[name].display), None)
            if first is not None:
                self._fields[first].entry.focus()
            return
        title = f"starting {wish.tag or self._line('tag').placeholder}"
        folder = await self.app.push_screen_wait(WaitingScreen(title, partial(launch, wish)))
        if folder is not None:
            become(self, folder, new=True)


def become(page: Screen[None], folder: Path, *, new: bool) -> None:
    """Make the app that shows this page the cockpit of a run. `new`: one that has just begun."""
    from tui.app import Cockpit

    if isinstance(page.app, Cockpit):
        page.app.attach(folder, new=new)


def _look(wish: Options, keys: starting_agent.KeyLook) -> Outlook:
    from core.outlook import look  # git is loaded here, when the page is painted already

    outlook, keyless = look(wish), keys.trouble(wish.agent, wish.agent_options)
    return replace(outlook, plan="", troubles={"agent": keyless, **outlook.troubles}) if keyless else outlook
