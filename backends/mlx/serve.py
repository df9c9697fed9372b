"""The untrusted half of scoring: loads the artifact's trained model and answers token rows.

Started early by `backends.reference.evaluate`, it imports MLX and waits; it touches no device before it is asked to
load. It is told which position's logits to return, never a byte count, and its words matter to nobody: `evaluate`
checks every number it sends. Whatever the artifact does in here, it does in a process of its own.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import mlx.core as mx
import numpy as np

from backends.reference import wire
from backends.reference.allocator import keep_freed_memory
from core import sandbox

_BODY_LIMIT = 1 << 30
_DETAIL_CHARACTERS = 4_000
LOGITS_BYTES = 128 << 20  # float32 logits at a time; the softcap and the softmax hold some more: a Mac may have 8 GB


def main() -> None:
    """The `serve` verb: answer frames until the other side closes. An uncaught error is sent as a `failed` frame."""
    trial = json.loads(Path(os.environ[sandbox.VARIABLE]).read_text())
    connection = socket.socket(fileno=trial["control"])
    answers = Answers(connection)

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        answers.fail("".join(traceback.format_exception(kind, error, trace))[-_DETAIL_CHARACTERS:])

    sys.excepthook = report
    keep_freed_memory()
    answer(connection, answers, Path(trial["checkpoint"]), trial["device"])


def answer(connection: socket.socket, answers: Answers, checkpoint: Path, device: str) -> None:
    """Serve one connection: load once, then any number of batches."""
    train: Any = None
    model: Any = None
    vocab_size = 0
    while True:
        try:
            head, body = wire.receive(connection, _BODY_LIMIT)
        except EOFError:
            return
        if head["do"] == "load":
            vocab_size = head["vocab_size"]
            train = import_artifact(Path.cwd())
            model = train.load(checkpoint, device)
            answers.send("load")
            continue
        shape = tuple(head["shape"])
        rows = np.frombuffer(body, np.uint16, count=shape[0] * shape[1]).reshape(shape)
        tokens = mx.array(rows.astype(np.int32))
        if head["do"] == "nats":
            numbers = position_nats(train, model, tokens, vocab_size)
        else:
            positions = mx.array(np.frombuffer(body, np.int32, offset=rows.nbytes))
            numbers = position_logits(train, model, tokens, vocab_size, positions)
        answers.send(head["do"], numbers)


class Answers:
    """Sends answers, in their order, from a thread of its own.

    So the next question is read, and the device at work on it, while an answer still waits to be read.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._waiting: queue.Queue[tuple[dict[str, Any], bytes]] = queue.Queue()
        threading.Thread(target=self._send_all, daemon=True).start()

    def send(self, done: str, numbers: mx.array | None = None) -> None:
        """Queue an answer. Its numbers are computed here: MLX's graphs belong to the thread that makes them."""
        self._waiting.put(({"done": done}, b"" if numbers is None else np.array(numbers).tobytes()))

    def fail(self, detail: str) -> None:
        """Send what is waiting, then a failure."""
        self._waiting.put(({"failed": "error", "detail": detail}, b""))
        self._waiting.join()

    def _send_all(self) -> None:
        while True:
            head, body = self._waiting.get()
            with contextlib.suppress(OSError):  # `evaluate` is gone, and this process is about to go
                wire.send(self._connection, head, body)
            self._waiting.task_done()


def import_artifact(folder: Path) -> ModuleType:
    """`train.py` of `folder`, and whatever it imports from there."""
    sys.path.insert(0, str(folder))
    return importlib.import_module("train")


def position_nats(train: Any, model: Any, rows: mx.array, vocab_size: int) -> mx.array:
    """Nats of the token that follows each position. rows: int32 [B, T+1]; returns float32 [B, T]."""
    nats = []
    for few in slices(rows, rows.shape[1] - 1, vocab_size):
        logits = checked_logits(train, model, few[:, :-1], vocab_size)  # [b, T, V]
        at_target = mx.take_along_axis(logits, few[:, 1:, None], axis=-1)[..., 0]  # [b, T]
        nats.append(mx.logsumexp(logits, axis=-1) - at_target)
        mx.eval(nats[-1])  # else the logits of all slices would be wanted at once
    return mx.concatenate(nats)


def position_logits(train: Any, model: Any, inputs: mx.array, vocab_size: int, positions: mx.array) -> mx.array:
    """The logits after one position of each row. inputs: int32 [B, T]; positions: int32 [B]; returns float32 [B, V]."""
    found = []
    length = inputs.shape[1]
    for few, at in zip(slices(inputs, length, vocab_size), slices(positions, length, vocab_size), strict=True):
        logits = checked_logits(train, model, few, vocab_size)  # [b, T, V]
        found.append(logits[mx.arange(few.shape[0]), at])
        mx.eval(found[-1])
    return mx.concatenate(found)


def slices(rows: mx.array, length: int, vocab_size: int) -> Iterator[mx.array]:
    """Of rows [B, …] so many at a time that their logits [b, T = length, V] stay small.

    Claim and audit are cut alike: batches of one shape give slices of one shape.
    """
    few = max(1, LOGITS_BYTES // (4 * length * vocab_size))
    return (rows[start : start + few] for start in range(0, rows.shape[0], few))


def checked_logits(train: Any, model: Any, inputs: mx.array, vocab_size: int | None = None) -> mx.array:
    """What `train.logits` says of int32 [B, T], as float32 [B, T, V]. Raises ValueError for other shapes."""
    logits = train.logits(model, inputs)
    found = list(logits.shape) if isinstance(logits, mx.array) else type(logits).__name__
    size = vocab_size or (found[-1] if found and isinstance(found, list) else "V")
    if found != [*inputs.shape, size]:
        raise ValueError(f"logits(model, tokens) returned {found}, not [B, T, V] = {[*inputs.shape, size]}")
    answer: mx.array = logits.astype(mx.float32)
    return answer
