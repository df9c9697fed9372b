"""The trial's end of the control socket: JSON lines both ways (docs/architecture.md), one descriptor with `go`."""

from __future__ import annotations

import json
import select
import socket
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

_MESSAGE_BYTES = 65_536


class Control:
    """What came and what goes. The engine's end going away ends this process."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._unread = b""
        self._pause = False
        self._frozen_seconds = 0.0
        self._descriptor: int | None = None

    def send(self, message: Mapping[str, Any]) -> None:
        try:
            self._socket.sendall(_line(message))
        except (BrokenPipeError, ConnectionResetError):
            _engine_gone()

    def send_or_drop(self, message: Mapping[str, Any]) -> None:
        """Telemetry never waits for a busy engine: what does not fit now is dropped, whole lines only."""
        line = _line(message)
        try:
            sent = self._socket.send(line, socket.MSG_DONTWAIT)
            self._socket.sendall(line[sent:])
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            _engine_gone()

    def pause_asked(self) -> bool:
        """Whether `pause` has come, and no `resume` since; does not wait."""
        self._receive(wait=False)
        return self._pause

    def wait_for_go(self) -> int:
        """The descriptor that comes with `go`."""
        while not any(message["type"] == "go" for message in self._receive(wait=True)):
            pass
        if self._descriptor is None:
            leave("the engine's go brought no rows: `prepare` names no handover", 1)
        return self._descriptor

    def hold(self, step: int) -> None:
        """Answer every `pause` that comes with `held`, until one has been followed by `resume`."""
        self.send({"type": "held", "step": step})
        while self._pause:
            if any(message["type"] == "pause" for message in self._receive(wait=True)):
                self.send({"type": "held", "step": step})

    def take_frozen_seconds(self) -> float:
        """What the engine said, since the last call, that this process spent frozen without having held."""
        seconds, self._frozen_seconds = self._frozen_seconds, 0.0
        return seconds

    def _receive(self, *, wait: bool) -> list[dict[str, Any]]:
        """The complete lines of one read; none if it would block and `wait` is false. Keeps a descriptor aside."""
        # Asked beforehand: recv_fds takes flags and ignores them.
        if not wait and not select.select([self._socket], [], [], 0)[0]:
            return []
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, _MESSAGE_BYTES, 1)
        except ConnectionResetError:
            _engine_gone()
        if not data:
            _engine_gone()
        if descriptors:
            self._descriptor = descriptors[0]
        *lines, self._unread = (self._unread + data).split(b"\n")
        messages = [json.loads(line) for line in lines]
        for message in messages:
            self._pause = {"pause": True, "resume": False}.get(message["type"], self._pause)
            self._frozen_seconds += float(message.get("frozen_seconds", 0.0))
        return messages


def leave(message: str, code: int) -> NoReturn:
    """End this process with one line on stderr."""
    print(message, file=sys.stderr, flush=True)
    raise SystemExit(code)


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, allow_nan=False).encode() + b"\n"


def _engine_gone() -> NoReturn:
    leave("the engine is gone; this trial ends with it", 1)
