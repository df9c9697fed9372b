"""The entries of the page for a new run: what stands in them, and what each may be, given the others."""

from __future__ import annotations

from pathlib import Path

from textual.screen import Screen

from core.caps import model_of
from core.launch import Options
from tui import starting, starting_agent
from tui.screens.start_fields import Choice, Field, Line
from tui.starting import REFERENCE, Backend, Choices, Device

DIGITS = "0123456789"


class StartForm(Screen[None]):
    """Filled in by `given`."""

    def __init__(self, given: Options) -> None:
        super().__init__()
        self.given = given
        self.root = starting.workspace_root(Path(given.workspace))
        self.tasks, self._filled_in = starting.preselected(given, self.root)
        self.backends: dict[str, Backend] = {b: starting.backend_of(b, None) for b in starting.PRODUCTS}
        self._fields: dict[str, Field] = {}

    def _entries(self, chosen: Choices) -> list[tuple[str, str, Choice | Line]]:
        tasks = self.tasks.choices or [("none found", "")]
        agents = starting_agent.choices(chosen.agent)
        backends = starting.backend_choices(self.tasks.backends) or [("the task's own", "")]
        return [
            ("task", "task", Choice(tasks, chosen.task, "task")),
            ("backend", "backend", Choice(backends, chosen.backend, "backend")),
            ("device", "device", Choice(starting.device_choices((), chosen.device), chosen.device, "device")),
            ("agent", "agent", Choice(agents, chosen.agent, "agent")),
            ("script", "patches", Line(chosen.script, "a file or folder, see docs/tasks.md", "script")),
            ("command", "command", Line(chosen.command, "it edits a copy; see docs/agents.md", "command")),
            ("model", "model", Line(chosen.model, model_of("claude", {}) or "", "model")),
            ("max_dollars", "cap in $", Line(chosen.max_dollars, "no cap", "max_dollars", DIGITS + ".")),
            ("train_seconds", "budget", Line(chosen.train_seconds, "", "train_seconds", DIGITS + ".")),
            ("experiments", "experiments", Line(chosen.experiments, "no limit", "experiments", DIGITS)),
            ("hours", "hours", Line(chosen.hours, "no limit", "hours", DIGITS + ".")),
            ("tag", "tag", Line(chosen.tag, "", "tag")),
        ]

    @property
    def chosen(self) -> Choices:
        """What stands on the page now."""
        return Choices(**{name: self._value(name) for name in self._fields})

    def _value(self, name: str) -> str:
        entry = self._fields[name].entry
        return entry.chosen if isinstance(entry, Choice) else entry.value if isinstance(entry, Line) else ""

    @property
    def devices(self) -> tuple[Device, ...]:
        """Those of the chosen backend; for a task of the user's own, all there are."""
        chosen = self.chosen
        if chosen.task == REFERENCE:
            return self.backends[chosen.backend].devices
        found = {d.name: d for b in reversed(list(self.backends.values())) for d in b.devices}
        return tuple(found.values())

    def _fit(self) -> None:
        """Show the entries that the chosen ones leave open, and what an empty one stands for."""
        chosen = self.chosen
        self._fields["backend"].display = chosen.task == REFERENCE
        for name, agents in starting_agent.NEEDS.items():
            self._fields[name].display = chosen.agent.partition(":")[0] in agents
        device = self._fields["device"].entry
        assert isinstance(device, Choice)
        device.offer(starting.device_choices(self.devices, chosen.device))
        task = self.tasks.found.get(self.tasks.folder(chosen.task, chosen.backend))
        seconds = "" if task is None or isinstance(task, str) else f"{task.budget.train_seconds:g} "
        self._line("train_seconds").placeholder = f"{seconds}s of training a trial"

        self.call_after_refresh(self._cap)

    @property
    def gone(self) -> bool:
        """Whether the user has left the page: its entries may be taken down already."""
        return self not in self.app.screen_stack

    def _cap(self) -> None:
        """Let the entries have the rows that they fill, and no more; where there are fewer, they scroll."""
        rows = sum(field.outer_size.height for field in self._fields.values() if field.display)
        self.query("#fields").set_styles(f"max-height: {max(1, rows)};")

    def _line(self, name: str) -> Line:
        entry = self._fields[name].entry
        assert isinstance(entry, Line)
        return entry
