"""What the cockpit hands out: to the clipboard, to the user's own programs, as a picture."""

from __future__ import annotations

import re
from pathlib import Path

import platformdirs

from tui import programs
from tui.feed import State
from tui.widgets.saying import full
from tui.window import NEWS, RunWindow

_FONTS = re.compile(r"@font-face\s*{.*?}", re.DOTALL)


class OutputWindow(RunWindow):
    """A window whose panes can be taken elsewhere."""

    _warned_of = 0.0  # when the engine began of which it has said that the machine may sleep

    def _take(self, state: State) -> None:
        super()._take(state)
        self._warn_of_sleep()

    def _tick(self) -> None:
        super()._tick()
        self._warn_of_sleep()

    def _warn_of_sleep(self) -> None:
        """Say once of an engine that the machine may fall asleep under it, when nothing else is said; later `i` has it.
        Not to who has looked since that engine began: so a window that is opened again does not repeat it."""
        began = self.state.pace.engine_since
        if self.state.sleep_trouble and began != self._warned_of and self._caught_up and self._notice is None:
            self._warned_of = began
            if self._last_look is None or self._last_look.at < began:
                self.say("done", self.state.sleep_trouble, about=NEWS)

    def action_copy(self) -> None:
        """What is marked with the mouse, else the whole pane, to the terminal's clipboard (OSC 52: through ssh too)."""
        words = self.screen.get_selected_text() or self.research.shown_text
        self.copy_to_clipboard(words)
        count = len(words.splitlines())
        self.say("done", f"copied {count} line{'s' * (count != 1)}, if this terminal takes them (OSC 52)")

    def action_open(self) -> None:
        """Show the active pane in the pager."""
        if trouble := self.run_program(programs.pager(), self.research.shown_text.encode()):
            self.say("failed", f"{trouble}; set PAGER")

    def action_picture(self) -> None:
        """Save the screen as SVG."""
        try:
            path = self.save_screenshot(path=str(_pictures()))
        except OSError as error:
            self.say("failed", f"no picture: {error.strerror or error}")
        else:
            self.say("done", f"saved {path}")

    def export_screenshot(self, *, title: str | None = None, simplify: bool = False) -> str:
        """The screen as SVG, in whatever monospace font there is: Textual's would be asked of another server."""
        return _FONTS.sub("", super().export_screenshot(title=title, simplify=simplify))

    def action_said(self) -> None:
        """What the rows at the top say, in full, and what they said before."""
        from tui.screens.said import SaidScreen

        now = [*full(self.state, self.clock(), self.notice), *filter(None, [self.state.sleep_trouble])]
        self.push_screen(SaidScreen(now, [(at, words) for at, words in reversed(self.said) if words not in now]))

    def run_program(self, argv: list[str], said: bytes | None = None, folder: Path | None = None) -> str:
        """Give the terminal to a program until it ends. Returns what went wrong, empty if nothing did."""
        return programs.run(self, argv, said, folder)


def _pictures() -> Path:
    """The user's folder of pictures; where there is none, as on many a server, one among our own data."""
    folder, home = Path(platformdirs.user_pictures_dir()), Path.home()
    if not folder.is_dir() or folder == home:
        folder = Path(platformdirs.user_data_dir("autoresearch")) / "pictures"
        folder.mkdir(parents=True, exist_ok=True)
    return folder
