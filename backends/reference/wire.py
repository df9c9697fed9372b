"""The frames between `evaluate` and `serve`, over a connected unix stream socket: to each question one answer.

Answers come in the order of the questions. Two questions may be under way, so whoever answers must go on reading while
an answer waits to be read; else each side may wait for the other.

A frame is two little-endian u32 (bytes of the head, bytes of the body), a JSON object and raw array bytes. Neither
side trusts the other's sizes: a head is at most 64 KiB, a body at most what the reader expects.

    to serve                                      from serve
    {"do":"load"}                                 {"done":"load"}
    {"do":"nats","shape":[B, T+1]} + u16 rows     {"done":"nats"} + f32 [B, T]
    {"do":"logits","shape":[B, T]} + u16 inputs   {"done":"logits"} + f32 [B, V]
        + i32 positions [B]
                                                  {"failed":"error","detail":"…"}
"""

from __future__ import annotations

import json
import select
import socket
import struct
import time
from typing import Any

HEAD_LIMIT = 64 * 1024
_SIZES = struct.Struct("<II")
_SLICE_SECONDS = 0.5


class Malformed(ValueError):
    """What arrived is no frame, or a larger one than was expected."""


class Patience:
    """Seconds that may still be spent waiting.

    A machine that sleeps or a process that is stopped must not use them up: no wait counts for more than a slice.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def wait(self, connection: socket.socket, *, to_write: bool = False) -> None:
        """Until the socket can be read (or written). Raises TimeoutError when the seconds are spent."""
        sockets = [connection]
        while self.seconds > 0:
            began = time.monotonic()
            ready = select.select([] if to_write else sockets, sockets if to_write else [], [], _SLICE_SECONDS)
            self.seconds -= min(time.monotonic() - began, _SLICE_SECONDS)
            if any(ready):
                return
        raise TimeoutError("no answer in time")


def send(connection: socket.socket, head: dict[str, Any], body: bytes = b"", patience: Patience | None = None) -> None:
    """Send one frame. Without `patience` it blocks as long as it takes. Raises OSError (TimeoutError among them)."""
    text = json.dumps(head).encode()
    data = memoryview(_SIZES.pack(len(text), len(body)) + text + body)
    if patience is None:
        connection.sendall(data)
        return
    while data:
        patience.wait(connection, to_write=True)
        data = data[connection.send(data, socket.MSG_DONTWAIT) :]


def receive(
    connection: socket.socket, body_limit: int, patience: Patience | None = None
) -> tuple[dict[str, Any], bytearray]:
    """The next frame's head and body. Raises EOFError at the end, Malformed, and OSError (TimeoutError among them)."""
    head_bytes, body_bytes = _SIZES.unpack(_read(connection, _SIZES.size, patience))
    if head_bytes > HEAD_LIMIT or body_bytes > body_limit:
        raise Malformed(f"a frame of {head_bytes} + {body_bytes} bytes")
    try:
        head = json.loads(_read(connection, head_bytes, patience))
    except (ValueError, RecursionError) as error:
        raise Malformed("a head that is no JSON") from error
    if not isinstance(head, dict):
        raise Malformed("a head that is no object")
    return head, _read(connection, body_bytes, patience)


def _read(connection: socket.socket, count: int, patience: Patience | None) -> bytearray:
    data = bytearray(count)
    rest = memoryview(data)
    while rest:
        if patience is not None:
            patience.wait(connection)
        got = connection.recv_into(rest)
        if not got:
            raise EOFError("the other side is gone")
        rest = rest[got:]
    return data
