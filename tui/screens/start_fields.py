"""What the start pages are filled in with: a choice, a line, and the name and the trouble beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Select, Static

from tui.starting import Choice as Words

PAGE_KEYS = ("j", "k", "q")


class Choice(Select[str], inherit_bindings=False):
    """One of several, in one row: left and right go through them, enter lists them; up and down are the page's."""

    BINDINGS = [  # noqa: RUF012
        ("enter,space", "show_overlay", "list"),
        ("left,h", "step(-1)", "the one before"),
        ("right,l", "step(1)", "the next one"),
    ]

    def __init__(self, choices: Sequence[Words], value: str, id: str) -> None:
        self.choices = list(choices)
        super().__init__(self._prompts(), value=value, allow_blank=False, compact=True, id=id)

    def _prompts(self) -> list[tuple[Content, str]]:
        return [(Content(words), value) for words, value in self.choices]

    @property
    def chosen(self) -> str:
        """The value that is chosen."""
        return str(self.value)

    def offer(self, choices: Sequence[Words]) -> None:
        """Other choices; what is chosen stays, if it is one of them."""
        if list(choices) == self.choices or not self.query("SelectOverlay"):  # without it: the page is closing
            return
        was, self.choices = self.value, list(choices)
        with self.prevent(Select.Changed):
            self.set_options(self._prompts())
            if any(was == value for _, value in self.choices):
                self.value = was
                self.mutate_reactive(Choice.value)  # type: ignore[misc]  # the same value, perhaps in other words

    def action_step(self, steps: int) -> None:
        values = [value for _, value in self.choices]
        self.value = values[(values.index(self.chosen) + steps) % len(values)]


class Line(Input):
    """A line to type. `only`: the characters that it takes; the others are keys of the page."""

    def __init__(self, value: str, placeholder: str, id: str, only: str = "") -> None:
        super().__init__(value, placeholder, id=id, compact=True, select_on_focus=False)
        self._only = only

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Whether the key is the line's own."""
        return super().check_consume_key(key, character) and (not self._only or (character or "") in self._only)

    @dataclass
    class Refused(Message):
        """A character that this line does not take, and that is no key of the page."""

        line: Line

        @property
        def control(self) -> Line:
            return self.line

    async def _on_key(self, event: events.Key) -> None:
        if event.is_printable and not self.check_consume_key(event.key, event.character):
            event.prevent_default()
            if event.character not in PAGE_KEYS:
                self.post_message(self.Refused(self))
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            event.stop()  # what is left to the app finds the focus where later keys have moved it
            event.prevent_default()
            await self.run_action(binding.action)


class Field(Vertical):
    """An entry of a page: a mark where the keys go, its name, the entry, and below it what is wrong with it."""

    def __init__(self, label: str, entry: Widget) -> None:
        super().__init__(id=f"{entry.id}-field")
        self._label, self.entry = label, entry
        self._trouble = Static("", classes="entry-trouble trouble", markup=False)

    def compose(self) -> ComposeResult:
        with Horizontal(classes="entry"):
            yield Static("›", classes="mark")
            yield Static(self._label, classes="entry-name", markup=False)
            yield self.entry
        yield self._trouble

    def show(self, trouble: str) -> None:
        """Say what is wrong with the entry; nothing if it is empty."""
        self._trouble.update(f"× {trouble}" if trouble else "")
        self._trouble.display = bool(trouble)

    def on_mount(self) -> None:
        self._trouble.display = False

    def on_descendant_focus(self) -> None:
        self.add_class("-here")

    def on_descendant_blur(self) -> None:
        self.remove_class("-here")
