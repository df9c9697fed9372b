"""The untrusted half of scoring: loads the artifact's trained model and answers token rows.

Started early by `backends.reference.evaluate`, it imports torch and waits; it touches no device before it is asked to
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
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from backends.cuda import compiled
from backends.reference import wire
from backends.reference.allocator import keep_freed_memory
from core import sandbox

_BODY_LIMIT = 1 << 30
_DETAIL_CHARACTERS = 4_000
LOGITS_BYTES = 512 << 20  # float32 logits at a time; the softcap and the softmax hold some more of this size


def main() -> None:
    """The `serve` verb: answer frames until the other side closes. An uncaught error is sent as a `failed` frame."""
    trial = json.loads(Path(os.environ[sandbox.VARIABLE]).read_text())
    connection = socket.socket(fileno=trial["control"])
    answers = Answers(connection)

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        answers.fail("".join(traceback.format_exception(kind, error, trace))[-_DETAIL_CHARACTERS:])

    sys.excepthook = report
    keep_freed_memory()
    with torch.inference_mode():
        answer(connection, answers, trial)


def answer(connection: socket.socket, answers: Answers, trial: Mapping[str, Any]) -> None:
    """Serve one connection: load once, then any number of batches."""
    checkpoint, device = Path(trial["checkpoint"]), trial["device"]
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
            take_device(device, trial["settings"])
            train = import_artifact(Path.cwd())
            model = train.load(checkpoint, device)
            answers.send("load")
            continue
        shape = tuple(head["shape"])
        rows = np.frombuffer(body, np.uint16, count=shape[0] * shape[1]).reshape(shape)
        tokens = on_device(rows, device)
        if head["do"] == "nats":
            numbers = position_nats(train, model, tokens, vocab_size)
        else:
            positions = on_device(np.frombuffer(body, np.int32, offset=rows.nbytes), device)
            numbers = position_logits(train, model, tokens, vocab_size, positions)
        answers.send(head["do"], numbers)


class Answers:
    """Sends answers, in their order, from a thread of its own.

    So the next question is read, and the device at work on it, while an answer is still on its way or waits to be read.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._waiting: queue.Queue[tuple[dict[str, Any], torch.Tensor | None, torch.cuda.Event | None]] = queue.Queue()
        threading.Thread(target=self._send_all, daemon=True).start()

    def send(self, done: str, numbers: torch.Tensor | None = None) -> None:
        """Queue an answer. On CUDA its numbers start on their way here and nobody waits for them yet."""
        copied = None
        if numbers is not None and numbers.is_cuda:
            here = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
            here.copy_(numbers, non_blocking=True)
            numbers, copied = here, torch.cuda.Event()
            copied.record()
        self._waiting.put(({"done": done}, numbers, copied))

    def fail(self, detail: str) -> None:
        """Send what is waiting, then a failure."""
        self._waiting.put(({"failed": "error", "detail": detail}, None, None))
        self._waiting.join()

    def _send_all(self) -> None:
        while True:
            head, numbers, copied = self._waiting.get()
            try:
                if copied is not None:
                    copied.synchronize()
                wire.send(self._connection, head, b"" if numbers is None else numbers.numpy().tobytes())
            except (
                RuntimeError
            ) as error:  # the device failed at what was queued, and the copy is where that is found out
                with contextlib.suppress(OSError):
                    wire.send(self._connection, {"failed": "error", "detail": str(error)[-_DETAIL_CHARACTERS:]})
                os._exit(1)
            except OSError:
                pass  # `evaluate` is gone, and this process is about to go
            finally:
                self._waiting.task_done()


def take_device(device: str, settings: Mapping[str, Any]) -> None:
    """Make a CUDA device the current one (events and kernels go there), with compiled code of this process's own."""
    if device.startswith("cuda"):
        torch.cuda.set_device(torch.device(device).index or 0)
        compiled.use_private_cache(Path.cwd(), device, settings)


def on_device(numbers: np.ndarray, device: str) -> torch.Tensor:
    """int64 on the device. From pinned memory to CUDA, for only that copy does not wait for the work before it."""
    tensor = torch.from_numpy(numbers.astype(np.int64))
    return tensor.pin_memory().to(device, non_blocking=True) if device.startswith("cuda") else tensor.to(device)


def import_artifact(folder: Path) -> ModuleType:
    """`train.py` of `folder`, and whatever it imports from there."""
    sys.path.insert(0, str(folder))
    return importlib.import_module("train")


def position_nats(train: Any, model: Any, rows: torch.Tensor, vocab_size: int) -> torch.Tensor:
    """Nats of the token that follows each position. rows: int64 [B, T+1]; returns float32 [B, T]."""
    nats = []
    for few in slices(rows, rows.shape[1] - 1, vocab_size):
        logits = checked_logits(train, model, few[:, :-1], vocab_size)  # [b, T, V]
        targets = few[:, 1:].reshape(-1)  # [b*T]
        nats.append(functional.cross_entropy(logits.view(-1, vocab_size), targets, reduction="none").view(len(few), -1))
    return torch.cat(nats)


def position_logits(
    train: Any, model: Any, inputs: torch.Tensor, vocab_size: int, positions: torch.Tensor
) -> torch.Tensor:
    """The logits after one position of each row. inputs: int64 [B, T]; positions: int64 [B]; returns float32 [B, V]."""
    found = []
    length = inputs.shape[1]
    for few, at in zip(slices(inputs, length, vocab_size), slices(positions, length, vocab_size), strict=True):
        logits = checked_logits(train, model, few, vocab_size)  # [b, T, V]
        found.append(logits[torch.arange(len(few), device=logits.device), at])
    return torch.cat(found)


def slices(rows: torch.Tensor, length: int, vocab_size: int) -> tuple[torch.Tensor, ...]:
    """Of rows [B, …] so many at a time that their logits [b, T = length, V] stay small.

    Claim and audit are cut alike: batches of one shape give slices of one shape.
    """
    return rows.split(max(1, LOGITS_BYTES // (4 * length * vocab_size)))


def checked_logits(train: Any, model: Any, inputs: torch.Tensor, vocab_size: int) -> torch.Tensor:
    """What `train.logits` says of int64 [B, T], as contiguous float32 [B, T, V]. Raises ValueError for other shapes."""
    logits = train.logits(model, inputs)
    found = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if found != [*inputs.shape, vocab_size]:
        raise ValueError(f"logits(model, tokens) returned {found}, not [B, T, V] = {[*inputs.shape, vocab_size]}")
    return logits.float().contiguous()
