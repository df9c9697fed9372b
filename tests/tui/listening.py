"""An engine's end of the command socket that answers what a test tells it to, late, or never."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recorded_run import STARTED_AT

from core import doorway, locks, records
from core import events as ev


class Listener:
    """`answers` by command: the effect, or a refusal as an exception. While `may_answer` is not set it only hears."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.heard: list[dict[str, Any]] = []
        self.seen: list[str] = []  # by which digest an answer named its proposal; not in `heard`
        self.answers: dict[str, str | Exception] = {}
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.now = STARTED_AT + 10_000
        self._lock = locks.lock(folder / "engine.lock", "busy")
        path = doorway.socket_path(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        self._server.listen(16)
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def commands(self) -> list[str]:
        return [str(line["command"]) for line in self.heard]

    def write(self, *events: ev.Event) -> None:
        """More lines of the journal."""
        with (self.folder / "journal.jsonl").open("a") as journal:
            for event in events:
                self.now += 1
                journal.write(json.dumps(records.to_record(event, self.now)) + "\n")

    def die(self) -> None:
        """As a process does at kill -9: connections and locks are gone, files stay."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._lock.close()
        self.may_answer.set()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._open.append(connection)
            with connection, contextlib.suppress(OSError):
                with connection.makefile("rb") as lines:
                    line = json.loads(lines.readline() or b"{}")
                self.seen.append(line.pop("seen", ""))
                self.heard.append(line)
                self.may_answer.wait(30)
                answer = self.answers.get(line["command"], "as you wish")
                ok = not isinstance(answer, Exception)
                if ok:
                    self.write(ev.Acknowledged(line["command"], str(answer)))
                connection.sendall(json.dumps({"ok": ok, "effect": str(answer)}).encode() + b"\n")


@contextmanager
def listener(folder: Path) -> Iterator[Listener]:
    """Hears until the end of the block, unless it died before."""
    engine = Listener(folder)
    try:
        yield engine
    finally:
        engine.die()


OVER = (
    ev.TrialDone(18, 1, 15.0, 110), ev.Measured(18, 1, 2.3999, 15.0, 20.0, 512.0, {}),
    ev.Judged(18, "discard", "worse", 13, 0.1), ev.ExperimentDone(18),
)  # fmt: skip
"""The end of experiment 18, which a run recorded with 18 leaves in mid-training."""

DIFF = "--- a/train.py\n+++ b/train.py\n@@ -1,3 +1,3 @@\n import torch\n-SOFTCAP = 15.0\n+SOFTCAP = 29.0\n\n"


def waiting(number: int = 19) -> tuple[ev.Event, ...]:
    """A proposal that waits for the user's word."""
    return (
        ev.ApprovalTurned(True), ev.Proposing(number, 13),
        ev.Proposed(number, "p", 13, {"train.py": "SOFTCAP = 29.0\n"}, "softcap 29", "why not", {}),
        ev.ApprovalAwaited(number, DIFF),
    )  # fmt: skip
