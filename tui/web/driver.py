"""What Textual draws on in a page's process: packets to the server on stdout, keys from it on stdin."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Any

from textual import events, messages
from textual.app import App
from textual.drivers.web_driver import WebDriver
from textual.message import Message

_LAST_SECONDS = 5.0


class PageDriver(WebDriver):
    """Textual's own, but that it ends with the server, where Textual's goes on when nobody holds its pipes any more,
    that no keys resize it, and that no packet gets into the middle of another."""

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._writing = threading.Lock()  # frames come from one thread, files from the one that reads
        self._write = self._write_whole  # type: ignore[assignment]

    def run_input_thread(self) -> None:
        super().run_input_thread()
        if not self.exit_event.is_set():
            self._app.post_message(messages.ExitApp())
            if not self.exit_event.wait(_LAST_SECONDS):
                os._exit(1)

    def process_message(self, message: Message) -> None:
        """What the keys amount to. A size is none of them: the server sends sizes by themselves, within bounds."""
        if not isinstance(message, events.Resize):
            super().process_message(message)

    def _write_whole(self, packet: bytes) -> int:
        with self._writing, suppress(BrokenPipeError):  # the input ends as well, and that ends the app
            rest = packet
            while rest:
                rest = rest[os.write(self.fileno, rest) :]
        return len(packet)
