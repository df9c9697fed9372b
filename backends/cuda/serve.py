"""The untrusted half of scoring: loads the artifact's trained model and answers token rows.

Started early by `backends.reference.evaluate`, it imports torch and waits; it touches no device before it is asked to
load. It is told which position's logits to return, never a byte count, and its words matter to nobody: `evaluate`
checks every number it sends. Whatever the artifact does in here, it does in a process of its own.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
import traceback
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from backends.reference import wire
from backends.reference.allocator import keep_freed_memory
from core import sandbox

_BODY_LIMIT = 1 << 30
_DETAIL_CHARACTERS = 4_000


def main() -> None:
    """The `serve` verb: answer frames until the other side closes. An uncaught error is sent as a `failed` frame."""
    trial = json.loads(Path(os.environ[sandbox.VARIABLE]).read_text())
    connection = socket.socket(fileno=trial["control"])

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))[-_DETAIL_CHARACTERS:]
        wire.send(connection, {"failed": "error", "detail": text})

    sys.excepthook = report
    keep_freed_memory()
    with torch.inference_mode():
        answer(connection, Path(trial["checkpoint"]), trial["device"])


def answer(connection: socket.socket, checkpoint: Path, device: str) -> None:
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
            wire.send(connection, {"done": "load"})
            continue
        shape = tuple(head["shape"])
        rows = np.frombuffer(body, np.uint16, count=shape[0] * shape[1]).reshape(shape)
        tokens = torch.from_numpy(rows.astype(np.int64)).to(device)
        if head["do"] == "nats":
            numbers = position_nats(train, model, tokens, vocab_size)
        else:
            positions = torch.from_numpy(np.frombuffer(body, np.int32, offset=rows.nbytes).astype(np.int64)).to(device)
            numbers = position_logits(train, model, tokens, vocab_size, positions)
        wire.send(connection, {"done": head["do"]}, numbers.cpu().numpy().tobytes())


def import_artifact(folder: Path) -> ModuleType:
    """`train.py` of `folder`, and whatever it imports from there."""
    sys.path.insert(0, str(folder))
    return importlib.import_module("train")


def position_nats(train: Any, model: Any, rows: torch.Tensor, vocab_size: int) -> torch.Tensor:
    """Nats of the token that follows each position. rows: int64 [B, T+1]; returns float32 [B, T]."""
    logits = checked_logits(train, model, rows[:, :-1], vocab_size)  # [B, T, V]
    targets = rows[:, 1:].reshape(-1)  # [B*T]
    return functional.cross_entropy(logits.view(-1, vocab_size), targets, reduction="none").view(len(rows), -1)


def position_logits(
    train: Any, model: Any, inputs: torch.Tensor, vocab_size: int, positions: torch.Tensor
) -> torch.Tensor:
    """The logits after one position of each row. inputs: int64 [B, T]; positions: int64 [B]; returns float32 [B, V]."""
    logits = checked_logits(train, model, inputs, vocab_size)  # [B, T, V]
    return logits[torch.arange(len(inputs), device=logits.device), positions]


def checked_logits(train: Any, model: Any, inputs: torch.Tensor, vocab_size: int) -> torch.Tensor:
    """What `train.logits` says of int64 [B, T], as contiguous float32 [B, T, V]. Raises ValueError for other shapes."""
    logits = train.logits(model, inputs)
    found = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if found != [*inputs.shape, vocab_size]:
        raise ValueError(f"logits(model, tokens) returned {found}, not [B, T, V] = {[*inputs.shape, vocab_size]}")
    return logits.float().contiguous()
