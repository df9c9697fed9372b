"""The process behind one page: `python -P -m tui.web.cockpit RUN_FOLDER control|look`, spoken to by the web server."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from textual.events import DeliveryFailed

from tui.app import Cockpit


class WebCockpit(Cockpit):
    """The cockpit, where the user sits before another machine than the one it runs on."""

    CSS_PATH = "../app.tcss"
    ONLY_LOOKS = "this page only looks; `autoresearch web --control` makes one that controls"

    NO_EDITOR = "a browser has no editor; edit in a terminal's cockpit, or: autoresearch approve --edit"

    def run_program(self, argv: list[str], said: bytes | None = None, folder: Path | None = None) -> str:
        """A pager or an editor would come up where nobody sits."""
        return f"{argv[0]}: not in a browser"

    def action_open(self) -> None:
        self.say("failed", "a browser has no pager; c copies, enter shows the pane alone")

    def action_copy(self) -> None:
        """By OSC 52, which the page hands to the browser."""
        words = self.screen.get_selected_text() or self.research.shown_text
        self.copy_to_clipboard(words)
        told = f"copied {len(words.splitlines())} lines, if the browser lets the page (https, or this machine alone)"
        self.say("done", told)

    def action_picture(self) -> None:
        """Sent to the browser: nothing is written where the server runs."""
        name = f"autoresearch-{self.state.tag}.svg"
        self.deliver_text(io.StringIO(self.export_screenshot()), save_filename=name, mime_type="image/svg+xml")
        self.say("done", f"{name} is on its way to the browser")

    def _write(self, sequence: str) -> None:
        if self._driver is not None:
            self._driver.write(sequence)  # of these, the page shows the title

    def on_delivery_failed(self, event: DeliveryFailed) -> None:
        self.say("failed", "the picture did not reach the browser")


def main() -> None:
    folder, rights = sys.argv[1:]
    WebCockpit(Path(folder), read_only=rights != "control").run()


if __name__ == "__main__":
    main()
