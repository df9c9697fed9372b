"""The engine's end of a trial's control socket, and a trial started over it."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np

from backends.reference import harness

LIMIT = 60.0  # seconds before a wait counts as failed
ROWS = np.arange(5 * 4, dtype=np.uint16).reshape(5, 4)


class Engine:
    """The engine's end of the socket."""

    def __init__(self, connection: socket.socket, rows: Path) -> None:
        self.socket, self.rows = connection, rows
        self.socket.settimeout(LIMIT)
        self.unread = b""

    def say(self, **message: Any) -> None:
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def go(self) -> None:
        descriptor = os.open(self.rows, os.O_RDONLY)
        socket.send_fds(self.socket, [b'{"type":"go"}\n'], [descriptor])
        os.close(descriptor)

    def hear(self) -> dict[str, Any]:
        while b"\n" not in self.unread:
            data = self.socket.recv(65536)
            assert data, "the trial closed its end"
            self.unread += data
        line, self.unread = self.unread.split(b"\n", 1)
        return json.loads(line)

    def hear_until(self, kind: str) -> list[dict[str, Any]]:
        heard = [self.hear()]
        while heard[-1]["type"] != kind:
            heard.append(self.hear())
        return heard


def told(folder: Path, control: int, **changes: Any) -> dict[str, Any]:
    return {
        "role": "train",
        "device": "cpu",
        "seed": 42,
        "budget": {"train_seconds": 1000.0, "startup_seconds": 60.0, "timeout_seconds": 2000.0},
        "settings": {"sequence_length": 3, "vocab_size": 64},
        "control": control,
        "checkpoint": str(folder / "checkpoint.safetensors"),
        **changes,
    }


def started(ends: tuple[Engine, socket.socket], folder: Path, **changes: Any) -> harness.Trial:
    """A trial whose clock runs; READY is already off the wire."""
    engine, theirs = ends
    trial = harness.Trial(told(folder, theirs.fileno(), **changes), theirs)
    engine.go()
    trial.ready()
    assert engine.hear() == {"type": "ready"}
    return trial
