"""What a run is looked at in: its own cockpit, a recording, a replay; and the keys that depend on it."""

from __future__ import annotations

from tui.keys import Place
from tui.output import OutputWindow


class ReplayedWindow(OutputWindow):
    """A window whose run may be a replay. `read_only`: nothing is asked of an engine."""

    read_only: bool

    @property
    def place(self) -> Place:
        """Where the keys are pressed."""
        return "replay" if self.state.replay else "recording" if self.read_only else "run"

    def hold_replay(self) -> None:
        """Let the clock of a replay stand still, or go on."""
        self.feed.hold()
        self._notice = None  # news of then
        self._wake.set()

    def action_speed(self, factor: float) -> None:
        """A replay so many times faster."""
        if self.state.replay:
            self.say("done", f"replay: {self.feed.quicken(factor)}")
            self._wake.set()
        else:
            self.say("failed", "only a replay has a speed: autoresearch open PATH --replay 60x")

    def action_help(self) -> None:
        """The keys and the glyphs."""
        from tui.screens.help import HelpScreen

        self.push_screen(HelpScreen(self.config.keys, self.place, self.config.trouble))
